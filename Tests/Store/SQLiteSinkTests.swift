import Core
import Glibc
import Store
import Strategy
import Testing

@Suite("SQLite sink")
struct SQLiteSinkTests {
  let folder = TemporaryFolder()
  var database: String { SignalFiles.database(folder.path) }

  func write(
    _ signals: [Signal], batch: Int = 1000, full: Bool = false
  ) throws -> (written: Int, duplicates: Int) {
    var sink = try SQLiteSink(
      runFolder: folder.path, synchronous: full ? .full : .normal, batchRowsMax: batch, busyTimeoutMs: 50)
    var row = SignalRow(SignalSamples.context())
    for signal in signals {
      row.encode(signal)
      try sink.append(row)
    }
    try sink.finish()
    return (sink.rowsWritten, sink.duplicatesIgnored)
  }

  func samples(_ count: Int, seed: UInt64 = 41) -> [Signal] {
    var random = SeededRandom(seed: seed)
    return SignalSamples.random(&random, count: count)
  }

  func count() throws -> String? {
    try SQLiteConnection(database, .read).text("SELECT count(*) FROM signals")
  }

  @Test(arguments: [(1, false), (7, true), (1000, false)]) func batches(_ batch: Int, _ full: Bool) throws {
    let result = try write(samples(100), batch: batch, full: full)
    #expect(result.written == 100 && result.duplicates == 0)
    #expect(try count() == "100")
  }

  @Test func sameRowsTwice() throws {
    let rows = samples(100)
    let first = try write(rows + rows, batch: 30)
    #expect(first.written == 100 && first.duplicates == 100)
    let again = try write(rows)
    #expect(again.written == 0 && again.duplicates == 100)
  }

  @Test func anUnfinishedBatchComesAgain() throws {
    let rows = samples(50)
    do {
      var sink = try SQLiteSink(runFolder: folder.path, batchRowsMax: 20)
      var row = SignalRow(SignalSamples.context())
      for signal in rows {
        row.encode(signal)
        try sink.append(row)
      }
      #expect(sink.rowsWritten == 40)
    }
    #expect(try count() == "40")
    #expect(try write(rows).duplicates == 40)
    #expect(try count() == "50")
  }

  @Test func typesAndTables() throws {
    _ = try write([SignalSamples.plain()])
    let connection = try SQLiteConnection(database, .read)
    #expect(try connection.text("SELECT value FROM meta WHERE key = 'schema_version'") == "1")
    #expect(
      try connection.text(
        """
        SELECT typeof(signal_id) || typeof(ts_ms) || typeof(score) || typeof(lag_ms) || typeof(dispersion)
          || typeof(confirm) || confirm || gating || shadow || quality_flags FROM signals
        """) == "textintegerrealrealnullinteger100")
    // Reading a finished run leaves nothing beside it.
    #expect(!Files.exists(database + "-wal") && !Files.exists(database + "-shm"))
    let writing = try SQLiteConnection(database, .write)
    #expect(try writing.text("PRAGMA journal_mode") == "wal")
  }

  @Test func lastTimeIsTheNewest() throws {
    let rows = samples(30)
    _ = try write(rows)
    let sink = try SQLiteSink(runFolder: folder.path)
    #expect(try sink.lastReceiveTime() == rows.map(\.receiveTime).max())
  }

  @Test func errorsNameTheRemedy() throws {
    _ = try write(samples(10))
    let holder = try SQLiteConnection(database, .write)
    try holder.execute("BEGIN EXCLUSIVE")
    let locked = failureText { _ = try write(samples(10)) }
    #expect(locked.contains(database) && locked.contains("another program holds it"), "\(locked)")
    try holder.execute("ROLLBACK")

    try holder.execute("UPDATE meta SET value = '99'")
    #expect(failureText { _ = try write([]) }.contains("schema version 99"))
    try holder.execute("UPDATE meta SET value = '1'; ALTER TABLE signals ADD COLUMN more TEXT")
    #expect(failureText { _ = try write([]) }.contains("new run folder"))
  }

  @Test func notADatabase() throws {
    try Files.writeAtomically(database, String(repeating: "no database ", count: 100))
    #expect(failureText { _ = try write([]) }.contains("move it away and replay"))
  }

  @Test func aFullDatabase() throws {
    _ = try write(samples(10))
    let seen = failureText {
      var sink = try SQLiteSink(runFolder: folder.path, batchRowsMax: 100)
      try sink.limitPages(20)
      var row = SignalRow(SignalSamples.context())
      for signal in samples(2000) {
        row.encode(signal)
        try sink.append(row)
      }
    }
    #expect(seen.contains("free some space"), "\(seen)")
    // What is there is whole batches and can be read.
    let rows = Int(try count() ?? "") ?? 0
    #expect(rows >= 10 && rows % 10 == 0)
  }

  @Test func aWrongTypeIsNamed() throws {
    _ = try write([SignalSamples.plain()])
    try SQLiteConnection(database, .write).execute("UPDATE signals SET score = 'much'")
    #expect(
      failureText {
        var reader = try SQLiteReader(runFolder: folder.path)
        _ = try reader.next()
      }.contains("column score"))
  }
}
