/// The price-impact check ΔP = β·OFI + ε over fixed buckets of exchange time, as a squared correlation.
///
/// Buckets start at the first event's exchange time rounded down to a whole bucket. A bucket's OFI is the sum
/// of the contributions in it; its price change is between the last mid before its start and the last before
/// its end. The last, partial bucket does not count. Sums are kept by Welford's bivariate update, so memory is
/// constant and nothing cancels.
public struct PriceImpact: Sendable {
  /// Longer holes are not filled with empty buckets.
  public static let holeBucketsMax: Int64 = 8640

  private let bucketMs: Int64
  var bucket: Int64 = .min
  var imbalance: Int64 = 0
  var lastMid: Int64 = 0
  var startMid: Int64?
  public internal(set) var buckets = 0
  var meanX = 0.0
  var meanY = 0.0
  var xx = 0.0
  var yy = 0.0
  var xy = 0.0

  public init(bucketMs: Int64 = 10_000) { self.bucketMs = bucketMs }

  /// Takes a quote change: its exchange time, contribution, and the mid (doubled) after it.
  @inline(__always)
  public mutating func step(timeMs: Int64, contribution: Int64, doubledMid: Int64) {
    // A late stamp belongs to the bucket that is open.
    if timeMs >= (bucket &+ 1) &* bucketMs || bucket == .min { roll(timeMs / bucketMs, doubledMid) }
    imbalance &+= contribution
    lastMid = doubledMid
  }

  @inline(never)
  private mutating func roll(_ next: Int64, _ doubledMid: Int64) {
    if bucket == .min {
      bucket = next
      startMid = doubledMid
      return
    }
    if next - bucket > PriceImpact.holeBucketsMax {
      // A hole of days: empty buckets would only dilute the sample.
      if let startMid { add(Double(imbalance), Double(lastMid - startMid)) }
      startMid = nil
      imbalance = 0
      bucket = next
      return
    }
    while bucket < next {
      if let startMid { add(Double(imbalance), Double(lastMid - startMid)) }
      startMid = lastMid
      imbalance = 0
      bucket += 1
    }
  }

  private mutating func add(_ x: Double, _ y: Double) {
    buckets += 1
    let deltaX = x - meanX
    let deltaY = y - meanY
    meanX += deltaX / Double(buckets)
    meanY += deltaY / Double(buckets)
    xx += deltaX * (x - meanX)
    yy += deltaY * (y - meanY)
    xy += deltaX * (y - meanY)
  }

  /// nil with fewer than three whole buckets, or without any movement.
  public var squaredCorrelation: Double? {
    guard buckets >= 3, xx > 0, yy > 0 else { return nil }
    return xy * xy / (xx * yy)
  }
}
