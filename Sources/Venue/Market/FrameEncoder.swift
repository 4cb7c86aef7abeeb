import Core

/// One symbol's frames, byte for byte as the exchange writes them: the same keys in the same order.
///
/// Forms: depth, bookTicker and the REST snapshot as in the recordings of 2024-07-18, aggTrade as of 2021,
/// kline (with its blanks), forceOrder as captured in 2026. Times are whole milliseconds.
struct FrameEncoder {
  let instrument: Instrument
  private let depthHead: [UInt8]
  private let bookTickerHead: [UInt8]
  private let aggregateTradeHead: [UInt8]
  private let markPriceHead: [UInt8]
  private let klineHead: [UInt8]
  private let forceOrderHead: [UInt8]
  private let symbolField: [UInt8]
  /// Added to every stamp: the exchange's clock as an injected fault has set it.
  var skewMs: Int64 = 0

  static let snapshotLevelsMax = 1000

  init(instrument: Instrument) {
    self.instrument = instrument
    func head(_ stream: MarketStream, _ event: String) -> [UInt8] {
      FrameEncoder.head(instrument.symbol, "\(stream.suffix)", event)
    }
    depthHead = head(.depth, "depthUpdate") + Array(#""E":"#.utf8)
    bookTickerHead = head(.bookTicker, "bookTicker") + Array(#""u":"#.utf8)
    aggregateTradeHead = head(.aggregateTrade, "aggTrade") + Array(#""E":"#.utf8)
    markPriceHead = head(.markPrice, "markPriceUpdate") + Array(#""E":"#.utf8)
    klineHead = head(.kline, "kline") + Array(#""E":"#.utf8)
    forceOrderHead = head(.forceOrder, "forceOrder") + Array(#""E":"#.utf8)
    symbolField = Array(#","s":"\#(instrument.symbol)""#.utf8)
  }

  /// A combined frame's bytes up to its event's name.
  static func head(_ symbol: String, _ suffix: String, _ event: String) -> [UInt8] {
    Array((#"{"stream":"\#(symbol.lowercased())@\#(suffix)","data":{"e":"\#(event)","#).utf8)
  }

  /// The levels that changed in the market's window, in rising order of price.
  func depth(_ market: borrowing SymbolMarket, _ writer: inout ByteWriter) {
    depth(
      market, head: depthHead, first: market.firstUpdateID, before: market.updateIDBefore,
      bids: market.bids.changed, asks: market.asks.changed, &writer)
  }

  /// The same for the levels and ids of more than one window.
  func depth(
    _ market: borrowing SymbolMarket, head: [UInt8], first: Int64, before: Int64,
    bids: UnsafeBufferPointer<Int>, asks: UnsafeBufferPointer<Int>, _ writer: inout ByteWriter
  ) {
    append(head, &writer)
    writer.append(integer: milliseconds(market.now))
    writer.append(#","T":"#)
    writer.append(integer: milliseconds(market.bookTime))
    append(symbolField, &writer)
    writer.append(#","U":"#)
    writer.append(integer: first)
    writer.append(#","u":"#)
    writer.append(integer: market.updateID)
    writer.append(#","pu":"#)
    writer.append(integer: before)
    writer.append(#","b":["#)
    var isFirst = true
    for tick in bids { level(tick, market.bids[tick], &isFirst, &writer) }
    writer.append(#"],"a":["#)
    isFirst = true
    for tick in asks { level(tick, market.asks[tick], &isFirst, &writer) }
    writer.append("]}}")
  }

  func bookTicker(_ market: borrowing SymbolMarket, _ writer: inout ByteWriter) {
    let touch = market.touch
    append(bookTickerHead, &writer)
    writer.append(integer: market.updateID)
    append(symbolField, &writer)
    writer.append(#","b":""#)
    price(touch.bidTick, &writer)
    writer.append(#"","B":""#)
    quantity(touch.bidLots, &writer)
    writer.append(#"","a":""#)
    price(touch.askTick, &writer)
    writer.append(#"","A":""#)
    quantity(touch.askLots, &writer)
    writer.append(#"","T":"#)
    writer.append(integer: milliseconds(market.now))
    writer.append(#","E":"#)
    writer.append(integer: milliseconds(market.now))
    writer.append("}}")
  }

  func aggregateTrade(
    _ fill: Fill, aggressor: Aggressor, time: Int64, _ writer: inout ByteWriter
  ) {
    append(aggregateTradeHead, &writer)
    writer.append(integer: milliseconds(time))
    writer.append(#","a":"#)
    writer.append(integer: fill.aggregateID)
    append(symbolField, &writer)
    writer.append(#","p":""#)
    price(fill.tick, &writer)
    writer.append(#"","q":""#)
    quantity(fill.lots, &writer)
    writer.append(#"","f":"#)
    writer.append(integer: fill.firstTradeID)
    writer.append(#","l":"#)
    writer.append(integer: fill.lastTradeID)
    writer.append(#","T":"#)
    writer.append(integer: milliseconds(time))
    writer.append(aggressor == .seller ? #","m":true}}"# : #","m":false}}"#)
  }

  func markPrice(_ market: borrowing SymbolMarket, _ writer: inout ByteWriter) {
    append(markPriceHead, &writer)
    markPriceFields(market, market.now, &writer)
    writer.append("}}")
  }

  /// The event's object without a frame around it, of a moment at or after the market's last step.
  func markPriceObject(_ market: borrowing SymbolMarket, time: Int64, _ writer: inout ByteWriter) {
    writer.append(#"{"e":"markPriceUpdate","E":"#)
    markPriceFields(market, time, &writer)
    writer.append(byte: 0x7D)
  }

  /// Mark and index price with eight decimals: the mark is the mid, the index a little below it.
  func markAndIndex(_ market: borrowing SymbolMarket) -> (mark: Int64, index: Int64) {
    let toEight = powerOfTen(8 - instrument.priceScale.decimals)
    let mark = Int64(market.doubledMid) * instrument.tickUnits * toEight / 2
    return (mark, mark - mark / 20_000)
  }

  /// The next funding in milliseconds, at 0, 8 or 16 h UTC.
  func nextFundingMs(at time: Int64) -> Int64 {
    let funding = 8 * Nanoseconds.hour
    return milliseconds((time / funding + 1) * funding)
  }

  private func markPriceFields(_ market: borrowing SymbolMarket, _ time: Int64, _ writer: inout ByteWriter) {
    let decimals = 8
    let (mark, index) = markAndIndex(market)
    writer.append(integer: milliseconds(time))
    append(symbolField, &writer)
    writer.append(#","p":""#)
    writer.append(decimal: mark, decimals: decimals, trimmed: false)
    writer.append(#"","P":""#)
    writer.append(decimal: index + mark / 50_000, decimals: decimals, trimmed: false)
    writer.append(#"","i":""#)
    writer.append(decimal: index, decimals: decimals, trimmed: false)
    writer.append(#"","r":"0.00010000","T":"#)
    writer.append(integer: nextFundingMs(at: time))
  }

  func kline(_ minute: TradeLog.Minute, closed: Bool, time: Int64, _ writer: inout ByteWriter) {
    kline(
      minute, head: klineHead, interval: .oneMinute, isContinuous: false, closed: closed, time: time, &writer)
  }

  /// A bar of any length, whose index is its first minute; or one of a continuous contract.
  func kline(
    _ minute: TradeLog.Minute, head: [UInt8], interval: KlineInterval, isContinuous: Bool, closed: Bool,
    time: Int64, _ writer: inout ByteWriter
  ) {
    let open = minute.index * 60_000
    append(head, &writer)
    writer.append(integer: milliseconds(time))
    if isContinuous {
      writer.append(#","ps":""#)
      writer.append(instrument.symbol)
      writer.append(#"","ct":"PERPETUAL""#)
    } else {
      append(symbolField, &writer)
    }
    writer.append(#","k":{"t":"#)
    writer.append(integer: open)
    writer.append(#", "T":"#)
    writer.append(integer: open + interval.milliseconds - 1)
    if !isContinuous {
      writer.append(#", "s":""#)
      writer.append(instrument.symbol)
      writer.append(byte: 0x22)
    }
    writer.append(#", "i":""#)
    writer.append(interval.rawValue)
    writer.append(#"", "f":"#)
    writer.append(integer: minute.firstTradeID)
    writer.append(#", "L":"#)
    writer.append(integer: minute.lastTradeID)
    writer.append(#", "o":""#)
    price(minute.openTick, &writer)
    writer.append(#"", "c":""#)
    price(minute.closeTick, &writer)
    writer.append(#"", "h":""#)
    price(minute.highTick, &writer)
    writer.append(#"", "l":""#)
    price(minute.lowTick, &writer)
    writer.append(#"", "v":""#)
    quantity(minute.lots, &writer)
    writer.append(#"", "n":"#)
    writer.append(integer: minute.tradeCount)
    writer.append(closed ? #", "x":true, "q":""# : #", "x":false, "q":""#)
    value(minute.tickLots, &writer)
    writer.append(#"", "V":""#)
    quantity(minute.buyerLots, &writer)
    writer.append(#"", "Q":""#)
    value(minute.buyerTickLots, &writer)
    writer.append(#"", "B":"0"}}}"#)
  }

  /// The liquidation that made the fills; its average price is rounded to the price grid, as the exchange
  /// does.
  func forceOrder(_ fills: [Fill], aggressor: Aggressor, time: Int64, _ writer: inout ByteWriter) {
    guard let last = fills.last else { return }
    let lots = fills.reduce(0) { $0 + $1.lots }
    let tickLots = fills.reduce(0) { $0 + Int64($1.tick) * $1.lots }
    append(forceOrderHead, &writer)
    writer.append(integer: milliseconds(time))
    writer.append(#","o":{"s":""#)
    writer.append(instrument.symbol)
    writer.append(aggressor == .buyer ? #"","S":"BUY""# : #"","S":"SELL""#)
    writer.append(#","o":"LIMIT","f":"IOC","q":""#)
    quantity(lots, &writer)
    writer.append(#"","p":""#)
    price(last.tick, &writer)
    writer.append(#"","ap":""#)
    price(Int((tickLots + lots / 2) / lots), &writer)
    writer.append(#"","X":"FILLED","l":""#)
    quantity(last.lots, &writer)
    writer.append(#"","z":""#)
    quantity(lots, &writer)
    writer.append(#"","T":"#)
    writer.append(integer: milliseconds(time))
    writer.append("}}}")
  }

  /// The answer to `GET /fapi/v1/depth?limit=1000`, best levels first.
  func snapshot(
    _ market: borrowing SymbolMarket, levelsMax: Int = FrameEncoder.snapshotLevelsMax,
    _ writer: inout ByteWriter
  ) {
    writer.append(#"{"lastUpdateId":"#)
    writer.append(integer: market.updateID)
    writer.append(#","E":"#)
    writer.append(integer: milliseconds(market.now))
    writer.append(#","T":"#)
    writer.append(integer: milliseconds(market.bookTime))
    writer.append(#","bids":["#)
    var first = true
    market.forEachBest(levelsMax, .bid) { level($0, $1, &first, &writer) }
    writer.append(#"],"asks":["#)
    first = true
    market.forEachBest(levelsMax, .ask) { level($0, $1, &first, &writer) }
    writer.append("]}")
  }

  @inline(__always)
  func level(_ tick: Int, _ lots: Int64, _ first: inout Bool, _ writer: inout ByteWriter) {
    writer.append(first ? #"[""# : #",[""#)
    first = false
    price(tick, &writer)
    writer.append(#"",""#)
    quantity(lots, &writer)
    writer.append(#""]"#)
  }

  @inline(__always)
  func price(_ tick: Int, _ writer: inout ByteWriter) {
    writer.append(decimal: Int64(tick) * instrument.tickUnits, scale: instrument.priceScale)
  }

  @inline(__always)
  func quantity(_ lots: Int64, _ writer: inout ByteWriter) {
    writer.append(decimal: lots, scale: instrument.quantityScale)
  }

  func value(_ tickLots: Int64, _ writer: inout ByteWriter) {
    writer.append(
      decimal: tickLots * instrument.tickUnits,
      decimals: instrument.priceScale.decimals + instrument.quantityScale.decimals, trimmed: false)
  }

  @inline(__always)
  func append(_ bytes: [UInt8], _ writer: inout ByteWriter) {
    bytes.withUnsafeBytes { writer.append(bytes: $0) }
  }

  @inline(__always)
  func milliseconds(_ time: Int64) -> Int64 { time / Nanoseconds.millisecond &+ skewMs }
}
