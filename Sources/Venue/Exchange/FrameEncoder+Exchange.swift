import Core

/// Frames of the exchange that the generated market does not have.
extension FrameEncoder {
  /// A single trade, combined.
  func trade(
    id: Int64, tick: Int, lots: Int64, aggressor: Aggressor, time: Int64, _ writer: inout ByteWriter
  ) {
    append(FrameEncoder.head(instrument.symbol, "trade", "trade"), &writer)
    writer.append(#""E":"#)
    writer.append(integer: milliseconds(time))
    writer.append(#","T":"#)
    writer.append(integer: milliseconds(time))
    writer.append(#","s":""#)
    writer.append(instrument.symbol)
    writer.append(#"","t":"#)
    writer.append(integer: id)
    writer.append(#","p":""#)
    price(tick, &writer)
    writer.append(#"","q":""#)
    quantity(lots, &writer)
    writer.append(aggressor == .seller ? #"","X":"MARKET","m":true}}"# : #"","X":"MARKET","m":false}}"#)
  }

  /// The best levels and the ids of the changes since the frame before, combined.
  func partialDepth(
    _ market: borrowing SymbolMarket, head: [UInt8], levels: Int, first: Int64, before: Int64,
    _ writer: inout ByteWriter
  ) {
    append(head, &writer)
    writer.append(integer: milliseconds(market.now))
    writer.append(#","T":"#)
    writer.append(integer: milliseconds(market.bookTime))
    writer.append(#","s":""#)
    writer.append(instrument.symbol)
    writer.append(#"","U":"#)
    writer.append(integer: first)
    writer.append(#","u":"#)
    writer.append(integer: market.updateID)
    writer.append(#","pu":"#)
    writer.append(integer: before)
    writer.append(#","b":["#)
    var isFirst = true
    market.forEachBest(levels, .bid) { level($0, $1, &isFirst, &writer) }
    writer.append(#"],"a":["#)
    isFirst = true
    market.forEachBest(levels, .ask) { level($0, $1, &isFirst, &writer) }
    writer.append("]}}")
  }

  /// A `24hrMiniTicker` or `24hrTicker`, without a frame around it. Their window is the time since the
  /// exchange's start.
  func tickerObject(
    _ market: borrowing SymbolMarket, _ day: DayStatistics, start: Int64, time: Int64, isMini: Bool,
    _ writer: inout ByteWriter
  ) {
    let empty = day.lots == 0
    let last = empty ? market.bestBid : day.lastTick
    let open = empty ? last : day.openTick
    writer.append(isMini ? #"{"e":"24hrMiniTicker","E":"# : #"{"e":"24hrTicker","E":"#)
    writer.append(integer: milliseconds(time))
    writer.append(#","s":""#)
    writer.append(instrument.symbol)
    writer.append(#"","#)
    if !isMini {
      text("p", &writer) { price(last - open, &$0) }
      text("P", &writer) { $0.append(change(open, last)) }
      text("w", &writer) { price(average(day, last), &$0) }
    }
    text("c", &writer) { price(last, &$0) }
    if !isMini { text("Q", &writer) { quantity(day.lastLots, &$0) } }
    text("o", &writer) { price(open, &$0) }
    text("h", &writer) { price(empty ? last : day.highTick, &$0) }
    text("l", &writer) { price(empty ? last : day.lowTick, &$0) }
    text("v", &writer) { quantity(day.lots, &$0) }
    text("q", &writer) { value(day.tickLots, &$0) }
    if !isMini {
      writer.append(#""O":"#)
      writer.append(integer: milliseconds(start))
      writer.append(#","C":"#)
      writer.append(integer: milliseconds(time))
      writer.append(#","F":"#)
      writer.append(integer: day.firstTradeID)
      writer.append(#","L":"#)
      writer.append(integer: day.lastTradeID)
      writer.append(#","n":"#)
      writer.append(integer: day.tradeCount)
    } else {
      writer.truncate(to: writer.count - 1)
    }
    writer.append(byte: 0x7D)
  }

  /// The change between two prices in percent, three decimals.
  func change(_ open: Int, _ last: Int) -> String {
    DecimalScale(3).text(open == 0 ? 0 : Int64(last - open) * 100_000 / Int64(open))
  }

  /// The volume-weighted mean price in ticks.
  func average(_ day: DayStatistics, _ last: Int) -> Int {
    day.lots == 0 ? last : Int(day.tickLots / day.lots)
  }

  private func text(_ key: StaticString, _ writer: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
    writer.append(byte: 0x22)
    writer.append(key)
    writer.append(#"":""#)
    body(&writer)
    writer.append(#"","#)
  }
}
