import Core

/// Depth events kept while a book is out of sync, with their levels.
///
/// Bound: ``valuesMax`` numbers (2 MB) a symbol. When full the older half is dropped and counted; a snapshot
/// that needed it is then "too old" and the next one serves, so the bound costs time, not correctness.
public struct DepthBuffer: ~Copyable {
  public static let valuesMax = 1 << 18

  public struct Entry: Sendable {
    public var ids: DepthIDs
    public var bidCount: Int
    public var askCount: Int
    /// Prices start here in `values`, quantities behind them.
    var start: Int
  }

  public internal(set) var entries: [Entry] = []
  public internal(set) var dropped = 0
  var values: [Int64] = []

  public init() {}

  public var isEmpty: Bool { entries.isEmpty }

  public mutating func append(_ frame: borrowing DecodedFrame) {
    let count = frame.bidCount + frame.askCount
    if values.count + 2 * count > DepthBuffer.valuesMax { dropOlderHalf() }
    entries.append(
      Entry(ids: frame.depthIDs, bidCount: frame.bidCount, askCount: frame.askCount, start: values.count))
    values.append(contentsOf: UnsafeBufferPointer(start: frame.prices, count: count))
    values.append(contentsOf: UnsafeBufferPointer(start: frame.quantities, count: count))
  }

  /// Keeps an event that another buffer held.
  public mutating func append(
    _ entry: Entry, _ prices: UnsafePointer<Int64>, _ quantities: UnsafePointer<Int64>
  ) {
    let count = entry.bidCount + entry.askCount
    if values.count + 2 * count > DepthBuffer.valuesMax { dropOlderHalf() }
    var entry = entry
    entry.start = values.count
    entries.append(entry)
    values.append(contentsOf: UnsafeBufferPointer(start: prices, count: count))
    values.append(contentsOf: UnsafeBufferPointer(start: quantities, count: count))
  }

  private mutating func dropOlderHalf() {
    let half = (entries.count + 1) / 2
    dropped += half
    let cut = half < entries.count ? entries[half].start : values.count
    entries.removeFirst(half)
    values.removeFirst(cut)
    for index in entries.indices { entries[index].start -= cut }
  }

  /// Of the events a snapshot does not contain, the one that starts first.
  public func oldestRelevant(to snapshot: Int64) -> DepthIDs? {
    entries.lazy.map(\.ids).filter { !BookSync.precedes($0, snapshot: snapshot) }.min { $0.first < $1.first }
  }

  /// Offers the events, again and again while that makes progress, and keeps those not taken.
  ///
  /// - Parameter take: applies an event and says what became of it.
  public mutating func drain(
    _ take: (Entry, _ prices: UnsafePointer<Int64>, _ quantities: UnsafePointer<Int64>) -> Bool
  ) {
    var progressed = true
    while progressed, !entries.isEmpty {
      progressed = false
      var kept: [Entry] = []
      values.withUnsafeBufferPointer { buffer in
        for entry in entries {
          let count = entry.bidCount + entry.askCount
          let prices = (buffer.baseAddress ?? UnsafePointer(bitPattern: 8)!) + entry.start
          if take(entry, prices, prices + count) { progressed = true } else { kept.append(entry) }
        }
      }
      entries = kept
    }
    if entries.isEmpty { values.removeAll(keepingCapacity: values.count < 1 << 16) }
  }

  public mutating func removeAll() {
    entries.removeAll()
    values.removeAll()
  }

  /// Breaks in the chain of the buffered events, put in order.
  public var holeCount: Int {
    let ordered = entries.map(\.ids).sorted { $0.first < $1.first }
    return zip(ordered, ordered.dropFirst()).count { !BookSync.follows($1, $0.final) && $1.final > $0.final }
  }
}
