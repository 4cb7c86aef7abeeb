import Core

/// How often the shell commits what the harvester has appended.
///
/// A commit costs nearly the same whether it carries one record or a thousand, so rare commits save work and
/// frequent ones save latency. The interval grows when commits take more than a fifth of it, and shrinks
/// when they take less than a twentieth, between fixed bounds.
public struct BatchTuner: Equatable, Sendable {
  public private(set) var intervalNs: Int64
  private let minNs: Int64
  private let maxNs: Int64

  public init(_ configuration: HarvestConfiguration = HarvestConfiguration()) {
    intervalNs = Int64(configuration.batchMs) * Nanoseconds.millisecond
    minNs = Int64(configuration.batchMsMin) * Nanoseconds.millisecond
    maxNs = Int64(configuration.batchMsMax) * Nanoseconds.millisecond
  }

  /// Takes how long a commit took and how many records it carried; the next interval, nanoseconds.
  ///
  /// A commit without records says nothing and changes nothing.
  @discardableResult
  public mutating func flushed(durationNs: Int64, records: Int) -> Int64 {
    guard records > 0 else { return intervalNs }
    if durationNs > intervalNs / 5 {
      intervalNs = min(maxNs, intervalNs + intervalNs / 4)
    } else if durationNs < intervalNs / 20 {
      intervalNs = max(minNs, intervalNs - intervalNs / 10)
    }
    return intervalNs
  }
}
