import CDuckDB
import Tables

extension ColumnType {
  /// Its name in DuckDB's SQL.
  var sqlName: String {
    switch self {
    case .integer: "BIGINT"
    case .decimal: "DECIMAL(18, \(ColumnType.scale))"
    case .boolean: "BOOLEAN"
    case .name, .text: "VARCHAR"
    }
  }
}

/// Puts batches of rows into a table of the same columns, a vector's length at a time.
public final class TableAppender {
  private let schema: TableSchema
  private let table: String
  private var appender: duckdb_appender?
  private var chunk: duckdb_data_chunk?
  private let rowsMax = Int(cduckdb_vector_size())
  // The connection must outlive the appender.
  private let database: DuckDBDatabase

  /// Creates the table and begins to fill it.
  public init(_ database: DuckDBDatabase, _ schema: TableSchema, table: String) throws(DuckDBError) {
    self.database = database
    self.schema = schema
    self.table = table
    let columns = schema.columns.map { "\(SQLText.identifier($0.name)) \($0.type.sqlName)" }
    try database.run("CREATE TABLE \(SQLText.identifier(table)) (\(columns.joined(separator: ", ")))")
    guard cduckdb_appender_create(database.connection, nil, table, &appender) == 0 else { throw failure() }
    var types: [duckdb_logical_type?] = schema.columns.map {
      switch $0.type {
      case .integer: cduckdb_create_logical_type(5)
      case .boolean: cduckdb_create_logical_type(1)
      case .name, .text: cduckdb_create_logical_type(17)
      case .decimal: cduckdb_create_decimal_type(18, UInt8(ColumnType.scale))
      }
    }
    chunk = cduckdb_create_data_chunk(&types, UInt64(types.count))
    for index in types.indices { cduckdb_destroy_logical_type(&types[index]) }
  }

  deinit {
    cduckdb_destroy_data_chunk(&chunk)
    _ = cduckdb_appender_destroy(&appender)
  }

  private func failure() -> DuckDBError {
    let message = cduckdb_appender_error(appender).map { String(cString: $0) }
    return .append(message: message ?? "no reason is given", table: table)
  }

  public func append(_ batch: TableBatch) throws(DuckDBError) {
    precondition(batch.schema == schema)
    var row = 0
    var message = 0
    // Rows of that message that earlier chunks took.
    var taken = 0
    while row < batch.rowCount {
      let count = min(rowsMax, batch.rowCount - row)
      cduckdb_data_chunk_reset(chunk)
      for (index, column) in schema.columns.enumerated() {
        let vector = cduckdb_data_chunk_get_vector(chunk, UInt64(index))
        if column.isOfMessage {
          var (at, from, filled) = (message, taken, 0)
          while filled < count {
            let length = min(Int(batch.messageRows[at]) - from, count - filled)
            let value = batch.values(index)[at]
            for place in filled..<filled + length { put(value, batch, column.type, vector, place) }
            (at, from, filled) = (at + 1, 0, filled + length)
          }
        } else {
          for place in 0..<count { put(batch.values(index)[row + place], batch, column.type, vector, place) }
        }
      }
      var left = count
      while left > 0 {
        let length = min(Int(batch.messageRows[message]) - taken, left)
        left -= length
        taken += length
        if taken == Int(batch.messageRows[message]) { (message, taken) = (message + 1, 0) }
      }
      row += count
      cduckdb_data_chunk_set_size(chunk, UInt64(count))
      guard cduckdb_append_data_chunk(appender, chunk) == 0 else { throw failure() }
    }
  }

  private func put(
    _ value: Int64, _ batch: TableBatch, _ type: ColumnType, _ vector: duckdb_vector?, _ row: Int
  ) {
    if value == TableBatch.null {
      cduckdb_vector_ensure_validity_writable(vector)
      cduckdb_vector_get_validity(vector)![row >> 6] &= ~(1 << UInt64(row & 63))
      return
    }
    switch type {
    case .integer, .decimal:
      cduckdb_vector_get_data(vector).assumingMemoryBound(to: Int64.self)[row] = value
    case .boolean: cduckdb_vector_get_data(vector).assumingMemoryBound(to: UInt8.self)[row] = UInt8(value)
    case .name: put(text: batch.names[Int(value)], vector, row)
    case .text: put(batch.text(value), vector, row)
    }
  }

  private func put(text: String, _ vector: duckdb_vector?, _ row: Int) {
    var copy = text
    copy.withUTF8 { put(UnsafeRawBufferPointer($0), vector, row) }
  }

  private func put(_ text: UnsafeRawBufferPointer, _ vector: duckdb_vector?, _ row: Int) {
    // An empty text may have no address, and the function wants one.
    let base = text.baseAddress ?? UnsafeRawPointer(cduckdb_vector_get_data(vector)!)
    cduckdb_vector_assign_string_element_len(
      vector, UInt64(row), base.assumingMemoryBound(to: CChar.self), UInt64(text.count))
  }

  /// Ends the filling: the rows are in the table.
  public func finish() throws(DuckDBError) {
    guard cduckdb_appender_close(appender) == 0 else { throw failure() }
  }
}
