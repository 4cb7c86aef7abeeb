import Core
import Glibc
import Net
import Parquet
import Tape
import Telemetry

/// Converts each segment of a growing tape once it is sealed, until it is told to stop; then what is sealed
/// by then, and ends.
///
/// One thread: between two blocks of a segment the loop serves its timers, its supervisor and `/metrics`. A
/// new segment is noticed by the time of the tape's folder, looked at once a second: it changes with each
/// file that is made or renamed there, and only then is the folder listed. What fails is told, counted and
/// tried again after a while; a damaged segment is told once and tried again with each change of the folder.
public final class ConvertService {
  private static let lookNs = Nanoseconds.second
  private static let retryNs = 30 * Nanoseconds.second
  private static let turnNs = 10 * Nanoseconds.millisecond

  private let options: ConvertOptions
  private let isSupervised: Bool
  private let note: (String) -> Void
  private let loop: EventLoop
  private let converter: TapeConverter
  private let metrics = ConvertMetrics()
  private var link: SupervisorLink?
  private var endpoint: ServiceEndpoint?
  private var mustStop = false
  private var lastTurnNs: Int64 = 0
  /// Of the folder when it was last converted in full.
  private var seenChange: Int64 = .min
  private var retryAtNs: Int64?
  /// The end of the oldest hour that is sealed and not converted.
  private var waitingSince: UnixNanos?
  /// By segment, what was said of it already.
  private var toldDamage: Set<String> = []
  private var records: Int64 = 0

  /// - Parameters:
  ///   - metricsPort: 0 for a free one, nil for none.
  ///   - note: tells the operator something.
  public init(
    _ options: ConvertOptions, metricsPort: UInt16?, isSupervised: Bool, note: @escaping (String) -> Void
  ) throws {
    self.options = options
    self.isSupervised = isSupervised
    self.note = note
    loop = try EventLoop()
    converter = try TapeConverter(options)
    try loop.onSignals([SIGINT, SIGTERM]) { [unowned self] _ in stop() }
    if let metricsPort {
      endpoint = try ServiceEndpoint(
        on: loop, port: metricsPort, metrics: { [unowned self] in metrics.registry.write(into: &$0) },
        isReady: { [unowned self] in !mustStop })
    }
    if isSupervised {
      link = try SupervisorLink(
        on: loop, beat: { [unowned self] in beat },
        command: { [unowned self] name, _ in
          guard name == "drain" else { return .refused("this service knows only drain") }
          stop()
          return .done("converts what is sealed and ends")
        }, ended: { [unowned self] in stop() })
    }
  }

  /// Follows the tape until told to stop.
  ///
  /// - Parameter print: says a line of JSON where there is no supervisor.
  /// - Returns: whether all that is sealed was converted.
  public func run(print: @escaping (JSONValue) -> Void) -> Bool {
    let start = ProcessUsage.now()
    var line: [JSONValue.Member] = [.init("ready", .bool(true))]
    if let endpoint { line.append(.init("metrics_port", .integer(endpoint.port))) }
    say(.object(line), print)
    while !mustStop {
      lookIfDue()
      if !mustStop { loop.turn(waitNs: ConvertService.lookNs) }
    }
    let isWhole = convertSealed() && !converter.result.isDamaged
    let summary = converter.result.json(ProcessUsage.now() - start)
    say(isSupervised ? .object(["summary": summary]) : summary, print)
    link?.drain()
    return isWhole
  }

  private func stop() { mustStop = true }

  private func say(_ json: JSONValue, _ print: (JSONValue) -> Void) {
    if let link { link.say(json) } else { print(json) }
  }

  private func lookIfDue() {
    defer {
      let now = EventLoop.wallNow().rawValue
      metrics.lagSeconds.set(waitingSince.map { max(0, Double(now - $0.rawValue) / 1e9) } ?? 0)
    }
    if let retryAtNs, EventLoop.monotonicNow() < retryAtNs { return }
    let change = changeTime()
    guard change != seenChange || retryAtNs != nil else { return }
    retryAtNs = nil
    // Read before the folder is listed: what comes later changes it again, but for changes within one tick of
    // the file system's clock, so a fresh one is looked at twice.
    let isSettled = EventLoop.wallNow().rawValue - change > Nanoseconds.second
    if convertSealed() {
      seenChange = isSettled ? change : .min
    } else {
      retryAtNs = EventLoop.monotonicNow() + ConvertService.retryNs
    }
    waitingSince =
      (try? Tape.segments(options.tape).first { $0.isSealed && !converter.isDone($0) })?.end
  }

  /// - Returns: false when it has to be tried again.
  private func convertSealed() -> Bool {
    // The tape's folder may be made later.
    guard Files.exists(options.tape) else { return true }
    do {
      try converter.convert(sealedOnly: true) { [unowned self] done in
        records = done
        let now = EventLoop.monotonicNow()
        guard now - lastTurnNs >= ConvertService.turnNs else { return }
        lastTurnNs = now
        loop.turn(waitNs: 0)
      }
    } catch {
      metrics.errors.add()
      note("\(error)")
      metrics.take(converter.result)
      return false
    }
    metrics.take(converter.result)
    for sentence in converter.result.damage where toldDamage.insert(sentence).inserted {
      metrics.errors.add()
      note(sentence)
    }
    return true
  }

  /// The folder's modification time, ns; 0 while there is none.
  private func changeTime() -> Int64 {
    var status = stat()
    guard stat(options.tape, &status) == 0 else { return 0 }
    return Int64(status.st_mtim.tv_sec) &* Nanoseconds.second &+ Int64(status.st_mtim.tv_nsec)
  }

  private var beat: JSONValue {
    .object([
      "seq": .integer(records), "time_ns": .integer(0),
      "segments": .integer(Int64(metrics.segments.value)),
    ])
  }
}

/// What the converter tells of itself.
final class ConvertMetrics {
  let registry = MetricRegistry()
  let segments: Counter
  let rows: Counter
  let bytes: Counter
  let errors: Counter
  let lagSeconds: Gauge

  init() {
    segments = registry.counter("weir_convert_segments_total", "Segments converted by this process.")
    rows = registry.counter("weir_convert_rows_total", "Rows written by this process.")
    bytes = registry.counter("weir_convert_bytes_total", "Bytes of Parquet written by this process.")
    errors = registry.counter("weir_convert_errors_total", "Conversions that failed, and damaged segments.")
    lagSeconds = registry.gauge(
      "weir_convert_lag_seconds",
      "Since the end of the oldest hour that is sealed and not converted; 0 when there is none.")
  }

  /// Counts what one pass has done.
  func take(_ result: ConvertResult) {
    segments.add(Double(result.segments))
    rows.add(Double(result.convertedRows.values.reduce(0, +)))
    bytes.add(Double(result.convertedBytesOut))
  }
}
