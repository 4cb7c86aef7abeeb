import Core
import Report
import Store
import Strategy
import Testing

@Suite("Sink parity")
struct ParityTests {
  let folder = TemporaryFolder()
  var path: String { SignalFiles.jsonlFolder(folder.path) + "/signals-2024-07-18T23.jsonl" }

  /// 100 seconds of two symbols: 800 rows, all within one hour.
  func record() throws {
    let context = SignalContext(symbols: ReportSamples.symbols(), configVersion: "0123456789ab")
    var sinks = try SignalSinkSet(.dual, runFolder: folder.path, context: context)
    for signal in ReportSamples.market(seed: 61, seconds: 100) { try sinks.append(signal) }
    try sinks.finish()
  }

  func plant(_ change: (inout [String]) -> Void) throws -> ParityReport {
    try record()
    var lines = String(decoding: try Files.read(path), as: UTF8.self).split(separator: "\n").map { "\($0)\n" }
    #expect(lines.count == 800)
    change(&lines)
    try Files.writeAtomically(path, lines.joined())
    return try compareSinks(runFolder: folder.path)
  }

  func id(_ line: String) -> String { String(line.dropFirst(14).prefix { $0 != "\"" }) }

  @Test func equalSinks() throws {
    let report = try plant { _ in }
    #expect(report.isExact && report.verdict == .pass && report.differenceRatio == 0)
    #expect(report.jsonl == report.sqlite && report.jsonl.total == 800)
    #expect(report.jsonl.confirmed > 0 && report.jsonl.strong > 0)
    #expect(report.jsonlHash == report.sqliteHash && report.jsonlHash.utf8.count == 64)
    #expect(
      report.minutes.map(\.jsonl.total) == [480, 320] && report.minutes.map(\.sqlite.total) == [480, 320])
    let json = try JSONValue(parsing: try Files.read(folder.path + "/parity_diff.json").text)
    #expect(json["pass"] == .bool(true) && json["exact"] == .bool(true))
    #expect(json["difference_ratio"]?.text == "0")
    #expect(json["jsonl"]?["total"]?.integer == 800)
    #expect(json["first_difference"] == .null)
    #expect(json["per_minute"]?[0]?["minute"]?.text == "2024-07-18T23:57Z")
  }

  @Test func aMissingRow() throws {
    var missing = ""
    let report = try plant { missing = id($0.remove(at: 400)) }
    #expect(report.rowsOnlySQLite == 1 && report.rowsOnlyJSONL == 0 && report.rowsDifferent == 0)
    #expect(report.firstDifference?.signalID == missing && report.firstDifference?.column == "signal_id")
    #expect(report.firstDifference?.jsonl == .null && report.firstDifference?.jsonlHash == nil)
    #expect(report.verdict == .pass && !report.isExact)
    #expect(report.differenceRatio == 1.0 / 800)
  }

  @Test func aRowOnlyInTheLines() throws {
    try record()
    try SQLiteConnection(SignalFiles.database(folder.path), .write).execute(
      "DELETE FROM signals WHERE symbol = 'BTCUSDT'")
    let report = try compareSinks(runFolder: folder.path)
    #expect(report.rowsOnlyJSONL == 400 && report.verdict == .fail && report.differenceRatio == 0.5)
  }

  @Test(arguments: ["price", "cvd", "score", "recv_ns", "confirm", "trace_id"])
  func aChangedLastDigit(_ column: String) throws {
    var changed = ""
    let report = try plant { lines in
      changed = id(lines[123])
      lines[123] = ParityTests.change(lines[123], column)
    }
    if column == "recv_ns" {
      // Time is the order of the rows: another time is another row.
      #expect(report.rowsOnlyJSONL == 1 && report.rowsOnlySQLite == 1)
    } else {
      #expect(report.rowsDifferent == 1 && report.rowsOnlyJSONL == 0 && report.rowsOnlySQLite == 0)
      #expect(report.firstDifference?.column == column)
      #expect(report.firstDifference?.jsonl != report.firstDifference?.sqlite)
      #expect(report.firstDifference?.jsonlHash != report.firstDifference?.sqliteHash)
    }
    #expect(report.firstDifference?.signalID == changed)
    #expect(!report.isExact && report.jsonlHash != report.sqliteHash)
  }

  /// Changes the last character of a column's value.
  static func change(_ line: String, _ column: String) -> String {
    var bytes = Array(line.utf8)
    let key = Array("\"\(column)\":".utf8)
    let start = bytes.indices.first { bytes[$0...].starts(with: key) }! + key.count
    if bytes[start] == 0x74 || bytes[start] == 0x66 {
      let isTrue = bytes[start] == 0x74
      bytes.replaceSubrange(start..<start + (isTrue ? 4 : 5), with: Array((isTrue ? "false" : "true").utf8))
      return String(decoding: bytes, as: UTF8.self)
    }
    var end = start + 1
    while bytes[end] != 0x2C, bytes[end] != 0x22, bytes[end] != 0x7D { end += 1 }
    bytes[end - 1] = bytes[end - 1] == 0x31 ? 0x32 : 0x31
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func aDoubledLine() throws {
    let report = try plant { $0.insert($0[10], at: 11) }
    #expect(report.rowsDuplicatedJSONL == 1 && report.rowsOnlyJSONL == 0 && report.rowsDifferent == 0)
    #expect(report.jsonl.total == 801 && !report.isExact && report.differenceRatio > 0)
    #expect(report.firstDifference?.jsonl.text?.hasSuffix("(again)") == true)
  }

  @Test func aTornLine() throws {
    let report = try plant { $0[799] = String($0[799].prefix(100)) }
    #expect(report.linesUnreadableJSONL == 1 && report.rowsOnlySQLite == 1)
    #expect(report.firstBadLine == "signals-2024-07-18T23.jsonl:800: the last line has no end")
    #expect(!report.isExact)
  }

  @Test func swappedLines() throws {
    let report = try plant { $0.swapAt(100, 140) }
    #expect(report.rowsOutOfOrderJSONL > 0 && report.differenceRatio == 0)
    #expect(report.verdict == .pass && !report.isExact)
  }

  @Test func oneSinkOnly() throws {
    let context = SignalContext(symbols: ReportSamples.symbols(), configVersion: "c")
    var sinks = try SignalSinkSet(.jsonl, runFolder: folder.path, context: context)
    try sinks.append(ReportSamples.signal())
    try sinks.finish()
    #expect(throws: ParityError.missingSink(runFolder: folder.path, missing: "signals.sqlite")) {
      _ = try compareSinks(runFolder: folder.path)
    }
    let other = TemporaryFolder()
    var database = try SignalSinkSet(.sqlite, runFolder: other.path, context: context)
    try database.finish()
    let expected = ParityError.missingSink(runFolder: other.path, missing: "signals/jsonl")
    #expect(throws: expected) { _ = try compareSinks(runFolder: other.path) }
    #expect(expected.description.contains("needs --sink dual"))
  }

  @Test func nothingToCompare() throws {
    let context = SignalContext(symbols: ReportSamples.symbols(), configVersion: "c")
    var sinks = try SignalSinkSet(.dual, runFolder: folder.path, context: context)
    try sinks.finish()
    let report = try compareSinks(runFolder: folder.path)
    #expect(report.verdict == .inconclusive && !report.isExact)
    #expect(report.json["pass"] == .bool(false))
  }
}

extension Array<UInt8> {
  var text: String { String(decoding: self, as: UTF8.self) }
}
