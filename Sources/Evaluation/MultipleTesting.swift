/// Which of many findings remain when it is accounted for that many were looked at.
///
/// Of a hundred cells without any relation five have an interval that excludes ½. The step-up procedure keeps
/// the expected share of false findings among those it keeps at `rate` or below: it finds the largest k for
/// which the k-th smallest P is at most k/m·rate, and keeps those k. Valid for independent cells and for
/// positively dependent ones, as horizons of one score are. Source: Y. Benjamini, Y. Hochberg, Journal of the
/// Royal Statistical Society B 57 (1995); Y. Benjamini, D. Yekutieli, Annals of Statistics 29 (2001).
enum MultipleTesting {
  static let rate = 0.05

  /// - Returns: for each P whether it is kept.
  static func keeps(_ p: [Double], rate: Double = MultipleTesting.rate) -> [Bool] {
    let sorted = p.sorted()
    let m = Double(p.count)
    let limit = sorted.indices.last { sorted[$0] <= Double($0 + 1) / m * rate }.map { sorted[$0] }
    return p.map { value in limit.map { value <= $0 } ?? false }
  }
}
