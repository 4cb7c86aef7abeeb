import Core
import Glibc
import Store
import Strategy
import Testing

@Suite("Sinks hold the same values")
struct SinkEqualityTests {
  func rowsFromJSONL(_ folder: TemporaryFolder) throws -> [StoredRow] {
    var reader = try JSONLReader(runFolder: folder.path)
    var rows: [StoredRow] = []
    while let row = try reader.next() { rows.append(row) }
    #expect(reader.linesUnreadable == 0)
    return rows
  }

  func rowsFromSQLite(_ folder: TemporaryFolder) throws -> [StoredRow] {
    var reader = try SQLiteReader(runFolder: folder.path)
    var rows: [StoredRow] = []
    while let row = try reader.next() { rows.append(row) }
    return rows
  }

  @Test(arguments: [21, 22] as [UInt64]) func randomRows(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let folder = TemporaryFolder()
    let signals = SignalSamples.random(&random, count: 5000, symbols: 3)
    let names = ["BTCUSDT", "E\"TH\\", "1000PEPEUSDT"]
    var sinks = try SignalSinkSet(.dual, runFolder: folder.path, context: SignalSamples.context(names))
    for signal in signals { try sinks.append(signal) }
    try sinks.finish()
    #expect(sinks.counts.jsonlRowsWritten == 5000 && sinks.counts.sqliteRowsWritten == 5000, "seed \(seed)")
    let jsonl = try rowsFromJSONL(folder)
    let sqlite = try rowsFromSQLite(folder)
    #expect(jsonl.count == 5000)
    var writer = ByteWriter()
    for (index, (a, b)) in zip(jsonl, sqlite).enumerated() {
      #expect(a == b, "seed \(seed), row \(index)")
      writer.removeAll()
      a.appendCanonical(to: &writer)
      let rendered = writer.string()
      writer.removeAll()
      b.appendCanonical(to: &writer)
      #expect(writer.string() == rendered, "seed \(seed), row \(index)")
    }
  }

  /// Independent reading: the text of the line, parsed by the C library.
  @Test func realsAreTheNearestDoubles() throws {
    let seed: UInt64 = 23
    var random = SeededRandom(seed: seed)
    let folder = TemporaryFolder()
    let signals = SignalSamples.random(&random, count: 2000)
    var sinks = try SignalSinkSet(.dual, runFolder: folder.path, context: SignalSamples.context())
    for signal in signals { try sinks.append(signal) }
    try sinks.finish()
    let path = try SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder(folder.path))[0]
    let text = String(decoding: try Files.read(path), as: UTF8.self)
    var byID: [String: StoredRow] = [:]
    for row in try rowsFromSQLite(folder) { byID[row.signalID] = row }
    var large = 0
    for line in text.split(separator: "\n") {
      let value = try JSONValue(parsing: String(line))
      let row = try #require(byID[value["signal_id"]?.text ?? ""])
      for column in SignalColumn.allCases where column.storage == .real {
        let expected = value["\(column.name)"]?.text.map { strtod($0, nil) }
        #expect(
          row.real(column)?.bitPattern == expected?.bitPattern, "seed \(seed), \(row.signalID) \(column)")
        if let expected, abs(expected) > 1e16 { large += 1 }
      }
    }
    #expect(large > 10, "values beyond 2^53 units were among them")
  }

  @Test(arguments: SignalSinkSet.Choice.allCases) func hashIsTheLines(_ choice: SignalSinkSet.Choice) throws {
    var random = SeededRandom(seed: 24)
    let folder = TemporaryFolder()
    let signals = SignalSamples.random(&random, count: 500)
    var sinks = try SignalSinkSet(choice, runFolder: folder.path, context: SignalSamples.context())
    var expected = RowHash()
    var row = SignalRow(SignalSamples.context())
    for signal in signals {
      try sinks.append(signal)
      row.encode(signal)
      expected.append(row.line)
    }
    try sinks.finish()
    #expect(sinks.signalsSHA256() == expected.hexadecimal())
    #expect(Files.exists(SignalFiles.database(folder.path)) == choice.hasSQLite)
    #expect(Files.isFolder(SignalFiles.jsonlFolder(folder.path)) == choice.hasJSONL)
    if choice.hasJSONL {
      var content = RowHash()
      for path in try SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder(folder.path)) {
        try Files.read(path).withUnsafeBytes { content.append($0) }
      }
      #expect(content.hexadecimal() == sinks.signalsSHA256())
    }
  }

  /// FIPS 180-2, the one-block message "abc".
  @Test func hashOfAKnownText() {
    var hash = RowHash()
    Array("abc".utf8).withUnsafeBytes { hash.append($0) }
    #expect(hash.hexadecimal() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    hash.reset()
    #expect(hash.hexadecimal().hasPrefix("e3b0c44298fc1c14"))
  }
}
