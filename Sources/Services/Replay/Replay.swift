import Binance
import Core
import Glibc
import Report
import Store
import Strategy
import Tape

/// What a replay is asked to do.
public struct ReplayOptions: Sendable {
  public var tape: String
  public var out: String
  public var sink: SignalSinkSet.Choice
  /// Tape seconds per second; nil: as fast as possible.
  public var speed: Double?
  public var finalBooks: String?
  public var configuration: WeirConfiguration
  public var configurationVersion: String

  public init(
    tape: String, out: String, sink: SignalSinkSet.Choice, speed: Double? = nil, finalBooks: String? = nil,
    configuration: WeirConfiguration, configurationVersion: String
  ) {
    self.tape = tape
    self.out = out
    self.sink = sink
    self.speed = speed
    self.finalBooks = finalBooks
    self.configuration = configuration
    self.configurationVersion = configurationVersion
  }
}

/// Why a replay ended early.
public enum ReplayError: Error, Equatable, CustomStringConvertible {
  case emptyTape(String)
  case outputInUse(String)
  case otherRun(String)

  public var description: String {
    switch self {
    case .emptyTape(let path):
      "\(path) holds no tape; make one with 'weir import' or 'weir venue generate'"
    case .outputInUse(let path):
      "\(path) already holds a run; choose another folder with --out, or remove it"
    case .otherRun(let path):
      "\(path) holds an interrupted run of another tape, configuration or sink; choose another folder with --out, "
        + "or remove it"
    }
  }
}

/// Tape → signals → sinks, report and summary: the shell around ``SignalPipeline``.
public enum Replay {
  /// - Parameters:
  ///   - follower: waits for the tape to grow; without one the run ends with the tape.
  ///   - progress: called with the records processed, about once a block.
  public static func run(
    _ options: ReplayOptions, following follower: TapeFollower? = nil, progress: (Int64) -> Void = { _ in }
  ) throws -> ReplayResult {
    let started = ProcessUsage.now()
    let configuration = options.configuration
    let reportOptions = try configuration.reportOptions()
    if Files.exists(options.out + "/summary.json") { throw ReplayError.outputInUse(options.out) }
    if let follower {
      guard follower.waitForFolder() else { throw ReplayError.emptyTape(options.tape) }
      try follower.beginWatching()
    }
    var reader = try TapeReader(folder: options.tape)
    guard let firstBlock = try nextBlock(&reader, follower, whenIdle: {}) else {
      throw ReplayError.emptyTape(options.tape)
    }
    try Files.makeFolder(options.out)
    try claim(options, firstBlock)

    var pipeline = SignalPipeline(configuration.signal, instruments: configuration.instrumentTable)
    var sinks = try SignalSinkSet(
      options.sink, runFolder: options.out,
      context: SignalContext(configVersion: options.configurationVersion), options: configuration.sinkOptions)
    var report = ReportAccumulator(options: reportOptions)
    var pace = Pace(speed: options.speed)
    var block = firstBlock
    while true {
      pace.wait(for: block)
      var offset = 0
      while offset < block.count {
        offset = pipeline.process(block, from: offset)
        if !pipeline.rows.isEmpty {
          sinks.register(pipeline.symbols)
          report.register(pipeline.symbols)
          for row in pipeline.rows {
            try sinks.append(row)
            report.add(row)
          }
          pipeline.removeRows()
        }
      }
      // The accumulator holds a week; the finished days of a longer tape are written as they go.
      if report.days.count > Replay.daysHeldMax {
        for day in report.takeFinishedDays() {
          try DailyReport(day: day, symbols: report.symbols, options: reportOptions).write(
            runFolder: options.out)
        }
      }
      progress(pipeline.totals.lastSequence)
      let next = try nextBlock(&reader, follower) {
        try sinks.flush()
        follower?.hasWritten()
      }
      guard let next else { break }
      block = next
    }
    try sinks.finish()
    if let path = options.finalBooks { try Files.writeAtomically(path, pipeline.finalBooks().text() + "\n") }
    let usage = ProcessUsage.now() - started
    var result = ReplayResult(
      pipeline: pipeline, usage: usage, sinks: sinks.counts, signalsSHA256: sinks.signalsSHA256(),
      tape: reader.report, options: options)
    for day in report.days {
      try DailyReport(
        day: day, symbols: report.symbols, options: reportOptions, facts: result.reportFacts,
        data: result.reportData
      ).write(runFolder: options.out)
    }
    result.topSignals = report.topSignals(countMax: 10)
    try result.summary.write(runFolder: options.out)
    return result
  }

  /// The next block, waited for where the tape is followed; nil at the end.
  ///
  /// - Parameter idle: called before waiting.
  private static func nextBlock(
    _ reader: inout TapeReader, _ follower: TapeFollower?, whenIdle idle: () throws -> Void
  ) throws -> UnsafeRawBufferPointer? {
    var isLast = false
    while true {
      if let block = try reader.nextBlock() {
        follower?.hasRead(block)
        return block
      }
      guard let follower, !isLast else { return nil }
      try idle()
      isLast = try !follower.waitForGrowth()
      try reader.refresh()
    }
  }

  /// Notes what the folder's rows are made of. An interrupted run is continued only by the same.
  private static func claim(_ options: ReplayOptions, _ block: UnsafeRawBufferPointer) throws {
    let path = options.out + "/replay.json"
    let line = block.prefix { $0 != 0x0A }
    let first = TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: line))
    let identity: JSONValue = .object([
      "config_version": .string(options.configurationVersion), "sink": .string(options.sink.rawValue),
      "first_seq": .integer(first?.sequence ?? 0),
      "first_recv_ns": .integer(first?.receiveTime.rawValue ?? 0),
    ])
    if Files.exists(path) {
      let found = try Files.read(path).withUnsafeBytes { try? JSONValue(parsing: $0) }
      guard found == identity else { throw ReplayError.otherRun(options.out) }
    } else {
      try Files.writeAtomically(path, identity.text() + "\n")
    }
  }

  /// Days kept until the end, so that their reports can give the run's totals.
  private static let daysHeldMax = 7
}

/// Keeps a replay at a multiple of tape time. It only waits; what is computed does not depend on it.
private struct Pace {
  private let speed: Double?
  private var startedNs: Int64?
  private var firstTapeNs: Int64 = 0

  init(speed: Double?) { self.speed = speed }

  /// Waits until the first record of a block is due.
  mutating func wait(for block: UnsafeRawBufferPointer) {
    guard let speed, let header = RecordHeader(scanning: block.baseAddress!, 0) else { return }
    guard let startedNs else {
      startedNs = ProcessUsage.monotonicNs()
      firstTapeNs = header.receiveNs
      return
    }
    // Bounded, because a slow speed on a long tape leaves Int64.
    let dueNs = startedNs + Int64(min(4e18, Double(header.receiveNs - firstTapeNs) / speed))
    while true {
      let remaining = dueNs - ProcessUsage.monotonicNs()
      if remaining <= 0 { return }
      var time = timespec(tv_sec: Int(remaining / 1_000_000_000), tv_nsec: Int(remaining % 1_000_000_000))
      nanosleep(&time, nil)
    }
  }
}
