/// What ``Evaluator`` is asked.
public struct EvaluationOptions: Sendable {
  /// Whose returns the score is compared with; what an order pays is always measured from the mid.
  public enum Prices: String, CaseIterable, Sendable {
    case mid, microprice
  }

  /// Seconds, in the order they are reported.
  public var horizonsSeconds: [Int] = [10, 60, 300]
  /// Seconds of the decay curve.
  public var decaySeconds: [Int] = EvaluationOptions.decaySecondsDefault
  public var prices = Prices.mid
  /// From a row to the price it can first be acted on, rounded up to the grid.
  public var latencyMs = 0
  /// Of each of the two fills, in basis points.
  public var takerFeeBps = 5.0
  public var feeTiers = FeeTier.publicSchedule
  /// Of the bootstrap.
  public var seed: UInt64 = 1
  public var resamples = 600
  /// Returns are dealt out anew among the rows, by this seed.
  public var shuffleSeed: UInt64?
  /// Independent rows at which a slice's IC counts half (``SliceWeights``).
  public var shrinkageRows = 400.0

  public static let decaySecondsDefault = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800]
  public static let horizonSecondsMax = 86_400

  public init() {}
}

/// A step of an exchange's fee schedule.
public struct FeeTier: Equatable, Sendable {
  public var name: String
  public var takerBps: Double

  public init(_ name: String, takerBps: Double) {
    self.name = name
    self.takerBps = takerBps
  }

  /// Taker fees of the public schedule for USD-M futures, four of its ten steps.
  public static let publicSchedule = [
    FeeTier("VIP 0", takerBps: 5), FeeTier("VIP 3", takerBps: 3.2), FeeTier("VIP 6", takerBps: 2.5),
    FeeTier("VIP 9", takerBps: 1.7),
  ]
}
