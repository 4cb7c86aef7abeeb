import Core
import Glibc

/// A distribution as 4096 equally likely values: a draw is one load, and its largest value is known.
struct QuantileTable: ~Copyable {
  private static let bits: UInt64 = 12
  private static let count = 1 << 12
  private let values: UnsafeMutablePointer<Double>

  /// `quantile` at the midpoints of 4096 equal parts of (0, 1).
  init(_ quantile: (Double) -> Double) {
    values = .allocate(capacity: QuantileTable.count)
    for index in 0..<QuantileTable.count {
      values.advanced(by: index).initialize(to: quantile((Double(index) + 0.5) / Double(QuantileTable.count)))
    }
  }

  deinit { values.deallocate() }

  @inline(__always)
  func draw(_ random: inout SeededRandom) -> Double {
    values[Int(truncatingIfNeeded: random.next() >> (64 &- QuantileTable.bits))]
  }

  /// Pareto type II (Lomax) with mean 1; its tail falls as x^−`tailExponent`.
  static func heavyTailed(tailExponent: Double) -> QuantileTable {
    let scale = tailExponent - 1
    return QuantileTable { scale * (pow(1 - $0, -1 / tailExponent) - 1) }
  }

  static func exponential(mean: Double) -> QuantileTable { QuantileTable { -mean * log(1 - $0) } }

  static func lognormal(median: Double, logDeviation: Double) -> QuantileTable {
    QuantileTable { median * exp(logDeviation * Statistics.normalQuantile($0)) }
  }
}
