import Core
import Foundation
import Tables
import Testing

@testable import DuckDB

@Suite("SQL over market data", .enabled(if: duckDBIsHere, duckDBReason))
struct MarketDatabaseTests {
  private static let lines = MarketDatabase.Lines(
    view: "signals",
    columns: [
      ("signal_id", "VARCHAR"), ("ts_ms", "BIGINT"), ("symbol", "VARCHAR"), ("signal_type", "VARCHAR"),
      ("confirm", "BOOLEAN"), ("score", "DOUBLE"),
    ], key: "signal_id", files: [])

  @Test(arguments: [("bars_1s", Nanoseconds.second), ("bars_1m", Nanoseconds.minute)])
  func barsEqualTheStreamingOnes(_ view: String, _ widthNs: Int64) throws {
    let fixture = try ConversionFixture(seed: 5, steps: 300)
    let streamed = try fixture.bars(widthNs: widthNs)
    #expect(streamed.count > 20)
    for source in [MarketDatabase.Source.parquet(folder: fixture.tables), .tape(folder: fixture.tape)] {
      let market = try MarketDatabase(source)
      let found = try market.database.bars(view)
      #expect(found.count == streamed.count)
      #expect(Bar.digest(found) == Bar.digest(streamed), "\(source)")
    }
  }

  /// Recordings: `WEIR_TAPES` names folders with tapes, apart by colons.
  private static let tapes = (ProcessInfo.processInfo.environment["WEIR_TAPES"] ?? "").split(separator: ":")
    .map(String.init)

  @Test(.enabled(if: !tapes.isEmpty, "WEIR_TAPES names no tapes"), arguments: tapes)
  func barsOfRecordingsEqualTheStreamingOnes(_ tape: String) throws {
    let market = try MarketDatabase(.tape(folder: tape), question: "bars_")
    for (view, widthNs) in MarketViews.widths {
      let streamed = try streamedBars(tape: tape, widthNs: widthNs)
      let found = try market.database.bars(view)
      #expect(found.count == streamed.count)
      #expect(Bar.digest(found) == Bar.digest(streamed), "\(view)")
    }
  }

  @Test func tablesOfATapeAndOfItsConversionAreTheSame() throws {
    let fixture = try ConversionFixture(seed: 6)
    let converted = try MarketDatabase(.parquet(folder: fixture.folder.path)).database
    let direct = try MarketDatabase(.tape(folder: fixture.tape)).database
    for kind in TableKind.allCases {
      let order = kind == .depth || kind == .snapshot ? "seq, side, price, quantity" : "ALL"
      let sql = "SELECT * FROM \(kind.name) ORDER BY \(order)"
      #expect(try converted.rows(sql) == direct.rows(sql), "\(kind)")
    }
    #expect(try converted.value("SELECT count(*) FROM trades") == .integer(366))
    #expect(try converted.value("SELECT count(*) FROM trade WHERE kind = 'duplicate'") == .integer(6))
    #expect(
      try converted.value("SELECT count(*) FROM book_tops WHERE ofi IS NULL") == .integer(2),
      "the first of each")
    #expect(
      try converted.value("SELECT bool_and(mid * 2 = bid_price + ask_price) FROM book_tops") == .boolean(true)
    )
  }

  @Test(arguments: StandardQuery.allCases)
  func standardQuestionsAreAnswered(_ query: StandardQuery) throws {
    let fixture = try ConversionFixture(seed: 7)
    let folder = fixture.folder.path + "/run"
    try Files.makeFolder(folder)
    var lines = MarketDatabaseTests.lines
    lines.files = [folder + "/signals.jsonl", folder + "/more.jsonl.part"]
    let row =
      #"{"signal_id":"a","ts_ms":5,"symbol":"BTCUSDT","signal_type":"strong","confirm":true,"score":null}"#
    try Files.writeAtomically(lines.files[0], row + "\n" + row.replacing("true", with: "false") + "\n")
    try Files.writeAtomically(lines.files[1], row.replacing("5", with: "6") + "\n" + String(row.prefix(40)))
    let converted = try MarketDatabase(.parquet(folder: fixture.tables), lines: [lines], question: query.sql)
      .database
    let direct = try MarketDatabase(.tape(folder: fixture.tape), lines: [lines], question: query.sql).database
    let answer = try converted.rows(query.sql)
    #expect(!answer.isEmpty)
    #expect(try direct.rows(query.sql) == answer)
    // Asked again with more threads: still the same.
    let many = try MarketDatabase(
      .parquet(folder: fixture.tables), lines: [lines], options: DuckDBOptions(threads: 4))
    #expect(try many.database.rows(query.sql) == answer)
    if query == .signalTiers {
      #expect(
        answer == [[.text("BTCUSDT"), .text("strong"), .integer(3), .integer(2), .integer(5), .integer(6)]])
    }
  }

  @Test func kindsWithoutFilesAreEmptyWithTheirColumns() throws {
    let empty = try MarketDatabase(.none, lines: [MarketDatabaseTests.lines]).database
    for kind in TableKind.allCases {
      let result = try empty.rows("DESCRIBE \(kind.name)").map { "\($0[0].text!) \($0[1].text!)" }
      #expect(
        result
          == TableSchema.of(kind).columns.map {
            "\($0.name) \($0.type.sqlName.replacing(", ", with: ","))"
          })
      #expect(try empty.value("SELECT count(*) FROM \(kind.name)") == .integer(0))
    }
    for query in StandardQuery.allCases { #expect(try empty.rows(query.sql).isEmpty) }
  }

  @Test func foldersWithoutTablesAreRefused() throws {
    let folder = try TemporaryFolder()
    #expect(throws: MarketDatabase.Failure.noTables(folder: folder.path)) {
      _ = try MarketDatabase(.parquet(folder: folder.path))
    }
  }

  @Test(arguments: [
    (nil, TableKind.depth, true), ("SELECT * FROM Depth", .depth, true),
    ("SELECT * FROM bars_1m", .depth, false),
    ("select * from BARS_1S", .trade, true), ("select * from bars_1s", .bookTicker, true),
    ("select * from query_table('de' || 'pth')", .depth, true), ("select * from trades", .bookTicker, false),
    ("select * from book_tops", .bookTicker, true),
  ])
  func onlyTablesThatAreMeantAreFilled(_ question: String?, _ kind: TableKind, _ isMeant: Bool) {
    #expect(MarketDatabase.canMean(kind, question) == isMeant)
  }
}
