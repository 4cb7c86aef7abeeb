import Binance
import Book
import Core

/// What a record has changed.
enum TapeChange {
  case book
  case trade
}

/// What a served tape has said of one symbol: its book by the official procedure, its trades.
final class TapeSymbol {
  /// The latest event that changed the book.
  struct BookEvent {
    var ids = DepthIDs(first: 0, final: 0, previousFinal: nil)
    var eventMs: Int64 = 0
    var transactionMs: Int64 = 0
  }

  let name: String
  var instrument: Binance.Instrument
  /// The tape's first snapshot, verbatim, until the tape has come to it.
  var firstSnapshot: [UInt8]?
  private(set) var hasBook = false
  var history: TradeHistory
  private(set) var depthFrames: Int64 = 0
  private(set) var lastUpdateID: Int64 = 0
  private(set) var tradeCount: Int64 = 0
  private(set) var firstTrade: Int64 = 0
  private(set) var lastTrade: Int64 = 0
  private(set) var cvd: Int64 = 0
  private(set) var bookEvent = BookEvent()
  private(set) var lastTradeEventMs: Int64 = 0
  /// Streams that are made from the book and the trades, as the tape has none of that name.
  var derived: [DerivedStream] = []
  /// The tape's depth stream, whatever its speed; the first seen.
  private(set) var depthStream: String?
  /// Depth streams that the tape does not hold, for which that one stands in.
  private(set) var depthSubstitutes: [String] = []
  private(set) var hasAggregateTrades = false
  let aggregateStream: String
  var book = Book()
  private var sync = BookSync()
  private var buffer = DepthBuffer()

  init(name: String, instrument: Binance.Instrument, tradesKeptMax: Int) {
    self.name = name
    self.instrument = instrument
    history = TradeHistory(countMax: tradesKeptMax)
    aggregateStream = name.lowercased() + "@aggTrade"
  }

  /// Near the tape's start: a stream that it holds.
  func note(stream: String, _ kind: FrameKind) {
    switch kind {
    case .aggregateTrade: hasAggregateTrades = true
    case .depthUpdate where depthStream == nil:
      depthStream = stream
      depthSubstitutes = ["@depth", "@depth@100ms", "@depth@250ms", "@depth@500ms"].map {
        name.lowercased() + $0
      }.filter { $0 != stream }
    default: break
    }
  }

  /// The id that a snapshot of the book as it is carries.
  var snapshotID: Int64 { sync.lastUpdateID ?? lastUpdateID }

  /// The book follows the stream of changes.
  var isSynchronized: Bool { hasBook && sync.isSynchronized }

  /// Takes a frame in; what it changed, if anything.
  func take(_ frame: borrowing DecodedFrame) -> TapeChange? {
    switch frame.kind {
    case .depthUpdate: return takeDepth(frame) ? .book : nil
    case .aggregateTrade:
      let isNew = takeTrade(
        frame, id: frame[.tradeID], first: frame[.firstTradeID], last: frame[.lastTradeID])
      return isNew ? .trade : nil
    case .trade where !hasAggregateTrades && !frame.isExcludedTrade:
      let id = frame[.tradeID]
      let isNew = takeTrade(frame, id: tradeCount == 0 ? id : lastTrade + 1, first: id, last: id)
      return isNew ? .trade : nil
    default: return nil
    }
  }

  private func takeTrade(_ frame: borrowing DecodedFrame, id: Int64, first: Int64, last: Int64) -> Bool {
    if tradeCount > 0, id <= lastTrade { return false }
    if tradeCount == 0 { firstTrade = id }
    tradeCount += 1
    lastTrade = id
    let (sum, overflow) = cvd.addingReportingOverflow(
      frame.aggressor == .buyer ? frame[.quantity] : -frame[.quantity])
    if !overflow { cvd = sum }
    history.append(
      StoredTrade(
        firstTradeID: first, lastTradeID: last, timeMs: frame[.transactionTime],
        price: frame[.price], quantity: frame[.quantity], buyerIsMaker: frame.aggressor == .seller), id: id)
    lastTradeEventMs = frame.eventTimeMs ?? frame[.transactionTime]
    return true
  }

  private func takeDepth(_ frame: borrowing DecodedFrame) -> Bool {
    depthFrames += 1
    lastUpdateID = frame[.finalUpdateID]
    var isApplied = false
    switch sync.step(frame.depthIDs) {
    case .apply:
      apply(frame)
      isApplied = true
    case .applyAndDrain:
      apply(frame)
      drain()
      isApplied = true
    case .buffer, .bufferAfterHole, .discardSnapshot: buffer.append(frame)
    case .drop: break
    }
    if book.isCrossed || book.isOverflowing {
      sync.invalidate()
      buffer.removeAll()
      return false
    }
    if isApplied {
      let time = frame.eventTimeMs ?? frame[.transactionTime]
      bookEvent = BookEvent(
        ids: frame.depthIDs, eventMs: time,
        transactionMs: frame.has(.transactionTime) ? frame[.transactionTime] : time)
    }
    return isApplied && isSynchronized
  }

  private func apply(_ frame: borrowing DecodedFrame) {
    book.apply(
      prices: frame.prices, quantities: frame.quantities, bidCount: frame.bidCount, askCount: frame.askCount)
  }

  /// A snapshot record of the tape has been reached.
  func take(snapshot frame: borrowing DecodedFrame) {
    let id = frame[.finalUpdateID]
    guard sync.step(snapshot: id, oldestRelevant: buffer.oldestRelevant(to: id)) == .load else { return }
    book.load(
      prices: frame.prices, quantities: frame.quantities, bidCount: frame.bidCount, askCount: frame.askCount)
    hasBook = true
    drain()
  }

  private func drain() {
    var waiting = DepthBuffer()
    swap(&waiting, &buffer)
    waiting.drain { entry, prices, quantities in
      if case .bridging(let id) = sync.state {
        if BookSync.precedes(entry.ids, snapshot: id) { return true }
        if !BookSync.bridges(entry.ids, snapshot: id) { return false }
      } else if let last = sync.lastUpdateID {
        if entry.ids.final <= last { return true }
        if !BookSync.follows(entry.ids, last) { return false }
      }
      switch sync.step(entry.ids) {
      case .apply, .applyAndDrain:
        book.apply(
          prices: prices, quantities: quantities, bidCount: entry.bidCount, askCount: entry.askCount)
        return true
      case .drop: return true
      case .buffer, .bufferAfterHole, .discardSnapshot: return false
      }
    }
    swap(&waiting, &buffer)
    if !buffer.isEmpty { sync.holeRemains() }
  }
}
