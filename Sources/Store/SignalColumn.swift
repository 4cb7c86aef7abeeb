import Strategy

/// A column of the signal output; the raw value is its place in ``Signal/columns``.
public enum SignalColumn: Int, CaseIterable, Sendable {
  case signalID, tsMs, recvNs, symbol, score, zOFI, zCVD, ofi, cvd, consistency, dispersion, price, spreadBps,
    lagMs, stalenessMs, regime, mode, scenario, divType, signalType, confirm, gating, guardReason,
    qualityFlags,
    shadow, configVersion, traceID

  /// How a column is stored; the same in every sink.
  public enum Storage: Sendable {
    case text, integer, real
    /// `true`/`false` in JSON, 1/0 in SQLite.
    case boolean
  }

  public var name: StaticString { Signal.columns[rawValue] }

  public var storage: Storage {
    switch self {
    case .tsMs, .recvNs: .integer
    case .score, .zOFI, .zCVD, .ofi, .cvd, .consistency, .dispersion, .price, .spreadBps, .lagMs,
      .stalenessMs:
      .real
    case .confirm, .gating, .shadow: .boolean
    case .signalID, .symbol, .regime, .mode, .scenario, .divType, .signalType, .guardReason, .qualityFlags,
      .configVersion, .traceID:
      .text
    }
  }

  public var isNullable: Bool {
    switch self {
    case .score, .zOFI, .zCVD, .ofi, .consistency, .dispersion, .price, .spreadBps, .lagMs, .stalenessMs,
      .scenario, .divType, .guardReason:
      true
    default: false
    }
  }
}
