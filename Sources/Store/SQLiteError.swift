import CSQLite

/// A database error with what was being done, to which file, and what to do about it.
public struct SQLiteError: Error, Equatable, CustomStringConvertible {
  public var operation: String
  public var path: String
  /// The extended result code.
  public var code: Int32
  public var message: String

  /// The primary result code, such as `SQLITE_FULL`.
  public var primaryCode: Int32 { code & 0xFF }

  public var description: String {
    let hint =
      switch primaryCode {
      case SQLITE_FULL: "; free some space or choose another disk, then replay from the last position"
      case SQLITE_READONLY, SQLITE_PERM, SQLITE_AUTH:
        "; choose a folder you may write to, or change its permissions"
      case SQLITE_CANTOPEN: "; check that the folder exists and may be written to"
      case SQLITE_CORRUPT, SQLITE_NOTADB:
        "; the file is damaged or no database: move it away and replay the tape, which makes it again"
      case SQLITE_BUSY, SQLITE_LOCKED: "; another program holds it: close that program or wait"
      case SQLITE_IOERR: "; the disk failed or is full: see the system's log"
      default: ""
      }
    return "cannot \(operation) \(path): \(message) (SQLite code \(code))\(hint)"
  }
}
