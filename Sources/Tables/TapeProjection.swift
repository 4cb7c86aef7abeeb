import Binance
import Core
import Glibc
import Tape

/// The records of a tape as rows of tables: each record in exactly one table, none left out.
///
/// **Problem.** Files, databases and exports need typed rows. Whatever becomes a row must be exact to the last
/// decimal, and what cannot be typed must not disappear.
///
/// **Algorithm.** Frames of known shape are scanned by ``FrameDecoder``'s templates, whose integers are
/// brought to the 1e-8 units of the tables. All else goes through a second, plain reading of the JSON
/// (``FieldReader``), which takes decimals as text and so knows no instrument. What that cannot type is kept
/// verbatim in ``TableKind/other`` with the reason. The plain reading alone (``Reading/plain``) gives the same
/// rows by other code: a conversion made by templates is proven by it.
///
/// **Order.** Rows of a batch are in the order of the tape; levels as in their frame, bids first.
///
/// **Trades by REST** (`@aggTrades` answers) are rows of kind `backfill` where their ids lie in a hole of the
/// streamed ids of the same segment, else of kind `duplicate`: an answer may reach beyond its hole.
public struct TapeProjection: ~Copyable {
  public enum Grouping: Sendable {
    /// One batch a table and symbol.
    case bySymbol
    /// One batch a table.
    case together
  }

  public enum Reading: Sendable {
    /// By templates, else plain.
    case scanned
    case plain
  }

  let grouping: Grouping
  let reading: Reading
  var decoder: FrameDecoder
  /// By table, then by symbol + 1 (``Grouping/bySymbol``; 0 for rows of no symbol) or one for all.
  private var batchesByTable: [[TableBatch?]]
  /// All batches that were ever needed, in the order in which they were.
  public private(set) var batches: [TableBatch] = []
  /// By symbol, the seen ids of streamed aggregate trades.
  var tradeRuns: [TradeRuns] = []

  /// Records taken.
  public internal(set) var recordCount: Int64 = 0
  public internal(set) var frameCount: Int64 = 0
  /// Lines that are no records; they have no place in any table.
  public internal(set) var unreadableLines: Int64 = 0
  /// Of the newest record; 0 before any.
  public internal(set) var lastSequence: Int64 = 0
  public internal(set) var lastReceiveNs: Int64 = 0

  /// Codes of names that every batch of a table begins with.
  static let bid: Int64 = 0
  static let ask: Int64 = 1

  public init(grouping: Grouping, reading: Reading = .scanned) {
    self.grouping = grouping
    self.reading = reading
    decoder = FrameDecoder()
    batchesByTable = TableKind.allCases.map { _ in [] }
  }

  public var symbols: SymbolTable { decoder.instruments.symbols }

  /// Forgets the trades seen so far: each segment of a tape stands for itself.
  public mutating func beginSegment() {
    for index in tradeRuns.indices { tradeRuns[index].removeAll() }
  }

  /// Takes whole lines, as ``TapeReader/nextBlock()`` gives them.
  public mutating func take(_ block: UnsafeRawBufferPointer) {
    guard let base = block.baseAddress else { return }
    let end = block.count
    var offset = 0
    while offset < end {
      if reading == .scanned, let header = RecordHeader(scanning: base, offset) {
        let frameEnd = decoder.scan(base, header.streamStart)
        if frameEnd >= 0, load8(base, frameEnd) == 0x0A, takeScanned(header) {
          recordCount &+= 1
          frameCount &+= 1
          lastSequence = header.sequence
          lastReceiveNs = header.receiveNs
          offset = frameEnd &+ 1
          continue
        }
      }
      guard let newline = memchr(base + offset, 0x0A, end - offset) else { return }
      let lineEnd = UnsafeRawPointer(newline) - base
      takeLine(base, offset, lineEnd)
      offset = lineEnd + 1
    }
  }

  /// The batch that rows of a table and symbol belong to.
  @inline(__always)
  func batch(_ kind: TableKind, _ symbol: SymbolID) -> TableBatch? {
    let place = grouping == .together ? 0 : symbol.index &+ 1
    let list = batchesByTable[Int(kind.rawValue)]
    return place < list.count ? list[place] : nil
  }

  @inline(__always)
  mutating func batchToFill(_ kind: TableKind, _ symbol: SymbolID) -> TableBatch {
    if let batch = batch(kind, symbol) { return batch }
    return makeBatch(kind, symbol)
  }

  @inline(never)
  private mutating func makeBatch(_ kind: TableKind, _ symbol: SymbolID) -> TableBatch {
    let place = grouping == .together ? 0 : symbol.index + 1
    while batchesByTable[Int(kind.rawValue)].count <= place { batchesByTable[Int(kind.rawValue)].append(nil) }
    let name = grouping == .together || symbol == .none ? nil : decoder.instruments.symbols[symbol]
    let batch = TableBatch(.of(kind), symbol: name)
    if kind == .depth || kind == .snapshot {
      let codes = (batch.index(ofName: "bid"), batch.index(ofName: "ask"))
      precondition(codes == (TapeProjection.bid, TapeProjection.ask))
    }
    batchesByTable[Int(kind.rawValue)][place] = batch
    batches.append(batch)
    return batch
  }

  /// The symbol's code in a batch, or null for none.
  @inline(__always)
  func code(of symbol: SymbolID, in batch: TableBatch) -> Int64 {
    symbol == .none ? TableBatch.null : batch.index(ofSymbol: symbol, names: decoder.instruments.symbols)
  }
}

/// The runs of consecutive ids that a symbol's trade stream has delivered; the newest ``countMax`` of them.
struct TradeRuns {
  static let countMax = 64
  private var runs: [ClosedRange<Int64>] = []

  mutating func removeAll() { runs.removeAll(keepingCapacity: true) }

  @inline(__always)
  mutating func see(_ id: Int64) {
    if let last = runs.last, id == last.upperBound &+ 1 {
      runs[runs.count &- 1] = last.lowerBound...id
    } else {
      begin(id)
    }
  }

  @inline(never)
  private mutating func begin(_ id: Int64) {
    guard runs.last.map({ id > $0.upperBound }) ?? true else { return }
    if runs.count == TradeRuns.countMax { runs.removeFirst() }
    runs.append(id...id)
  }

  func holds(_ id: Int64) -> Bool { runs.contains { $0.contains(id) } }
}
