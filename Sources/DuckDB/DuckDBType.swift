import CDuckDB

/// A column's type. Numbers: DuckDB's own list.
public enum DuckDBType: Equatable, Sendable {
  case boolean
  /// 1, 2, 4 or 8 bytes.
  case integer(bytes: Int, isSigned: Bool)
  /// 16 bytes.
  case hugeInteger
  case float, double
  /// An integer of 2, 4, 8 or 16 bytes with `scale` decimals.
  case decimal(scale: Int, width: Int, bytes: Int)
  case text
  /// Days since 1970 in 4 bytes.
  case date
  /// Units since 1970 in 8 bytes; `perSecond` of them.
  case timestamp(perSecond: Int64)
  /// Only nulls.
  case null

  /// Types that are asked for as text: lists, structs, times of day, intervals, UUIDs and what may come.
  static func isNested(_ number: duckdb_type) -> Bool {
    switch number {
    // Booleans and numbers, timestamps, dates, huge integers, texts, decimals, timestamps of other units, nulls.
    case 0...13, 16, 17, 19...22, 36: false
    default: true
    }
  }

  init?(_ type: duckdb_logical_type?) {
    switch cduckdb_get_type_id(type) {
    case 1: self = .boolean
    case 2: self = .integer(bytes: 1, isSigned: true)
    case 3: self = .integer(bytes: 2, isSigned: true)
    case 4: self = .integer(bytes: 4, isSigned: true)
    case 5: self = .integer(bytes: 8, isSigned: true)
    case 6: self = .integer(bytes: 1, isSigned: false)
    case 7: self = .integer(bytes: 2, isSigned: false)
    case 8: self = .integer(bytes: 4, isSigned: false)
    case 9: self = .integer(bytes: 8, isSigned: false)
    case 10: self = .float
    case 11: self = .double
    case 12: self = .timestamp(perSecond: 1_000_000)
    case 13: self = .date
    case 16: self = .hugeInteger
    case 17: self = .text
    case 19:
      let bytes =
        switch cduckdb_decimal_internal_type(type) {
        case 3: 2
        case 4: 4
        case 5: 8
        default: 16
        }
      self = .decimal(
        scale: Int(cduckdb_decimal_scale(type)), width: Int(cduckdb_decimal_width(type)), bytes: bytes)
    case 20: self = .timestamp(perSecond: 1)
    case 21: self = .timestamp(perSecond: 1000)
    case 22: self = .timestamp(perSecond: 1_000_000_000)
    case 36: self = .null
    default: return nil
    }
  }
}
