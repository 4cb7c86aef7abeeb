import Core
import Testing

@testable import Venue

@Suite("Exchange, websocket protocol")
struct ExchangeProtocolTests {
  @Test(arguments: [
    ("/public/stream", 101), ("/public/ws", 101), ("/market/ws/btcusdt@aggTrade", 101), ("/private/ws", 101),
    ("/private/stream?listenKey=nobody", 101), ("/ws", 101), ("/stream?streams=btcusdt%40depth%40100ms", 101),
    ("/", 404), ("/public", 404), ("/legacy/ws", 404), ("/public/stream/btcusdt@depth", 404), ("", 404),
    ("/nothing/ws", 404),
  ])
  func handshakes(_ target: String, _ status: Int) throws {
    let harness = try ExchangeHarness.market()
    #expect(harness.open(1, target).status == status)
  }

  @Test func theRetiredRootCanBeClosed() throws {
    let harness = try ExchangeHarness.market { $0.legacyRoot = false }
    #expect(harness.open(1, "/ws").status == 404)
    #expect(harness.open(2, "/public/ws").status == 101)
  }

  @Test func subscribeListUnsubscribe() throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, "/public/stream")
    harness.run(ms: 500)
    #expect(harness.take(1).isEmpty)
    harness.write(1, #"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@bookTicker"],"id":7}"#)
    #expect(harness.messages[1] == [#"{"result":null,"id":7}"#])
    _ = harness.take(1)
    harness.run(ms: 1000)
    let frames = harness.take(1)
    #expect(Set(frames.compactMap { $0["stream"]?.text }) == ["btcusdt@depth@100ms", "btcusdt@bookTicker"])
    #expect(frames.allSatisfy { $0.members!.map(\.key) == ["stream", "data"] })
    harness.write(1, #"{"method":"LIST_SUBSCRIPTIONS","id":"x"}"#)
    #expect(harness.messages[1] == [#"{"result":["btcusdt@depth@100ms","btcusdt@bookTicker"],"id":"x"}"#])
    _ = harness.take(1)
    harness.write(1, #"{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker","never@had"],"id":8}"#)
    #expect(harness.messages[1] == [#"{"result":null,"id":8}"#])
    _ = harness.take(1)
    harness.run(ms: 1000)
    #expect(Set(harness.take(1).compactMap { $0["stream"]?.text }) == ["btcusdt@depth@100ms"])
  }

  @Test func rawAndCombinedCarryTheSameEvents() throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, "/public/ws/btcusdt@bookTicker/btcusdt@depth@100ms")
    harness.open(2, "/public/stream?streams=btcusdt@bookTicker/btcusdt@depth@100ms")
    harness.run(ms: 2000)
    let raw = harness.take(1)
    #expect(raw.count > 50)
    #expect(raw == harness.take(2).map { $0["data"]! })
  }

  @Test func combinedIsAProperty() throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, "/public/ws/btcusdt@bookTicker")
    harness.write(1, #"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#)
    harness.write(1, #"{"method":"SET_PROPERTY","params":["combined",true],"id":2}"#)
    harness.write(1, #"{"method":"GET_PROPERTY","params":["combined"],"id":3}"#)
    #expect(
      harness.messages[1] == [
        #"{"result":false,"id":1}"#, #"{"result":null,"id":2}"#, #"{"result":true,"id":3}"#,
      ])
    _ = harness.take(1)
    harness.run(ms: 500)
    let frames = harness.take(1)
    #expect(!frames.isEmpty && frames.allSatisfy { $0["stream"] != nil })
  }

  @Test(arguments: [
    ("nonsense", 3), ("{\"method\":", 3), ("[1]", 2), ("{}", 2), (#"{"method":"SUBSCRIBE","id":1}"#, 2),
    (#"{"method":"SUBSCRIBE","params":[1],"id":1}"#, 2), (#"{"method":"SUBSCRIBE","params":"a","id":1}"#, 2),
    (#"{"method":"subscribe","params":["a@b"],"id":1}"#, 2), (#"{"method":"SUBSCRIBE","params":["a"],"id":-1}"#, 2),
    (#"{"method":"SUBSCRIBE","params":["a"],"id":1.5}"#, 2), (#"{"method":"SUBSCRIBE","params":["a"],"id":{}}"#, 2),
    (#"{"method":"SET_PROPERTY","params":["combined",1],"id":1}"#, 1),
    (#"{"method":"GET_PROPERTY","params":["colour"],"id":1}"#, 0), (#"{"method":"GET_PROPERTY","id":1}"#, 2),
    ("{\"method\":\"\\ud800\"}", 2), ("\u{0}", 3), ("", 3),
  ])
  func badRequestsAreAnswered(_ text: String, _ code: Int64) throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, "/public/ws")
    harness.write(1, text)
    let answers = harness.take(1)
    #expect(answers.count == 1)
    #expect(answers.first?["error"]?["code"]?.integer == code)
    #expect(harness.closes.isEmpty)
  }

  /// What a root does not carry is acknowledged and never comes.
  @Test(arguments: [
    ("/public/ws", "btcusdt@aggTrade"), ("/public/ws", "btcusdt@kline_1m"), ("/public/ws", "btcusdt@markPrice@1s"),
    ("/market/ws", "btcusdt@depth@100ms"), ("/market/ws", "btcusdt@bookTicker"), ("/private/ws", "btcusdt@aggTrade"),
    ("/market/ws", "btcusdt@rpiDepth"), ("/public/ws", "btcusdt@rpiDepth"), ("/public/ws", "nousdt@depth@100ms"),
    ("/public/ws", "BTCUSDT@depth@100ms"), ("/public/ws", "depth"), ("/public/ws", "@"), ("/public/ws", ""),
  ])
  func wrongRootIsSilent(_ root: String, _ stream: String) throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, root)
    harness.write(1, #"{"method":"SUBSCRIBE","params":["\#(stream)"],"id":1}"#)
    #expect(harness.messages[1] == [#"{"result":null,"id":1}"#])
    _ = harness.take(1)
    harness.run(ms: 5000)
    #expect(harness.take(1).isEmpty)
    harness.write(1, #"{"method":"LIST_SUBSCRIPTIONS","id":2}"#)
    #expect(harness.take(1).first?["result"]?.elements?.count == 1)
  }

  @Test(arguments: [
    ("btcusdt@depth@100ms", "depthUpdate", 100), ("btcusdt@depth", "depthUpdate", 40),
    ("btcusdt@depth@500ms", "depthUpdate", 20), ("btcusdt@markPrice@1s", "markPriceUpdate", 10),
    ("btcusdt@markPrice", "markPriceUpdate", 3), ("btcusdt@kline_1m", "kline", 5),
    ("btcusdt@ticker", "24hrTicker", 10), ("btcusdt@miniTicker", "24hrMiniTicker", 10),
  ])
  func clockedStreams(_ stream: String, _ event: String, _ count: Int) throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, "/stream?streams=\(stream)")
    harness.run(ms: 10_000)
    let frames = harness.take(1)
    #expect(abs(frames.count - count) <= 1)
    #expect(frames.allSatisfy { $0["stream"]?.text == stream && $0["data"]?["e"]?.text == event })
  }

  @Test func streamsOverAllSymbols() throws {
    let harness = try ExchangeHarness.market(
      seed: 3, symbols: ["BTCUSDT", "ETHUSDT"], framesPerSecond: 4000)
    harness.open(1, "/public/ws/!bookTicker")
    harness.open(2, "/market/stream?streams=!forceOrder@arr")
    harness.open(3, "/public/ws/btcusdt@bookTicker/ethusdt@bookTicker")
    harness.run(ms: 4000)
    let all = harness.take(1)
    #expect(Set(all.compactMap { $0["s"]?.text }) == ["BTCUSDT", "ETHUSDT"])
    #expect(all == harness.take(3))
    let forced = harness.take(2)
    #expect(!forced.isEmpty)
    #expect(forced.allSatisfy { $0["stream"]?.text == "!forceOrder@arr" && $0["data"]?["e"]?.text == "forceOrder" })
  }

  @Test func manyMessagesEndTheSession() throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, "/public/ws")
    for _ in 0..<10 { harness.write(1, #"{"method":"LIST_SUBSCRIPTIONS","id":1}"#) }
    #expect(harness.closes.isEmpty)
    harness.run(ms: 1000)
    for _ in 0..<10 { harness.write(1, #"{"method":"LIST_SUBSCRIPTIONS","id":1}"#) }
    #expect(harness.closes.isEmpty)
    harness.write(1, #"{"method":"LIST_SUBSCRIPTIONS","id":1}"#)
    #expect(harness.closes[1] == .code(1008, "Too many requests"))
    #expect(harness.take(1).count == 20)
  }

  @Test func streamsOfASessionAreBounded() throws {
    let harness = try ExchangeHarness.market { $0.streamsPerConnectionMax = 2 }
    #expect(harness.open(1, "/public/ws/a@depth/b@depth/c@depth").status == 400)
    harness.open(2, "/public/ws/a@depth/b@depth")
    harness.write(2, #"{"method":"SUBSCRIBE","params":["a@depth"],"id":1}"#)
    harness.write(2, #"{"method":"SUBSCRIBE","params":["c@depth"],"id":2}"#)
    let answers = harness.take(2)
    #expect(answers[0]["error"] == nil && answers[1]["error"] != nil)
  }

  @Test func sessionsAreBounded() throws {
    let harness = try ExchangeHarness.market { $0.sessionsMax = 2 }
    harness.open(1, "/public/ws")
    harness.open(2, "/public/ws")
    #expect(harness.open(3, "/public/ws").status == 503)
    harness.exchange.closed(SessionID(rawValue: 1))
    #expect(harness.open(3, "/public/ws").status == 101)
  }

  @Test func pingsAndTheirDeadline() throws {
    let harness = try ExchangeHarness.market(symbols: ["ADAUSDT"], minutes: 0.01)
    harness.open(1, "/public/ws")
    harness.open(2, "/public/ws")
    for _ in 0..<5 {
      harness.run(ms: 180_000)
      harness.exchange.ponged(SessionID(rawValue: 1), now: UnixNanos(harness.now))
    }
    #expect(harness.pings == [1: 5, 2: 4])
    #expect(harness.closes == [2: .code(1008, "Pong timeout")])
  }

  @Test func aSessionLivesADay() throws {
    let harness = try ExchangeHarness.market(minutes: 0.01) {
      $0.sessionLifeNs = 5 * Nanoseconds.second
      $0.pingIntervalNs = 100 * Nanoseconds.hour
    }
    harness.open(1, "/public/ws")
    harness.run(ms: 3000)
    harness.open(2, "/public/ws")
    harness.run(ms: 2000)
    #expect(harness.closes == [1: .code(1001, "connection lifetime reached")])
    harness.run(ms: 3000)
    #expect(harness.closes.count == 2)
  }

  @Test func aClosedSessionGetsNothing() throws {
    let harness = try ExchangeHarness.market()
    harness.open(1, "/public/ws/btcusdt@bookTicker")
    harness.exchange.advance(to: UnixNanos(harness.now + Nanoseconds.second))
    harness.exchange.closed(SessionID(rawValue: 1))
    harness.drain()
    #expect(harness.take(1).isEmpty)
    harness.now += Nanoseconds.second
    harness.run(ms: 1000)
    #expect(harness.take(1).isEmpty)
    // The number may be used again.
    harness.open(1, "/market/ws/btcusdt@aggTrade")
    harness.run(ms: 2000)
    let frames = harness.take(1)
    #expect(!frames.isEmpty && frames.allSatisfy { $0["e"]?.text == "aggTrade" })
  }

  @Test func junkNeverTraps() throws {
    let harness = try ExchangeHarness.market { $0.clientMessagesPerSecondMax = 1 << 30 }
    harness.open(1, "/public/ws")
    var random = SeededRandom(seed: 77)
    let seeds = [
      #"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}"#,
      #"{"method":"SET_PROPERTY","params":["combined",true],"id":12345678901234567890123}"#,
    ]
    for _ in 0..<3000 {
      var bytes = Array(seeds[random.below(2)].utf8)
      for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
      bytes.withUnsafeBytes {
        harness.exchange.receive($0, from: SessionID(rawValue: 1), now: UnixNanos(harness.now))
      }
      harness.drain()
      let target = "/" + String(decoding: bytes, as: UTF8.self)
      _ = harness.request("GET", target, body: target)
      _ = harness.request("POST", "/fapi/v1/order?" + target)
    }
    #expect(harness.take(1).count == 3000)
  }
}
