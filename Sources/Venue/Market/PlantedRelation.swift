import Core
import Glibc

/// What an evaluation of past flow against the next move has to find in a market: the AUC that a perfect
/// observer measures, and the one that the measured correlation implies.
///
/// **Problem.** A correlation of flow and next move is planted, but an evaluation reports an AUC, from other
/// samples. To say that it is right one must know the AUC of this very market, and how far a sample of it may
/// lie from that.
///
/// **Algorithm.** The pairs of a bucket's flow and the next bucket's move are kept. The AUC is the
/// probability that the flow before an up move exceeds the flow before a down move, ties counted half: the
/// Mann–Whitney statistic on mid-ranks; buckets without a move say nothing and are left out. Its standard
/// error comes from its influence values (DeLong et al. 1988), with the covariances of neighbours, because
/// flow and moves outlive a bucket (Bartlett weights up to six lags; Newey and West 1987). Were flow and move
/// jointly normal with correlation ρ, the AUC would be `1/2 + 2 asin(ρ/√2) / π`; that is what a market of
/// this kind comes close to.
///
/// **Bounds.** 16 bytes a bucket and at most ``bucketsMax`` buckets, 7.5 days; what comes later is not
/// counted.
struct PlantedRelation {
  static let bucketsMax = 1 << 16
  static let lagsMax = 6

  /// What a bucket knew at its end, and what the next one did.
  struct Pair {
    var ofi: Float
    var cvd: Float
    var pressure: Float
    var nextMove: Float
  }

  private(set) var pairs: [Pair] = []

  mutating func add(_ pair: Pair) {
    if pairs.count < PlantedRelation.bucketsMax { pairs.append(pair) }
  }

  /// An estimate with its standard error.
  struct Estimate {
    var value: Double
    var error: Double
  }

  /// One predictor against the next move.
  struct Relation {
    var correlation: Estimate
    /// Measured.
    var auc: Estimate
    /// Of the correlation, under normality.
    var impliedAUC: Estimate
  }

  /// Buckets that were followed by a move.
  var moves: Int { pairs.count { $0.nextMove != 0 } }

  /// - Returns: nil without moves in both directions, or for a predictor that never varies.
  /// - Complexity: O(n log n)
  func relation(of predictor: (Pair) -> Float) -> Relation? {
    let x = pairs.map { Double(predictor($0)) }
    let y = pairs.map { Double($0.nextMove) }
    guard let rho = Statistics.correlation(x, y), let auc = PlantedRelation.auc(x, y) else { return nil }
    let error = PlantedRelation.error(correlationInfluence(x, y, rho))
    // d/dρ of the formula, at ρ.
    let slope = 2 / (.pi * (2 - rho * rho).squareRoot())
    return Relation(
      correlation: Estimate(value: rho, error: error), auc: auc,
      impliedAUC: Estimate(value: 0.5 + 2 * asin(rho / 2.0.squareRoot()) / .pi, error: slope * error))
  }

  /// AUC of x against the sign of y.
  static func auc(_ x: [Double], _ y: [Double]) -> Estimate? {
    let order = x.indices.filter { y[$0] != 0 }.sorted { x[$0] < x[$1] }
    let ups = Double(order.count { y[$0] > 0 })
    let downs = Double(order.count) - ups
    guard ups > 0, downs > 0 else { return nil }
    // Of each sample, the share of the other side's below it, ties half.
    var below = [Double](repeating: .nan, count: x.count)
    var counted = (ups: 0.0, downs: 0.0)
    var start = 0
    while start < order.count {
      var end = start
      while end < order.count, x[order[end]] == x[order[start]] { end += 1 }
      let tiedUps = Double(order[start..<end].count { y[$0] > 0 })
      let tiedDowns = Double(end - start) - tiedUps
      for place in order[start..<end] {
        below[place] =
          y[place] > 0
          ? (counted.downs + tiedDowns / 2) / downs : (counted.ups + tiedUps / 2) / ups
      }
      counted.ups += tiedUps
      counted.downs += tiedDowns
      start = end
    }
    let value = order.reduce(0.0) { y[$1] > 0 ? $0 + below[$1] : $0 } / ups
    let total = ups + downs
    let influence = x.indices.map { place in
      if y[place] == 0 { return 0.0 }
      return y[place] > 0
        ? (below[place] - value) * total / ups : (1 - below[place] - value) * total / downs
    }
    let scale = Double(x.count) / total
    return Estimate(value: value, error: error(influence) * scale)
  }

  /// Of Pearson's correlation: `u v − ρ (u² + v²) / 2` on standardised values.
  private func correlationInfluence(_ x: [Double], _ y: [Double], _ rho: Double) -> [Double] {
    func standardised(_ values: [Double]) -> [Double] {
      let mean = values.reduce(0, +) / Double(values.count)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
      return values.map { ($0 - mean) / variance.squareRoot() }
    }
    return zip(standardised(x), standardised(y)).map { u, v in u * v - rho * (u * u + v * v) / 2 }
  }

  /// The standard error of a mean of influence values, neighbours' covariances included.
  private static func error(_ influence: [Double]) -> Double {
    let n = Double(influence.count)
    var variance = influence.reduce(0) { $0 + $1 * $1 }
    for lag in 1...lagsMax where lag < influence.count {
      var sum = 0.0
      for place in lag..<influence.count { sum += influence[place] * influence[place - lag] }
      variance += 2 * (1 - Double(lag) / Double(lagsMax + 1)) * sum
    }
    return max(0, variance).squareRoot() / n
  }
}

extension PlantedRelation {
  /// `{"horizon_s", "buckets", "moves", "ofi": {…}, "cvd": {…}, "pressure": {…}}`
  var truth: JSONValue {
    func json(_ predictor: (Pair) -> Float) -> JSONValue {
      guard let relation = relation(of: predictor) else { return .null }
      return .object([
        "correlation": .rounded(relation.correlation.value, 6),
        "correlation_standard_error": .rounded(relation.correlation.error, 6),
        "auc": .rounded(relation.auc.value, 6), "auc_standard_error": .rounded(relation.auc.error, 6),
        "implied_auc": .rounded(relation.impliedAUC.value, 6),
        "implied_auc_standard_error": .rounded(relation.impliedAUC.error, 6),
      ])
    }
    return .object([
      "horizon_s": .integer(ReferenceFlow.bucketNanos / Nanoseconds.second),
      "buckets": .integer(pairs.count), "moves": .integer(moves), "ofi": json { $0.ofi },
      "cvd": json { $0.cvd }, "pressure": json { $0.pressure },
    ])
  }
}
