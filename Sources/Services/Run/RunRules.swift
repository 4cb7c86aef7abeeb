import Core
import Glibc
import Net
import Rules
import Telemetry

/// The alert rules and the degrade ladder of a run, on the metrics as they were read.
final class RunRules {
  private unowned let run: RunService
  private var rules: RuleSet
  private var engine: AlertEngine
  private var ladder: DegradeLadder
  private var store: MetricStore
  private(set) var path: String

  /// - Throws: when the rules' file cannot be found or used.
  init(_ run: RunService) throws {
    self.run = run
    path = try RunRules.find(run.options.configuration.run.rules)
    rules = RunRules.applicable(try RuleSet(loading: path), to: run.options.plan)
    engine = AlertEngine(rules)
    ladder = DegradeLadder(rules)
    store = MetricStore(for: rules)
  }

  /// The configured file, or the one that comes with Weir: in the working folder, beside the program (as in its
  /// source tree), or where packages put it.
  static func find(_ configured: String) throws(FileError) -> String {
    if !configured.isEmpty {
      guard Files.exists(configured) else { throw FileError("open", configured, code: ENOENT) }
      return configured
    }
    let name = "config/alerts.yaml"
    var candidates = [name]
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    if count > 0 {
      var folder = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)[...]
      for _ in 0..<5 {
        guard let slash = folder.lastIndex(of: "/") else { break }
        folder = folder[..<slash]
        candidates.append("\(folder)/\(name)")
      }
    }
    candidates += ["/etc/weir/alerts.yaml", "/usr/share/weir/alerts.yaml"]
    guard let found = candidates.first(where: { Files.exists($0) }) else {
      throw FileError(
        "find the alert rules (run.rules), the last place looked at being", candidates.last!, code: ENOENT)
    }
    return found
  }

  /// Without the rules over a service that this run does not have: its absence is no alarm.
  private static func applicable(_ rules: RuleSet, to plan: [ServiceName]) -> RuleSet {
    let absent = ServiceName.allCases.filter { !plan.contains($0) }.map { "weir_\($0.rawValue)_" }
    var rules = rules
    rules.alerts.removeAll { rule in
      rule.condition.expression.rangesMs.keys.contains { name in absent.contains { name.hasPrefix($0) } }
    }
    return rules
  }

  func begin(_ registry: MetricRegistry) {
    let firing = registry.gauge("weir_alerts_firing", "alerts that fire now")
    let evaluations = registry.counter("weir_alerts_evaluations_total", "rules evaluated")
    let failures = registry.counter("weir_alerts_evaluation_failures_total", "of these, without a result")
    registry.onCollect { [unowned self] in
      firing.set(Double(engine.firing.count))
      evaluations.set(total: Double(engine.evaluations))
      failures.set(total: Double(engine.evaluationFailures))
    }
  }

  /// Takes the rules' file anew; what fired under the old rules is judged by the new ones.
  func reload(_ configuration: WeirConfiguration) throws {
    let path = try RunRules.find(configuration.run.rules)
    let loaded = RunRules.applicable(try RuleSet(loading: path), to: run.options.plan)
    self.path = path
    rules = loaded
    engine = AlertEngine(loaded)
    ladder = DegradeLadder(loaded)
    store = MetricStore(for: loaded)
    run.record.recoverAll(at: run.steadyNow)
    run.watch.alertEffects = RunEffects()
    run.watch.ladderEffects = RunEffects()
    run.watch.applyEffects(by: "reload")
  }

  /// One reading of all services.
  ///
  /// - Parameters:
  ///   - found: samples by service; one that did not answer is missing, and its series end.
  ///   - own: the run's own metrics.
  func judge(_ found: [ServiceName: [MetricSample]], own: [MetricSample], at now: UnixNanos) {
    for service in run.options.plan where service != .venue {
      store.append(found[service] ?? [], target: [.init("job", service.rawValue)], at: now)
    }
    store.append(own, target: [.init("job", "run")], at: now)
    guard run.supervision.phase == .running else { return }
    let step = engine.step(now: now, store)
    for event in step.events { take(event) }
    if !step.notifications.isEmpty { run.watch.exports.deliver(RunRules.notices(step)) }
    let transitions = ladder.step(now: now, store)
    for transition in transitions {
      run.record.degrade(transition.json)
      run.log.warning(
        "degrade",
        [
          "step": .text(transition.step), "effect": .text(transition.effect.rawValue),
          "kind": .text(transition.kind.rawValue), "reason": .text(transition.reason),
        ])
    }
    run.watch.ladderEffects = RunRules.effects(of: ladder.activeEffects)
    run.watch.alertEffects = RunRules.effects(of: engine.firing)
    run.watch.applyEffects(by: "rules")
  }

  private func take(_ event: AlertEvent) {
    let labels = event.labels.labels.map { ($0.name, $0.value) }
    switch event.kind {
    case .fired:
      run.record.fired(
        .init(
          rule: event.rule, level: event.level.rawValue, severity: event.severity.rawValue, labels: labels,
          firedAt: event.firedAt, value: event.value, detail: event.detail,
          action: event.action == .none ? nil : event.action.rawValue))
      act(event)
    case .recovered:
      _ = run.record.recovered(rule: event.rule, labels: labels, at: event.recoveredAt ?? event.firedAt)
    }
  }

  /// Actions that happen once; those that last as long as the alert are in ``effects(of:)-(AlertEvents)``.
  private func act(_ event: AlertEvent) {
    switch event.action {
    case .restartWebSocket: run.perform("restart-ws", .object([])) { _ in }
    case .rebuildSnapshot:
      let symbol = event.labels["symbol"].map { JSONValue.object(["symbol": .string($0)]) }
      run.perform("rebuild-snapshot", symbol ?? .object([])) { _ in }
    case .scaleOut, .addReplica, .recalibrate, .refitCost, .rollbackModel:
      // Nothing in this process can do it; whoever reads the alert is told what would help.
      run.log.warning(
        "action_recommended", ["rule": .text(event.rule), "action": .text(event.action.rawValue)])
    default: break
    }
  }

  private static func notices(_ step: AlertEngine.Step) -> [AlertNotice] {
    step.notifications.map { notification in
      let event = step.events.first {
        $0.rule == notification.rule && notification.labels.contains($0.labels)
      }
      return notice(notification, firedAt: event?.firedAt ?? notification.at)
    }
  }

  private static func notice(_ notification: AlertNotification, firedAt: UnixNanos) -> AlertNotice {
    AlertNotice(
      rule: notification.rule.isEmpty ? notification.kind.rawValue : notification.rule,
      level: AlertNotice.Level(rawValue: notification.level.rawValue) ?? .p2,
      severity: notification.severity.rawValue,
      state: notification.kind == .recovered || notification.kind == .stormEnded ? .recovered : .firing,
      labels: notification.labels.count == 1
        ? notification.labels[0].labels.map { .init($0.name, $0.value) } : [],
      value: nil, firedAt: firedAt,
      recoveredAt: notification.kind == .recovered ? notification.at : nil, detail: notification.text,
      runbook: notification.runbook)
  }

  private static func effects(of firing: [AlertEvent]) -> RunEffects {
    var effects = RunEffects()
    for event in firing {
      switch event.action {
      case .degradedTimeSync: effects.timeIsDegraded = true
      case .slowFeature: effects.lightRows = true
      case .fallbackREST: effects.restFallback = true
      case .modeQuiet: effects.mode = "quiet"
      case .pauseShadow: effects.shadowIsPaused = true
      case .compress: effects.compressNow = true
      default: break
      }
    }
    return effects
  }

  private static func effects(of active: Set<DegradeEffect>) -> RunEffects {
    var effects = RunEffects()
    for effect in active {
      switch effect {
      case .lightRows: effects.lightRows = true
      case .strongOnly: effects.strongOnly = true
      case .thresholdsUp: effects.thresholdsUp = true
      case .conservativeCost: effects.conservativeCost = true
      case .restFallback: effects.restFallback = true
      case .compressNow: effects.compressNow = true
      }
    }
    return effects
  }
}
