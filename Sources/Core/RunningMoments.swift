/// Count, mean and deviation of values that are not kept.
///
/// Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and products",
/// Technometrics 4 (1962): stable, where the difference of two large sums is not.
public struct RunningMoments: Equatable, Sendable {
  public internal(set) var count: Int64 = 0
  public internal(set) var mean = 0.0
  /// Σ (x − mean)²
  public internal(set) var squares = 0.0

  public init() {}

  /// - Precondition: finite.
  public mutating func add(_ value: Double) {
    assert(value.isFinite)
    count += 1
    let before = value - mean
    mean += before / Double(count)
    squares += before * (value - mean)
  }

  /// Of a sample, with n − 1; nil for fewer than two values.
  public var deviation: Double? {
    count < 2 ? nil : (max(0, squares) / Double(count - 1)).squareRoot()
  }
}

/// The Pearson correlation of pairs that are not kept. Source: as ``RunningMoments``.
public struct RunningCorrelation: Equatable, Sendable {
  public internal(set) var count: Int64 = 0
  public internal(set) var meanX = 0.0
  public internal(set) var meanY = 0.0
  /// Σ (x − meanX)², Σ (y − meanY)² and Σ (x − meanX)(y − meanY)
  public internal(set) var xx = 0.0
  public internal(set) var yy = 0.0
  public internal(set) var xy = 0.0

  public init() {}

  /// - Precondition: both finite.
  public mutating func add(_ x: Double, _ y: Double) {
    assert(x.isFinite && y.isFinite)
    count += 1
    let n = Double(count)
    let dx = x - meanX
    let dy = y - meanY
    meanX += dx / n
    meanY += dy / n
    xx += dx * (x - meanX)
    yy += dy * (y - meanY)
    xy += dx * (y - meanY)
  }

  /// nil for fewer than three pairs or a constant side.
  public var correlation: Double? {
    guard count >= 3, xx > 0, yy > 0 else { return nil }
    return min(1, max(-1, xy / (xx * yy).squareRoot()))
  }
}
