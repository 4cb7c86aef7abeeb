import Core
import Strategy

/// Paper orders for confirmed signals, at the touch.
///
/// **Problem.** What would these signals have traded? Every confirmed row becomes one market order of a fixed
/// notional that buys at the row's best ask or sells at its best bid, whole and at once, and is kept to a
/// limit on each symbol's position, which may depend on the row's regime. The account must be rebuilt to the
/// last digit from the journal of its orders.
///
/// **What it does not model.** There is no queue, no latency between the signal and the order, and no
/// liquidity: the touch is taken for any size, and the market does not react. Its profit is that of a taker
/// without weight and delay, not what these orders would have earned. Orders that rest, fills that are
/// partial or late, and risk beyond the one limit are the full broker's (part 7).
///
/// **Algorithm.** ``decide(_:)`` says what an order becomes and changes nothing; ``apply(_:)`` books it. In
/// between the shell writes the journal's line, so the position never runs ahead of the journal, and a
/// restart applies the journal's lines in order. The touch comes from the row alone (``Touch``). Prices,
/// quantities and money are integers (``Pico``, ``Amount``); profit is against the very fills that are
/// closed, first in first out. Only the fee is rounded: up, to 10^-8 USDT.
///
/// **Quantity step.** A row does not tell it: it comes from `instruments` or `broker.quantity_decimals`.
/// **Price tick.** With the flag `conservative_cost` the fill is one tick worse; a tick is the last decimal
/// of the symbol's grid, from `instruments` or the finest that an order of the symbol has shown so far.
///
/// **Bounds.** ``SymbolTable/countMax`` symbols, ``PaperPosition/lotsMax`` open fills each; what is beyond is
/// rejected with its reason, like everything else that cannot be traded.
public struct PaperBroker: Sendable {
  public struct Totals: Equatable, Sendable {
    public var orders = 0
    public var filled = 0
    public var rejected: [RejectReason: Int] = [:]
  }

  public let configuration: BrokerConfiguration
  public private(set) var totals = Totals()
  public private(set) var positions: [String: PaperPosition] = [:]

  private let notional: Amount
  /// By `Signal.Regime.rawValue`.
  private let positionNotionalMax: [Amount]
  /// Millionths of a basis point.
  private let feeRate: Int128

  /// - Precondition: the configuration is within its ranges.
  public init(_ configuration: BrokerConfiguration) {
    precondition(
      BrokerConfiguration.notionalRange.contains(configuration.notionalUSDT)
        && BrokerConfiguration.feeRange.contains(configuration.takerFeeBps)
        && PaperBroker.regimes.allSatisfy {
          BrokerConfiguration.positionRange.contains(configuration.positionNotionalUSDTMax(in: $0))
        },
      "the configuration was checked")
    self.configuration = configuration
    notional = Amount(Micros(configuration.notionalUSDT))
    positionNotionalMax = PaperBroker.regimes.map {
      Amount(Micros(configuration.positionNotionalUSDTMax(in: $0)))
    }
    feeRate = Int128(Micros(configuration.takerFeeBps).rawValue)
  }

  private static let regimes: [Signal.Regime] = [.normal, .active, .quiet]

  /// What becomes of a signal's order now. Nothing is booked.
  public func decide(_ signal: ConfirmedSignal) -> PaperOrder {
    let before = positions[signal.symbol]
    let held = before ?? PaperPosition()
    var order = PaperOrder(signal, position: held.quantity, realizedProfit: held.realizedProfit)
    order.reason = outcome(signal, held, isKnown: before != nil, &order)
    if order.reason != nil {
      order.quantity = .zero
      order.notional = .zero
      order.fee = .zero
    }
    return order
  }

  /// Books an order that ``decide(_:)`` gave, now or in an earlier run.
  ///
  /// - Returns: false when the order's position or profit are not those that follow from the orders before
  ///   it.
  public mutating func apply(_ order: PaperOrder) -> Bool {
    var held = positions[order.symbol] ?? PaperPosition()
    if order.reason == nil {
      guard let side = order.side, let price = order.price,
        held.fill(side, order.quantity, at: price, fee: order.fee)
      else { return false }
    }
    guard held.quantity == order.position, held.realizedProfit == order.realizedProfit else { return false }
    if let price = order.price {
      held.lastPrice = price
      held.priceDecimals = max(held.priceDecimals, order.priceDecimals)
    }
    if order.reason != .symbolLimit { positions[order.symbol] = held }
    totals.orders += 1
    if let reason = order.reason { totals.rejected[reason, default: 0] += 1 } else { totals.filled += 1 }
    return true
  }

  /// Fills in the order as far as it gets; nil when it is filled.
  private func outcome(
    _ signal: ConfirmedSignal, _ held: PaperPosition, isKnown: Bool, _ order: inout PaperOrder
  ) -> RejectReason? {
    guard isKnown || positions.count < SymbolTable.countMax else { return .symbolLimit }
    guard let side = signal.side else { return .noDirection }
    guard let units = signal.midUnits, !signal.spreadBps.isAbsent else { return .noQuote }
    guard let touch = Touch(mid: (units, signal.midDecimals), spreadBps: signal.spreadBps) else {
      return .quoteOffGrid
    }
    let instrument = configuration.instruments[signal.symbol]
    order.priceDecimals = max(touch.decimals, held.priceDecimals, instrument?.price ?? 0)
    var price = side == .buy ? touch.ask : touch.bid
    if signal.isCostConservative {
      let tick = Pico(1, decimals: order.priceDecimals)!
      price.rawValue += side == .buy ? tick.rawValue : -tick.rawValue
      if price <= .zero { return .quoteOffGrid }
    }
    order.price = price

    let quantityDecimals = instrument?.quantity ?? configuration.quantityDecimals
    let step = Pico(1, decimals: quantityDecimals)!.rawValue
    let steps = notional.rawValue / price.rawValue / step
    if steps == 0 { return .belowStep }
    order.quantity = Pico(rawValue: steps * step)
    guard let traded = Amount(price, times: order.quantity) else { return .outOfRange }
    order.notional = traded
    order.fee = fee(traded)

    var after = held
    guard after.fill(side, order.quantity, at: price, fee: order.fee) else {
      return held.lots.count >= PaperPosition.lotsMax ? .positionLimit : .outOfRange
    }
    // A position that the price alone has carried over the limit may still be reduced.
    let grows = after.quantity.rawValue.magnitude > held.quantity.rawValue.magnitude
    guard let exposure = Amount(price, times: after.quantity)?.magnitude else {
      return grows ? .positionLimit : .outOfRange
    }
    if grows, exposure > positionNotionalMax[Int(signal.regime.rawValue)] { return .positionLimit }
    order.position = after.quantity
    order.realizedProfit = after.realizedProfit
    return nil
  }

  /// The product of at most 10^6 USDT (10^30) and 100 bps (10^8) stays below 2^127.
  private func fee(_ traded: Amount) -> Amount {
    let unit: Int128 = 10_000_000_000_000_000
    let scaled = traded.rawValue * feeRate
    let divisor = 10_000_000_000 * unit
    return Amount(rawValue: (scaled + divisor - 1) / divisor * unit)
  }
}
