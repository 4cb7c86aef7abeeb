import Core
import Glibc
import Net
import Telemetry

/// What a run sees of itself, and what follows from it: metrics, rules, the degrade ladder, exports, alerts.
///
/// Every few seconds the metrics of all services are read as anybody would read them, over HTTP; rules, ladder
/// and export work on those values and on nothing else.
final class RunWatch {
  unowned let run: RunService
  let registry = MetricRegistry()
  private var endpoint: ServiceEndpoint?
  /// The newest samples of each service.
  private(set) var latest: [ServiceName: [MetricSample]] = [:]
  private var isScraping = false
  private(set) var scrapesFailed = 0
  /// What an operator wants.
  var operatorEffects = RunEffects()
  /// What firing alerts want.
  var alertEffects = RunEffects()
  /// What the degrade ladder wants.
  var ladderEffects = RunEffects()
  /// What the harvester has been told.
  private var applied = RunEffects()
  let rules: RunRules
  let exports: RunExports

  init(_ run: RunService) throws {
    self.run = run
    rules = try RunRules(run)
    exports = try RunExports(run)
  }

  var metricsPort: UInt16 { endpoint?.port ?? 0 }
  var effects: [String] { operatorEffects.union(alertEffects).union(ladderEffects).names }
  var mode: String { applied.mode ?? "\(run.options.configuration.signal.strategy.mode.name)" }
  var exportJSON: JSONValue { exports.json }
  var exportDataJSON: JSONValue { exports.dataJSON }

  /// Serves `/metrics`, and checks what is outside.
  func begin() throws {
    registerMetrics()
    endpoint = try ServiceEndpoint(on: run.loop, port: UInt16(run.run.metricsPort)) { [unowned self] in
      registry.write(into: &$0)
    } isReady: { [unowned run] in
      run.supervision.phase == .running && run.supervision.members.allSatisfy { $0.state == .healthy }
    }
    run.log.info("metrics", ["url": .text("http://\(endpoint!.address)/metrics")])
    exports.begin(registry)
    rules.begin(registry)
  }

  func reload(_ loaded: ReloadedConfiguration) throws { try rules.reload(loaded.configuration) }

  /// The last export; then `done`.
  func finish(_ done: @escaping () -> Void) { exports.finish(done) }

  // MARK: Metrics of the run itself

  private static let announced = [
    MetricCatalog.predictLatency, MetricCatalog.predictUtilization, MetricCatalog.calibrationError,
    MetricCatalog.costError, MetricCatalog.rollingPrecisionRecall, MetricCatalog.falsePositiveRate,
  ]

  private func registerMetrics() {
    let services = run.options.plan.map(\.rawValue)
    // Their service is not part of this build; announced, so that rules over them name nothing unknown.
    for definition in RunWatch.announced { registry.declare(definition) }
    registry.onCollect { [unowned self] in
      for name in services {
        guard let service = ServiceName(rawValue: name), let member = run.supervision[service] else {
          continue
        }
        let use = run.record.resources[name] ?? .init()
        gauge("up", "1 while the process is ready", name, member.isReady ? 1 : 0)
        gauge("unhealthy", "1 once it is not restarted any more", name, member.state == .unhealthy ? 1 : 0)
        gauge("rss_bytes", "resident memory", name, Double(use.rssBytes))
        gauge("open_files", "open descriptors", name, Double(use.openFiles))
        gauge("cpu_ratio", "processor time over time, of one core", name, use.cpuRatio)
        registry.counter(
          "weir_run_process_restarts_total", "starts after the first", labels: ["process": name]
        ).set(total: Double(member.restartCount))
        registry.counter(
          "weir_run_heartbeats_missed_total", "times a process was killed for want of a beat",
          labels: ["process": name]
        ).set(total: Double(member.beatsMissed))
        if let backlog = run.supervision.backlog(service) {
          registry.gauge(
            "weir_run_backlog_records", "records (or bytes, of the signals' readers) not read yet",
            labels: ["process": name]
          ).set(Double(backlog))
        }
      }
      registry.gauge("weir_run_memory_used_ratio", "memory of this machine in use").set(
        HostResources.memoryUsedRatio() ?? .nan)
      registry.gauge("weir_run_disk_free_ratio", "free share of the run folder's disk").set(
        HostResources.diskFreeRatio(of: run.options.folder) ?? .nan)
      registry.counter("weir_run_health_checks_total", "looks at all services").set(
        total: Double(run.record.samplesTotal))
      registry.counter("weir_run_health_green_total", "looks at which all were healthy").set(
        total: Double(run.record.samplesGreen))
      registry.gauge("weir_run_degrade_effects", "effects in force").set(Double(effects.count))
      registry.counter("weir_run_parameter_reloads_total", "times a changed parameter file was taken over")
        .set(
          total: Double(run.parameters.reloads))
      registry.counter("weir_run_parameter_failures_total", "changed parameter files that were refused").set(
        total: Double(run.parameters.failures))
    }
  }

  private func gauge(_ name: String, _ help: String, _ process: String, _ value: Double) {
    registry.gauge("weir_run_process_\(name)", help, labels: ["process": process]).set(value)
  }

  // MARK: Reading the services

  /// Reads all services' metrics, then judges and exports them. One reading at a time.
  func scrape() {
    guard !isScraping else { return }
    isScraping = true
    let targets = run.ports
    var waiting = targets.count
    var found: [ServiceName: [MetricSample]] = [:]
    let finish = { [weak self] in
      guard let self else { return }
      isScraping = false
      scrapesFailed += targets.count - found.count
      latest = found
      let now = run.steadyNow
      rules.judge(found, own: registry.samples(), at: now)
      exports.noteRows()
      noteMode(now)
    }
    if waiting == 0 { return finish() }
    for (service, port) in targets {
      run.client.request("GET", "http://127.0.0.1:\(port)/metrics", timeoutNs: RunService.requestNs) {
        if case .success(let response) = $0, response.status == 200 {
          found[service] = response.withBody { try? Exposition(parsing: $0).samples }
        }
        waiting -= 1
        if waiting == 0 { finish() }
      }
    }
  }

  /// The sum of a metric over a service's label sets; nil when it is not there.
  func sum(_ name: String, of service: ServiceName, where matches: (MetricSample) -> Bool = { _ in true })
    -> Double?
  {
    let samples = (latest[service] ?? []).filter { $0.name == name && matches($0) }
    return samples.isEmpty ? nil : samples.reduce(0) { $0 + $1.value }
  }

  private func noteMode(_ now: UnixNanos) {
    let modes = (latest[.signal] ?? []).filter { $0.name == "strategy_mode_info" && $0.value == 1 }
    let regime = modes.first?["mode"] ?? "unknown"
    let last = run.record.modeSnapshots.last
    guard last?["regime"]?.text != regime || last?["mode"]?.text != mode else { return }
    guard run.record.modeSnapshots.count < RunRecord.alertsMax else { return }
    run.record.modeSnapshots.append(
      .object([
        "t": .string(UTCDate(now).isoText), "mode": .string(mode), "regime": .string(regime),
        "since": regimeSince(), "triggers": triggers(),
      ]))
  }

  /// In tape time; a look every few seconds comes after it.
  private func regimeSince() -> JSONValue {
    guard let seconds = sum(MetricCatalog.strategyModeLastChange.name, of: .signal), seconds > 0,
      seconds < 9e9
    else { return .null }
    return .string(UTCDate(UnixNanos(Int64(seconds * 1e3) * Nanoseconds.millisecond)).isoText)
  }

  /// What the triggers saw in the newest window.
  private func triggers() -> JSONValue {
    let prefix = "strategy_trigger_"
    let samples = (latest[.signal] ?? []).filter { $0.name.hasPrefix(prefix) && $0.value.isFinite }
    return .object(
      samples.map { .init(String($0.name.dropFirst(prefix.count)), .rounded($0.value, 4)) })
  }

  // MARK: Effects

  /// Tells the harvester what has changed.
  ///
  /// - Parameter done: called once, with what went wrong.
  func applyEffects(by: String, done: @escaping (String?) -> Void = { _ in }) {
    let wanted = operatorEffects.union(alertEffects).union(ladderEffects)
    send(wanted.commands(from: applied, by: by), wanted, done)
  }

  /// A harvester that was started anew remembers nothing that is not on its tape.
  func harvesterIsBack() {
    send(applied.commands(from: applied, isFresh: true, by: "supervisor"), applied) { _ in }
  }

  private func send(
    _ commands: [(name: String, JSONValue)], _ wanted: RunEffects, _ done: @escaping (String?) -> Void
  ) {
    guard !commands.isEmpty else { return done(nil) }
    guard let harvest = run.children[.harvest] else {
      return done("harvest is not running; it is tried again")
    }
    applied = wanted
    var waiting = commands.count
    var problem: String?
    for (name, arguments) in commands {
      harvest.request(name, arguments, timeoutNs: 5 * Nanoseconds.second) { [weak self] result in
        if case .failure(let error) = result {
          problem = "\(error)"
          self?.run.log.warning("effect_refused", ["command": .text(name), "reason": .text("\(error)")])
        }
        waiting -= 1
        if waiting == 0 { done(problem) }
      }
    }
  }
}
