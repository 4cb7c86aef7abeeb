import Core
import Strategy

/// `summary.json` of a run: what went in, what came out, what it cost.
///
/// Timing and memory members differ from run to run and belong to no determinism hash; `signals_sha256` and
/// the symbols' members depend on tape, configuration and code only.
public struct RunSummary: Sendable {
  public struct Symbol: Sendable {
    public var frames = 0
    public var depthEvents = 0
    public var bookTickerEvents = 0
    public var trades = 0
    public var tradesExcluded = 0
    public var decodeErrors = 0
    public var gaps = 0
    public var resyncs = 0
    public var crossed = 0
    /// Level-1 OFI summed over the run, from the best quotes' stream and from the book; exact decimal texts.
    public var ofiL1Sum = "0"
    public var ofiBookL1Sum = "0"
    /// Exact decimal text.
    public var cvd = "0"
    /// Of the price change on OFI over 10 s buckets; `nil` where undefined.
    public var rSquared10s: Double?
    public var signals = 0
    public var confirmed = 0
    public var strong = 0
    /// By ``Signal/GuardReason``'s raw value.
    public var guardReasons = [Int](repeating: 0, count: Signal.GuardReason.allCases.count)
    /// Further members, after the others.
    public var extra: [JSONValue.Member] = []

    public init() {}

    public mutating func count(_ signal: Signal) {
      signals += 1
      if signal.confirmed {
        confirmed += 1
        if signal.kind.isStrong { strong += 1 }
      }
      guardReasons[Int(signal.guardReason.rawValue)] += 1
    }

    /// The reasons that occurred, in the order in which they are tried.
    var reasons: [(name: String, count: Int)] {
      Signal.GuardReason.allCases.dropFirst().map { ("\($0.name)", guardReasons[Int($0.rawValue)]) }
        .filter { $0.1 > 0 }
    }

    public var json: JSONValue {
      .object(
        [
          .init("frames", .integer(frames)), .init("depth_events", .integer(depthEvents)),
          .init("book_ticker_events", .integer(bookTickerEvents)), .init("trades", .integer(trades)),
          .init("trades_excluded", .integer(tradesExcluded)), .init("decode_errors", .integer(decodeErrors)),
          .init("gaps", .integer(gaps)), .init("resyncs", .integer(resyncs)),
          .init("crossed", .integer(crossed)), .init("ofi_l1_sum", .number(ofiL1Sum)),
          .init("ofi_book_l1_sum", .number(ofiBookL1Sum)), .init("cvd", .number(cvd)),
          .init("r2_10s", .rounded(rSquared10s, 6)), .init("signals", .integer(signals)),
          .init("confirmed", .integer(confirmed)), .init("strong", .integer(strong)),
          .init("guard_reasons", .object(reasons.map { .init($0.name, .integer($0.count)) })),
        ] + extra)
    }
  }

  public var framesTotal = 0
  public var wallSeconds = 0.0
  public var cpuSeconds = 0.0
  public var maxRSSMegabytes = 0.0
  public var signalsSHA256 = ""
  /// In the order they are to be listed.
  public var symbols: [(name: String, summary: Symbol)] = []
  /// Further members, before `symbols`.
  public var extra: [JSONValue.Member] = []

  public init() {}

  /// `nil` when no processor time was measured.
  public var framesPerCPUSecond: Double? { cpuSeconds > 0 ? Double(framesTotal) / cpuSeconds : nil }

  public var json: JSONValue {
    .object(
      [
        .init("frames_total", .integer(framesTotal)), .init("wall_s", .rounded(wallSeconds, 3)),
        .init("cpu_s", .rounded(cpuSeconds, 3)), .init("frames_per_cpu_s", .rounded(framesPerCPUSecond, 0)),
        .init("max_rss_mb", .rounded(maxRSSMegabytes, 1)), .init("signals_sha256", .string(signalsSHA256)),
      ] + extra + [.init("symbols", .object(symbols.map { .init($0.name, $0.summary.json) }))])
  }

  /// Writes `summary.json` into the run's folder.
  public func write(runFolder: String) throws(FileError) {
    try Files.writeAtomically(runFolder + "/summary.json", json.text(pretty: true) + "\n")
  }
}
