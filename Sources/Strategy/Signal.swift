import Core
import Flow

/// One row of the signal output: what the market looked like, what it scored, and what became of it.
///
/// The same row goes to every sink. All values are integers (``Micros``, counts, nanoseconds, price and
/// quantity units), quantised once, so JSONL and SQLite hold identical values by construction.
/// Column names, order and meaning: `Signal.columns`.
public struct Signal: Equatable, Sendable {
  /// Why the row was made.
  public enum Trigger: UInt8, Sendable, CaseIterable {
    /// A point of the regular grid.
    case grid
    /// The type became strong between two grid points.
    case strong
    /// A shadow channel's signal: CVD alone, another fusion, a divergence.
    case shadowCVD, shadowFusion, shadowDivergence

    public var isShadow: Bool { rawValue >= Trigger.shadowCVD.rawValue }

    /// The last letter of a row's id.
    public var letter: UInt8 {
      switch self {
      case .grid: 0x67
      case .strong: 0x73
      case .shadowCVD: 0x63
      case .shadowFusion: 0x66
      case .shadowDivergence: 0x64
      }
    }
  }

  public typealias Kind = SignalKind

  /// Why a row was not confirmed. Order: the first that applies is the one given.
  public enum GuardReason: UInt8, Sendable, CaseIterable {
    case none, warmup, depthGap, missing, lag, spread, lowConsistency, weak, belowEntry, degradedTimeSync,
      degraded,
      resyncCooldown, reconnectCooldown, reverseCooldown, dedupe

    /// Empty for `none`.
    public var name: StaticString {
      switch self {
      case .none: ""
      case .warmup: "warmup"
      case .depthGap: "depth_gap"
      case .missing: "missing"
      case .lag: "lag"
      case .spread: "spread"
      case .lowConsistency: "low_consistency"
      case .weak: "weak"
      case .belowEntry: "below_entry"
      case .degradedTimeSync: "degraded_time_sync"
      case .degraded: "degraded"
      case .resyncCooldown: "resync_cooldown"
      case .reconnectCooldown: "reconnect_cooldown"
      case .reverseCooldown: "reverse_cooldown"
      case .dedupe: "dedupe"
      }
    }
  }

  public enum Regime: UInt8, Sendable {
    case normal, active, quiet

    public var name: StaticString {
      switch self {
      case .normal: "normal"
      case .active: "active"
      case .quiet: "quiet"
      }
    }
  }

  /// Who decides the regime.
  public enum Mode: UInt8, Sendable, CaseIterable {
    /// The market.
    case auto
    /// The operator.
    case quiet, active

    public var name: StaticString {
      switch self {
      case .auto: "auto"
      case .quiet: "quiet"
      case .active: "active"
      }
    }
  }

  public var trigger: Trigger
  /// Tape time of the row.
  public var receiveTime: UnixNanos
  public var symbol: SymbolID
  public var score: Micros
  public var zOFI: Micros
  public var zCVD: Micros
  /// Weighted OFI over the window, in base-asset units.
  public var ofi: Micros
  /// Running CVD in the instrument's quantity units.
  public var cvd: Int64
  public var quantityScale: DecimalScale
  public var consistency: Micros
  public var dispersion: Micros
  /// Twice the mid price in price units (best bid + best ask), so that half ticks stay exact; nil without a quote.
  public var doubledMid: Int64?
  public var priceScale: DecimalScale
  public var spreadBps: Micros
  /// Event latency with the estimated clock offset removed, milliseconds.
  public var lagMs: Micros
  /// Time since the connection last delivered anything, milliseconds.
  public var stalenessMs: Micros
  public var regime: Regime
  public var kind: Kind
  public var confirmed: Bool
  public var guardReason: GuardReason
  public var qualityFlags: QualityFlags
  /// `seq` of the last tape record that entered the row; the row's trace.
  public var tapeSequence: Int64
  public var mode: Mode
  public var scenario: Scenario
  /// Confirmed at this row's time.
  public var divergence: DivergenceKind
  /// Of the parameters in use.
  public var version: ParameterVersion

  public init(
    trigger: Trigger, receiveTime: UnixNanos, symbol: SymbolID, score: Micros, zOFI: Micros, zCVD: Micros,
    ofi: Micros, cvd: Int64, quantityScale: DecimalScale, consistency: Micros, dispersion: Micros,
    doubledMid: Int64?, priceScale: DecimalScale, spreadBps: Micros, lagMs: Micros, stalenessMs: Micros,
    regime: Regime, kind: Kind, confirmed: Bool, guardReason: GuardReason, qualityFlags: QualityFlags,
    tapeSequence: Int64, mode: Mode = .auto, scenario: Scenario = .none, divergence: DivergenceKind = .none,
    version: ParameterVersion = .configured
  ) {
    self.trigger = trigger
    self.receiveTime = receiveTime
    self.symbol = symbol
    self.score = score
    self.zOFI = zOFI
    self.zCVD = zCVD
    self.ofi = ofi
    self.cvd = cvd
    self.quantityScale = quantityScale
    self.consistency = consistency
    self.dispersion = dispersion
    self.doubledMid = doubledMid
    self.priceScale = priceScale
    self.spreadBps = spreadBps
    self.lagMs = lagMs
    self.stalenessMs = stalenessMs
    self.regime = regime
    self.kind = kind
    self.confirmed = confirmed
    self.guardReason = guardReason
    self.qualityFlags = qualityFlags
    self.tapeSequence = tapeSequence
    self.mode = mode
    self.scenario = scenario
    self.divergence = divergence
    self.version = version
  }

  /// Column names in output order, the same in every sink.
  public static let columns: [StaticString] = [
    "signal_id", "ts_ms", "recv_ns", "symbol", "score", "z_ofi", "z_cvd", "ofi", "cvd", "consistency",
    "dispersion", "price", "spread_bps", "lag_ms", "staleness_ms", "regime", "mode", "scenario", "div_type",
    "signal_type", "confirm", "gating", "guard_reason", "quality_flags", "shadow", "config_version",
    "trace_id",
  ]

  /// `BTCUSDT-1721347021250000000-g`: symbol, tape time and trigger make it unique and deterministic.
  public func appendID(symbolName: String, to writer: inout ByteWriter) {
    writer.append(symbolName)
    writer.append(byte: 0x2D)
    writer.append(integer: receiveTime.rawValue)
    writer.append(byte: 0x2D)
    writer.append(byte: trigger.letter)
  }

  /// 16 hexadecimal digits of the tape's `seq`.
  public func appendTraceID(to writer: inout ByteWriter) {
    writer.append(hex: UInt64(bitPattern: tapeSequence), digits: 16)
  }
}

/// What every row of a run shares.
public struct SignalContext: Sendable {
  public var symbols: SymbolTable
  /// First 12 hexadecimal digits of the SHA-256 of the merged configuration; for rows of
  /// ``ParameterVersion/configured``.
  public var configVersion: String

  public init(symbols: SymbolTable = SymbolTable(), configVersion: String) {
    self.symbols = symbols
    self.configVersion = configVersion
  }
}

/// The version of a configuration: 12 hexadecimal digits, or the one the run was started with.
public struct ParameterVersion: RawRepresentable, Hashable, Sendable {
  public static let digits = 12
  /// That of ``SignalContext/configVersion``.
  public static let configured = ParameterVersion(rawValue: .max)

  public var rawValue: UInt64

  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Exactly 12 lower-case hexadecimal digits.
  public init?(_ text: String) {
    let isHex = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    guard text.utf8.count == ParameterVersion.digits, isHex, let value = UInt64(text, radix: 16) else {
      return nil
    }
    rawValue = value
  }
}
