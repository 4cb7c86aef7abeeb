/// What is known to be wrong or unusual about a record or a row. Names are part of the output format.
@frozen
public struct QualityFlags: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The book is out of sync (no snapshot yet, or a hole in the chain of update ids).
  public static let depthGap = QualityFlags(rawValue: 1 << 0)
  /// A trade id was skipped inside the CVD window.
  public static let tradeGap = QualityFlags(rawValue: 1 << 1)
  /// The exchange's stamp is later than the receive time: one of the clocks is off.
  public static let clockSkew = QualityFlags(rawValue: 1 << 2)
  /// Not enough history for a standardised value yet.
  public static let warmup = QualityFlags(rawValue: 1 << 3)
  /// Only OFI entered the score.
  public static let degradedOFIOnly = QualityFlags(rawValue: 1 << 4)
  /// Only CVD entered the score.
  public static let degradedCVDOnly = QualityFlags(rawValue: 1 << 5)
  /// The connection that carries a factor has been silent for longer than allowed.
  public static let stale = QualityFlags(rawValue: 1 << 6)
  /// No best quote is known.
  public static let noQuote = QualityFlags(rawValue: 1 << 7)
  /// Whoever trades on the row is to reckon with the higher cost.
  public static let conservativeCost = QualityFlags(rawValue: 1 << 8)

  /// Names in bit order.
  public static let names: [StaticString] = [
    "depth_gap", "trade_gap", "clock_skew", "warmup", "degraded_ofi_only", "degraded_cvd_only", "stale",
    "no_quote", "conservative_cost",
  ]

  /// Appends the set names, comma-separated; nothing for an empty set.
  public func append(to writer: inout ByteWriter) {
    var first = true
    for (bit, name) in QualityFlags.names.enumerated() where rawValue & (1 << UInt32(bit)) != 0 {
      if !first { writer.append(byte: 0x2C) }
      writer.append(name)
      first = false
    }
  }
}
