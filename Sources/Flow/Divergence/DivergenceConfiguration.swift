/// What the divergence stage is told.
public struct DivergenceConfiguration: Equatable, Sendable {
  public var isEnabled = true
  /// Distance of two samples, ms of tape time.
  public var strideMs = 1000
  /// Samples on each side that a pivot must exceed.
  public var pivotSamples = 12
  /// Least distance of two pivots of a kind, in samples.
  public var separationSamples = 6
  /// Pivots further apart are not compared, in samples.
  public var spanSamplesMax = 300
  /// |z_ofi| and |z_cvd| of opposite sign from which they are in conflict.
  public var conflictZOFI = 1.5
  public var conflictZCVD = 0.7
  /// Events of a lower score (0 to 100) are not reported.
  public var scoreMin = 0.0
  /// Between two events of one kind, ms.
  public var cooldownMs = 30_000

  public init() {}

  public static let pivotSamplesMax = 240
  public static let spanSamplesMaxMax = 3600
}
