import Core
import Evaluation
import Flow
import Store
import Strategy
import Tape

/// A run's stored rows with the prices of its tape, and whether the rows are causal: what an evaluation
/// starts from.
///
/// **Problem.** An evaluation compares what rows said with what prices did afterwards. Both must be on one
/// grid of time with no doubt about which came first, and the rows must be what the signal stage could know.
///
/// **Why the obvious answer fails.** Prices taken from the rows themselves are missing where no row was made
/// (throttling, a degraded system), exactly when something happens. Prices made by another reader of the tape
/// differ in which record they count before a moment: half a step of look-ahead, enough for a false edge.
///
/// **Algorithm.** One pass of the signal pipeline over the tape, under the run's own configuration, gives
/// both: its quotes at the row grid (``SignalPipeline/tapQuotes()``), each the last before its point, and the
/// rows again, which are compared with the stored ones (``RowAudit``). What is evaluated are the stored rows.
///
/// A price is NaN where nobody could have traded at it: before a symbol's first quote, while its book is out
/// of sync and no ticker is there, while snapshots stand in for the stream, and in silences that have no
/// rows.
///
/// **Bounds.** 100 bytes a row with one grid row a point (``EvaluatedSymbol``), at most
/// ``StoredRows/rowsMax`` rows and
/// ``pricesMax`` grid points over all symbols; the tape is read in blocks.
public struct EvaluationInput: Sendable {
  /// By symbol, in order of first appearance.
  public var series: [EvaluationSeries]
  public var audit: LeakAudit
  /// The input in numbers: what was read, under which configuration.
  public var facts: JSONValue

  /// Grid points over all symbols; 1.6 GB.
  static let pricesMax = 64 << 20

  /// Reads a run's rows and its tape.
  ///
  /// - Parameters:
  ///   - tape: the one the rows were made of; it may go on behind them.
  ///   - configuration: for runs whose folder has no `config.yaml`.
  ///   - shiftFeatures: each row's features are replaced by those of the symbol's row so many places later,
  ///     before anything else. Other than 0 it makes a leak for the audit to find.
  ///   - progress: called with the records processed, about once a block.
  /// - Throws: ``EvaluationError``, and what the readers of rows, tape and configuration throw.
  /// - Complexity: O(records + rows); one replay of the tape.
  public static func load(
    runFolder: String, tape: String, configuration: WeirConfiguration, shiftFeatures: Int = 0,
    progress: (Int64) -> Void = { _ in }
  ) throws -> EvaluationInput {
    let shift = max(-StoredRows.rowsMax, min(StoredRows.rowsMax, shiftFeatures))
    let rows = try StoredRows(runFolder: runFolder, shiftFeatures: shift)
    let source = try RunSource(runFolder: runFolder, otherwise: configuration)
    var reader = try TapeReader(folder: tape)
    guard let firstBlock = try reader.nextBlock() else { throw EvaluationError.emptyTape(tape) }
    try source.check(tape: tape, firstBlock: firstBlock)
    var replay = EvaluationReplay(rows, source.configuration)
    var block: UnsafeRawBufferPointer? = firstBlock
    while let records = block {
      try replay.process(records, tape)
      progress(replay.pipeline.totals.lastSequence)
      block = try reader.nextBlock()
    }
    return replay.finish(source, reader.report, shiftFeatures: shift)
  }
}

/// The pass over the tape: prices and comparison.
private struct EvaluationReplay: ~Copyable {
  private(set) var pipeline: SignalPipeline
  private var stored: StoredRows
  /// Where a symbol of the pipeline stands among the stored rows.
  private var places: [Int] = []
  private var firstDifference: FirstDifference?
  private let stepNs: Int64
  private var pricesCount = 0

  init(_ rows: consuming StoredRows, _ configuration: WeirConfiguration) {
    pipeline = SignalPipeline(configuration.signal, instruments: configuration.instrumentTable)
    pipeline.tapQuotes()
    stored = rows
    stepNs = Int64(configuration.signal.flow.rowIntervalMs) * Nanoseconds.millisecond
  }

  /// The first grid point behind the tape's first record.
  private var startNs: Int64 { (pipeline.totals.firstReceiveNs / stepNs + 1) * stepNs }
  private var pointCount: Int {
    pipeline.nextGridNs == .max ? 0 : Int((pipeline.nextGridNs - startNs) / stepNs)
  }

  mutating func process(_ block: UnsafeRawBufferPointer, _ tape: String) throws(EvaluationError) {
    var offset = 0
    while offset < block.count {
      offset = pipeline.process(block, from: offset)
      try take(tape)
    }
  }

  private mutating func take(_ tape: String) throws(EvaluationError) {
    let symbols = pipeline.symbols
    while places.count < symbols.count { places.append(stored.place(of: symbols[SymbolID(places.count)])) }
    guard pointCount <= EvaluationInput.pricesMax / max(1, symbols.count) else {
      throw .tooManyPrices(tape, pricesMax: EvaluationInput.pricesMax)
    }
    for entry in pipeline.tappedQuotes {
      guard let scale = pipeline.decoder.instruments[entry.symbol]?.priceScale else { continue }
      stored[places[entry.symbol.index]].prices.append(
        entry.quote, scale, at: Int((entry.timeNs - startNs) / stepNs))
    }
    pipeline.removeQuotes()
    for row in pipeline.rows where !row.trigger.isShadow {
      let place = places[row.symbol.index]
      if let differing = stored[place].compare(row), firstDifference == nil {
        firstDifference = FirstDifference(
          symbol: stored[place].name, stored[place].rows[differing], RowFeatures(row))
      }
    }
    pipeline.removeRows()
  }

  /// Ends the pass: series, verdict and facts.
  consuming func finish(_ source: RunSource, _ tape: TapeReadReport, shiftFeatures: Int) -> EvaluationInput {
    let startNs = startNs
    let count = pointCount
    var audits: [RowAudit] = []
    var profiles: [LookAheadProfile] = []
    var series: [EvaluationSeries] = []
    for place in stored.symbols.indices {
      stored[place].finishComparing()
      stored[place].prices.fill(to: count)
      audits.append(RowAudit(stored[place], shift: shiftFeatures))
      profiles.append(LookAheadProfile(stored[place], startNs: startNs, stepNs: stepNs))
      series.append(stored[place].takeSeries(startNs: startNs, stepNs: stepNs))
    }
    let audit = LeakAudit(
      audits, profiles, firstDifference: firstDifference, source: source, stepNs: stepNs)
    let facts: JSONValue = .object([
      "source": .string(stored.source.rawValue), "rows": .integer(stored.rowCount),
      "rows_unreadable": .integer(stored.rowsUnreadable), "shift_features": .integer(shiftFeatures),
      "frames": .integer(pipeline.totals.frames), "first_recv_ns": .integer(pipeline.totals.firstReceiveNs),
      "last_recv_ns": .integer(max(0, pipeline.receiveNs)), "grid_points": .integer(count),
      "grid_points_skipped": .integer(pipeline.totals.gridPointsSkipped),
      "step_ms": .integer(stepNs / Nanoseconds.millisecond),
      "tape_damaged_segments": .array(tape.damagedSegments.map { .string($0) }),
      "tape_sequence_holes": .integer(pipeline.totals.sequenceHoles), "configuration": source.json,
    ])
    return EvaluationInput(series: series, audit: audit, facts: facts)
  }
}
