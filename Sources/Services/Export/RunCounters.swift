import Core

/// A run's counters at one moment, as its services report them: what is exported is made from this alone.
///
/// All counts run from the start of the run.
public struct RunCounters: Equatable, Sendable {
  /// Exchange time to receive time, milliseconds; nil before the first message.
  public struct Latency: Equatable, Sendable {
    public var p50Ms: Double?
    public var p95Ms: Double?
    public var p99Ms: Double?

    public init(p50Ms: Double? = nil, p95Ms: Double? = nil, p99Ms: Double? = nil) {
      self.p50Ms = p50Ms
      self.p95Ms = p95Ms
      self.p99Ms = p99Ms
    }
  }

  /// One symbol's share.
  public struct SymbolCounters: Equatable, Sendable {
    public var rows: Int64 = 0
    public var confirmed: Int64 = 0
    public var strong: Int64 = 0
    public var gaps: Int64 = 0
    public var resyncs: Int64 = 0
    public var lost: Int64 = 0

    public init() {}
  }

  /// Signal rows, of which confirmed, of which strong.
  public var rows: Int64 = 0
  public var confirmed: Int64 = 0
  public var strong: Int64 = 0
  /// Rows refused by each gate, by its reason.
  public var gatedByReason: [String: Int64] = [:]
  public var rowsLastMinute: Int64 = 0
  public var latency = Latency()
  /// Holes in the depth chain and in the trades.
  public var gaps: Int64 = 0
  public var resyncs: Int64 = 0
  public var queueDropped: Int64 = 0
  /// Trades given up.
  public var lost: Int64 = 0
  public var reconnects: Int64 = 0
  public var bySymbol: [String: SymbolCounters] = [:]

  public init() {}

  /// Strong of confirmed rows; nil without any.
  public var strongRatio: Double? { RunCounters.ratio(strong, confirmed) }

  static func ratio(_ part: Int64, _ whole: Int64) -> Double? {
    whole == 0 ? nil : Double(part) / Double(whole)
  }
}
