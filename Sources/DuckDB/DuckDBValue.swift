import Core

/// One cell of an answer.
public enum DuckDBValue: Equatable, Sendable {
  case null
  case boolean(Bool)
  case integer(Int128)
  case double(Double)
  /// `units` / 10^`scale`
  case decimal(units: Int128, scale: Int)
  case text(String)
  /// Days since 1970.
  case date(Int32)
  /// Units since 1970.
  case timestamp(Int64, perSecond: Int64)

  /// The cell as text: decimals with all their digits, times as `2024-07-18 23:57:00.984480942` in UTC.
  ///
  /// - Returns: nil for null.
  public var text: String? {
    switch self {
    case .null: nil
    case .boolean(let value): value ? "true" : "false"
    case .integer(let value): "\(value)"
    case .double(let value): doubleText(value)
    case .decimal(let units, let scale): decimalText(units, scale)
    case .text(let text): text
    case .date(let days): UTCDate(UnixNanos(Int64(days) &* Nanoseconds.day)).dayText
    case .timestamp(let value, let perSecond): timestampText(value, perSecond)
    }
  }

  /// Numbers as numbers, with all their digits; what JSON has no form for as text.
  public var json: JSONValue {
    switch self {
    case .null: .null
    case .boolean(let value): .bool(value)
    case .integer, .decimal: .number(text ?? "null")
    case .double(let value): value.isFinite ? .double(value) : .string(doubleText(value))
    case .text, .date, .timestamp: .string(text ?? "")
    }
  }
}

private func doubleText(_ value: Double) -> String {
  guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
  var writer = ByteWriter(capacity: 32)
  writer.append(double: value)
  return writer.string()
}

private func decimalText(_ units: Int128, _ scale: Int) -> String {
  let digits = String(units.magnitude)
  let sign = units < 0 ? "-" : ""
  if scale == 0 { return sign + digits }
  let padded = String(repeating: "0", count: max(0, scale + 1 - digits.utf8.count)) + digits
  return sign + padded.dropLast(scale) + "." + padded.suffix(scale)
}

private func timestampText(_ value: Int64, _ perSecond: Int64) -> String {
  // DuckDB's timestamps reach further than nanoseconds in 64 bits do; seconds and the rest are kept apart.
  var seconds = value / perSecond
  var rest = value % perSecond
  if rest < 0 {
    rest += perSecond
    seconds -= 1
  }
  guard seconds.magnitude < UInt64(Int64.max / Nanoseconds.second) else { return "\(value)" }
  let date = UTCDate(UnixNanos(seconds * Nanoseconds.second))
  let text = "\(date.dayText) \(date.timeText)"
  if perSecond == 1 { return text }
  let digits = String(rest)
  let width = String(perSecond).utf8.count - 1
  return text + "." + String(repeating: "0", count: width - digits.utf8.count) + digits
}
