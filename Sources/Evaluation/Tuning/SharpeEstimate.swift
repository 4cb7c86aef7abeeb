import Core
import Glibc

/// A Sharpe ratio per observation, with what its error depends on.
///
/// **Problem.** The best of many parameter sets looks good by selection alone. How good must it look before luck
/// is no longer the likelier reason?
///
/// **Algorithm.** The deflated Sharpe ratio of D. H. Bailey and M. López de Prado, "The Deflated Sharpe Ratio:
/// Correcting for Selection Bias, Backtest Overfitting and Non-Normality", Journal of Portfolio Management 40 (5),
/// 2014: the probability that the true ratio exceeds SR₀, the maximum that N trials without any skill are expected
/// to show, given the length of the sample and the skewness γ₃ and kurtosis γ₄ of its observations:
///
/// `DSR = Φ((SR − SR₀)·√(T − 1) / √(1 − γ₃·SR + (γ₄ − 1)/4·SR²))`,
/// `SR₀ = √V·((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e)))`, γ the Euler–Mascheroni constant, V the variance of
/// the trials' ratios.
public struct SharpeEstimate: Equatable, Sendable {
  /// Mean over standard deviation of the observations; not annualised.
  public var sharpe: Double
  /// T.
  public var observations: Int
  public var skewness: Double
  /// 3 for a normal distribution.
  public var kurtosis: Double

  public init(sharpe: Double, observations: Int, skewness: Double = 0, kurtosis: Double = 3) {
    self.sharpe = sharpe
    self.observations = observations
    self.skewness = skewness
    self.kurtosis = kurtosis
  }

  /// Of a sample, two-pass; nil for fewer than two observations or when all are equal.
  public init?(_ values: [Double]) {
    guard values.count >= 2 else { return nil }
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    var (second, third, fourth) = (0.0, 0.0, 0.0)
    for value in values {
      let d = value - mean
      second += d * d
      third += d * d * d
      fourth += d * d * d * d
    }
    let deviation = (second / (n - 1)).squareRoot()
    guard deviation > 0, deviation > abs(mean) * 1e-12 else { return nil }
    let variance = second / n
    self.init(
      sharpe: mean / deviation, observations: values.count,
      skewness: third / n / (variance * variance.squareRoot()), kurtosis: fourth / n / (variance * variance))
  }

  /// SR·√T: how many standard errors a mean is away from 0.
  public var tStatistic: Double { sharpe * Double(observations).squareRoot() }

  /// The probability that the true ratio exceeds a benchmark (their PSR).
  public func probability(above benchmark: Double) -> Double {
    guard observations >= 2 else { return .nan }
    // γ₄ ≥ 1 + γ₃² makes it at least 0; it is 0 for some distributions on two points.
    let spread = max(1e-9, 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe * sharpe)
    return Statistics.normalCDF(
      (sharpe - benchmark) * Double(observations - 1).squareRoot() / spread.squareRoot())
  }

  /// The probability that the true ratio exceeds what the best of unskilled trials shows (their DSR).
  ///
  /// - Parameters:
  ///   - trials: independent ones.
  ///   - variance: of the trials' Sharpe ratios.
  public func deflated(trials: Double, variance: Double) -> Double {
    probability(above: SharpeEstimate.expectedMaximum(trials: trials, variance: variance))
  }

  /// SR₀: the highest ratio that so many independent trials without skill are expected to show; 0 for one trial.
  public static func expectedMaximum(trials: Double, variance: Double) -> Double {
    guard trials > 1, variance > 0 else { return 0 }
    let euler = 0.577_215_664_901_532_9
    let highest =
      (1 - euler) * Statistics.normalQuantile(1 - 1 / trials)
      + euler * Statistics.normalQuantile(1 - 1 / (trials * M_E))
    return variance.squareRoot() * max(0, highest)
  }

  /// How many independent trials are as good as these: `ρ + (1 − ρ)·M`, ρ the mean correlation of M trials'
  /// observations (appendix of the paper).
  ///
  /// - Parameter trials: each with an observation per period, 0 where it did nothing. Constant ones don't count.
  /// - Complexity: O(trials × periods)
  public static func effectiveTrials(_ trials: [[Double]]) -> Double {
    guard let periods = trials.first?.count, periods > 0 else { return 0 }
    var sum = [Double](repeating: 0, count: periods)
    var counted = 0.0
    for trial in trials {
      precondition(trial.count == periods, "an observation per period")
      let mean = trial.reduce(0, +) / Double(periods)
      let norm = trial.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }.squareRoot()
      guard norm > 0 else { continue }
      for period in 0..<periods { sum[period] += (trial[period] - mean) / norm }
      counted += 1
    }
    guard counted > 1 else { return counted }
    // |Σ of unit vectors|² is M + the sum of all correlations off the diagonal.
    let total = sum.reduce(0) { $0 + $1 * $1 }
    let correlation = min(1, max(0, (total - counted) / (counted * (counted - 1))))
    return correlation + (1 - correlation) * counted
  }
}
