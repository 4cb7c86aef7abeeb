import Core

/// What a row says to do. Names are part of the output format.
public enum SignalKind: UInt8, Sendable, CaseIterable {
  case neutral, buy, strongBuy, sell, strongSell

  public var name: StaticString {
    switch self {
    case .neutral: "neutral"
    case .buy: "buy"
    case .strongBuy: "strong_buy"
    case .sell: "sell"
    case .strongSell: "strong_sell"
    }
  }

  /// +1 buy side, −1 sell side, 0 neutral.
  public var direction: Int {
    switch self {
    case .neutral: 0
    case .buy, .strongBuy: 1
    case .sell, .strongSell: -1
    }
  }

  public var isStrong: Bool { self == .strongBuy || self == .strongSell }
}

/// One factor as fusion sees it.
public struct Factor: Equatable, Sendable {
  /// Standardised, unclipped; nil while it has no value.
  public var z: Double?
  /// Latency of its last event with the clock offset removed, ms.
  public var lagMs: Double
  /// How long its connection has delivered nothing, ms.
  public var stalenessMs: Double

  public init(z: Double?, lagMs: Double, stalenessMs: Double) {
    self.z = z
    self.lagMs = lagMs
    self.stalenessMs = stalenessMs
  }
}

/// OFI and CVD as one score.
public struct FusedScore: Equatable, Sendable {
  public var score: Double?
  /// 0 when the signs differ, else min|z| / max|z|; nil when one factor stands alone.
  public var consistency: Double?
  public var dispersion: Double?
  /// `degradedOFIOnly` or `degradedCVDOnly` when one factor stands alone.
  public var flags: QualityFlags

  /// score = w₁·z_ofi + w₂·z_cvd with normalised weights; a factor that is late or stale is left out.
  public init(ofi: Factor, cvd: Factor, _ configuration: FusionConfiguration) {
    flags = []
    guard let zOFI = ofi.z, let zCVD = cvd.z else { return }
    let ofiIsStale = ofi.stalenessMs > configuration.staleMs
    let cvdIsStale = cvd.stalenessMs > configuration.staleMs
    let ofiIsLate = ofi.lagMs - cvd.lagMs > configuration.lagMaxMs
    let cvdIsLate = cvd.lagMs - ofi.lagMs > configuration.lagMaxMs
    // Both stale: neither is fresh, and the lag gate refuses the row anyway.
    if (cvdIsStale || cvdIsLate) && !ofiIsStale && !ofiIsLate {
      score = zOFI
      flags = .degradedOFIOnly
    } else if (ofiIsStale || ofiIsLate) && !cvdIsStale && !cvdIsLate {
      score = zCVD
      flags = .degradedCVDOnly
    } else {
      let total = configuration.weightOFI + configuration.weightCVD
      score = (configuration.weightOFI * zOFI + configuration.weightCVD * zCVD) / total
      dispersion = abs(zOFI - zCVD)
      let small = min(abs(zOFI), abs(zCVD))
      consistency = (zOFI > 0) != (zCVD > 0) || small < 1e-9 ? 0 : small / max(abs(zOFI), abs(zCVD))
    }
  }
}

/// Gives a score its type, with hysteresis and a cooldown, so that a border-line score does not flap.
///
/// A type is entered at its threshold and kept while the score stays above `hysteresisRatio` of it, for at
/// most `hysteresisExpiryMs` after it last was above the threshold itself. A change waits until the cooldown
/// since the last change is over: 300 ms, falling linearly to 120 ms as |score| goes from the signal to the
/// strong threshold. A change of direction that exceeds the threshold by `flipMargin` does not wait.
public struct SignalClassifier: Sendable {
  var kind = SignalKind.neutral
  var reachedAtMs: Int64 = .min / 2
  var changedAtMs: Int64 = .min / 2

  public init() {}

  /// The type of a row at `timeMs`; a row without a score is neutral and ends whatever was held.
  public mutating func step(
    score: Double?, at timeMs: Int64, _ thresholds: FusionConfiguration.Thresholds,
    _ configuration: FusionConfiguration
  ) -> SignalKind {
    guard let score else {
      if kind != .neutral {
        kind = .neutral
        changedAtMs = timeMs
      }
      return .neutral
    }
    let magnitude = abs(score)
    let direction = score > 0 ? 1 : score < 0 ? -1 : 0
    var wanted = SignalClassifier.kind(direction, strong: magnitude >= thresholds.strong)
    if magnitude < thresholds.signal { wanted = .neutral }

    if kind.direction != 0, kind.direction == direction, kind != wanted, !(wanted.isStrong && !kind.isStrong)
    {
      // A weaker type is wanted in the same direction: hold on while hysteresis allows.
      let threshold = kind.isStrong ? thresholds.strong : thresholds.signal
      let expired = timeMs - reachedAtMs > Int64(configuration.hysteresisExpiryMs)
      if magnitude >= threshold * configuration.hysteresisRatio, !expired { return kind }
    }
    if wanted == kind {
      if kind != .neutral { reachedAtMs = timeMs }
      return kind
    }
    let span = max(thresholds.strong - thresholds.signal, 1e-9)
    let strength = min(1, max(0, (magnitude - thresholds.signal) / span))
    let cooldown =
      Double(configuration.cooldownMs)
      - strength * Double(configuration.cooldownMs - configuration.cooldownStrongMs)
    let flips = kind.direction * wanted.direction < 0
    let bypass = flips && magnitude >= thresholds.signal + configuration.flipMargin
    if Double(timeMs - changedAtMs) < cooldown, !bypass { return kind }
    kind = wanted
    changedAtMs = timeMs
    reachedAtMs = timeMs
    return kind
  }

  private static func kind(_ direction: Int, strong: Bool) -> SignalKind {
    switch direction {
    case 1: strong ? .strongBuy : .buy
    case -1: strong ? .strongSell : .sell
    default: .neutral
    }
  }
}
