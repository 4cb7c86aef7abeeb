import Core

/// Alerts as a pure state machine over measured values and given time.
///
/// An alert is a rule and a label set of its condition's result. It goes inactive → pending, once the
/// condition holds → firing, once it has held for the rule's `for` → recovered, as soon as it doesn't hold or
/// the series is gone; so does Prometheus. Beyond Prometheus: an alert that recovered doesn't fire again
/// within `suppressNs` of its last firing (it stays pending, and fires then if it still holds); events of one
/// step, rule and kind make one notification; ``AlertStorm`` holds notifications in a storm.
///
/// A rule that cannot be evaluated keeps its state and is named in ``failures``.
/// Bounds: `instancesMax` alerts that are pending, firing or suppressed; further ones are counted in
/// ``instancesRefused``.
public struct AlertEngine: Sendable {
  /// What one step gives: events to record and act upon, notifications to deliver.
  public struct Step: Equatable, Sendable {
    /// In order of the rules, then of the labels.
    public var events: [AlertEvent] = []
    public var notifications: [AlertNotification] = []

    public init() {}
  }

  private struct Instance {
    var pendingSince: UnixNanos?
    /// Set while it fires.
    var event: AlertEvent?
    var lastFiredAt: UnixNanos?
    var wasSuppressed = false
  }

  public static let instancesMax = 1024

  public let rules: [AlertRule]
  public let suppressNs: Int64
  /// Why rules cannot be evaluated now, by name.
  public private(set) var failures: [String: String] = [:]
  public private(set) var evaluations = 0
  public private(set) var evaluationFailures = 0
  public private(set) var instancesRefused = 0
  /// Firings held back because the alert had fired shortly before.
  public private(set) var suppressed = 0
  /// By rule, in the order of `rules`.
  private var instances: [[LabelSet: Instance]]
  private var instanceCount = 0
  private var storm: AlertStorm

  public init(_ rules: RuleSet) {
    self.init(
      rules.alerts, suppressNs: rules.suppressNs, stormCountMax: rules.stormCountMax,
      stormWindowNs: rules.stormWindowNs)
  }

  public init(_ rules: [AlertRule], suppressNs: Int64, stormCountMax: Int, stormWindowNs: Int64) {
    self.rules = rules
    self.suppressNs = suppressNs
    instances = Array(repeating: [:], count: rules.count)
    storm = AlertStorm(countMax: stormCountMax, windowNs: stormWindowNs)
  }

  /// Since when a storm rages; `nil` without one.
  public var stormSince: UnixNanos? { storm.since }

  /// The alerts that fire, in order of the rules, then of the labels.
  public var firing: [AlertEvent] {
    instances.flatMap { alerts in
      alerts.sorted { $0.key < $1.key }.compactMap { $0.value.event }
    }
  }

  /// Judges all rules at a time.
  ///
  /// - Parameter now: not before the step before, on the clock of the store's scrapes.
  /// - Complexity: O(rules × their evaluation)
  public mutating func step(now: UnixNanos, _ store: MetricStore) -> Step {
    var step = Step()
    for (index, rule) in rules.enumerated() {
      evaluations += 1
      do throws(RuleError) {
        let holding = try rule.condition.measure(in: store, at: now).holding
        failures[rule.name] = nil
        let events = apply(holding, index, now)
        step.events += events
        for kind in [AlertEvent.Kind.fired, .recovered] {
          let group = events.filter { $0.kind == kind }
          if !group.isEmpty { step.notifications.append(notification(group, rule, now)) }
        }
      } catch {
        evaluationFailures += 1
        failures[rule.name] = error.message
      }
    }
    let names = rules.indices.filter { instances[$0].values.contains { $0.event != nil } }
      .map { rules[$0].name }
    step.notifications = storm.pass(step.events, step.notifications, firing: names, at: now)
    return step
  }

  private mutating func apply(_ holding: [LabelSet: Double], _ index: Int, _ now: UnixNanos) -> [AlertEvent] {
    var events: [AlertEvent] = []
    for labels in Set(instances[index].keys).union(holding.keys).sorted() {
      var instance: Instance
      if let known = instances[index][labels] {
        instance = known
      } else if instanceCount < AlertEngine.instancesMax {
        instance = Instance()
        instanceCount += 1
      } else {
        instancesRefused += 1
        continue
      }
      if let value = holding[labels] {
        if let event = hold(&instance, value, labels, rules[index], now) { events.append(event) }
      } else if let event = release(&instance, now) {
        events.append(event)
      }
      let isSuppressing = instance.lastFiredAt.map { now.rawValue - $0.rawValue < suppressNs } ?? false
      if instance.pendingSince == nil, !isSuppressing {
        instances[index][labels] = nil
        instanceCount -= 1
      } else {
        instances[index][labels] = instance
      }
    }
    return events
  }

  private mutating func hold(
    _ instance: inout Instance, _ value: Double, _ labels: LabelSet, _ rule: AlertRule, _ now: UnixNanos
  ) -> AlertEvent? {
    let since = instance.pendingSince ?? now
    instance.pendingSince = since
    guard instance.event == nil else {
      instance.event!.value = value
      return nil
    }
    guard now.rawValue - since.rawValue >= rule.condition.forNs else { return nil }
    if let last = instance.lastFiredAt, now.rawValue - last.rawValue < suppressNs {
      if !instance.wasSuppressed { suppressed += 1 }
      instance.wasSuppressed = true
      return nil
    }
    let place = labels.labels.isEmpty ? "" : " \(labels)"
    let event = AlertEvent(
      kind: .fired, rule: rule.name, level: rule.level, severity: rule.severity, action: rule.action,
      runbook: rule.runbook, labels: labels, value: value, firedAt: now, recoveredAt: nil,
      detail: "\(rule.name)\(place): \(rule.summary); \(rule.condition.description(of: value))")
    instance.event = event
    instance.lastFiredAt = now
    instance.wasSuppressed = false
    return event
  }

  private func release(_ instance: inout Instance, _ now: UnixNanos) -> AlertEvent? {
    instance.pendingSince = nil
    instance.wasSuppressed = false
    guard var event = instance.event else { return nil }
    instance.event = nil
    event.kind = .recovered
    event.recoveredAt = now
    return event
  }

  private func notification(_ group: [AlertEvent], _ rule: AlertRule, _ now: UnixNanos) -> AlertNotification {
    let first = group[0]
    var text = first.kind == .fired ? first.detail : "\(first.rule) recovered: \(first.labels)"
    if group.count > 1 {
      let all = group.prefix(20).map(\.labels.description).joined(separator: ", ")
      text =
        "\(rule.name) \(first.kind.rawValue) \(group.count) times: \(rule.summary); \(all)"
        + (group.count > 20 ? " and \(group.count - 20) more" : "")
    }
    return AlertNotification(
      kind: first.kind == .fired ? .fired : .recovered, at: now, rule: rule.name, level: rule.level,
      severity: rule.severity, labels: group.map(\.labels), runbook: rule.runbook, text: text)
  }
}
