import Core

/// Receive time: the wall clock without its steps.
///
/// **Problem.** A tape's receive times must not decrease, and everything behind it takes them for time: rows, windows,
/// cooldowns, latencies. But a wall clock is set, by an hour if someone errs, and back.
///
/// **Why the obvious answer fails.** The wall clock with decreases held back stands still for the hour by which it was
/// set back, and so does every reader. Following it forward is no better when it is set right again.
///
/// **Algorithm.** The monotonic clock runs at the wall clock's rate (the system disciplines both) and is never set.
/// Receive time is the monotonic clock plus a lead: the wall clock's at the start, or that of the tape's last
/// record where that is later. Small changes of the wall clock's lead are followed, steps beyond ``stepNsMin``
/// are not; they are told, so that they can be recorded. Whoever needs the exchange's time has the measured offset.
///
/// **Bounds.** Until the harvester is started again, receive time is off by the steps (``apartNs``). A start at a wall
/// clock behind the tape's last record keeps to the tape's time.
struct ReceiveClock: Sendable {
  static let stepNsMin = 500 * Nanoseconds.millisecond

  /// Receive time − monotonic.
  private var leadNs: Int64
  /// Wall − monotonic when last seen.
  private var wallLeadNs: Int64

  init(_ now: Moment, notBefore last: UnixNanos?) {
    wallLeadNs = now.wall.rawValue &- now.monotonicNs
    leadNs = max(wallLeadNs, (last?.rawValue ?? .min / 2) &- now.monotonicNs)
  }

  /// Receive time − wall clock.
  var apartNs: Int64 { leadNs &- wallLeadNs }

  /// Notes the clocks.
  ///
  /// - Returns: by how much the wall clock was set; 0 when it was not.
  @inline(__always)
  mutating func follow(_ now: Moment) -> Int64 {
    let lead = now.wall.rawValue &- now.monotonicNs
    let change = lead &- wallLeadNs
    wallLeadNs = lead
    if change.magnitude > UInt64(ReceiveClock.stepNsMin) { return change }
    leadNs &+= change
    return 0
  }

  /// A moment with its receive time in the place of the wall clock's.
  @inline(__always)
  func moment(_ now: Moment) -> Moment {
    Moment(wall: UnixNanos(now.monotonicNs &+ leadNs), monotonicNs: now.monotonicNs)
  }
}
