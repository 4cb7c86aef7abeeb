import Book
import Core
import Testing

/// The plainest possible book: what any book must equal.
private struct ReferenceBook {
  var bids: [Int64: Int64] = [:]
  var asks: [Int64: Int64] = [:]

  mutating func set(_ isBid: Bool, _ price: Int64, _ quantity: Int64) {
    if isBid {
      bids[price] = quantity == 0 ? nil : quantity
    } else {
      asks[price] = quantity == 0 ? nil : quantity
    }
  }

  var sortedBids: [[Int64]] { bids.sorted { $0.key > $1.key }.map { [$0.key, $0.value] } }
  var sortedAsks: [[Int64]] { asks.sorted { $0.key < $1.key }.map { [$0.key, $0.value] } }
}

@Suite("Book")
struct BookTests {
  private static func top(_ ladder: borrowing Ladder, _ depth: Int) -> [[Int64]] {
    var prices = [Int64](repeating: 0, count: depth)
    var quantities = prices
    let count = prices.withUnsafeMutableBufferPointer { p in
      quantities.withUnsafeMutableBufferPointer { q in
        ladder.copyTop(depth, prices: p.baseAddress!, quantities: q.baseAddress!)
      }
    }
    return (0..<count).map { [prices[$0], quantities[$0]] }
  }

  /// Random walks of the touch with far levels, jumps across the window, changes of grid, emptied sides.
  @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
  func equalsReference(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var book = Book()
    var reference = ReferenceBook()
    var mid: Int64 = 6_400_000
    let tick: Int64 = [1, 10, 10, 100][random.below(4)]
    for event in 0..<2001 {
      if random.bernoulli(0.002) { mid += Int64(random.below(2_000_000)) - 1_000_000 }
      mid += Int64(random.below(41)) - 20
      var prices: [Int64] = []
      var quantities: [Int64] = []
      var bidCount = 0
      for side in 0..<2 {
        for _ in 0..<random.below(8) {
          let reach = random.bernoulli(0.1) ? 3_000_000 : 2000
          let distance = Int64(random.below(reach)) + 1
          var price = max(tick, (mid + (side == 0 ? -distance : distance)) / tick * tick)
          if event > 1500, random.bernoulli(0.005) { price += 1 }
          let quantity = random.bernoulli(0.45) ? 0 : Int64(random.below(1000)) + 1
          prices.append(price)
          quantities.append(quantity)
          reference.set(side == 0, price, quantity)
        }
        if side == 0 { bidCount = prices.count }
      }
      book.apply(
        prices: prices, quantities: quantities, bidCount: bidCount, askCount: prices.count - bidCount)
      let bestBid = reference.bids.keys.max() ?? 0
      let bestAsk = reference.asks.keys.min() ?? 0
      if book.bids.bestPrice != bestBid || book.asks.bestQuantity != reference.asks[bestAsk] ?? 0 {
        Issue.record("seed \(seed) event \(event): the best quote differs")
        return
      }
      guard event % 100 == 0 else { continue }
      let bids = reference.sortedBids
      let asks = reference.sortedAsks
      do {
        #expect(BookTests.top(book.bids, 5) == Array(bids.prefix(5)), "seed \(seed) event \(event)")
        #expect(BookTests.top(book.asks, 5) == Array(asks.prefix(5)), "seed \(seed) event \(event)")
      }
      if event % 500 == 0 {
        #expect(book.bids.levels().map { [$0.price, $0.quantity] } == bids, "seed \(seed) event \(event)")
        #expect(book.asks.levels().map { [$0.price, $0.quantity] } == asks, "seed \(seed) event \(event)")
      }
    }
  }

  @Test func snapshotReplacesEverything() {
    var book = Book()
    book.apply(prices: [100, 200], quantities: [1, 1], bidCount: 1, askCount: 1)
    book.load(prices: [1000, 990, 1010, 1020], quantities: [5, 6, 7, 8], bidCount: 2, askCount: 2)
    #expect(book.bids.levels().map(\.price) == [1000, 990])
    #expect(book.asks.levels().map(\.price) == [1010, 1020])
    let quote = book.quote
    #expect(quote == Quote(bidPrice: 1000, bidQuantity: 5, askPrice: 1010, askQuantity: 7))
    let quantity = book.bids.quantity(at: 990)
    #expect(quantity == 6)
    let crossedBefore = book.isCrossed
    #expect(!crossedBefore)
    book.apply(prices: [1010], quantities: [1], bidCount: 1, askCount: 0)
    let crossedAfter = book.isCrossed
    #expect(crossedAfter)
  }

  @Test func removingAnAbsentLevelIsNormal() {
    var book = Book()
    book.apply(prices: [100, 7, 1 << 40], quantities: [0, 0, 0], bidCount: 2, askCount: 1)
    let quote = book.quote
    #expect(quote == nil)
    let levels = book.bids.levels()
    #expect(levels.isEmpty)
  }
}
