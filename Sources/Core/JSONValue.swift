/// A parsed JSON document, for configuration, REST captures and reports; never on the hot path.
///
/// Objects keep the order of their keys and numbers keep their text, so that exact decimals stay exact.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  public struct Member: Sendable, Equatable {
    public var key: String
    public var value: JSONValue

    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// What was wrong, and at which byte.
  public struct ParseError: Error, Equatable, CustomStringConvertible {
    public var offset: Int
    public var description: String { "not valid JSON at byte \(offset)" }
  }

  /// - Throws: ``ParseError`` when the bytes are not exactly one JSON value.
  public init(parsing bytes: UnsafeRawBufferPointer) throws(ParseError) {
    var cursor = JSONCursor(bytes)
    guard let value = JSONValue.read(&cursor, depth: 0), cursor.isAtEnd() else {
      throw ParseError(offset: cursor.offset)
    }
    self = value
  }

  /// - Throws: ``ParseError`` when the text is not exactly one JSON value.
  public init(parsing text: String) throws(ParseError) {
    let bytes = Array(text.utf8)
    var failure: ParseError?
    var result = JSONValue.null
    bytes.withUnsafeBytes { buffer in
      do throws(ParseError) { result = try JSONValue(parsing: buffer) } catch { failure = error }
    }
    if let failure { throw failure }
    self = result
  }

  private static func read(_ cursor: inout JSONCursor, depth: Int) -> JSONValue? {
    guard depth < JSONCursor.depthMax else { return nil }
    switch cursor.peek() {
    case 0x22: return cursor.rawString().map { .string(String(decoding: unescapeJSON($0), as: UTF8.self)) }
    case 0x7B:
      guard cursor.consume(0x7B) else { return nil }
      var members: [Member] = []
      if cursor.consume(0x7D) { return .object([]) }
      while true {
        guard let key = cursor.key() else { return nil }
        let name = String(decoding: unescapeJSON(key), as: UTF8.self)
        guard let value = read(&cursor, depth: depth + 1), let more = cursor.continues(until: 0x7D) else {
          return nil
        }
        members.append(Member(name, value))
        if !more { return .object(members) }
      }
    case 0x5B:
      guard cursor.consume(0x5B) else { return nil }
      var elements: [JSONValue] = []
      if cursor.consume(0x5D) { return .array([]) }
      while true {
        guard let value = read(&cursor, depth: depth + 1), let more = cursor.continues(until: 0x5D) else {
          return nil
        }
        elements.append(value)
        if !more { return .array(elements) }
      }
    case 0x74, 0x66: return cursor.boolean().map { .bool($0) }
    case 0x6E: return cursor.skipValue() ? .null : nil
    case 0: return nil
    default: return cursor.decimalText().map { .number(String(decoding: $0, as: UTF8.self)) }
    }
  }

  /// The first member of that name.
  public subscript(key: String) -> JSONValue? {
    if case .object(let members) = self { return members.first { $0.key == key }?.value }
    return nil
  }

  public subscript(index: Int) -> JSONValue? {
    if case .array(let elements) = self, elements.indices.contains(index) { return elements[index] }
    return nil
  }

  public var text: String? {
    switch self {
    case .string(let text), .number(let text): text
    default: nil
    }
  }

  public var integer: Int64? { text.flatMap { Int64($0) } }
  public var double: Double? { text.flatMap { Double($0) } }

  public var boolean: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }

  public var elements: [JSONValue]? {
    if case .array(let elements) = self { return elements }
    return nil
  }

  public var members: [Member]? {
    if case .object(let members) = self { return members }
    return nil
  }

  // MARK: Making documents

  public static func integer(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

  /// The shortest text that reads back as the same double; `null` when not finite.
  public static func double(_ value: Double?) -> JSONValue {
    guard let value, value.isFinite else { return .null }
    var writer = ByteWriter(capacity: 32)
    writer.append(double: value)
    return .number(writer.string())
  }

  /// Rounded to `decimals`, trailing zeros dropped; `null` when absent or not finite.
  public static func rounded(_ value: Double?, _ decimals: Int) -> JSONValue {
    guard let value, value.isFinite, abs(value) < 9e18 / Double(powerOfTen(decimals)) else { return .null }
    var writer = ByteWriter(capacity: 32)
    let units = (value * Double(powerOfTen(decimals))).rounded(.toNearestOrEven)
    writer.append(decimal: Int64(units), decimals: decimals, trimmed: true)
    return .number(writer.string())
  }

  /// An exact decimal as a JSON number.
  public static func decimal(_ units: Int64, _ scale: DecimalScale) -> JSONValue {
    .number(scale.text(units))
  }

  public static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    .object(members.map { Member($0.key, $0.value) })
  }

  /// Compact on one line, or indented by two spaces.
  public func write(to writer: inout ByteWriter, indent: Int? = nil) {
    switch self {
    case .null: writer.append("null")
    case .bool(let value): writer.append(value ? "true" : "false")
    case .number(let text): writer.append(text)
    case .string(let text): writer.append(jsonString: text)
    case .array(let elements):
      // Arrays of plain values stay on one line.
      let inline = indent == nil || elements.allSatisfy { $0.elements == nil && $0.members == nil }
      writer.append(byte: 0x5B)
      for (index, element) in elements.enumerated() {
        if index > 0 { writer.append(inline && indent != nil ? ", " : ",") }
        if !inline { newLine(&writer, indent! + 1) }
        element.write(to: &writer, indent: indent.map { $0 + 1 })
      }
      if !inline, !elements.isEmpty { newLine(&writer, indent!) }
      writer.append(byte: 0x5D)
    case .object(let members):
      writer.append(byte: 0x7B)
      for (index, member) in members.enumerated() {
        if index > 0 { writer.append(byte: 0x2C) }
        if let indent { newLine(&writer, indent + 1) }
        writer.append(jsonString: member.key)
        writer.append(indent == nil ? ":" : ": ")
        member.value.write(to: &writer, indent: indent.map { $0 + 1 })
      }
      if let indent, !members.isEmpty { newLine(&writer, indent) }
      writer.append(byte: 0x7D)
    }
  }

  private func newLine(_ writer: inout ByteWriter, _ level: Int) {
    writer.append(byte: 0x0A)
    for _ in 0..<level { writer.append("  ") }
  }

  public func text(pretty: Bool = false) -> String {
    var writer = ByteWriter()
    write(to: &writer, indent: pretty ? 0 : nil)
    return writer.string()
  }
}
