import Core

/// A client's order met by a taker.
struct ClientFill {
  var orderID: Int64
  var tick: Int
  var lots: Int64
  var tradeID: Int64
}

/// Where clients' orders stand among the anonymous quantity of their levels.
///
/// A level of the ladder is one number, as most of it belongs to nobody in particular. Only levels on which a
/// client's order rests need a queue: a run of client orders, each with the anonymous lots that stand between
/// it and the client order before it. What stands behind the last one is the level's quantity less all that.
///
/// - A new order joins at the end: everything on the level is ahead of it.
/// - A taker eats from the front.
/// - Anonymous additions join at the end.
/// - Anonymous cancels leave from the end, youngest first, and never take a client's lots. So a client moves up
///   in its queue by trades only, which is the cautious assumption.
/// - An order outside the market's window of ticks is parked, unseen in the book; when the window reaches its
///   tick it joins behind what rests there.
struct ClientQueues {
  struct Entry {
    var orderID: Int64
    var lots: Int64
    /// Anonymous lots between the client order before it (or the queue's front) and this one.
    var ahead: Int64
  }

  private var bids: [Int: [Entry]] = [:]
  private var asks: [Int: [Entry]] = [:]
  private var parkedBids: [Int: [Entry]] = [:]
  private var parkedAsks: [Int: [Entry]] = [:]
  private(set) var isEmpty = true
  private(set) var hasParked = false

  func queue(_ side: Side, _ tick: Int) -> [Entry] { (side == .bid ? bids[tick] : asks[tick]) ?? [] }

  private mutating func set(_ side: Side, _ tick: Int, _ queue: [Entry]) {
    let kept = queue.isEmpty ? nil : queue
    if side == .bid { bids[tick] = kept } else { asks[tick] = kept }
    isEmpty = bids.isEmpty && asks.isEmpty
  }

  private mutating func setParked(_ side: Side, _ tick: Int, _ queue: [Entry]?) {
    if side == .bid { parkedBids[tick] = queue } else { parkedAsks[tick] = queue }
    hasParked = !parkedBids.isEmpty || !parkedAsks.isEmpty
  }

  /// Clients' lots on a level.
  func lots(_ side: Side, _ tick: Int) -> Int64 { queue(side, tick).reduce(0) { $0 + $1.lots } }

  /// A level is about to hold `lots`: cancels what must go, youngest first, and says what the level then holds.
  mutating func keep(_ side: Side, _ tick: Int, _ lots: Int64) -> Int64 {
    var queue = queue(side, tick)
    if queue.isEmpty { return lots }
    let own = queue.reduce(0) { $0 + $1.lots }
    var excess = queue.reduce(0) { $0 + $1.ahead } - max(0, lots - own)
    if excess > 0 {
      for index in queue.indices.reversed() where excess > 0 {
        let leaving = min(excess, queue[index].ahead)
        queue[index].ahead -= leaving
        excess -= leaving
      }
      set(side, tick, queue)
    }
    return max(lots, own)
  }

  /// An order joins the end of its level, which holds `resting` lots.
  mutating func append(_ side: Side, _ tick: Int, orderID: Int64, lots: Int64, resting: Int64) {
    var queue = queue(side, tick)
    let known = queue.reduce(0) { $0 + $1.lots + $1.ahead }
    queue.append(Entry(orderID: orderID, lots: lots, ahead: max(0, resting - known)))
    set(side, tick, queue)
  }

  mutating func park(_ side: Side, _ tick: Int, orderID: Int64, lots: Int64) {
    let parked = side == .bid ? parkedBids[tick] : parkedAsks[tick]
    setParked(side, tick, (parked ?? []) + [Entry(orderID: orderID, lots: lots, ahead: 0)])
  }

  /// Takes a level's queue out of the book.
  mutating func park(_ side: Side, _ tick: Int) {
    let queue = queue(side, tick)
    if queue.isEmpty { return }
    set(side, tick, [])
    let parked = side == .bid ? parkedBids[tick] : parkedAsks[tick]
    setParked(side, tick, (parked ?? []) + queue.map { Entry(orderID: $0.orderID, lots: $0.lots, ahead: 0) })
  }

  /// The orders parked at a tick, which are no longer parked.
  mutating func unpark(_ side: Side, _ tick: Int) -> [Entry] {
    guard let queue = side == .bid ? parkedBids[tick] : parkedAsks[tick] else { return [] }
    setParked(side, tick, nil)
    return queue
  }

  /// Removes an order; its lots if it stood in the book, 0 if it was parked, nil if it is not known.
  mutating func remove(_ side: Side, _ tick: Int, orderID: Int64) -> Int64? {
    var queue = queue(side, tick)
    if let index = queue.firstIndex(where: { $0.orderID == orderID }) {
      let entry = queue.remove(at: index)
      // What stood ahead of it stands ahead of the next one now; at the end nobody counts it.
      if index < queue.count { queue[index].ahead += entry.ahead }
      set(side, tick, queue)
      return entry.lots
    }
    if var parked = side == .bid ? parkedBids[tick] : parkedAsks[tick],
      let index = parked.firstIndex(where: { $0.orderID == orderID })
    {
      parked.remove(at: index)
      setParked(side, tick, parked.isEmpty ? nil : parked)
      return 0
    }
    return nil
  }

  /// A taker eats `lots` from the front of a level.
  mutating func consume(_ side: Side, _ tick: Int, _ lots: Int64) -> [ClientFill] {
    var queue = queue(side, tick)
    var left = lots
    var fills: [ClientFill] = []
    var gone = 0
    for index in queue.indices where left > 0 {
      let anonymous = min(left, queue[index].ahead)
      queue[index].ahead -= anonymous
      left -= anonymous
      let own = min(left, queue[index].lots)
      if own == 0 { break }
      queue[index].lots -= own
      left -= own
      fills.append(ClientFill(orderID: queue[index].orderID, tick: tick, lots: own, tradeID: 0))
      if queue[index].lots > 0 { break }
      gone += 1
    }
    queue.removeFirst(gone)
    set(side, tick, queue)
    return fills
  }
}
