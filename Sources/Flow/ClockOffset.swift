/// The offset between the receive clock and the exchange's, estimated from the feed alone.
///
/// Receive − exchange time is offset + latency, and latency is never negative: the minimum over a while is the
/// offset plus the least latency. It is taken over the last ten minutes of tape time, from the past only, so
/// a recording whose clock is 1.5 s slow has ordinary latencies and a drifting clock is followed.
public struct ClockOffset: Sendable {
  public static let bucketNs: Int64 = 60_000_000_000
  public static let bucketCount = 10

  /// Receive − exchange time of the fastest event in the window, ns.
  public internal(set) var offsetNs: Int64 = 0
  var buckets: InlineArray<10, Int64> = .init(repeating: .max)
  var current: Int64 = .min

  public init() {}

  /// Takes an event; its latency above the fastest one, ns, never negative.
  @inline(__always)
  public mutating func step(receiveNs: Int64, exchangeMs: Int64) -> Int64 {
    let difference = receiveNs &- exchangeMs &* 1_000_000
    if receiveNs / ClockOffset.bucketNs != current { roll(receiveNs / ClockOffset.bucketNs) }
    let slot = Int(current % Int64(ClockOffset.bucketCount))
    if difference < buckets[slot] {
      buckets[slot] = difference
      if difference < offsetNs { offsetNs = difference }
    }
    return difference &- offsetNs
  }

  @inline(never)
  private mutating func roll(_ bucket: Int64) {
    let passed = current == .min ? Int64(ClockOffset.bucketCount) : bucket - current
    for step in 0..<min(passed, Int64(ClockOffset.bucketCount)) {
      buckets[Int((bucket - step) % Int64(ClockOffset.bucketCount))] = .max
    }
    current = bucket
    // The bucket that has just begun is empty; the event that rolled it fills it at once.
    offsetNs = .max
    for index in 0..<ClockOffset.bucketCount { offsetNs = min(offsetNs, buckets[index]) }
  }
}
