import Core
import Testing

@testable import Evaluation

/// Against definitions computed pair by pair.
@Suite("Evaluation: rank statistics") struct RankStatisticsTests {
  /// Small whole numbers, so that ties and rows without a move are many.
  private func sample(_ seed: UInt64) -> (scores: [Double], returns: [Double]) {
    var random = SeededRandom(seed: seed)
    let count = 3 + random.below(60)
    let range = 2 + random.below(30)
    func draw() -> [Double] { (0..<count).map { _ in Double(random.below(range) - range / 2) } }
    return (draw(), draw())
  }

  private func auc(_ scores: [Double], _ returns: [Double]) -> Double? {
    var concordant = 0.0
    var pairs = 0.0
    for i in scores.indices where returns[i] > 0 {
      for j in scores.indices where returns[j] < 0 {
        pairs += 1
        concordant += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0
      }
    }
    return pairs > 0 ? concordant / pairs : nil
  }

  private func spearman(_ x: [Double], _ y: [Double]) -> Double? {
    func ranks(_ values: [Double]) -> [Double] {
      values.map { value in
        Double(values.count { $0 < value }) + Double(values.count { $0 == value } + 1) / 2
      }
    }
    return Statistics.correlation(ranks(x), ranks(y))
  }

  private func ours(_ scores: [Double], _ returns: [Double]) -> (
    auc: RankStatistics.AreaUnderCurve?, ic: RankStatistics.RankCorrelation?
  ) {
    let order = RankStatistics.order(of: scores)
    return (
      RankStatistics.areaUnderCurve(scores, returns, order: order),
      RankStatistics.rankCorrelation(
        scores, scoreOrder: order, returns, returnOrder: RankStatistics.order(of: returns))
    )
  }

  private func isClose(_ a: Double?, _ b: Double?, _ tolerance: Double = 1e-12) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    return abs(a - b) <= tolerance
  }

  @Test func equalDefinitions() {
    for seed in 0..<UInt64(400) {
      let (scores, returns) = sample(seed)
      let (area, correlation) = ours(scores, returns)
      #expect(isClose(area?.value, auc(scores, returns)), "seed \(seed)")
      #expect(isClose(correlation?.value, spearman(scores, returns)), "seed \(seed)")
      if let area {
        let rises = zip(area.influence, returns).reduce(0) { $0 + ($1.1 > 0 ? $1.0 : 0) }
        let falls = zip(area.influence, returns).reduce(0) { $0 + ($1.1 < 0 ? $1.0 : 0) }
        #expect(abs(rises) < 1e-9 && abs(falls) < 1e-9, "seed \(seed)")
      }
      if let correlation { #expect(abs(correlation.influence.reduce(0, +)) < 1e-9, "seed \(seed)") }
    }
  }

  /// What an influence claims: what the statistic does when a row counts a little more. Rows doubled one at a
  /// time in a sample of copies give it without the formula.
  @Test func influencesAreDerivatives() throws {
    for seed in 0..<UInt64(10) {
      let (scores, returns) = sample(seed)
      let copies = 100
      let many = (0..<copies).flatMap { _ in scores }
      let manyReturns = (0..<copies).flatMap { _ in returns }
      let (area, correlation) = ours(scores, returns)
      guard let area, let correlation else { continue }
      for row in scores.indices.prefix(4) {
        let (moreArea, moreCorrelation) = ours(many + [scores[row]], manyReturns + [returns[row]])
        let n = Double(many.count)
        let slope = (try #require(moreCorrelation).value - correlation.value) * n
        #expect(isClose(slope, correlation.influence[row], 0.05), "seed \(seed), row \(row)")
        let side = Double(returns[row] > 0 ? area.rises : area.falls) * Double(copies)
        let areaSlope = (try #require(moreArea).value - area.value) * side
        if returns[row] != 0 {
          #expect(isClose(areaSlope, area.influence[row], 0.05), "seed \(seed), row \(row)")
        } else {
          #expect(abs(areaSlope) < 1e-9)
        }
      }
    }
  }

  @Test func nothingToCompare() {
    let constant = ours([1, 1, 1, 1], [1, -1, 2, -3])
    #expect(constant.auc?.value == 0.5)
    #expect(constant.ic == nil)
    #expect(ours([1, 2, 3], [0, 0, 0]).auc == nil)
    #expect(ours([1, 2, 3], [1, 2, 3]).auc == nil)
    #expect(ours([], []).ic == nil)
  }

  @Test func perfectRanking() {
    let values = (0..<50).map { Double($0) - 24.5 }
    #expect(ours(values, values).auc?.value == 1)
    #expect(isClose(ours(values, values).ic?.value, 1))
    #expect(ours(values, values.map { -$0 }).auc?.value == 0)
  }
}

@Suite("Evaluation: dependence and tests") struct DependenceTests {
  /// An AR(1) forgets itself in (1 + φ) / (1 − φ) steps.
  @Test(arguments: [0.0, 0.5, 0.9, 0.97])
  func autocorrelationTimes(_ memory: Double) {
    let scores = PlantedFlow(rows: 60_000, memory: memory).series(seed: 5).rows.map(\.score)
    let truth = (1 + memory) / (1 - memory)
    let time = autocorrelationTime(scores)
    #expect(time > 0.85 * truth && time < 1.15 * truth, "\(time) for \(truth)")
    // A third of the grid without a row changes little.
    var random = SeededRandom(seed: 6)
    let holes = autocorrelationTime(scores.map { random.bernoulli(0.33) ? .nan : $0 })
    #expect(holes > 0.8 * truth && holes < 1.2 * truth, "\(holes) for \(truth)")
  }

  @Test func autocorrelationOfNothing() {
    #expect(autocorrelationTime([]) == 1)
    #expect(autocorrelationTime([Double](repeating: 2, count: 100)) == 1)
    #expect(autocorrelationTime([Double](repeating: .nan, count: 100)) == 1)
  }

  /// Tables of Student's t.
  @Test(arguments: [(4.0, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)])
  func studentQuantiles(_ degrees: Double, _ quantile: Double) {
    #expect(abs(StudentDistribution.twoSidedQuantile(0.95, degrees: degrees) - quantile) < 0.02)
    #expect(abs(StudentDistribution.twoSidedP(quantile, degrees: degrees) - 0.05) < 0.001)
  }

  /// The worked example of the paper's section 3.2: four of fifteen are kept.
  @Test func benjaminiHochberg() {
    let p = [
      0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528,
      0.759, 1,
    ]
    #expect(MultipleTesting.keeps(p).count { $0 } == 4)
    #expect(MultipleTesting.keeps(p.reversed()) == MultipleTesting.keeps(p).reversed())
    #expect(MultipleTesting.keeps([]) == [])
    #expect(MultipleTesting.keeps([0.05]) == [true])
    // A small P below a larger one that passes is kept with it.
    #expect(MultipleTesting.keeps([0.04, 0.045]) == [true, true])
  }

  /// A block bootstrap knows the mean of independent rows as the textbook does, and of dependent ones as it
  /// should.
  @Test(arguments: [0.0, 0.9])
  func standardErrorOfAMean(_ memory: Double) throws {
    let count = 20_000
    let values = PlantedFlow(rows: count, memory: memory).series(seed: 9).rows.map(\.score)
    let mean = values.reduce(0, +) / Double(count)
    let time = (1 + memory) / (1 - memory)
    var bootstrap = BlockBootstrap(positions: (0..<Int32(count)).map { $0 }, dependenceSteps: time)
    _ = bootstrap.add(mean, [(values.map { $0 - mean }, { _ in true })])
    let estimate = try #require(bootstrap.intervals(resamples: 600, seed: 1)?.first)
    let truth = (time / Double(count)).squareRoot()
    let error = try #require(estimate.standardError)
    #expect(error > 0.85 * truth && error < 1.15 * truth, "\(error) for \(truth)")
    #expect(bootstrap.intervals(resamples: 600, seed: 1)?.first == estimate)
  }

  @Test func tooFewBlocks() {
    var bootstrap = BlockBootstrap(positions: (0..<40).map { $0 }, dependenceSteps: 20)
    _ = bootstrap.add(0, [([Double](repeating: 1, count: 40), { _ in true })])
    #expect(bootstrap.intervals(resamples: 100, seed: 1) == nil)
  }
}
