import Core
import Strategy

/// Whether another configuration's score is better than this one's, on the same tape.
///
/// Two intervals that overlap do not say that nothing differs: both runs saw the same prices, and most of
/// their error is common. So the difference is taken row by row, on the rows that both have at the same time,
/// and the block bootstrap draws the differences of the influences.
public struct PairedComparison: Sendable {
  public var symbol: String
  public var horizonSeconds: Int
  /// Rows of both.
  public var rows = 0
  /// Scored rows of one run that the other doesn't have, or has without a score.
  public var rowsOnlyHere = 0
  public var rowsOnlyThere = 0
  /// The other's less this one's: above 0, the other is better.
  public var aucDifference: Estimate?
  public var icDifference: Estimate?
  public var why: String?
}

extension Evaluator {
  /// Every symbol and horizon of this run against another's; symbols that only one of them has are left out.
  public func compare(_ here: [EvaluationSeries], against there: [EvaluationSeries]) -> [PairedComparison] {
    here.flatMap { series in
      there.first { $0.symbol == series.symbol }.map { compare(series, $0) } ?? []
    }
  }

  private func compare(_ here: EvaluationSeries, _ there: EvaluationSeries) -> [PairedComparison] {
    let common = CommonRows(here, there)
    // The other's scores with this run's prices: equal labels, and the same rows left out.
    var ours = here
    ours.rows = common.places.map { here.rows[$0.here] }
    var theirs = ours
    for (number, place) in common.places.enumerated() {
      theirs.rows[number].score = there.rows[place.there].score
    }
    let ourRows = ScoredRows(ours)
    let theirRows = ScoredRows(theirs)
    return options.horizonsSeconds.map { seconds in
      var result = PairedComparison(symbol: here.symbol, horizonSeconds: seconds)
      result.rowsOnlyHere = common.onlyHere
      result.rowsOnlyThere = common.onlyThere
      guard let steps = gridSteps(seconds: seconds, here.stepNs) else {
        result.why = "the horizon falls between two prices"
        return result
      }
      func sample(_ rows: ScoredRows) -> ForwardSample {
        ForwardSample(
          rows, horizonSteps: steps, latencySteps: latencySteps(here.stepNs), prices: options.prices,
          shuffleSeed: options.shuffleSeed)
      }
      result.take(sample(ourRows), sample(theirRows), options)
      return result
    }
  }
}

extension PairedComparison {
  fileprivate mutating func take(
    _ ours: ForwardSample, _ theirs: ForwardSample, _ options: EvaluationOptions
  ) {
    rows = ours.count
    guard rows >= CellStatistics.rowsMin else {
      why = "fewer than \(CellStatistics.rowsMin) rows in common"
      return
    }
    let returns = ours.returnsBps
    let areas = [ours, theirs].map {
      RankStatistics.areaUnderCurve($0.scores, returns, order: $0.scoreOrder)
    }
    let correlations = [ours, theirs].map {
      RankStatistics.rankCorrelation(
        $0.scores, scoreOrder: $0.scoreOrder, returns, returnOrder: ours.returnOrder)
    }
    guard let ourArea = areas[0], let theirArea = areas[1], let ourIC = correlations[0],
      let theirIC = correlations[1]
    else {
      why = "a score is constant, or there are no rises or no falls"
      return
    }
    let area = zip(theirArea.influence, ourArea.influence).map { $0 - $1 }
    let correlation = zip(theirIC.influence, ourIC.influence).map { $0 - $1 }
    aucDifference = Estimate(theirArea.value - ourArea.value)
    icDifference = Estimate(theirIC.value - ourIC.value)
    var bootstrap = BlockBootstrap(
      positions: ours.positions,
      dependenceSteps: max(
        Double(ours.horizonSteps), ours.autocorrelationSteps, theirs.autocorrelationSteps))
    let aucNumber = bootstrap.add(
      theirArea.value - ourArea.value, [(area, { returns[$0] > 0 }), (area, { returns[$0] < 0 })])
    let icNumber = bootstrap.add(theirIC.value - ourIC.value, [(correlation, { _ in true })])
    guard let intervals = bootstrap.intervals(resamples: options.resamples, seed: options.seed) else {
      why = "too few stretches of the length over which rows depend on each other"
      return
    }
    aucDifference = intervals[aucNumber]
    icDifference = intervals[icNumber]
  }
}

/// Rows with a score in both of two series, matched by time and trigger.
private struct CommonRows {
  var places: [(here: Int, there: Int)] = []
  var onlyHere = 0
  var onlyThere = 0

  init(_ here: EvaluationSeries, _ there: EvaluationSeries) {
    func isScored(_ row: EvaluationSeries.Row) -> Bool { !row.trigger.isShadow && row.score.isFinite }
    func key(_ row: EvaluationSeries.Row) -> (Int64, UInt8) { (row.timeNs, row.trigger.rawValue) }
    let ours = here.rows.indices.filter { isScored(here.rows[$0]) }
    let theirs = there.rows.indices.filter { isScored(there.rows[$0]) }
    var i = 0
    var j = 0
    while i < ours.count, j < theirs.count {
      let a = key(here.rows[ours[i]])
      let b = key(there.rows[theirs[j]])
      if a == b {
        places.append((ours[i], theirs[j]))
        i += 1
        j += 1
      } else if a < b {
        i += 1
      } else {
        j += 1
      }
    }
    onlyHere = ours.count - places.count
    onlyThere = theirs.count - places.count
  }
}
