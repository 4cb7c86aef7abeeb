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
    public var divergence: DivergenceCounts
    public var gaps: Int
    public var resyncs: Int
    public var reorders: Int
    public var duplicates: Int
    public var crossed: Int
    public var bookOverflows: Int
    public var depthEventsDropped: Int
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
    /// nil when shadow signals are switched off.
    var shadow: ShadowFindings?
  }

  /// The shadow signals' rows and the hash over them.
  public struct Shadow: Equatable, Sendable {
    public var rows: Int
    public var sha256: String
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
  public var sink: SignalSinkSet.Choice
  public var configurationVersion: String
  /// nil when shadow signals are switched off.
  public internal(set) var shadow: Shadow?
  /// Regimes, their changes and the windows they follow from.
  public var strategy: JSONValue
  /// The strongest confirmed signals.
  public internal(set) var topSignals: [TopSignal] = []
  /// What strategy and shadow signals showed, in lines.
  public internal(set) var overview: [String] = []

  init(
    pipeline: borrowing SignalPipeline, usage: ProcessUsage, sinks: SignalSinkSet.Counts,
    signalsSHA256: String,
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
    sink = options.sink
    configurationVersion = options.configurationVersion
    symbols = pipeline.symbolResults()
    strategy = pipeline.strategyJSON
  }

  /// What `weir replay --json` prints and `summary.json` holds.
  public var summary: RunSummary {
    var summary = briefSummary
    for (index, symbol) in symbols.enumerated() {
      guard let shadow = symbol.shadow else { continue }
      summary.symbols[index].summary.extra.append(.init("shadow", shadow.json))
    }
    return summary
  }

  /// Without the symbols' shadow statistics: for the line that a supervisor reads, which has a bound.
  public var briefSummary: RunSummary {
    var summary = RunSummary()
    summary.framesTotal = Int(totals.frames)
    summary.wallSeconds = wallSeconds
    summary.cpuSeconds = cpuSeconds
    summary.maxRSSMegabytes = maxRSSMiB
    summary.signalsSHA256 = signalsSHA256
    summary.symbols = symbols.map { ($0.name, $0.summary) }
    summary.extra = [
      .init("warnings", .array(warnings.map { .string($0) })),
      .init("records_total", .integer(totals.frames + totals.otherRecords)),
      .init("first_recv_ns", .integer(totals.firstReceiveNs)),
      .init("last_recv_ns", .integer(max(0, lastReceiveNs))),
      .init("config_version", .string(configurationVersion)),
      .init("sink", .string(sink.rawValue)),
      .init("generic_frames", .integer(genericFrames)),
      .init("bad_records", .integer(totals.badRecords)),
      .init("sequence_holes", .integer(totals.sequenceHoles)),
      .init("time_reversals", .integer(totals.timeReversals)),
      .init("grid_points_skipped", .integer(totals.gridPointsSkipped)),
      .init("decode_errors_total", .integer(totals.decodeErrors.reduce(0, +))),
      .init("decode_errors_without_symbol", .integer(totals.decodeErrorsWithoutSymbol)),
      .init("decode_error_reasons", decodeErrorReasons),
      .init("strategy", strategy),
      .init(
        "decode_error_samples",
        .array(
          totals.samples.map {
            .object(["seq": .integer($0.sequence), "reason": .string("\($0.reason.name)")])
          })),
      .init(
        "shadow",
        shadow.map { .object(["rows": .integer($0.rows), "sha256": .string($0.sha256)]) } ?? .null),
      .init(
        "tape",
        .object([
          "segments": .integer(tape.segments), "bytes": .integer(tape.bytes),
          "torn_tail_bytes": .integer(tape.tornTailBytes), "overlong_lines": .integer(tape.overlongLines),
          "damaged_segments": .array(tape.damagedSegments.map { .string($0) }),
        ])),
    ]
    return summary
  }

  /// Records of the tape are missing: what was computed covers only the rest.
  public var tapeIsDamaged: Bool { totals.sequenceHoles > 0 || !tape.damagedSegments.isEmpty }

  /// What a reader of the results should know about their input, in sentences.
  public var warnings: [String] {
    var lines: [String] = []
    for segment in tape.damagedSegments {
      lines.append(
        "segment \(segment) is damaged; what lay behind the damage is missing (weir tape verify tells more)")
    }
    if totals.sequenceHoles > 0 { lines.append("the tape's numbering has \(totals.sequenceHoles) holes") }
    if totals.badRecords > 0 {
      lines.append("\(totals.badRecords) lines of the tape are not records and were skipped")
    }
    if tape.overlongLines > 0 {
      lines.append("\(tape.overlongLines) lines beyond the record limit were skipped")
    }
    if tape.tornTailBytes > 0 {
      lines.append(
        "the tape ends in \(tape.tornTailBytes) bytes of an unfinished record, which were left out")
    }
    let errors = totals.decodeErrors.reduce(0, +)
    if errors > 0 {
      let reasons = (decodeErrorReasons.members ?? []).map { "\($0.key) \($0.value.text ?? "")" }
      lines.append(
        "\(errors) frames could not be decoded and were skipped: \(reasons.joined(separator: ", "))")
    }
    for symbol in symbols where symbol.counts.depthEvents > 0 && !symbol.bookIsSynchronized {
      lines.append("the book of \(symbol.name) is out of sync at the end")
    }
    return lines
  }

  private var decodeErrorReasons: JSONValue {
    .object(
      DecodeError.allCases.compactMap { reason in
        let count = totals.decodeErrors[Int(reason.rawValue)]
        return count == 0 ? nil : JSONValue.Member("\(reason.name)", .integer(count))
      })
  }

  /// What the daily reports say of the input; the same for every replay of a tape.
  var reportFacts: JSONValue {
    .object([
      "config_version": .string(configurationVersion),
      "first_recv": .string(UTCDate(UnixNanos(totals.firstReceiveNs)).isoText),
      "last_recv": .string(UTCDate(UnixNanos(max(0, lastReceiveNs))).isoText),
      "signals_sha256": .string(signalsSHA256),
    ])
  }

  /// Per symbol, what became of its frames. The same with and without shadow signals.
  var reportData: JSONValue {
    .object(symbols.map { JSONValue.Member($0.name, $0.summary.json) })
  }
}

extension ReplayResult.Symbol {
  var summary: RunSummary.Symbol {
    var summary = RunSummary.Symbol()
    summary.frames = Int(counts.frames)
    summary.depthEvents = Int(counts.depthEvents)
    summary.bookTickerEvents = Int(counts.bookTickerEvents)
    summary.trades = Int(counts.trades)
    summary.tradesExcluded = Int(counts.tradesExcluded)
    summary.decodeErrors = Int(counts.decodeErrors)
    summary.gaps = gaps
    summary.resyncs = resyncs
    summary.crossed = crossed
    summary.ofiL1Sum = ofiLevelOne.text ?? "0"
    summary.ofiBookL1Sum = ofiBookLevelOne.text ?? "0"
    summary.cvd = cvd.text ?? "0"
    summary.rSquared10s = r2
    summary.signals = Int(counts.signals)
    summary.confirmed = Int(counts.confirmed)
    summary.strong = Int(counts.strong)
    summary.guardReasons = counts.guardReasons.map { Int($0) }
    summary.extra = [
      .init("level_updates", .integer(counts.levelUpdates)),
      .init("trades_missing", .integer(tradesMissing)),
      .init("trades_of_other_stream", .integer(counts.tradesOfOtherStream)),
      .init("trade_duplicates", .integer(tradeDuplicates)),
      .init("snapshots", .integer(snapshots)),
      .init("snapshots_too_old", .integer(snapshotsTooOld)),
      .init("reorders", .integer(reorders)),
      .init("duplicates", .integer(duplicates)),
      .init("book_overflows", .integer(bookOverflows)),
      .init("depth_events_dropped", .integer(depthEventsDropped)),
      .init("book_in_sync", .bool(bookIsSynchronized)),
      .init("last_u", lastUpdateID.map { .integer($0) } ?? .null),
      .init(
        "scenarios",
        .object(Scenario.cells.map { .init("\($0.name)", .integer(counts.scenarios[Int($0.rawValue)])) })),
      .init("divergence", divergence.json),
    ]
    return summary
  }
}

extension SignalPipeline {
  /// What has been found of each symbol so far, in order of first appearance.
  func symbolResults() -> [ReplayResult.Symbol] {
    states.map { state in
      let scale = decoder.instruments[state.pointee.symbol]?.quantityScale ?? DecimalScale(0)
      return ReplayResult.Symbol(
        name: symbols[state.pointee.symbol], counts: state.pointee.counts,
        divergence: state.pointee.flow.divergenceCounts, gaps: state.pointee.book.holes,
        resyncs: state.pointee.book.resyncs, reorders: state.pointee.book.reorders,
        duplicates: state.pointee.book.duplicates + Int(state.pointee.counts.tickersRepeated),
        crossed: state.pointee.book.crossed, bookOverflows: state.pointee.book.overflows,
        depthEventsDropped: state.pointee.book.eventsDropped, snapshots: state.pointee.book.snapshots,
        snapshotsTooOld: state.pointee.book.snapshotsTooOld, tradesMissing: state.pointee.trades.missing,
        tradeDuplicates: state.pointee.trades.duplicates,
        bookIsSynchronized: state.pointee.book.isSynchronized,
        lastUpdateID: state.pointee.book.sync.lastUpdateID,
        ofiLevelOne: .decimal(state.pointee.flow.tickerImbalance, scale),
        ofiBookLevelOne: .decimal(state.pointee.flow.bookImbalance, scale),
        cvd: .decimal(state.pointee.flow.cvd.total, scale), r2: state.pointee.flow.impact.squaredCorrelation,
        shadow: shadowFindings(state.pointee.symbol.index))
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
            "bids": side(state.pointee.book.book.bids.levels()),
            "asks": side(state.pointee.book.book.asks.levels()),
          ]))
      })
  }
}

extension DivergenceCounts {
  /// `{samples, events{kind}, channels{name}, rate}`; a kind or channel that has not occurred is 0.
  var json: JSONValue {
    let kinds = DivergenceKind.allCases.filter { $0 != .none }
    return .object([
      "samples": .integer(samples),
      "events": .object(kinds.map { JSONValue.Member("\($0.name)", .integer(events[Int($0.rawValue)])) }),
      "channels": .object([
        "ofi": .integer(channels[0]), "cvd": .integer(channels[1]), "fusion": .integer(channels[2]),
      ]),
      "rate": rate.map { .rounded($0, 6) } ?? .null,
    ])
  }
}
