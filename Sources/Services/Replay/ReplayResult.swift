import Binance
import Core
import Flow
import Report
import Store
import Strategy
import Tape

/// What a replay found, in numbers.
public struct ReplayResult: Sendable {
  public struct Symbol: Sendable {
    public var name: String
    public var counts: SymbolCounts
    public var gaps: Int
    public var resyncs: Int
    public var reorders: Int
    public var duplicates: Int
    public var crossed: Int
    public var snapshots: Int
    public var snapshotsTooOld: Int
    public var tradesMissing: Int64
    public var tradeDuplicates: Int
    public var bookIsSynchronized: Bool
    public var lastUpdateID: Int64?
    /// Exact decimals as JSON numbers.
    public var ofiLevelOne: JSONValue
    public var ofiBookLevelOne: JSONValue
    public var cvd: JSONValue
    public var r2: Double?
  }

  public var totals: PipelineTotals
  public var genericFrames: Int64
  public var symbols: [Symbol]
  public var wallSeconds: Double
  public var cpuSeconds: Double
  public var maxRSSMiB: Double
  public var sinks: SignalSinkSet.Counts
  public var signalsSHA256: String
  public var tape: TapeReadReport
  public var lastReceiveNs: Int64
  let options: ReplayOptions

  init(
    pipeline: borrowing SignalPipeline, usage: ProcessUsage, sinks: SignalSinkSet.Counts, signalsSHA256: String,
    tape: TapeReadReport, options: ReplayOptions
  ) {
    totals = pipeline.totals
    genericFrames = pipeline.decoder.genericFrames
    lastReceiveNs = pipeline.receiveNs
    wallSeconds = usage.wallSeconds
    cpuSeconds = usage.cpuSeconds
    maxRSSMiB = usage.maxRSSMiB
    self.sinks = sinks
    self.signalsSHA256 = signalsSHA256
    self.tape = tape
    self.options = options
    symbols = pipeline.symbolResults()
  }

  public var framesPerCPUSecond: Double { cpuSeconds > 0 ? Double(totals.frames) / cpuSeconds : 0 }

  /// The contract of `weir replay --json` and of `summary.json`.
  public var json: JSONValue {
    .object([
      "frames_total": .integer(totals.frames),
      "wall_s": .rounded(wallSeconds, 6),
      "cpu_s": .rounded(cpuSeconds, 6),
      "frames_per_cpu_s": .rounded(framesPerCPUSecond, 0),
      "max_rss_mb": .rounded(maxRSSMiB, 1),
      "signals_sha256": .string(signalsSHA256),
      "records_total": .integer(totals.frames + totals.otherRecords),
      "first_recv_ns": .integer(totals.firstReceiveNs),
      "last_recv_ns": .integer(max(0, lastReceiveNs)),
      "config_version": .string(options.configurationVersion),
      "sink": .string(options.sink.rawValue),
      "generic_frames": .integer(genericFrames),
      "bad_records": .integer(totals.badRecords),
      "sequence_holes": .integer(totals.sequenceHoles),
      "grid_points_skipped": .integer(totals.gridPointsSkipped),
      "decode_errors_total": .integer(totals.decodeErrors.reduce(0, +)),
      "decode_errors_without_symbol": .integer(totals.decodeErrorsWithoutSymbol),
      "decode_error_reasons": decodeErrorReasons,
      "decode_error_samples": .array(
        totals.samples.map {
          .object(["seq": .integer($0.sequence), "reason": .string("\($0.reason.name)")])
        }),
      "tape": .object([
        "segments": .integer(tape.segments), "bytes": .integer(tape.bytes),
        "torn_tail_bytes": .integer(tape.tornTailBytes), "overlong_lines": .integer(tape.overlongLines),
        "damaged_segments": .array(tape.damagedSegments.map { .string($0) }),
      ]),
      "symbols": .object(symbols.map { JSONValue.Member($0.name, ReplayResult.json($0)) }),
    ])
  }

  private var decodeErrorReasons: JSONValue {
    .object(
      DecodeError.allCases.compactMap { reason in
        let count = totals.decodeErrors[Int(reason.rawValue)]
        return count == 0 ? nil : JSONValue.Member("\(reason.name)", .integer(count))
      })
  }

  private static func json(_ symbol: Symbol) -> JSONValue {
    let counts = symbol.counts
    let reasons = Signal.GuardReason.allCases.compactMap { reason -> JSONValue.Member? in
      let count = counts.guardReasons[Int(reason.rawValue)]
      return reason == .none || count == 0 ? nil : JSONValue.Member("\(reason.name)", .integer(count))
    }
    return .object([
      "frames": .integer(counts.frames),
      "depth_events": .integer(counts.depthEvents),
      "level_updates": .integer(counts.levelUpdates),
      "book_ticker_events": .integer(counts.bookTickerEvents),
      "trades": .integer(counts.trades),
      "trades_excluded": .integer(counts.tradesExcluded),
      "trades_missing": .integer(symbol.tradesMissing),
      "trades_of_other_stream": .integer(counts.tradesOfOtherStream),
      "trade_duplicates": .integer(symbol.tradeDuplicates),
      "decode_errors": .integer(counts.decodeErrors),
      "snapshots": .integer(symbol.snapshots),
      "snapshots_too_old": .integer(symbol.snapshotsTooOld),
      "gaps": .integer(symbol.gaps),
      "resyncs": .integer(symbol.resyncs),
      "reorders": .integer(symbol.reorders),
      "duplicates": .integer(symbol.duplicates),
      "crossed": .integer(symbol.crossed),
      "book_in_sync": .bool(symbol.bookIsSynchronized),
      "last_u": symbol.lastUpdateID.map { .integer($0) } ?? .null,
      "ofi_l1_sum": symbol.ofiLevelOne,
      "ofi_book_l1_sum": symbol.ofiBookLevelOne,
      "cvd": symbol.cvd,
      "r2_10s": .rounded(symbol.r2, 6),
      "signals": .integer(counts.signals),
      "confirmed": .integer(counts.confirmed),
      "strong": .integer(counts.strong),
      "guard_reasons": .object(reasons),
    ])
  }

  /// Writes `summary.json` and the daily reports.
  func write(report: ReportAccumulator, to folder: String) throws {
    try Files.writeAtomically(folder + "/summary.json", json.text(pretty: true) + "\n")
  }
}

extension SignalPipeline {
  /// What has been found of each symbol so far, in order of first appearance.
  func symbolResults() -> [ReplayResult.Symbol] {
    states.map { state in
      let scale = decoder.instruments[state.pointee.symbol]?.quantityScale ?? DecimalScale(0)
      return ReplayResult.Symbol(
        name: symbols[state.pointee.symbol], counts: state.pointee.counts, gaps: state.pointee.book.holes,
        resyncs: state.pointee.book.resyncs, reorders: state.pointee.book.reorders,
        duplicates: state.pointee.book.duplicates + Int(state.pointee.counts.tickersRepeated),
        crossed: state.pointee.book.crossed, snapshots: state.pointee.book.snapshots,
        snapshotsTooOld: state.pointee.book.snapshotsTooOld, tradesMissing: state.pointee.trades.missing,
        tradeDuplicates: state.pointee.trades.duplicates, bookIsSynchronized: state.pointee.book.isSynchronized,
        lastUpdateID: state.pointee.book.sync.lastUpdateID,
        ofiLevelOne: .decimal(state.pointee.flow.tickerImbalance, scale),
        ofiBookLevelOne: .decimal(state.pointee.flow.bookImbalance, scale),
        cvd: .decimal(state.pointee.flow.cvd.total, scale), r2: state.pointee.flow.impact.squaredCorrelation)
    }
  }

  /// `{SYM:{bids:[[p,q]…],asks:…}}`: all levels, best first, decimals as on the wire.
  public func finalBooks() -> JSONValue {
    .object(
      states.map { state in
        let instrument = decoder.instruments[state.pointee.symbol]
        let price = instrument?.priceScale ?? DecimalScale(0)
        let quantity = instrument?.quantityScale ?? DecimalScale(0)
        func side(_ levels: [(price: Int64, quantity: Int64)]) -> JSONValue {
          .array(levels.map { .array([.string(price.text($0.price)), .string(quantity.text($0.quantity))]) })
        }
        return JSONValue.Member(
          symbols[state.pointee.symbol],
          .object([
            "bids": side(state.pointee.book.book.bids.levels()), "asks": side(state.pointee.book.book.asks.levels()),
          ]))
      })
  }
}
