import Book
import Core

/// Order flow imbalance of the best quotes and of deeper levels.
///
/// Every change of a quote is one of: size arrived, size left, price moved. The order flow imbalance counts
/// size that arrived on the bid or left the ask as buying pressure, and the opposite as selling pressure;
/// over seconds it explains most of the mid's change, linearly. Naive versions (difference of sizes, or of
/// sizes by level index) miss the price moves, which carry most of the information: when the bid rises, the
/// whole new queue is demand, and the old queue, still there one level down, is not supply.
///
/// Source: R. Cont, A. Kukanov, S. Stoikov, "The Price Impact of Order Book Events", J. Financial
/// Econometrics 12 (2014), eq. (4); at deeper levels: K. Xu, M. Gould, S. Howison, "Multi-Level Order-Flow
/// Imbalance in a Limit Order Book" (2018).
public enum OrderFlowImbalance {
  /// e = qb·1[Pb ≥ Pb′] − qb′·1[Pb ≤ Pb′] − qa·1[Pa ≤ Pa′] + qa′·1[Pa ≥ Pa′], primes: before the event.
  @inline(__always)
  public static func contribution(before: Quote, after: Quote) -> Int64 {
    var e: Int64 = 0
    e &+= after.bidPrice >= before.bidPrice ? after.bidQuantity : 0
    e &-= after.bidPrice <= before.bidPrice ? before.bidQuantity : 0
    e &-= after.askPrice <= before.askPrice ? after.askQuantity : 0
    e &+= after.askPrice >= before.askPrice ? before.askQuantity : 0
    return e
  }
}

/// The per-level contributions of a book's events: level m's formula compares the m-th best prices before
/// and after, by price. A level that does not exist before or after contributes nothing.
public struct MultiLevelImbalance: ~Copyable {
  public let levels: Int
  /// The last event's contributions, best level first.
  public let contributions: UnsafeMutablePointer<Int64>
  var before: UnsafeMutablePointer<Int64>
  private var after: UnsafeMutablePointer<Int64>
  var bidCountBefore = 0
  var askCountBefore = 0
  var hasState = false

  public init(levels: Int) {
    self.levels = levels
    contributions = .allocate(capacity: levels)
    contributions.initialize(repeating: 0, count: levels)
    before = .allocate(capacity: 4 * levels)
    after = .allocate(capacity: 4 * levels)
  }

  deinit {
    contributions.deallocate()
    before.deallocate()
    after.deallocate()
  }

  /// Forgets the state: the next event sets it without contributing, so nothing is differenced across a hole.
  public mutating func reset() { hasState = false }

  /// Sizes of the best levels after the last event, both sides together, and how many levels there were.
  func depth(levels count: Int) -> (size: Int64, sides: Int64) {
    var size: Int64 = 0
    let bids = min(count, bidCountBefore)
    let asks = min(count, askCountBefore)
    for level in 0..<bids { size &+= before[levels &+ level] }
    for level in 0..<asks { size &+= before[3 &* levels &+ level] }
    return (size, Int64(bids &+ asks))
  }

  /// Takes the book after an event. `false` when the event only set the state.
  ///
  /// - Complexity: O(ticks to the deepest level)
  @inline(__always)
  public mutating func step(_ book: borrowing Book) -> Bool {
    let K = levels
    let bidCount = book.bids.copyTop(K, prices: after, quantities: after + K)
    let askCount = book.asks.copyTop(K, prices: after + 2 &* K, quantities: after + 3 &* K)
    let contributed = hasState
    if contributed {
      for level in 0..<K {
        var e: Int64 = 0
        if level < bidCount, level < bidCountBefore {
          let new = after[level]
          let old = before[level]
          e &+= new >= old ? after[K &+ level] : 0
          e &-= new <= old ? before[K &+ level] : 0
        }
        if level < askCount, level < askCountBefore {
          let new = after[2 &* K &+ level]
          let old = before[2 &* K &+ level]
          e &-= new <= old ? after[3 &* K &+ level] : 0
          e &+= new >= old ? before[3 &* K &+ level] : 0
        }
        contributions[level] = e
      }
    }
    swap(&before, &after)
    bidCountBefore = bidCount
    askCountBefore = askCount
    hasState = true
    return contributed
  }
}
