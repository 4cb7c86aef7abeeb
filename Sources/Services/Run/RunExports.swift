import Core
import Glibc
import Net
import Telemetry

/// The run's series for a time-series database, and its alerts for people.
final class RunExports {
  private unowned let run: RunService
  private let exporter: TimeSeriesExporter?
  private let delivery: AlertDelivery
  /// Rows at the beginning of each of the last sixty seconds or so.
  private var rowHistory: [(ns: Int64, rows: Int64)] = []

  /// - Throws: `ExportError` for credentials that cannot be used.
  init(_ run: RunService) throws {
    self.run = run
    let configuration = run.options.configuration
    let environment = run.options.environment
    let log = run.log
    let seed = UInt64(bitPattern: run.record.startedAt.rawValue)
    if configuration.export.type == .none {
      exporter = nil
    } else {
      exporter = TimeSeriesExporter(
        on: run.loop, settings: configuration.export,
        series: ExportSeries(run: run.record.runID, instance: RunExports.hostName()),
        credentials: try ExportCredentials.load(
          environment: environment, tokenFile: configuration.export.tokenFile),
        seed: seed, report: { log.warning("export", ["text": .text($0)]) })
    }
    let token = environment["WEIR_ALERT_TOKEN"] ?? ""
    delivery = AlertDelivery(
      on: run.loop, settings: configuration.alertDelivery, run: run.record.runID,
      token: token.isEmpty ? .none : try ExportCredentials.token(token), seed: seed &+ 1,
      log: { log.warning("alert", ["text": .text($0)]) })
  }

  private static func hostName() -> String {
    var name = [UInt8](repeating: 0, count: 256)
    let code = name.withUnsafeMutableBytes {
      gethostname($0.baseAddress!.assumingMemoryBound(to: CChar.self), 255)
    }
    return code == 0 ? String(decoding: name.prefix { $0 != 0 }, as: UTF8.self) : "localhost"
  }

  /// Asks the server whether it is there, and pushes every interval from now on.
  func begin(_ registry: MetricRegistry) {
    delivery.register(in: registry)
    guard let exporter else {
      for name in ["weir_export_pushes_total", "weir_export_errors_total", "weir_export_dropped_total"] {
        registry.declare(name, .counter, "There is no export (export.type none).")
      }
      return registry.declare(
        "weir_export_consecutive_failures", .gauge, "There is no export (export.type none).")
    }
    exporter.register(in: registry)
    exporter.checkReachability { [weak run] warning in
      guard let warning, let run else { return }
      run.log.warning("export", ["text": .text(warning)])
      run.record.notes.append(warning)
    }
    exporter.start { [weak self] in self?.points ?? [] }
  }

  func deliver(_ notices: [AlertNotice]) { delivery.deliver(notices) }

  /// The last batch and the last notifications, in two seconds at most.
  func finish(_ done: @escaping () -> Void) {
    var waiting = 2
    let part = {
      waiting -= 1
      if waiting == 0 { done() }
    }
    if let exporter { exporter.finish(points, done: part) } else { run.loop.soon(part) }
    delivery.finish(done: part)
  }

  var json: JSONValue {
    exporter?.timeseriesExport
      ?? .object(["type": .string("none"), "export_count": .integer(0), "error_count": .integer(0)])
  }

  var dataJSON: JSONValue { exporter?.timeseriesData ?? .array([]) }

  // MARK: What is exported

  private var points: [ExportPoint] {
    exporter?.series.points(counters, timeNs: EventLoop.wallNow().rawValue) ?? []
  }

  /// After each reading of the services: keeps the count of rows a minute ago.
  func noteRows() {
    let now = EventLoop.monotonicNow()
    rowHistory.append((now, Int64(run.watch.sum("weir_signal_rows_total", of: .signal) ?? 0)))
    while rowHistory.count > 1, now - rowHistory[1].ns >= Nanoseconds.minute { rowHistory.removeFirst() }
  }

  var counters: RunCounters {
    let watch = run.watch!
    func count(_ name: String, _ symbol: String? = nil) -> Int64 {
      Int64(watch.sum(name, of: .signal) { symbol == nil || $0["symbol"] == symbol } ?? 0)
    }
    var counters = RunCounters()
    counters.rows = count("weir_signal_rows_total")
    counters.confirmed = count("weir_signal_confirmed_total")
    counters.strong = count("weir_signal_strong_total")
    for sample in watch.latest[.signal] ?? [] where sample.name == "weir_signal_rows_gated_total" {
      counters.gatedByReason[sample["reason"] ?? ""] = Int64(sample.value)
    }
    if let first = rowHistory.first { counters.rowsLastMinute = max(0, counters.rows - first.rows) }
    func latency(_ quantile: String) -> Double? {
      watch.latest[.harvest]?.first { $0.name == "ws_e2e_latency_ms" && $0["quantile"] == quantile }?.value
    }
    counters.latency = .init(p50Ms: latency("0.5"), p95Ms: latency("0.95"), p99Ms: latency("0.99"))
    let harvester = run.record.harvester
    counters.gaps = harvester["gaps"]
    counters.resyncs = harvester["resyncs"]
    counters.queueDropped = harvester["queue_dropped"]
    counters.lost = harvester["lost"]
    counters.reconnects = harvester["reconnects"]
    for symbol in run.options.symbols {
      var part = RunCounters.SymbolCounters()
      part.rows = count("weir_signal_rows_total", symbol)
      part.confirmed = count("weir_signal_confirmed_total", symbol)
      part.strong = count("weir_signal_strong_total", symbol)
      part.gaps = count("weir_signal_gaps_total", symbol)
      part.resyncs = count("weir_signal_resyncs_total", symbol)
      part.lost = Int64(
        watch.sum("weir_harvest_symbol_lost_total", of: .harvest) { $0["symbol"] == symbol } ?? 0)
      counters.bySymbol[symbol] = part
    }
    return counters
  }
}
