import Core

/// Waiting times between attempts: doubling from the least to the greatest, each ±20 % by chance, so that
/// what failed together does not come back together.
struct Backoff: Sendable {
  let minNs: Int64
  let maxNs: Int64

  init(_ configuration: HarvestConfiguration) {
    minNs = Int64(configuration.backoffMsMin) * Nanoseconds.millisecond
    maxNs = Int64(configuration.backoffMsMax) * Nanoseconds.millisecond
  }

  /// - Parameter attempt: failures so far, from 0.
  func delayNs(_ attempt: Int, _ random: inout SeededRandom) -> Int64 {
    var delay = minNs
    for _ in 0..<min(attempt, 62) where delay < maxNs { delay = min(maxNs, delay * 2) }
    return Int64(Double(delay) * (0.8 + 0.4 * random.uniform()))
  }
}
