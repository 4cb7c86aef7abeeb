import Tables

/// A column's type, as readers of the file see it.
public enum ParquetType: Equatable, Sendable {
  case int64
  case uint64
  case uint8
  /// `DECIMAL(18, 8)` over an `Int64` of 1e-8 units
  case decimal
  case boolean
  case string
  /// A string out of few, which Arrow's readers get as `dictionary<string>`.
  case name
  /// So many bytes in each row.
  case fixed(Int)
}

public struct ParquetColumn: Equatable, Sendable {
  public var name: String
  public var type: ParquetType
  public var isNullable: Bool

  public init(_ name: String, _ type: ParquetType, nullable: Bool = false) {
    self.name = name
    self.type = type
    isNullable = nullable
  }

  init(_ column: TableColumn) {
    let type: ParquetType =
      switch column.type {
      case .integer: .int64
      case .decimal: .decimal
      case .boolean: .boolean
      case .name: .name
      case .text: .string
      }
    self.init(column.name, type, nullable: column.isNullable)
  }
}

/// Numbers of the format. Source: Apache Parquet, `parquet.thrift`.
enum Format {
  static let magic: [UInt8] = Array("PAR1".utf8)
  static let createdBy = "weir"

  enum Encoding: Int32 {
    case plain = 0
    case rle = 3
    case deltaBinaryPacked = 5
    case rleDictionary = 8
  }

  enum Page: Int32 {
    case data = 0
    case dictionary = 2
  }

  static let zstandard: Int32 = 6
}

extension ParquetColumn {
  /// The physical type's number.
  var physicalType: Int32 {
    switch type {
    case .boolean: 0
    case .uint8: 1
    case .int64, .uint64, .decimal: 2
    case .string, .name: 6
    case .fixed: 7
    }
  }

  /// Bytes of a value of fixed width; 0 where there is none.
  var valueBytes: Int {
    switch type {
    case .uint8: 4
    case .int64, .uint64, .decimal: 8
    case .fixed(let count): count
    case .boolean, .string, .name: 0
    }
  }

  var schemaElement: ThriftValue {
    var length: ThriftValue?
    var converted: ThriftValue?
    var logical: ThriftValue?
    var scale: ThriftValue?
    var precision: ThriftValue?
    switch type {
    case .int64, .boolean: break
    case .uint64, .uint8:
      let bits: Int8 = type == .uint8 ? 8 : 64
      converted = .int32(type == .uint8 ? 11 : 14)
      logical = .fields([10: .fields([1: .int8(bits), 2: .bool(false)])])
    case .decimal:
      converted = .int32(5)
      scale = .int32(Int32(ColumnType.scale))
      precision = .int32(18)
      logical = .fields([5: .fields([1: scale, 2: precision])])
    case .string, .name:
      converted = .int32(0)
      logical = .fields([1: .structure([])])
    case .fixed(let count): length = .int32(Int32(count))
    }
    return .fields([
      1: .int32(physicalType), 2: length, 3: .int32(isNullable ? 1 : 0), 4: .text(name), 6: converted,
      7: scale, 8: precision, 10: logical,
    ])
  }
}
