import Core

/// The members of one JSON object, found in one walk; values are read where they lie.
///
/// The plain counterpart of the template scanner: it knows neither instruments nor shapes, takes decimals as
/// text, and allocates nothing per object once its list has grown.
struct FieldReader {
  /// Objects of frames have some twenty members; what lies beyond is not looked for.
  static let fieldsMax = 64

  private struct Field {
    var key: UnsafeRawBufferPointer
    var start: Int
    var end: Int
  }

  private var fields: [Field] = []
  private var base = UnsafeRawPointer(bitPattern: 8)!

  /// Walks an object; false when the bytes are no single JSON object.
  mutating func read(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Bool {
    self.base = base
    fields.removeAll(keepingCapacity: true)
    var cursor = JSONCursor(base: base, offset: start, end: end)
    guard cursor.consume(0x7B) else { return false }
    if cursor.consume(0x7D) { return cursor.isAtEnd() }
    while true {
      guard let key = cursor.key() else { return false }
      _ = cursor.peek()
      let from = cursor.offset
      guard cursor.skipValue(depth: 1) else { return false }
      if fields.count < FieldReader.fieldsMax {
        fields.append(Field(key: key, start: from, end: cursor.offset))
      }
      guard let more = cursor.continues(until: 0x7D) else { return false }
      if !more { return cursor.isAtEnd() }
    }
  }

  /// Where a member's value lies: the last one of that name, as everywhere in JSON.
  func span(_ key: StaticString) -> (start: Int, end: Int)? {
    for field in fields.reversed() where field.key.isText(key) { return (field.start, field.end) }
    return nil
  }

  func cursor(_ key: StaticString) -> JSONCursor? {
    span(key).map { JSONCursor(base: base, offset: $0.start, end: $0.end) }
  }

  func has(_ key: StaticString) -> Bool { span(key) != nil }

  /// A whole number that is not negative.
  func integer(_ key: StaticString) throws(FieldError) -> Int64 {
    guard var cursor = cursor(key) else { throw .missingField }
    guard let value = cursor.integer(), cursor.isAtEnd() else { throw .wrongType }
    guard value >= 0 else { throw .invalidValue }
    return value
  }

  func optionalInteger(_ key: StaticString) throws(FieldError) -> Int64 {
    has(key) ? try integer(key) : TableBatch.null
  }

  func milliseconds(_ key: StaticString) throws(FieldError) -> Int64 {
    let value = try integer(key)
    guard value <= FieldReader.millisecondsMax else { throw .invalidValue }
    return value * Nanoseconds.millisecond
  }

  func optionalMilliseconds(_ key: StaticString) throws(FieldError) -> Int64 {
    has(key) ? try milliseconds(key) : TableBatch.null
  }

  /// 2262: the last year that nanoseconds in 64 bits know.
  static let millisecondsMax = Int64.max / Nanoseconds.millisecond

  func decimal(_ key: StaticString) throws(FieldError) -> Int64 {
    guard var cursor = cursor(key) else { throw .missingField }
    let value = try decimalUnits(&cursor)
    guard cursor.isAtEnd() else { throw .wrongType }
    return value
  }

  /// nil for an absent member, and for an empty string, which the exchange sends for "none".
  func optionalDecimal(_ key: StaticString) throws(FieldError) -> Int64 {
    guard var cursor = cursor(key) else { return TableBatch.null }
    if var copy = self.cursor(key), let text = copy.decimalText(), text.isEmpty { return TableBatch.null }
    return try decimalUnits(&cursor)
  }

  func boolean(_ key: StaticString) throws(FieldError) -> Int64 {
    guard var cursor = cursor(key) else { throw .missingField }
    guard let value = cursor.boolean() else { throw .wrongType }
    return value ? 1 : 0
  }

  /// A short name without escapes.
  func name(_ key: StaticString) throws(FieldError) -> String {
    guard var cursor = cursor(key) else { throw .missingField }
    guard let text = cursor.rawString(), text.count <= 64, !text.contains(0x5C), !text.isEmpty else {
      throw .wrongType
    }
    return String(decoding: text, as: UTF8.self)
  }

  func optionalName(_ key: StaticString) throws(FieldError) -> String? { has(key) ? try name(key) : nil }
}

/// A decimal's units of 1e-8, exact.
func decimalUnits(_ cursor: inout JSONCursor) throws(FieldError) -> Int64 {
  guard let text = cursor.decimalText() else { throw .wrongType }
  guard let units = DecimalScale(ColumnType.scale).parse(text) else {
    let isPlain = !text.isEmpty && text.allSatisfy { $0 &- 0x30 <= 9 || $0 == 0x2E || $0 == 0x2D }
    throw isPlain ? .outOfRange : .wrongType
  }
  guard units.magnitude <= UInt64(ColumnType.decimalUnitsMax) else { throw .outOfRange }
  return units
}

/// Why a record has no row in a typed table. Raw values are the `reason` of its row in `other`.
enum FieldError: String, Error {
  case malformed
  case missingField = "missing_field"
  case wrongType = "wrong_type"
  case invalidValue = "invalid_value"
  /// More than 8 decimals, or beyond 18 digits.
  case outOfRange = "out_of_range"
  /// A depth event that changes no level.
  case noLevels = "no_levels"
  /// Valid, and no market data: account events, tickers, answers to requests.
  case noMarketData = "no_market_data"
}

extension UnsafeRawBufferPointer {
  func isText(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: count))
  }

  func hasTail(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    return count >= length && UnsafeRawBufferPointer(rebasing: self[(count - length)...]).isText(text)
  }
}
