import Binance
import Core
import Report
import Store
import Strategy
import Tape

/// One run of the signal stage: the pipeline, and the sinks its rows go to. What a replay and the live
/// service share.
struct SignalRun: ~Copyable {
  var pipeline: SignalPipeline
  var sinks: SignalSinkSet
  /// For shadow rows; nil when they are switched off.
  var shadowSinks: SignalSinkSet?
  /// Shadow rows were written since the last flush.
  private var shadowIsDirty = false
  private let lock: SignalLock

  /// A run from the beginning of a tape.
  init(_ options: ReplayOptions, _ lock: SignalLock) throws {
    let main = try SignalRun.newSinks(options, options.out)
    let shadow = try SignalRun.newShadowSinks(options)
    // All at once, after the last throw: a value that cannot be copied cannot be left half made.
    self.lock = lock
    pipeline = SignalRun.newPipeline(options)
    sinks = main
    shadowSinks = shadow
  }

  private static func newShadowSinks(_ options: ReplayOptions) throws -> SignalSinkSet? {
    guard options.configuration.signal.shadow.isEnabled else { return nil }
    return try newSinks(options, ShadowFiles.folder(options.out))
  }

  private static func newSinks(_ options: ReplayOptions, _ folder: String) throws -> SignalSinkSet {
    try SignalSinkSet(
      options.sink, runFolder: folder, context: SignalRun.context(options),
      options: options.configuration.sinkOptions)
  }

  init(
    pipeline: consuming SignalPipeline, sinks: consuming SignalSinkSet,
    shadowSinks: consuming SignalSinkSet?, _ lock: SignalLock
  ) {
    self.lock = lock
    self.pipeline = pipeline
    self.sinks = sinks
    self.shadowSinks = shadowSinks
  }

  static func newPipeline(_ options: ReplayOptions) -> SignalPipeline {
    SignalPipeline(options.configuration.signal, instruments: options.configuration.instrumentTable)
  }

  static func context(_ options: ReplayOptions) -> SignalContext {
    SignalContext(configVersion: options.configurationVersion)
  }

  /// Takes a block of whole records and writes the rows it gives.
  ///
  /// - Parameter taking: is handed each batch of rows, after they were written.
  mutating func process(
    _ block: UnsafeRawBufferPointer, _ taking: (_ rows: [Signal], _ symbols: SymbolTable) throws -> Void
  ) throws {
    var offset = 0
    while offset < block.count {
      offset = pipeline.process(block, from: offset)
      if pipeline.rows.isEmpty { continue }
      let symbols = pipeline.symbols
      sinks.register(symbols)
      for row in pipeline.rows { try sinks.append(row) }
      if !pipeline.shadowRows.isEmpty {
        shadowSinks?.register(symbols)
        for row in pipeline.shadowRows { try shadowSinks?.append(row) }
        shadowIsDirty = true
      }
      try taking(pipeline.rows, symbols)
      pipeline.removeRows()
    }
  }

  /// Makes all rows so far readable. Shadow rows are rare: without new ones their files are left alone.
  mutating func flush() throws(SignalStoreError) {
    try sinks.flush()
    if shadowIsDirty { try shadowSinks?.flush() }
    shadowIsDirty = false
  }

  /// Ends the sinks' files and writes the final books where they are wanted.
  mutating func finish(_ options: ReplayOptions, usage: ProcessUsage, tape: TapeReadReport) throws
    -> ReplayResult
  {
    try sinks.finish()
    try shadowSinks?.finish()
    if let path = options.finalBooks { try Files.writeAtomically(path, pipeline.finalBooks().text() + "\n") }
    var result = ReplayResult(
      pipeline: pipeline, usage: usage, sinks: sinks.counts, signalsSHA256: sinks.signalsSHA256(), tape: tape,
      options: options)
    if let rows = shadowSinks?.counts.rowsAppended, let hash = shadowSinks?.signalsSHA256() {
      result.shadow = .init(rows: rows, sha256: hash)
    }
    return result
  }
}

extension ReplayResult {
  /// Writes the reports of the days that are held, with the run's totals, and keeps the strongest signals.
  mutating func writeReports(of report: ReportAccumulator, runFolder: String) throws {
    for day in report.days {
      try DailyReport(
        day: day, symbols: report.symbols, options: report.options, facts: reportFacts, data: reportData
      ).write(runFolder: runFolder)
    }
    topSignals = report.topSignals(countMax: 10)
    overview =
      report.overview
      + symbols.compactMap { symbol in symbol.shadow.map { "shadow \(symbol.name): \($0.text)" } }
  }
}
