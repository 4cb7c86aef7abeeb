import CDuckDB
import Core

/// What a database may use and touch.
public struct DuckDBOptions: Sendable {
  public var threads: Int
  public var memoryMegabytesMax: Int
  /// Folders whose files statements may read and write; no others. nil: any file.
  public var folders: [String]?

  /// - Parameters:
  ///   - threads: more are faster; one keeps the order of rows for free.
  ///   - memoryMegabytesMax: beyond it a statement fails, nothing is spilled to disk.
  public init(threads: Int = 2, memoryMegabytesMax: Int = 4096, folders: [String]? = []) {
    self.threads = threads
    self.memoryMegabytesMax = memoryMegabytesMax
    self.folders = folders
  }
}

/// A database in memory with one connection: statements in, rows out.
///
/// Nothing is installed or loaded from elsewhere, and after ``lock()`` no statement can change what may be
/// touched. Not for use from several threads, except for its ``interrupter``.
public final class DuckDBDatabase {
  private var database: duckdb_database?
  private(set) var connection: duckdb_connection?
  private let options: DuckDBOptions

  /// - Throws: ``DuckDBError``
  public init(_ options: DuckDBOptions = DuckDBOptions()) throws(DuckDBError) {
    try DuckDBLibrary.require()
    self.options = options
    var config: duckdb_config?
    guard cduckdb_create_config(&config) == 0 else { throw .open(message: "out of memory") }
    defer { cduckdb_destroy_config(&config) }
    for (name, value) in [
      ("threads", "\(options.threads)"), ("memory_limit", "\(options.memoryMegabytesMax)MiB"),
      ("autoinstall_known_extensions", "false"), ("autoload_known_extensions", "false"),
      ("temp_directory", ""), ("preserve_insertion_order", "true"),
    ] {
      guard cduckdb_set_config(config, name, value) == 0 else {
        throw .open(message: "it knows no setting \(name) = \(value)")
      }
    }
    var message: UnsafeMutablePointer<CChar>?
    guard cduckdb_open_ext(nil, &database, config, &message) == 0 else {
      defer { cduckdb_free(message) }
      throw .open(message: message.map { String(cString: $0) } ?? "no reason is given")
    }
    guard cduckdb_connect(database, &connection) == 0 else {
      cduckdb_close(&database)
      throw .open(message: "it gives no connection")
    }
  }

  deinit {
    cduckdb_disconnect(&connection)
    cduckdb_close(&database)
  }

  /// From now on only the folders of the options can be touched, and no setting can be changed.
  public func lock() throws(DuckDBError) {
    if let folders = options.folders {
      // Patterns are judged as they are written, before they are matched.
      let names = folders.flatMap { [$0, SQLText.pattern(ofPath: $0)] }.map {
        $0.hasSuffix("/") ? $0 : $0 + "/"
      }
      try run("SET allowed_directories = \(SQLText.list(names))")
      try run("SET enable_external_access = false")
    }
    try run("SET lock_configuration = true")
  }

  /// Runs a statement for its effect.
  public func run(_ sql: String) throws(DuckDBError) {
    let result = try query(sql)
    while try result.next() != nil {}
  }

  /// Begins a statement; its rows come by ``DuckDBResult/next()``.
  ///
  /// One result at a time: beginning another one ends the first. Columns of nested types come as text.
  ///
  /// - Parameter sql: exactly one statement.
  /// - Throws: ``DuckDBError/statement(message:sql:)``, ``DuckDBError/interrupted(sql:)``
  public func query(_ sql: String) throws(DuckDBError) -> DuckDBResult {
    var statement = try prepare(sql)
    defer { cduckdb_destroy_prepare(&statement) }
    let columns = 0..<cduckdb_prepared_statement_column_count(statement)
    let types = columns.map { cduckdb_prepared_statement_column_type(statement, $0) }
    guard types.contains(where: { DuckDBType.isNested($0) }) else {
      return try DuckDBResult(self, statement, sql: sql)
    }
    let parts = columns.map { column in
      let name = cduckdb_prepared_statement_column_name(statement, column)
      defer { cduckdb_free(UnsafeMutableRawPointer(mutating: name)) }
      let place = "#\(column + 1)"
      return DuckDBType.isNested(types[Int(column)])
        ? "CAST(\(place) AS VARCHAR) AS \(SQLText.identifier(name.map { String(cString: $0) } ?? ""))" : place
    }
    var text = Substring(sql)
    while let last = text.last, last == ";" || last.isWhitespace { text.removeLast() }
    // A statement that ends in a comment needs the line break.
    var outer = try prepare("SELECT \(parts.joined(separator: ", ")) FROM (\(text)\n)")
    defer { cduckdb_destroy_prepare(&outer) }
    return try DuckDBResult(self, outer, sql: sql)
  }

  private func prepare(_ sql: String) throws(DuckDBError) -> duckdb_prepared_statement? {
    var statement: duckdb_prepared_statement?
    if cduckdb_prepare(connection, sql, &statement) == 0 { return statement }
    defer { cduckdb_destroy_prepare(&statement) }
    let message = cduckdb_prepare_error(statement).map { String(cString: $0) }
    throw DuckDBError(message ?? "it is no statement", sql: sql)
  }

  /// The first column of the first row; nil when there is no row.
  public func value(_ sql: String) throws(DuckDBError) -> DuckDBValue? {
    let result = try query(sql)
    var value: DuckDBValue?
    while let chunk = try result.next() {
      if value == nil, chunk.rowCount > 0 { value = chunk.value(row: 0, column: 0) }
    }
    return value
  }

  /// All rows; for answers known to be small.
  public func rows(_ sql: String) throws(DuckDBError) -> [[DuckDBValue]] {
    let result = try query(sql)
    var rows: [[DuckDBValue]] = []
    while let chunk = try result.next() {
      for row in 0..<chunk.rowCount {
        rows.append(result.columns.indices.map { chunk.value(row: row, column: $0) })
      }
    }
    return rows
  }

  // MARK: Stopping

  /// Stops statements, from any thread.
  public var interrupter: DuckDBInterrupter { DuckDBInterrupter(self) }

  func interrupt() { cduckdb_interrupt(connection) }

  /// While the closure runs, SIGINT stops the statement instead of ending the process.
  public func withInterruptBySignal<Value>(_ body: () throws -> Value) rethrows -> Value {
    cduckdb_interrupt_by_sigint(connection)
    defer { cduckdb_interrupt_by_sigint(nil) }
    return try body()
  }
}

/// Stops what a database is doing.
///
/// Unchecked: it keeps the database alive, reads a pointer that never changes until the database ends, and
/// calls only `duckdb_interrupt`, which stores to an atomic flag.
public struct DuckDBInterrupter: @unchecked Sendable {
  private let database: DuckDBDatabase

  init(_ database: DuckDBDatabase) { self.database = database }

  public func interrupt() { database.interrupt() }
}
