import Core
import Tables

/// Cuts the rows of a tape into inserts.
///
/// **Problem.** An insert whose answer is lost is sent again, perhaps by another process hours later, and the
/// server can drop the copy only if it is the same insert.
///
/// **Why the obvious answer fails.** Inserts cut by a clock or by what happened to be read depend on when the
/// loader ran: after a kill the rows come again in other inserts, and some of them twice.
///
/// **Algorithm.** A cut depends on the rows alone. Rows of a table are collected in the tape's order; a new
/// insert begins
/// - where the partition changes (the day of the rows' time), so that an insert is one part, which the server
///   adds in one step;
/// - at a record, once the insert has ``Bounds/rowsMax`` rows or ``Bounds/bytesMax`` bytes;
/// - at a record that was received in another slice of the tape's time, so that rare rows do not wait;
/// - behind a place that was promised: where the tape ended once and what was left was sent (``promises``).
/// Reading the tape again from anywhere at or before a cut gives the same inserts from there on.
///
/// **Bounds.** One open insert a table: at most `rowsMax` rows or `bytesMax` bytes and one record more each.
public struct InsertCutter {
  public struct Bounds: Equatable, Sendable {
    public var rowsMax: Int
    public var bytesMax: Int
    public var sliceNs: Int64

    public init(rowsMax: Int = 10_000, bytesMax: Int = 8 << 20, sliceNs: Int64 = Nanoseconds.minute) {
      self.rowsMax = rowsMax
      self.bytesMax = bytesMax
      self.sliceNs = sliceNs
    }
  }

  public typealias Quote = (bid: Int64, bidSize: Int64, ask: Int64, askSize: Int64)

  private struct Open {
    var writer = RowWriter()
    var after = RowPlace.start
    /// The newest row that was met, collected or not.
    var last = RowPlace.start
    /// The newest row that was not collected because a server has it.
    var skippedUpTo: RowPlace
    var promise: RowPlace?
    var firstSequence: Int64 = 0
    var receiveNs: Int64 = 0
    var day: Int64 = 0
    var slice: Int64 = 0
  }

  /// To be changed only where nothing is open.
  public var bounds: Bounds
  private let schema: ClickHouseSchema
  private var encoders: [RowEncoder]
  private var open: [Open]
  private var quotes: [Quote?] = []
  private var quoteNames: [String] = []
  private var knownQuotes: [String: Quote]
  /// Rows collected, by ``TableKind``.
  public private(set) var rowCounts: [Int64]

  /// - Parameters:
  ///   - tape: the tape's id, which every row carries.
  ///   - places: rows up to there are skipped, by table.
  ///   - promises: places behind which an insert must end.
  ///   - quotes: the symbols' newest quotes before the first row.
  public init(
    schema: ClickHouseSchema, tape: String, bounds: Bounds, places: [TableKind: RowPlace] = [:],
    promises: [TableKind: RowPlace] = [:], quotes: [String: Quote] = [:]
  ) {
    self.schema = schema
    self.bounds = bounds
    encoders = TableKind.allCases.map { RowEncoder($0, tape: tape, dialect: schema.dialect) }
    open = TableKind.allCases.map { Open(skippedUpTo: places[$0] ?? .start, promise: promises[$0]) }
    knownQuotes = quotes
    rowCounts = TableKind.allCases.map { _ in 0 }
    for index in open.indices { open[index].after = open[index].skippedUpTo }
  }

  /// Takes all rows of a batch and hands over the inserts that are complete with them.
  public mutating func add<Failure: Error>(
    _ batch: TableBatch, _ emit: (InsertBatch) throws(Failure) -> Void
  ) throws(Failure) {
    let kind = Int(batch.schema.kind.rawValue)
    encoders[kind].learnNames(batch)
    var row = 0
    for message in 0..<batch.messageCount {
      let count = Int(batch.messageRows[message])
      defer { row += count }
      let times = encoders[kind].times(batch, message)
      let increment = kind == Int(TableKind.bookTicker.rawValue) ? quoteStep(batch, message) : TableBatch.null
      let before = open[kind].last
      let last =
        before.sequence == times.sequence ? before : RowPlace(sequence: times.sequence, rows: 0)
      let end = RowPlace(sequence: times.sequence, rows: last.rows + Int64(count))
      open[kind].last = end
      let skipped = open[kind].skippedUpTo
      if end <= skipped { continue }
      let firstRow = last < skipped ? Int(skipped.rows - last.rows) : 0
      if open[kind].writer.rowCount > 0, mustCut(before: times, kind) { try cut(kind, before, emit) }
      if open[kind].writer.rowCount == 0 {
        open[kind].firstSequence = times.sequence
        open[kind].day = times.day
        open[kind].slice = times.receiveNs / bounds.sliceNs
      }
      open[kind].receiveNs = times.receiveNs
      encoders[kind].encode(
        batch, message, rows: (row + firstRow)..<(row + count), times, increment, into: &open[kind].writer)
      rowCounts[kind] += Int64(count - firstRow)
      if open[kind].promise == end { try cut(kind, end, emit) }
    }
  }

  /// Hands over the inserts that no record received at or after this moment belongs to.
  public mutating func endSlices<Failure: Error>(
    at receiveNs: Int64, _ emit: (InsertBatch) throws(Failure) -> Void
  ) throws(Failure) {
    for kind in open.indices
    where open[kind].writer.rowCount > 0 && open[kind].slice != receiveNs / bounds.sliceNs {
      try cut(kind, open[kind].last, emit)
    }
  }

  /// Hands over everything that is collected: a segment has ended, or it was promised (``tails``).
  public mutating func end<Failure: Error>(_ emit: (InsertBatch) throws(Failure) -> Void) throws(Failure) {
    for kind in open.indices where open[kind].writer.rowCount > 0 { try cut(kind, open[kind].last, emit) }
  }

  /// Where the open inserts end now.
  public var tails: [TableKind: RowPlace] {
    var tails: [TableKind: RowPlace] = [:]
    for kind in TableKind.allCases where open[Int(kind.rawValue)].writer.rowCount > 0 {
      tails[kind] = open[Int(kind.rawValue)].last
    }
    return tails
  }

  /// The first record of the oldest open insert; nil when nothing is open.
  public var oldestOpenSequence: Int64? {
    open.filter { $0.writer.rowCount > 0 }.map(\.firstSequence).min()
  }

  /// Each symbol's newest quote.
  public var newestQuotes: [String: Quote] {
    var newest = knownQuotes
    for (index, quote) in quotes.enumerated() { if let quote { newest[quoteNames[index]] = quote } }
    return newest
  }

  private func mustCut(before times: RowEncoder.Times, _ kind: Int) -> Bool {
    let open = self.open[kind]
    if times.day != open.day { return true }
    // `last` of the open insert is the record before, unless this message is of the same one.
    guard times.sequence != open.writer.lastSequence else { return false }
    return open.writer.rowCount >= bounds.rowsMax || open.writer.byteCount >= bounds.bytesMax
      || times.receiveNs / bounds.sliceNs != open.slice
  }

  private mutating func cut<Failure: Error>(
    _ kind: Int, _ end: RowPlace, _ emit: (InsertBatch) throws(Failure) -> Void
  ) throws(Failure) {
    let (bytes, rowEnds) = open[kind].writer.take()
    let batch = InsertBatch(
      kind: TableKind(rawValue: UInt8(kind))!, after: open[kind].after, upTo: end,
      firstSequence: open[kind].firstSequence, receiveNs: open[kind].receiveNs, day: open[kind].day,
      bytes: bytes, rowEnds: rowEnds)
    open[kind].after = end
    try emit(batch)
  }

  /// The quote's increment against its symbol's quote before; null for a first one.
  private mutating func quoteStep(_ batch: TableBatch, _ message: Int) -> Int64 {
    let code = Int(batch.values(0)[message])
    while quotes.count < batch.names.count {
      quoteNames.append(batch.names[quotes.count])
      quotes.append(knownQuotes[quoteNames[quotes.count]])
    }
    let quote: Quote = (
      batch.values(5)[message], batch.values(6)[message], batch.values(7)[message], batch.values(8)[message]
    )
    defer { quotes[code] = quote }
    return quotes[code].map { quoteIncrement($0, quote) } ?? TableBatch.null
  }
}
