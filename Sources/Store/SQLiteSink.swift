import CSQLite
import Core
import Strategy

/// Signal rows in `signals.sqlite`, table `signals`, in batches.
///
/// The journal is a write-ahead log: readers are never blocked, and with `synchronous` NORMAL a power cut can
/// lose the last transactions but not the database. Rows are bound from the bytes of the rendered row
/// (``SignalRow``) without a `String` in between, real columns as the double nearest to the line's text, and
/// a transaction holds up to `batchRows` of them. A row whose `signal_id` is there already is counted and
/// ignored, so a replay from an earlier position is harmless. Rows of an unfinished batch are lost with the
/// process and come again with the replay.
public struct SQLiteSink: ~Copyable {
  public enum Synchronous: Sendable {
    case normal
    /// Every batch survives a power cut.
    case full
  }

  public static let schemaVersion = "1"

  public private(set) var rowsWritten = 0
  public private(set) var duplicatesIgnored = 0

  private let connection: SQLiteConnection
  private let batchRowsMax: Int
  private let insert: SQLiteStatement
  private let begin: SQLiteStatement
  private let commit: SQLiteStatement
  private var rowsPending = 0
  private var duplicatesPending = 0
  private var isOpen = true

  /// Opens or creates a run folder's database.
  ///
  /// - Throws: ``SignalStoreError``
  public init(
    runFolder: String, synchronous: Synchronous = .normal, batchRowsMax: Int = 1000, busyTimeoutMs: Int = 5000
  ) throws(SignalStoreError) {
    precondition(batchRowsMax > 0, "a batch has at least one row")
    self.batchRowsMax = batchRowsMax
    try storing { () throws(FileError) in try Files.makeFolder(runFolder) }
    let opened = try SQLiteSink.open(SignalFiles.database(runFolder), synchronous, busyTimeoutMs)
    try SQLiteSink.checkSchema(opened)
    let inserting = try SQLiteSink.prepare(opened, SQLiteSink.insertSQL)
    let beginning = try SQLiteSink.prepare(opened, "BEGIN IMMEDIATE")
    let committing = try SQLiteSink.prepare(opened, "COMMIT")
    // All at once, after the last throw: a value that cannot be copied cannot be left half made.
    connection = opened
    insert = inserting
    begin = beginning
    commit = committing
  }

  private static func open(
    _ path: String, _ synchronous: Synchronous, _ busyTimeoutMs: Int
  ) throws(SignalStoreError) -> SQLiteConnection {
    do throws(SQLiteError) {
      let connection = try SQLiteConnection(path, .write, busyTimeoutMs: busyTimeoutMs)
      try configure(connection, synchronous)
      try createSchema(connection)
      return connection
    } catch {
      throw .database(error)
    }
  }

  private static func prepare(
    _ connection: borrowing SQLiteConnection, _ sql: String
  ) throws(SignalStoreError) -> SQLiteStatement {
    do throws(SQLiteError) {
      return try connection.prepare(sql, for: "prepare writing to")
    } catch {
      throw .database(error)
    }
  }

  // MARK: Schema

  private static func configure(
    _ connection: borrowing SQLiteConnection, _ synchronous: Synchronous
  ) throws(SQLiteError) {
    let mode = try connection.text("PRAGMA journal_mode = WAL", for: "open the database")
    guard mode == "wal" else {
      throw SQLiteError(
        operation: "open the database", path: connection.path, code: SQLITE_CANTOPEN,
        message: "the file system allows no write-ahead log")
    }
    try connection.execute("PRAGMA synchronous = \(synchronous == .full ? "FULL" : "NORMAL")")
    try connection.execute("PRAGMA wal_autocheckpoint = 4000")
    try connection.execute("PRAGMA cache_size = -2048")
  }

  /// The columns with their types, as `signals` declares them.
  static let columnsSQL: String = SignalColumn.allCases.map { column in
    let type =
      switch column.storage {
      case .text: "TEXT"
      case .integer, .boolean: "INTEGER"
      case .real: "REAL"
      }
    let constraint = column == .signalID ? " PRIMARY KEY" : ""
    return "\(column.name) \(type)\(column.isNullable ? "" : " NOT NULL")\(constraint)"
  }.joined(separator: ", ")

  static let insertSQL: String = {
    let names = Signal.columns.map { "\($0)" }.joined(separator: ", ")
    let marks = Signal.columns.map { _ in "?" }.joined(separator: ", ")
    return "INSERT INTO signals (\(names)) VALUES (\(marks)) ON CONFLICT (signal_id) DO NOTHING"
  }()

  private static func createSchema(_ connection: borrowing SQLiteConnection) throws(SQLiteError) {
    try connection.execute(
      """
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      INSERT INTO meta VALUES ('schema_version', '\(schemaVersion)') ON CONFLICT (key) DO NOTHING;
      CREATE TABLE IF NOT EXISTS signals (\(columnsSQL)) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS signals_by_time ON signals (recv_ns);
      COMMIT
      """, for: "create the tables of")
  }

  /// - Throws: ``SignalStoreError/wrongSchema(path:found:wanted:)`` for a file made by another version.
  static func checkSchema(_ connection: borrowing SQLiteConnection) throws(SignalStoreError) {
    let version: String?
    let columns: String?
    do throws(SQLiteError) {
      version = try connection.text("SELECT value FROM meta WHERE key = 'schema_version'")
      columns = try connection.text("SELECT group_concat(name) FROM pragma_table_info('signals')")
    } catch {
      throw .database(error)
    }
    guard version == schemaVersion else {
      throw .wrongSchema(
        path: connection.path, found: "schema version \(version ?? "none")",
        wanted: "version \(schemaVersion)")
    }
    let wanted = Signal.columns.map { "\($0)" }.joined(separator: ",")
    guard columns == wanted else {
      throw .wrongSchema(path: connection.path, found: "the columns \(columns ?? "none")", wanted: wanted)
    }
  }

  // MARK: Rows

  /// Adds a rendered row to the current batch.
  public mutating func append(_ row: borrowing SignalRow) throws(SignalStoreError) {
    precondition(isOpen, "the sink is finished")
    if rowsPending + duplicatesPending == 0 { try run(begin.handle, "begin a batch in") }
    for index in 0..<SignalRow.columnCount {
      let cell = row.cells[index]
      let place = Int32(truncatingIfNeeded: index &+ 1)
      switch cell.kind {
      case .null: sqlite3_bind_null(insert.handle, place)
      case .integer, .boolean: sqlite3_bind_int64(insert.handle, place, cell.units)
      case .decimal: sqlite3_bind_double(insert.handle, place, row.double(cell))
      case .text:
        // No destructor means SQLITE_STATIC: the bytes stay until the row is encoded anew, after the step.
        let start = UnsafeRawPointer(row.base + Int(cell.offset)).assumingMemoryBound(to: CChar.self)
        sqlite3_bind_text(insert.handle, place, start, cell.length, nil)
      }
    }
    try run(insert.handle, "write a row to")
    if sqlite3_changes(connection.handle) == 1 { rowsPending += 1 } else { duplicatesPending += 1 }
    if rowsPending + duplicatesPending >= batchRowsMax { try flush() }
  }

  /// Commits the current batch.
  public mutating func flush() throws(SignalStoreError) {
    if rowsPending + duplicatesPending == 0 { return }
    try run(commit.handle, "commit a batch to")
    rowsWritten += rowsPending
    duplicatesIgnored += duplicatesPending
    rowsPending = 0
    duplicatesPending = 0
  }

  /// Commits, and folds the write-ahead log into the file where no reader prevents it.
  public mutating func finish() throws(SignalStoreError) {
    if !isOpen { return }
    try flush()
    isOpen = false
    let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
    if code & 0xFF != SQLITE_OK, code & 0xFF != SQLITE_BUSY {
      throw .database(connection.failure("fold the log into"))
    }
  }

  /// The newest row's tape time; `nil` when the table is empty.
  ///
  /// - Complexity: O(rows)
  public func lastReceiveTime() throws(SignalStoreError) -> UnixNanos? {
    do throws(SQLiteError) {
      return try connection.text("SELECT max(recv_ns) FROM signals").flatMap { Int64($0) }.map {
        UnixNanos($0)
      }
    } catch {
      throw .database(error)
    }
  }

  /// Whether a row is in the table, and so, rows being committed in order, all before it.
  public func holds(_ signalID: String) throws(SignalStoreError) -> Bool {
    let quoted = signalID.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
    do throws(SQLiteError) {
      return try connection.text("SELECT 1 FROM signals WHERE signal_id = '\(quoted)'") != nil
    } catch {
      throw .database(error)
    }
  }

  /// Bounds the file, in pages of 4 KiB; a batch beyond it fails as on a full disk.
  public func limitPages(_ pagesMax: Int) throws(SignalStoreError) {
    do throws(SQLiteError) {
      try connection.execute("PRAGMA max_page_count = \(pagesMax)")
    } catch {
      throw .database(error)
    }
  }

  private mutating func run(_ statement: OpaquePointer, _ operation: String) throws(SignalStoreError) {
    let code = sqlite3_step(statement)
    if code == SQLITE_DONE {
      sqlite3_reset(statement)
      return
    }
    let error = connection.failure(operation)
    sqlite3_reset(statement)
    abandon()
    throw .database(error)
  }

  /// After an error the batch is rolled back as a whole: what is in the file is always whole batches.
  private mutating func abandon() {
    if sqlite3_get_autocommit(connection.handle) == 0 {
      sqlite3_exec(connection.handle, "ROLLBACK", nil, nil, nil)
    }
    rowsPending = 0
    duplicatesPending = 0
  }
}
