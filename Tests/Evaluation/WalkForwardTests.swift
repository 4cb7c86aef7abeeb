import Core
import Strategy
import Testing

@testable import Evaluation

@Suite("Purged walk-forward")
struct WalkForwardTests {
  private func trade(_ signalNs: Int64, _ exitNs: Int64) -> SimulatedTrade {
    SimulatedTrade(
      scenario: .activeHigh, direction: 1, signalNs: signalNs, entryNs: signalNs, exitNs: exitNs,
      entryIndex: 0, exitIndex: 1, grossBps: 1, netBps: 1, exit: .hold)
  }

  /// No second lies in two tests, the whole data behind the first part is tested.
  @Test(arguments: 1...20 as ClosedRange<UInt64>) func spansAreConsecutive(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let start = Int64(random.below(1_000_000))
    let end = start + 1000 + Int64(random.below(1_000_000))
    let plan = WalkForward(
      startNs: start, endNs: end, folds: 1 + random.below(8), horizonNs: 0, embargoNs: 0)
    #expect(plan.folds.last?.testEndNs == end, "seed \(seed)")
    #expect(plan.folds[0].testStartNs > start)
    for (former, next) in zip(plan.folds, plan.folds.dropFirst()) {
      #expect(next.testStartNs == former.testEndNs + 1, "seed \(seed)")
    }
  }

  /// Nothing that is learnt from reaches into what is tested, nor within horizon and embargo of it; a trade
  /// that lies across two spans is tested in neither.
  @Test(arguments: 1...60 as ClosedRange<UInt64>) func nothingStraddles(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let plan = WalkForward(
      startNs: 0, endNs: 100_000, folds: 1 + random.below(6), horizonNs: Int64(random.below(3000)),
      embargoNs: Int64(random.below(3000)))
    let holdNs = Int64(1 + random.below(6000))
    var tested = 0
    for _ in 0..<400 {
      let signal = Int64(random.below(100_000))
      // Now and then longer than the hold, as without quotes.
      let exit = signal + Int64(random.below(Int(holdNs) * 11 / 10))
      let trade = trade(signal, exit)
      let known = max(exit, signal + holdNs)
      var tests = 0
      for fold in plan.folds {
        let trains = plan.trains(fold, trade, holdNs: holdNs)
        let isTested = plan.tests(fold, trade, holdNs: holdNs)
        #expect(!(trains && isTested), "seed \(seed)")
        if trains { #expect(known + plan.horizonNs + plan.embargoNs < fold.testStartNs, "seed \(seed)") }
        if isTested {
          tests += 1
          #expect(signal >= fold.testStartNs && known <= fold.testEndNs, "seed \(seed)")
        }
        // What lies well before is learnt from.
        if known + plan.horizonNs + plan.embargoNs + 1 < fold.testStartNs {
          #expect(trains, "seed \(seed)")
        }
      }
      #expect(tests <= 1, "seed \(seed)")
      tested += tests
      let boundaries = plan.folds.map(\.testStartNs) + [plan.endNs + 1]
      if boundaries.contains(where: { signal < $0 && $0 <= known }) { #expect(tests == 0, "seed \(seed)") }
    }
    #expect(tested > 0 || holdNs > 10_000 / Int64(plan.folds.count), "seed \(seed)")
  }

  /// Other prices and scores from shortly before a test span on change nothing of what is picked for it.
  @Test(arguments: [2, 3] as [UInt64]) func picksKnowNothingOfTheirTest(seed: UInt64) throws {
    var options = TuningOptions()
    options.trials = 8
    options.folds = 3
    options.tradesMin = 5
    options.embargoSeconds = 120
    let steps = 8000
    let series = marketSeries(seed: seed, steps: steps, planted: .quietLow, edgeBps: 0.2)
    let other = marketSeries(seed: seed + 100, steps: steps, planted: .activeHigh, edgeBps: 0.5)
    let result = try #require(Tuner([series], options)).run(ScenarioTable())
    var differences = 0
    for index in 0..<options.folds {
      let fold = result.plan.folds[index]
      let from = series.index(atOrAfter: fold.testStartNs - 120 * Nanoseconds.second)
      var changed = series
      changed.mids[from...] = other.mids[from...]
      changed.rows[from...] = other.rows[from...]
      let second = try #require(Tuner([changed], options)).run(ScenarioTable())
      for (a, b) in zip(result.cells, second.cells) where !a.folds.isEmpty && !b.folds.isEmpty {
        for earlier in 0...index {
          #expect(a.folds[earlier].parameters == b.folds[earlier].parameters)
          #expect(a.folds[earlier].train == b.folds[earlier].train)
        }
        if a.folds[index].test != b.folds[index].test { differences += 1 }
      }
    }
    #expect(differences > 0, "the test spans were really changed")
  }
}
