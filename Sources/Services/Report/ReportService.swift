import Core
import Report
import Store
import Telemetry

/// What a report service is asked to do.
public struct ReportServiceOptions: Sendable {
  public var runFolder: String
  /// The first one's reports are also the run's own.
  public var sources: [SignalFeed.Source]
  public var follow: FollowOptions
  public var configuration: WeirConfiguration
  /// Converted tables of the market; nil for a report without them.
  public var dataFolder: String?

  public init(
    runFolder: String, sources: [SignalFeed.Source], follow: FollowOptions = FollowOptions(),
    configuration: WeirConfiguration, dataFolder: String? = nil
  ) {
    self.runFolder = runFolder
    self.sources = sources
    self.follow = follow
    self.configuration = configuration
    self.dataFolder = dataFolder
  }
}

/// The daily reports of a run, kept up to date while it goes on.
///
/// Rows are read back from each sink as they are written and summed up once. Every minute the days that are
/// not over are written anew, whole; a day that is over is written once, and a restart begins behind it. For
/// the rest a restart reads the rows again: the reports depend on the rows alone, so nothing needs to be
/// kept. The member `run` is what the supervisor knows (``runSection(status:seconds:)``).
public final class ReportService: SignalConsumer {
  private let options: ReportServiceOptions
  private let follower: SignalFollower
  private let lock: FolderLock
  private let sinks: [SinkReport]
  private let registry = MetricRegistry()
  private let rowsRead: Counter
  private let writes: Counter
  private let writeDuration: Histogram
  private static let turnSteps = 256

  /// - Throws: `FolderLock.Held` when another process reports on the run, `FileError`, an unknown time zone
  public init(_ options: ReportServiceOptions) throws {
    self.options = options
    follower = try SignalFollower(options.follow)
    let folder = options.runFolder + "/reports"
    try Files.makeFolder(folder)
    lock = try FolderLock(folder)
    let reportOptions = try options.configuration.reportOptions()
    let market = options.dataFolder.map { MarketSection(folder: $0) }
    sinks = options.sources.enumerated().map { index, source in
      SinkReport(
        runFolder: options.runFolder, source: source, isFirst: index == 0, options: reportOptions,
        resumes: !options.follow.isOnce, market: market)
    }
    rowsRead = registry.counter("weir_report_rows_read_total", "Signal rows read, over all sinks.")
    writes = registry.counter("weir_report_writes_total", "Daily reports written.")
    writeDuration = registry.histogram(
      "weir_report_write_duration_ms", "Writing all reports that are not finished.",
      buckets: MetricBuckets.latencyMilliseconds)
  }

  /// Reports until it is told to stop, and then once more.
  ///
  /// - Parameter print: says a line of JSON where there is no supervisor.
  public func run(print: @escaping (JSONValue) -> Void) throws {
    follower.every(Int64(options.configuration.reportIntervalSeconds) * Nanoseconds.second) {
      [unowned self] in try write()
    }
    try follower.run(
      self, runFolder: options.runFolder, sources: options.sources,
      ready: [.init("sinks", .array(options.sources.map { .string($0.rawValue) }))], print: print)
    try write()
    follower.say(options.follow.isSupervised ? .object(["summary": summary]) : summary, print)
  }

  func consume(rowsMax: Int, isLast: Bool) throws -> Int {
    var taken = 0
    while taken < rowsMax {
      let before = taken
      for sink in sinks { taken += try sink.consume(stepsMax: ReportService.turnSteps, isLast: isLast) }
      if taken == before { break }
    }
    return taken
  }

  private func write() throws {
    let started = ProcessUsage.monotonicNs()
    for sink in sinks { writes.add(Double(try sink.write())) }
    writeDuration.observe(Double(ProcessUsage.monotonicNs() - started) / 1e6)
  }

  // MARK: Telling

  var beat: JSONValue {
    .object([
      "seq": .integer(sinks.first?.rowsRead ?? 0),
      "time_ns": .integer(sinks.first?.newestTime?.rawValue ?? 0), "writes": .integer(Int64(writes.value)),
      "bytes_behind": .integer(sinks.reduce(0) { $0 + $1.bytesBehind }),
    ])
  }

  func writeMetrics(into writer: inout ByteWriter) {
    rowsRead.set(total: Double(sinks.reduce(0) { $0 + $1.rowsRead }))
    registry.write(into: &writer)
  }

  private var summary: JSONValue {
    .object([
      "rows": .integer(sinks.first?.rowsRead ?? 0), "writes": .integer(Int64(writes.value)),
      "sinks": .object(sinks.map { .init($0.source.rawValue, $0.summary) }),
    ])
  }
}
