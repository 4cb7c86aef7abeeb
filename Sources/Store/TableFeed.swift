import CSQLite
import Core
import Glibc

/// ``SignalFeed`` over a database.
final class TableFeed: FeedReader {
  private static let chunkRowsMax = 1024
  private static let rowBytes = 512

  private(set) var rowsRead: Int64
  private(set) var newestTime: UnixNanos?
  let linesUnreadable = 0
  let firstBadLine: JSONLReader.BadLine? = nil
  private(set) var position: SignalPosition

  private let path: String
  private let confirmedOnly: Bool
  private var table: Table?
  /// The rows of a chunk from the last to the first, those not wanted as `nil`.
  private var chunk: [Entry] = []
  /// The chunk's rows are of complete times: reading one moves the position.
  private var chunkIsComplete = true
  private var mayHaveMore = false

  private struct Entry {
    var time: Int64
    var signalID: String
    var row: StoredRow?
  }

  /// A connection with its statements.
  private final class Table {
    let connection: SQLiteConnection
    let newest: SQLiteStatement
    let select: SQLiteStatement
    /// What the file looked like, if it was opened as one that stands still.
    let still: FileState?
    var dataVersion: String?

    init(_ connection: consuming SQLiteConnection, still: FileState?) throws(SQLiteError) {
      newest = try connection.prepare("SELECT max(recv_ns) FROM signals", for: "read the signals of")
      select = try connection.prepare(
        """
        SELECT * FROM signals WHERE (recv_ns, signal_id) > (?1, ?2) AND recv_ns <= ?3
        ORDER BY recv_ns, signal_id LIMIT ?4
        """, for: "read the signals of")
      self.connection = connection
      self.still = still
    }
  }

  private struct FileState: Equatable {
    var inode: UInt
    var bytes: Int
    var changedNs: Int64
  }

  init(runFolder: String, confirmedOnly: Bool, from position: SignalPosition) {
    path = SignalFiles.database(runFolder)
    self.confirmedOnly = confirmedOnly
    if case .row = position.place { self.position = position } else { self.position = SignalPosition() }
    rowsRead = self.position.rows
  }

  func step(isLast: Bool) throws(SignalStoreError) -> SignalFeed.Step {
    if chunk.isEmpty {
      do throws(SignalStoreError) {
        try load(isLast: isLast)
      } catch {
        // A writer that recovers or begins holds the file for a moment: the next call finds it again.
        guard case .database(let failure) = error,
          [SQLITE_BUSY, SQLITE_LOCKED].contains(failure.primaryCode),
          !isLast
        else { throw error }
        return .idle
      }
    }
    guard let entry = chunk.popLast() else { return .idle }
    rowsRead += 1
    newestTime = UnixNanos(entry.time)
    if chunkIsComplete {
      position = SignalPosition(.row(time: entry.time, signalID: entry.signalID), rows: rowsRead)
    }
    return entry.row.map { .row($0) } ?? .passed
  }

  var bytesBehind: Int { mayHaveMore ? (chunk.count + TableFeed.chunkRowsMax) * TableFeed.rowBytes : 0 }

  // MARK: Reading

  private var last: (time: Int64, signalID: String) {
    if case .row(let time, let signalID) = position.place { return (time, signalID) }
    return (.min, "")
  }

  private func load(isLast: Bool) throws(SignalStoreError) {
    try refresh()
    guard let table else { return }
    do throws(SQLiteError) {
      let version = try table.connection.text("PRAGMA data_version")
      if version == table.dataVersion, !mayHaveMore, !isLast { return }
      table.dataVersion = version
    } catch {
      throw .database(error)
    }
    guard let newest = try newestCommitted(table) else { return }
    // Of the newest time, what was given before is given once.
    if !chunkIsComplete, isLast { return }
    if try select(table, through: newest - 1) { return }
    guard isLast else { return }
    chunkIsComplete = false
    _ = try select(table, through: newest)
  }

  private func newestCommitted(_ table: Table) throws(SignalStoreError) -> Int64? {
    let statement = table.newest.handle
    defer { sqlite3_reset(statement) }
    switch sqlite3_step(statement) {
    case SQLITE_ROW where sqlite3_column_type(statement, 0) == SQLITE_INTEGER:
      return sqlite3_column_int64(statement, 0)
    case SQLITE_ROW, SQLITE_DONE: return nil
    default: throw .database(table.connection.failure("read the signals of"))
    }
  }

  /// - Returns: whether there were rows.
  private func select(_ table: Table, through time: Int64) throws(SignalStoreError) -> Bool {
    let statement = table.select.handle
    defer { sqlite3_reset(statement) }
    let last = last
    sqlite3_bind_int64(statement, 1, last.time)
    // SQLITE_TRANSIENT: the text is copied.
    let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    sqlite3_bind_text(statement, 2, last.signalID, -1, transient)
    sqlite3_bind_int64(statement, 3, time)
    // A chunk of the newest time is not limited: its position does not move.
    sqlite3_bind_int64(statement, 4, chunkIsComplete ? Int64(TableFeed.chunkRowsMax) : -1)
    var entries: [Entry] = []
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW:
        let isWanted =
          !confirmedOnly || sqlite3_column_int64(statement, Int32(SignalColumn.confirm.rawValue)) == 1
        entries.append(
          Entry(
            time: sqlite3_column_int64(statement, Int32(SignalColumn.recvNs.rawValue)),
            signalID: table.select.text(.signalID),
            row: isWanted ? try table.select.row(path: path) : nil))
      case SQLITE_DONE:
        mayHaveMore = chunkIsComplete && entries.count == TableFeed.chunkRowsMax
        chunk = entries.reversed()
        return !entries.isEmpty
      default: throw .database(table.connection.failure("read the signals of"))
      }
    }
  }

  // MARK: Opening

  /// Opens the file when it is there, and again when one that stood still has begun to change.
  private func refresh() throws(SignalStoreError) {
    if let still = table?.still, Files.exists(path + "-wal") || fileState() != still { table = nil }
    guard table == nil, let state = fileState(), state.bytes > 0 else { return }
    let isStill = !Files.exists(path + "-wal")
    let opened: Table
    do throws(SQLiteError) {
      let connection = try SQLiteConnection(path, .read, busyTimeoutMs: 1000)
      let found = try connection.text(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'signals'")
      guard found != nil else { return }
      opened = try Table(connection, still: isStill ? state : nil)
    } catch {
      throw .database(error)
    }
    try SQLiteSink.checkSchema(opened.connection)
    table = opened
  }

  private func fileState() -> FileState? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return FileState(
      inode: UInt(status.st_ino), bytes: Int(status.st_size),
      changedNs: Int64(status.st_mtim.tv_sec) * Nanoseconds.second + Int64(status.st_mtim.tv_nsec))
  }
}
