import Core

/// The trades of the current order and the one-minute bar they belong to.
struct TradeLog {
  struct Minute {
    /// Minutes since 1970.
    var index: Int64 = 0
    var tradeCount: Int64 = 0
    var firstTradeID: Int64 = 0
    var lastTradeID: Int64 = 0
    var openTick = 0
    var highTick = 0
    var lowTick = 0
    var closeTick = 0
    var lots: Int64 = 0
    var buyerLots: Int64 = 0
    /// Σ tick · lots.
    var tickLots: Int64 = 0
    var buyerTickLots: Int64 = 0
  }

  private(set) var fills: [Fill] = []
  private(set) var aggressor = Aggressor.buyer
  private(set) var minute = Minute()
  /// The minute that ended last; valid at a `klineClose` step.
  private(set) var closedMinute = Minute()
  private var closeIsDue = false
  private var aggregateID: Int64
  private var tradeID: Int64

  init(_ random: inout SeededRandom) {
    aggregateID = 2_000_000_000 + Int64(random.below(1_000_000_000))
    tradeID = 5_000_000_000 + Int64(random.below(1_000_000_000))
    fills.reserveCapacity(SymbolMarket.levelsTakenMax)
  }

  mutating func begin(aggressor: Aggressor, time: Int64) {
    fills.removeAll(keepingCapacity: true)
    self.aggressor = aggressor
    let index = time / Nanoseconds.minute
    if index != minute.index { turnMinute(to: index) }
  }

  /// One level's trade; it met one to four resting orders, or as many as it is known to have met.
  mutating func add(tick: Int, lots: Int64, ordersMin: Int64 = 1, _ random: inout SeededRandom) {
    let first = tradeID
    tradeID += max(ordersMin, 1 + min(lots - 1, Int64(truncatingIfNeeded: random.next() >> 62)))
    fills.append(
      Fill(aggregateID: aggregateID, firstTradeID: first, lastTradeID: tradeID - 1, tick: tick, lots: lots))
    aggregateID += 1
    if minute.tradeCount == 0 {
      minute.firstTradeID = first
      minute.openTick = tick
      minute.highTick = tick
      minute.lowTick = tick
    }
    minute.tradeCount += tradeID - first
    minute.lastTradeID = tradeID - 1
    minute.highTick = max(minute.highTick, tick)
    minute.lowTick = min(minute.lowTick, tick)
    minute.closeTick = tick
    minute.lots += lots
    minute.tickLots += Int64(tick) * lots
    if aggressor == .buyer {
      minute.buyerLots += lots
      minute.buyerTickLots += Int64(tick) * lots
    }
  }

  /// True once for each minute with trades that has ended.
  mutating func closeMinute(before now: Int64) -> Bool {
    let index = now / Nanoseconds.minute
    if index != minute.index { turnMinute(to: index) }
    defer { closeIsDue = false }
    return closeIsDue
  }

  private mutating func turnMinute(to index: Int64) {
    if minute.tradeCount > 0 {
      closedMinute = minute
      closeIsDue = true
    }
    minute = Minute()
    minute.index = index
  }
}
