import Binance
import Core

/// A symbol's market as hftbacktest 2.4 reads it: an `.npz` whose array `data` holds one event a row.
///
/// **Problem.** hftbacktest runs two processors over one array, the exchange's by `exch_ts` and the local one by `local_ts`.
/// Each must see its own times in order, and no event may arrive before it happened.
///
/// **Why the obvious answer fails.** Events in the order of the tape are in local order; messages overtake each other on
/// the way, so exchange times step back. And a recorder's clock that runs behind the exchange's makes
/// latencies negative: the recording of 2024-07-18 is 1.52 s behind.
///
/// **Algorithm.** As hftbacktest's own converters do it. If the smallest latency is negative, every local time is moved
/// by it and the base latency (`correct_local_timestamp`). Then both orders are merged: a message that is next
/// in both becomes events for both processors, else events for the one that is due (`correct_event_order`).
/// A message's levels stay together. A whole book is `DEPTH_CLEAR` of both sides, with no price, and
/// `DEPTH_SNAPSHOT` of each level.
///
/// **Bounds.** All messages and levels of the file are held, at most ``levelsMax`` (24 bytes each), because the
/// latency of the last may move the first. hftbacktest holds such a file whole as well; longer times are
/// exported as several files, each beginning with the whole book.
///
/// Source: hftbacktest 2.4.4, `types.py` and `data/validation.py` (event layout, flags, both corrections).
struct HFTBacktestFile: MarketSink, ~Copyable {
  static let levelsMax = 48 << 20

  private enum Flag {
    static let depth: UInt64 = 1
    static let trade: UInt64 = 2
    static let depthClear: UInt64 = 3
    static let depthSnapshot: UInt64 = 4
    static let sell: UInt64 = 1 << 28
    static let buy: UInt64 = 1 << 29
    static let local: UInt64 = 1 << 30
    static let exchange: UInt64 = 1 << 31
  }

  private static let rowBytes = 64

  private let options: MarketExportOptions
  private var messages: [MarketMessage] = []
  private var levels: [MarketLevel] = []

  init(_ options: MarketExportOptions) { self.options = options }

  var hasMessages: Bool { !messages.isEmpty }

  /// Keeps what the format knows: book and trades.
  mutating func take(
    _ newMessages: [MarketMessage], _ newLevels: [MarketLevel], _ instrument: Instrument
  ) throws {
    for message in newMessages where message.kind != .quote {
      var kept = message
      kept.firstLevel = levels.count
      levels.append(contentsOf: newLevels[message.firstLevel..<message.firstLevel + message.levelCount])
      messages.append(kept)
    }
    if levels.count > HFTBacktestFile.levelsMax {
      throw MarketExportError.tooLong(levelsMax: HFTBacktestFile.levelsMax)
    }
  }

  mutating func finish(_ instrument: Instrument) throws -> [JSONValue.Member] {
    let latencyNsMin = messages.reduce(Int64.max) { min($0, $1.receiveNs - $1.exchangeNs) }
    let shiftNs = latencyNsMin < 0 ? options.baseLatencyNs - latencyNsMin : 0
    for index in messages.indices { messages[index].receiveNs += shiftNs }
    let order = MergedOrder(messages)
    var rows = 0
    var split = 0
    order.forEach { message, isForExchange, isForLocal in
      rows += messages[message].levelCount + (messages[message].kind == .snapshot ? 2 : 0)
      if isForExchange != isForLocal { split += 1 }
    }
    let bytes = try write(rows: rows, order, instrument)
    return [
      .init("events", .integer(rows)), .init("messages_split", .integer(split / 2)),
      .init("latency_ns_min", .integer(latencyNsMin)), .init("local_shift_ns", .integer(shiftNs)),
      .init(
        "clock_note",
        shiftNs == 0
          ? .null
          : .string(
            "receive times were behind the exchange's by up to \(-latencyNsMin) ns; all local_ts were moved by "
              + "local_shift_ns, as hftbacktest's correct_local_timestamp does")),
      .init("first_local_ns", .integer(messages.first!.receiveNs)),
      .init("last_local_ns", .integer(messages.last!.receiveNs)), .init("bytes", .integer(bytes)),
    ]
  }

  private func write(
    rows: Int, _ order: borrowing MergedOrder, _ instrument: Instrument
  ) throws(FileError) -> Int {
    let archive = try NumPyArchiveWriter(
      options.out, name: "data",
      fields: [
        "ev": "<u8", "exch_ts": "<i8", "local_ts": "<i8", "px": "<f8", "qty": "<f8", "order_id": "<u8",
        "ival": "<i8", "fval": "<f8",
      ], rows: rows, level: options.compressionLevel)
    var buffer = ByteWriter(capacity: 1 << 20)
    var failure: FileError?
    order.forEach { index, isForExchange, isForLocal in
      guard failure == nil else { return }
      let message = messages[index]
      let processors = (isForExchange ? Flag.exchange : 0) | (isForLocal ? Flag.local : 0)
      func append(_ event: UInt64, isBid: Bool, _ price: Double, _ quantity: Double) {
        buffer.append(little: event | processors | (isBid ? Flag.buy : Flag.sell))
        buffer.append(little: message.exchangeNs)
        buffer.append(little: message.receiveNs)
        buffer.append(little: price.bitPattern)
        buffer.append(little: quantity.bitPattern)
        for _ in 0..<3 { buffer.append(little: 0 as UInt64) }
      }
      if message.kind == .snapshot {
        for isBid in [true, false] { append(Flag.depthClear, isBid: isBid, .nan, 0) }
      }
      let event =
        switch message.kind {
        case .trade: Flag.trade
        case .snapshot: Flag.depthSnapshot
        case .depth, .quote: Flag.depth
        }
      for level in levels[message.firstLevel..<message.firstLevel + message.levelCount] {
        append(
          event, isBid: level.isBid, instrument.priceScale.double(level.price),
          instrument.quantityScale.double(level.quantity))
      }
      if buffer.count >= 1 << 19 {
        do throws(FileError) { try archive.append(buffer.bytes) } catch { failure = error }
        buffer.removeAll()
      }
    }
    if let failure { throw failure }
    try archive.append(buffer.bytes)
    return try archive.finish()
  }
}

/// Messages in the order of the exchange's times and in that of the tape, merged into one.
private struct MergedOrder: ~Copyable {
  private let messages: [MarketMessage]
  /// Indices by exchange time; equal times in the order of the tape.
  private let byExchange: [Int32]

  init(_ messages: [MarketMessage]) {
    self.messages = messages
    byExchange = messages.indices.map { Int32($0) }.sorted { a, b in
      let (x, y) = (messages[Int(a)].exchangeNs, messages[Int(b)].exchangeNs)
      return x != y ? x < y : a < b
    }
  }

  /// Each message once for both processors, or once for each.
  func forEach(_ body: (_ message: Int, _ isForExchange: Bool, _ isForLocal: Bool) -> Void) {
    var exchange = 0
    var local = 0
    while exchange < messages.count || local < messages.count {
      guard exchange < messages.count else {
        body(local, false, true)
        local += 1
        continue
      }
      let next = Int(byExchange[exchange])
      if next == local {
        body(next, true, true)
        exchange += 1
        local += 1
      } else if local == messages.count || isEarlier(next, local) {
        body(next, true, false)
        exchange += 1
      } else {
        body(local, false, true)
        local += 1
      }
    }
  }

  private func isEarlier(_ a: Int, _ b: Int) -> Bool {
    let (x, y) = (messages[a], messages[b])
    return x.exchangeNs != y.exchangeNs ? x.exchangeNs < y.exchangeNs : x.receiveNs < y.receiveNs
  }
}
