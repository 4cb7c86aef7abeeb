import Core

/// What a score was worth over one horizon, in one set of rows: a cell of the evaluation.
public struct CellStatistics: Sendable {
  /// Seconds.
  public var horizonSeconds: Int
  /// Rows with a score and a price at entry and exit.
  public var rows = 0
  /// See `ForwardSample.effectiveCount`; 0 without rows.
  public var effectiveRows = 0.0
  /// Rows without a move; AUC and hit rate leave them out.
  public var rowsWithoutMove = 0
  /// Scored rows left out for want of a price, or because the data ends before their exit.
  public var rowsWithoutPrice = 0
  public var rowsBehindEnd = 0
  public var rowsWithoutSpread = 0
  /// Of the score against the return's sign.
  public var auc: Estimate?
  /// Spearman's, of score and return.
  public var ic: Estimate?
  /// Squared Pearson correlation of score and return.
  public var rSquared: Double?
  /// Share of rows, with a score and a move, in which both have the same sign.
  public var hitRate: Double?
  /// By rising score.
  public var quantiles: [Quantile] = []
  /// Mean returns of the quantiles do not fall; nil when scores are tied so much that a quantile is empty.
  public var isMonotone: Bool?
  /// Spearman's correlation of quantile and mean return.
  public var quantileTrend: Double?
  /// Of the rows that say buy or sell.
  public var directional: NetFigures?
  /// Of those that the gates confirmed.
  public var confirmed: NetFigures?
  /// What remains as weak rows are left out.
  public var thresholds: [ThresholdFigures] = []
  /// Why something above is absent.
  public var why: String?
  /// Whether the AUC differs from ½ also after all cells that were looked at are accounted for; nil where
  /// there is no interval.
  public var survives: Bool?

  /// Rows between two quantiles of the score.
  public struct Quantile: Equatable, Sendable {
    public var rows: Int
    public var scoreMean: Double
    public var returnMeanBps: Double
  }

  /// What rows with a direction brought, bought or sold at the touch and closed at the touch.
  public struct NetFigures: Equatable, Sendable {
    public var rows: Int
    /// Share of those with a move that went the row's way.
    public var hitRate: Double?
    /// direction · mid return
    public var grossMeanBps: Double
    /// Half the spread at entry and at exit.
    public var spreadCostMeanBps: Double
    /// Gross less spread cost less two taker fees.
    public var netMeanBps: Estimate

    /// The same at another fee.
    public func net(takerFeeBps: Double, insteadOf old: Double) -> Estimate {
      netMeanBps.shifted(by: 2 * (old - takerFeeBps))
    }
  }

  /// Rows with at least so strong a score, taken in its direction.
  public struct ThresholdFigures: Equatable, Sendable {
    /// Of all rows with a score other than 0.
    public var share: Double
    public var scoreMin: Double
    public var rows: Int
    public var netMeanBps: Estimate
  }

  public static let rowsMin = 30
  /// Rises and falls, each.
  public static let sideRowsMin = 5
  public static let quantileCount = 5
  public static let thresholdShares = [1, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01]

  init(horizonSeconds: Int, why: String) {
    self.horizonSeconds = horizonSeconds
    self.why = why
  }

  /// - Parameter isWhole: with quantiles and thresholds.
  /// - Complexity: O(n) and the bootstrap.
  init(_ sample: ForwardSample, horizonSeconds: Int, _ options: EvaluationOptions, isWhole: Bool) {
    self.horizonSeconds = horizonSeconds
    rows = sample.count
    rowsWithoutPrice = sample.rowsWithoutPrice
    rowsBehindEnd = sample.rowsBehindEnd
    rowsWithoutSpread = sample.rowsWithoutSpread
    rowsWithoutMove = sample.returnsBps.count { $0 == 0 }
    guard rows > 0 else {
      why =
        rowsBehindEnd > 0
        ? "the data ends before the horizon does" : "no row has a score and prices at entry and exit"
      return
    }
    var bootstrap = sample.bootstrap()
    effectiveRows = sample.effectiveCount(bootstrap)
    guard rows >= CellStatistics.rowsMin else {
      why = "fewer than \(CellStatistics.rowsMin) rows"
      return
    }

    let area = RankStatistics.areaUnderCurve(sample.scores, sample.returnsBps, order: sample.scoreOrder)
    let hasSides = area.map { min($0.rises, $0.falls) >= CellStatistics.sideRowsMin } ?? false
    let correlation = RankStatistics.rankCorrelation(
      sample.scores, scoreOrder: sample.scoreOrder, sample.returnsBps, returnOrder: sample.returnOrder)
    if !hasSides {
      why = "fewer than \(CellStatistics.sideRowsMin) rises or falls"
    } else if correlation == nil {
      why = "the score is constant"
    }
    rSquared = Statistics.squaredCorrelation(sample.scores, sample.returnsBps)
    hitRate = CellStatistics.hitRate(sample)

    // Each statistic is told to the bootstrap, and fetched by its number when all are drawn together.
    var aucNumber: Int?
    if let area, hasSides {
      let returns = sample.returnsBps
      aucNumber = bootstrap.add(
        area.value, [(area.influence, { returns[$0] > 0 }), (area.influence, { returns[$0] < 0 })])
      auc = Estimate(area.value)
    }
    var icNumber: Int?
    if let correlation {
      icNumber = bootstrap.add(correlation.value, [(correlation.influence, { _ in true })])
      ic = Estimate(correlation.value)
    }
    let fees = 2 * options.takerFeeBps
    let directionalNumber = CellStatistics.net(
      sample, fees, &bootstrap, &directional, direction: { Double(sample.directions[$0]) },
      where: { sample.directions[$0] != 0 })
    let confirmedNumber = CellStatistics.net(
      sample, fees, &bootstrap, &confirmed, direction: { Double(sample.directions[$0]) },
      where: { sample.directions[$0] != 0 && sample.areConfirmed[$0] })
    var thresholdNumbers: [Int] = []
    if isWhole {
      takeQuantiles(sample)
      thresholdNumbers = takeThresholds(sample, fees, &bootstrap)
    }

    guard let intervals = bootstrap.intervals(resamples: options.resamples, seed: options.seed) else {
      why =
        why
        ?? "the rows depend on each other over too much of their time: fewer than "
        + "\(Int(BlockBootstrap.blocksMin)) such stretches"
      return
    }
    if let aucNumber { auc = intervals[aucNumber].clamped(to: 0...1) }
    if let icNumber { ic = intervals[icNumber].clamped(to: -1...1) }
    if let directionalNumber { directional?.netMeanBps = intervals[directionalNumber] }
    if let confirmedNumber { confirmed?.netMeanBps = intervals[confirmedNumber] }
    for (place, number) in thresholdNumbers.enumerated() { thresholds[place].netMeanBps = intervals[number] }
  }

  private static func hitRate(_ sample: ForwardSample) -> Double? {
    var moves = 0
    var hits = 0
    for row in 0..<sample.count where sample.scores[row] != 0 && sample.returnsBps[row] != 0 {
      moves += 1
      if (sample.scores[row] > 0) == (sample.returnsBps[row] > 0) { hits += 1 }
    }
    return moves > 0 ? Double(hits) / Double(moves) : nil
  }

  /// Figures of the rows that are traded, their mean net told to the bootstrap.
  private static func net(
    _ sample: ForwardSample, _ fees: Double, _ bootstrap: inout BlockBootstrap, _ figures: inout NetFigures?,
    direction: (Int) -> Double, where isTraded: @escaping (Int) -> Bool
  ) -> Int? {
    var rows = 0
    var gross = 0.0
    var spread = 0.0
    var moves = 0
    var hits = 0
    for row in 0..<sample.count where isTraded(row) {
      let value = direction(row) * sample.midReturnsBps[row]
      rows += 1
      gross += value
      spread += sample.spreadCostsBps[row]
      if value != 0 { moves += 1 }
      if value > 0 { hits += 1 }
    }
    guard rows > 0 else { return nil }
    let n = Double(rows)
    let mean = (gross - spread) / n - fees
    figures = NetFigures(
      rows: rows, hitRate: moves > 0 ? Double(hits) / Double(moves) : nil, grossMeanBps: gross / n,
      spreadCostMeanBps: spread / n, netMeanBps: Estimate(mean))
    var influence = [Double](repeating: 0, count: sample.count)
    for row in 0..<sample.count where isTraded(row) {
      influence[row] =
        direction(row) * sample.midReturnsBps[row] - sample.spreadCostsBps[row] - fees - mean
    }
    return bootstrap.add(mean, [(influence, isTraded)])
  }

  /// Quantiles by mid-rank, so that equal scores share one.
  private mutating func takeQuantiles(_ sample: ForwardSample) {
    let count = CellStatistics.quantileCount
    var sums = [(rows: Int, score: Double, value: Double)](repeating: (0, 0, 0), count: count)
    for (row, rank) in RankStatistics.centredRanks(sample.scores, sample.scoreOrder).enumerated() {
      let quantile = min(count - 1, Int((rank + 0.5) * Double(count)))
      sums[quantile].rows += 1
      sums[quantile].score += sample.scores[row]
      sums[quantile].value += sample.returnsBps[row]
    }
    quantiles = sums.map {
      Quantile(
        rows: $0.rows, scoreMean: $0.score / Double($0.rows), returnMeanBps: $0.value / Double($0.rows))
    }
    guard quantiles.allSatisfy({ $0.rows > 0 }) else { return }
    let means = quantiles.map(\.returnMeanBps)
    isMonotone = zip(means, means.dropFirst()).allSatisfy { $0 <= $1 }
    let places = means.indices.map(Double.init)
    quantileTrend =
      RankStatistics.rankCorrelation(
        places, scoreOrder: RankStatistics.order(of: places), means,
        returnOrder: RankStatistics.order(of: means))?.value
  }

  /// Thresholds are shares of rows, so that they mean the same for every kind of score.
  private mutating func takeThresholds(
    _ sample: ForwardSample, _ fees: Double, _ bootstrap: inout BlockBootstrap
  ) -> [Int] {
    let magnitudes = sample.scores.lazy.map(abs).filter { $0 > 0 }.sorted()
    var numbers: [Int] = []
    for share in CellStatistics.thresholdShares {
      let place = magnitudes.count - max(1, Int((share * Double(magnitudes.count)).rounded()))
      guard magnitudes.indices.contains(place) else { break }
      let scoreMin = magnitudes[place]
      // Tied scores reach the next share, too.
      if thresholds.last?.scoreMin == scoreMin { continue }
      var figures: NetFigures?
      let number = CellStatistics.net(
        sample, fees, &bootstrap, &figures, direction: { sample.scores[$0] > 0 ? 1 : -1 },
        where: { abs(sample.scores[$0]) >= scoreMin })
      guard let figures, let number, figures.rows >= CellStatistics.rowsMin else { break }
      thresholds.append(
        ThresholdFigures(
          share: share, scoreMin: scoreMin, rows: figures.rows, netMeanBps: figures.netMeanBps))
      numbers.append(number)
    }
    return numbers
  }
}
