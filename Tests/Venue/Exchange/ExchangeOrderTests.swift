import Core
import Testing

@testable import Venue

@Suite("Exchange, orders and accounts")
struct ExchangeOrderTests {
  private func order(
    _ harness: ExchangeHarness, _ side: String, _ quantity: String, price: String? = nil, _ more: String = ""
  ) -> JSONValue {
    var text = "symbol=BTCUSDT&side=\(side)&quantity=\(quantity)"
    if let price {
      text += "&type=LIMIT&price=\(price)"
      if !more.contains("timeInForce") { text += "&timeInForce=GTC" }
    } else {
      text += "&type=MARKET"
    }
    return harness.signed("POST", "/fapi/v1/order", more.isEmpty ? text : "\(text)&\(more)")
  }

  private func events(_ harness: ExchangeHarness, _ id: Int32 = 9) -> [JSONValue] { harness.take(id) }

  @Test func theLifeOfALimitOrder() throws {
    let harness = try ExchangeHarness.market(seed: 2)
    let key = harness.listenKey()
    #expect(key.count == 64 && key == harness.listenKey())
    harness.open(9, "/private/ws?listenKey=\(key)")
    harness.open(8, "/private/stream?streams=\(key)")
    harness.open(7, "/public/ws/\(key)")
    harness.run(ms: 1000)
    let (bid, _) = harness.touch()
    let placed = order(harness, "BUY", "0.010", price: bid, "newClientOrderId=mine-1")
    #expect(placed["status"]?.text == "NEW" && placed["clientOrderId"]?.text == "mine-1")
    #expect(placed["executedQty"]?.text == "0.000" && placed["origQty"]?.text == "0.010")
    let id = placed["orderId"]!.integer!
    var seen = events(harness)
    #expect(seen.map { $0["o"]?["x"]?.text } == ["NEW"])
    #expect(seen[0]["o"]!.members!.map(\.key).joined(separator: " ")
      == "s c S o f q p ap sp x X i l z L n N T t b a m R wt ot ps cp rp pP si ss V pm gtd")
    #expect(order(harness, "BUY", "0.010", price: bid, "newClientOrderId=mine-1")["code"]?.integer == -4116)
    let open = harness.signed("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT").elements!
    #expect(open.map { $0["orderId"]?.integer } == [id])

    for _ in 0..<600 where !seen.contains(where: { $0["o"]?["X"]?.text == "FILLED" }) {
      harness.run(ms: 100)
      seen += events(harness)
    }
    let fills = seen.filter { $0["o"]?["x"]?.text == "TRADE" }
    #expect(fills.last?["o"]?["X"]?.text == "FILLED")
    #expect(fills.last?["o"]?["z"]?.text == "0.010")
    #expect(fills.allSatisfy { $0["o"]!["m"]!.boolean! && $0["o"]!["L"]!.text == bid })
    let filled = fills.reduce(0) { $0 + DecimalScale(3).parse($1["o"]!["l"]!.text!)! }
    #expect(filled == 10)
    let kinds = seen.dropFirst().map { $0["e"]!.text! }
    #expect(kinds == Array(repeating: ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"], count: fills.count).flatMap { $0 })
    // The combined private stream carries the same, another root nothing.
    #expect(harness.take(8).map { $0["data"]! } == seen && harness.take(7).isEmpty)

    let queried = harness.signed("GET", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=mine-1")
    #expect(queried["status"]?.text == "FILLED" && queried["orderId"]?.integer == id)
    #expect(queried["time"]?.integer != nil && queried["cumQty"] == nil)
    #expect(harness.signed("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&orderId=\(id)")["code"]?.integer == -2011)
    #expect(harness.signed("GET", "/fapi/v1/openOrders").elements! == [])
    let position = harness.signed("GET", "/fapi/v3/positionRisk").elements!
    #expect(position.count == 1 && position[0]["positionAmt"]?.text == "0.010")
    #expect(position[0]["entryPrice"]?.double == Double(bid))
    // A filled order's client id may be used again.
    #expect(order(harness, "BUY", "0.010", price: harness.touch().bid, "newClientOrderId=mine-1")["orderId"] != nil)
  }

  @Test func takersMoveTheMarket() throws {
    let harness = try ExchangeHarness.market(seed: 3)
    harness.open(1, "/market/ws/btcusdt@aggTrade")
    harness.open(2, "/public/ws/btcusdt@bookTicker")
    harness.run(ms: 777)
    _ = harness.take(1)
    _ = harness.take(2)
    let book = harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=5")
    let scale = DecimalScale(3)
    let first = scale.parse(book["asks"]![0]![1]!.text!)!
    let second = scale.parse(book["asks"]![1]![1]!.text!)!
    let lots = first + second / 2
    let placed = order(harness, "BUY", scale.text(lots), "newOrderRespType=RESULT")
    #expect(placed["status"]?.text == "FILLED" && placed["executedQty"]?.text == scale.text(lots))
    let trades = harness.take(1)
    #expect(trades.map { $0["p"]!.text } == [book["asks"]![0]![0]!.text, book["asks"]![1]![0]!.text])
    #expect(trades.map { $0["q"]!.text } == [scale.text(first), scale.text(second / 2)])
    #expect(trades.allSatisfy { $0["m"]?.boolean == false })
    let ticker = harness.take(2).last
    #expect(ticker?["a"] == book["asks"]![1]![0] && ticker?["A"]?.text == scale.text(second - second / 2))
    let own = harness.signed("GET", "/fapi/v1/userTrades", "symbol=BTCUSDT").elements!
    #expect(own.map { $0["qty"]!.text } == trades.map { $0["q"]!.text })
    #expect(own.map { $0["id"] } == trades.map { $0["l"] })
    #expect(own.allSatisfy { $0["maker"]?.boolean == false && $0["buyer"]?.boolean == true })
    let value = own.reduce(0) { $0 + DecimalScale(8).parse($1["quoteQty"]!.text!)! }
    let fee = own.reduce(0) { $0 + DecimalScale(8).parse($1["commission"]!.text!)! }
    #expect(abs(fee - value * 5 / 10_000) <= 2)
    #expect(DecimalScale(8).parse(placed["cumQuote"]!.text!) == value)
    let wallet = harness.signed("GET", "/fapi/v2/balance")[0]!["balance"]!.text!
    #expect(DecimalScale(8).parse(wallet) == 10_000 * 100_000_000 - fee)
  }

  @Test func timeInForce() throws {
    let harness = try ExchangeHarness.market(seed: 4)
    harness.run(ms: 500)
    let book = harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=5")
    let (bid, ask) = (book["bids"]![0]![0]!.text!, book["asks"]![0]![0]!.text!)
    let best = DecimalScale(3).parse(book["asks"]![0]![1]!.text!)!
    let more = DecimalScale(3).text(best + 1)
    let killed = order(harness, "BUY", more, price: ask, "timeInForce=FOK&newOrderRespType=RESULT")
    #expect(killed["status"]?.text == "EXPIRED" && killed["executedQty"]?.text == "0.000")
    #expect(harness.touch() == (bid, ask))
    #expect(order(harness, "BUY", "0.001", price: ask, "timeInForce=GTX")["code"]?.integer == -5022)
    let maker = order(harness, "BUY", "0.001", price: bid, "timeInForce=GTX")
    #expect(maker["status"]?.text == "NEW")
    let none = order(harness, "BUY", "0.001", price: bid, "timeInForce=IOC&newOrderRespType=RESULT")
    #expect(none["status"]?.text == "EXPIRED")
    let part = order(harness, "BUY", more, price: ask, "timeInForce=IOC&newOrderRespType=RESULT")
    #expect(part["status"]?.text == "EXPIRED" && part["executedQty"]?.text == DecimalScale(3).text(best))
    let all = order(harness, "SELL", "0.001", price: bid, "timeInForce=FOK&newOrderRespType=RESULT")
    #expect(all["status"]?.text == "FILLED")
    let until = harness.timeMs + 5000
    let low = DecimalScale(2).text(DecimalScale(2).parse(bid)! - 4000 * 10)
    let dated = order(harness, "BUY", "0.001", price: low, "timeInForce=GTD&goodTillDate=\(until)")
    #expect(dated["status"]?.text == "NEW" && dated["goodTillDate"]?.integer == until)
    harness.open(9, "/private/ws/\(harness.listenKey())")
    harness.run(ms: 4999)
    let query = "symbol=BTCUSDT&orderId=\(dated["orderId"]!.integer!)"
    #expect(harness.signed("GET", "/fapi/v1/order", query)["status"]?.text == "NEW")
    harness.run(ms: 1)
    #expect(harness.signed("GET", "/fapi/v1/order", query)["status"]?.text == "EXPIRED")
    #expect(events(harness).contains { $0["o"]?["x"]?.text == "EXPIRED" })
  }

  @Test(arguments: [
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.0001&price=95000", -1111 as Int64),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=95000.001", -1111),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=95000.05", -4014),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0&price=95000", -4003),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=-1&price=95000", -4003),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=999999999&price=95000", -4005),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=0", -4001),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=99999999", -4002),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=120000", -4016),
    ("side=SELL&type=LIMIT&timeInForce=GTC&quantity=0.010&price=50000", -4024),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=100", -4164),
    ("side=BUY&type=LIMIT&timeInForce=ABC&quantity=0.010&price=95000", -1115),
    ("side=BUY&type=LIMIT&quantity=0.010&price=95000", -1102),
    ("side=BUY&type=LIMIT&timeInForce=GTD&quantity=0.010&price=95000", -1102),
    ("side=BUY&type=LIMIT&timeInForce=GTD&goodTillDate=1&quantity=0.010&price=95000", -5040),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=ten&price=95000", -1102),
    ("side=BUY&type=MARKET", -1102), ("side=UP&type=MARKET&quantity=1", -1117),
    ("side=BUY&type=ODD&quantity=1", -1116), ("side=BUY&type=STOP_MARKET&quantity=1&stopPrice=1", -4120),
    ("side=BUY&type=MARKET&quantity=1&positionSide=LONG", -4061),
    ("side=BUY&type=MARKET&quantity=1&reduceOnly=maybe", -1130),
    ("side=SELL&type=MARKET&quantity=1&reduceOnly=true", -2022),
    ("side=BUY&type=MARKET&quantity=3", -2019),
    ("side=BUY&type=MARKET&quantity=0.01&newClientOrderId=a%20b", -4015),
    ("side=BUY&type=MARKET&quantity=0.01&newClientOrderId=1234567890123456789012345678901234567", -4015),
  ])
  func filters(_ parameters: String, _ code: Int64) throws {
    let harness = try ExchangeHarness.market()
    harness.run(ms: 100)
    let before = harness.truth().text()
    #expect(harness.signed("POST", "/fapi/v1/order", "symbol=BTCUSDT&" + parameters)["code"]?.integer == code)
    #expect(harness.truth().text() == before)
    #expect(harness.signed("GET", "/fapi/v1/allOrders", "symbol=BTCUSDT").elements?.isEmpty == true)
  }

  @Test func cancelling() throws {
    let harness = try ExchangeHarness.market(seed: 5)
    harness.run(ms: 300)
    let (bid, _) = harness.touch()
    let units = DecimalScale(2).parse(bid)!
    // Far below: outside the market's window of ticks, so unseen in the book.
    let far = order(harness, "BUY", "0.002", price: DecimalScale(2).text(units - 300_000))
    let near = order(harness, "BUY", "0.003", price: DecimalScale(2).text(units - 500))
    let level = DecimalScale(2).text(units - 500)
    func resting() -> Int64 {
      let book = harness.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")["bids"]!.elements!
      return book.first { $0[0]?.text == level }.map { DecimalScale(3).parse($0[1]!.text!)! } ?? 0
    }
    let before = resting()
    #expect(before >= 3)
    let cancelled = harness.signed("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&orderId=\(near["orderId"]!.integer!)")
    #expect(cancelled["status"]?.text == "CANCELED")
    #expect(resting() == before - 3)
    _ = order(harness, "BUY", "0.003", price: level)
    #expect(harness.signed("GET", "/fapi/v1/openOrders").elements!.count == 2)
    #expect(harness.signed("DELETE", "/fapi/v1/allOpenOrders", "symbol=BTCUSDT")["code"]?.integer == 200)
    #expect(harness.signed("GET", "/fapi/v1/openOrders").elements! == [])
    let query = "symbol=BTCUSDT&orderId=\(far["orderId"]!.integer!)"
    #expect(harness.signed("GET", "/fapi/v1/order", query)["status"]?.text == "CANCELED")
    #expect(harness.signed("GET", "/fapi/v1/order", "symbol=BTCUSDT&orderId=1")["code"]?.integer == -2013)
    #expect(harness.signed("GET", "/fapi/v1/order", "symbol=BTCUSDT")["code"]?.integer == -1102)
    #expect(harness.signed("GET", "/fapi/v1/allOrders", "symbol=BTCUSDT").elements!.count == 3)
  }

  @Test func profitIsRealised() throws {
    let harness = try ExchangeHarness.market(seed: 6)
    harness.run(ms: 200)
    let bought = order(harness, "BUY", "0.020", "newOrderRespType=RESULT")
    #expect(order(harness, "SELL", "0.030", "reduceOnly=true")["code"]?.integer == -2022)
    harness.run(ms: 60_000)
    let sold = order(harness, "SELL", "0.020", "reduceOnly=true&newOrderRespType=RESULT")
    #expect(sold["status"]?.text == "FILLED")
    let money = DecimalScale(8)
    let profit = money.parse(sold["cumQuote"]!.text!)! - money.parse(bought["cumQuote"]!.text!)!
    let trades = harness.signed("GET", "/fapi/v1/userTrades", "symbol=BTCUSDT").elements!
    #expect(trades.reduce(0) { $0 + money.parse($1["realizedPnl"]!.text!)! } == profit)
    let fees = trades.reduce(0) { $0 + money.parse($1["commission"]!.text!)! }
    let account = harness.signed("GET", "/fapi/v2/account")
    #expect(money.parse(account["totalWalletBalance"]!.text!) == 10_000 * 100_000_000 + profit - fees)
    #expect(account["positions"]?[0]?["positionAmt"]?.text == "0.000")
    #expect(account["totalUnrealizedProfit"]?.text == "0.00000000")
  }

  @Test func positionsAverageAndFlip() {
    var position = VenuePosition()
    #expect(position.fill(isBuy: true, tick: 100, lots: 4) == 0)
    #expect(position.fill(isBuy: true, tick: 110, lots: 4) == 0)
    #expect(position.costTickLots == 840)
    #expect(position.fill(isBuy: false, tick: 120, lots: 2) == 240 - 210)
    #expect(position.lots == 6 && position.costTickLots == 630)
    // Through zero to a short of 3 at 90.
    #expect(position.fill(isBuy: false, tick: 90, lots: 9) == 540 - 630)
    #expect(position.lots == -3 && position.costTickLots == 270)
    #expect(position.fill(isBuy: true, tick: 80, lots: 3) == 30)
    #expect(position.lots == 0 && position.costTickLots == 0)
  }

  @Test func leverageAndMargin() throws {
    let harness = try ExchangeHarness.market(seed: 7)
    harness.run(ms: 100)
    #expect(order(harness, "BUY", "2.2")["code"]?.integer == -2019)
    #expect(harness.signed("POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=126")["code"]?.integer == -4028)
    let set = harness.signed("POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=50")
    #expect(set["leverage"]?.integer == 50)
    #expect(order(harness, "BUY", "2.2", price: harness.touch().bid)["status"]?.text == "NEW")
    #expect(harness.signed("GET", "/fapi/v1/positionSide/dual")["dualSidePosition"]?.boolean == false)
  }

  @Test func listenKeysExpire() throws {
    let harness = try ExchangeHarness.market(symbols: ["ADAUSDT"], minutes: 0.01) {
      $0.listenKeyLifeNs = 60 * Nanoseconds.second
      $0.pingIntervalNs = Nanoseconds.day
    }
    let key = harness.listenKey()
    harness.open(1, "/private/ws?listenKey=\(key)")
    harness.run(ms: 50_000)
    #expect(harness.request("PUT", "/fapi/v1/listenKey").status == 200)
    harness.run(ms: 59_999)
    #expect(harness.take(1).isEmpty)
    harness.run(ms: 1)
    #expect(harness.take(1).first?["e"]?.text == "listenKeyExpired")
    #expect(harness.json(harness.request("PUT", "/fapi/v1/listenKey"))["code"]?.integer == -1125)
    #expect(harness.listenKey() != key)
  }
}
