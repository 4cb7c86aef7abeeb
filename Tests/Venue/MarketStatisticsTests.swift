import Core
import Testing

@testable import Venue

@Suite("Generated market, its statistics")
struct MarketStatisticsTests {
  /// A market without protocol or delivery, and what a perfect observer measures of it.
  struct Observation {
    var reference: ReferenceFlow
    var depthFrames = 0
    var depthLevels = 0
    var bookTickers = 0
    var trades = 0
    var violations = 0
  }

  private func observe(_ symbol: String, seed: UInt64, minutes: Int) -> Observation {
    let start = MarketOptions.startDefault
    var market = SymbolMarket(
      instrument: Instrument(symbol: symbol), random: SeededRandom(seed: seed), start: start, flowScale: 1)
    var result = Observation(
      reference: ReferenceFlow(start: start.rawValue, doubledMid: market.doubledMid))
    let end = start.rawValue + Int64(minutes) * Nanoseconds.minute
    while market.nextTime < end {
      result.reference.reach(market.nextTime, doubledMid: market.doubledMid)
      let step = market.step()
      if step.contains(.touch) {
        result.reference.quote(market.touch)
        result.bookTickers += 1
      }
      if step.contains(.trade) {
        for fill in market.trades.fills { result.reference.trade(fill.lots, market.trades.aggressor) }
        result.trades += market.trades.fills.count
      }
      if step.contains(.window) {
        result.depthFrames += 1
        result.depthLevels += market.bids.changed.count + market.asks.changed.count
      }
      let touch = market.touch
      if touch.bidTick >= touch.askTick || touch.bidLots <= 0 || touch.askLots <= 0 { result.violations += 1 }
    }
    result.reference.reach(end, doubledMid: market.doubledMid)
    return result
  }

  @Test func relationIsThereForEverySeed() throws {
    var predictive: [Double] = []
    for (symbol, seed) in [("BTCUSDT", 1), ("ETHUSDT", 2), ("SOLUSDT", 3)] as [(String, UInt64)] {
      let observed = observe(symbol, seed: seed, minutes: 30)
      #expect(observed.violations == 0)
      let reference = observed.reference
      #expect(reference.moveOnOFI.count == 180)
      let squared = try #require(reference.moveOnOFI.correlation.map { $0 * $0 })
      #expect((0.5...0.85).contains(squared), "\(symbol) seed \(seed): R² \(squared)")
      let next = try #require(reference.nextMoveOnOFI.correlation)
      // The standard error of 180 pairs is .075.
      #expect((0.08...0.42).contains(next), "\(symbol) seed \(seed): predictive \(next)")
      predictive.append(next)
      let flow = try #require(reference.nextMoveOnCVD.correlation)
      #expect(flow > -0.05, "\(symbol) seed \(seed): CVD predictive \(flow)")

      let seconds = 30.0 * 60
      #expect(abs(Double(observed.depthFrames) / seconds / MarketRates.depthPerSecond - 1) < 0.01)
      #expect(abs(Double(observed.bookTickers) / seconds / MarketRates.bookTickersPerSecond - 1) < 0.25)
      #expect(abs(Double(observed.trades) / seconds / MarketRates.aggregateTradesPerSecond - 1) < 0.25)
      let levels = Double(observed.depthLevels) / Double(observed.depthFrames)
      #expect((28...34).contains(levels), "\(symbol) seed \(seed): \(levels) levels a depth frame")
    }
    let mean = predictive.reduce(0, +) / Double(predictive.count)
    #expect((0.15...0.35).contains(mean), "mean predictive correlation \(mean)")
  }

  @Test func bookIsWholeAtEveryStep() {
    for (symbol, scale) in [("BTCUSDT", 1.0), ("DOGEUSDT", 1.0), ("BTCUSDT", 80.0)] {
      var market = SymbolMarket(
        instrument: Instrument(symbol: symbol), random: SeededRandom(seed: 4),
        start: MarketOptions.startDefault, flowScale: scale)
      var lowest = market.bestBid
      var highest = market.bestBid
      for _ in 0..<8000 {
        let before = market.updateID
        let step = market.step()
        #expect(market.updateID >= before)
        lowest = min(lowest, market.bestBid)
        highest = max(highest, market.bestBid)
        guard step.contains(.window) else { continue }
        // The best quotes are the best: nothing rests between them or on the wrong side of them.
        for tick in market.bestBid + 1..<market.bestBid + 200 where market.bids[tick] != 0 {
          Issue.record("\(symbol): a bid at \(tick) above the best bid \(market.bestBid)")
        }
        for tick in market.bestAsk - 199..<market.bestAsk where market.asks[tick] != 0 {
          Issue.record("\(symbol): an ask at \(tick) below the best ask \(market.bestAsk)")
        }
        #expect(abs(market.doubledMid - 2 * market.centre) <= 64)
        let changed = market.bids.changed
        #expect(zip(changed, changed.dropFirst()).allSatisfy { $0 < $1 })
      }
      #expect(highest > lowest)
      var levels = 0
      market.forEachBest(10_000, .bid) { _, lots in
        #expect(lots > 0)
        levels += 1
      }
      #expect(levels > FrameEncoder.snapshotLevelsMax)
    }
  }

  @Test func orderFlowIsClustered() {
    var random = SeededRandom(seed: 21)
    var clock = FlowClock(scale: 1)
    var trades = 0
    var quotes = 0
    var time = 0.0
    var counts: [Double] = []
    var inBucket = 0.0
    while time < 600 {
      let next = clock.next(&random)
      time += next.seconds
      while time > Double(counts.count + 1) {
        counts.append(inBucket)
        inBucket = 0
      }
      if next.kind == .trade {
        trades += 1
        inBucket += 1
      } else {
        quotes += 1
      }
    }
    #expect(FlowParameters.branchingRadius < 1)
    #expect(abs(Double(trades) / 600 / FlowParameters.tradesPerSecond - 1) < 0.1)
    #expect(abs(Double(quotes) / 600 / FlowParameters.quotesPerSecond - 1) < 0.1)
    // Independent arrivals would give 1; this branching gives 5 to 7 at one second.
    let mean = counts.reduce(0, +) / Double(counts.count)
    let variance = counts.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(counts.count - 1)
    #expect(variance / mean > 3)
  }

  @Test func sizesAreHeavyTailed() {
    let table = QuantileTable.heavyTailed(tailExponent: FlowParameters.tradeTailExponent)
    var random = SeededRandom(seed: 5)
    var sum = 0.0
    var large = 0
    for _ in 0..<100_000 {
      let size = table.draw(&random)
      sum += size
      if size > 10 { large += 1 }
    }
    #expect(abs(sum / 100_000 - 1) < 0.06)
    // P(X > 10) = (1 + 10/1.2)^−2.2 = .0073; an exponential of the same mean would have .00005.
    #expect((500...1000).contains(large))
  }

  @Test func pressureIsAnAutoregressionOfUnitVariance() {
    var random = SeededRandom(seed: 6)
    var pressure = HiddenPressure(&random)
    var pairs = PairMoments()
    var last = pressure.value
    for _ in 0..<200_000 {
      pressure.step(&random)
      pairs.add(last, pressure.value)
      last = pressure.value
    }
    #expect(abs(pairs.deviationY! - 1) < 0.1)
    #expect(abs(pairs.slope! - HiddenPressure.persistence) < 0.002)
  }

  @Test(arguments: [40.0, 400, 3000])
  func rateIsTheFramesASecond(_ rate: Double) throws {
    let options = try MarketOptions(
      seed: 7, symbols: ["BTCUSDT", "ETHUSDT"], minutes: 0.5, framesPerSecond: rate)
    var generator = MarketGenerator(options)
    var count = 0
    while generator.next() != nil { count += 1 }
    #expect(abs(Double(count) / 30 / rate - 1) < 0.25)
  }
}
