import Core

/// Counts of latencies in fixed buckets an eighth of an octave wide, so that quantiles are good to 9 %.
struct LatencyHistogram: Sendable {
  /// Up to 2^36 µs, 19 hours.
  private static let bucketCount = 8 * 37
  private(set) var count: Int64 = 0
  private(set) var sumNs: Int64 = 0
  private var counts = [Int64](repeating: 0, count: LatencyHistogram.bucketCount)

  /// Negative latencies, which come of the clocks' residual error, count as 0.
  @inline(__always)
  mutating func add(_ latencyNs: Int64) {
    let latency = max(0, latencyNs)
    counts[LatencyHistogram.bucket(latency / 1000)] &+= 1
    count &+= 1
    sumNs &+= latency
  }

  mutating func removeAll() {
    for index in counts.indices { counts[index] = 0 }
    count = 0
    sumNs = 0
  }

  mutating func add(_ other: LatencyHistogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
    count += other.count
    sumNs += other.sumNs
  }

  /// Upper end of the bucket at which the share is reached, ms; nil when empty.
  func quantileMs(_ share: Double) -> Double? {
    guard count > 0 else { return nil }
    let wanted = max(1, Int64((share * Double(count)).rounded(.up)))
    var seen: Int64 = 0
    for (index, amount) in counts.enumerated() {
      seen += amount
      if seen >= wanted { return Double(LatencyHistogram.end(index)) / 1000 }
    }
    return nil
  }

  /// How many do not exceed a bound, to the resolution of the buckets.
  func countAtMost(ms: Double) -> Int64 {
    let bound = Int64(ms * 1000)
    var sum: Int64 = 0
    for (index, amount) in counts.enumerated() where LatencyHistogram.end(index) <= bound { sum += amount }
    return sum
  }

  @inline(__always)
  private static func bucket(_ micros: Int64) -> Int {
    if micros < 8 { return Int(micros) }
    let exponent = 63 - micros.leadingZeroBitCount
    return min(bucketCount - 1, (exponent - 2) * 8 + Int(micros >> Int64(exponent - 3)) & 7)
  }

  /// The largest whole number of microseconds in a bucket.
  private static func end(_ bucket: Int) -> Int64 {
    if bucket < 8 { return Int64(bucket) }
    let exponent = Int64(bucket / 8 + 2)
    return ((Int64(bucket % 8) | 8) + 1) << (exponent - 3) - 1
  }
}
