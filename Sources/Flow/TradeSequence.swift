/// Follows a symbol's consecutive trade ids: what is new, what repeats, what is missing, what comes late.
///
/// A hole is loss until it is filled; overlapping connections and backfills fill it out of order, so an id
/// below the last one is late, not a duplicate, while its hole is open. At most ``holesMax`` holes are kept;
/// beyond that the oldest is given up (its ids then count as lost for good).
public struct TradeSequence: Sendable {
  public static let holesMax = 64

  public enum Step: Equatable, Sendable {
    case next
    /// New, and this many ids before it have not been seen.
    case afterHole(missing: Int64)
    /// Fills a hole.
    case late
    case duplicate
  }

  public internal(set) var lastID: Int64?
  /// Ids not seen so far.
  public internal(set) var missing: Int64 = 0
  public internal(set) var duplicates = 0
  var holes: [ClosedRange<Int64>] = []

  public init() {}

  /// Goes on where another ended: after its last id, with its open holes in rising order.
  public init(after lastID: Int64, holes: [ClosedRange<Int64>]) {
    self.lastID = lastID
    self.holes = Array(holes.suffix(TradeSequence.holesMax))
    missing = self.holes.reduce(0) { $0 + Int64($1.count) }
  }

  @inline(__always)
  public mutating func step(_ id: Int64) -> Step {
    if let last = lastID, id == last &+ 1 {
      lastID = id
      return .next
    }
    return stepUncommonly(id)
  }

  @inline(never)
  private mutating func stepUncommonly(_ id: Int64) -> Step {
    guard let last = lastID else {
      lastID = id
      return .next
    }
    if id > last {
      let gap = id - last - 1
      missing += gap
      if holes.count >= TradeSequence.holesMax { holes.removeFirst() }
      holes.append(last + 1...id - 1)
      lastID = id
      return .afterHole(missing: gap)
    }
    guard let index = holes.firstIndex(where: { $0.contains(id) }) else {
      duplicates += 1
      return .duplicate
    }
    let hole = holes.remove(at: index)
    if id < hole.upperBound { holes.insert(id + 1...hole.upperBound, at: index) }
    if id > hole.lowerBound { holes.insert(hole.lowerBound...id - 1, at: index) }
    if holes.count > TradeSequence.holesMax { holes.removeFirst() }
    missing -= 1
    return .late
  }
}
