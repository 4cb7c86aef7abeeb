import Core
import Testing

@testable import Venue

@Suite("Generated market, as read from its frames")
struct MarketReaderTests {
  struct Defects: Sendable, CustomTestStringConvertible {
    var seed: UInt64
    var gaps = 0
    var duplicates = 0
    var reorders = 0
    var testDescription: String { "seed \(seed) gaps \(gaps) duplicates \(duplicates) reorders \(reorders)" }
  }

  @Test(arguments: [
    Defects(seed: 1), Defects(seed: 2, gaps: 16), Defects(seed: 3, duplicates: 16),
    Defects(seed: 4, reorders: 16), Defects(seed: 5, gaps: 8, duplicates: 8, reorders: 6),
  ])
  func readerEndsWithTheTruth(_ defects: Defects) throws {
    let options = try MarketOptions(
      seed: defects.seed, symbols: ["BTCUSDT", "SOLUSDT"], minutes: 1.2, gaps: defects.gaps,
      duplicates: defects.duplicates, reorders: defects.reorders)
    let run = try MarketRun(options)
    #expect(run.outOfOrder == 0)
    #expect(run.wrongConnections == 0)
    var counted = (gaps: 0, duplicates: 0, reorders: 0)
    for (symbol, reader) in zip(options.symbols, run.readers) {
      let truth = run.truth["symbols"]![symbol]!
      #expect(reader.isSynchronised)
      #expect(reader.lastUpdateID == truth["last_u"]!.integer)
      let bids = reader.levels(truth["bids"])
      let asks = reader.levels(truth["asks"])
      #expect(bids.count > 900 && asks.count > 900)
      #expect(bids.map(\.0) == reader.bids.keys.sorted(by: >))
      #expect(asks.map(\.0) == reader.asks.keys.sorted())
      #expect(bids.allSatisfy { reader.bids[$0.0] == $0.1 })
      #expect(asks.allSatisfy { reader.asks[$0.0] == $0.1 })
      #expect(reader.quantityScale.text(reader.cvd) == truth["cvd"]!.text)
      #expect(reader.quantityScale.text(reader.ofi) == truth["ofi_l1_sum"]!.text)
      #expect(Int64(reader.trades) == truth["trades"]!.integer)
      #expect(Int64(reader.depthFrames) == truth["frames"]!["depth"]!.integer)
      #expect(Int64(reader.quoteFrames) == truth["frames"]!["book_ticker"]!.integer)

      #expect(reader.tradeHoles == 0)
      #expect(reader.crossed == 0)
      #expect(reader.touchChecks > 300)
      #expect(reader.touchDisagreements == 0)
      #expect(reader.closedKlines == 1)
      #expect(reader.klineDisagreements == 0)

      let gaps = truth["gaps"]!.elements!
      let reorders = truth["reorders"]!.elements!
      #expect(reader.chainBreaks.count == gaps.count + reorders.count)
      #expect(reader.snapshotsApplied == 1 + gaps.count + reorders.count)
      #expect(reader.staleSnapshots == gaps.count { $0["too_old_snapshot_first"]!.boolean! })
      #expect(Int64(reader.snapshotsApplied + reader.staleSnapshots) == truth["snapshots"]!.integer)
      #expect(reader.repeats == truth["duplicates"]!.elements!.count)
      for gap in gaps {
        let seen = reader.chainBreaks.first { $0.firstAfter == gap["U_after"]!.integer }
        #expect(seen?.before == gap["u_before"]!.integer)
        #expect(seen?.time == gap["at_ns"]!.integer)
      }
      counted.gaps += gaps.count
      counted.duplicates += reader.repeats
      counted.reorders += reorders.count
    }
    #expect(counted == (defects.gaps, defects.duplicates, defects.reorders))
  }

  @Test func snapshotsFallInsideFrames() throws {
    let run = try MarketRun(
      MarketOptions(seed: 8, symbols: ["ETHUSDT"], minutes: 1, gaps: 10))
    let reader = run.readers[0]
    #expect(reader.snapshotsApplied == 11)
    #expect(reader.bridgedInside > 5)
    // Levels beyond the snapshot's thousand became known by diffs only.
    #expect(reader.bids.count > 1000)
  }

  @Test func framesLookLikeTheExchange() throws {
    let run = try MarketRun(MarketOptions(seed: 9, symbols: ["BTCUSDT"], minutes: 2, framesPerSecond: 60))
    let keys = run.keyOrders.mapValues { $0.map { $0.joined(separator: " ") } }
    #expect(keys["depthUpdate"] == ["e E T s U u pu b a"])
    #expect(keys["bookTicker"] == ["e u s b B a A T E"])
    #expect(keys["aggTrade"] == ["e E a s p q f l T m"])
    #expect(keys["markPriceUpdate"] == ["e E s p P i r T"])
    #expect(keys["kline"] == ["e E s k"])
    #expect(keys["snapshot"] == ["lastUpdateId E T bids asks"])
    #expect(run.readers[0].closedKlines == 1)
    #expect(run.frameCounts["markPriceUpdate"] == 120)
    // Median 8 ms, plus the half millisecond that the stamps round away.
    let latencies = run.latenciesMs.sorted()
    #expect(latencies.first! > 0)
    #expect((7.5...10).contains(latencies[latencies.count / 2]))
    #expect(latencies.last! < 70)
  }

  @Test func depthFrameBytes() throws {
    var generator = MarketGenerator(try MarketOptions(seed: 1, symbols: ["SOLUSDT"], minutes: 0.05))
    var text = ""
    while text.isEmpty, let frame = generator.next() {
      if frame.stream == .depth { text = String(decoding: frame.payload, as: UTF8.self) }
    }
    #expect(text.hasPrefix(#"{"stream":"solusdt@depth@100ms","data":{"e":"depthUpdate","E":17675712000"#))
    #expect(text.contains(#""s":"SOLUSDT","U":"#))
    #expect(text.contains(/,"b":\[\["1\d\d\.\d\d00","\d+"\]/))
    #expect(text.hasSuffix("\"]]}}"))
  }

  @Test func liquidationsAddUp() throws {
    // A fast market reaches the one order in a thousand soon.
    var generator = MarketGenerator(
      try MarketOptions(seed: 3, symbols: ["BTCUSDT"], minutes: 0.25, framesPerSecond: 2000))
    var count = 0
    while let frame = generator.next() {
      guard frame.stream == .forceOrder else { continue }
      let order = try JSONValue(parsing: frame.payload)["data"]!["o"]!
      #expect(order.members!.map(\.key).joined(separator: " ") == "s S o f q p ap X l z T")
      #expect(order["q"] == order["z"])
      count += 1
    }
    #expect(count > 0)
  }
}
