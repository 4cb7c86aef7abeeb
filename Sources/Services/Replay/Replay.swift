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
  /// The merged configuration as YAML, without secrets, to be kept in the run's folder; nil: not kept.
  public var configurationText: String?

  public init(
    tape: String, out: String, sink: SignalSinkSet.Choice, speed: Double? = nil, finalBooks: String? = nil,
    configuration: WeirConfiguration, configurationVersion: String, configurationText: String? = nil
  ) {
    self.tape = tape
    self.out = out
    self.sink = sink
    self.speed = speed
    self.finalBooks = finalBooks
    self.configuration = configuration
    self.configurationVersion = configurationVersion
    self.configurationText = configurationText
  }
}

/// Why a replay ended early.
public enum ReplayError: Error, Equatable, CustomStringConvertible {
  case emptyTape(String)
  case outputInUse(String)
  case otherRun(String)
  case runIsWritten(String)

  public var description: String {
    switch self {
    case .emptyTape(let path):
      "\(path) holds no tape; make one with 'weir import' or 'weir venue generate'"
    case .outputInUse(let path):
      "\(path) already holds a run; choose another folder with --out, or remove it"
    case .otherRun(let path):
      "\(path) holds an interrupted run of another tape, configuration or sink; choose another folder with --out, "
        + "or remove it"
    case .runIsWritten(let path):
      "another process is writing signals to \(path); stop that one or choose another folder with --out"
    }
  }
}

/// Tape → signals → sinks, report and summary: the shell around ``SignalPipeline`` for a tape that is whole.
public enum Replay {
  /// - Parameter progress: called with the records processed, about once a block.
  public static func run(
    _ options: ReplayOptions, progress: (Int64) -> Void = { _ in }
  ) throws -> ReplayResult {
    let started = ProcessUsage.now()
    let reportOptions = try options.configuration.reportOptions()
    if Files.exists(options.out + "/summary.json") { throw ReplayError.outputInUse(options.out) }
    var reader = try TapeReader(folder: options.tape)
    guard let firstBlock = try reader.nextBlock() else { throw ReplayError.emptyTape(options.tape) }
    let lock = try SignalLock(options.out)
    try RunIdentity(options, firstBlock).claim(options.out)
    try options.keepConfiguration()

    var run = try SignalRun(options, lock)
    var report = ReportAccumulator(options: reportOptions)
    var pace = Pace(speed: options.speed)
    var block = firstBlock
    while true {
      pace.wait(for: block)
      try run.process(block) { rows, symbols in
        report.register(symbols)
        for row in rows { report.add(row) }
      }
      try writeFinishedDays(of: &report, options)
      progress(run.pipeline.totals.lastSequence)
      guard let next = try reader.nextBlock() else { break }
      block = next
    }
    var result = try run.finish(options, usage: ProcessUsage.now() - started, tape: reader.report)
    try result.writeReports(of: report, runFolder: options.out)
    try result.summary.write(runFolder: options.out)
    return result
  }

  /// The accumulator holds a week; the finished days of a longer tape are written as they go.
  static func writeFinishedDays(of report: inout ReportAccumulator, _ options: ReplayOptions) throws {
    guard report.days.count > Replay.daysHeldMax else { return }
    for day in report.takeFinishedDays() {
      try DailyReport(day: day, symbols: report.symbols, options: report.options).write(
        runFolder: options.out)
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
