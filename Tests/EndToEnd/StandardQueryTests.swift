import Core
import DuckDB
import Foundation
import ProcessKit
import Tables
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// The reports' questions have one answer, whichever database is asked.
@Suite(
  "Reports' questions on DuckDB and ClickHouse",
  .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"),
  .enabled(if: DuckDBLibrary.problem == nil, "DuckDB is not here; run make setup"),
  .enabled(if: RealServer.chdbPython != nil, "chdb is not here; run scripts/peers.sh"))
struct StandardQueryTests {
  /// Fields of CSV as values: the databases write decimals with and without trailing zeros.
  private func values(_ csv: String) -> [[String]] {
    csv.split(separator: "\n").map { line in
      line.split(separator: ",", omittingEmptySubsequences: false).map { field in
        let text = field.filter { $0 != "\"" }
        if text == "\\N" { return "" }
        guard text.contains("."), text.allSatisfy({ $0.isNumber || $0 == "." || $0 == "-" }) else {
          return String(text)
        }
        let short = text.reversed().drop { $0 == "0" }.drop { $0 == "." }.reversed()
        return short.isEmpty ? "0" : String(short)
      }
    }
  }

  @Test func answersAreEqual() throws {
    let scratch = Scratch()
    let (tape, tables) = (scratch.path + "/tape", scratch.path + "/parquet")
    let server = try RealServer.chdb(data: scratch.path + "/data")
    defer { server.stop() }
    let made = try weir(
      "venue", "generate", "--out", tape, "--minutes", "3", "--symbols", "BTCUSDT,ETHUSDT", "--seed", "9")
    #expect(made.code == 0, "\(made.error)")
    let converted = try weir("convert", tape, "--out", tables)
    #expect(converted.code == 0, "\(converted.error)")
    let prepared = try weir("clickhouse", "init", "--url", server.url)
    #expect(prepared.code == 0, "\(prepared.error)")
    let loaded = try weir("clickhouse", "load", tape, "--url", server.url, "--json")
    #expect(loaded.code == 0, "\(loaded.error)")
    // The run's signals are not among the tables that are loaded.
    for query in StandardQuery.allCases where query != .signalTiers {
      let duck = try weir("sql", "--data", tables, "--query", query.name, "--format", "csv")
      #expect(duck.code == 0, "\(query.name) \(duck.error)")
      let click = try server.request(
        "POST", "/?database=weir", body: query.sql + "\nFORMAT CSVWithNames")
      let (ours, theirs) = (values(duck.output), values(click.body))
      #expect(ours.count > 1, "\(query.name)")
      #expect(ours == theirs, "\(query.name)")
    }
  }
}
