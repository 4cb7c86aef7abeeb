import Core
import Strategy

/// One symbol's rows that have a score, as columns, with what every horizon needs once.
///
/// Rows of shadow channels are not its business, and a row without a score says nothing that could be judged;
/// both are counted.
struct ScoredRows {
  let series: EvaluationSeries
  /// Of each row, its grid index.
  private(set) var positions: [Int32] = []
  private(set) var scores: [Double] = []
  /// Of each row, its place in ``EvaluationSeries/rows``.
  private(set) var places: [Int32] = []
  private(set) var order: [Int32] = []
  private(set) var rowsShadow = 0
  private(set) var rowsWithoutScore = 0
  /// In grid steps.
  private(set) var autocorrelationSteps = 1.0

  /// - Parameter keeps: which places of the series' rows may take part.
  init(_ series: EvaluationSeries, keeps: (Int) -> Bool = { _ in true }) {
    self.series = series
    for (place, row) in series.rows.enumerated() where keeps(place) {
      if row.trigger.isShadow {
        rowsShadow += 1
      } else if !row.score.isFinite {
        rowsWithoutScore += 1
      } else if (0...series.mids.count).contains(row.index) {
        positions.append(Int32(row.index))
        scores.append(row.score)
        places.append(Int32(place))
      }
    }
    order = RankStatistics.order(of: scores)
    guard let first = positions.first, let last = positions.last else { return }
    var grid = [Double](repeating: .nan, count: Int(last - first) + 1)
    for (position, score) in zip(positions, scores) { grid[Int(position - first)] = score }
    autocorrelationSteps = autocorrelationTime(grid)
  }
}
