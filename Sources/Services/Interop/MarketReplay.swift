import Binance
import Book
import Core
import Glibc
import Tape

/// What the market said at one moment, for other tools: a run of ``MarketLevel``s with both times.
struct MarketMessage {
  enum Kind: UInt8 {
    /// Levels that changed: absolute quantities, 0 removes.
    case depth
    /// The whole book, which replaces what was known.
    case snapshot
    /// One level: price and quantity, on the aggressor's side.
    case trade
    /// Two levels: best bid and best ask.
    case quote
  }

  var kind: Kind
  var exchangeNs: Int64
  var receiveNs: Int64
  /// The book's update id, or the trade's id.
  var id: Int64
  var firstLevel: Int
  var levelCount: Int
}

/// A price and a quantity in the instrument's units.
struct MarketLevel {
  var price: Int64
  var quantity: Int64
  var isBid: Bool
}

/// What a ``MarketReplay`` has met.
struct MarketReplayCounts: Equatable {
  var records: Int64 = 0
  var depth: Int64 = 0
  var snapshots: Int64 = 0
  var trades: Int64 = 0
  var quotes: Int64 = 0
  /// Levels of depth messages and snapshots.
  var levels: Int64 = 0
  /// Times the book was lost; until it is whole again it is not told.
  var gaps: Int64 = 0
  /// Known before, or of a second trade stream.
  var tradesRepeated: Int64 = 0
  /// Insurance fund and the like.
  var tradesExcluded: Int64 = 0
  /// Of this symbol, or of none that can be told.
  var unreadable: Int64 = 0
  /// Signed volume of the trades told, in the instrument's units.
  var cumulativeVolumeDelta: Int64 = 0
}

/// One symbol's market as a tape tells it, ready for tools that trust what they are fed.
///
/// **Problem.** Backtesters apply what they read: they know no update ids, no snapshots that come too late, no
/// trades that two connections brought. A tape has all of that.
///
/// **Why the obvious answer fails.** Depth frames handed on as they are give a wrong book after the first gap, and
/// nobody notices. Snapshots handed on as they arrive put an old book over newer events.
///
/// **Algorithm.** The same ``SynchronizedBook`` as the signal stage's, fed with the same records, decides. What it
/// applies is told as it came. Where it jumps (first synchronisation, after a gap, a snapshot adopted late) the
/// whole book is told instead. While it is out of sync nothing is told of the book: the last good one stands. Trades
/// are those that the CVD counts: one stream, each id once, late ones when they came.
///
/// **Times.** A message has the exchange's transaction time, or its event time where it has no other. A snapshot has
/// neither; its exchange time is its receive time less the newest depth event's latency.
///
/// **Bounds.** Messages and levels of one block of the tape; the caller takes them after each.
struct MarketReplay: ~Copyable {
  let symbol: String
  /// Receive times; what comes before only builds the book.
  private let range: Range<Int64>
  private var decoder: FrameDecoder
  private var book = SynchronizedBook()
  private var trades = TradeSequenceOfOneStream()
  private var lastTickerID = Int64.min
  private var lastExchangeNs: Int64 = 0
  private var latencyNs: Int64 = 0
  private var receiveNs: Int64 = 0
  private var isInside = false
  private var answered: [AnsweredTrade] = []

  private(set) var messages: [MarketMessage] = []
  private(set) var levels: [MarketLevel] = []
  private(set) var counts = MarketReplayCounts()

  init(symbol: String, instruments: InstrumentTable = InstrumentTable(), range: Range<Int64> = 0..<(.max)) {
    self.symbol = symbol
    self.range = range
    decoder = FrameDecoder(instruments: instruments)
  }

  /// Decimals of the symbol's prices and quantities; nil until a frame or snapshot has told.
  var instrument: Instrument? { decoder.instruments.symbols.find(symbol).flatMap { decoder.instruments[$0] } }

  /// Nothing later is told.
  var isOver: Bool { receiveNs >= range.upperBound }

  mutating func removeAll() {
    messages.removeAll(keepingCapacity: true)
    levels.removeAll(keepingCapacity: true)
  }

  /// Takes whole lines, as ``TapeReader/nextBlock()`` gives them.
  mutating func take(_ block: UnsafeRawBufferPointer) {
    guard let base = block.baseAddress else { return }
    var offset = 0
    while offset < block.count, !isOver {
      if let header = RecordHeader(scanning: base, offset) {
        let frameEnd = decoder.scan(base, header.streamStart)
        if frameEnd >= 0, load8(base, frameEnd) == 0x0A {
          enter(header.receiveNs)
          takeFrame()
          offset = frameEnd + 1
          continue
        }
      }
      guard let newline = memchr(base + offset, 0x0A, block.count - offset) else { return }
      let lineEnd = UnsafeRawPointer(newline) - base
      takeLine(base, offset, lineEnd)
      offset = lineEnd + 1
    }
  }

  private mutating func enter(_ timeNs: Int64) {
    counts.records += 1
    receiveNs = max(receiveNs, timeNs)
    if !isInside, receiveNs >= range.lowerBound {
      isInside = true
      if book.isSynchronized { tellBook() }
    }
  }

  private var isOurs: Bool {
    decoder.frame.symbol != .none && decoder.instruments.symbols[decoder.frame.symbol] == symbol
  }

  private mutating func takeLine(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
    let line = UnsafeRawBufferPointer(start: base + start, count: end - start)
    guard let record = TapeRecord(parsing: line) else {
      counts.unreadable += 1
      return
    }
    enter(record.receiveTime.rawValue)
    let dataStart = UnsafeRawPointer(record.data.baseAddress!) - base
    let dataEnd = dataStart + record.data.count
    let isOfSymbol = record.stream.map { $0.namesSymbol(symbol) } ?? false
    switch record.kind {
    case .frame:
      guard dataStart < dataEnd, load8(base, dataStart) == 0x7B else { return }
      let header = RecordHeader(scanningFrame: base, start)
      let outcome = decoder.decodeGenerically(
        base: base, start: dataStart, end: dataEnd, streamName: record.stream,
        isUnwrapped: record.stream != nil,
        learnAt: record.stream == nil ? -1 : header?.streamStart ?? -1, learnEnd: end)
      if outcome == .frame {
        takeFrame()
      } else if isOfSymbol || record.stream == nil {
        counts.unreadable += 1
      }
    case .snapshot where isOfSymbol:
      if record.stream!.endsWith("@aggTrades") {
        takeAnswer(base, dataStart, dataEnd)
      } else {
        takeSnapshot(base, dataStart, dataEnd)
      }
    case .gap where isOfSymbol:
      if json(record)?["reason"]?.text == "book_mismatch", book.invalidate() { counts.gaps += 1 }
    case .note where isOfSymbol: obey(json(record))
    default: break
    }
  }

  private func json(_ record: TapeRecord) -> JSONValue? { try? JSONValue(parsing: record.data) }

  /// What the harvester has done to its book, readers do to theirs.
  private mutating func obey(_ note: JSONValue?) {
    if note?[BookNote.rebuild]?.boolean == true {
      if book.rebuild() { counts.gaps += 1 }
    } else if note?[BookNote.polled]?.boolean == true {
      if book.beginPolling() { counts.gaps += 1 }
    } else if note?[BookNote.polled]?.boolean == false {
      book.endPolling()
    }
  }

  // MARK: Book

  private var exchangeNs: Int64 {
    if decoder.frame.has(.transactionTime) {
      return decoder.frame[.transactionTime] * Nanoseconds.millisecond
    }
    if decoder.frame.has(.eventTime) { return decoder.frame[.eventTime] * Nanoseconds.millisecond }
    return receiveNs - latencyNs
  }

  private mutating func takeFrame() {
    guard isOurs else { return }
    switch decoder.frame.kind {
    case .depthUpdate: takeDepth()
    case .aggregateTrade, .trade: takeTrade()
    case .bookTicker: takeTicker()
    case .markPrice, .kline, .liquidation, .other: break
    }
  }

  private mutating func takeDepth() {
    lastExchangeNs = max(lastExchangeNs, exchangeNs)
    latencyNs = receiveNs - exchangeNs
    let wasShadowing = book.isShadowing
    let outcome = book.take(decoder.frame)
    // The end of shadowing may be the adoption of a snapshot.
    if wasShadowing, !book.isShadowing, outcome == .advanced { return tellBook() }
    switch outcome {
    case .advanced:
      begin(.depth, exchangeNs: exchangeNs, id: decoder.frame[.finalUpdateID])
      let bids = decoder.frame.bidCount
      for index in 0..<bids + decoder.frame.askCount {
        levels.append(
          MarketLevel(
            price: decoder.frame.prices[index], quantity: decoder.frame.quantities[index],
            isBid: index < bids))
      }
      end()
    case .restored: tellBook()
    case .lost: counts.gaps += 1
    case .unchanged: break
    }
  }

  private mutating func takeSnapshot(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
    guard decoder.decodeSnapshot(base: base, start: start, end: end, symbolName: symbol) == .frame else {
      counts.unreadable += 1
      return
    }
    let wasShadowing = book.isShadowing
    let outcome = book.take(snapshot: decoder.frame)
    if outcome == .restored || book.isPolled || wasShadowing && !book.isShadowing && book.isSynchronized {
      tellBook()
    }
  }

  private mutating func tellBook() {
    begin(
      .snapshot, exchangeNs: max(lastExchangeNs, receiveNs - latencyNs), id: book.sync.lastUpdateID ?? 0)
    for level in book.book.bids.levels() {
      levels.append(MarketLevel(price: level.price, quantity: level.quantity, isBid: true))
    }
    for level in book.book.asks.levels() {
      levels.append(MarketLevel(price: level.price, quantity: level.quantity, isBid: false))
    }
    end()
  }

  // MARK: Trades and quotes

  private mutating func takeTrade() {
    guard trades.takes(decoder.frame.kind, decoder.frame[.tradeID]) else {
      counts.tradesRepeated += 1
      return
    }
    if decoder.frame.isExcludedTrade {
      counts.tradesExcluded += 1
      return
    }
    tell(
      trade: decoder.frame[.tradeID], decoder.frame[.price], decoder.frame[.quantity],
      decoder.frame.aggressor, exchangeNs: exchangeNs)
  }

  private mutating func takeAnswer(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
    var answer: [AnsweredTrade] = []
    swap(&answer, &answered)
    let outcome = decoder.decodeTrades(
      base: base, start: start, end: end, symbolName: symbol, into: &answer)
    if outcome != .frame { counts.unreadable += 1 }
    for trade in answer {
      guard trades.takes(.aggregateTrade, trade.id) else {
        counts.tradesRepeated += 1
        continue
      }
      tell(
        trade: trade.id, trade.price, trade.quantity, trade.aggressor,
        exchangeNs: trade.transactionTimeMs * Nanoseconds.millisecond)
    }
    swap(&answer, &answered)
  }

  private mutating func tell(
    trade id: Int64, _ price: Int64, _ quantity: Int64, _ aggressor: Aggressor, exchangeNs: Int64
  ) {
    begin(.trade, exchangeNs: exchangeNs, id: id)
    levels.append(MarketLevel(price: price, quantity: quantity, isBid: aggressor == .buyer))
    end()
    if isInside, !isOver { counts.cumulativeVolumeDelta += aggressor == .buyer ? quantity : -quantity }
  }

  private mutating func takeTicker() {
    let id = decoder.frame[.finalUpdateID]
    guard id > lastTickerID else { return }
    lastTickerID = id
    let quote = decoder.frame.quote
    begin(.quote, exchangeNs: exchangeNs, id: id)
    levels.append(MarketLevel(price: quote.bidPrice, quantity: quote.bidQuantity, isBid: true))
    levels.append(MarketLevel(price: quote.askPrice, quantity: quote.askQuantity, isBid: false))
    end()
  }

  private mutating func begin(_ kind: MarketMessage.Kind, exchangeNs: Int64, id: Int64) {
    messages.append(
      MarketMessage(
        kind: kind, exchangeNs: exchangeNs, receiveNs: receiveNs, id: id, firstLevel: levels.count,
        levelCount: 0))
  }

  private mutating func end() {
    let last = messages.count - 1
    let first = messages[last].firstLevel
    messages[last].levelCount = levels.count - first
    guard isInside, !isOver else {
      levels.removeLast(levels.count - first)
      messages.removeLast()
      return
    }
    switch messages[last].kind {
    case .depth:
      counts.depth += 1
      counts.levels += Int64(messages[last].levelCount)
    case .snapshot:
      counts.snapshots += 1
      counts.levels += Int64(messages[last].levelCount)
    case .trade: counts.trades += 1
    case .quote: counts.quotes += 1
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether a stream's name is of a symbol: `btcusdt@depth` of `BTCUSDT`.
  fileprivate func namesSymbol(_ symbol: String) -> Bool {
    guard let at = firstIndex(of: 0x40) else { return false }
    return String(decoding: self[..<at], as: UTF8.self).uppercased() == symbol
  }

  fileprivate func endsWith(_ text: String) -> Bool {
    String(decoding: self, as: UTF8.self).hasSuffix(text)
  }
}
