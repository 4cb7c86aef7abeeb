import Core
import Testing

@testable import Venue

@Suite("Generated market, determinism")
struct MarketDeterminismTests {
  private func options(
    seed: UInt64 = 11, symbols: [String] = ["BTCUSDT", "DOGEUSDT"], skewMs: Int64 = 0, gaps: Int = 3
  ) throws -> MarketOptions {
    try MarketOptions(
      seed: seed, symbols: symbols, minutes: 0.5, gaps: gaps, duplicates: 2, reorders: 1, skewMs: skewMs)
  }

  @Test func sameSeedSameBytes() throws {
    let first = MarketRun.hash(try options())
    let second = MarketRun.hash(try options())
    #expect(first == second)
    #expect(first.1 > 3000)
    #expect(MarketRun.hash(try options(seed: 12)).0 != first.0)
  }

  @Test func truthIsDeterministic() throws {
    func truth(_ seed: UInt64) throws -> String {
      var generator = MarketGenerator(try options(seed: seed))
      while generator.next() != nil {}
      return generator.truth.text()
    }
    #expect(try truth(11) == truth(11))
    #expect(try truth(11) != truth(12))
  }

  @Test func companyLeavesAMarketAsItWas() throws {
    let alone = try MarketOptions(seed: 5, symbols: ["ETHUSDT"], minutes: 0.2)
    let among = try MarketOptions(seed: 5, symbols: ["BTCUSDT", "ETHUSDT", "NEWUSDT"], minutes: 0.2)
    // Payloads by connection: others' frames share the lines, so their arrivals differ.
    for connection in [MarketFrame.publicConnection, MarketFrame.marketConnection] {
      let first = MarketRun.payloadHash(alone, symbolIndex: 0, connection)
      #expect(first.1 > 100)
      #expect(first == MarketRun.payloadHash(among, symbolIndex: 1, connection))
    }
  }

  @Test(arguments: [-1520, 900] as [Int64])
  func skewMovesTheReceiversClockOnly(_ skewMs: Int64) throws {
    var plain = MarketGenerator(try options())
    var skewed = MarketGenerator(try options(skewMs: skewMs))
    var count = 0
    while let frame = plain.next() {
      guard let other = skewed.next() else { break }
      let isMoved = other.receiveTime.rawValue - frame.receiveTime.rawValue == skewMs * 1_000_000
      let isSame = frame.payload.elementsEqual(other.payload)
      if !isMoved || !isSame { Issue.record("frame \(count) differs by more than the skew") }
      count += 1
      if !isMoved || !isSame { return }
    }
    let isOver = skewed.next() == nil
    #expect(isOver)
    #expect(count > 3000)
  }

  @Test func startIsAnOption() throws {
    let start = UnixNanos(milliseconds: 1_700_000_000_000)
    var generator = MarketGenerator(
      try MarketOptions(seed: 1, symbols: ["BTCUSDT"], minutes: 0.1, start: start))
    let arrival = generator.next()?.receiveTime
    let first = try #require(arrival)
    #expect(first > start)
    #expect(first.rawValue < start.rawValue + Nanoseconds.second)
  }
}
