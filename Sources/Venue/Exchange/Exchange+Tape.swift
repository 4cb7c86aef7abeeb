import Binance
import Core

/// Sending what a tape holds, and what can be made from it.
extension Exchange {
  /// More single trades than this in one aggregate are told as one.
  private static let singleTradesMax: Int64 = 1000

  /// Starts the tape's clock, or sends the record that is due.
  func stepTape(_ tape: TapeSource) {
    if tape.startClock(at: now) { return }
    guard let record = tape.record else { return }
    let changed = tape.absorb(record)
    if record.kind == .frame, let name = record.stream, let stream = table.find(name) {
      table.streams[stream].published += 1
      if table.streams[stream].isDerived { undo(stream) }
      if !table.streams[stream].subscribers.isEmpty {
        let begin = beginFrame(stream)
        outbox.bytes.append(bytes: record.data)
        outbox.bytes.append(byte: 0x7D)
        deliver(stream, begin)
      }
    }
    if record.kind == .frame { deliverSubstitutes(tape, record) }
    if let (symbol, change) = changed, !symbol.derived.isEmpty { publishDerived(symbol, change) }
    tape.advance()
  }

  // MARK: Streams that the tape does not have

  /// Makes a stream from the tape's book or aggregates if it is partial depth or single trades, of a symbol
  /// near the tape's start, and the tape has no frames of its name there. Where they come later, the tape's
  /// own frames end the derived ones.
  func derive(_ name: String, from tape: TapeSource, stream: Int) {
    guard !table.streams[stream].isDerived, !tape.streamsOnTape.contains(name),
      let (symbolName, content) = DerivedStream.Content.parse(name),
      let symbol = tape.symbol(named: symbolName)
    else { return }
    if case .kline = content { return }
    table.streams[stream].isDerived = true
    symbol.derived.append(DerivedStream(content, name: name, stream: stream))
  }

  private func undo(_ stream: Int) {
    guard let tape, let (name, _) = DerivedStream.Content.parse(table.streams[stream].name) else { return }
    tape.symbol(named: name)?.derived.removeAll { $0.stream == stream }
    table.streams[stream].isDerived = false
  }

  private func publishDerived(_ symbol: TapeSymbol, _ change: TapeChange) {
    for place in symbol.derived.indices {
      guard hasListeners(symbol.derived[place].stream) else {
        symbol.derived[place].rest()
        continue
      }
      switch (symbol.derived[place].content, change) {
      case (.partialDepth(let levels, let pace), .book): publishPartialDepth(symbol, place, levels, pace)
      case (.trade, .trade): publishSingleTrades(symbol, symbol.derived[place])
      default: break
      }
    }
  }

  private func publishPartialDepth(_ symbol: TapeSymbol, _ place: Int, _ levels: Int, _ pace: DepthPace) {
    let event = symbol.bookEvent
    symbol.derived[place].note(
      first: event.ids.first, before: event.ids.previousFinal ?? max(0, event.ids.first &- 1))
    // The tape's own frames are 100 ms apart or more; slower ones are the first of each stretch of time.
    let slot = pace == .everyWindow ? symbol.depthFrames : event.eventMs / pace.milliseconds
    if symbol.derived[place].slot == slot { return }
    symbol.derived[place].slot = slot
    let derived = symbol.derived[place]
    let id = symbol.snapshotID
    let begin = outbox.bytes.count
    derived.head.withUnsafeBytes { outbox.bytes.append(bytes: $0) }
    outbox.bytes.append(integer: event.eventMs)
    outbox.bytes.append(#","T":"#)
    outbox.bytes.append(integer: event.transactionMs)
    outbox.bytes.append(#","s":""#)
    outbox.bytes.append(symbol.name)
    outbox.bytes.append(#"","U":"#)
    outbox.bytes.append(integer: derived.firstUpdateID)
    outbox.bytes.append(#","u":"#)
    outbox.bytes.append(integer: id)
    outbox.bytes.append(#","pu":"#)
    outbox.bytes.append(integer: derived.lastUpdateID)
    outbox.bytes.append(#","b":["#)
    append(symbol, .bid, levels)
    outbox.bytes.append(#"],"a":["#)
    append(symbol, .ask, levels)
    outbox.bytes.append("]}}")
    symbol.derived[place].sent(id)
    publish(derived, begin)
  }

  private func append(_ symbol: TapeSymbol, _ side: Side, _ levels: Int) {
    withUnsafeTemporaryAllocation(of: Int64.self, capacity: 2 * levels) { room in
      guard let prices = room.baseAddress else { return }
      let quantities = prices + levels
      let count =
        side == .bid
        ? symbol.book.bids.copyTop(levels, prices: prices, quantities: quantities)
        : symbol.book.asks.copyTop(levels, prices: prices, quantities: quantities)
      for index in 0..<count {
        outbox.bytes.append(index == 0 ? #"[""# : #",[""#)
        outbox.bytes.append(decimal: prices[index], scale: symbol.instrument.priceScale)
        outbox.bytes.append(#"",""#)
        outbox.bytes.append(decimal: quantities[index], scale: symbol.instrument.quantityScale)
        outbox.bytes.append(#""]"#)
      }
    }
  }

  /// The trades an aggregate is made of, as a seeded market tells them. An aggregate whose ids or quantity
  /// cannot be spread is told as one trade.
  private func publishSingleTrades(_ symbol: TapeSymbol, _ derived: DerivedStream) {
    guard symbol.history.endID > symbol.history.firstID else { return }
    let trade = symbol.history[symbol.history.endID - 1]
    let (span, overflow) = trade.lastTradeID.subtractingReportingOverflow(trade.firstTradeID)
    let isSpread = !overflow && span >= 0 && span < min(Exchange.singleTradesMax, trade.quantity)
    let first = isSpread ? trade.firstTradeID : trade.lastTradeID
    let count = isSpread ? span + 1 : 1
    for number in 0..<count {
      let quantity = trade.quantity / count + (number == 0 ? trade.quantity % count : 0)
      let begin = outbox.bytes.count
      derived.head.withUnsafeBytes { outbox.bytes.append(bytes: $0) }
      outbox.bytes.append(integer: symbol.lastTradeEventMs)
      outbox.bytes.append(#","T":"#)
      outbox.bytes.append(integer: trade.timeMs)
      outbox.bytes.append(#","s":""#)
      outbox.bytes.append(symbol.name)
      outbox.bytes.append(#"","t":"#)
      outbox.bytes.append(integer: first + number)
      outbox.bytes.append(#","p":""#)
      outbox.bytes.append(decimal: trade.price, scale: symbol.instrument.priceScale)
      outbox.bytes.append(#"","q":""#)
      outbox.bytes.append(decimal: quantity, scale: symbol.instrument.quantityScale)
      outbox.bytes.append(trade.buyerIsMaker ? #"","X":"MARKET","m":true}}"# : #"","X":"MARKET","m":false}}"#)
      publish(derived, begin)
    }
  }
}
