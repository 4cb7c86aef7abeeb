import Core

/// What happened in one step of a market.
struct MarketStep: OptionSet {
  let rawValue: UInt8
  /// The best quotes or their sizes are others than before.
  static let touch = MarketStep(rawValue: 1)
  /// ``SymbolMarket/fills`` holds an order's trades.
  static let trade = MarketStep(rawValue: 2)
  /// The order was a liquidation.
  static let forced = MarketStep(rawValue: 4)
  /// 100 ms are over: the changed levels are due.
  static let window = MarketStep(rawValue: 8)
  static let markPrice = MarketStep(rawValue: 16)
  static let kline = MarketStep(rawValue: 32)
  /// A minute is over: its last kline is due.
  static let klineClose = MarketStep(rawValue: 64)
}

/// The best quotes and their sizes.
struct Touch: Equatable {
  var bidTick: Int
  var bidLots: Int64
  var askTick: Int
  var askLots: Int64
}

/// One taker's trades at one price.
struct Fill {
  var aggregateID: Int64
  var firstTradeID: Int64
  var lastTradeID: Int64
  var tick: Int
  var lots: Int64
}

/// One instrument's market: the book, the order flow that changes it, and the hidden pressure behind the
/// flow.
///
/// It advances by one event at a time: an order, or the end of a 100 ms window. All prices are ticks, all
/// quantities lots; nothing here knows of frames, latency or defects.
struct SymbolMarket: ~Copyable {
  let instrument: Instrument
  let profile: DepthProfile
  var random: SeededRandom
  var clock: FlowClock
  var pressure: HiddenPressure

  var bids: Ladder
  var asks: Ladder
  var bestBid: Int
  var bestAsk: Int
  /// The middle of the window of ticks in which levels may exist.
  var centre: Int
  /// Id of the latest change to the book.
  var updateID: Int64
  var trades: TradeLog
  /// P(a market order buys), of the current window.
  private(set) var buyProbability = 0.5
  /// P(a quote event pushes the price up), of the current window.
  private(set) var upProbability = 0.5
  /// A faster flow averages out more of its own noise: its tilt is smaller by the root of the rate, which
  /// leaves the relation as strong as at the default rate.
  let tiltScale: Double
  /// The order flow relative to the default rate.
  let flowScale: Double
  let requotesMean: Double

  /// Nanoseconds of the exchange's clock.
  var now: Int64
  /// When the latest change to the book happened.
  var bookTime: Int64
  private(set) var windowTime: Int64
  private var flowTime: Int64
  private var flowKind: FlowClock.Kind
  private(set) var windowIsPublished = false
  private(set) var windowCount = 0
  /// Mid, doubled, when the window opened.
  private(set) var openingDoubledMid: Int
  /// Last id before the window; the frame's `pu`.
  private(set) var updateIDBefore: Int64
  /// First id in the window, or 0.
  var firstUpdateID: Int64 = 0
  var published: Touch
  /// Where clients' orders stand in the queues; empty in a generated market.
  var clients = ClientQueues()
  /// Clients' orders met by the taker of this step.
  var clientFills: [ClientFill] = []

  let tables: FlowTables

  static let windowNanos: Int64 = 100 * Nanoseconds.millisecond

  /// - Parameters:
  ///   - reach: ticks from the mid to the last level; a side has no more than `reach` + 33 levels.
  ///   - slotCount: of the ladders; must exceed twice the reach and the ticks the band lets the mid move.
  init(
    instrument: Instrument, random source: SeededRandom, start: UnixNanos, flowScale: Double,
    reach: Int = DepthProfile.reachDefault, slotCount: Int = Ladder.slotCount
  ) {
    self.instrument = instrument
    self.flowScale = flowScale
    random = source
    // The queue grows with the flow's own fluctuation, so that a faster market is not a wilder one.
    let size = max(1, flowScale).squareRoot()
    profile = DepthProfile(
      instrument: instrument, touchLots: instrument.orderLotsMean * instrument.touchOrders * size,
      reach: reach)
    bids = Ladder(slotCount: slotCount)
    asks = Ladder(slotCount: slotCount)
    tiltScale = min(4, 1 / flowScale.squareRoot())
    requotesMean = min(FlowParameters.requotesPerQuietWindow, FlowParameters.requotesPerEvent / flowScale)
    tables = FlowTables.shared
    clock = FlowClock(scale: flowScale)
    pressure = HiddenPressure(&random)
    bestBid = instrument.startTicks
    bestAsk = instrument.startTicks + 1
    centre = instrument.startTicks
    let base = 4_000_000_000_000 + Int64(random.below(1_000_000_000_000))
    updateID = base
    updateIDBefore = base
    trades = TradeLog(&random)
    now = start.rawValue
    bookTime = now
    // Symbols publish at different phases of the 100 ms.
    windowTime = now + Int64(1 + random.below(99)) * Nanoseconds.millisecond
    let first = clock.next(&random)
    flowTime = now + SymbolMarket.nanos(first.seconds)
    flowKind = first.kind
    openingDoubledMid = bestBid + bestAsk
    published = Touch(bidTick: 0, bidLots: 0, askTick: 0, askLots: 0)
    fillBook()
    published = touch
    updateID = base
    firstUpdateID = 0
    bids.publish()
    asks.publish()
    setDirection()
  }

  var touch: Touch {
    Touch(bidTick: bestBid, bidLots: bids[bestBid], askTick: bestAsk, askLots: asks[bestAsk])
  }

  /// Sum of best bid and ask in ticks: twice the mid, exact.
  var doubledMid: Int { bestBid + bestAsk }

  /// When the next step will happen.
  var nextTime: Int64 { min(flowTime, windowTime) }

  /// Advances to ``nextTime``. After a `window` step the changed levels stay readable until the next step.
  mutating func step() -> MarketStep {
    if windowIsPublished { openWindow() }
    if !clientFills.isEmpty { clientFills.removeAll(keepingCapacity: true) }
    if windowTime < flowTime {
      now = windowTime
      return closeWindow()
    }
    now = flowTime
    var result: MarketStep = []
    let identity = updateID
    switch flowKind {
    case .quote: quote()
    case .trade: result = takeLiquidity()
    }
    followPrice()
    if updateID != identity { bookTime = now }
    let wait = clock.next(&random)
    flowTime = now + SymbolMarket.nanos(wait.seconds)
    flowKind = wait.kind
    let current = touch
    if current != published {
      published = current
      result.insert(.touch)
    }
    return result
  }

  private mutating func closeWindow() -> MarketStep {
    if bids.changed.isEmpty, asks.changed.isEmpty {
      // Market makers requote whether or not an order came: there is a depth frame in every window.
      for _ in 0..<Int(FlowParameters.requotesPerQuietWindow) { requote() }
      bookTime = now
    }
    bids.sortChanges()
    asks.sortChanges()
    windowIsPublished = true
    windowCount += 1
    windowTime += SymbolMarket.windowNanos
    pressure.step(&random)
    setDirection()
    var result: MarketStep = .window
    if windowCount % 10 == 0 { result.insert(.markPrice) }
    if trades.closeMinute(before: now) { result.insert(.klineClose) }
    if windowCount % 20 == 0, trades.minute.tradeCount > 0 { result.insert(.kline) }
    return result
  }

  mutating func openWindow() {
    windowIsPublished = false
    bids.publish()
    asks.publish()
    openingDoubledMid = doubledMid
    updateIDBefore = updateID
    firstUpdateID = 0
  }

  private mutating func setDirection() {
    // Far from where it began the market leans back, which keeps a run of weeks on its price grid. One
    // percent away the lean is a tenth of a standard deviation of the pressure.
    let excursion = Double(doubledMid) / Double(2 * instrument.startTicks) - 1
    let push = tiltScale * (pressure.value - 10 * excursion)
    buyProbability = 0.5 + 0.5 * min(0.9, max(-0.9, FlowParameters.tradeTilt * push))
    upProbability = 0.5 + 0.5 * min(0.9, max(-0.9, FlowParameters.quoteTilt * push))
  }

  /// Every change to the book passes here. Ids jump, as the exchange's do: other instruments use them too.
  @inline(__always)
  mutating func change(_ side: Side, _ tick: Int, _ lots: Int64) {
    updateID &+= 1 &+ Int64(truncatingIfNeeded: random.next() >> 62)
    if firstUpdateID == 0 { firstUpdateID = updateID }
    let lots = clients.isEmpty ? lots : clients.keep(side, tick, lots)
    if side == .bid { bids.set(tick, lots) } else { asks.set(tick, lots) }
  }

  private static func nanos(_ seconds: Double) -> Int64 { max(1, Int64(seconds * 1e9)) }
}

/// The size and distance distributions, shared by all instruments.
///
/// Sendable although its tables hold pointers: they are written while they are made and only read afterwards.
final class FlowTables: @unchecked Sendable {
  static let shared = FlowTables()

  let tradeSize = QuantileTable.heavyTailed(tailExponent: FlowParameters.tradeTailExponent)
  let quoteSize = QuantileTable.heavyTailed(tailExponent: FlowParameters.quoteTailExponent)
  /// Cells from the touch at which levels are requoted.
  let requoteCells = QuantileTable.exponential(mean: 14)
}

extension SymbolMarket {
  /// Calls `body` with the best levels of a side, best first, at most `limit` of them.
  func forEachBest(_ limit: Int, _ side: Side, _ body: (_ tick: Int, _ lots: Int64) -> Void) {
    var left = limit
    switch side {
    case .bid:
      var tick = bestBid
      while left > 0, tick >= centre - profile.reach {
        let lots = bids[tick]
        if lots > 0 {
          body(tick, lots)
          left -= 1
        }
        tick -= 1
      }
    case .ask:
      var tick = bestAsk
      while left > 0, tick <= centre + profile.reach {
        let lots = asks[tick]
        if lots > 0 {
          body(tick, lots)
          left -= 1
        }
        tick += 1
      }
    }
  }
}
