import Core
import Flow

/// What must hold before a signal is confirmed.
public struct GateConfiguration: Equatable, Sendable {
  /// Missing messages as a share of all, over the last minute.
  public var missingRatioMax = 0.001
  public var lagMsMax = 600.0
  public var stalenessMsMax = 5000.0
  public var spreadBpsMax = 20.0
  public var consistencyMin = 0.15
  public var scoreMin = 0.2
  /// After a resync of the book, ms.
  public var resyncCooldownMs = 120_000
  /// After a reconnect, ms.
  public var reconnectCooldownMs = 180_000
  /// Between confirmed signals of opposite direction, ms.
  public var reverseCooldownMs = 1000
  /// Between confirmed signals of the same type, ms.
  public var dedupeMs = 250

  public init() {}
}

/// A row as the gates see it. Times are tape time.
public struct GateInput: Sendable {
  public var timeMs: Int64
  /// The histories are not long enough yet.
  public var isWarmingUp: Bool
  public var kind: Signal.Kind
  public var score: Double?
  public var consistency: Double?
  public var quote: Quote?
  public var lagMs: Double
  public var stalenessMs: Double
  public var bookIsOutOfSync: Bool
  public var missingRatio: Double
  public var timeSyncIsDegraded: Bool
  /// Nothing but strong types is to be confirmed.
  public var onlyStrong: Bool
  /// Of the row's scenario; nil where it has none.
  public var scenario: ScenarioParameters?
  /// Tape time of the last resync and reconnect.
  public var resyncedAtMs: Int64?
  public var reconnectedAtMs: Int64?

  public init(
    timeMs: Int64, isWarmingUp: Bool, kind: Signal.Kind, score: Double?, consistency: Double?, quote: Quote?,
    lagMs: Double,
    stalenessMs: Double, bookIsOutOfSync: Bool, missingRatio: Double, timeSyncIsDegraded: Bool,
    onlyStrong: Bool = false, scenario: ScenarioParameters? = nil, resyncedAtMs: Int64?,
    reconnectedAtMs: Int64?
  ) {
    self.timeMs = timeMs
    self.isWarmingUp = isWarmingUp
    self.kind = kind
    self.score = score
    self.consistency = consistency
    self.quote = quote
    self.lagMs = lagMs
    self.stalenessMs = stalenessMs
    self.bookIsOutOfSync = bookIsOutOfSync
    self.missingRatio = missingRatio
    self.timeSyncIsDegraded = timeSyncIsDegraded
    self.onlyStrong = onlyStrong
    self.scenario = scenario
    self.resyncedAtMs = resyncedAtMs
    self.reconnectedAtMs = reconnectedAtMs
  }
}

/// Decides whether a symbol's row is confirmed, and if not, for which one reason.
///
/// All times are tape time: on the wall clock a replay of history would refuse everything. The first reason
/// that applies is the one given, from "we don't know" over "we can't trust it" to "we have just done it".
public struct Gates: Sendable {
  /// May be changed between two rows.
  public var configuration: GateConfiguration
  var lastConfirmed: (kind: Signal.Kind, timeMs: Int64)?

  public init(_ configuration: GateConfiguration) { self.configuration = configuration }

  /// (best ask − best bid) / mid in basis points.
  public static func spreadBps(_ quote: Quote) -> Double? {
    let doubledMid = quote.doubledMid
    guard doubledMid > 0 else { return nil }
    return 2e4 * Double(quote.askPrice - quote.bidPrice) / Double(doubledMid)
  }

  /// A reason, and whether the row is confirmed; only a row with a direction can be.
  public mutating func step(_ input: GateInput) -> (reason: Signal.GuardReason, confirmed: Bool) {
    let reason = firstReason(input)
    let confirmed = reason == .none && input.kind != .neutral
    if confirmed { lastConfirmed = (input.kind, input.timeMs) }
    return (reason, confirmed)
  }

  private func firstReason(_ input: GateInput) -> Signal.GuardReason {
    let c = configuration
    if input.isWarmingUp { return .warmup }
    // Later a missing score comes from a book out of sync, or from windows that fill again behind it.
    if input.bookIsOutOfSync { return .depthGap }
    guard let score = input.score else { return .warmup }
    guard let quote = input.quote, let spread = Gates.spreadBps(quote) else { return .missing }
    if input.missingRatio > c.missingRatioMax { return .missing }
    if input.lagMs > c.lagMsMax || input.stalenessMs > c.stalenessMsMax { return .lag }
    if spread > c.spreadBpsMax { return .spread }
    if let consistency = input.consistency, consistency < c.consistencyMin { return .lowConsistency }
    if abs(score) < c.scoreMin { return .weak }
    if input.kind != .neutral, let scenario = input.scenario, !scenario.admits(score) { return .belowEntry }
    if input.timeSyncIsDegraded { return .degradedTimeSync }
    if input.onlyStrong, input.kind != .neutral, !input.kind.isStrong { return .degraded }
    if within(c.resyncCooldownMs, input.resyncedAtMs, input.timeMs) { return .resyncCooldown }
    if within(c.reconnectCooldownMs, input.reconnectedAtMs, input.timeMs) { return .reconnectCooldown }
    guard input.kind != .neutral, let last = lastConfirmed else { return .none }
    if last.kind.direction * input.kind.direction < 0, within(c.reverseCooldownMs, last.timeMs, input.timeMs)
    {
      return .reverseCooldown
    }
    if last.kind == input.kind, within(c.dedupeMs, last.timeMs, input.timeMs) { return .dedupe }
    return .none
  }

  private func within(_ lengthMs: Int, _ since: Int64?, _ now: Int64) -> Bool {
    guard let since else { return false }
    return now - since < Int64(lengthMs)
  }
}
