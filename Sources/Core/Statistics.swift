import Glibc

/// Formulas shared by flow, evaluation and the market generator.
public enum Statistics {
  /// Φ, the standard normal distribution function.
  public static func normalCDF(_ x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }

  /// Φ⁻¹ for 0 < p < 1, relative accuracy about 1e-16.
  ///
  /// Source: M. J. Wichura, algorithm AS 241 (PPND16), Applied Statistics 37 (1988).
  public static func normalQuantile(_ p: Double) -> Double {
    let q = p - 0.5
    if abs(q) <= 0.425 {
      let r = 0.180625 - q * q
      let numerator =
        (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
          + 45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r
          + 133.14166789178437745) * r + 3.387132872796366608)
      let denominator =
        (((((((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061) * r
          + 21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r
          + 42.313330701600911252) * r + 1.0)
      return q * numerator / denominator
    }
    var r = q < 0 ? p : 1 - p
    guard r > 0 else { return q < 0 ? -.infinity : .infinity }
    r = (-log(r)).squareRoot()
    let magnitude: Double
    if r <= 5 {
      r -= 1.6
      let numerator =
        (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r
          + 1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r
          + 4.6303378461565452959) * r + 1.42343711074968357734)
      let denominator =
        (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r
          + 0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r
          + 2.05319162663775882187) * r + 1.0)
      magnitude = numerator / denominator
    } else {
      r -= 5
      let numerator =
        (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r
          + 0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r
          + 5.4637849111641143699) * r + 6.6579046435011037772)
      let denominator =
        (((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r
          + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r
          + 0.59983220655588793769) * r + 1.0)
      magnitude = numerator / denominator
    }
    return q < 0 ? -magnitude : magnitude
  }

  /// The squared Pearson correlation of paired samples, two-pass; `nil` for fewer than three pairs or a
  /// constant side.
  public static func squaredCorrelation(_ x: [Double], _ y: [Double]) -> Double? {
    guard let r = correlation(x, y) else { return nil }
    return r * r
  }

  /// The Pearson correlation of paired samples, two-pass; `nil` as in ``squaredCorrelation(_:_:)``.
  public static func correlation(_ x: [Double], _ y: [Double]) -> Double? {
    precondition(x.count == y.count)
    guard x.count >= 3 else { return nil }
    let n = Double(x.count)
    let meanX = x.reduce(0, +) / n
    let meanY = y.reduce(0, +) / n
    var xx = 0.0
    var yy = 0.0
    var xy = 0.0
    for (a, b) in zip(x, y) {
      xx += (a - meanX) * (a - meanX)
      yy += (b - meanY) * (b - meanY)
      xy += (a - meanX) * (b - meanY)
    }
    guard xx > 0, yy > 0 else { return nil }
    return xy / (xx * yy).squareRoot()
  }
}
