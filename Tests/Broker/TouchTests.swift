import Core
import Strategy
import Testing

@testable import Broker

/// A quote as a row tells it: see `SignalPipeline.makeRow`.
func rowQuote(bid: Int64, ask: Int64, decimals: Int) -> (
  mid: (units: Int64, decimals: Int), spreadBps: Micros
) {
  let quote = Quote(bidPrice: bid, bidQuantity: 1, askPrice: ask, askQuantity: 1)
  // Half the doubled mid has one decimal more; without trailing zeros, as a reader of the sinks has it.
  var units = quote.doubledMid * 5
  var places = decimals + 1
  while places > 0, units % 10 == 0 {
    units /= 10
    places -= 1
  }
  return ((units, places), Micros(Gates.spreadBps(quote)))
}

@Suite("Touch")
struct TouchTests {
  /// Random quotes of every size on every grid come back exactly.
  @Test(arguments: 0...9, [1, 2, 3] as [UInt64])
  func isExactOnEveryGrid(decimals: Int, seed: UInt64) throws {
    var random = SeededRandom(seed: seed).stream(UInt64(decimals))
    for round in 0..<4000 {
      let digits = 1 + random.below(9)
      let bid = Int64(1 + random.below(Int(powerOfTen(digits))))
      let spread: Int64 =
        switch random.below(4) {
        case 0: 1
        case 1: 10 * Int64(1 + random.below(20))
        case 2: Int64(1 + random.below(1000))
        default: Int64(1 + random.below(Int(max(1, bid / 2))))
        }
      let ask = bid + spread
      if bid + ask > 1_900_000_000 * 10 { continue }
      let (mid, spreadBps) = rowQuote(bid: bid, ask: ask, decimals: decimals)
      let touch = try #require(
        Touch(mid: mid, spreadBps: spreadBps), "seed \(seed) round \(round): \(bid) \(ask)")
      #expect(touch.bid == Pico(Int128(bid), decimals: decimals), "seed \(seed) round \(round)")
      #expect(touch.ask == Pico(Int128(ask), decimals: decimals), "seed \(seed) round \(round)")
      #expect(touch.decimals <= decimals)
    }
  }

  @Test func theWidestPriceIsExact() throws {
    for spread in 1...50 as ClosedRange<Int64> {
      let (mid, spreadBps) = rowQuote(bid: 9_400_000_001, ask: 9_400_000_001 + spread, decimals: 8)
      let touch = try #require(Touch(mid: mid, spreadBps: spreadBps))
      #expect(touch.ask.rawValue - touch.bid.rawValue == Int128(spread) * 10_000)
    }
  }

  @Test(
    arguments: [
      (0, 0, 1.0), (-5, 0, 1.0), (100, 0, 0.0), (100, 0, -1.0), (100, 0, 20_000.0), (100, 0, 1e12),
      (Int64.max, 0, 1.0), (1, 18, 1.0), (12_345, 2, 0.000001),
    ] as [(Int64, Int, Double)])
  func whatIsNoQuoteIsRefused(units: Int64, decimals: Int, spread: Double) {
    #expect(Touch(mid: (units, decimals), spreadBps: Micros(spread)) == nil)
  }
}
