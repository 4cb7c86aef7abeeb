import Core
import Testing

@testable import Venue

/// A book read from changes, to hold partial depth against.
struct PartialDepthCheck {
  var reader: WireReader
  var frames = 0
  var lastUpdateID: Int64?
  var chainBreaks = 0
  /// By update id: levels as the reader had them.
  private var sides: [Int64: [[(Int64, Int64)]]] = [:]
  private(set) var compared = 0
  private(set) var differing = 0

  init(priceDecimals: Int = 2, quantityDecimals: Int = 3) {
    reader = WireReader(priceDecimals: priceDecimals, quantityDecimals: quantityDecimals)
  }

  mutating func take(diff data: JSONValue) {
    reader.depth(
      WireReader.Diff(
        first: data["U"]!.integer!, last: data["u"]!.integer!, previous: data["pu"]!.integer!,
        bids: reader.levels(data["b"]), asks: reader.levels(data["a"])), time: 0)
    guard reader.isSynchronised else { return }
    let bids = reader.bids.sorted { $0.key > $1.key }.prefix(20).map { ($0.key, $0.value) }
    let asks = reader.asks.sorted { $0.key < $1.key }.prefix(20).map { ($0.key, $0.value) }
    sides = [reader.lastUpdateID: [bids, asks]]
  }

  mutating func take(partial data: JSONValue, levels: Int) {
    frames += 1
    if let lastUpdateID, data["pu"]!.integer != lastUpdateID { chainBreaks += 1 }
    if data["U"]!.integer! > data["u"]!.integer! { chainBreaks += 1 }
    lastUpdateID = data["u"]!.integer!
    guard let wanted = sides[lastUpdateID!] else { return }
    compared += 1
    for (key, side) in [("b", wanted[0]), ("a", wanted[1])] {
      let found = reader.levels(data[key])
      if !found.elementsEqual(side.prefix(levels), by: ==) { differing += 1 }
    }
  }
}

@Suite("Exchange, streams that clients take by default")
struct ExchangeStreamTests {
  @Test(arguments: [
    ("depth5@100ms", 5, 100), ("depth10", 10, 40), ("depth20@250ms", 20, 40), ("depth5@500ms", 5, 20),
    ("depth20@100ms", 20, 100),
  ])
  func partialDepthIsTheTopOfTheBook(_ suffix: String, _ levels: Int, _ count: Int) throws {
    let harness = try ExchangeHarness.market(seed: 21)
    var check = PartialDepthCheck()
    harness.onMessage = { session, text in
      let value = try! JSONValue(parsing: text)
      if session == 1 {
        check.take(diff: value)
      } else {
        #expect(value["stream"]?.text == "btcusdt@\(suffix)")
        let data = value["data"]!
        #expect(data.members!.map(\.key) == ["e", "E", "T", "s", "U", "u", "pu", "b", "a"])
        #expect(data["e"]?.text == "depthUpdate" && data["s"]?.text == "BTCUSDT")
        #expect(data["b"]?.elements?.count == levels && data["a"]?.elements?.count == levels)
        check.take(partial: data, levels: levels)
      }
    }
    harness.open(1, "/public/ws/btcusdt@depth@100ms")
    harness.open(2, "/public/stream?streams=btcusdt@\(suffix)")
    harness.run(ms: 250)
    check.reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))
    harness.run(ms: 9750)
    #expect(abs(check.frames - count) <= 1)
    #expect(check.compared >= count - 6 && check.differing == 0 && check.chainBreaks == 0)
    let counts = harness.truth()["frames"]![suffix]!
    #expect(counts["published"]?.integer == Int64(check.frames) && counts["sent"] == counts["published"])
  }

  /// Whoever comes after a pause gets a chain that begins there.
  @Test func derivedStreamsRestWhileNobodyListens() throws {
    let harness = try ExchangeHarness.market(seed: 22)
    harness.open(1, "/public/ws/btcusdt@depth10@500ms/btcusdt@depth@100ms")
    harness.run(ms: 2000)
    harness.write(1, #"{"method":"UNSUBSCRIBE","params":["btcusdt@depth10@500ms"],"id":1}"#)
    let published = harness.truth()["frames"]!["depth10@500ms"]!["published"]!
    #expect(published.integer! >= 3)
    harness.run(ms: 3000)
    #expect(harness.truth()["frames"]!["depth10@500ms"]!["published"] == published)
    _ = harness.take(1)
    harness.write(1, #"{"method":"SUBSCRIBE","params":["btcusdt@depth10@500ms"],"id":2}"#)
    harness.run(ms: 1000)
    let frames = harness.take(1).filter { $0["e"] != nil }
    let diffs = frames.filter { $0["b"]!.elements!.count != 10 || $0["a"]!.elements!.count != 10 }
    let first = try #require(
      frames.first { $0["b"]!.elements!.count == 10 && $0["a"]!.elements!.count == 10 })
    #expect(first["pu"] == diffs[0]["pu"] && first["U"] == diffs[0]["U"])
  }

  @Test(arguments: [("3m", 3), ("5m", 5)])
  func longerBarsAreSumsOfMinutes(_ interval: String, _ minutes: Int64) throws {
    let harness = try ExchangeHarness.market(seed: 23, symbols: ["BTCUSDT"])
    let names = [
      "btcusdt@kline_1m", "btcusdt@kline_\(interval)", "btcusdt_perpetual@continuousKline_\(interval)",
    ]
    harness.open(1, "/market/stream?streams=\(names.joined(separator: "/"))")
    harness.run(ms: (2 * minutes * 60 + 3) * 1000)
    let frames = harness.take(1)
    func bars(_ stream: String, closed: Bool) -> [JSONValue] {
      frames.filter { $0["stream"]?.text == stream && $0["data"]!["k"]!["x"]?.boolean == closed }.map {
        $0["data"]!["k"]!
      }
    }
    let ones = bars(names[0], closed: true)
    let long = bars(names[1], closed: true)
    try #require(long.count == 2 && ones.count == 2 * Int(minutes))
    for (bar, parts) in zip(long, [ones.prefix(Int(minutes)), ones.suffix(Int(minutes))]) {
      let first = parts.first!
      let last = parts.last!
      #expect(bar["t"] == first["t"] && bar["T"] == last["T"] && bar["i"]?.text == interval)
      #expect(bar["o"] == first["o"] && bar["c"] == last["c"])
      #expect(bar["f"] == first["f"] && bar["L"] == last["L"])
      for (key, choose) in [("h", max as (Int64, Int64) -> Int64), ("l", min)] {
        let wanted = parts.map { DecimalScale(2).parse($0[key]!.text!)! }.reduce(
          DecimalScale(2).parse(first[key]!.text!)!, choose)
        #expect(bar[key]?.text == DecimalScale(2).text(wanted))
      }
      for (key, decimals) in [("v", 3), ("V", 3), ("q", 5), ("Q", 5)] {
        let sum = parts.reduce(Int64(0)) { $0 + DecimalScale(decimals).parse($1[key]!.text!)! }
        #expect(bar[key]?.text == DecimalScale(decimals).text(sum), "\(key)")
      }
      #expect(bar["n"]!.integer! == parts.reduce(0) { $0 + $1["n"]!.integer! })
    }
    // The running bar comes every two seconds, also the one of the perpetual contract.
    #expect(abs(bars(names[1], closed: false).count - Int(minutes) * 60) <= 3)
    let continuous = frames.filter { $0["stream"]?.text == names[2] }
    #expect(continuous.count == frames.count { $0["stream"]?.text == names[1] })
    #expect(
      continuous.allSatisfy {
        $0["data"]!["e"]?.text == "continuous_kline" && $0["data"]!["ps"]?.text == "BTCUSDT"
          && $0["data"]!["ct"]?.text == "PERPETUAL" && $0["data"]!["k"]!["s"] == nil
      })
    // REST tells the same bars.
    let told = harness.get("/fapi/v1/klines?symbol=BTCUSDT&interval=\(interval)").elements!
    #expect(told.count == 3)
    for (row, bar) in zip(told, long) {
      #expect(row[0] == bar["t"] && row[6] == bar["T"] && row[1] == bar["o"] && row[2] == bar["h"])
      #expect(row[3] == bar["l"] && row[4] == bar["c"] && row[5] == bar["v"] && row[8] == bar["n"])
    }
  }

  /// An element is the very object that the symbol's own stream carries.
  @Test(arguments: [
    ("!markPrice@arr@1s", "markPrice@1s", "markPriceUpdate", 10),
    ("!markPrice@arr", "markPrice", "markPriceUpdate", 3), ("!ticker@arr", "ticker", "24hrTicker", 10),
    ("!miniTicker@arr", "miniTicker", "24hrMiniTicker", 10),
  ])
  func listsOverAllSymbols(_ list: String, _ single: String, _ event: String, _ count: Int) throws {
    let symbols = ["BTCUSDT", "ETHUSDT", "ADAUSDT"]
    let harness = try ExchangeHarness.market(seed: 24, symbols: symbols)
    harness.open(1, "/market/stream?streams=\(list)")
    harness.open(2, "/market/ws/btcusdt@\(single)")
    harness.run(ms: 10_000)
    let frames = harness.take(1)
    let own = harness.take(2)
    #expect(abs(frames.count - count) <= 1)
    #expect(frames.allSatisfy { $0["stream"]?.text == list })
    // The first list has every symbol; the clock is that of the first one.
    #expect(frames[0]["data"]!.elements!.map { $0["s"]!.text! } == symbols)
    var matched = 0
    for frame in frames {
      let elements = frame["data"]!.elements!
      #expect(elements.allSatisfy { $0["e"]?.text == event && $0["E"] == elements[0]["E"] })
      if event == "markPriceUpdate" { #expect(elements.count == symbols.count) }
      for element in elements where element["s"]?.text == "BTCUSDT" {
        #expect(own.contains(element))
        matched += 1
      }
    }
    #expect(matched == (own.count { $0["e"] != nil }) || event != "markPriceUpdate")
    #expect(harness.exchange.truth["streams"]![list]!["sent"]?.integer == Int64(frames.count))
  }

  /// A list of tickers has the symbols that traded since the one before, and is left out when none did.
  @Test func listsOfTickersHaveWhatChanged() throws {
    let harness = try ExchangeHarness.market(
      seed: 25, symbols: ["BTCUSDT", "ADAUSDT", "XRPUSDT"], framesPerSecond: 60)
    harness.open(1, "/market/ws/!miniTicker@arr/btcusdt@aggTrade/adausdt@aggTrade/xrpusdt@aggTrade")
    harness.run(ms: 60_000)
    var traded: Set<String> = []
    var lists = 0
    var partial = 0
    for message in harness.take(1) {
      if let elements = message.elements {
        let names = Set(elements.map { $0["s"]!.text! })
        #expect(!names.isEmpty && (lists == 0 ? names.isSuperset(of: traded) : names == traded))
        if names.count < 3 { partial += 1 }
        lists += 1
        traded = []
      } else {
        traded.insert(message["s"]!.text!)
      }
    }
    #expect(lists > 20 && partial > 5)
  }

  @Test(arguments: [
    ("/public/ws", "btcusdt@trade", true), ("/market/ws", "btcusdt@trade", true),
    ("/ws", "btcusdt@trade", true), ("/private/ws", "btcusdt@trade", false),
    ("/public/ws", "btcusdt@depth10", true), ("/market/ws", "btcusdt@depth10", false),
    ("/ws", "btcusdt@depth10", true), ("/public/ws", "btcusdt@depth7", false),
    ("/public/ws", "btcusdt@depth10@50ms", false), ("/public/ws", "btcusdt@depth10@100ms@x", false),
    ("/public/ws", "btcusdt@depth010", false), ("/public/ws", "BTCUSDT@depth10", false),
    ("/public/ws", "nousdt@depth10", false), ("/public/ws", "btcusdt_perpetual@depth10", false),
    ("/market/ws", "btcusdt@kline_5m", true), ("/public/ws", "btcusdt@kline_5m", false),
    ("/market/ws", "btcusdt@kline_7m", false), ("/market/ws", "btcusdt@kline_", false),
    ("/market/ws", "btcusdt_perpetual@continuousKline_1m", true),
    ("/market/ws", "btcusdt@continuousKline_1m", false),
    ("/market/ws", "_perpetual@continuousKline_1m", false), ("/market/ws", "!ticker@arr", true),
    ("/public/ws", "!ticker@arr", false), ("/market/ws", "!ticker@arr@1s", false),
    ("/market/ws", "!markPrice@arr@3s", false),
  ])
  func roots(_ root: String, _ stream: String, _ isServed: Bool) throws {
    let harness = try ExchangeHarness.market(symbols: ["BTCUSDT"])
    harness.open(1, root)
    harness.write(1, #"{"method":"SUBSCRIBE","params":["\#(stream)"],"id":1}"#)
    #expect(harness.messages[1] == [#"{"result":null,"id":1}"#])
    _ = harness.take(1)
    harness.run(ms: 5000)
    #expect(harness.take(1).isEmpty == !isServed)
  }

  /// What was asked for before the market opened comes once it has.
  @Test func derivedStreamsOutliveTheOpening() throws {
    let harness = try ExchangeHarness.market { $0.opensWithFirstClient = true }
    let names = ["btcusdt@depth10", "btcusdt@kline_5m", "btcusdt@trade", "!ticker@arr"]
    harness.open(1, "/stream?streams=\(names.joined(separator: "/"))")
    try harness.exchange.inject(.clockSkew(ms: 70_000), now: UnixNanos(harness.now))
    harness.run(ms: 900)
    #expect(harness.take(1).isEmpty)
    harness.run(ms: 5000)
    let frames = harness.take(1)
    #expect(Set(frames.map { $0["stream"]!.text! }) == Set(names))
    #expect(
      frames.allSatisfy { frame in
        let data = frame["data"]![0] ?? frame["data"]!
        return data["E"]!.integer! > ExchangeHarness.epoch / Nanoseconds.millisecond + 70_000
      })
  }

  @Test func faultsStrikeDerivedStreams() throws {
    let harness = try ExchangeHarness.market(symbols: ["BTCUSDT", "ETHUSDT"])
    harness.open(1, "/stream?streams=btcusdt@depth5@100ms/!markPrice@arr@1s/ethusdt@depth20")
    for (name, count) in [("btcusdt@depth5@100ms", 7), ("!markPrice@arr@1s", 2)] {
      try harness.exchange.inject(.drop(stream: name, count: count), now: UnixNanos(harness.now))
    }
    harness.run(ms: 10_000)
    let frames = harness.take(1).map { $0["stream"]!.text! }
    #expect(abs(frames.count { $0 == "btcusdt@depth5@100ms" } - 93) <= 1)
    #expect(abs(frames.count { $0 == "!markPrice@arr@1s" } - 8) <= 1)
    #expect(abs(frames.count { $0 == "ethusdt@depth20" } - 40) <= 1)
  }

  @Test(arguments: [nil as Int64?, 2000])
  func sameBytesInStepsOfAnySize(_ stepMs: Int64?) throws {
    func run(_ stepMs: Int64) throws -> (UInt64, String) {
      let harness = try ExchangeHarness.market(seed: 26, symbols: ["BTCUSDT", "ADAUSDT"]) {
        $0.pendingBytesMax = 10_000
      }
      harness.keepsMessages = false
      harness.open(
        1,
        "/stream?streams=btcusdt@depth10/adausdt@depth20@500ms/btcusdt@trade/!ticker@arr/!markPrice@arr@1s"
          + "/adausdt@kline_5m/btcusdt@depth@100ms/btcusdt_perpetual@continuousKline_1m")
      let end = harness.now + 6 * Nanoseconds.second
      while harness.now < end {
        harness.now += stepMs * Nanoseconds.millisecond
        repeat {
          harness.exchange.advance(to: UnixNanos(harness.now))
          harness.drain()
        } while harness.exchange.nextTime.rawValue <= harness.now
      }
      return (harness.hash, harness.exchange.truth.text())
    }
    #expect(try run(3) == run(stepMs ?? 3))
  }

  /// What others listen to does not change what a capture gets.
  @Test func derivedStreamsLeaveTheOthersAlone() throws {
    func run(_ others: String) throws -> [String] {
      let harness = try ExchangeHarness.market(seed: 27, symbols: ["BTCUSDT", "ETHUSDT"])
      let usual = "btcusdt@depth@100ms/btcusdt@aggTrade/ethusdt@bookTicker/btcusdt@kline_1m"
      harness.open(1, "/stream?streams=\(usual)")
      harness.open(2, "/stream?streams=\(others)")
      harness.run(ms: 5000)
      return harness.messages[1]!
    }
    #expect(
      try run("nothing") == run("btcusdt@depth10/btcusdt@kline_1h/!ticker@arr/!markPrice@arr/btcusdt@trade"))
  }
}
