import Core
import Testing

@testable import Services
@testable import Venue

/// A generated market behind an unreliable line: frames are lost and doubled, connections cut and muted,
/// requests fail or come back wrong. Whatever happens, the tape must say what the harvester knows.
private final class UnreliableVenue {
  let world: HarvestWorld
  private var generator: MarketGenerator
  private let symbols: [String]
  private var random: SeededRandom
  /// Every trade the market made, by symbol and id, as REST tells it.
  private var trades: [[Int64: String]]
  private(set) var delivered: Int64 = 0
  var isFaulty = true
  private var dueRequests: [(at: Int64, id: RequestID, target: String)] = []
  private var streams: [SocketID: Set<String>] = [:]

  init(seed: UInt64, minutes: Double) throws {
    symbols = ["BTCUSDT", "ETHUSDT"]
    random = SeededRandom(seed: seed).stream(99)
    let options = try MarketOptions(
      seed: seed, symbols: symbols, minutes: minutes, start: UnixNanos(HarvestWorld.start + 1_000_000_000),
      framesPerSecond: 80)
    generator = MarketGenerator(options)
    trades = Array(repeating: [:], count: symbols.count)
    var configuration = HarvestWorld.calm
    configuration.silencePublicMs = 5000
    configuration.silenceMarketMs = 10_000
    configuration.rotateAfterSeconds = 20
    configuration.rotationTimeoutMs = 3000
    configuration.checkWeightShare = 0.25
    configuration.snapshotCheckMs = 5000
    configuration.clockIntervalMs = 5000
    world = try HarvestWorld(symbols, configuration, seed: seed)
  }

  private var nowNs: Int64 { world.now.wall.rawValue }

  /// Runs until the market is over. Faults stop some time before.
  func run(faultsEndAfter: Double) throws {
    while let frame = generator.next() {
      guard frame.kind == .frame else { continue }
      let text = String(decoding: frame.payload, as: UTF8.self)
      let index = frame.symbolIndex
      if frame.stream == .aggregateTrade { remember(text, index) }
      try advance(to: frame.receiveTime.rawValue)
      if world.seconds > faultsEndAfter { isFaulty = false }
      try deliver(text)
      if isFaulty, random.bernoulli(0.0005), let socket = world.live.randomElement(using: &random) {
        try world.drop(socket)
      }
    }
  }

  private func advance(to wallNs: Int64) throws {
    while true {
      collectRequests()
      let due = dueRequests.map(\.at).min() ?? .max
      let next = min(due, wallNs)
      if next > nowNs { try world.advance(ms: 0, ns: next - nowNs) }
      collectRequests()
      guard due <= wallNs, let index = dueRequests.firstIndex(where: { $0.at <= nowNs }) else {
        if nowNs >= wallNs { return }
        continue
      }
      let request = dueRequests.remove(at: index)
      try answer(request.id, request.target)
    }
  }

  private func collectRequests() {
    for request in world.requests {
      let delay = Int64(10 + random.below(100)) * 1_000_000
      dueRequests.append((nowNs + delay, request.id, request.target))
    }
    world.requests.removeAll()
  }

  private func remember(_ text: String, _ index: Int) {
    let data = (try! JSONValue(parsing: text))["data"]!
    let id = data["a"]!.integer!
    trades[index][id] = JSONValue.object(
      ["a", "p", "q", "f", "l", "T", "m"].map { JSONValue.Member($0, data[$0]!) }
    ).text()
  }

  /// The frame goes to every live socket whose place serves its root.
  private func deliver(_ text: String) throws {
    let isBook = text.contains("@depth") || text.contains("@bookTicker")
    guard !text.contains("@kline"), !text.contains("@forceOrder") else { return }
    for socket in world.live {
      let place = Int(socket.rawValue) & 3
      guard (place < 2) == isBook else { continue }
      if isFaulty, random.bernoulli(0.01) { continue }
      let copies = isFaulty && random.bernoulli(0.005) ? 2 : 1
      for _ in 0..<copies where world.live.contains(socket) {
        delivered += 1
        try world.receive(text, on: socket)
      }
    }
  }

  private func answer(_ id: RequestID, _ target: String) throws {
    let roll = isFaulty ? random.below(20) : 99
    switch roll {
    case 0: return try finish { try world.harvester.failed(id, reason: "timed out", world.now) }
    case 1: return try reply(id, 503, "")
    case 2: return try reply(id, 200, "{\"lastUpdateId\":1,\"bids\":[[\"1.0")
    case 3: return try reply(id, 429, "")
    default: break
    }
    let symbol = symbols.firstIndex { target.contains($0) } ?? 0
    if target.contains("/depth") {
      var writer = ByteWriter()
      generator.lanes[symbol].encoder.snapshot(generator.lanes[symbol].market, &writer)
      try reply(id, 200, writer.string())
    } else if target.contains("/aggTrades") {
      let from = Int64(target.split(separator: "fromId=")[1].prefix { $0.isNumber })!
      let limit = Int64(target.split(separator: "limit=")[1])!
      let found = (from..<from + limit).compactMap { trades[symbol][$0] }
      try reply(id, 200, "[" + found.joined(separator: ",") + "]")
    } else if target.contains("/time") {
      try reply(id, 200, "{\"serverTime\":\(world.wallMs)}")
    } else {
      try reply(id, 200, "{\"symbols\":[{\"symbol\":\"BTCUSDT\"},{\"symbol\":\"ETHUSDT\"}]}")
    }
  }

  private func reply(_ id: RequestID, _ status: Int, _ body: String) throws {
    try finish {
      try withPadding(body) { bytes in
        try world.harvester.replied(
          id, RESTReply(status: status, retryAfterSeconds: status == 429 ? 1 : nil, body: bytes), world.now)
      }
    }
  }

  private func finish(_ body: () throws -> Void) throws {
    try body()
    try world.act()
  }

  /// All trades between the first and the last delivered, as their signed sum.
  func cvd(_ symbol: Int, _ ids: ClosedRange<Int64>) -> Double {
    ids.reduce(0) { sum, id in
      let trade = try! JSONValue(parsing: trades[symbol][id]!)
      return sum + (trade["m"] == .bool(true) ? -1 : 1) * trade["q"]!.double!
    }
  }
}

@Suite("Harvest: properties")
struct HarvestPropertyTests {
  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func theTapeSaysWhatTheHarvesterKnows(seed: UInt64) throws {
    let venue = try UnreliableVenue(seed: seed, minutes: 1)
    let world = venue.world
    try venue.run(faultsEndAfter: 40)
    let counters = world.counters
    let pipeline = runPipeline(world.log.bytes)

    // Every frame delivered is on the tape, but for the counted copies.
    #expect(counters.frames + counters.deduplicated == venue.delivered, "seed \(seed)")
    #expect(pipeline.totals.frames == counters.frames)
    #expect(counters.framesStray == 0 && counters.decodeErrors == 0 && counters.queueDropped == 0)
    #expect(counters.gaps > 0 && counters.reconnects > 0 && counters.rotations > 0, "seed \(seed)")

    for index in counters.symbols.indices {
      let symbol = counters.symbols[index]
      let reader = pipeline.symbol(symbol.name)
      // Readers think what the harvester thinks, and after the faults all is well.
      #expect(symbol.bookIsSynchronized && reader.bookIsSynchronized, "seed \(seed) \(symbol.name)")
      #expect(world.book(symbol.name) == reader.lastUpdateID, "seed \(seed) \(symbol.name)")
      #expect(Int(symbol.resyncs) == reader.resyncs, "seed \(seed) \(symbol.name)")
      #expect(reader.tradesMissing == 0 && symbol.lost == 0, "seed \(seed) \(symbol.name)")
    }
    for name in ["BTCUSDT", "ETHUSDT"] {
      #expect(pipeline.books[name] == world.books[name], "seed \(seed) \(name)")
    }
    #expect(counters.bookChecks > 0 && counters.bookMismatches == 0, "seed \(seed)")
    let records = world.log.records()
    checkTrades(venue, records, pipeline, seed)
    checkGaps(records, seed)
  }

  /// The CVD is that of all trades from the first to the last.
  private func checkTrades(
    _ venue: UnreliableVenue, _ records: [MemoryLog.Record], _ pipeline: PipelineRun, _ seed: UInt64
  ) {
    for (index, name) in ["BTCUSDT", "ETHUSDT"].enumerated() {
      let ids = records.flatMap { record -> [Int64] in
        if record.stream == name.lowercased() + "@aggTrade", record.kind == .frame {
          return [record.integer("a")!]
        }
        if record.stream == name.lowercased() + "@aggTrades", record.kind == .snapshot {
          return record.data.elements!.map { $0["a"]!.integer! }
        }
        return []
      }
      let expected = venue.cvd(index, ids.min()!...ids.max()!)
      let found = pipeline.symbol(name).cvd.double!
      #expect(abs(found - expected) < 1e-6, "seed \(seed) \(name)")
    }
  }

  /// Each break in the chain of depth events as they stand on the tape has its record.
  private func checkGaps(_ records: [MemoryLog.Record], _ seed: UInt64) {
    for name in ["btcusdt", "ethusdt"] {
      let stream = name + "@depth@100ms"
      let recorded = Set(
        records.filter { $0.kind == .gap && $0.stream == stream }.compactMap { $0.integer("before") })
      var finals: Set<Int64> = []
      var last: Int64 = -1
      let events = records.filter { $0.kind == .frame && $0.stream == stream }
      finals.formUnion(events.map { $0.integer("u")! })
      for event in events {
        let (first, final, previous) = (event.integer("U")!, event.integer("u")!, event.integer("pu")!)
        if final <= last { continue }
        // What came later after all is no hole.
        if last >= 0, previous != last, !finals.contains(previous) {
          #expect(recorded.contains(first), "seed \(seed) \(name) before \(first)")
        }
        last = final
      }
    }
  }

  /// Two runs of the same seed are the same to the byte.
  @Test func theSameHappeningsGiveTheSameTape() throws {
    func tape() throws -> [UInt8] {
      let venue = try UnreliableVenue(seed: 77, minutes: 0.4)
      try venue.run(faultsEndAfter: 15)
      return venue.world.log.bytes
    }
    let (one, other) = (try tape(), try tape())
    #expect(one == other && one.count > 100_000)
  }
}
