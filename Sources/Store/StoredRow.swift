import Core
import Strategy

/// A value read back from a sink.
public enum StoredValue: Equatable, Sendable, CustomStringConvertible {
  case null
  case integer(Int64)
  case real(Double)
  case text(String)
  case boolean(Bool)

  /// As in the canonical JSON line; text without its quotes.
  public var description: String {
    switch self {
    case .null: "null"
    case .integer(let value): String(value)
    case .real: json.text()
    case .text(let text): text
    case .boolean(let value): value ? "true" : "false"
    }
  }

  /// See ``description``; numbers stay numbers.
  public var json: JSONValue {
    switch self {
    case .null: .null
    case .integer(let value): .integer(value)
    case .real(let value): .double(value)
    case .text(let text): .string(text)
    case .boolean(let value): .bool(value)
    }
  }
}

/// A signal row as a sink gave it back: one value for every column, in ``SignalColumn``'s order.
public struct StoredRow: Equatable, Sendable {
  public internal(set) var values: [StoredValue]

  public init() { values = [StoredValue](repeating: .null, count: SignalRow.columnCount) }

  public subscript(column: SignalColumn) -> StoredValue { values[column.rawValue] }

  public func text(_ column: SignalColumn) -> String? {
    if case .text(let text) = self[column] { return text }
    return nil
  }

  public func real(_ column: SignalColumn) -> Double? {
    if case .real(let value) = self[column] { return value }
    return nil
  }

  public func boolean(_ column: SignalColumn) -> Bool { self[column] == .boolean(true) }

  public var signalID: String { text(.signalID) ?? "" }
  public var symbolName: String { text(.symbol) ?? "" }
  public var isConfirmed: Bool { boolean(.confirm) }

  public var receiveTime: UnixNanos {
    if case .integer(let value) = self[.recvNs] { return UnixNanos(value) }
    return UnixNanos(0)
  }

  /// From the last letter of the id; `nil` for a foreign id.
  public var trigger: Signal.Trigger? {
    let end = signalID.utf8.suffix(2)
    guard end.count == 2, end.first == 0x2D else { return nil }
    return Signal.Trigger.allCases.first { $0.letter == end.last }
  }

  public var isStrong: Bool {
    guard let name = text(.signalType) else { return false }
    return name == "strong_buy" || name == "strong_sell"
  }

  /// The order in which readers give rows back: tape time, then id by its bytes.
  public static func isOrdered(_ a: StoredRow, before b: StoredRow) -> Bool {
    if a.receiveTime != b.receiveTime { return a.receiveTime < b.receiveTime }
    return a.signalID.utf8.lexicographicallyPrecedes(b.signalID.utf8)
  }

  /// Every value with its type, doubles by their bits: equal renderings are equal rows.
  public func appendCanonical(to writer: inout ByteWriter) {
    for value in values {
      switch value {
      case .null: writer.append(byte: 0x6E)
      case .integer(let value):
        writer.append(byte: 0x69)
        writer.append(hex: UInt64(bitPattern: value), digits: 16)
      case .real(let value):
        writer.append(byte: 0x72)
        writer.append(hex: value.bitPattern, digits: 16)
      case .boolean(let value): writer.append(byte: value ? 0x54 : 0x46)
      case .text(let text):
        writer.append(byte: 0x74)
        writer.append(integer: Int64(text.utf8.count))
        writer.append(byte: 0x3A)
        writer.append(text)
      }
    }
    writer.append(byte: 0x0A)
  }

  // MARK: From a line

  /// Reads one canonical JSON line, without its newline.
  ///
  /// It is strict: the columns of ``Signal/columns``, all of them, in that order, each of its own type.
  /// - Returns: `nil` when the line was read; else what is wrong with it, and this row is undefined.
  public mutating func read(_ line: UnsafeRawBufferPointer) -> String? {
    var cursor = JSONCursor(line)
    guard cursor.consume(0x7B) else { return "not a JSON object" }
    for column in SignalColumn.allCases {
      guard let key = cursor.key(), StoredRow.equal(key, column.name) else {
        return "column \(column.name) is missing or out of place"
      }
      guard let value = StoredRow.value(&cursor, column) else {
        return "column \(column.name) has a bad value"
      }
      values[column.rawValue] = value
      let more = cursor.continues(until: 0x7D)
      let last = column.rawValue == SignalRow.columnCount - 1
      guard more == !last else {
        return last ? "more columns than there should be" : "ends after \(column.name)"
      }
    }
    return cursor.isAtEnd() ? nil : "something follows the JSON object"
  }

  private static func equal(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count where bytes[index] != text.utf8Start[index] { return false }
    return true
  }

  private static func value(_ cursor: inout JSONCursor, _ column: SignalColumn) -> StoredValue? {
    let next = cursor.peek()
    if next == 0x6E { return column.isNullable && cursor.skipValue() ? .null : nil }
    switch column.storage {
    case .boolean: return cursor.boolean().map { .boolean($0) }
    case .integer: return next == 0x22 ? nil : cursor.integer().map { .integer($0) }
    case .real:
      guard next != 0x22, let text = cursor.decimalText() else { return nil }
      return nearestDouble(text: text).map { .real($0) }
    case .text:
      guard let raw = cursor.rawString() else { return nil }
      if !raw.contains(0x5C) { return .text(String(decoding: raw, as: UTF8.self)) }
      return .text(String(decoding: unescapeJSON(raw), as: UTF8.self))
    }
  }
}
