import Core
import Foundation
import Testing

@testable import Evaluation

@Suite("Evaluation: coverage") struct CoverageTests {
  struct Case {
    var memory: Double
    var correlation: Double
    var horizon: Int
    var rows: Int
  }

  static let cases = [
    Case(memory: 0, correlation: 0, horizon: 1, rows: 400),
    Case(memory: 0.9, correlation: 0, horizon: 10, rows: 800),
    Case(memory: 0.9, correlation: 0.1, horizon: 10, rows: 800),
    Case(memory: 0.95, correlation: 0.2, horizon: 30, rows: 1000),
    Case(memory: 0.5, correlation: 0.3, horizon: 60, rows: 1000),
  ]

  /// More for a closer look: with 60 the pooled coverage of 300 worlds is known to ±2.5 points.
  static let seeds = UInt64(ProcessInfo.processInfo.environment["WEIR_COVERAGE_SEEDS"] ?? "") ?? 60

  /// The promise of an interval: of many worlds, about 95 % lie in theirs.
  @Test func intervalsHoldTheTruth() throws {
    var held = (auc: 0, ic: 0)
    for world in CoverageTests.cases {
      let here = try CoverageTests.held(world)
      held.auc += here.auc
      held.ic += here.ic
      for count in [here.auc, here.ic] {
        #expect(
          Double(count) >= 0.87 * Double(CoverageTests.seeds), "\(here) of \(CoverageTests.seeds): \(world)")
      }
    }
    let worlds = Double(CoverageTests.cases.count) * Double(CoverageTests.seeds)
    #expect((0.9...0.99).contains(Double(held.auc) / worlds), "AUC: \(held.auc) of \(worlds)")
    #expect((0.9...0.99).contains(Double(held.ic) / worlds), "IC: \(held.ic) of \(worlds)")
  }

  /// In how many worlds, seeds 0 and up, the interval holds the truth.
  private static func held(_ world: Case) throws -> (auc: Int, ic: Int) {
    let flow = PlantedFlow(rows: world.rows, memory: world.memory, correlation: world.correlation)
    let rho = flow.correlation(steps: world.horizon)
    var options = EvaluationOptions()
    options.resamples = 200
    var held = (auc: 0, ic: 0)
    for seed in 0..<seeds {
      options.seed = seed
      let sample = ForwardSample(
        ScoredRows(flow.series(seed: seed &* 7919 &+ 11)), horizonSteps: world.horizon, latencySteps: 0,
        prices: .mid, shuffleSeed: nil)
      let cell = CellStatistics(sample, horizonSeconds: world.horizon, options, isWhole: false)
      let auc = try #require(cell.auc?.interval)
      let ic = try #require(cell.ic?.interval)
      if auc.contains(PlantedFlow.auc(rho)) { held.auc += 1 }
      if ic.contains(PlantedFlow.spearman(rho)) { held.ic += 1 }
    }
    return held
  }
}
