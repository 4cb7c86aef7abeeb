import Core
import Strategy
import Testing

@testable import Broker

/// Rows of a market of several symbols.
struct BrokerSamples {
  static func signal(
    _ symbol: String = "BTCUSDT", _ side: OrderSide? = .buy, bid: Int64 = 6_394_390, ask: Int64 = 6_394_391,
    decimals: Int = 2, time: Int64 = 1_721_347_021_250_000_000, isConservative: Bool = false
  ) -> ConfirmedSignal {
    let (mid, spreadBps) = rowQuote(bid: bid, ask: ask, decimals: decimals)
    return ConfirmedSignal(
      signalID: "\(symbol)-\(time)-g", traceID: "00000000000000ff", timeMs: time / 1_000_000,
      receiveTime: UnixNanos(time), symbol: symbol, side: side, mid: mid, spreadBps: spreadBps,
      isCostConservative: isConservative, configVersion: "0123456789ab")
  }

  static func market(seed: UInt64, count: Int) -> [ConfirmedSignal] {
    var random = SeededRandom(seed: seed)
    let names = ["BTCUSDT", "ETHUSDT", "DOGEUSDT"]
    let decimals = [1, 2, 5]
    var bids: [Int64] = [639_439, 345_612, 12_345]
    return (0..<count).map { index in
      let symbol = random.below(3)
      bids[symbol] = max(1000, bids[symbol] + Int64(random.normal() * 40))
      return signal(
        names[symbol], random.bernoulli(0.5) ? .buy : .sell, bid: bids[symbol],
        ask: bids[symbol] + 1 + Int64(random.below(5)), decimals: decimals[symbol],
        time: 1_721_347_021_250_000_000 + Int64(index) * 250_000_000, isConservative: random.bernoulli(0.2))
    }
  }
}

@Suite("Paper broker")
struct PaperBrokerTests {
  private func trade(_ broker: inout PaperBroker, _ signal: ConfirmedSignal) -> PaperOrder {
    let order = broker.decide(signal)
    let isBooked = broker.apply(order)
    #expect(isBooked)
    return order
  }

  private func line(_ order: PaperOrder) -> String {
    var writer = ByteWriter()
    order.append(to: &writer)
    return writer.string()
  }

  @Test func anOrderIsOneLine() {
    var broker = PaperBroker(BrokerConfiguration())
    let order = trade(&broker, BrokerSamples.signal())
    #expect(
      line(order) == """
        {"order_id":"BTCUSDT-1721347021250000000-g","signal_id":"BTCUSDT-1721347021250000000-g",\
        "trace_id":"00000000000000ff","ts_ms":1721347021250,"recv_ns":1721347021250000000,"symbol":"BTCUSDT",\
        "side":"BUY","type":"MARKET","price":63943.91,"quantity":0.015,"notional":959.15865,"fee":0.47957933,\
        "status":"FILLED","reason":null,"position":0.015,"realized_pnl":0,"config_version":"0123456789ab"}

        """)
  }

  @Test func buysAtTheAskAndSellsAtTheBid() {
    var broker = PaperBroker(BrokerConfiguration())
    #expect(trade(&broker, BrokerSamples.signal()).price?.text() == "63943.91")
    #expect(trade(&broker, BrokerSamples.signal("BTCUSDT", .sell)).price?.text() == "63943.9")
  }

  @Test func conservativeCostIsOneTickWorse() {
    var broker = PaperBroker(BrokerConfiguration())
    #expect(
      trade(&broker, BrokerSamples.signal("BTCUSDT", .buy, isConservative: true)).price?.text() == "63943.92")
    #expect(
      trade(&broker, BrokerSamples.signal("BTCUSDT", .sell, isConservative: true)).price?.text()
        == "63943.89")
    // A round quote of a symbol that has shown two decimals: the tick is still the second one.
    let round = BrokerSamples.signal(
      "BTCUSDT", .buy, bid: 63_943, ask: 63_945, decimals: 0, isConservative: true)
    let order = trade(&broker, round)
    #expect(order.price?.text(decimals: order.priceDecimals) == "63945.01")
    var configured = BrokerConfiguration()
    configured.instruments["ETHUSDT"] = .init(price: 3, quantity: 1)
    broker = PaperBroker(configured)
    let eth = trade(
      &broker, BrokerSamples.signal("ETHUSDT", .buy, bid: 3000, ask: 3001, decimals: 0, isConservative: true))
    #expect(eth.price?.text() == "3001.001" && eth.quantity.text() == "0.3")
  }

  /// Four decimals on paper: first in, first out, through a change of side.
  @Test func profitIsAgainstTheFillsThatAreClosed() throws {
    var configuration = BrokerConfiguration()
    configuration.takerFeeBps = 0
    var broker = PaperBroker(configuration)
    func order(_ side: OrderSide, _ price: Int64) -> PaperOrder {
      // The touch is one unit wide.
      let signal = BrokerSamples.signal(
        "X", side, bid: side == .buy ? price - 1 : price, ask: side == .buy ? price : price + 1, decimals: 2)
      return trade(&broker, signal)
    }
    // 10.00 at 100.00, 8.00 at 125.00, then 12.5 sold at 80.00: 10 × −20 and 2.5 × −45.
    #expect(order(.buy, 10_000).quantity.text() == "10")
    #expect(order(.buy, 12_500).quantity.text() == "8")
    let sold = order(.sell, 8_000)
    #expect(sold.quantity.text() == "12.5" && sold.position.text() == "5.5")
    #expect(sold.realizedProfit.text == "-312.5")
    // 10 sold at 100.00: 5.5 × −25 closes, 4.5 go short.
    let flipped = order(.sell, 10_000)
    #expect(flipped.position.text() == "-4.5" && flipped.realizedProfit.text == "-450")
    let position = try #require(broker.positions["X"])
    #expect(position.unrealizedProfit(at: Pico(9_000, decimals: 2)!)?.text == "45")
  }

  @Test func theLimitStopsGrowthAndNotReduction() {
    var broker = PaperBroker(BrokerConfiguration())
    var last = PaperOrder(BrokerSamples.signal(), position: .zero, realizedProfit: .zero)
    for _ in 0..<5 { last = trade(&broker, BrokerSamples.signal("E", .buy, bid: 99_999, ask: 100_000)) }
    #expect(last.reason == nil && last.position.text() == "5")
    #expect(
      trade(&broker, BrokerSamples.signal("E", .buy, bid: 99_999, ask: 100_000)).reason == .positionLimit)
    // The price alone has doubled the position's worth: it may still be sold.
    let sold = trade(&broker, BrokerSamples.signal("E", .sell, bid: 200_000, ask: 200_001))
    #expect(sold.reason == nil && sold.position.text() == "4.5")
  }

  /// The row's regime chooses the limit; 0 is the broker's own.
  @Test func theLimitFollowsTheRegime() {
    var configuration = BrokerConfiguration()
    configuration.positionNotionalUSDTMax = 3000
    configuration.quietPositionNotionalUSDTMax = 1500
    var broker = PaperBroker(configuration)
    func buy(_ regime: Signal.Regime) -> RejectReason? {
      var signal = BrokerSamples.signal("A", bid: 99_999, ask: 100_000)
      signal.regime = regime
      return trade(&broker, signal).reason
    }
    #expect(buy(.quiet) == nil && buy(.quiet) == .positionLimit)
    #expect(buy(.active) == nil && buy(.normal) == nil && buy(.normal) == .positionLimit)
    // A position beyond the regime's limit may be reduced.
    var sale = BrokerSamples.signal("A", .sell, bid: 99_999, ask: 100_000)
    sale.regime = .quiet
    #expect(trade(&broker, sale).reason == nil)
  }

  @Test func whatCannotBeTradedIsRejectedWithItsReason() {
    var broker = PaperBroker(BrokerConfiguration())
    #expect(trade(&broker, BrokerSamples.signal("A", nil)).reason == .noDirection)
    var signal = BrokerSamples.signal("A")
    signal.midUnits = nil
    #expect(trade(&broker, signal).reason == .noQuote)
    signal = BrokerSamples.signal("A")
    signal.spreadBps = .absent
    #expect(trade(&broker, signal).reason == .noQuote)
    signal.spreadBps = Micros(0.0)
    #expect(trade(&broker, signal).reason == .quoteOffGrid)
    #expect(
      trade(&broker, BrokerSamples.signal("A", .buy, bid: 999_999_999, ask: 1_000_000_000, decimals: 2))
        .reason
        == .belowStep)
    #expect(broker.totals.orders == 5 && broker.totals.filled == 0)
    #expect(broker.positions["A"]?.quantity == .zero)
  }

  /// Whatever is traded: cash, fees, positions and profit add up, the limit holds, and lines read back.
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func theAccountAddsUp(seed: UInt64) throws {
    var broker = PaperBroker(BrokerConfiguration())
    var again = PaperBroker(BrokerConfiguration())
    var quantities: [String: Int128] = [:]
    var cash: [String: Int128] = [:]
    var ids = Set<String>()
    for signal in BrokerSamples.market(seed: seed, count: 800) {
      let order = trade(&broker, signal)
      #expect(ids.insert(order.orderID).inserted)
      if order.reason == nil {
        let price = try #require(order.price)
        let sign: Int128 = order.side == .buy ? 1 : -1
        #expect(order.notional.rawValue == price.rawValue * order.quantity.rawValue)
        #expect(order.notional <= Amount(Micros(1000.0)))
        quantities[order.symbol, default: 0] += sign * order.quantity.rawValue
        cash[order.symbol, default: 0] -= sign * order.notional.rawValue + order.fee.rawValue
        // Rounded up to 10^-8, from 5 bps.
        let exact = order.notional.rawValue / 2000
        #expect(order.fee.rawValue >= exact && order.fee.rawValue - exact < 10_000_000_000_000_000)
      }
      let text = line(order)
      let parsed = Array(text.utf8.dropLast()).withUnsafeBytes { PaperOrder(line: $0) }
      #expect(parsed == order, "seed \(seed): \(text)")
      let isBooked = again.apply(try #require(parsed))
      #expect(isBooked)
    }
    #expect(again.positions == broker.positions && again.totals == broker.totals)
    #expect(broker.totals.filled > 200)
    for (symbol, position) in broker.positions {
      #expect(position.quantity.rawValue == quantities[symbol] ?? 0)
      #expect(position.cash.rawValue == cash[symbol] ?? 0)
      let mark = try #require(position.lastPrice)
      let open = try #require(position.unrealizedProfit(at: mark))
      // All that was paid, against what is held: realised + unrealised − fees.
      #expect(
        position.cash.rawValue + position.quantity.rawValue * mark.rawValue
          == position.realizedProfit.rawValue + open.rawValue - position.fees.rawValue)
    }
  }

  @Test func aLineOfAnotherAccountDoesNotAddUp() {
    var broker = PaperBroker(BrokerConfiguration())
    var order = broker.decide(BrokerSamples.signal())
    order.position = Pico(1, decimals: 0)!
    let isBooked = broker.apply(order)
    #expect(!isBooked && broker.totals.orders == 0)
  }

  @Test(
    arguments: [
      ("BTCUSDT-1721347021250000000-g", "BTCUSDT-1721347021250000000-g"),
      // RFC 9923: the hash of the empty text is the offset basis, that of "a" is given in its appendix.
      ("", ":6c62272e07bb014262b821756295c58d"), ("币", nil), (String(repeating: "A", count: 37), nil),
      (":a", nil),
    ] as [(String, String?)])
  func identitiesSuitTheExchange(signalID: String, expected: String?) throws {
    let id = orderID(signalID: signalID)
    if let expected { #expect(id == expected) }
    #expect(try #/^[\.A-Z\:/a-z0-9_-]{1,36}$/#.wholeMatch(in: id) != nil)
    #expect(id == orderID(signalID: signalID))
  }
}
