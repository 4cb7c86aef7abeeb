import Core
import Flow
import Testing

@testable import Strategy

/// A verdict with one symbol, active or not.
func marketVerdict(_ isActive: Bool) -> MarketVerdict {
  MarketVerdict(
    symbols: 1, symbolsActive: isActive ? 1 : 0, isActive: isActive,
    figures: MarketFigures(
      tradesPerMinute: 1, quotesPerSecond: 1, spreadBps: 1, volatilityBps: 1, volumeUSD: 1))
}

@Suite("Strategy mode")
struct StrategyModeTests {
  private func configuration(
    active: Int = 3, quiet: Int = 6, _ change: (inout StrategyConfiguration) -> Void = { _ in }
  ) -> StrategyConfiguration {
    var configuration = StrategyConfiguration()
    configuration.activeWindowsMin = active
    configuration.quietWindowsMin = quiet
    change(&configuration)
    return configuration
  }

  /// Steps over minutes; nil is a window without evidence. The regime after each.
  private func run(_ mode: inout StrategyMode, _ asks: [Bool?], from minute: Int64 = 0) -> [Signal.Regime] {
    asks.enumerated().map { index, ask in
      let start = (minute + Int64(index)) * Nanoseconds.minute
      _ = mode.step(startNs: start, endNs: start + Nanoseconds.minute, ask.map { marketVerdict($0) })
      return mode.regime
    }
  }

  @Test func windowsInARowDecide() throws {
    var mode = try StrategyMode(configuration())
    #expect(run(&mode, [true, true, false, true, true]).allSatisfy { $0 == .normal })
    #expect(run(&mode, [true]) == [.active] && mode.reason == .market)
    #expect(run(&mode, [false, false, false, false, false, true]).allSatisfy { $0 == .active })
    #expect(run(&mode, [false, false, false, false, false, false]).map(\.rawValue) == [1, 1, 1, 1, 1, 2])
    #expect(run(&mode, [true, true, true]) == [.quiet, .quiet, .active])
    #expect(mode.windows == .init(seen: 21, active: 9, quiet: 12))
  }

  @Test func aWindowWithoutEvidenceEndsNothing() throws {
    var mode = try StrategyMode(configuration())
    #expect(run(&mode, [true, nil, true, nil, nil, true]).last == .active)
    mode.skipWindow()
    #expect(mode.windows == .init(seen: 7, active: 3, quiet: 0))
  }

  /// By schedule (asks in the first hour) and market, all four combinations.
  @Test(arguments: StrategyConfiguration.Combination.allCases)
  func triggersAreCombined(combination: StrategyConfiguration.Combination) throws {
    for (minute, isScheduled) in [(0, true), (60, false)] as [(Int64, Bool)] {
      for market in [true, false] {
        var mode = try StrategyMode(
          configuration(active: 1, quiet: 1) {
            $0.combination = combination
            $0.schedule.isEnabled = true
            $0.schedule.windows = ["00:00-01:00"]
          })
        let isActive = combination == .or ? isScheduled || market : isScheduled && market
        #expect(run(&mode, [market], from: minute) == [isActive ? .active : .quiet])
        let reason: StrategyMode.Reason =
          isScheduled == market ? .both : (isScheduled == isActive ? .schedule : .market)
        #expect(mode.reason == reason)
        #expect(mode.newest?.schedule == isScheduled && mode.newest?.market == market)
      }
    }
  }

  @Test func aTriggerThatIsOffTakesNoPart() throws {
    for combination in StrategyConfiguration.Combination.allCases {
      var scheduled = try StrategyMode(
        configuration(active: 1, quiet: 1) {
          $0.combination = combination
          $0.market.isEnabled = false
          $0.schedule.isEnabled = true
          $0.schedule.windows = ["00:00-00:01"]
        })
      #expect(run(&scheduled, [false, true]) == [.active, .quiet] && scheduled.reason == .schedule)
      #expect(scheduled.newest?.market == nil)
      var none = try StrategyMode(configuration(active: 1, quiet: 1) { $0.market.isEnabled = false })
      #expect(run(&none, [true, false, true]).allSatisfy { $0 == .normal })
      #expect(none.windows == .init(seen: 3, active: 0, quiet: 0))
    }
  }

  @Test func aBadScheduleIsRefusedWhereItIsUsed() throws {
    var bad = configuration { $0.schedule.windows = ["whenever"] }
    #expect(throws: Never.self) { try StrategyMode(bad) }
    bad.schedule.isEnabled = true
    #expect(throws: ScheduleError.self) { try StrategyMode(bad) }
  }

  // MARK: A border-line market

  /// The most changes that n windows allow: the first side's number, then the other's, and so on.
  private func changesMax(_ count: Int, active: Int, quiet: Int) -> Int {
    [[active, quiet], [quiet, active]].map { sides in
      var left = count
      var changes = 0
      while left >= sides[changes % 2] {
        left -= sides[changes % 2]
        changes += 1
      }
      return changes
    }.max()!
  }

  private func changes(_ regimes: [Signal.Regime]) -> Int {
    zip([.normal] + regimes, regimes).count { $0 != $1 }
  }

  /// Slow and plain: the last window at which one side had asked often enough in a row.
  private func model(_ asks: [Bool?], active: Int, quiet: Int) -> Signal.Regime {
    let counted = asks.compactMap { $0 }
    for end in counted.indices.reversed() {
      if end + 1 >= active, counted[(end + 1 - active)...end].allSatisfy({ $0 }) { return .active }
      if end + 1 >= quiet, counted[(end + 1 - quiet)...end].allSatisfy({ !$0 }) { return .quiet }
    }
    return .normal
  }

  /// Figures that jitter around every threshold at once: the regime is the model's after each window, and it
  /// changes no more often than windows in a row allow.
  @Test(arguments: 1...60 as ClosedRange<UInt64>)
  func aBorderlineMarketDoesNotFlap(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let (active, quiet) = (1 + random.below(6), 1 + random.below(10))
    let limits = MarketTriggerConfiguration()
    var mode = try StrategyMode(configuration(active: active, quiet: quiet))
    let bias = random.uniform() * 0.04
    var asks: [Bool?] = []
    var regimes: [Signal.Regime] = []
    for window in 0..<300 {
      func near(_ limit: Double, _ side: Double) -> Double {
        limit * (1 + side * (bias + 0.05 * (random.uniform() - 0.5)))
      }
      let figures = MarketFigures(
        tradesPerMinute: near(limits.tradesPerMinuteMin, 1),
        quotesPerSecond: near(limits.quotesPerSecondMin, 1), spreadBps: near(limits.spreadBpsMax, -1),
        volatilityBps: near(limits.volatilityBpsMin, 1), volumeUSD: near(limits.volumeUSDMin, 1))
      let verdict = random.bernoulli(0.05) ? nil : MarketVerdict([figures], limits)
      asks.append(verdict?.isActive)
      let start = Int64(window) * Nanoseconds.minute
      let before = mode.regime
      let hasChanged = mode.step(startNs: start, endNs: start + Nanoseconds.minute, verdict)
      #expect(hasChanged == (mode.regime != before))
      regimes.append(mode.regime)
      #expect(mode.regime == model(asks, active: active, quiet: quiet), "seed \(seed), window \(window)")
    }
    let bound = changesMax(asks.compactMap { $0 }.count, active: active, quiet: quiet)
    #expect(changes(regimes) <= bound, "seed \(seed)")
    if active > 1, quiet > 1 {
      let flips = zip(asks.compactMap { $0 }, asks.compactMap { $0 }.dropFirst()).count { $0 != $1 }
      #expect(changes(regimes) <= flips + 1, "seed \(seed)")
    }
  }

  /// The bound is the least one: a market that asks for each side exactly as long as it must reaches it.
  @Test(arguments: [(1, 1), (3, 6), (5, 10), (2, 1)])
  func theBoundIsReached(active: Int, quiet: Int) throws {
    let isActiveFirst = active <= quiet
    var asks: [Bool?] = []
    var side = isActiveFirst
    while asks.count < 100 {
      asks += [Bool?](repeating: side, count: side ? active : quiet)
      side.toggle()
    }
    var mode = try StrategyMode(configuration(active: active, quiet: quiet))
    let regimes = run(&mode, asks)
    #expect(changes(regimes) == changesMax(asks.count, active: active, quiet: quiet))
  }

  /// Alternating windows, as near to a threshold as can be, change nothing at all.
  @Test func aMarketThatAlternatesStaysNormal() throws {
    var mode = try StrategyMode(configuration(active: 2, quiet: 2))
    #expect(run(&mode, (0..<500).map { $0 % 2 == 0 }).allSatisfy { $0 == .normal })
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func aCheckpointChangesNothing(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let asks = (0..<60).map { _ in random.bernoulli(0.1) ? nil : random.bernoulli(0.7) as Bool? }
    var whole = try StrategyMode(configuration(active: 2, quiet: 2) { $0.schedule.isEnabled = true })
    let expected = run(&whole, asks)
    var cut = try StrategyMode(whole.configuration)
    var regimes: [Signal.Regime] = []
    for (index, ask) in asks.enumerated() {
      regimes += run(&cut, [ask], from: Int64(index))
      var writer = CheckpointWriter()
      writer.append("MODE", cut)
      var fresh = try StrategyMode(whole.configuration)
      var reader = CheckpointReader(writer.bytes)
      try reader.restore("MODE", &fresh)
      try reader.finish()
      #expect(fresh == cut)
      cut = fresh
    }
    #expect(regimes == expected && cut == whole)
  }
}

@Suite("Row ratio")
struct RowRatioTests {
  /// Of any n points in a row ⌊n·r⌋ or ⌈n·r⌉.
  @Test(arguments: [0.3, 0.01, 0.5, 1, 0.999999, 0.123456, 1.0 / 3])
  func everyStretchHasItsShare(ratio: Double) {
    let rows = RowRatio(ratio)
    var random = SeededRandom(seed: 3)
    for _ in 0..<200 {
      let start = Int64(random.below(1 << 40))
      let count = 1 + random.below(1000)
      let taken = (0..<count).count { rows.takes(start + Int64($0)) }
      let exact = Double(count) * Double(rows.millionths) / 1e6
      #expect(taken == Int(exact.rounded(.down)) || taken == Int(exact.rounded(.up)))
    }
  }

  @Test func threeOfTen() {
    #expect((0..<10).filter { RowRatio(0.3).takes($0) } == [3, 6, 9])
    // Today's grid of 250 ms.
    #expect((0..<10).filter { RowRatio(0.3).takes(7_178_880_000 + $0) } == [3, 6, 9])
    #expect((0..<100).allSatisfy { RowRatio.all.takes($0) })
  }
}

@Suite("Parameter switch")
struct ParameterSwitchTests {
  private struct Stage: ~Copyable {
    var versions = [Int](repeating: 1, count: 7)
    var asked: [Int] = []
  }

  private func modules(refusing: Int?) -> [ParameterModule<Stage, Int>] {
    (0..<7).map { index in
      ParameterModule(
        "module\(index)",
        refusal: { stage, _ in
          // Whoever is asked sees a stage of which nothing has changed yet.
          stage.versions == [Int](repeating: 1, count: 7) && index == refusing ? "no" : nil
        },
        adopt: { stage, version in stage.versions[index] = version })
    }
  }

  @Test(arguments: 0..<7)
  func oneRefusalChangesNothing(index: Int) {
    var stage = Stage()
    #expect(throws: ParameterRefusal(module: "module\(index)", reason: "no")) {
      try ParameterSwitch.perform(2, on: &stage, modules(refusing: index))
    }
    #expect(stage.versions == [Int](repeating: 1, count: 7))
  }

  @Test func withoutARefusalAllFollow() throws {
    var stage = Stage()
    try ParameterSwitch.perform(2, on: &stage, modules(refusing: nil))
    #expect(stage.versions == [Int](repeating: 2, count: 7))
  }

  @Test func parametersThatCannotBeAreRefused() {
    func refusals(_ change: (inout RegimeParameters) -> Void) -> [String?] {
      var parameters = RegimeParameters(
        .quiet, StrategyConfiguration(), fusion: FusionConfiguration(), gates: GateConfiguration(),
        scenarios: ScenarioTable())
      change(&parameters)
      return [
        parameters.fusionRefusal, parameters.gatesRefusal, parameters.flowRefusal(FlowConfiguration()),
        parameters.scenarioRefusal, parameters.shellRefusal,
      ]
    }
    func refuses(_ module: Int, _ change: (inout RegimeParameters) -> Void) -> Bool {
      refusals(change).enumerated().allSatisfy { ($1 != nil) == ($0 == module) }
    }
    #expect(refusals { _ in }.allSatisfy { $0 == nil })
    #expect(refuses(0) { $0.thresholds.strong = 0.1 })
    #expect(refuses(0) { $0.thresholds.signal = .nan })
    #expect(refuses(0) { ($0.fusion.weightOFI, $0.fusion.weightCVD) = (0, 0) })
    #expect(refuses(1) { $0.gates.lagMsMax = -1 })
    #expect(refuses(2) { $0.mode.levels = 6 })
    #expect(refuses(2) { $0.mode.cvdWindowMs = 15_001 })
    #expect(refuses(3) { $0.lowVolatility?.stopLossBps = 0 })
    #expect(refuses(3) { $0.highVolatility?.entryBuy = .infinity })
    #expect(refuses(4) { $0.mode.logSeconds = 0 })
  }
}
