import Core
import Testing

@testable import Services

/// Anything may happen in any order: nothing traps, no timer is left in the past, every queue keeps its bound,
/// and a drain ends.
@Suite("Harvest: any order of events")
struct HarvestFuzzTests {
  private final class Chaos {
    var harvester: Harvester<MemoryLog>
    var random: SeededRandom
    let symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    var nowNs: Int64 = 5_000_000_000
    var wallError: Int64 = 0
    var sockets: [SocketID] = [SocketID(rawValue: 77)]
    var requests: [(id: RequestID, target: String)] = [(RequestID(rawValue: 4711), "/fapi/v1/depth")]
    var delivered: Int64 = 0
    var id: Int64 = 100

    init(seed: UInt64) throws {
      random = SeededRandom(seed: seed)
      var configuration = HarvestConfiguration()
      configuration.symbolsPerConnection = 2
      configuration.rotateAfterSeconds = 10 + random.below(50)
      configuration.snapshotCheckMs = 2000
      configuration.clockIntervalMs = 3000
      configuration.streamSilenceMs = random.bernoulli(0.5) ? 4000 : 0
      configuration.backfillTradesMax = 1500
      let now = Moment(wall: UnixNanos(HarvestWorld.start), monotonicNs: nowNs)
      var resume = HarvestResume()
      if random.bernoulli(0.5) { resume.symbols["BTCUSDT"] = .init(lastTradeID: 90, lastFinalUpdateID: 90) }
      harvester = try Harvester(
        configuration, symbols: symbols, seed: seed, resume: resume, log: MemoryLog(), now: now)
      harvester.start(now)
      take()
    }

    var now: Moment {
      Moment(wall: UnixNanos(HarvestWorld.start + nowNs + wallError), monotonicNs: nowNs)
    }

    func take() {
      harvester.takeActions { action in
        switch action {
        case .connect(let socket, _): sockets.append(socket)
        case .request(let id, _, let target, _): requests.append((id, target))
        case .send, .ping, .close, .abort: break
        }
      }
      // Some that are long gone stay in the lists.
      if sockets.count > 24 { sockets.removeFirst(8) }
      if requests.count > 24 { requests.removeFirst(8) }
    }

    func step() throws {
      let socket = sockets.randomElement(using: &random)!
      switch random.below(22) {
      case 0...2: try harvester.opened(socket, now)
      case 3 where random.bernoulli(0.3): try harvester.closed(socket, reason: "?", now)
      case 4: harvester.ponged(socket, now)
      case 5...12: try receive(socket)
      case 13...16: try answer()
      case 17 where random.bernoulli(0.1): wallError += Int64(random.below(5000) - 2500) * 1_000_000
      default:
        nowNs += Int64(random.below(random.bernoulli(0.1) ? 8_000 : 300)) * 1_000_000
        if random.bernoulli(0.8) { nowNs = max(nowNs, min(harvester.deadline, nowNs + 2_000_000_000)) }
        try harvester.tick(now)
        #expect(harvester.deadline > nowNs)
      }
      take()
    }

    private func receive(_ socket: SocketID) throws {
      let symbol = symbols.randomElement(using: &random)!
      let from = id
      if random.bernoulli(0.9) { id += 1 + Int64(random.below(random.bernoulli(0.1) ? 2000 : 2)) }
      let ms = now.wall.milliseconds
      let text: String
      switch random.below(8) {
      case 0, 1, 2:
        let bid = random.bernoulli(0.02) ? "[[\"200.0\",\"1\"]]" : "[[\"99.0\",\"2\"]]"
        text = Wire.depth(symbol, (from + 1, id, from), bids: bid, at: ms)
      case 3, 4: text = Wire.trade(symbol, id, 1, at: ms)
      case 5: text = Wire.ticker(symbol, id, at: ms)
      case 6: text = Wire.mark(symbol, at: ms)
      default:
        text = ["", "{}", "[1]", "\u{0}\u{1}", "{\"result\":null,\"id\":1}"].randomElement(using: &random)!
      }
      delivered += 1
      try withPadding(text) { bytes in try harvester.received(bytes, on: socket, now) }
    }

    private func answer() throws {
      let index = random.below(requests.count)
      let (id, target) = random.bernoulli(0.8) ? requests.remove(at: index) : requests[index]
      if requests.isEmpty { requests = [(RequestID(rawValue: 4711), "/fapi/v1/depth")] }
      if random.bernoulli(0.1) { return try harvester.failed(id, reason: "?", now) }
      let status = [200, 200, 200, 200, 200, 400, 429, 418, 503].randomElement(using: &random)!
      var body = "junk"
      if target.contains("/depth") {
        body = Wire.snapshot(self.id - Int64(random.below(5)), bid: random.bernoulli(0.9) ? "100.0" : "98.0")
      } else if target.contains("aggTrades") {
        let from = Int64(target.split(separator: "fromId=")[1].prefix { $0.isNumber })!
        body = Wire.trades((from..<from + Int64(random.below(900))).filter { $0 % 50 != 7 })
      } else if target.contains("time") {
        body = "{\"serverTime\":\(now.wall.milliseconds + Int64(random.below(40)))}"
      }
      if random.bernoulli(0.1) { body = String(body.prefix(random.below(40))) }
      try withPadding(body) { bytes in
        try harvester.replied(
          id,
          RESTReply(
            status: status, retryAfterSeconds: random.bernoulli(0.5) ? random.below(20) : nil,
            usedWeight: random.bernoulli(0.5) ? random.below(2500) : nil, body: bytes), now)
      }
    }
  }

  @Test(arguments: 1...60 as ClosedRange<UInt64>) func nothingBreaks(seed: UInt64) throws {
    let chaos = try Chaos(seed: seed)
    for _ in 0..<250 { try chaos.step() }
    let counters = chaos.harvester.counters
    #expect(
      counters.frames + counters.deduplicated + counters.framesStray == chaos.delivered, "seed \(seed)")
    let (jobs, flights) = (chaos.harvester.queue.jobs.count, chaos.harvester.queue.flights.count)
    #expect(jobs <= 4 * 3 + 2 && flights <= 8, "seed \(seed)")
    #expect(chaos.harvester.log.records().count == Int(chaos.harvester.log.count), "seed \(seed)")
    // Readers of the tape agree about every book.
    let pipeline = runPipeline(chaos.harvester.log.bytes)
    for symbol in pipeline.symbols where chaos.symbols.contains(symbol.name) {
      let state = chaos.harvester.bookState(symbol.name)!
      #expect(state.isSynchronized == symbol.bookIsSynchronized, "seed \(seed) \(symbol.name)")
    }
    try chaos.harvester.drain(chaos.now)
    for _ in 0..<40 where !chaos.harvester.isDrained {
      chaos.nowNs += 500_000_000
      try chaos.harvester.tick(chaos.now)
    }
    let isDrained = chaos.harvester.isDrained
    #expect(isDrained, "seed \(seed)")
  }
}
