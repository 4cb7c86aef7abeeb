import Core
import Testing

@testable import Strategy

@Suite("Market window")
struct MarketWindowTests {
  private static let second = Nanoseconds.second

  private func quote(_ bid: Int64, _ ask: Int64) -> Quote {
    Quote(bidPrice: bid, bidQuantity: 1, askPrice: ask, askQuantity: 1)
  }

  /// Begun at a whole window.
  private func window() -> MarketWindow {
    var window = MarketWindow()
    window.reserve(seconds: 60)
    window.begin(frames: 0)
    window.sample(tickers: 0, depths: 0, quote: quote(9999, 10_001), elapsedNs: nil)
    return window
  }

  private func end(_ window: inout MarketWindow, seconds: Int64 = 4, frames: Int64 = 10) -> MarketFigures? {
    window.end(
      elapsedNs: seconds * Nanoseconds.second, frames: frames, volumeUnit: 1e-5, winsorizedShare: 0.05)
  }

  @Test func figuresOfAFewSeconds() throws {
    var window = window()
    window.take(tradePrice: 10_000, quantity: 300)
    window.take(tradePrice: 10_010, quantity: 100)
    let ask: [Int64] = [10_001, 10_003, 10_005, 10_003]
    for (index, updates) in [10, 40, 20, 30].enumerated() {
      let total = [10, 50, 70, 100][index]
      #expect(total - updates == (index == 0 ? 0 : [10, 50, 70, 100][index - 1]))
      window.sample(
        tickers: Int64(total), depths: 7, quote: quote(9999, ask[index]), elapsedNs: Nanoseconds.second)
    }
    let figures = try #require(end(&window))
    #expect(figures.tradesPerMinute == 30)
    #expect(figures.quotesPerSecond == 25)
    // (10_000·300 + 10_010·100) units over 4 s.
    #expect(abs(figures.volumeUSD - 40.01 * 15) < 1e-9)
    // The spreads are 2, 4, 6 and 4 over twice their mids.
    #expect(abs(figures.spreadBps! - 2e4 * 4 / 20_002) < 1e-9)
    let mids = [20_000.0, 20_000, 20_002, 20_004, 20_002]
    var squares = 0.0
    for (a, b) in zip(mids, mids.dropFirst()) { squares += (2 * (b - a) / (a + b)) * (2 * (b - a) / (a + b)) }
    #expect(abs(figures.volatilityBps! - 1e4 * (squares * 15).squareRoot()) < 1e-9)
    // A window by itself: nothing of it is left in the next.
    window.sample(tickers: 100, depths: 7, quote: quote(9999, 10_003), elapsedNs: Nanoseconds.second)
    let next = try #require(end(&window, seconds: 1, frames: 11))
    #expect(next.tradesPerMinute == 0 && next.volumeUSD == 0 && next.volatilityBps == 0)
    #expect(next.quotesPerSecond == 0)
  }

  @Test func whatIsNoEvidence() throws {
    var fresh = MarketWindow()
    fresh.sample(tickers: 5, depths: 0, quote: quote(9, 11), elapsedNs: Nanoseconds.second)
    // First seen within the window.
    #expect(end(&fresh) == nil)
    // Now whole, but without a frame.
    #expect(end(&fresh, frames: 10) == nil)
    #expect(end(&fresh, frames: 11) != nil)
  }

  /// Behind a silence the counters are read anew, and no return reaches over it.
  @Test func aSilenceBreaksTheChain() throws {
    var window = window()
    window.sample(tickers: 1000, depths: 0, quote: quote(99, 101), elapsedNs: nil)
    window.sample(tickers: 1010, depths: 0, quote: quote(99, 101), elapsedNs: Nanoseconds.second)
    let figures = try #require(end(&window))
    #expect(figures.quotesPerSecond == 10 && figures.volatilityBps == 0)
  }

  @Test func withoutATickerTheBookCounts() throws {
    var window = window()
    window.sample(tickers: nil, depths: 12, quote: nil, elapsedNs: Nanoseconds.second)
    let figures = try #require(end(&window))
    #expect(figures.quotesPerSecond == 12 && figures.spreadBps == nil && figures.volatilityBps == nil)
    // What cannot be seen is not active, however wide the limits.
    var limits = MarketTriggerConfiguration()
    (limits.tradesPerMinuteMin, limits.quotesPerSecondMin, limits.volumeUSDMin) = (0, 0, 0)
    (limits.volatilityBpsMin, limits.spreadBpsMax) = (0, 1e9)
    #expect(!figures.isActive(by: limits))
  }

  @Test func aMarketIsActiveAtItsLimits() {
    let limits = MarketTriggerConfiguration()
    let figures = MarketFigures(
      tradesPerMinute: 500, quotesPerSecond: 100, spreadBps: 5, volatilityBps: 10, volumeUSD: 1_000_000)
    #expect(figures.isActive(by: limits))
    let paths: [(WritableKeyPath<MarketFigures, Double>, Double)] = [
      (\.tradesPerMinute, 499.999), (\.volumeUSD, 999_999.9),
    ]
    for (path, value) in paths {
      var less = figures
      less[keyPath: path] = value
      #expect(!less.isActive(by: limits))
    }
    let optionals: [(WritableKeyPath<MarketFigures, Double?>, Double)] = [
      (\.quotesPerSecond, 99.9), (\.spreadBps, 5.001), (\.volatilityBps, 9.99),
    ]
    for (path, value) in optionals {
      for changed in [value, nil] {
        var less = figures
        less[keyPath: path] = changed
        #expect(!less.isActive(by: limits))
      }
    }
  }

  @Test func theShareOfSymbolsDecides() throws {
    let active = MarketFigures(
      tradesPerMinute: 600, quotesPerSecond: 200, spreadBps: 1, volatilityBps: 20, volumeUSD: 2e6)
    var quiet = active
    quiet.tradesPerMinute = 2
    var limits = MarketTriggerConfiguration()
    #expect(MarketVerdict([], limits) == nil)
    for (share, count, isActive) in [(0.5, 5, true), (0.5, 4, false), (0.7, 7, true), (0.7, 6, false)] {
      limits.symbolsShareMin = share
      let figures = (0..<10).map { $0 < count ? active : quiet }
      let verdict = try #require(MarketVerdict(figures, limits))
      #expect(verdict.isActive == isActive && verdict.symbolsActive == count && verdict.symbols == 10)
    }
    let verdict = try #require(MarketVerdict([active, quiet, active], limits))
    #expect(verdict.figures.tradesPerMinute == 600)
  }

  @Test func winsorisedMedians() {
    func median(_ values: [Double], _ share: Double) -> Double? {
      var values = values
      return winsorizedMedian(&values, share)
    }
    #expect(median([], 0.1) == nil)
    #expect(median([3], 0.49) == 3 && median([9, 1], 0.49) == 5)
    #expect(median([5, 1, 4, 2, 3], 0.2) == 3)
    #expect(median([1000, 1, 2, 3], 0.25) == 2.5)
  }

  @Test func aCheckpointChangesNothing() throws {
    var window = window()
    window.take(tradePrice: 3, quantity: 7)
    window.sample(tickers: 9, depths: 4, quote: quote(9990, 10_003), elapsedNs: Nanoseconds.second)
    var writer = CheckpointWriter()
    writer.append("MARK", window)
    var fresh = MarketWindow()
    var reader = CheckpointReader(writer.bytes)
    try reader.restore("MARK", &fresh)
    try reader.finish()
    #expect(fresh == window)
  }
}

@Suite("Volatility axis")
struct VolatilityAxisTests {
  /// A random walk of mids, one a second, whose volatility wanders; scaled by a factor.
  private func returns(seed: UInt64, seconds: Int, scale: Double) -> [Double] {
    var random = SeededRandom(seed: seed)
    var level = 0.0
    return (0..<seconds).map { _ in
      level = 0.999 * level + 0.03 * random.normal()
      let step = scale * 1e-4 * level.magnitude * random.normal()
      return step * step
    }
  }

  private func run(_ squares: [Double?], _ configuration: VolatilityConfiguration) -> (
    axis: VolatilityAxis, verdicts: [Bool?], values: [Double?]
  ) {
    var axis = VolatilityAxis(configuration)
    var verdicts: [Bool?] = []
    var values: [Double?] = []
    for (index, square) in squares.enumerated() {
      axis.sample(
        squaredReturn: square, elapsedNs: Nanoseconds.second, at: Int64(index + 1) * Nanoseconds.second)
      verdicts.append(axis.isHigh)
      values.append(axis.volatilityBps)
    }
    return (axis, verdicts, values)
  }

  /// Both cells are populated on markets a thousand times more, and a thousand times less volatile: what an
  /// absolute limit, and a ratio of windows that are not normalised by time, do not do.
  @Test(arguments: [0.001, 1000], 1...2 as ClosedRange<UInt64>)
  func bothSidesOccurOnAnyMarket(scale: Double, seed: UInt64) {
    let squares = returns(seed: seed, seconds: 6000, scale: scale)
    let (_, verdicts, values) = run(squares, VolatilityConfiguration())
    let told = verdicts.compactMap { $0 }
    let share = Double(told.count { $0 }) / Double(told.count)
    #expect(told.count > 5000 && (0.2...0.8).contains(share), "seed \(seed): \(share)")
    // The verdict does not depend on the scale at all.
    let (_, reference, _) = run(returns(seed: seed, seconds: 6000, scale: 1), VolatilityConfiguration())
    #expect(zip(verdicts, reference).count { $0 != $1 } <= 20)
    let median = values.compactMap { $0 }.sorted()[values.compactMap { $0 }.count / 2]
    #expect(median < 10 * scale)
  }

  /// Slow and plain, from all returns at every stride.
  private func model(_ squares: [Double?], _ c: VolatilityConfiguration) -> [Bool?] {
    var history: [Double] = []
    var isHigh: Bool?
    return squares.indices.map { index in
      let now = index + 1
      guard now % c.strideSeconds == 0, now > 1 else { return isHigh }
      let window = squares[max(0, now - c.windowSeconds)..<now].compactMap { $0 }
      guard window.count * 2 >= c.windowSeconds else { return isHigh }
      let value = (window.reduce(0, +) * 60 / Double(window.count)).squareRoot() * 1e4
      let past = history.suffix(c.historySeconds / c.strideSeconds).sorted()
      if past.count >= c.samplesMin {
        let median = (past[(past.count - 1) / 2] + past[past.count / 2]) / 2
        if let was = isHigh {
          isHigh = value > median * (1 + c.band) ? true : value <= median * (1 - c.band) ? false : was
        } else {
          isHigh = value > median
        }
      }
      history.append(value)
      return isHigh
    }
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func randomMarketsAreThoseOfTheModel(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var configuration = VolatilityConfiguration()
    configuration.windowSeconds = 5 + random.below(60)
    configuration.strideSeconds = 1 + random.below(20)
    configuration.historySeconds = configuration.strideSeconds * (7 + random.below(60))
    configuration.band = random.uniform() * 0.3
    let holes = random.uniform() * 0.6
    let squares = returns(seed: seed, seconds: 2000, scale: 1).map {
      random.bernoulli(holes) ? nil : $0 as Double?
    }
    let (_, verdicts, _) = run(squares, configuration)
    let expected = model(squares, configuration)
    // Sums in another order may differ in their last bit, which decides next to nothing.
    #expect(zip(verdicts, expected).count { $0 != $1 } == 0, "seed \(seed)")
    #expect(expected.contains(true) && expected.contains(false) || holes > 0.4, "seed \(seed)")
  }

  @Test func aMarketThatStandsStillIsLow() {
    var squares = [Double?](repeating: 0, count: 600)
    #expect(run(squares, VolatilityConfiguration()).verdicts.last == .some(false))
    // One move makes it high, and standing still low again.
    squares[300] = 1e-8
    let verdicts = run(squares, VolatilityConfiguration()).verdicts
    #expect(verdicts.contains(true) && verdicts.last == .some(false))
  }

  @Test func nothingIsToldBeforeThereAreEnoughValues() {
    var configuration = VolatilityConfiguration()
    configuration.windowSeconds = 10
    configuration.strideSeconds = 10
    configuration.samplesMin = 6
    let verdicts = run(returns(seed: 1, seconds: 200, scale: 1), configuration).verdicts
    // Six values come before the one that is judged.
    #expect(verdicts.firstIndex { $0 != nil } == 69)
  }

  /// A market at its median, within the band, keeps what it was.
  @Test func theBandHolds() {
    var configuration = VolatilityConfiguration()
    (configuration.windowSeconds, configuration.strideSeconds, configuration.band) = (5, 5, 0.1)
    var random = SeededRandom(seed: 4)
    var squares: [Double] = []
    for block in 0..<400 {
      let jitter = block < 40 ? 1 : block == 40 ? 1.2 : 1 + 0.18 * (random.uniform() - 0.5)
      squares += [Double](repeating: 1e-9 * jitter * jitter, count: 5)
    }
    let verdicts = run(squares, configuration).verdicts
    #expect(verdicts[205...].allSatisfy { $0 == true } && verdicts[204] == .some(true))
  }

  @Test func aCheckpointChangesNothing() throws {
    var configuration = VolatilityConfiguration()
    configuration.historySeconds = 300
    let squares = returns(seed: 9, seconds: 1500, scale: 1)
    var whole = VolatilityAxis(configuration)
    var cut = VolatilityAxis(configuration)
    for (index, square) in squares.enumerated() {
      let time = Int64(index + 1) * Nanoseconds.second
      whole.sample(squaredReturn: square, elapsedNs: Nanoseconds.second, at: time)
      cut.sample(squaredReturn: square, elapsedNs: Nanoseconds.second, at: time)
      #expect(whole.isHigh == cut.isHigh && whole.volatilityBps == cut.volatilityBps)
      guard index % 37 == 0 else { continue }
      var writer = CheckpointWriter()
      writer.append("VOLA", cut)
      var fresh = VolatilityAxis(configuration)
      var reader = CheckpointReader(writer.bytes)
      try reader.restore("VOLA", &fresh)
      try reader.finish()
      cut = fresh
    }
    #expect(whole.isHigh != nil)
  }
}
