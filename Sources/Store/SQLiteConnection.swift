import CSQLite

/// One connection to a database file; closed when it goes out of scope.
public struct SQLiteConnection: ~Copyable {
  public enum Mode {
    case read
    /// Creates the file if it is not there.
    case write
  }

  public let path: String
  let handle: OpaquePointer

  public init(_ path: String, _ mode: Mode, busyTimeoutMs: Int = 5000) throws(SQLiteError) {
    var opened: OpaquePointer?
    let access = mode == .read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_NOMUTEX, nil)
    guard let opened, code == SQLITE_OK else {
      let message = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
      let extended = opened.map { sqlite3_extended_errcode($0) } ?? code
      sqlite3_close_v2(opened)
      throw SQLiteError(operation: "open the database", path: path, code: extended, message: message)
    }
    handle = opened
    self.path = path
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_busy_timeout(handle, Int32(clamping: busyTimeoutMs))
  }

  deinit { sqlite3_close_v2(handle) }

  func failure(_ operation: String) -> SQLiteError {
    SQLiteError(
      operation: operation, path: path, code: sqlite3_extended_errcode(handle),
      message: String(cString: sqlite3_errmsg(handle)))
  }

  /// Runs statements that give no rows, or whose rows don't matter.
  public func execute(_ sql: String, for operation: String = "change the database") throws(SQLiteError) {
    if sqlite3_exec(handle, sql, nil, nil, nil) != SQLITE_OK { throw failure(operation) }
  }

  /// The first column of the first row as text; `nil` when there is no row or it is NULL.
  public func text(_ sql: String, for operation: String = "read the database") throws(SQLiteError) -> String?
  {
    let statement = try prepare(sql, for: operation)
    switch sqlite3_step(statement.handle) {
    case SQLITE_ROW: return sqlite3_column_text(statement.handle, 0).map { String(cString: $0) }
    case SQLITE_DONE: return nil
    default: throw failure(operation)
    }
  }

  func prepare(_ sql: String, for operation: String) throws(SQLiteError) -> SQLiteStatement {
    var statement: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard code == SQLITE_OK, let statement else { throw failure(operation) }
    return SQLiteStatement(handle: statement)
  }
}

/// A prepared statement, finalised when it goes out of scope; it may outlive its connection's value.
struct SQLiteStatement: ~Copyable {
  let handle: OpaquePointer

  init(handle: OpaquePointer) { self.handle = handle }

  deinit { sqlite3_finalize(handle) }
}
