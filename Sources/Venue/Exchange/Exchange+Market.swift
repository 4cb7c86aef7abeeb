import Core

/// From what happened in a market to what sessions get.
extension Exchange {
  private static let kindCount = VenueStreamKind.allCases.count

  func publish(_ step: MarketStep, _ index: Int) {
    if step.contains(.trade) { publishTrades(step, index) }
    if step.contains(.touch) { publishTouch(index) }
    if step.contains(.window) {
      if symbols[index].market.firstUpdateID != 0 { publishDepth(index) }
      publishClocked(step, index)
    }
    if !symbols[index].market.clientFills.isEmpty { settleMakers(index) }
  }

  /// Counts a frame; the stream to encode it for, or −1 when nobody listens.
  @inline(__always)
  private func listening(_ index: Int, _ kind: VenueStreamKind) -> Int {
    symbols[index].published[kind.rawValue] &+= 1
    return subscribed(index, kind)
  }

  @inline(__always)
  private func subscribed(_ index: Int, _ kind: VenueStreamKind) -> Int {
    let stream = Int(streamIndices[index &* Exchange.kindCount &+ kind.rawValue])
    return stream >= 0 && !table.streams[stream].subscribers.isEmpty ? stream : -1
  }

  func hasListeners(_ stream: Int) -> Bool {
    stream >= 0 && !table.streams[stream].subscribers.isEmpty
  }

  private func publishTrades(_ step: MarketStep, _ index: Int) {
    let time = symbols[index].market.now
    let timeMs = time / Nanoseconds.millisecond + skewMs
    let aggressor = symbols[index].market.trades.aggressor
    for position in symbols[index].market.trades.fills.indices {
      let fill = symbols[index].market.trades.fills[position]
      symbols[index].note(fill, aggressor, timeMs: timeMs)
      publishSingleTrades(fill, aggressor, time, index)
      let stream = listening(index, .aggregateTrade)
      if stream < 0 { continue }
      let begin = outbox.bytes.count
      symbols[index].encoder.aggregateTrade(fill, aggressor: aggressor, time: time, &outbox.bytes)
      deliver(stream, begin)
    }
    guard step.contains(.forced) else { return }
    let stream = listening(index, .forceOrder)
    let all = hasListeners(allForceOrders)
    if stream < 0, !all { return }
    let begin = outbox.bytes.count
    symbols[index].encoder.forceOrder(
      symbols[index].market.trades.fills, aggressor: aggressor, time: time, &outbox.bytes)
    let end = outbox.bytes.count
    if stream >= 0 { deliver(stream, begin) }
    if all { deliverCopy(allForceOrders, begin, end, index, .forceOrder) }
  }

  /// The trades an aggregate is made of, its lots spread evenly, what is left over on the first.
  private func publishSingleTrades(_ fill: Fill, _ aggressor: Aggressor, _ time: Int64, _ index: Int) {
    let stream = subscribed(index, .trade)
    if stream < 0 { return }
    let count = fill.lastTradeID - fill.firstTradeID + 1
    for id in fill.firstTradeID...fill.lastTradeID {
      symbols[index].published[VenueStreamKind.trade.rawValue] += 1
      let lots = fill.lots / count + (id == fill.firstTradeID ? fill.lots % count : 0)
      let begin = outbox.bytes.count
      symbols[index].encoder.trade(
        id: id, tick: fill.tick, lots: lots, aggressor: aggressor, time: time, &outbox.bytes)
      deliver(stream, begin)
    }
  }

  private func publishTouch(_ index: Int) {
    let stream = listening(index, .bookTicker)
    let all = hasListeners(allBookTickers)
    if stream < 0, !all { return }
    let begin = outbox.bytes.count
    symbols[index].encoder.bookTicker(symbols[index].market, &outbox.bytes)
    let end = outbox.bytes.count
    if stream >= 0 { deliver(stream, begin) }
    if all { deliverCopy(allBookTickers, begin, end, index, .bookTicker) }
  }

  private func publishDepth(_ index: Int) {
    let stream = listening(index, .depth)
    symbols[index].lastPublishedID = symbols[index].market.updateID
    if stream >= 0 {
      let begin = outbox.bytes.count
      symbols[index].encoder.depth(symbols[index].market, &outbox.bytes)
      deliver(stream, begin)
    }
  }

  /// Puts the window into the slower depth streams, and sends those that are due: one in 250 ms on average,
  /// at the third or second window, and one in 500 ms.
  private func publishSlowDepth(_ index: Int) {
    for place in symbols[index].slow.indices {
      let kind = symbols[index].slow[place].kind
      let stream = subscribed(index, kind)
      if stream < 0 {
        if symbols[index].slow[place].updateIDBefore != 0 { symbols[index].slow[place].reset(0) }
        continue
      }
      if symbols[index].slow[place].updateIDBefore == 0 {
        symbols[index].slow[place].reset(symbols[index].market.updateIDBefore)
      }
      symbols[index].slow[place].bids.append(contentsOf: symbols[index].market.bids.changed)
      symbols[index].slow[place].asks.append(contentsOf: symbols[index].market.asks.changed)
      if symbols[index].slow[place].firstUpdateID == 0 {
        symbols[index].slow[place].firstUpdateID = symbols[index].market.firstUpdateID
      }
      let pace = kind == .depth500 ? DepthPace.halfSecond : .quarterSecond
      guard pace.isDue(atWindow: symbols[index].market.windowCount),
        symbols[index].slow[place].firstUpdateID != 0
      else { continue }
      SlowDepth.sortedOnce(&symbols[index].slow[place].bids)
      SlowDepth.sortedOnce(&symbols[index].slow[place].asks)
      let slow = symbols[index].slow[place]
      let begin = outbox.bytes.count
      slow.bids.withUnsafeBufferPointer { bids in
        slow.asks.withUnsafeBufferPointer { asks in
          symbols[index].encoder.depth(
            symbols[index].market, head: slow.head, first: slow.firstUpdateID, before: slow.updateIDBefore,
            bids: bids, asks: asks, &outbox.bytes)
        }
      }
      symbols[index].published[kind.rawValue] += 1
      symbols[index].slow[place].reset(symbols[index].market.updateID)
      deliver(stream, begin)
    }
  }

  private func publishClocked(_ step: MarketStep, _ index: Int) {
    publishSlowDepth(index)
    let time = symbols[index].market.now
    if step.contains(.markPrice) {
      publishMarkPrice(index)
      publishTickers(index)
      if index == 0, !symbolLists.isEmpty { publishSymbolLists() }
    }
    if step.contains(.klineClose) {
      symbols[index].noteMinute()
      let stream = listening(index, .kline)
      if stream >= 0 {
        let begin = outbox.bytes.count
        symbols[index].encoder.kline(
          symbols[index].market.trades.closedMinute, closed: true, time: time, &outbox.bytes)
        deliver(stream, begin)
      }
    }
    if step.contains(.kline) {
      let stream = listening(index, .kline)
      if stream >= 0 {
        let begin = outbox.bytes.count
        symbols[index].encoder.kline(
          symbols[index].market.trades.minute, closed: false, time: time, &outbox.bytes)
        deliver(stream, begin)
      }
    }
    if !symbols[index].derived.isEmpty { publishDerived(index) }
  }

  private func publishMarkPrice(_ index: Int) {
    let stream = listening(index, .markPrice1s)
    if stream >= 0 {
      let begin = outbox.bytes.count
      symbols[index].encoder.markPrice(symbols[index].market, &outbox.bytes)
      deliver(stream, begin)
    }
    let slow = symbols[index].market.windowCount % 30 == 0 ? subscribed(index, .markPrice3s) : -1
    if slow >= 0 {
      symbols[index].published[VenueStreamKind.markPrice3s.rawValue] += 1
      let begin = beginFrame(slow)
      symbols[index].encoder.markPriceObject(
        symbols[index].market, time: symbols[index].market.now, &outbox.bytes)
      outbox.bytes.append(byte: 0x7D)
      deliver(slow, begin)
    }
  }

  private func publishTickers(_ index: Int) {
    for kind in [VenueStreamKind.miniTicker, .ticker] {
      let stream = subscribed(index, kind)
      if stream < 0 { continue }
      symbols[index].published[kind.rawValue] += 1
      let begin = beginFrame(stream)
      symbols[index].encoder.tickerObject(
        symbols[index].market, symbols[index].day, start: start, time: symbols[index].market.now,
        isMini: kind == .miniTicker, &outbox.bytes)
      outbox.bytes.append(byte: 0x7D)
      deliver(stream, begin)
    }
  }

  // MARK: Handing out

  /// Writes a combined frame up to its data; where it begins.
  func beginFrame(_ stream: Int) -> Int {
    let begin = outbox.bytes.count
    outbox.bytes.append("{\"stream\":\"")
    outbox.bytes.append(table.streams[stream].name)
    outbox.bytes.append("\",\"data\":")
    return begin
  }

  /// Hands out the combined frame written from `begin` on.
  @inline(__always)
  func deliver(_ stream: Int, _ begin: Int) {
    let count = outbox.bytes.count &- begin
    if table.streams[stream].isFaulted {
      deliverFaulted(stream, begin, count)
    } else {
      hand(stream, begin, count)
    }
  }

  /// The same event under the name of a stream over all symbols.
  private func deliverCopy(_ stream: Int, _ begin: Int, _ end: Int, _ index: Int, _ kind: VenueStreamKind) {
    let head = symbolNames[index].utf8.count + kind.suffix.utf8.count + 21
    table.streams[stream].published += 1
    let data = Array(outbox.bytes.bytes[begin + head..<end - 1])
    let place = beginFrame(stream)
    data.withUnsafeBytes { outbox.bytes.append(bytes: $0) }
    outbox.bytes.append(byte: 0x7D)
    deliver(stream, place)
  }

  /// Gives a combined frame to all subscribers, raw ones its data.
  @inline(__always)
  func hand(_ stream: Int, _ begin: Int, _ count: Int) {
    let head = table.streams[stream].headBytes
    table.streams[stream].sent &+= Int64(table.streams[stream].subscribers.count)
    for position in table.streams[stream].subscribers.indices {
      let subscriber = table.streams[stream].subscribers[position]
      if subscriber.isRaw {
        outbox.send(subscriber.session, begin &+ head, count &- head &- 1)
      } else {
        outbox.send(subscriber.session, begin, count)
      }
    }
  }
}
