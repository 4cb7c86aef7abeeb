import Core
import Testing

@testable import Venue

@Suite("Exchange, matching: properties")
struct ExchangeMatchingPropertyTests {
  private struct Placed {
    var account: Int
    var id: Int64
  }

  /// Two clients place, take and cancel at random; whatever they do, the market's books must balance and a
  /// reader of the frames must end with the truth.
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func booksBalance(_ seed: UInt64) throws {
    let symbol = seed % 2 == 0 ? "SOLUSDT" : "BTCUSDT"
    let users = [
      VenueUser(apiKey: "a", secret: "x", balance: 2_000_000), VenueUser(apiKey: "b", secret: "y", balance: 2_000_000),
    ]
    let harness = try ExchangeHarness.market(seed: seed, symbols: [symbol]) { $0.users = users; $0.weightPerMinuteMax = 1 << 30 }
    let exchange = harness.exchange
    let instrument = Instrument(symbol: symbol)
    var reader = WireReader(
      priceDecimals: instrument.priceScale.decimals, quantityDecimals: instrument.quantityScale.decimals)
    harness.onMessage = { _, text in
      let data = try! JSONValue(parsing: text)
      if data["e"]!.text == "aggTrade" { return reader.aggregateTrade(data) }
      reader.depth(
        WireReader.Diff(
          first: data["U"]!.integer!, last: data["u"]!.integer!, previous: data["pu"]!.integer!,
          bids: reader.levels(data["b"]), asks: reader.levels(data["a"])), time: 0)
    }
    harness.open(1, "/ws/\(symbol.lowercased())@depth@100ms/\(symbol.lowercased())@aggTrade")
    harness.run(ms: 250)
    reader.takeSnapshot(harness.get("/fapi/v1/depth?symbol=\(symbol)&limit=1000"))

    var random = SeededRandom(seed: seed &* 977)
    var placed: [Placed] = []
    for turn in 0..<220 {
      let account = random.below(2)
      (harness.apiKey, harness.secret) = (users[account].apiKey, users[account].secret)
      let quotes = exchange.symbols[0].market.touch
      let isBuy = random.bernoulli(0.5)
      let lots = max(1, Int64(instrument.orderLotsMean * (0.1 + 3 * random.uniform())))
      var text = "symbol=\(symbol)&side=\(isBuy ? "BUY" : "SELL")&quantity=\(instrument.quantityScale.text(lots))"
      switch random.below(10) {
      case 0...1: text += "&type=MARKET"
      case 2 where !placed.isEmpty:
        let one = placed[random.below(placed.count)]
        (harness.apiKey, harness.secret) = (users[one.account].apiKey, users[one.account].secret)
        _ = harness.signed("DELETE", "/fapi/v1/order", "symbol=\(symbol)&orderId=\(one.id)")
        text = ""
      default:
        // From deep in the own side to a few ticks through the other; now and then far outside the window.
        var away = random.below(40) - 8
        if random.below(12) == 0 { away = 900 + random.below(400) }
        let tick = isBuy ? quotes.bidTick - away : quotes.askTick + away
        let kinds = ["GTC", "GTC", "GTC", "IOC", "FOK", "GTX", "GTD&goodTillDate=\(exchange.timeMs + 700)"]
        text += "&type=LIMIT&timeInForce=\(kinds[random.below(kinds.count)])"
        text += "&price=\(instrument.priceScale.text(Int64(max(1, tick)) * instrument.tickUnits))"
      }
      if !text.isEmpty {
        let answer = harness.signed("POST", "/fapi/v1/order", text)
        if let id = answer["orderId"]?.integer { placed.append(Placed(account: account, id: id)) }
      }
      check(exchange, instrument, seed, turn)
      harness.run(ms: Int64(random.below(60)))
      check(exchange, instrument, seed, turn)
    }
    harness.run(ms: 3000)
    check(exchange, instrument, seed, -1)

    let truth = harness.truth(symbol)
    #expect(reader.isSynchronised && reader.chainBreaks.isEmpty && reader.crossed == 0, "seed \(seed)")
    #expect(reader.lastUpdateID == truth["last_u"]!.integer)
    #expect(reader.levels(truth["bids"]).map(\.0) == reader.bids.keys.sorted(by: >), "seed \(seed)")
    #expect(reader.levels(truth["bids"]).allSatisfy { reader.bids[$0.0] == $0.1 })
    #expect(reader.levels(truth["asks"]).map(\.0) == reader.asks.keys.sorted(), "seed \(seed)")
    #expect(reader.levels(truth["asks"]).allSatisfy { reader.asks[$0.0] == $0.1 })
    #expect(reader.quantityScale.text(reader.cvd) == truth["cvd"]!.text)
    #expect(reader.tradeHoles == 0 && reader.bids.count <= 1000 && reader.asks.count <= 1000)

    var makers = 0
    for account in exchange.accounts {
      let trades = account.trades
      makers += trades.count { $0.isMaker }
      // A client that trades with itself has both sides of the trade.
      let sides = Set(trades.map { "\($0.id) \($0.orderID)" })
      #expect(sides.count == trades.count, "a trade id was given twice, seed \(seed)")
      let signed = trades.reduce(0) { $0 + ($1.isBuy ? $1.lots : -$1.lots) }
      #expect(signed == account.positions[0].lots, "seed \(seed)")
      let earned = trades.reduce(0) { $0 + $1.profit - $1.fee }
      #expect(account.wallet == account.user.balance * VenueAccount.unit + earned, "seed \(seed)")
      for order in account.orders {
        let own = trades.filter { $0.orderID == order.id }
        #expect(own.reduce(0) { $0 + $1.lots } == order.filledLots, "seed \(seed)")
        #expect(order.filledLots <= order.lots && (order.status == .filled) == (order.filledLots == order.lots))
        let limit = order.request.tick
        #expect(own.allSatisfy { limit == 0 || (order.request.isBuy ? $0.tick <= limit : $0.tick >= limit) })
      }
      // What is open is exactly what is reserved.
      let open = account.orders.filter { $0.status.isOpen }
      let buys = open.filter { $0.request.isBuy }.reduce(0) { $0 + $1.leftLots }
      #expect(buys == account.positions[0].openBuyLots && open.count == account.openCount, "seed \(seed)")
      // Every fill lies within an aggregate trade of the stream.
      let history = exchange.symbols[0].history
      for trade in trades {
        let found = (history.firstID..<history.endID).contains { id in
          let one = history[id]
          return (one.firstTradeID...one.lastTradeID).contains(trade.id)
            && one.price == Int64(trade.tick) * instrument.tickUnits && one.quantity >= trade.lots
        }
        #expect(found, "seed \(seed)")
      }
    }
    #expect(makers > 5, "seed \(seed): nobody was met in a queue")
  }

  /// Invariants of the book at any moment.
  private func check(_ exchange: Exchange, _ instrument: Instrument, _ seed: UInt64, _ turn: Int) {
    let best = exchange.symbols[0].market.touch
    let crossed = best.bidTick >= best.askTick || best.bidLots <= 0 || best.askLots <= 0
    if crossed { Issue.record("crossed book, seed \(seed) turn \(turn)") }
    for order in exchange.openOrders.values.sorted(by: { $0.id < $1.id }) {
      let side = order.request.side
      let tick = order.request.tick
      let isInside = abs(tick - exchange.symbols[0].market.centre) <= LiveSymbol.reach
      let queue = exchange.symbols[0].market.clients.queue(side, tick)
      let entry = queue.first { $0.orderID == order.id }
      if isInside != (entry != nil) { Issue.record("order \(order.id) is misplaced, seed \(seed) turn \(turn)") }
      if let entry, entry.lots != order.leftLots {
        Issue.record("order \(order.id) has \(entry.lots) lots queued of \(order.leftLots), seed \(seed) turn \(turn)")
      }
      if queue.map(\.orderID) != queue.map(\.orderID).sorted() {
        Issue.record("time priority is broken, seed \(seed) turn \(turn)")
      }
      let known = queue.reduce(0) { $0 + $1.lots + $1.ahead }
      let resting = side == .bid ? exchange.symbols[0].market.bids[tick] : exchange.symbols[0].market.asks[tick]
      if isInside, known > resting { Issue.record("\(known) lots queue of \(resting), seed \(seed) turn \(turn)") }
      if isInside, side == .bid ? tick > best.bidTick : tick < best.askTick {
        Issue.record("order \(order.id) is better than the best, seed \(seed) turn \(turn)")
      }
    }
  }

  /// Of two orders at one price the earlier is filled whole before the later gets anything, and neither before
  /// what stood ahead of it has traded.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func timePriority(_ seed: UInt64) throws {
    let users = [VenueUser.demo, VenueUser(apiKey: "taker", secret: "t", balance: 1_000_000)]
    let harness = try ExchangeHarness.market(seed: seed, symbols: ["SOLUSDT"]) { $0.users = users }
    harness.open(9, "/private/ws/\(harness.listenKey())")
    harness.run(ms: 1000)
    let best = harness.exchange.symbols[0].market.touch
    let price = harness.touch("SOLUSDT").bid
    for id in ["first", "second"] {
      _ = harness.signed(
        "POST", "/fapi/v1/order",
        "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=9&price=\(price)&newClientOrderId=\(id)")
    }
    _ = harness.take(9)
    (harness.apiKey, harness.secret) = (users[1].apiKey, users[1].secret)
    func sell(_ lots: Int64) -> [[String]] {
      let text = "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=\(lots)&newOrderRespType=RESULT"
      #expect(harness.signed("POST", "/fapi/v1/order", text)["status"]?.text == "FILLED")
      return harness.take(9).compactMap { $0["o"] }.map { [$0["c"]!.text!, $0["l"]!.text!, $0["X"]!.text!] }
    }
    #expect(sell(best.bidLots - 1) == [])
    #expect(sell(5) == [["first", "4", "PARTIALLY_FILLED"]])
    #expect(sell(8) == [["first", "5", "FILLED"], ["second", "3", "PARTIALLY_FILLED"]])
    #expect(sell(6) == [["second", "6", "FILLED"]])
    #expect(harness.exchange.symbols[0].market.bestBid < best.bidTick)
  }

  /// A better price goes first, whatever the time.
  @Test func pricePriority() throws {
    let users = [VenueUser.demo, VenueUser(apiKey: "taker", secret: "t", balance: 1_000_000)]
    let harness = try ExchangeHarness.market(seed: 5) { $0.users = users }
    harness.run(ms: 1000)
    harness.open(9, "/private/ws/\(harness.listenKey())")
    // Make room between the quotes by taking the best bid away.
    (harness.apiKey, harness.secret) = (users[1].apiKey, users[1].secret)
    var best = harness.exchange.symbols[0].market.touch
    for _ in 0..<20 where best.askTick - best.bidTick < 6 {
      let lots = DecimalScale(3).text(best.bidLots)
      _ = harness.signed("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=\(lots)")
      best = harness.exchange.symbols[0].market.touch
    }
    #expect(best.askTick - best.bidTick >= 6)
    (harness.apiKey, harness.secret) = (users[0].apiKey, users[0].secret)
    for (id, ticks) in [("low", 1), ("high", 4), ("middle", 2)] {
      let price = DecimalScale(2).text(Int64(best.bidTick + ticks) * 10)
      _ = harness.signed(
        "POST", "/fapi/v1/order",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.004&price=\(price)&newClientOrderId=\(id)")
    }
    _ = harness.take(9)
    (harness.apiKey, harness.secret) = (users[1].apiKey, users[1].secret)
    _ = harness.signed("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.012")
    let fills = harness.take(9).compactMap { $0["o"]?["c"]?.text }
    #expect(fills == ["high", "middle", "low"])
  }
}
