import Core

/// When a lost connection is tried again: after a time that doubles from the least to the greatest, each ±20 %
/// by chance, so that what failed together does not come back together.
public struct RedisBackoff: Sendable {
  private let minNs: Int64
  private let maxNs: Int64
  private var random: SeededRandom
  /// Failures since the last success.
  public private(set) var failures = 0
  private var dueNs: Int64 = .min

  public init(msMin: Int, msMax: Int, seed: UInt64) {
    minNs = Int64(msMin) * Nanoseconds.millisecond
    maxNs = Int64(max(msMin, msMax)) * Nanoseconds.millisecond
    random = SeededRandom(seed: seed)
  }

  public func isDue(_ nowNs: Int64) -> Bool { nowNs >= dueNs }

  public mutating func failed(_ nowNs: Int64) {
    var delay = minNs
    for _ in 0..<min(failures, 62) where delay < maxNs { delay = min(maxNs, delay * 2) }
    failures += 1
    dueNs = nowNs + Int64(Double(delay) * (0.8 + 0.4 * random.uniform()))
  }

  public mutating func succeeded() {
    failures = 0
    dueNs = .min
  }
}
