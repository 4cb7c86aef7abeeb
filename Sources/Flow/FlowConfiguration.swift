/// What the order-flow stage is told. Defaults and their reasons are in the specification of the flow
/// formulas: the history spans many aggregation windows because order flow is autocorrelated, and normal
/// scores of ranks are the default because it is heavy-tailed.
public struct FlowConfiguration: Equatable, Sendable {
  /// How a value is judged against the history before it.
  public enum Standardization: String, CaseIterable, Sendable {
    /// Φ⁻¹ of the mid-rank
    case rank
    /// mean and standard deviation
    case sd
    /// median and 1.4826·MAD
    case mad
  }

  /// What the levels' imbalances are made into.
  public enum OFIMethod: String, CaseIterable, Sendable {
    /// their sum by ``FlowConfiguration/weights``, in lots
    case weighted
    /// the best level's alone, in lots
    case best
    /// along their first principal component, in average depths of a level
    case integrated
  }

  /// When the running CVD returns to zero.
  public enum CVDReset: String, CaseIterable, Sendable {
    case never
    /// at 00:00 UTC of tape time
    case session
    /// it never accumulates: the CVD is the sum over the window
    case window
  }

  /// Distance of two rows of a symbol, ms of tape time.
  public var rowIntervalMs = 250
  public var ofiWindowMs = 5000
  public var cvdWindowMs = 10_000
  public var historyMs = 900_000
  public var historyStrideMs = 1000
  public var warmupMs = 180_000
  public var ofiMethod = OFIMethod.weighted
  /// Book levels that enter the OFI.
  public var levels = 5
  /// One weight a level, best first; normalised over the levels that exist.
  public var weights: [Double] = [0.40, 0.25, 0.20, 0.10, 0.05]
  public var standardization = Standardization.rank
  /// z is clipped to ±this on output only.
  public var zClip = 5.0
  /// Floor of the scale for `sd` and `mad`, as a share of the history's mean magnitude.
  public var scaleFloorRatio = 0.01
  public var cvdReset = CVDReset.never
  public var fusion = FusionConfiguration()

  public init() {}

  public static let levelsMax = 20
  public static let historySamplesMax = 16_384
}

/// How two standardised factors become one score and one type.
public struct FusionConfiguration: Equatable, Sendable {
  /// |score| from which a row is a signal, and a strong one.
  public struct Thresholds: Equatable, Sendable {
    public var signal: Double
    public var strong: Double

    public init(signal: Double, strong: Double) {
      self.signal = signal
      self.strong = strong
    }
  }

  public var weightOFI = 0.6
  public var weightCVD = 0.4
  /// A factor later than the other by more than this is left out, ms.
  public var lagMaxMs = 250.0
  /// A factor whose connection has been silent for longer is left out, ms.
  public var staleMs = 5000.0
  public var base = Thresholds(signal: 1.5, strong: 2.5)
  public var active = Thresholds(signal: 1.3, strong: 2.3)
  public var quiet = Thresholds(signal: 1.7, strong: 2.7)
  /// A type is kept down to this share of the threshold that gave it…
  public var hysteresisRatio = 0.8
  /// …for at most this long after the score was last above that threshold, ms.
  public var hysteresisExpiryMs = 3000
  /// A change of type waits this long after the change before, ms; a strong score shortens it.
  public var cooldownMs = 300
  public var cooldownStrongMs = 120
  /// A change of direction whose score exceeds the threshold by this much does not wait.
  public var flipMargin = 0.5

  public init() {}
}
