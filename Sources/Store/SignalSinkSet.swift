import Core
import Strategy

/// Where a run's signals go: JSON lines, a database, or both, with one hash over all of them.
///
/// A consumer of the tape may die at any row, between its two outputs or within one. Nothing is coordinated
/// between the sinks; instead each is idempotent on its own (``JSONLSink`` knows each symbol's last row,
/// ``SQLiteSink`` the primary key) and the tape is replayed from ``resumeTime()`` or earlier. Both then end
/// with exactly the rows of an uninterrupted run. The row is rendered once (``SignalRow``), whatever the
/// sinks.
///
/// `signalsSHA256` covers the canonical JSON lines of every row that was *given*, dropped repeats included:
/// over a full replay it depends on tape, configuration and code only, not on the sinks, nor on how often the
/// run was interrupted before.
public struct SignalSinkSet: ~Copyable {
  /// The choices of `--sink`.
  public enum Choice: String, CaseIterable, Sendable {
    case jsonl, sqlite, dual

    public var hasJSONL: Bool { self != .sqlite }
    public var hasSQLite: Bool { self != .jsonl }
  }

  public struct Options: Sendable {
    public var syncPolicy = JSONLSink.SyncPolicy.none
    public var synchronous = SQLiteSink.Synchronous.normal
    public var sqliteBatchRowsMax = 1000
    public var sqliteBusyTimeoutMs = 5000

    public init() {}
  }

  public struct Counts: Equatable, Sendable {
    public var rowsAppended = 0
    public var jsonlRowsWritten = 0
    public var jsonlDuplicatesIgnored = 0
    public var sqliteRowsWritten = 0
    public var sqliteDuplicatesIgnored = 0
  }

  public let choice: Choice
  var row: SignalRow
  var hash = RowHash()
  var jsonl: JSONLSink?
  var sqlite: SQLiteSink?
  var rowsAppended = 0
  /// Of the last row before a checkpoint that was resumed.
  var resumedSignalID: String?

  /// Opens the chosen sinks in a run folder, continuing what is there.
  ///
  /// - Throws: ``SignalStoreError``
  public init(
    _ choice: Choice, runFolder: String, context: SignalContext, options: Options = Options()
  ) throws(SignalStoreError) {
    try self.init(choice, runFolder: runFolder, context: context, options: options, from: nil)
  }

  init(
    _ choice: Choice, runFolder: String, context: SignalContext, options: Options,
    from place: JSONLSink.Place?
  ) throws(SignalStoreError) {
    self.choice = choice
    row = SignalRow(context)
    jsonl = nil
    sqlite = nil
    if choice.hasJSONL {
      jsonl = try JSONLSink(runFolder: runFolder, syncPolicy: options.syncPolicy, from: place)
    }
    if choice.hasSQLite {
      sqlite = try SQLiteSink(
        runFolder: runFolder, synchronous: options.synchronous, batchRowsMax: options.sqliteBatchRowsMax,
        busyTimeoutMs: options.sqliteBusyTimeoutMs)
    }
  }

  /// Takes over the names that a growing symbol table gained; before the first row of a new symbol.
  public mutating func register(_ symbols: SymbolTable) {
    if symbols.count != row.symbols.count { row.register(symbols) }
  }

  /// Writes one row, in tape order.
  ///
  /// - Precondition: the signal's symbol is in the context's table or was registered.
  public mutating func append(_ signal: Signal) throws(SignalStoreError) {
    row.encode(signal)
    hash.append(row.line)
    try jsonl?.append(row)
    try sqlite?.append(row)
    rowsAppended += 1
  }

  public mutating func flush() throws(SignalStoreError) {
    try jsonl?.flush()
    try sqlite?.flush()
  }

  /// Flushes, gives the open file its final name and closes the database's log.
  public mutating func finish() throws(SignalStoreError) {
    try jsonl?.finish()
    try sqlite?.finish()
  }

  public var counts: Counts {
    var counts = Counts(rowsAppended: rowsAppended)
    switch jsonl {
    case .some(let sink):
      counts.jsonlRowsWritten = sink.rowsWritten
      counts.jsonlDuplicatesIgnored = sink.duplicatesIgnored
    case .none: break
    }
    switch sqlite {
    case .some(let sink):
      counts.sqliteRowsWritten = sink.rowsWritten
      counts.sqliteDuplicatesIgnored = sink.duplicatesIgnored
    case .none: break
    }
    return counts
  }

  /// What opening found of an interrupted run's open file.
  public var recovery: JSONLSink.Recovery? {
    switch jsonl {
    case .some(let sink): sink.recovery
    case .none: nil
    }
  }

  /// Rows from this tape time on (inclusive) have to be given again after an interruption; `nil` for all.
  ///
  /// - Complexity: O(rows) with a database; meant for the start
  public func resumeTime() throws(SignalStoreError) -> UnixNanos? {
    var times: [UnixNanos?] = []
    switch jsonl {
    case .some(let sink): times.append(sink.lastReceiveTime)
    case .none: break
    }
    switch sqlite {
    case .some(let sink): times.append(try sink.lastReceiveTime())
    case .none: break
    }
    return times.contains(nil) ? nil : times.compactMap { $0 }.min()
  }

  /// SHA-256 over the canonical JSON lines, newlines included, of all rows appended so far, in hexadecimal.
  public mutating func signalsSHA256() -> String { hash.hexadecimal() }
}
