import Core

/// A symbol's order book: two ladders of absolute quantities, exact integers.
///
/// It knows nothing of update ids; whoever applies events vouches for their order (`BookSync`).
public struct Book: ~Copyable {
  public var bids = Ladder(isBid: true)
  public var asks = Ladder(isBid: false)

  public init() {}

  /// Replaces the whole book by a snapshot's levels (bids first, then asks, each best first).
  public mutating func load(
    prices: UnsafePointer<Int64>, quantities: UnsafePointer<Int64>, bidCount: Int, askCount: Int
  ) {
    bids.prepare(prices: prices, count: bidCount)
    asks.prepare(prices: prices + bidCount, count: askCount)
    apply(prices: prices, quantities: quantities, bidCount: bidCount, askCount: askCount)
  }

  /// Applies a depth event's levels: absolute quantities, 0 removes.
  ///
  /// - Complexity: O(levels)
  @inline(__always)
  public mutating func apply(
    prices: UnsafePointer<Int64>, quantities: UnsafePointer<Int64>, bidCount: Int, askCount: Int
  ) {
    bids.apply(prices: prices, quantities: quantities, count: bidCount)
    asks.apply(prices: prices + bidCount, quantities: quantities + bidCount, count: askCount)
  }

  /// The best quotes; nil while a side is empty.
  @inlinable @inline(__always)
  public var quote: Quote? {
    if bids.isEmpty || asks.isEmpty { return nil }
    return Quote(
      bidPrice: bids.bestPrice, bidQuantity: bids.bestQuantity, askPrice: asks.bestPrice,
      askQuantity: asks.bestQuantity)
  }

  /// Best bid at or above best ask: the book is wrong.
  @inlinable @inline(__always)
  public var isCrossed: Bool { !bids.isEmpty && !asks.isEmpty && bids.bestPrice >= asks.bestPrice }

  /// A side could not keep a level: the book is no longer the venue's and needs a new snapshot.
  @inlinable @inline(__always)
  public var isOverflowing: Bool { bids.isOverflowing || asks.isOverflowing }

  public mutating func removeAll() {
    bids.removeAll()
    asks.removeAll()
  }
}
