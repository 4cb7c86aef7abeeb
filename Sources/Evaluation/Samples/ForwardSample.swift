import Core
import Strategy

/// One symbol's scored rows with what the price did afterwards.
///
/// A row at grid index i knows what happened before that point, and is compared with the price there (or
/// `latency` later) and the price `horizon` behind it: nothing at or before the entry enters the return,
/// nothing behind it the score. Rows whose entry or exit has no price are left out and counted, so are those
/// whose exit lies behind the end of the data.
struct ForwardSample {
  let stepNs: Int64
  let horizonSteps: Int
  let autocorrelationSteps: Double
  /// Of each row, its place in ``EvaluationSeries/rows``.
  private(set) var places: [Int32] = []
  private(set) var positions: [Int32] = []
  private(set) var scores: [Double] = []
  /// Of the chosen price.
  private(set) var returnsBps: [Double] = []
  /// Of the mid: what an order's result is measured from.
  private(set) var midReturnsBps: [Double] = []
  /// Half the spread at entry and half of that at exit; 0 where the data has no spreads.
  private(set) var spreadCostsBps: [Double] = []
  /// +1 buy, −1 sell, 0 neutral.
  private(set) var directions: [Int8] = []
  private(set) var areConfirmed: [Bool] = []
  private(set) var scoreOrder: [Int32] = []
  private(set) var returnOrder: [Int32] = []
  /// Scored rows without a price at entry or exit, and those whose exit lies behind the data's end.
  private(set) var rowsWithoutPrice = 0
  private(set) var rowsBehindEnd = 0
  /// Rows whose cost lacks a spread at entry or exit; none of them is left out.
  private(set) var rowsWithoutSpread = 0

  var count: Int { scores.count }

  init(
    _ rows: ScoredRows, horizonSteps: Int, latencySteps: Int, prices: EvaluationOptions.Prices,
    shuffleSeed: UInt64?
  ) {
    let series = rows.series
    stepNs = series.stepNs
    self.horizonSteps = horizonSteps
    autocorrelationSteps = rows.autocorrelationSteps
    let chosen = prices == .mid ? series.mids : series.microprices
    // Of each scored row, its place in the sample.
    var numbers = [Int32](repeating: -1, count: rows.scores.count)
    for row in rows.scores.indices {
      let entry = Int(rows.positions[row]) + latencySteps
      let exit = entry + horizonSteps
      guard exit < series.mids.count, exit < chosen.count else {
        rowsBehindEnd += 1
        continue
      }
      let value = 1e4 * (chosen[exit] / chosen[entry] - 1)
      let mid = 1e4 * (series.mids[exit] / series.mids[entry] - 1)
      guard value.isFinite, mid.isFinite else {
        rowsWithoutPrice += 1
        continue
      }
      numbers[row] = Int32(scores.count)
      let place = Int(rows.places[row])
      places.append(rows.places[row])
      positions.append(Int32(entry))
      scores.append(rows.scores[row])
      returnsBps.append(value)
      midReturnsBps.append(mid)
      let entrySpread = ForwardSample.spread(series, entry)
      let exitSpread = ForwardSample.spread(series, exit)
      if entrySpread.isNaN || exitSpread.isNaN { rowsWithoutSpread += 1 }
      spreadCostsBps.append(((entrySpread.isNaN ? 0 : entrySpread) + (exitSpread.isNaN ? 0 : exitSpread)) / 2)
      directions.append(Int8(series.rows[place].kind.direction))
      areConfirmed.append(series.rows[place].isConfirmed)
    }
    scoreOrder = ForwardSample.mapped(rows.order, numbers, count: scores.count)
    if let shuffleSeed { shuffleReturns(shuffleSeed) }
    returnOrder = RankStatistics.order(of: returnsBps)
  }

  private static func spread(_ series: EvaluationSeries, _ index: Int) -> Double {
    guard series.spreadsBps.indices.contains(index), series.spreadsBps[index].isFinite else { return .nan }
    return series.spreadsBps[index]
  }

  /// An order of all rows as an order of those that stay: sorting once serves every subset.
  private static func mapped(_ order: [Int32], _ numbers: [Int32], count: Int) -> [Int32] {
    var result: [Int32] = []
    result.reserveCapacity(count)
    for row in order where numbers[Int(row)] >= 0 { result.append(numbers[Int(row)]) }
    return result
  }

  /// Deals the returns out anew; whatever the score knew about them is gone.
  private mutating func shuffleReturns(_ seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for row in stride(from: count - 1, to: 0, by: -1) {
      let other = random.below(row + 1)
      returnsBps.swapAt(row, other)
      midReturnsBps.swapAt(row, other)
    }
  }

  /// The rows of this sample that a predicate on their numbers keeps.
  ///
  /// - Complexity: O(n)
  func filtered(_ keeps: (Int) -> Bool) -> ForwardSample {
    var result = self
    var kept: [Int] = []
    var numbers = [Int32](repeating: -1, count: count)
    for row in 0..<count where keeps(row) {
      numbers[row] = Int32(kept.count)
      kept.append(row)
    }
    result.places = kept.map { places[$0] }
    result.positions = kept.map { positions[$0] }
    result.scores = kept.map { scores[$0] }
    result.returnsBps = kept.map { returnsBps[$0] }
    result.midReturnsBps = kept.map { midReturnsBps[$0] }
    result.spreadCostsBps = kept.map { spreadCostsBps[$0] }
    result.directions = kept.map { directions[$0] }
    result.areConfirmed = kept.map { areConfirmed[$0] }
    result.scoreOrder = ForwardSample.mapped(scoreOrder, numbers, count: kept.count)
    result.returnOrder = ForwardSample.mapped(returnOrder, numbers, count: kept.count)
    return result
  }

  /// A bootstrap over these rows.
  func bootstrap() -> BlockBootstrap {
    BlockBootstrap(
      positions: positions, dependenceSteps: max(Double(horizonSteps), autocorrelationSteps))
  }

  /// How many rows' worth of independent information there is: the rows, but no more than autocorrelation
  /// times of the score or returns that do not overlap fit into the time they cover.
  func effectiveCount(_ bootstrap: BlockBootstrap) -> Double {
    min(
      Double(count), bootstrap.stepsCovered / autocorrelationSteps,
      bootstrap.stepsCovered / Double(horizonSteps))
  }
}
