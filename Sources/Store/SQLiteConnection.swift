import CSQLite
import Core

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
    var access = mode == .read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    var name = path
    // A writer keeps a log beside the file for as long as it lives. Without one the file stands still, and is
    // read without leaving a log and its index behind.
    if mode == .read, Files.exists(path), !Files.exists(path + "-wal") {
      name = SQLiteConnection.immutableURI(path)
      access |= SQLITE_OPEN_URI
    }
    let code = sqlite3_open_v2(name, &opened, access | SQLITE_OPEN_NOMUTEX, nil)
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

  /// The path as a URI that says nobody writes to the file; bytes with a meaning in a URI are escaped.
  private static func immutableURI(_ path: String) -> String {
    var writer = ByteWriter(capacity: 256)
    writer.append("file:")
    for byte in path.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x5F, 0x7E: writer.append(byte: byte)
      default:
        writer.append(byte: 0x25)
        writer.append(hex: UInt64(byte), digits: 2)
      }
    }
    writer.append("?immutable=1")
    return writer.string()
  }

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
