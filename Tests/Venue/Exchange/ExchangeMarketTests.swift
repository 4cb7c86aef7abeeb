import Core
import Testing

@testable import Venue

@Suite("Exchange, the market as read from its frames")
struct ExchangeMarketTests {
  /// The generated market's bytes and truth as they were before the exchange shared its parts.
  @Test(arguments: [
    (11 as UInt64, ["BTCUSDT", "DOGEUSDT"], nil as Double?, 5559, 0xe5e3_b459_5d6a_0206 as UInt64),
    (12, ["SOLUSDT", "NEWUSDT", "ETHUSDT"], 3000, 89_688, 0x7802_dcf0_78fb_84c9),
  ])
  func generatedMarketIsUntouched(
    _ seed: UInt64, _ symbols: [String], _ rate: Double?, _ count: Int, _ expected: UInt64
  ) throws {
    let options = try MarketOptions(
      seed: seed, symbols: symbols, minutes: 0.5, gaps: 3, duplicates: 2, reorders: 1, framesPerSecond: rate)
    var generator = MarketGenerator(options)
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    var frames = 0
    while let frame = generator.next() {
      frames += 1
      hash = (hash ^ UInt64(bitPattern: frame.receiveTime.rawValue)) &* 0x100_0000_01B3
      for index in 0..<frame.payload.count { hash = (hash ^ UInt64(frame.payload[index])) &* 0x100_0000_01B3 }
    }
    // What the truth has gained since stands apart.
    for byte in without("next_move", generator.truth).text().utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    #expect(frames == count)
    #expect(hash == expected)
  }

  private func without(_ key: String, _ value: JSONValue) -> JSONValue {
    guard let members = value.members else { return value }
    return .object(members.filter { $0.key != key }.map { .init($0.key, without(key, $0.value)) })
  }

  /// The official procedure over one session and REST, with a reader that knows nothing of the machine.
  private func read(
    seed: UInt64, symbol: String, stream: String, ms: Int64, snapshotAtMs: Int64, legacy: Bool = false
  ) throws -> (WireReader, JSONValue) {
    let harness = try ExchangeHarness.market(seed: seed, symbols: [symbol, "XRPUSDT"])
    let instrument = Instrument(symbol: symbol)
    var reader = WireReader(
      priceDecimals: instrument.priceScale.decimals, quantityDecimals: instrument.quantityScale.decimals)
    let name = symbol.lowercased()
    harness.onMessage = { _, text in
      let value = try! JSONValue(parsing: text)
      let data = value["data"] ?? value
      switch data["e"]?.text {
      case "depthUpdate":
        reader.depth(
          WireReader.Diff(
            first: data["U"]!.integer!, last: data["u"]!.integer!, previous: data["pu"]!.integer!,
            bids: reader.levels(data["b"]), asks: reader.levels(data["a"])), time: 0)
      case "bookTicker": reader.bookTicker(data)
      case "aggTrade": reader.aggregateTrade(data)
      case "kline": reader.kline(data)
      default: break
      }
    }
    let root = legacy ? "" : "/public"
    #expect(harness.open(1, "\(root)/stream?streams=\(name)@\(stream)/\(name)@bookTicker").status == 101)
    #expect(harness.open(2, "\(legacy ? "" : "/market")/ws/\(name)@aggTrade/\(name)@kline_1m").status == 101)
    harness.run(ms: snapshotAtMs)
    reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=\(symbol)&limit=1000"))
    harness.run(ms: ms - snapshotAtMs)
    return (reader, harness.truth(symbol))
  }

  @Test(arguments: [
    (1 as UInt64, "BTCUSDT", "depth@100ms", false), (2, "SOLUSDT", "depth@100ms", false),
    (3, "DOGEUSDT", "depth@100ms", true), (4, "ETHUSDT", "depth@100ms", false),
  ])
  func readerEndsWithTheTruth(_ seed: UInt64, _ symbol: String, _ stream: String, _ legacy: Bool) throws {
    let (reader, truth) = try read(
      seed: seed, symbol: symbol, stream: stream, ms: 70_000, snapshotAtMs: 500 + 37 * Int64(seed),
      legacy: legacy)
    #expect(reader.isSynchronised)
    #expect(reader.snapshotsApplied == 1)
    #expect(reader.chainBreaks.isEmpty)
    #expect(reader.crossed == 0)
    #expect(reader.lastUpdateID == truth["last_u"]!.integer)
    let bids = reader.levels(truth["bids"])
    let asks = reader.levels(truth["asks"])
    #expect(bids.count > 100 && bids.count <= 1000 && asks.count > 100 && asks.count <= 1000)
    #expect(bids.map(\.0) == reader.bids.keys.sorted(by: >))
    #expect(asks.map(\.0) == reader.asks.keys.sorted())
    #expect(bids.allSatisfy { reader.bids[$0.0] == $0.1 })
    #expect(asks.allSatisfy { reader.asks[$0.0] == $0.1 })
    #expect(reader.quantityScale.text(reader.cvd) == truth["cvd"]!.text)
    #expect(Int64(reader.trades) == truth["trades"]!["count"]!.integer)
    #expect(Int64(reader.depthFrames) == truth["depth_frames"]!.integer)
    #expect(Int64(reader.quoteFrames) == truth["frames"]!["bookTicker"]!["sent"]!.integer)
    #expect(reader.tradeHoles == 0)
    #expect(reader.touchDisagreements == 0 && reader.touchChecks > 100)
    #expect(reader.closedKlines == 1 && reader.klineDisagreements == 0)
  }

  @Test(arguments: ["depth", "depth@500ms"])
  func slowerDepthStreamsGiveTheSameBook(_ stream: String) throws {
    let harness = try ExchangeHarness.market(seed: 6)
    var reader = WireReader(priceDecimals: 2, quantityDecimals: 3)
    var frames = 0
    harness.onMessage = { _, text in
      let data = try! JSONValue(parsing: text)
      frames += 1
      reader.depth(
        WireReader.Diff(
          first: data["U"]!.integer!, last: data["u"]!.integer!, previous: data["pu"]!.integer!,
          bids: reader.levels(data["b"]), asks: reader.levels(data["a"])), time: 0)
    }
    harness.open(1, "/public/ws/btcusdt@\(stream)")
    harness.run(ms: 1250)
    reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))
    // Up to the very frame that ends at the truth's last window.
    for _ in 0..<200 where frames < 30 || reader.lastUpdateID != harness.truth()["last_u"]!.integer {
      harness.run(ms: 100)
    }
    let truth = harness.truth()
    #expect(reader.isSynchronised && reader.chainBreaks.isEmpty)
    #expect(reader.lastUpdateID == truth["last_u"]!.integer)
    #expect(reader.levels(truth["bids"]).map(\.0) == reader.bids.keys.sorted(by: >))
    #expect(reader.levels(truth["asks"]).allSatisfy { reader.asks[$0.0] == $0.1 })
  }

  /// A snapshot's id lies inside the next frame, also right after a frame, when nothing has changed yet.
  @Test func everySnapshotIsBridgedByTheNextFrame() throws {
    let harness = try ExchangeHarness.market(seed: 9)
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    for _ in 0..<50 {
      harness.run(ms: 1)
      while harness.take(1).isEmpty {
        harness.now = harness.exchange.nextTime.rawValue
        harness.exchange.advance(to: UnixNanos(harness.now))
        harness.drain()
      }
      // A frame was sent this instant.
      let id = harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=5")["lastUpdateId"]!.integer!
      harness.run(ms: 101)
      let frame = harness.take(1).first
      #expect((frame?["U"]?.integer ?? .max) <= id && id <= (frame?["u"]?.integer ?? 0))
    }
  }

  @Test func sameSeedAndCallsSameBytes() throws {
    func run(_ seed: UInt64) throws -> (UInt64, String) {
      let harness = try ExchangeHarness.market(seed: seed, symbols: ["ETHUSDT", "NEWUSDT"])
      harness.keepsMessages = false
      harness.open(1, "/stream?streams=ethusdt@depth@100ms/newusdt@bookTicker/ethusdt@aggTrade/!bookTicker")
      harness.open(2, "/private/ws?listenKey=\(harness.listenKey())")
      for turn in 0..<20 {
        harness.run(ms: 170)
        let (bid, ask) = harness.touch("ETHUSDT")
        let price = turn % 3 == 1 ? bid : ask
        _ = harness.signed(
          "POST", "/fapi/v1/order",
          turn % 3 == 0
            ? "symbol=ETHUSDT&side=SELL&type=MARKET&quantity=0.05"
            : "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.05&price=\(price)"
        )
      }
      return (harness.hash, harness.exchange.truth.text())
    }
    let first = try run(3)
    let second = try run(3)
    #expect(first == second)
    #expect(try run(4).0 != first.0)
  }

  /// Small and large steps of the clock give the same frames.
  @Test func stepsOfTheClockDoNotMatter() throws {
    func run(_ stepMs: Int64) throws -> (UInt64, String) {
      let harness = try ExchangeHarness.market(seed: 5, symbols: ["BTCUSDT", "ADAUSDT"]) {
        $0.pendingBytesMax = 10_000
      }
      harness.keepsMessages = false
      harness.open(1, "/public/stream?streams=btcusdt@depth@100ms/adausdt@bookTicker/btcusdt@bookTicker")
      let end = harness.now + 6 * Nanoseconds.second
      while harness.now < end {
        harness.now += stepMs * Nanoseconds.millisecond
        repeat {
          harness.exchange.advance(to: UnixNanos(harness.now))
          harness.drain()
        } while harness.exchange.nextTime.rawValue <= harness.now
      }
      return (harness.hash, harness.truth().text())
    }
    let small = try run(3)
    let large = try run(2000)
    #expect(small == large)
  }

  @Test func theMarketEndsWhereToldTo() throws {
    let harness = try ExchangeHarness.market(minutes: 0.05)
    harness.open(1, "/public/ws/btcusdt@bookTicker")
    harness.run(ms: 2900)
    #expect(!harness.exchange.isOver)
    harness.run(ms: 200)
    #expect(harness.exchange.isOver)
    _ = harness.take(1)
    harness.run(ms: 5000)
    #expect(harness.take(1).isEmpty)
    #expect(harness.closes.isEmpty)
  }

  @Test(arguments: [0.0, -1, 1e9])
  func badOptionsSayWhatWouldDo(_ minutes: Double) {
    let error = #expect(throws: ExchangeOptionsError.self) {
      _ = try ExchangeHarness.market(minutes: minutes)
    }
    #expect("\(error!)".contains("minutes"))
  }

  @Test func otherBadOptions() {
    #expect(throws: ExchangeOptionsError.notPositive("sessionsMax", 0)) {
      _ = try ExchangeHarness.market { $0.sessionsMax = 0 }
    }
    #expect(throws: ExchangeOptionsError.duplicateKey("a")) {
      _ = try ExchangeHarness.market {
        $0.users = [VenueUser(apiKey: "a", secret: "b"), VenueUser(apiKey: "a", secret: "c")]
      }
    }
    #expect(throws: ExchangeOptionsError.fault(.unknownStream("nousdt@depth"))) {
      _ = try ExchangeHarness.market {
        $0.faults = [TimedFault(atMs: 5, fault: .drop(stream: "nousdt@depth", count: 1))]
      }
    }
  }
}
