import Core

/// From what happened in a market to what is put on its way.
extension MarketGenerator {
  mutating func publish(_ step: MarketStep, _ index: Int) {
    if step.contains(.trade) { publishTrades(step, index) }
    if step.contains(.touch) {
      lanes[index].reference.quote(lanes[index].market.touch)
      lanes[index].encoder.bookTicker(lanes[index].market, &lines[MarketGenerator.publicLine].bytes)
      send(.bookTicker, index, id: lanes[index].market.updateID)
    }
    if step.contains(.window) {
      if lanes[index].market.firstUpdateID != 0 { publishDepth(index) }
      publishClocked(step, index)
    }
  }

  private mutating func publishTrades(_ step: MarketStep, _ index: Int) {
    let line = MarketGenerator.marketLine
    let time = lanes[index].market.now
    let aggressor = lanes[index].market.trades.aggressor
    for position in lanes[index].market.trades.fills.indices {
      let fill = lanes[index].market.trades.fills[position]
      lanes[index].reference.trade(fill.lots, aggressor)
      lanes[index].encoder.aggregateTrade(fill, aggressor: aggressor, time: time, &lines[line].bytes)
      send(.aggregateTrade, index, id: fill.aggregateID)
    }
    if step.contains(.forced) {
      lanes[index].encoder.forceOrder(
        lanes[index].market.trades.fills, aggressor: aggressor, time: time, &lines[line].bytes)
      send(.forceOrder, index, id: 0)
    }
  }

  private mutating func publishClocked(_ step: MarketStep, _ index: Int) {
    let line = MarketGenerator.marketLine
    let time = lanes[index].market.now
    if step.contains(.markPrice) {
      lanes[index].encoder.markPrice(lanes[index].market, &lines[line].bytes)
      send(.markPrice, index, id: 0)
    }
    if step.contains(.klineClose) {
      lanes[index].encoder.kline(
        lanes[index].market.trades.closedMinute, closed: true, time: time, &lines[line].bytes)
      send(.kline, index, id: 0)
    }
    if step.contains(.kline) {
      lanes[index].encoder.kline(
        lanes[index].market.trades.minute, closed: false, time: time, &lines[line].bytes)
      send(.kline, index, id: 0)
    }
  }

  /// Sends what was encoded last, twice where the script says so.
  @inline(__always)
  private mutating func send(_ stream: MarketStream, _ index: Int, id: Int64) {
    let line = stream == .bookTicker ? MarketGenerator.publicLine : MarketGenerator.marketLine
    let time = lanes[index].market.now
    let verdict = lanes[index].script.judge(stream, elapsedMs: elapsedMs(time))
    let copies = verdict == .deliverTwice ? 2 : 1
    let received = lines[line].send(stream, symbol: index, time: time, copies: copies)
    lanes[index].account.frames[Int(stream.rawValue)] += Int64(copies)
    if copies == 2 { noteDuplicate(stream, index, id: id, received: received) }
  }

  private mutating func publishDepth(_ index: Int) {
    let line = MarketGenerator.publicLine
    let time = lanes[index].market.now
    let updateID = lanes[index].market.updateID
    let verdict = lanes[index].script.judge(.depth, elapsedMs: elapsedMs(time))
    switch verdict {
    case .loseFirst:
      lanes[index].account.openGap = SymbolAccount.Gap(
        lastBefore: lanes[index].account.lastDepthUpdateID, framesLost: 1)
      return
    case .lose:
      lanes[index].account.openGap.framesLost += 1
      return
    case .deliver, .deliverTwice, .deliverAfterLoss, .hold, .deliverBeforeHeld: break
    }

    lanes[index].encoder.depth(lanes[index].market, &lines[line].bytes)
    lanes[index].reader.apply(lanes[index].market)
    lanes[index].account.depthEvents += 1
    lanes[index].account.depthLevels += Int64(
      lanes[index].market.bids.changed.count + lanes[index].market.asks.changed.count)
    lanes[index].account.lastDepthUpdateID = updateID
    if verdict == .hold {
      lanes[index].held = (lines[line].withdraw(), updateID)
      return
    }
    let copies = verdict == .deliverTwice ? 2 : 1
    let received = lines[line].send(.depth, symbol: index, time: time, copies: copies)
    lanes[index].account.frames[Int(MarketStream.depth.rawValue)] += Int64(copies)

    switch verdict {
    case .deliverTwice: noteDuplicate(.depth, index, id: updateID, received: received)
    case .deliverAfterLoss: closeGap(index, received: received)
    case .deliverBeforeHeld: releaseHeld(index, overtakenBy: updateID)
    case .deliver, .hold, .lose, .loseFirst: break
    }
  }

  private mutating func noteDuplicate(_ stream: MarketStream, _ index: Int, id: Int64, received: Int64) {
    lanes[index].account.duplicates.append(
      SymbolAccount.Duplicate(stream: stream, id: id, time: receiveTime(received)))
    lanes[index].planStaleFetch(options.start)
  }

  /// The first frame after a hole: a reader now sees it, and fetches.
  private mutating func closeGap(_ index: Int, received: Int64) {
    let now = lanes[index].market.now
    lanes[index].account.openGap.firstAfter = lanes[index].market.firstUpdateID
    lanes[index].account.openGap.time = receiveTime(received)
    if let stale = lanes[index].stale, stale.updateID < lanes[index].market.updateIDBefore {
      let arrival = received + Int64(50 + lanes[index].random.below(80)) * Nanoseconds.millisecond
      snapshots.append(SnapshotDelivery(time: arrival, bytes: stale.bytes, symbol: index))
      lanes[index].account.snapshots += 1
      lanes[index].account.staleSnapshots += 1
      lanes[index].account.openGap.staleSnapshot = true
    }
    lanes[index].stale = nil
    lanes[index].account.gaps.append(lanes[index].account.openGap)
    planFetch(index, after: now)
  }

  /// The frame that was overtaken follows; its chain is broken for a reader that keeps to the procedure,
  /// which fetches as after a hole.
  private mutating func releaseHeld(_ index: Int, overtakenBy updateID: Int64) {
    let line = MarketGenerator.publicLine
    let now = lanes[index].market.now
    lanes[index].held.bytes.withUnsafeBytes { lines[line].bytes.append(bytes: $0) }
    let received = lines[line].send(.depth, symbol: index, time: now)
    lanes[index].account.frames[Int(MarketStream.depth.rawValue)] += 1
    lanes[index].account.reorders.append(
      SymbolAccount.Reorder(
        deliveredFirst: updateID, deliveredSecond: lanes[index].held.updateID, time: receiveTime(received)))
    lanes[index].held.bytes = []
    planFetch(index, after: now)
  }

  /// A harvester's refetch: received 200–800 ms after the break was, taken of the book a round trip earlier.
  private mutating func planFetch(_ index: Int, after now: Int64) {
    let arrival = now + Int64(200 + lanes[index].random.below(600)) * Nanoseconds.millisecond
    lanes[index].fetchArrival = arrival
    lanes[index].fetchTime = arrival - Int64(30 + lanes[index].random.below(80)) * Nanoseconds.millisecond
    lanes[index].roundTrip = 20 * Nanoseconds.millisecond
    lanes[index].planStaleFetch(options.start)
  }

  /// Takes the snapshots that are due. It runs right after a change to the book, so that the id they carry is
  /// the id of a change in the current window, and the window's frame bridges them.
  mutating func fetchSnapshots(_ index: Int) {
    let now = lanes[index].market.now
    if now >= lanes[index].staleFetchTime {
      lanes[index].staleFetchTime = .max
      lanes[index].stale = (lanes[index].market.updateID, snapshotBytes(index))
    }
    if now >= lanes[index].fetchTime {
      lanes[index].fetchTime = .max
      let arrival = max(lanes[index].fetchArrival, now + lanes[index].roundTrip)
      snapshots.append(SnapshotDelivery(time: arrival, bytes: snapshotBytes(index), symbol: index))
      lanes[index].account.snapshots += 1
      lanes[index].reader.restart(lanes[index].market)
    }
  }

  private func snapshotBytes(_ index: Int) -> [UInt8] {
    var writer = ByteWriter(capacity: 1 << 16)
    lanes[index].encoder.snapshot(lanes[index].market, &writer)
    return Array(writer.bytes)
  }

  @inline(__always)
  private func elapsedMs(_ time: Int64) -> Int64 { (time - options.start.rawValue) / Nanoseconds.millisecond }
}
