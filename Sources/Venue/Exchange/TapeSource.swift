import Binance
import Core
import Tape

/// A recorded tape as the source of frames: verbatim, by stream name, in the recording's own rhythm.
///
/// The tape's clock starts one second after the last change of subscriptions that follows the first one, so
/// that a client with several connections gets the whole, and ten seconds after the first at the latest. From
/// then on a record is due at `start + (recv_ns − first recv_ns) / speed`. Combined frames are routed by the
/// record's stream name; frames without one are skipped and counted. Snapshot records are not sent: they are
/// what `depth` answers, the first of a symbol verbatim until the tape has come to it, then the book kept
/// from the frames.
final class TapeSource {
  let folder: String
  let speed: Double
  private let tradesKeptMax: Int
  private var reader: TapeReader
  private var block = UnsafeRawBufferPointer(start: nil, count: 0)
  private var offset = 0
  var decoder = FrameDecoder()
  /// Streams that the tape was seen to hold near its start.
  var streamsOnTape: Set<String> = []
  /// By the decoder's symbol ids.
  private var symbols: [TapeSymbol?] = []
  private var symbolsByName: [String: TapeSymbol] = [:]
  private var names: [String] = []

  /// One record of the current block.
  struct Record {
    var kind: RecordKind
    var receiveNs: Int64
    var stream: UnsafeRawBufferPointer?
    var data: UnsafeRawBufferPointer
    /// Where the stream's name starts if the record is laid out as the writer does it, and the line's end.
    var streamStart = -1
    var lineEnd = 0
  }

  /// The record at hand is in `decoder.frame`.
  private var isDecoded = false
  private var next: Record?
  private var firstReceiveNs: Int64 = 0
  private var lastReceiveNs: Int64 = 0
  private var startNs: Int64?
  private var firstChangeNs: Int64?
  private var lastChangeNs: Int64 = 0
  private(set) var dueTime = Int64.max
  private(set) var isOver = false
  private(set) var rawFramesSkipped: Int64 = 0
  private(set) var linesUnreadable: Int64 = 0

  static let quietNs = Nanoseconds.second
  static let waitNsMax = 10 * Nanoseconds.second
  /// Blocks of 256 KiB in which symbols, their decimals and first snapshots are looked for beforehand.
  private static let blocksAheadMax = 64

  init(folder: String, speed: Double, tradesKeptMax: Int) throws(ExchangeOptionsError) {
    self.folder = folder
    self.speed = speed
    self.tradesKeptMax = tradesKeptMax
    do throws(TapeError) {
      reader = try TapeReader(folder: folder)
    } catch {
      throw .tape(folder: folder, reason: "\(error)")
    }
    do throws(TapeError) {
      try lookAhead()
      try fetch()
    } catch {
      throw .tape(folder: folder, reason: "\(error)")
    }
    guard let next else { throw .tape(folder: folder, reason: "it holds no record") }
    firstReceiveNs = next.receiveNs
    lastReceiveNs = next.receiveNs
  }

  // MARK: Time

  func subscriptionsChanged(at now: Int64) {
    if startNs != nil { return }
    firstChangeNs = firstChangeNs ?? now
    lastChangeNs = now
    dueTime = min(lastChangeNs + TapeSource.quietNs, (firstChangeNs ?? now) + TapeSource.waitNsMax)
  }

  /// The tape's time: of its first record until the clock starts, of its last once it is over.
  func time(at now: Int64) -> Int64 {
    guard let startNs else { return firstReceiveNs }
    if isOver { return lastReceiveNs }
    // Far beyond any tape's end nobody reads the clock; the bound keeps it inside 64 bits.
    return firstReceiveNs + Int64(min(Double(now - startNs) * speed, 1e18))
  }

  /// Starts the clock when it is due; false when it runs already.
  func startClock(at now: Int64) -> Bool {
    if startNs != nil { return false }
    startNs = now
    schedule()
    return true
  }

  private func schedule() {
    guard let next, let startNs else {
      dueTime = .max
      return
    }
    dueTime = startNs + Int64(Double(next.receiveNs - firstReceiveNs) / speed)
  }

  // MARK: Records

  /// The record that is due; its bytes are valid until ``advance()``.
  var record: Record? { next }

  /// Goes on to the next record.
  func advance() {
    if let next { lastReceiveNs = max(lastReceiveNs, next.receiveNs) }
    // A tape that cannot be read on has ended; the segments' damage is in the reader's report.
    do throws(TapeError) { try fetch() } catch { next = nil }
    if next == nil { isOver = true }
    schedule()
  }

  private func fetch() throws(TapeError) {
    while true {
      while offset < block.count {
        let lineStart = offset
        var end = lineStart
        while end < block.count, block[end] != 0x0A { end += 1 }
        offset = end + 1
        if let record = TapeSource.read(block, lineStart, end) {
          next = record
          return
        }
        linesUnreadable += 1
      }
      guard let more = try reader.nextBlock() else {
        next = nil
        return
      }
      block = more
      offset = 0
    }
  }

  private static func read(_ block: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Record? {
    guard let base = block.baseAddress else { return nil }
    if let header = RecordHeader(scanningFrame: base, start),
      let payload = header.payload(base, lineEnd: end)
    {
      return Record(
        kind: .frame, receiveNs: header.receiveNs, stream: payload.stream,
        data: UnsafeRawBufferPointer(rebasing: block[payload.start..<payload.end]),
        streamStart: payload.stream == nil ? -1 : header.streamStart, lineEnd: end)
    }
    guard let record = TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: block[start..<end])) else {
      return nil
    }
    return Record(
      kind: record.kind, receiveNs: record.receiveTime.rawValue, stream: record.stream, data: record.data)
  }

  /// Takes the due record into book and trades; what it changed.
  func absorb(_ record: Record) -> (symbol: TapeSymbol, change: TapeChange)? {
    isDecoded = false
    switch record.kind {
    case .frame:
      guard let stream = record.stream else {
        rawFramesSkipped += 1
        return nil
      }
      isDecoded = decode(record)
      guard isDecoded, let symbol = symbol(decoder.frame.symbol) else { return nil }
      // The best levels of a partial stream are no changes to a book.
      if decoder.frame.kind == .depthUpdate, TapeSource.isPartialDepth(stream) { return nil }
      return symbol.take(decoder.frame).map { (symbol, $0) }
    case .snapshot:
      guard let name = TapeSource.symbolName(record.stream), decode(snapshot: record, name) else {
        return nil
      }
      symbol(decoder.frame.symbol)?.take(snapshot: decoder.frame)
      return nil
    default: return nil
    }
  }

  /// Whether a digit follows `@depth` in a stream's name.
  private static func isPartialDepth(_ stream: UnsafeRawBufferPointer) -> Bool {
    guard let at = stream.firstIndex(of: 0x40), at + 6 < stream.count else { return false }
    return stream[at + 6] >= 0x30 && stream[at + 6] <= 0x39
  }

  private func decode(_ record: Record) -> Bool {
    guard let base = block(of: record) else { return false }
    if record.streamStart >= 0, decoder.scan(base, record.streamStart) == record.lineEnd {
      return decoder.frame.symbol != .none
    }
    let start = record.data.baseAddress! - base
    guard record.data.count > 1, record.data[0] == 0x7B else { return false }
    let outcome = decoder.decodeGenerically(
      base: base, start: start, end: start + record.data.count, streamName: record.stream, isUnwrapped: true,
      learnAt: record.streamStart, learnEnd: record.lineEnd)
    return outcome == .frame && decoder.frame.kind != .other && decoder.frame.symbol != .none
  }

  private func decode(snapshot record: Record, _ name: String) -> Bool {
    guard let base = block(of: record) else { return false }
    let start = record.data.baseAddress! - base
    return decoder.decodeSnapshot(base: base, start: start, end: start + record.data.count, symbolName: name)
      == .frame
  }

  /// The block a record's bytes lie in: its offsets are counted from there.
  private func block(of record: Record) -> UnsafeRawPointer? { current ?? block.baseAddress }
  /// While looking ahead, the block of that.
  private var current: UnsafeRawPointer?

  private static func symbolName(_ stream: UnsafeRawBufferPointer?) -> String? {
    guard let stream, let at = stream.firstIndex(of: 0x40), at > 0 else { return nil }
    return String(decoding: stream[..<at], as: UTF8.self).uppercased()
  }

  func symbol(named name: String) -> TapeSymbol? { symbolsByName[name] }

  /// The symbol of the record at hand, a frame that was decoded.
  var decodedSymbol: TapeSymbol? { isDecoded ? symbol(decoder.frame.symbol) : nil }

  private func symbol(_ id: SymbolID) -> TapeSymbol? {
    guard id != .none, let instrument = decoder.instruments[id] else { return nil }
    while symbols.count <= id.index { symbols.append(nil) }
    if let known = symbols[id.index] { return known }
    let name = decoder.instruments.symbols[id]
    let made = TapeSymbol(name: name, instrument: instrument, tradesKeptMax: tradesKeptMax)
    symbols[id.index] = made
    symbolsByName[name] = made
    names.append(name)
    return made
  }

  /// Finds the symbols near the tape's start, their decimals, and their first snapshots.
  private func lookAhead() throws(TapeError) {
    var ahead = try TapeReader(folder: folder)
    var seen: Set<[UInt8]> = []
    for _ in 0..<TapeSource.blocksAheadMax {
      guard let block = try ahead.nextBlock() else { break }
      current = block.baseAddress
      forEachLine(block) { line, start in
        guard let record = TapeSource.read(block, start, start + line.count) else { return true }
        if record.kind == .snapshot, let name = TapeSource.symbolName(record.stream) {
          if symbolsByName[name]?.firstSnapshot == nil, decode(snapshot: record, name) {
            symbol(decoder.frame.symbol)?.firstSnapshot = Array(record.data)
          }
        } else if record.kind == .frame, let stream = record.stream, seen.count < 65_536,
          !seen.contains(Array(stream)), decode(record), symbol(decoder.frame.symbol) != nil
        {
          seen.insert(Array(stream))
          note(stream)
        }
        return true
      }
    }
    current = nil
  }

  private func note(_ bytes: UnsafeRawBufferPointer) {
    let stream = String(decoding: bytes, as: UTF8.self)
    streamsOnTape.insert(stream)
    // Nothing can stand in for changes of the whole book.
    if decoder.frame.kind == .depthUpdate, TapeSource.isPartialDepth(bytes) { return }
    if let symbol = symbol(decoder.frame.symbol) { symbol.note(stream: stream, decoder.frame.kind) }
  }

  // MARK: Answers

  /// In order of first appearance.
  var listedSymbols: [String] { names }

  func has(_ name: String) -> Bool { symbolsByName[name] != nil }

  func history(_ name: String) -> (trades: TradeHistory, price: DecimalScale, quantity: DecimalScale) {
    guard let symbol = symbolsByName[name] else {
      return (TradeHistory(countMax: 1), DecimalScale(0), DecimalScale(0))
    }
    return (symbol.history, symbol.instrument.priceScale, symbol.instrument.quantityScale)
  }

  /// Writes the answer to `depth`; false when the tape has no snapshot of the symbol.
  func depth(_ name: String, limit: Int, timeMs: Int64, _ writer: inout ByteWriter) -> Bool {
    guard let symbol = symbolsByName[name] else { return false }
    guard symbol.hasBook else {
      guard let first = symbol.firstSnapshot else { return false }
      first.withUnsafeBytes { writer.append(bytes: $0) }
      return true
    }
    JSONValue.object([
      "lastUpdateId": .integer(symbol.snapshotID), "E": .integer(timeMs), "T": .integer(timeMs),
      "bids": TapeSource.levels(symbol, .bid, limit), "asks": TapeSource.levels(symbol, .ask, limit),
    ]).write(to: &writer)
    return true
  }

  private static func levels(_ symbol: TapeSymbol, _ side: Side, _ limit: Int) -> JSONValue {
    let levels = side == .bid ? symbol.book.bids.levels() : symbol.book.asks.levels()
    return .array(
      levels.prefix(limit).map { level in
        .array([
          .string(symbol.instrument.priceScale.text(level.price)),
          .string(symbol.instrument.quantityScale.text(level.quantity)),
        ])
      })
  }

  func bookTicker(_ name: String, timeMs: Int64) -> JSONValue? {
    guard let symbol = symbolsByName[name], symbol.hasBook, let quote = symbol.book.quote else { return nil }
    let price = symbol.instrument.priceScale
    let quantity = symbol.instrument.quantityScale
    return .object([
      "symbol": .string(name), "bidPrice": .string(price.text(quote.bidPrice)),
      "bidQty": .string(quantity.text(quote.bidQuantity)), "askPrice": .string(price.text(quote.askPrice)),
      "askQty": .string(quantity.text(quote.askQuantity)), "time": .integer(timeMs),
      "lastUpdateId": .integer(symbol.snapshotID),
    ])
  }

  func truth(_ name: String, _ table: StreamTable) -> JSONValue {
    guard let symbol = symbolsByName[name] else { return .null }
    let prefix = name.lowercased() + "@"
    let frames = table.streams.filter { $0.name.hasPrefix(prefix) }.sorted { $0.name < $1.name }.map {
      JSONValue.Member(
        String($0.name.dropFirst(prefix.count)),
        .object(["published": .integer($0.published), "sent": .integer($0.sent)]))
    }
    return .object([
      "last_u": .integer(symbol.lastUpdateID), "depth_frames": .integer(symbol.depthFrames),
      "cvd": .string(symbol.instrument.quantityScale.text(symbol.cvd)),
      "trades": .object([
        "count": .integer(symbol.tradeCount), "first_a": .integer(symbol.firstTrade),
        "last_a": .integer(symbol.lastTrade),
      ]),
      "frames": .object(frames), "bids": TapeSource.levels(symbol, .bid, .max),
      "asks": TapeSource.levels(symbol, .ask, .max),
    ])
  }
}
