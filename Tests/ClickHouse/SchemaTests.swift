import Foundation
import Tables
import Testing

@testable import ClickHouse

@Suite("ClickHouse's tables and answers")
struct SchemaTests {
  @Test func modernTablesAreWhatWasAskedFor() throws {
    let schema = try ClickHouseSchema(database: "weir", dialect: .modern, ttlDays: [.depth: 30])
    let depth = try #require(schema.statements.first { $0.contains("weir.depth\n") })
    for part in [
      "`symbol` LowCardinality(String) CODEC(ZSTD(6))", "`price` Decimal(18, 8) CODEC(Delta(8), ZSTD(6))",
      "PARTITION BY toDate(ts)", "ORDER BY (symbol, ts, seq)", "TTL toDateTime(ts) + INTERVAL 30 DAY",
      "non_replicated_deduplication_window",
    ] {
      #expect(depth.contains(part), "\(part)")
    }
    #expect(!schema.statements.contains { $0.contains("weir.trade\n") && $0.contains("TTL") })
  }

  @Test func legacyServersGetNoClusterAndNothingTheyDoNotKnow() throws {
    #expect(throws: ClickHouseError.self) {
      try ClickHouseSchema(database: "weir", cluster: "market", dialect: .legacy)
    }
    let all = try ClickHouseSchema(database: "weir", dialect: .legacy).statements.joined()
    for word in ["CODEC", "TTL", "DateTime64", "LowCardinality", "MATERIALIZED"] {
      #expect(!all.contains(word))
    }
  }

  @Test(arguments: ["a b", "weir;DROP", "1st", "", "x`y", "ü"])
  func namesThatWouldNeedQuotingAreRefused(name: String) {
    #expect(throws: ClickHouseError.self) { try ClickHouseServer(url: "http://h", database: name) }
  }

  /// Vectors of 18.16 and 26.9, both `SELECT sipHash64(…)`.
  @Test(arguments: [("abc", 4_596_069_200_710_135_518 as UInt64), ("", 2_202_906_307_356_721_367)])
  func sipHashIsTheServers(text: String, hash: UInt64) {
    #expect(Array(text.utf8).withUnsafeBytes { sipHash64($0) } == hash)
  }

  @Test(
    arguments: [
      ("1.5", 150_000_000), ("-0.00000001", -1), ("0", 0),
      ("12345678901.00000000", 1_234_567_890_100_000_000),
      ("1e5", nil), ("1.123456789", nil), ("", nil), ("-", nil), ("1.", 100_000_000),
    ] as [(String, Int128?)])
  func decimalsAreRead(text: String, units: Int128?) {
    #expect(decimalUnits(text) == units)
  }

  @Test func versionsDecideTheDialect() {
    #expect(ClickHouseDialect(version: "18.16.1") == .legacy)
    #expect(ClickHouseDialect(version: "26.9.2.1") == .modern)
  }

  @Test func thePasswordShowsNowhere() throws {
    let server = try ClickHouseServer(url: "http://h", user: "u", password: "clickhouse-secret")
    var dumped = ""
    dump(server, to: &dumped)
    #expect(!"\(server) \(String(reflecting: server)) \(dumped)".contains("secret"))
    #expect(server.redact("wrong password clickhouse-secret") == "wrong password ***")
  }
}
