import CSQLite
import Core

/// Rows of a run's database in ``StoredRow/isOrdered(_:before:)`` order, in bounded memory (SQLite sorts
/// beyond its cache in a temporary file).
public struct SQLiteReader: ~Copyable {
  private let connection: SQLiteConnection
  private let select: SQLiteStatement

  /// - Throws: ``SignalStoreError``
  public init(runFolder: String) throws(SignalStoreError) {
    let opened: SQLiteConnection
    do throws(SQLiteError) {
      opened = try SQLiteConnection(SignalFiles.database(runFolder), .read)
    } catch {
      throw .database(error)
    }
    try SQLiteSink.checkSchema(opened)
    let selecting: SQLiteStatement
    do throws(SQLiteError) {
      selecting = try opened.prepare(
        "SELECT * FROM signals ORDER BY recv_ns, signal_id", for: "read the signals of")
    } catch {
      throw .database(error)
    }
    connection = opened
    select = selecting
  }

  /// - Returns: `nil` after the last row.
  public mutating func next() throws(SignalStoreError) -> StoredRow? {
    switch sqlite3_step(select.handle) {
    case SQLITE_DONE: return nil
    case SQLITE_ROW: break
    default: throw .database(connection.failure("read the signals of"))
    }
    return try select.row(path: connection.path)
  }
}

extension SQLiteStatement {
  /// The row the statement stands on, all columns of ``SignalColumn`` in their order.
  func row(path: String) throws(SignalStoreError) -> StoredRow {
    var row = StoredRow()
    for column in SignalColumn.allCases {
      guard let value = value(column) else {
        throw .unexpectedValue(path: path, signalID: row.signalID, column: column.name.description)
      }
      row.values[column.rawValue] = value
    }
    return row
  }

  func value(_ column: SignalColumn) -> StoredValue? {
    let place = Int32(column.rawValue)
    switch (sqlite3_column_type(handle, place), column.storage) {
    case (SQLITE_NULL, _): return column.isNullable ? .null : nil
    case (SQLITE_INTEGER, .integer): return .integer(sqlite3_column_int64(handle, place))
    case (SQLITE_INTEGER, .boolean):
      let value = sqlite3_column_int64(handle, place)
      return value == 0 || value == 1 ? .boolean(value == 1) : nil
    case (SQLITE_FLOAT, .real): return .real(sqlite3_column_double(handle, place))
    case (SQLITE_TEXT, .text): return .text(text(column))
    default: return nil
    }
  }

  func text(_ column: SignalColumn) -> String {
    let place = Int32(column.rawValue)
    let start = UnsafeRawPointer(sqlite3_column_text(handle, place))
    let count = Int(sqlite3_column_bytes(handle, place))
    return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
  }
}
