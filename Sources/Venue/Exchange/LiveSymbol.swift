import Core

/// An aggregate trade as kept for REST; its id follows from its place.
struct StoredTrade {
  var firstTradeID: Int64
  var lastTradeID: Int64
  var timeMs: Int64
  var price: Int64
  var quantity: Int64
  var buyerIsMaker: Bool
}

/// The latest aggregate trades with consecutive ids. Bound: ``countMax``; the oldest go first.
struct TradeHistory {
  let countMax: Int
  private var ring: [StoredTrade] = []
  private var head = 0
  /// Id of the oldest kept.
  private(set) var firstID: Int64 = 0

  init(countMax: Int) { self.countMax = max(1, countMax) }

  var count: Int { ring.count }
  var endID: Int64 { firstID + Int64(ring.count) }

  /// Trades whose ids do not follow restart the history.
  mutating func append(_ trade: StoredTrade, id: Int64) {
    if ring.isEmpty || id != endID {
      if id < endID, !ring.isEmpty { return }
      ring.removeAll(keepingCapacity: true)
      head = 0
      firstID = id
    }
    if ring.count < countMax {
      ring.append(trade)
    } else {
      ring[head] = trade
      head = head + 1 == countMax ? 0 : head + 1
      firstID += 1
    }
  }

  subscript(id: Int64) -> StoredTrade {
    let place = head + Int(id - firstID)
    return ring[place < ring.count ? place : place - ring.count]
  }

  /// The id of the first trade at or after a time.
  ///
  /// - Complexity: O(log n)
  func firstID(atOrAfter timeMs: Int64) -> Int64 {
    var low = firstID
    var high = endID
    while low < high {
      let middle = low + (high - low) / 2
      if self[middle].timeMs < timeMs { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// Sums since the exchange's start, which stand for the last 24 hours in tickers.
struct DayStatistics {
  var openTick = 0
  var highTick = 0
  var lowTick = 0
  var lastTick = 0
  var lastLots: Int64 = 0
  var lots: Int64 = 0
  var tickLots: Int64 = 0
  var firstTradeID: Int64 = 0
  var lastTradeID: Int64 = 0

  var tradeCount: Int64 { lots == 0 ? 0 : lastTradeID - firstTradeID + 1 }

  mutating func add(_ fill: Fill) {
    if lots == 0 {
      openTick = fill.tick
      highTick = fill.tick
      lowTick = fill.tick
      firstTradeID = fill.firstTradeID
    }
    highTick = max(highTick, fill.tick)
    lowTick = min(lowTick, fill.tick)
    lastTick = fill.tick
    lastLots = fill.lots
    lots += fill.lots
    // A busy market's sum of values may leave 64 bits after months; it then stays where it is.
    let (sum, overflow) = tickLots.addingReportingOverflow(Int64(fill.tick) * fill.lots)
    if !overflow { tickLots = sum }
    lastTradeID = fill.lastTradeID
  }
}

/// A slower depth stream: the windows since its last frame, put together.
struct SlowDepth {
  var bids: [Int] = []
  var asks: [Int] = []
  var firstUpdateID: Int64 = 0
  var updateIDBefore: Int64 = 0
  let head: [UInt8]
  let kind: VenueStreamKind

  mutating func reset(_ before: Int64) {
    bids.removeAll(keepingCapacity: true)
    asks.removeAll(keepingCapacity: true)
    firstUpdateID = 0
    updateIDBefore = before
  }

  static func sortedOnce(_ ticks: inout [Int]) {
    ticks.sort()
    var kept = 0
    for index in ticks.indices where index == 0 || ticks[index] != ticks[kept - 1] {
      ticks[kept] = ticks[index]
      kept += 1
    }
    ticks.removeLast(ticks.count - kept)
  }
}

/// Everything the exchange keeps for one symbol of a seeded market.
struct LiveSymbol: ~Copyable {
  /// Ticks from the mid to the last level. A side has at most 33 more levels than that, which a snapshot of
  /// 1000 holds whole, so that a client's book can equal the market's.
  static let reach = 960
  /// Above twice the reach, by more than the price band lets the mid move within a window.
  static let slotCount = 4096
  static let minutesMax = 1500

  var market: SymbolMarket
  var encoder: FrameEncoder
  /// Frames by ``VenueStreamKind``.
  var published = [Int64](repeating: 0, count: VenueStreamKind.allCases.count)
  var cvdLots: Int64 = 0
  var tradeCount: Int64 = 0
  var firstAggregateID: Int64 = 0
  var lastAggregateID: Int64 = 0
  var lastPublishedID: Int64
  var history: TradeHistory
  var minutes: [TradeLog.Minute] = []
  var day = DayStatistics()
  var slow: [SlowDepth]
  var derived: [DerivedStream] = []

  init(
    instrument: Instrument, random source: SeededRandom, start: UnixNanos, flowScale: Double,
    tradesKeptMax: Int
  ) {
    market = SymbolMarket(
      instrument: instrument, random: source.stream(0), start: start, flowScale: flowScale,
      reach: LiveSymbol.reach, slotCount: LiveSymbol.slotCount)
    encoder = FrameEncoder(instrument: instrument)
    lastPublishedID = market.updateID
    history = TradeHistory(countMax: tradesKeptMax)
    slow = [VenueStreamKind.depth250, .depth500].map {
      SlowDepth(
        head: FrameEncoder.head(instrument.symbol, $0.suffix, "depthUpdate") + Array(#""E":"#.utf8), kind: $0)
    }
  }

  mutating func note(_ fill: Fill, _ aggressor: Aggressor, timeMs: Int64) {
    if tradeCount == 0 { firstAggregateID = fill.aggregateID }
    tradeCount += 1
    lastAggregateID = fill.aggregateID
    cvdLots += aggressor == .buyer ? fill.lots : -fill.lots
    day.add(fill)
    history.append(
      StoredTrade(
        firstTradeID: fill.firstTradeID, lastTradeID: fill.lastTradeID, timeMs: timeMs,
        price: Int64(fill.tick) * market.instrument.tickUnits, quantity: fill.lots,
        buyerIsMaker: aggressor == .seller), id: fill.aggregateID)
  }

  mutating func noteMinute() {
    if minutes.count == LiveSymbol.minutesMax { minutes.removeFirst() }
    minutes.append(market.trades.closedMinute)
  }
}
