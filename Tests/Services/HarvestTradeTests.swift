import Core
import Testing

@testable import Services

@Suite("Harvest: trades")
struct HarvestTradeTests {
  /// The sum of `id % 10` over a range: what the trades of ``Wire/trades(_:)`` are worth.
  private func worth(_ ids: ClosedRange<Int64>) -> Int64 { ids.reduce(0) { $0 + $1 % 10 } }

  @Test func holeIsRecordedAndFilled() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.trade("BTCUSDT", 10, 0, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 15, 5, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 16, 6, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 16, 6, at: world.wallMs), 2)
    let gap = world.gaps
    #expect(gap.count == 1 && gap[0].stream == "btcusdt@aggTrade" && gap[0].connection == 2)
    #expect(gap[0].integer("from") == 11 && gap[0].integer("to") == 14)
    #expect(gap[0].text("reason") == "sequence" && gap[0].data["unfilled"] == nil)
    #expect(world.asked("aggTrades") == ["/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=11&limit=4"])
    try world.answer("aggTrades", Wire.trades(11...14))
    let record = world.log.records(.snapshot)
    #expect(record.map(\.stream) == ["btcusdt@aggTrades"] && record[0].connection == 2)
    let counters = world.counters
    #expect(counters.backfilled == 4 && counters.lost == 0 && counters.gaps == 1)
    #expect(world.gaps.count == 1)
    let x = runPipeline(world.log.bytes).symbol("BTCUSDT")
    #expect(x.cvd == .number(String(worth(10...16))))
    #expect(x.tradesMissing == 0 && x.counts.trades == 8 && x.tradeDuplicates == 1)
  }

  @Test func longHoleTakesSeveralRequests() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.trade("BTCUSDT", 1, 1, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 2502, 2, at: world.wallMs), 2)
    for (from, limit) in [(2, 1000), (1002, 1000), (2002, 500)] as [(Int64, Int64)] {
      #expect(world.asked("aggTrades") == ["/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=\(from)&limit=\(limit)"])
      try world.answer("aggTrades", Wire.trades(from..<from + limit))
    }
    #expect(world.asked("aggTrades").isEmpty)
    #expect(world.counters.backfilled == 2500)
    let x = runPipeline(world.log.bytes).symbol("BTCUSDT")
    #expect(x.cvd == .number(String(worth(1...2502))) && x.tradesMissing == 0)
  }

  /// Ids that the answer passes over do not exist; ids behind its end may still come.
  @Test func whatTheExchangeLacksIsLost() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.trade("BTCUSDT", 10, 0, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 20, 0, at: world.wallMs), 2)
    try world.answer("aggTrades", Wire.trades([11, 12, 15, 16]))
    var unfilled = world.gaps.filter { $0.data["unfilled"] == .bool(true) }
    #expect(unfilled.map { $0.integer("from") } == [13] && unfilled.map { $0.integer("to") } == [14])
    #expect(world.counters.lost == 2)
    for _ in 0..<4 {
      try world.advance(ms: 9700)
      #expect(world.asked("aggTrades") == ["/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=17&limit=3"])
      try world.answer("aggTrades", "[]")
    }
    try world.advance(ms: 60_000)
    #expect(world.asked("aggTrades").isEmpty)
    unfilled = world.gaps.filter { $0.data["unfilled"] == .bool(true) }
    #expect(unfilled.map { $0.integer("from") } == [13, 17] && unfilled.map { $0.integer("to") } == [14, 19])
    #expect(world.counters.lost == 5 && world.counters.backfilled == 4)
    let x = runPipeline(world.log.bytes).symbol("BTCUSDT")
    #expect(x.tradesMissing == 5)
  }

  @Test func refusedRequestIsLossAndPassingFailureIsNot() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.trade("BTCUSDT", 10, 0, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 13, 0, at: world.wallMs), 2)
    for status in [500, 503, 502, 403, 500, 500, 500] {
      try world.answer("aggTrades", status: status)
      try world.advance(ms: 9700)
    }
    try world.answer("aggTrades", "{\"not\":\"trades\"}")
    try world.advance(ms: 9700)
    #expect(world.counters.lost == 0)
    try world.answer("aggTrades", "{\"code\":-1100,\"msg\":\"Illegal characters\"}", status: 400)
    try world.advance(ms: 9700)
    #expect(world.asked("aggTrades").isEmpty)
    #expect(world.counters.lost == 2)
    #expect(world.gaps.last?.text("reason") == "refused")
  }

  @Test func ofAHoleTooLongTheNewestPartIsFilled() throws {
    var configuration = HarvestWorld.calm
    configuration.backfillTradesMax = 100
    let world = try HarvestWorld(["BTCUSDT"], configuration)
    try world.receive(Wire.trade("BTCUSDT", 1, 0, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 1002, 0, at: world.wallMs), 2)
    #expect(world.gaps.map { $0.text("reason") } == ["sequence", "too_long"])
    #expect(world.gaps[1].integer("from") == 2 && world.gaps[1].integer("to") == 901)
    #expect(world.asked("aggTrades") == ["/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=902&limit=100"])
    #expect(world.counters.lost == 900)
  }

  /// Trades come late by the stream while the answer is under way: each counts once, whoever is first.
  @Test func lateTradesAndAnswersMeet() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.trade("BTCUSDT", 10, 0, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 16, 6, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 13, 3, at: world.wallMs), 2)
    // The exchange is ahead of the stream.
    try world.answer("aggTrades", Wire.trades(11...18))
    try world.receive(Wire.trade("BTCUSDT", 17, 7, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 18, 8, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 19, 9, at: world.wallMs), 2)
    #expect(world.gaps.count == 1)
    #expect(world.counters.backfilled == 6)
    let x = runPipeline(world.log.bytes).symbol("BTCUSDT")
    #expect(x.cvd == .number(String(worth(10...19))) && x.tradesMissing == 0)
  }

  @Test func endlessHolesAreBounded() throws {
    let world = try HarvestWorld()
    for id in stride(from: 1, through: 401, by: 2) as StrideThrough<Int64> {
      try world.receive(Wire.trade("BTCUSDT", id, 1, at: world.wallMs), 2)
    }
    let open = world.harvester.states[0].holes.count
    #expect(open == 64)
    #expect(world.counters.lost == 200 - 64)
    #expect(world.gaps.count == 200 + 136)
    #expect(world.asked("aggTrades").count == 1)
  }

  @Test func whatIsOpenAtTheEndIsLost() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.trade("BTCUSDT", 10, 0, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 16, 6, at: world.wallMs), 2)
    try world.harvester.drain(world.now)
    try world.act()
    #expect(world.isDrained)
    #expect(world.gaps.last?.text("reason") == "stopped" && world.gaps.last?.data["unfilled"] == .bool(true))
    #expect(world.counters.lost == 5)
  }
}
