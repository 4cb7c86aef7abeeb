/// Counts of non-negative integers in fixed logarithmic buckets: exact below 16, else within 1/16.
///
/// The buckets do not depend on the data, so histograms of parts add up to the histogram of the whole.
/// Source: G. Tene, HdrHistogram (the bucket layout).
public struct LogHistogram: Equatable, Sendable {
  private static let bucketCount = 960
  private var counts = [Int](repeating: 0, count: LogHistogram.bucketCount)
  public private(set) var count = 0
  public private(set) var largest: Int64 = 0

  public init() {}

  /// Negative values count as 0.
  public mutating func add(_ value: Int64) {
    let value = max(0, value)
    counts[LogHistogram.bucket(value)] += 1
    count += 1
    largest = max(largest, value)
  }

  /// The smallest bucket end that at least the given share of the values does not exceed; `nil` when empty.
  public func quantile(_ share: Double) -> Int64? {
    if count == 0 { return nil }
    let wanted = max(1, Int((share * Double(count)).rounded(.up)))
    var seen = 0
    for index in counts.indices {
      seen += counts[index]
      if seen >= wanted { return min(largest, LogHistogram.end(index)) }
    }
    return largest
  }

  private static func bucket(_ value: Int64) -> Int {
    if value < 16 { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return (exponent - 3) * 16 + Int(value >> Int64(exponent - 4)) & 15
  }

  private static func end(_ bucket: Int) -> Int64 {
    if bucket < 16 { return Int64(bucket) }
    let exponent = bucket / 16 + 3
    let width = Int64(1) << Int64(exponent - 4)
    return (Int64(bucket % 16) | 16) &* width &+ (width &- 1)
  }
}
