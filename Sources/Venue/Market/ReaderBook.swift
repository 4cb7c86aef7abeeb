import Core

/// The book that a reader must hold: the levels of its snapshot and every level that a later diff named.
///
/// A snapshot ends at 1000 levels a side. What lies beyond is unknown, not empty: a level there enters the
/// reader's book when a diff first names it, so the reader's book is neither the market's nor a part cut from
/// it, and the truth has to keep it apart. Removals reach the reader like any diff, so all its levels lie in
/// the market's window of ticks and a ring holds them.
struct ReaderBook: ~Copyable {
  private(set) var isSynchronised = false
  private(set) var lastUpdateID: Int64 = 0
  private let bids: UnsafeMutablePointer<Int64>
  private let asks: UnsafeMutablePointer<Int64>
  private static let mask = Ladder.slotCount - 1

  init() {
    bids = .allocate(capacity: Ladder.slotCount)
    asks = .allocate(capacity: Ladder.slotCount)
    bids.initialize(repeating: 0, count: Ladder.slotCount)
    asks.initialize(repeating: 0, count: Ladder.slotCount)
  }

  deinit {
    bids.deallocate()
    asks.deallocate()
  }

  /// Begins anew from the snapshot taken of the market as it is now.
  mutating func restart(_ market: borrowing SymbolMarket) {
    bids.update(repeating: 0, count: Ladder.slotCount)
    asks.update(repeating: 0, count: Ladder.slotCount)
    market.forEachBest(FrameEncoder.snapshotLevelsMax, .bid) { bids[$0 & ReaderBook.mask] = $1 }
    market.forEachBest(FrameEncoder.snapshotLevelsMax, .ask) { asks[$0 & ReaderBook.mask] = $1 }
    isSynchronised = true
  }

  /// Applies the levels of the market's window, which was delivered.
  mutating func apply(_ market: borrowing SymbolMarket) {
    lastUpdateID = market.updateID
    for tick in market.bids.changed { bids[tick & ReaderBook.mask] = market.bids[tick] }
    for tick in market.asks.changed { asks[tick & ReaderBook.mask] = market.asks[tick] }
  }

  /// All levels of a side, best first.
  func levels(_ side: Side, centre: Int) -> [(tick: Int, lots: Int64)] {
    var result: [(tick: Int, lots: Int64)] = []
    let half = Ladder.slotCount / 2
    for offset in 0..<Ladder.slotCount {
      let tick = side == .bid ? centre + half - 1 - offset : centre - half + offset
      let lots = side == .bid ? bids[tick & ReaderBook.mask] : asks[tick & ReaderBook.mask]
      if lots > 0 { result.append((tick, lots)) }
    }
    return result
  }
}
