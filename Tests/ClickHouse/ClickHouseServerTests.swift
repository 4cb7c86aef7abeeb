import Core
import Foundation
import Net
import ProcessKit
import Tables
import Testing

@testable import ClickHouse

private let hasServer = RealServer.find("clickhouse-server") != nil
private let hasEngine = RealServer.chdbPython != nil

/// A folder of a test's own, removed with it.
private final class Folder {
  let path = NSTemporaryDirectory() + "weir-clickhouse-" + UUID().uuidString
  /// With what chdb_server.py puts beside it.
  deinit { for name in [path, path + ".rows"] { try? FileManager.default.removeItem(atPath: name) } }
}

private func client(
  _ server: RealServer, user: String = "default", password: String = "", database: String = "weir"
) throws -> ClickHouseClient {
  ClickHouseClient(
    on: try EventLoop(),
    server: try ClickHouseServer(
      url: server.url, user: user, password: password, database: database,
      timeoutNs: 60 * Nanoseconds.second))
}

private func send(
  _ client: ClickHouseClient, _ batch: InsertBatch, _ schema: ClickHouseSchema, present: Int = 0
) throws {
  let (bytes, token) = batch.dropping(rows: present, tape: "t")
  let (encoding, body) = Compression.compress(bytes, for: schema.dialect)
  let sql = schema.insert(batch.kind)
  var result: Result<HTTPResponse, ClickHouseError>?
  client.insert(
    sql, settings: schema.insertSettings(token: token), queryID: "weir:" + token, body: body,
    encoding: encoding
  ) { result = $0 }
  while result == nil { client.turn() }
  _ = try result!.get()
}

private func batches(_ sample: SampleRows, _ schema: ClickHouseSchema) -> [InsertBatch] {
  var cutter = InsertCutter(schema: schema, tape: "t", bounds: .init(rowsMax: 100))
  var all: [InsertBatch] = []
  sample.read(blockLines: { 100 }) { projection in
    for batch in projection.batches { cutter.add(batch) { all.append($0) } }
  }
  cutter.end { all.append($0) }
  return all
}

private func expectEqual(_ sample: SampleRows, _ client: ClickHouseClient, _ schema: ClickHouseSchema) throws
{
  var sums = TableKind.allCases.map { ContentSums($0) }
  var builders = ClickHouseSchema.barWidths.map { BarBuilder(widthNs: $0.ns) }
  sample.read(blockLines: { 64 }) { projection in
    for batch in projection.batches {
      sums[Int(batch.schema.kind.rawValue)].add(batch)
      for index in builders.indices { builders[index].add(batch) }
    }
  }
  for wanted in sums {
    let row = try client.rows(ContentSums.query(wanted.kind, schema, tape: "t")).first ?? []
    #expect(wanted.differences(from: try ContentSums(wanted.kind, row: row)) == [])
  }
  for (index, width) in ClickHouseSchema.barWidths.enumerated() {
    let bars = try client.bars(width.name, tape: "t")
    #expect(bars.count > 3)
    #expect(Bar.digest(bars) == Bar.digest(builders[index].result), "\(width.name)")
  }
}

@Suite(
  "ClickHouse on the wire",
  .enabled(if: hasServer, "clickhouse-server is not installed; run scripts/peers.sh"),
  .serialized)
struct ClickHouseWireTests {
  private let folder = Folder()

  @Test func refusalsAreTypedAndSayWhatToDo() throws {
    let server = try RealServer.clickHouse(data: folder.path)
    defer { server.stop() }
    let good = try client(server, user: "weir", password: "clickhouse-secret", database: "default")
    #expect(try good.run("SELECT 1") == "1\n")
    #expect(try good.dialect() == .legacy)

    let stranger = try client(server, user: "weir", password: "wrong-secret", database: "default")
    let refused = #expect(throws: ClickHouseError.self) { try stranger.run("SELECT 1") }
    #expect(refused?.isTransient == false)
    #expect("\(refused!)".contains("CLICKHOUSE_PASSWORD") && !"\(refused!)".contains("wrong-secret"))

    guard
      case .server(60, 404, let message)? = #expect(
        throws: ClickHouseError.self, performing: { try good.run("SELECT * FROM nothing") })
    else {
      Issue.record("an unknown table is code 60 with status 404")
      return
    }
    #expect(message.contains("nothing"))
    let missing = #expect(throws: ClickHouseError.self) {
      try good.verify(try ClickHouseSchema(database: "default", dialect: .legacy))
    }
    #expect("\(missing!)".contains("weir clickhouse init"))
  }

  /// The status is 200 and rows have been sent when the exception comes.
  @Test func anExceptionInMidStreamIsNoAnswer() throws {
    let server = try RealServer.clickHouse(data: folder.path)
    defer { server.stop() }
    let client = try client(server, database: "default")
    let error = #expect(throws: ClickHouseError.self) {
      try client.run("SELECT intDiv(1, toInt64(number) - 3000000) FROM system.numbers LIMIT 4000000")
    }
    guard case .server(153, 200, let text)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(text.contains("Division by zero"))
    server.stop()
    #expect(#expect(throws: ClickHouseError.self) { try client.run("SELECT 1") }?.isTransient == true)
  }

  @Test func rowsArriveExactly() throws {
    let server = try RealServer.clickHouse(data: folder.path)
    defer { server.stop() }
    let client = try client(server)
    let schema = try ClickHouseSchema(database: "weir", dialect: .legacy)
    try client.make(schema)
    try client.make(schema)
    let sample = SampleRows(seed: 3, count: 400)
    let all = batches(sample, schema)
    for (index, batch) in all.enumerated() {
      // An insert that was cut off behind some of its rows.
      let kept = index % 3 == 0 ? batch.rowCount / 2 : 0
      if kept > 0 {
        let first = InsertBatch(
          kind: batch.kind, after: batch.after, upTo: batch.upTo, firstSequence: batch.firstSequence,
          receiveNs: batch.receiveNs, day: batch.day,
          bytes: Array(batch.bytes[..<batch.rowEnds[kept - 1]]), rowEnds: Array(batch.rowEnds[..<kept]))
        try send(client, first, schema)
      }
      #expect(try client.presentRows(of: batch, tape: "t") == kept)
      try send(client, batch, schema, present: kept)
    }
    for kind in TableKind.allCases {
      #expect(try client.place(kind, tape: "t") == all.last { $0.kind == kind }?.upTo ?? .start)
    }
    try expectEqual(sample, client, schema)
  }
}

@Suite(
  "ClickHouse of today", .enabled(if: hasEngine, "chdb is not there; run scripts/peers.sh"), .serialized)
struct ClickHouseEngineTests {
  private let folder = Folder()

  @Test func resentInsertsChangeNothingAndMendTheViews() throws {
    let server = try RealServer.chdb(data: folder.path)
    defer { server.stop() }
    let client = try client(server)
    let schema = try ClickHouseSchema(database: "weir", dialect: try client.dialect())
    #expect(schema.dialect == .modern)
    try client.make(schema)
    try client.make(schema)
    let sample = SampleRows(seed: 5, count: 400)
    for (index, batch) in batches(sample, schema).enumerated() {
      if index % 4 == 1, batch.kind == .trade || batch.kind == .bookTicker {
        // The server died between the table and its views.
        let views = ["bars_1s", "bars_1m"].map { $0 + (batch.kind == .trade ? "_of_trades" : "_of_quotes") }
        for view in views { _ = try client.run("DETACH TABLE weir.\(view)") }
        try send(client, batch, schema)
        for view in views { _ = try client.run("ATTACH TABLE weir.\(view)") }
      }
      for _ in 0...(index % 3) { try send(client, batch, schema) }
    }
    try expectEqual(sample, client, schema)
    _ = try client.run("OPTIMIZE TABLE weir.bars_1s_state FINAL")
    _ = try client.run("OPTIMIZE TABLE weir.trade FINAL")
    try expectEqual(sample, client, schema)
    let tops = try client.rows("SELECT count(), countIf(ofi IS NULL), min(spread) FROM weir.book_tops")
    #expect(tops[0][1] == "2", "each symbol's first quote has no increment")
  }

  @Test func rowsGoWhenTheirDaysAreOver() throws {
    let server = try RealServer.chdb(data: folder.path)
    defer { server.stop() }
    let client = try client(server)
    let schema = try ClickHouseSchema(
      database: "weir", dialect: .modern, ttlDays: [.depth: 1, .trade: 10_000])
    try client.make(schema)
    for batch in batches(SampleRows(seed: 9, count: 200), schema) { try send(client, batch, schema) }
    _ = try client.run("OPTIMIZE TABLE weir.depth FINAL")
    _ = try client.run("OPTIMIZE TABLE weir.trade FINAL")
    #expect(try client.run("SELECT count() FROM weir.depth") == "0\n")
    #expect(try client.run("SELECT count() > 0 FROM weir.trade") == "1\n")
  }

  /// A cluster needs more than one machine; that its statements are understood does not.
  @Test func theClustersStatementsParse() throws {
    let server = try RealServer.chdb(data: folder.path)
    defer { server.stop() }
    let client = try client(server, database: "default")
    let schema = try ClickHouseSchema(database: "weir", cluster: "market", dialect: .modern)
    for statement in schema.statements where !statement.hasPrefix("CREATE DATABASE") {
      #expect(throws: Never.self, "\(statement)") { try client.run("EXPLAIN AST " + statement) }
    }
    let all = schema.statements.joined(separator: "\n")
    for part in [
      "ReplicatedMergeTree('/clickhouse/tables/{shard}/weir/depth_local', '{replica}')",
      "Distributed(market, weir, trade_local, cityHash64(symbol))", "ReplicatedAggregatingMergeTree(",
      "TO weir.bars_1s_state_local",
    ] {
      #expect(all.contains(part), "\(part)")
    }
  }

  @Test func anotherTableIsNotLoadedInto() throws {
    let server = try RealServer.chdb(data: folder.path)
    defer { server.stop() }
    let client = try client(server)
    let schema = try ClickHouseSchema(database: "weir", dialect: .modern)
    try client.make(schema)
    _ = try client.run("ALTER TABLE weir.kline MODIFY COLUMN trades Int32")
    let error = #expect(throws: ClickHouseError.self) { try client.verify(schema) }
    #expect("\(error!)".contains("weir.kline.trades is Int32 and not Int64"))
  }
}

@Test(arguments: [(201, true), (252, true), (241, true), (60, false), (516, false), (53, false)])
func refusalsThatPass(code: Int, isTransient: Bool) {
  #expect(ClickHouseError.server(code: code, status: 500, "").isTransient == isTransient)
}
