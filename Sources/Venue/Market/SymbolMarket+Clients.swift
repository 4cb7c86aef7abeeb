import Core

/// What orders of clients do to the book, and what trades do to orders of clients.
extension SymbolMarket {
  /// Levels one client order may take.
  static let clientLevelsMax = 4096

  /// Makes ready for changes from outside the market's own flow, at a time not before ``now``.
  mutating func beginOutside(at time: Int64) {
    if windowIsPublished { openWindow() }
    now = max(now, time)
    clientFills.removeAll(keepingCapacity: true)
    trades.begin(aggressor: .buyer, time: now)
  }

  /// After changes from outside: moves the window of ticks and says what to publish.
  mutating func endOutside() -> MarketStep {
    followPrice()
    if firstUpdateID != 0, !bids.changed.isEmpty || !asks.changed.isEmpty { bookTime = now }
    var step: MarketStep = trades.fills.isEmpty ? [] : .trade
    let current = touch
    if current != published {
      published = current
      step.insert(.touch)
    }
    return step
  }

  /// Gives the book's state an id of its own inside the window, so that the window's frame bridges a snapshot
  /// of it (`U ≤ L ≤ u`) also when nothing has changed yet.
  mutating func markState() {
    if windowIsPublished { openWindow() }
    if firstUpdateID == 0 {
      updateID &+= 1
      firstUpdateID = updateID
    }
  }

  /// Lots that an order could take at once up to its limit.
  func available(buys: Bool, limit: Int, wanted: Int64) -> Int64 {
    var found: Int64 = 0
    var tick = buys ? bestAsk : bestBid
    while found < wanted, buys ? tick <= min(limit, centre + profile.reach) : tick >= max(limit, centre - profile.reach) {
      found += buys ? asks[tick] : bids[tick]
      tick += buys ? 1 : -1
    }
    return min(found, wanted)
  }

  /// A client's order takes what rests up to its limit; what it leaves untaken is returned.
  mutating func take(buys: Bool, lots: Int64, limit: Int) -> Int64 {
    trades.begin(aggressor: buys ? .buyer : .seller, time: now)
    var left = lots
    for _ in 0..<SymbolMarket.clientLevelsMax where left > 0 {
      let tick = buys ? bestAsk : bestBid
      if buys ? tick > limit : tick < limit { break }
      let resting = buys ? asks[tick] : bids[tick]
      if left < resting {
        trade(buys ? .ask : .bid, tick, left)
        return 0
      }
      guard isWithinBand else { break }
      tradeWhole(buys ? .ask : .bid, tick)
      left -= resting
    }
    return left
  }

  /// A client's order joins its level, or is parked outside the window of ticks. It must not cross.
  mutating func rest(_ side: Side, _ tick: Int, orderID: Int64, lots: Int64) {
    assert(side == .bid ? tick < bestAsk : tick > bestBid)
    guard abs(tick - centre) <= profile.reach else {
      clients.park(side, tick, orderID: orderID, lots: lots)
      return
    }
    let resting = side == .bid ? bids[tick] : asks[tick]
    clients.append(side, tick, orderID: orderID, lots: lots, resting: resting)
    change(side, tick, resting + lots)
    if side == .bid { bestBid = max(bestBid, tick) } else { bestAsk = min(bestAsk, tick) }
  }

  /// Takes a client's order out of the book.
  mutating func withdraw(_ side: Side, _ tick: Int, orderID: Int64) {
    guard let lots = clients.remove(side, tick, orderID: orderID), lots > 0 else { return }
    let left = (side == .bid ? bids[tick] : asks[tick]) - lots
    if left == 0, tick == (side == .bid ? bestBid : bestAsk) {
      if side == .bid { emptyBestBid() } else { emptyBestAsk() }
    } else {
      change(side, tick, left)
    }
  }

  /// `lots` of a level are traded, fewer than rest there.
  mutating func trade(_ side: Side, _ tick: Int, _ lots: Int64) {
    let met = clients.isEmpty ? [] : clients.consume(side, tick, lots)
    change(side, tick, (side == .bid ? bids[tick] : asks[tick]) - lots)
    record(tick, lots, met)
  }

  /// The whole best level is traded.
  mutating func tradeWhole(_ side: Side, _ tick: Int) {
    let lots = side == .bid ? bids[tick] : asks[tick]
    let met = clients.isEmpty ? [] : clients.consume(side, tick, lots)
    if side == .bid { emptyBestBid() } else { emptyBestAsk() }
    record(tick, lots, met)
  }

  private mutating func record(_ tick: Int, _ lots: Int64, _ met: [ClientFill]) {
    let others = met.reduce(0) { $0 + $1.lots } < lots ? 1 : 0
    trades.add(tick: tick, lots: lots, ordersMin: Int64(met.count + others), &random)
    guard !met.isEmpty, let fill = trades.fills.last else { return }
    for (index, var one) in met.enumerated() {
      one.tradeID = fill.firstTradeID + Int64(index)
      clientFills.append(one)
    }
  }

  /// The window of ticks leaves a level behind.
  mutating func leave(_ side: Side, _ tick: Int) {
    if !clients.isEmpty { clients.park(side, tick) }
    change(side, tick, 0)
  }

  /// The window of ticks has reached a tick at which orders may be parked.
  mutating func enter(_ side: Side, _ tick: Int) {
    for entry in clients.unpark(side, tick) {
      let resting = side == .bid ? bids[tick] : asks[tick]
      clients.append(side, tick, orderID: entry.orderID, lots: entry.lots, resting: resting)
      change(side, tick, resting + entry.lots)
    }
  }

  /// Calls `body` with a side's levels as the last published depth frame left them, best first.
  func forEachPublished(_ side: Side, _ body: (_ tick: Int, _ lots: Int64) -> Void) {
    var changed: [Int: Int64] = [:]
    if !windowIsPublished {
      for origin in side == .bid ? bids.changedFrom : asks.changedFrom { changed[origin.tick] = origin.quantity }
    }
    let ends = changed.keys
    let low = min(centre - profile.reach, ends.min() ?? .max)
    let high = max(centre + profile.reach, ends.max() ?? .min)
    for offset in 0...(high - low) {
      let tick = side == .bid ? high - offset : low + offset
      let isLive = abs(tick - centre) <= profile.reach
      let lots = changed[tick] ?? (isLive ? (side == .bid ? bids[tick] : asks[tick]) : 0)
      if lots > 0 { body(tick, lots) }
    }
  }
}
