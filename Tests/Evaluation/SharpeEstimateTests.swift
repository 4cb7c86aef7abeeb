import Core
import Evaluation
import Testing

@Suite("Deflated Sharpe ratio")
struct SharpeEstimateTests {
  private func isNear(_ a: Double, _ b: Double, _ tolerance: Double) -> Bool { abs(a - b) <= tolerance }

  /// The worked example of Bailey and López de Prado (2014), section "A numerical example": 5 years of daily
  /// returns, annual ratio 2.5, 100 trials whose annual ratios have a variance of 1/2, skewness −3, kurtosis 10.
  @Test func theExampleOfThePaper() {
    let daily = SharpeEstimate(
      sharpe: 2.5 / 250.0.squareRoot(), observations: 1250, skewness: -3, kurtosis: 10)
    #expect(isNear(SharpeEstimate.expectedMaximum(trials: 100, variance: 0.5 / 250), 0.1132, 5e-5))
    #expect(isNear(daily.deflated(trials: 100, variance: 0.5 / 250), 0.9004, 5e-5))
    // With 46 trials it would have been significant, with normal returns up to 88 of them.
    #expect(isNear(daily.deflated(trials: 46, variance: 0.5 / 250), 0.9505, 5e-5))
    let normal = SharpeEstimate(sharpe: daily.sharpe, observations: 1250)
    #expect(isNear(normal.deflated(trials: 88, variance: 0.5 / 250), 0.9505, 5e-4))
  }

  @Test func momentsByHand() throws {
    // Deviations −2, −1, 0, 3: sums of powers 14, 18, 98.
    let estimate = try #require(SharpeEstimate([1, 2, 3, 6]))
    #expect(isNear(estimate.sharpe, 3 / (14.0 / 3).squareRoot(), 1e-12))
    #expect(isNear(estimate.skewness, 4.5 / (3.5 * 3.5.squareRoot()), 1e-12))
    #expect(isNear(estimate.kurtosis, 24.5 / 12.25, 1e-12))
    #expect(isNear(estimate.tStatistic, estimate.sharpe * 2, 1e-12))
    #expect(SharpeEstimate([1]) == nil && SharpeEstimate([]) == nil)
    #expect(SharpeEstimate([0.1, 0.1, 0.1]) == nil, "no ratio without a deviation")
  }

  @Test func oneTrialIsNotDeflated() {
    let estimate = SharpeEstimate(sharpe: 0.2, observations: 101)
    #expect(SharpeEstimate.expectedMaximum(trials: 1, variance: 1) == 0)
    #expect(estimate.deflated(trials: 1, variance: 1) == estimate.probability(above: 0))
    // z = 0.2·10/√(1 + 0.02).
    #expect(isNear(estimate.probability(above: 0), Statistics.normalCDF(2 / 1.02.squareRoot()), 1e-12))
    #expect(isNear(estimate.probability(above: 0.2), 0.5, 1e-12))
  }

  /// The expected maximum is that of so many standard normal draws, to the accuracy of the formula.
  @Test(arguments: [5, 20, 100]) func theMaximumOfDraws(trials: Int) {
    var random = SeededRandom(seed: UInt64(trials))
    var sum = 0.0
    let rounds = 4000
    for _ in 0..<rounds {
      var highest = -Double.infinity
      for _ in 0..<trials { highest = max(highest, random.normal()) }
      sum += highest
    }
    let formula = SharpeEstimate.expectedMaximum(trials: Double(trials), variance: 1)
    #expect(isNear(sum / Double(rounds), formula, 0.05), "\(sum / Double(rounds)), formula \(formula)")
  }

  @Test func effectiveTrials() {
    var random = SeededRandom(seed: 3)
    func noise() -> [Double] { (0..<2000).map { _ in random.normal() } }
    let one = noise()
    let scaled = one.map { 3 * $0 + 1 }
    #expect(isNear(SharpeEstimate.effectiveTrials([one, one, scaled]), 1, 1e-9))
    #expect(isNear(SharpeEstimate.effectiveTrials((0..<20).map { _ in noise() }), 20, 1))
    // Correlation 1/2 between all of them: ½ + ½·20.
    let common = noise()
    let mixed = (0..<20).map { _ in zip(common, noise()).map { $0 + $1 } }
    #expect(isNear(SharpeEstimate.effectiveTrials(mixed), 10.5, 1))
    #expect(SharpeEstimate.effectiveTrials([]) == 0)
    #expect(SharpeEstimate.effectiveTrials([[0, 0], [0, 0]]) == 0)
  }
}
