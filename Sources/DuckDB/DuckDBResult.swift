import CDuckDB

/// An answer as it comes: pieces of some two thousand rows, each valid until the next is asked for.
public final class DuckDBResult {
  public struct Column: Sendable {
    public let name: String
    public let type: DuckDBType
  }

  public let columns: [Column]
  private var result = duckdb_result()
  private var chunk: duckdb_data_chunk?
  // The connection must outlive the result.
  private let database: DuckDBDatabase
  private let sql: String

  init(
    _ database: DuckDBDatabase, _ statement: duckdb_prepared_statement?, sql: String
  ) throws(DuckDBError) {
    self.database = database
    self.sql = sql
    var result = duckdb_result()
    guard cduckdb_execute_prepared_streaming(statement, &result) == 0 else {
      defer { cduckdb_destroy_result(&result) }
      throw DuckDBResult.error(&result, sql)
    }
    var columns: [Column] = []
    var unknown: String?
    for index in 0..<cduckdb_column_count(&result) {
      var type = cduckdb_column_logical_type(&result, index)
      defer { cduckdb_destroy_logical_type(&type) }
      let name = cduckdb_column_name(&result, index).map { String(cString: $0) } ?? ""
      if let type = DuckDBType(type) {
        columns.append(Column(name: name, type: type))
      } else {
        unknown = name
      }
    }
    if let unknown {
      cduckdb_destroy_result(&result)
      throw .statement(message: "the column \(unknown) has a type without a form here; cast it", sql: sql)
    }
    self.result = result
    self.columns = columns
  }

  deinit {
    cduckdb_destroy_data_chunk(&chunk)
    cduckdb_destroy_result(&result)
  }

  /// The next rows; nil at the end.
  ///
  /// - Throws: ``DuckDBError/statement(message:sql:)``, ``DuckDBError/interrupted(sql:)``
  public func next() throws(DuckDBError) -> DuckDBChunk? {
    if chunk != nil { cduckdb_destroy_data_chunk(&chunk) }
    chunk = cduckdb_fetch_chunk(result)
    guard chunk != nil else {
      if cduckdb_result_error(&result) != nil { throw DuckDBResult.error(&result, sql) }
      return nil
    }
    let count = Int(cduckdb_data_chunk_get_size(chunk))
    if count == 0 { return nil }
    return DuckDBChunk(chunk, rowCount: count, types: columns.map(\.type))
  }

  private static func error(_ result: inout duckdb_result, _ sql: String) -> DuckDBError {
    let message = cduckdb_result_error(&result).map { String(cString: $0) } ?? "no reason is given"
    return DuckDBError(message, sql: sql)
  }
}

/// Some rows of an answer, column by column.
public struct DuckDBChunk {
  public let rowCount: Int
  private let vectors: [DuckDBVector]

  init(_ chunk: duckdb_data_chunk?, rowCount: Int, types: [DuckDBType]) {
    self.rowCount = rowCount
    vectors = types.enumerated().map { index, type in
      DuckDBVector(cduckdb_data_chunk_get_vector(chunk, UInt64(index)), type)
    }
  }

  public func column(_ index: Int) -> DuckDBVector { vectors[index] }

  public func value(row: Int, column: Int) -> DuckDBValue { vectors[column].value(row) }
}

/// One column's values within a chunk.
public struct DuckDBVector {
  public let type: DuckDBType
  /// Values side by side, of the width of the type.
  public let data: UnsafeRawPointer
  /// A bit a row, 0 for null; nil when no row is null.
  private let validity: UnsafePointer<UInt64>?

  init(_ vector: duckdb_vector?, _ type: DuckDBType) {
    self.type = type
    // A vector of nothing but nulls has no data.
    data = UnsafeRawPointer(cduckdb_vector_get_data(vector)) ?? UnsafeRawPointer(bitPattern: 16)!
    validity = UnsafePointer(cduckdb_vector_get_validity(vector))
  }

  public var hasNulls: Bool { validity != nil }

  @inline(__always)
  public func isNull(_ row: Int) -> Bool {
    guard let validity else { return false }
    return validity[row >> 6] >> UInt64(row & 63) & 1 == 0
  }

  /// A text's bytes, valid as long as the chunk.
  ///
  /// - Precondition: the type is text and the row is not null.
  @inline(__always)
  public func text(_ row: Int) -> UnsafeRawBufferPointer {
    let place = data + row * MemoryLayout<duckdb_string_t>.stride
    let length = Int(place.loadUnaligned(as: UInt32.self))
    if length <= 12 { return UnsafeRawBufferPointer(start: place + 4, count: length) }
    return UnsafeRawBufferPointer(
      start: place.loadUnaligned(fromByteOffset: 8, as: UnsafeRawPointer.self), count: length)
  }

  public func value(_ row: Int) -> DuckDBValue {
    if isNull(row) { return .null }
    func load<T: FixedWidthInteger>(_: T.Type) -> T {
      data.loadUnaligned(fromByteOffset: row * MemoryLayout<T>.size, as: T.self)
    }
    func signed(_ bytes: Int) -> Int128 {
      switch bytes {
      case 1: Int128(load(Int8.self))
      case 2: Int128(load(Int16.self))
      case 4: Int128(load(Int32.self))
      case 8: Int128(load(Int64.self))
      default: data.loadUnaligned(fromByteOffset: row * 16, as: Int128.self)
      }
    }
    switch type {
    case .boolean: return .boolean(load(UInt8.self) != 0)
    case .integer(let bytes, isSigned: true): return .integer(signed(bytes))
    case .integer(1, _): return .integer(Int128(load(UInt8.self)))
    case .integer(2, _): return .integer(Int128(load(UInt16.self)))
    case .integer(4, _): return .integer(Int128(load(UInt32.self)))
    case .integer: return .integer(Int128(load(UInt64.self)))
    case .hugeInteger: return .integer(signed(16))
    case .float:
      // The shortest text of the single, as a double.
      let value = Float(bitPattern: load(UInt32.self))
      return .double(Double("\(value)") ?? Double(value))
    case .double: return .double(Double(bitPattern: load(UInt64.self)))
    case .decimal(let scale, _, let bytes): return .decimal(units: signed(bytes), scale: scale)
    case .text: return .text(String(decoding: text(row), as: UTF8.self))
    case .date: return .date(load(Int32.self))
    case .timestamp(let perSecond): return .timestamp(load(Int64.self), perSecond: perSecond)
    case .null: return .null
    }
  }
}
