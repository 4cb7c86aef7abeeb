import Core

/// A field's value in a log line.
public struct LogValue: Sendable {
  enum Storage: Sendable {
    case text(String)
    case integer(Int64)
    case double(Double)
    case boolean(Bool)
    case redacted
  }

  let storage: Storage

  public static func text(_ value: String) -> LogValue { LogValue(storage: .text(value)) }
  public static func integer(_ value: some BinaryInteger) -> LogValue {
    LogValue(storage: Int64(exactly: value).map { .integer($0) } ?? .text(String(value)))
  }
  public static func double(_ value: Double) -> LogValue { LogValue(storage: .double(value)) }
  public static func boolean(_ value: Bool) -> LogValue { LogValue(storage: .boolean(value)) }
  public static func error(_ value: any Error) -> LogValue { .text("\(value)") }
  /// Prints `<redacted>`; the secret itself is not even kept.
  public static func secret<Secret>(_: Secret) -> LogValue { LogValue(storage: .redacted) }
}

extension LogValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral
{
  public init(stringLiteral value: String) { self = .text(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
}

extension LogValue {
  /// Longer texts are cut here, at the end of a character, and end in `…`.
  public static let textBytesMax = 4096

  func appendJSON(to writer: inout ByteWriter) {
    switch storage {
    case .text(let text): writer.append(printable: LogValue.cut(text))
    case .integer(let value): writer.append(integer: value)
    case .double(let value) where value.isFinite: writer.append(double: value)
    case .double(let value):
      writer.append(byte: 0x22)
      writer.append(metricValue: value)
      writer.append(byte: 0x22)
    case .boolean(let value): writer.append(value ? "true" : "false")
    case .redacted: writer.append("\"<redacted>\"")
    }
  }

  /// Like JSON, but words stand without quotes.
  func appendHuman(to writer: inout ByteWriter) {
    switch storage {
    case .text(let text): LogValue.appendHuman(text, to: &writer)
    case .double(let value): writer.append(metricValue: value)
    case .redacted: writer.append("<redacted>")
    case .integer, .boolean: appendJSON(to: &writer)
    }
  }

  static func appendHuman(_ text: String, to writer: inout ByteWriter) {
    let isWord =
      !text.isEmpty
      && text.unicodeScalars.allSatisfy { scalar in
        scalar != " " && scalar != "\"" && scalar != "=" && !isControl(scalar)
      }
    if isWord { writer.append(cut(text)) } else { writer.append(printable: cut(text)) }
  }

  private static func cut(_ text: String) -> String {
    guard text.utf8.count > textBytesMax else { return text }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: textBytesMax)
    while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return String(text[..<end]) + "…"
  }
}
