import Core

/// How well one number ranks another: AUC and Spearman's correlation, each with what every row contributed.
///
/// Both are functions of ranks, so moving one row moves the ranks of all others, and a resample would have to
/// be ranked anew. The influence function says to first order how much: for AUC it is DeLong's placement
/// value (the share of the other class below this row), for a rank correlation the centred product of the
/// ranks plus what the row does to the ranks of the others. Sums of influences over blocks of rows are all
/// that an interval needs (``BlockBootstrap``). What is neglected is of the order 1/n of the independent
/// rows.
///
/// Sources: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988); C. Croux, C. Dehon, "Influence
/// functions of the Spearman and Kendall correlation measures", Statistical Methods and Applications 19
/// (2010), here with mid-ranks for ties.
///
/// - Complexity: O(n) each, given the orders.
enum RankStatistics {
  /// The probability that a row of a rise has the higher score than a row of a fall; equal scores count half.
  struct AreaUnderCurve {
    var value: Double
    var rises = 0
    var falls = 0
    /// By row, centred: the share of the other class that the row is on the right side of, minus ``value``; 0
    /// for rows without a move.
    var influence: [Double]
  }

  /// - Parameter order: the rows by rising score.
  /// - Returns: nil when there are only rises, or only falls.
  static func areaUnderCurve(_ scores: [Double], _ returns: [Double], order: [Int32]) -> AreaUnderCurve? {
    var rises = 0
    var falls = 0
    for value in returns {
      if value > 0 { rises += 1 } else if value < 0 { falls += 1 }
    }
    guard rises > 0, falls > 0 else { return nil }
    var influence = [Double](repeating: 0, count: scores.count)
    var risesBelow = 0.0
    var fallsBelow = 0.0
    var concordant = 0.0
    forEachTie(scores, order) { tie in
      var tiedRises = 0.0
      var tiedFalls = 0.0
      for row in tie {
        let value = returns[Int(row)]
        if value > 0 { tiedRises += 1 } else if value < 0 { tiedFalls += 1 }
      }
      let below = (fallsBelow + tiedFalls / 2) / Double(falls)
      let above = 1 - (risesBelow + tiedRises / 2) / Double(rises)
      for row in tie {
        let value = returns[Int(row)]
        influence[Int(row)] = value > 0 ? below : value < 0 ? above : 0
      }
      concordant += tiedRises * (fallsBelow + tiedFalls / 2)
      risesBelow += tiedRises
      fallsBelow += tiedFalls
    }
    let value = concordant / (Double(rises) * Double(falls))
    for row in influence.indices where returns[row] != 0 { influence[row] -= value }
    return AreaUnderCurve(value: value, rises: rises, falls: falls, influence: influence)
  }

  /// Spearman's rank correlation: Pearson's of the mid-ranks.
  struct RankCorrelation {
    var value: Double
    /// By row, of mean 0.
    var influence: [Double]
  }

  /// - Returns: nil when one side is constant, or with fewer than three rows.
  static func rankCorrelation(
    _ scores: [Double], scoreOrder: [Int32], _ returns: [Double], returnOrder: [Int32]
  ) -> RankCorrelation? {
    guard scores.count >= 3 else { return nil }
    let n = Double(scores.count)
    // Ranks as shares, minus one half: their mean is 0 exactly.
    let x = centredRanks(scores, scoreOrder)
    let y = centredRanks(returns, returnOrder)
    var xx = 0.0
    var yy = 0.0
    var xy = 0.0
    for row in x.indices {
      xx += x[row] * x[row]
      yy += y[row] * y[row]
      xy += x[row] * y[row]
    }
    guard xx > 0, yy > 0 else { return nil }
    xx /= n
    yy /= n
    xy /= n
    let value = xy / (xx * yy).squareRoot()
    // What a row adds to the ranks above it, times what those ranks are multiplied with.
    let pushX = meanAbove(y, scores, scoreOrder)
    let pushXX = meanAbove(x, scores, scoreOrder)
    let pushY = meanAbove(x, returns, returnOrder)
    let pushYY = meanAbove(y, returns, returnOrder)
    let scale = 1 / (xx * yy).squareRoot()
    var influence = [Double](repeating: 0, count: x.count)
    for row in x.indices {
      let covariance = x[row] * y[row] + pushX[row] + pushY[row] - 3 * xy
      let varianceX = x[row] * x[row] + 2 * pushXX[row] - 3 * xx
      let varianceY = y[row] * y[row] + 2 * pushYY[row] - 3 * yy
      influence[row] = covariance * scale - value / 2 * (varianceX / xx + varianceY / yy)
    }
    return RankCorrelation(value: value, influence: influence)
  }

  /// (mid-rank − ½) / n − ½ by row, in −½…½, where ranks begin at 1.
  static func centredRanks(_ values: [Double], _ order: [Int32]) -> [Double] {
    var ranks = [Double](repeating: 0, count: values.count)
    var below = 0
    forEachTie(values, order) { tie in
      let rank = (Double(below) + Double(tie.count) / 2) / Double(values.count) - 0.5
      for row in tie { ranks[Int(row)] = rank }
      below += tie.count
    }
    return ranks
  }

  /// By row: Σ of `weights` over the rows of higher value, and half of it over its ties, divided by n.
  private static func meanAbove(_ weights: [Double], _ values: [Double], _ order: [Int32]) -> [Double] {
    var result = [Double](repeating: 0, count: values.count)
    var above = weights.reduce(0, +)
    forEachTie(values, order) { tie in
      var tied = 0.0
      for row in tie { tied += weights[Int(row)] }
      let mean = (above - tied / 2) / Double(values.count)
      for row in tie { result[Int(row)] = mean }
      above -= tied
    }
    return result
  }

  /// Runs of equal values along an order.
  private static func forEachTie(
    _ values: [Double], _ order: [Int32], _ body: (ArraySlice<Int32>) -> Void
  ) {
    var start = 0
    while start < order.count {
      let value = values[Int(order[start])]
      var end = start + 1
      while end < order.count, values[Int(order[end])] == value { end += 1 }
      body(order[start..<end])
      start = end
    }
  }

  /// The rows by rising value; none may be NaN.
  ///
  /// - Complexity: O(n log n).
  static func order(of values: [Double]) -> [Int32] {
    struct Keyed {
      var key: Double
      var row: Int32
    }
    precondition(values.count <= Int(Int32.max))
    var keyed = values.indices.map { Keyed(key: values[$0], row: Int32($0)) }
    keyed.sort { $0.key < $1.key }
    return keyed.map(\.row)
  }
}
