import Core
import Testing

@testable import Services

@Suite("Harvest: requests and clock")
struct HarvestRequestTests {
  // MARK: Limits

  @Test func tooManyRequestsHoldsTheWholeQueue() throws {
    let world = try HarvestWorld(["BTCUSDT", "ETHUSDT"])
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), at: world.wallMs))
    try world.answer("depth", status: 429, retryAfter: 7)
    try world.receive(Wire.depth("ETHUSDT", (90, 100, 80), at: world.wallMs))
    try world.advance(ms: 6900)
    #expect(world.asked("depth").isEmpty)
    try world.advance(ms: 101)
    #expect(world.asked("depth").count == 2)
    let note = world.log.records(.note).last
    #expect(note?.text("rest") == "rate_limited" && note?.integer("wait_ms") == 7000)
    #expect(world.counters.rateLimited == 1 && world.counters.bans == 0)
  }

  @Test func banStopsEverything() throws {
    let world = try HarvestWorld(["BTCUSDT", "ETHUSDT"])
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), at: world.wallMs))
    try world.answer("depth", status: 418, retryAfter: 3600)
    try world.receive(Wire.trade("BTCUSDT", 1, 0, at: world.wallMs), 2)
    try world.receive(Wire.trade("BTCUSDT", 5, 0, at: world.wallMs), 2)
    let before = world.counters.requests
    try world.advance(ms: 3_599_000)
    #expect(world.counters.requests == before && world.counters.bans == 1)
    #expect(world.log.records(.note).contains { $0.text("rest") == "banned" })
    try world.advance(ms: 2000)
    #expect(world.asked("aggTrades").count == 1 || world.asked("depth").count == 1)
  }

  /// A shell that never answers does not block the queue for ever.
  @Test func requestWithoutAnswerIsGivenUp() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), at: world.wallMs))
    world.requests.removeAll()
    try world.advance(ms: 19_999)
    #expect(world.asked("depth").isEmpty)
    try world.advance(ms: 602)
    #expect(world.asked("depth").count == 1)
  }

  // MARK: Instruments

  private func listing(_ names: [String]) -> String {
    "{\"timezone\":\"UTC\",\"symbols\":["
      + names.map { "{\"pair\":\"x\",\"symbol\":\"\($0)\",\"filters\":[{\"a\":null}]}" }.joined(
        separator: ",")
      + "],\"assets\":[]}"
  }

  @Test func unknownSymbolEndsTheHarvest() throws {
    let world = try HarvestWorld(["BTCUSDT", "ETHUSD"])
    try world.answer("exchangeInfo", listing(["BTCUSDT", "ETHUSDT"]))
    let fatal = world.harvester.fatal
    #expect(fatal == .unknownSymbols([.init(name: "ETHUSD", nearest: "ETHUSDT")]))
    #expect(
      fatal?.description
        == "the exchange does not list ETHUSD (did you mean ETHUSDT?); correct the list of symbols")
  }

  @Test func listingIsAskedForUntilItComes() throws {
    let world = try HarvestWorld()
    for _ in 0..<5 {
      try world.answer("exchangeInfo", "{\"symbols\":[{\"pair\":1}]}")
      try world.advance(ms: 9700)
    }
    #expect(world.harvester.fatal == nil)
    try world.answer("exchangeInfo", listing(["BTCUSDT"]))
    try world.advance(ms: 60_000)
    #expect(world.asked("exchangeInfo").isEmpty)
    let isNil = world.harvester.fatal == nil
    #expect(isNil)
  }

  // MARK: Clock

  private func time(_ world: HarvestWorld, aheadMs: Double, roundTripMs: Int64) throws {
    while world.asked("/time").isEmpty { try world.advance(ms: 50) }
    try world.advance(ms: roundTripMs)
    let middle = world.now.wall.rawValue - roundTripMs * 500_000
    try world.answer(
      "/time", "{\"serverTime\":\((middle + Int64(aheadMs * 1e6)) / 1_000_000)}")
  }

  private var clocked: HarvestConfiguration {
    var configuration = HarvestWorld.calm
    configuration.clockIntervalMs = 30_000
    return configuration
  }

  @Test func offsetIsMeasuredAndRecorded() throws {
    let world = try HarvestWorld(["BTCUSDT"], clocked)
    try time(world, aheadMs: 1500, roundTripMs: 80)
    try time(world, aheadMs: 1512, roundTripMs: 20)
    try time(world, aheadMs: 1530, roundTripMs: 90)
    #expect(world.seconds < 1.2, "three in a row at the start")
    let clocks = world.log.records(.clock)
    #expect(clocks.map { $0.data["offset_ms"]?.double } == [1500, 1512])
    #expect(clocks.map { $0.data["rtt_ms"]?.double } == [80, 20])
    #expect(clocks[1].data["degraded_time_sync"] == .bool(false) && clocks[1].connection == -1)
    let from = world.seconds
    try time(world, aheadMs: 1512, roundTripMs: 20)
    #expect(world.seconds - from > 29)
    #expect(world.log.records(.clock).count == 2)
    // Latency is by the exchange's clock.
    try world.receive(Wire.ticker("BTCUSDT", 1, at: world.wallMs + 1512 - 40))
    let latency = world.harvester.summary["latency_ms"]?["p50"]?.double ?? 0
    #expect(latency > 36 && latency < 46)
  }

  @Test func lastingDriftIsDegradedTime() throws {
    let world = try HarvestWorld(["BTCUSDT"], clocked)
    var ahead = 0.0
    for _ in 0..<40 {
      ahead += 600
      try time(world, aheadMs: ahead, roundTripMs: 20 - Int64(ahead / 1200) % 2)
    }
    let flips = world.log.records(.clock).map { $0.data["degraded_time_sync"] == .bool(true) }
    #expect(flips.first == false && flips.last == true)
    let firstBad = world.log.records(.clock).first { $0.data["degraded_time_sync"] == .bool(true) }
    #expect((firstBad?.data["drift_ms_ewma"]?.double ?? 0) > 100)
    for _ in 0..<40 { try time(world, aheadMs: ahead, roundTripMs: 10) }
    #expect(world.log.records(.clock).last?.data["degraded_time_sync"] == .bool(false))
  }

  /// Receive time goes on as if nothing had happened, there and back.
  @Test(arguments: [2000, 3_600_000, -3_600_000] as [Int64])
  func clockThatIsSetIsNoticedAndNotFollowed(jumpMs: Int64) throws {
    let world = try HarvestWorld(["BTCUSDT"], clocked)
    for _ in 0..<3 { try time(world, aheadMs: 10, roundTripMs: 20) }
    world.wallError = jumpMs * 1_000_000
    try world.receive(Wire.ticker("BTCUSDT", 1, at: world.wallMs - jumpMs + 10 - 5))
    let note = world.log.records(.note).last
    #expect(note?.text("check") == "clock" && note?.data["jump_ms"]?.double == Double(jumpMs))
    #expect(note?.data["apart_ms"]?.double == Double(-jumpMs))
    #expect(world.counters.clockJumps == 1)
    let latency = world.harvester.summary["latency_ms"]?["p99"]?.double ?? 99
    #expect(latency < 7)
    // The exchange is asked at once. Its clock has gone on, so that the offset stands.
    let from = world.seconds
    try time(world, aheadMs: Double(10 - jumpMs), roundTripMs: 20)
    #expect(world.seconds - from < 2)
    #expect(world.log.records(.clock).map { $0.data["offset_ms"]?.double } == [10])
    try world.receive(Wire.ticker("BTCUSDT", 2, at: world.wallMs))
    #expect(world.log.records().last?.receiveNs == world.now.wall.rawValue - world.wallError)
    // Setting it right again is a step, too.
    world.wallError = 0
    try world.advance(ms: 6000)
    #expect(world.counters.clockJumps == 2)
    #expect(world.log.records(.note).last?.data["apart_ms"]?.double == 0)
    try world.receive(Wire.ticker("BTCUSDT", 3, at: world.wallMs))
    #expect(world.log.records().last?.receiveNs == world.now.wall.rawValue)
  }

  /// The wall clock is ahead because the machine slept, and so is the exchange's.
  @Test func sleepIsNoDrift() throws {
    let world = try HarvestWorld(["BTCUSDT"], clocked)
    for _ in 0..<3 { try time(world, aheadMs: 10, roundTripMs: 20) }
    world.wallError = 600_000_000_000
    for _ in 0..<3 { try time(world, aheadMs: 10, roundTripMs: 20) }
    let last = world.log.records(.clock).last
    #expect(last?.data["offset_ms"]?.double == 600_010)
    #expect((last?.data["drift_ms_ewma"]?.double ?? 99) < 10)
    try world.receive(Wire.ticker("BTCUSDT", 1, at: world.wallMs + 10 - 5))
    let latency = world.harvester.summary["latency_ms"]?["p99"]?.double ?? 99
    #expect(latency < 7)
  }

  /// A tape that ends an hour ahead of the clock is continued in its own time, which passes.
  @Test func tapeAheadOfTheClockGoesOn() throws {
    var resume = HarvestResume()
    resume.lastReceiveTime = UnixNanos(HarvestWorld.start + 3_600_000_000_000)
    let world = try HarvestWorld(["BTCUSDT"], clocked, resume: resume)
    try world.advance(ms: 5000)
    try world.receive(Wire.ticker("BTCUSDT", 1, at: world.wallMs))
    let times = world.log.records().map(\.receiveNs)
    #expect(times.first == resume.lastReceiveTime?.rawValue)
    #expect(times.last == resume.lastReceiveTime!.rawValue + 5_000_000_000)
  }

  // MARK: Metrics and the end's summary

  @Test func metricsHaveTheirNames() throws {
    let world = try HarvestWorld(["BTCUSDT"], clocked)
    for _ in 0..<3 { try time(world, aheadMs: 0, roundTripMs: 20) }
    try world.synchronize()
    try world.receive(Wire.depth("BTCUSDT", (120, 125, 118), at: world.wallMs - 30))
    try world.drop(world.socket(0))
    try world.advance(ms: 1000)
    var writer = ByteWriter()
    world.harvester.exposition(into: &writer)
    let text = writer.string()
    for name in [
      "binance_ws_latency_seconds_bucket{le=\"0.05\"} 2", "binance_ws_latency_seconds_bucket{le=\"+Inf\"} 2",
      "binance_ws_latency_seconds_count 2", "msg_lag_seconds{symbol=\"BTCUSDT\"} 0.03",
      "ws_reconnects_total{symbol=\"BTCUSDT\",reason=\"remote\"} 1", "ws_packet_loss_ratio 0\n",
      "ws_e2e_latency_ms{quantile=\"0.99\"} 3", "clock_drift_ms_ewma 0\n", "weir_harvest_frames_total 2\n",
      "weir_harvest_gaps_total 1\n", "weir_harvest_reconnects_total 1\n",
      "weir_harvest_queue_dropped_total 0\n",
      "weir_harvest_book_in_sync{symbol=\"BTCUSDT\"} 0",
      "weir_harvest_requests_sent_total{purpose=\"time\"} 3",
    ] {
      #expect(text.contains(name), "\(name)")
    }
    #expect(text.contains("ws_depth_gap_ratio 0.33"))
    #expect(text.hasSuffix("\n"))
    // Every sample belongs to a family that has a type, once.
    var families: Set<Substring> = []
    for line in text.split(separator: "\n") {
      if line.hasPrefix("# TYPE ") {
        let family = line.dropFirst(7).prefix { $0 != " " }
        #expect(!families.contains(family))
        families.insert(family)
      } else if !line.hasPrefix("#") {
        let name = line.prefix { $0 != " " && $0 != "{" }
        #expect(families.contains(name) || families.contains { name.hasPrefix($0) && name.count > $0.count })
        #expect(Double(line.split(separator: " ").last!) != nil)
      }
    }
  }

  @Test func summaryHasItsKeys() throws {
    let world = try HarvestWorld()
    try world.synchronize()
    let summary = world.harvester.summary
    #expect(
      (summary.members ?? []).prefix(8).map(\.key) == [
        "frames", "gaps", "resyncs", "reconnects", "backfilled", "lost", "queue_dropped", "latency_ms",
      ])
    #expect(summary["latency_ms"]?.members?.map(\.key) == ["p50", "p99"])
  }
}
