import Core
import DuckDB
import Foundation
import Tables
import Tape
import Testing

private let binary = ProcessInfo.processInfo.environment["WEIR_BINARY"]
private let data = ProcessInfo.processInfo.environment["WEIR_DATA"] ?? "../shared/data"
private let recording = data + "/spot_nexo_20240723"

@Suite(
  "SQL and validation end to end",
  .enabled(if: binary != nil, "WEIR_BINARY names no binary; run make test"),
  .enabled(if: DuckDBLibrary.problem == nil, "DuckDB is not here; run make setup"))
struct StorageSQLTests {
  /// A seeded market of two symbols over an hour's turn, converted.
  private func converted(_ scratch: Scratch) throws -> (tape: String, tables: String) {
    let tape = scratch.path + "/tape"
    let tables = scratch.path + "/parquet"
    #expect(
      try weir(
        "venue", "generate", "--out", tape, "--minutes", "2", "--symbols", "BTCUSDT,ETHUSDT", "--seed", "3"
      )
      .code == 0)
    let outcome = try weir("convert", tape, "--out", tables, "--json")
    #expect(outcome.code == 0, "\(outcome.error)")
    return (tape, tables)
  }

  @Test func aConversionIsProvenAndADamagedOneIsNot() throws {
    let scratch = Scratch()
    let (tape, tables) = try converted(scratch)
    let good = try weir("validate", tape, tables, "--json")
    #expect(good.code == 0, "\(good.output) \(good.error)")
    #expect(good.json["match"]?.boolean == true)
    #expect(good.json["hash_equal"]?.boolean == true)
    #expect(good.json["rows_tape"] == good.json["rows_parquet"])
    #expect((good.json["rows_tape"]?["depth"]?.integer ?? 0) > 100)
    #expect(good.json["missing_fields"]?.elements?.isEmpty == true)
    #expect(good.json["schema_version"]?.integer == 1)

    let record = try Files.list(tables + "/_conversion").first { $0.hasSuffix(".json") }!
    let json = try JSONValue(
      parsing: String(decoding: Files.read("\(tables)/_conversion/\(record)"), as: UTF8.self))
    let path = try #require(json["files"]?.elements?.first { $0["kind"]?.text == "trade" }?["path"]?.text)
    var bytes = try Files.read("\(tables)/\(path)")
    bytes[bytes.count / 3] ^= 4
    try bytes.withUnsafeBytes { try Files.writeAtomically("\(tables)/\(path)", $0) }
    let bad = try weir("validate", tape, tables, "--json")
    #expect(bad.code == 1)
    #expect(bad.json["match"]?.boolean == false)
    #expect(bad.json["differences"]?[0]?["file"]?.text == path)
    #expect(try weir("validate", tape, tables).output.contains("NO MATCH"))
    #expect(try weir("validate", tape, scratch.path + "/nothing").code == 2)
    #expect(try weir("validate", scratch.path + "/nothing", tables).code != 0)
  }

  @Test func statementsAreAnsweredInEachFormat() throws {
    let scratch = Scratch()
    let (tape, tables) = try converted(scratch)
    let sql = "SELECT symbol, count(*) AS n, NULL AS nothing FROM trades GROUP BY symbol ORDER BY symbol"
    let csv = try weir("sql", "--data", tables, sql)
    #expect(csv.code == 0, "\(csv.error)")
    let lines = csv.output.split(separator: "\n")
    #expect(lines.count == 3 && lines[0] == "symbol,n,nothing" && lines[1].hasPrefix("BTCUSDT,"))
    #expect(try weir("sql", "--tape", tape, sql).output == csv.output)
    let json = try JSONValue(parsing: try weir("sql", "--data", tables, sql, "--json").output)
    #expect(
      json.elements?.count == 2 && json[1]?["symbol"]?.text == "ETHUSDT" && json[0]?["nothing"] == .null)
    #expect(try weir("sql", "--data", tables, sql, "--format", "table").output.hasPrefix("symbol "))
    for query in StandardQuery.allCases {
      let converted = try weir("sql", "--data", tables, "--query", query.name)
      #expect(converted.code == 0, "\(query): \(converted.error)")
      #expect(try weir("sql", "--tape", tape, "--query", query.name).output == converted.output)
    }
  }

  @Test func errorsSayWhatIsWrong() throws {
    let scratch = Scratch()
    let (_, tables) = try converted(scratch)
    let wrong = try weir("sql", "--data", tables, "SELECT bogus FROM trades")
    #expect(wrong.code == 2)
    #expect(wrong.error.contains("bogus") && wrong.error.contains("LINE 1") && wrong.error.contains("^"))
    #expect(try weir("sql", "--data", tables, "SELECT * FROM read_csv('/etc/passwd')").code == 2)
    #expect(try weir("sql", "--data", tables).code == 2)
    #expect(try weir("sql", "SELECT 1").code == 2)
    #expect(try weir("sql", "--data", scratch.path + "/none", "SELECT 1").code == 2)
    #expect(try weir("sql", "--data", tables, "--tape", tables, "SELECT 1").code == 2)
    let absent = try weir(
      "sql", "--data", tables, "SELECT 1",
      environment: ["WEIR_DUCKDB_LIBRARY": scratch.path + "/libduckdb.so"])
    #expect(absent.code == 2)
    #expect(absent.error.contains("run make setup"))
  }

  @Test func aRunIsAskedAndItsReportSaysTheMarket() throws {
    let scratch = Scratch()
    let (tape, tables) = try converted(scratch)
    let run = scratch.path + "/run"
    #expect(
      try weir("replay", tape, "--out", run, "--sink", "jsonl", "--set", "flow.warmup_ms=15000").code == 0)
    let rows = try weir("sql", "--run", run, "SELECT count(*) AS n, count(DISTINCT symbol) AS s FROM signals")
    #expect(rows.code == 0, "\(rows.error)")
    let written = try Files.list(run + "/signals/jsonl").reduce(0) {
      $0 + (try Files.read("\(run)/signals/jsonl/\($1)")).count { $0 == 0x0A }
    }
    #expect(rows.output == "n,s\n\(written),2\n")
    #expect(try weir("sql", "--run", run, "SELECT * FROM orders").output.hasPrefix("order_id,"))
    let outcome = try weir("report", "--run", run, "--data", tables)
    #expect(outcome.code == 0, "\(outcome.error)")
    let report = try #require(
      Files.list(run + "/reports/jsonl").first { $0.hasPrefix("summary_") && $0.hasSuffix(".json") })
    let json = try JSONValue(
      parsing: String(decoding: Files.read("\(run)/reports/jsonl/\(report)"), as: UTF8.self))
    let section = json["sections"]?["Market by SQL"]
    #expect((section?["totals"]?["BTCUSDT"]?["trade_count"]?.integer ?? 0) > 0)
    #expect(section?["busiest minutes"]?.members?.isEmpty == false)
  }

  @Test(.enabled(if: Files.isFolder(recording), "no recordings (set WEIR_DATA)"))
  func barsOfARecordingEqualTheStreamingOnes() throws {
    let scratch = Scratch()
    let tape = scratch.path + "/tape"
    let tables = scratch.path + "/parquet"
    let files = try Files.list(recording).filter { $0.hasSuffix(".gz") }.map { "\(recording)/\($0)" }
    try #require(!files.isEmpty)
    let imported = try weir(words: ["import", "--out", tape] + files)
    #expect(imported.code == 0, "\(imported.error)")
    #expect(try weir("convert", tape, "--out", tables).code == 0)
    #expect(try weir("validate", tape, tables).code == 0)

    var builders = [BarBuilder(widthNs: Nanoseconds.second), BarBuilder(widthNs: Nanoseconds.minute)]
    for segment in try Tape.segments(tape) {
      var reader = try TapeSegmentReader(segment, hashes: false)
      var projection = TapeProjection(grouping: .bySymbol)
      while let block = try reader.nextBlock() {
        projection.take(block)
        for batch in projection.batches {
          for index in builders.indices { builders[index].add(batch) }
          batch.removeAll()
        }
      }
    }
    for (builder, view) in zip(builders, ["bars_1s", "bars_1m"]) {
      let sql =
        "SELECT symbol, start_ns, open, high, low, close, trades, volume, buy_volume, sell_volume, cvd, quotes, ofi "
        + "FROM \(view) ORDER BY symbol, start_ns"
      let outcome = try weir("sql", "--data", tables, sql)
      let expected = builder.result.map(StorageSQLTests.line)
      let found = outcome.output.split(separator: "\n").dropFirst().map(String.init)
      #expect(found.count > 100)
      #expect(found.count == expected.count)
      #expect(Bool(found == expected), "\(view)")
    }
  }

  /// A bar as `weir sql` prints it.
  private static func line(_ bar: Bar) -> String {
    func decimal(_ units: Int128) -> String {
      let digits = String(units.magnitude)
      let padded = String(repeating: "0", count: max(0, 9 - digits.count)) + digits
      return "\(units < 0 ? "-" : "")\(padded.dropLast(8)).\(padded.suffix(8))"
    }
    func price(_ units: Int64?) -> String { units.map { decimal(Int128($0)) } ?? "" }
    return [
      bar.symbol, "\(bar.startNs)", price(bar.open), price(bar.high), price(bar.low), price(bar.close),
      "\(bar.trades)", decimal(bar.volume), decimal(bar.buyVolume), decimal(bar.sellVolume), decimal(bar.cvd),
      "\(bar.quotes)", decimal(bar.ofi),
    ].joined(separator: ",")
  }
}

/// See ``weir(_:environment:)``.
private func weir(words: [String]) throws -> (code: Int32, error: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: try #require(binary))
  process.arguments = words
  let error = Pipe()
  process.standardOutput = FileHandle.nullDevice
  process.standardError = error
  process.standardInput = FileHandle.nullDevice
  try process.run()
  let complaint = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return (process.terminationStatus, complaint)
}
