import Core
import Testing

@testable import Evaluation

@Suite("Evaluation: coverage") struct CoverageTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var memory: Double
    var correlation: Double
    var horizon: Int
    var rows: Int
    var testDescription: String {
      "memory \(memory), correlation \(correlation), horizon \(horizon), \(rows) rows"
    }
  }

  static let cases = [
    Case(memory: 0, correlation: 0, horizon: 1, rows: 400),
    Case(memory: 0.9, correlation: 0, horizon: 10, rows: 1500),
    Case(memory: 0.9, correlation: 0.1, horizon: 10, rows: 1500),
    Case(memory: 0.95, correlation: 0.2, horizon: 30, rows: 1500),
    Case(memory: 0.5, correlation: 0.3, horizon: 60, rows: 1500),
  ]

  /// The promise of an interval: of many worlds, about 95 % lie in theirs.
  @Test(arguments: cases)
  func intervalsHoldTheTruth(_ world: Case) throws {
    let seeds = 100
    let flow = PlantedFlow(rows: world.rows, memory: world.memory, correlation: world.correlation)
    var options = EvaluationOptions()
    options.resamples = 400
    let rho = flow.correlation(steps: world.horizon)
    let truth = (auc: PlantedFlow.auc(rho), ic: PlantedFlow.spearman(rho))
    var held = (auc: 0, ic: 0)
    for seed in 0..<UInt64(seeds) {
      options.seed = seed
      let sample = ForwardSample(
        ScoredRows(flow.series(seed: seed &* 7919 &+ 11)), horizonSteps: world.horizon, latencySteps: 0,
        prices: .mid,
        shuffleSeed: nil)
      let cell = CellStatistics(sample, horizonSeconds: world.horizon, options, isWhole: false)
      let auc = try #require(cell.auc?.interval)
      let ic = try #require(cell.ic?.interval)
      if auc.contains(truth.auc) { held.auc += 1 }
      if ic.contains(truth.ic) { held.ic += 1 }
    }
    #expect(
      (0.9...0.99).contains(Double(held.auc) / Double(seeds)),
      "AUC \(held.auc) of \(seeds), seeds 0..<\(seeds)")
    #expect(
      (0.9...0.99).contains(Double(held.ic) / Double(seeds)), "IC \(held.ic) of \(seeds), seeds 0..<\(seeds)")
  }
}
