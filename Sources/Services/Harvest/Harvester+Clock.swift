import Core
import Tape

/// Offset and drift of our clock against the exchange's.
extension Harvester where Log: ~Copyable {
  /// Samples taken in a row at the start and after a jump.
  private static var quickSamples: Int { 3 }
  private static var quickNs: Int64 { 250 * Nanoseconds.millisecond }
  private static var retryNs: Int64 { Nanoseconds.second }
  private static var recordedChangeNsMin: Int64 { Nanoseconds.millisecond }

  /// Now by the exchange's clock, as far as it is known.
  func exchangeNs(_ now: Moment) -> Int64 { now.wall.rawValue &+ offsetNs }

  mutating func scheduleTime(_ now: Moment, isRetry: Bool) {
    guard !isDraining else { return }
    var waitNs = Int64(configuration.clockIntervalMs) * Nanoseconds.millisecond
    if clock.count < Self.quickSamples { waitNs = min(waitNs, isRetry ? Self.retryNs : Self.quickNs) }
    nextTimeNs = min(nextTimeNs, now.monotonicNs + waitNs)
    mustSettle = true
  }

  /// The answer to a request for the exchange's time.
  mutating func takeTime(
    _ flight: RequestQueue.Flight, _ body: UnsafeRawBufferPointer, _ now: Moment
  ) throws(TapeError) {
    guard let serverMs = (try? JSONValue(parsing: body))?["serverTime"]?.integer, serverMs > 0,
      serverMs < 4_102_444_800_000
    else {
      try noteBadAnswer("time", body, Self.noConnection, now)
      return scheduleTime(now, isRetry: true)
    }
    let roundTripNs = now.monotonicNs - flight.sent.monotonicNs
    // A clock that was set while the request was under way spoils the sample.
    let walled = now.wall.rawValue - flight.sent.wall.rawValue
    guard (walled - roundTripNs).magnitude <= UInt64(ReceiveClock.stepNsMin) else {
      return scheduleTime(now, isRetry: true)
    }
    let offset = serverMs * Nanoseconds.millisecond - (flight.sent.wall.rawValue + walled / 2)
    if clockIsInDoubt, let best = clock.best,
      (offset - best.offsetNs).magnitude > UInt64(ReceiveClock.stepNsMin)
    {
      // The machine slept, so that the samples are void. That is no drift.
      clock.restart(jumpNs: best.offsetNs - offset)
    }
    clockIsInDoubt = false
    clock.add(.init(offsetNs: offset, roundTripNs: roundTripNs))
    scheduleTime(now, isRetry: false)
    try judgeClock(now)
  }

  /// Records the clock when it has moved, or time has become degraded or good again.
  mutating func judgeClock(_ now: Moment) throws(TapeError) {
    guard let best = clock.best else { return }
    offsetNs = best.offsetNs
    offsetIsKnown = true
    if clock.driftMsEWMA > configuration.clockDriftMsMax {
      driftAboveSinceNs = driftAboveSinceNs ?? now.monotonicNs
    } else {
      driftAboveSinceNs = nil
    }
    let forNs = Int64(configuration.clockDriftForMs) * Nanoseconds.millisecond
    let isDegraded = driftAboveSinceNs.map { now.monotonicNs - $0 >= forNs } ?? false
    let hasMoved =
      recordedOffsetNs.map { (best.offsetNs - $0).magnitude >= UInt64(Self.recordedChangeNsMin) } ?? true
    guard hasMoved || isDegraded != isTimeDegraded else { return }
    recordedOffsetNs = best.offsetNs
    isTimeDegraded = isDegraded
    try record(
      .clock, connection: Self.noConnection,
      [
        .init("offset_ms", .rounded(Double(best.offsetNs) / 1e6, 3)),
        .init("rtt_ms", .rounded(Double(best.roundTripNs) / 1e6, 3)),
        .init("drift_ms_ewma", .rounded(clock.driftMsEWMA, 3)),
        .init("degraded_time_sync", .bool(isDegraded)),
      ], now)
  }

  /// Our wall clock was set. Receive time goes on, and whether the exchange's clock does is asked at once.
  @inline(never)
  mutating func clockJumped(_ jumpNs: Int64, _ now: Moment) throws(TapeError) {
    guard !hasFinished else { return }
    totals.clockJumps += 1
    clockIsInDoubt = true
    if !isDraining { nextTimeNs = min(nextTimeNs, now.monotonicNs + Self.quickNs) }
    mustSettle = true
    try record(
      .note, connection: Self.noConnection,
      [
        .init("check", .string("clock")), .init("jump_ms", .rounded(Double(jumpNs) / 1e6, 3)),
        .init("apart_ms", .rounded(Double(receiveClock.apartNs) / 1e6, 3)),
      ], now)
  }
}
