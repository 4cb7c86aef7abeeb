import Binance
import Core
import Testing

@testable import Venue

@Suite("Exchange, REST")
struct ExchangeRESTTests {
  /// The example in the exchange's documentation ("SIGNED Endpoint Examples for POST /fapi/v1/order").
  @Test func documentedSignature() {
    let secret = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
    let query =
      "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
    #expect(
      RequestSigning.signature(of: query, secret: secret)
        == "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9")
    #expect(RequestSigning.signed("a=1", secret: "s").hasPrefix("a=1&signature="))
    #expect(RequestSigning.signature(of: "", secret: "key").count == 64)
  }

  @Test func signaturesAreChecked() throws {
    let harness = try ExchangeHarness.market()
    let path = "/fapi/v2/balance"
    #expect(harness.signedResponse("GET", path).status == 200)
    func code(_ query: String) -> Int64? { harness.get("\(path)?\(query)")["code"]?.integer }
    let stamp = "timestamp=\(harness.timeMs)"
    #expect(code(stamp) == -1102)
    #expect(code(RequestSigning.signed(stamp, secret: "wrong")) == -1022)
    #expect(code(RequestSigning.signed(stamp, secret: harness.secret) + "0") == -1022)
    #expect(code(RequestSigning.signed("a=1&" + stamp, secret: harness.secret)) == nil)
    #expect(code(RequestSigning.signed("a=1", secret: harness.secret)) == -1102)
    for (offset, expected) in [(-5001, -1021), (-5000, nil), (999, nil), (1000, -1021)] as [(Int64, Int64?)] {
      let query = "timestamp=\(harness.timeMs + offset)"
      #expect(code(RequestSigning.signed(query, secret: harness.secret)) == expected)
    }
    let wide = "recvWindow=60000&timestamp=\(harness.timeMs - 59_000)"
    #expect(code(RequestSigning.signed(wide, secret: harness.secret)) == nil)
    let tooWide = "recvWindow=60001&timestamp=\(harness.timeMs)"
    #expect(code(RequestSigning.signed(tooWide, secret: harness.secret)) == -1131)

    // Query and body are signed as one text, whichever holds the signature.
    let query = "symbol=BTCUSDT&side=BUY&type=MARKET"
    let body = "quantity=0.01&timestamp=\(harness.timeMs)"
    let signature = RequestSigning.signature(of: query + body, secret: harness.secret)
    let inBody = harness.request("POST", "/fapi/v1/order?\(query)", body: "\(body)&signature=\(signature)")
    #expect(inBody.status == 200)
    let inQuery = harness.request("POST", "/fapi/v1/order?\(query)&signature=\(signature)", body: body)
    #expect(inQuery.status == 200)

    harness.apiKey = "stranger"
    #expect(harness.signedResponse("GET", path).status == 401)
    #expect(harness.signed("GET", path)["code"]?.integer == -2015)
    harness.apiKey = ""
    #expect(harness.signed("GET", path)["code"]?.integer == -2014)
  }

  @Test func weightsAndLimits() throws {
    let harness = try ExchangeHarness.market {
      $0.ignoredLimitsMax = 3
      $0.weightPerMinuteMax = 100
    }
    harness.run(ms: 10_000)
    func used(_ target: String) -> Int? {
      harness.request("GET", target).header("X-MBX-USED-WEIGHT-1M").flatMap { Int($0) }
    }
    #expect(used("/fapi/v1/time") == 1)
    #expect(used("/fapi/v1/depth?symbol=BTCUSDT&limit=50") == 3)
    #expect(used("/fapi/v1/depth?symbol=BTCUSDT&limit=100") == 8)
    #expect(used("/fapi/v1/depth?symbol=BTCUSDT") == 18)
    #expect(used("/fapi/v1/depth?symbol=BTCUSDT&limit=1000") == 38)
    #expect(used("/fapi/v1/aggTrades?symbol=BTCUSDT") == 58)
    #expect(used("/fapi/v1/ticker/24hr") == 98)
    #expect(used("/venue/status") == nil)
    let order = harness.signedResponse("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01")
    #expect(order.header("X-MBX-ORDER-COUNT-1M") == "1")
    #expect(order.header("X-MBX-USED-WEIGHT-1M") == "98")

    let refused = harness.request("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
    #expect(refused.status == 429)
    #expect(refused.header("Retry-After") == "50")
    #expect(harness.json(refused)["code"]?.integer == -1003)
    // What fits is still served, and forgives.
    #expect(harness.request("GET", "/fapi/v1/time").status == 200)
    for _ in 0..<3 {
      #expect(harness.request("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000").status == 429)
    }
    let banned = harness.request("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
    #expect(banned.status == 418)
    #expect(banned.header("Retry-After") == "120")
    #expect(harness.request("GET", "/fapi/v1/time").status == 418)
    harness.run(ms: 119_000)
    #expect(harness.request("GET", "/fapi/v1/time").status == 418)
    harness.run(ms: 1000)
    #expect(harness.request("GET", "/fapi/v1/time").header("X-MBX-USED-WEIGHT-1M") == "1")
    // The next ban is twice as long.
    for _ in 0..<10 { _ = harness.request("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000") }
    #expect(harness.request("GET", "/fapi/v1/time").header("Retry-After") == "240")
  }

  @Test(arguments: [
    ("GET", "/fapi/v1/depth", 400, -1102 as Int64), ("GET", "/fapi/v1/depth?symbol=NOUSDT", 400, -1121),
    ("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=7", 400, -4021),
    ("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=x", 400, -1130),
    ("GET", "/fapi/v1/aggTrades?symbol=BTCUSDT&limit=0", 400, -1130),
    ("GET", "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=-1", 400, -1130),
    ("GET", "/fapi/v1/klines?symbol=BTCUSDT&interval=7m", 400, -1120),
    ("GET", "/fapi/v1/nothing", 404, -5000), ("PATCH", "/fapi/v1/order", 404, -5000),
    ("PUT", "/fapi/v1/listenKey", 400, -1125), ("GET", "/venue/nothing", 404, -5000),
  ])
  func errors(_ method: String, _ target: String, _ status: Int, _ code: Int64) throws {
    let harness = try ExchangeHarness.market()
    let response = harness.request(method, target)
    #expect(response.status == status)
    #expect(harness.json(response)["code"]?.integer == code)
    #expect(harness.json(response)["msg"]?.text?.isEmpty == false)
  }

  @Test func exchangeInformation() throws {
    let harness = try ExchangeHarness.market(symbols: ["BTCUSDT", "1000PEPEUSDT"])
    let information = harness.get("/fapi/v1/exchangeInfo")
    #expect(information["serverTime"]?.integer == harness.timeMs)
    let symbol = information["symbols"]![0]!
    for (key, value) in [
      "symbol": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": "BTC",
      "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": "2", "quantityPrecision": "3",
    ] {
      #expect(symbol[key]?.text == value)
    }
    func filter(_ kind: String) -> JSONValue? {
      symbol["filters"]?.elements?.first { $0["filterType"]?.text == kind }
    }
    #expect(filter("PRICE_FILTER")?["tickSize"]?.text == "0.10")
    #expect(filter("LOT_SIZE")?["stepSize"]?.text == "0.001")
    #expect(filter("MIN_NOTIONAL")?["notional"]?.text == "5")
    #expect(filter("PERCENT_PRICE")?["multiplierUp"]?.text == "1.0500")
    #expect(filter("MARKET_LOT_SIZE") != nil && filter("MAX_NUM_ORDERS") != nil)
    #expect(information["symbols"]![1]!["baseAsset"]?.text == "1000PEPE")
  }

  @Test func aggregateTradesAreThoseOfTheStream() throws {
    let harness = try ExchangeHarness.market(seed: 8) { $0.tradesKeptMax = 300 }
    harness.open(1, "/market/ws/btcusdt@aggTrade")
    harness.run(ms: 60_000)
    let streamed = harness.take(1)
    #expect(streamed.count > 400)
    let all = harness.get("/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1000").elements!
    // The ring keeps the newest.
    #expect(all.count == 300)
    #expect(all.first!.members!.map(\.key) == ["a", "p", "q", "f", "l", "T", "m"])
    for (one, other) in zip(all, streamed.suffix(300)) {
      for key in ["a", "p", "q", "f", "l", "T", "m"] { #expect(one[key] == other[key]) }
    }
    let from = all[100]["a"]!.integer!
    let page = harness.get("/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=\(from)&limit=5").elements!
    #expect(page == Array(all[100..<105]))
    let start = all[50]["T"]!.integer!
    let end = all[60]["T"]!.integer!
    let timed = harness.get("/fapi/v1/aggTrades?symbol=BTCUSDT&startTime=\(start)&endTime=\(end)&limit=1000")
    #expect(timed.elements! == all.filter { (start...end).contains($0["T"]!.integer!) })
    #expect(harness.get("/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=1&limit=1").elements! == [all[0]])
    let beyond = all.last!["a"]!.integer! + 1
    #expect(harness.get("/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=\(beyond)").elements! == [])
    let trades = harness.get("/fapi/v1/trades?symbol=BTCUSDT&limit=3").elements!
    #expect(trades.map { $0["id"]! } == all.suffix(3).map { $0["l"]! })
  }

  @Test func snapshotsAreTheBestLevels() throws {
    let harness = try ExchangeHarness.market(symbols: ["SOLUSDT"])
    harness.run(ms: 3030)
    let whole = harness.get("/fapi/v1/depth?symbol=SOLUSDT&limit=1000")
    #expect(whole["bids"]!.elements!.count > 500)
    for limit in [5, 10, 20, 50, 100, 500] {
      let part = harness.get("/fapi/v1/depth?symbol=SOLUSDT&limit=\(limit)")
      #expect(part["bids"]!.elements! == Array(whole["bids"]!.elements!.prefix(limit)))
      #expect(part["asks"]!.elements! == Array(whole["asks"]!.elements!.prefix(limit)))
    }
    let ticker = harness.get("/fapi/v1/ticker/bookTicker?symbol=SOLUSDT")
    #expect(ticker["bidPrice"] == whole["bids"]![0]![0] && ticker["askQty"] == whole["asks"]![0]![1])
  }

  @Test func tickersAndKlines() throws {
    let harness = try ExchangeHarness.market(seed: 5, symbols: ["BTCUSDT", "ETHUSDT"])
    harness.open(1, "/market/ws/btcusdt@kline_1m/btcusdt@markPrice@1s")
    harness.run(ms: 130_000)
    let closed = harness.take(1).filter { $0["k"]?["x"]?.boolean == true }.map { $0["k"]! }
    let bars = harness.get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m").elements!
    #expect(closed.count == 2 && bars.count == 3)
    for (bar, frame) in zip(bars, closed) {
      #expect(bar[0] == frame["t"] && bar[1] == frame["o"] && bar[2] == frame["h"] && bar[3] == frame["l"])
      #expect(bar[4] == frame["c"] && bar[5] == frame["v"] && bar[8] == frame["n"] && bar[9] == frame["V"])
    }
    let day = harness.get("/fapi/v1/ticker/24hr?symbol=BTCUSDT")
    #expect(day["lastPrice"] == bars[2][4] && day["openPrice"] == bars[0][1])
    #expect(harness.get("/fapi/v1/ticker/24hr").elements?.count == 2)
    #expect(harness.get("/fapi/v1/ticker/price?symbol=BTCUSDT")["price"] == bars[2][4])
    #expect(harness.get("/fapi/v1/premiumIndex?symbol=BTCUSDT")["lastFundingRate"]?.text == "0.00010000")
    #expect(harness.get("/fapi/v1/openInterest?symbol=BTCUSDT")["openInterest"]?.text != nil)
  }

  @Test func controlPathsNeedTheToken() throws {
    let harness = try ExchangeHarness.market()
    let fault = #"{"fault":"rest_error","count":1}"#
    #expect(harness.request("POST", "/venue/faults", body: fault).status == 403)
    let guarded = try ExchangeHarness.market { $0.adminToken = "t" }
    #expect(guarded.request("POST", "/venue/faults", body: fault).status == 401)
    #expect(guarded.request("POST", "/venue/faults", body: fault, authorization: "Bearer x").status == 401)
    #expect(guarded.request("POST", "/venue/faults", body: "{", authorization: "Bearer t").status == 400)
    #expect(guarded.request("POST", "/venue/faults", body: fault, authorization: "Bearer t").status == 200)
    #expect(guarded.request("GET", "/fapi/v1/time").status == 503)
    #expect(guarded.request("GET", "/fapi/v1/time").status == 200)
    #expect(guarded.get("/venue/faults")[0]?["struck"]?.integer == 1)
    #expect(guarded.get("/venue/truth")["symbols"]?["BTCUSDT"]?["bids"]?.elements?.isEmpty == false)
    guarded.open(4, "/market/ws/btcusdt@aggTrade/btcusdt@depth")
    let session = guarded.get("/venue/status")["sessions"]?[0]
    #expect(session?["root"]?.text == "market" && session?["silent_subscriptions"]?.integer == 1)
  }
}
