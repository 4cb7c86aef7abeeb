import Core

/// When a storm begins and what a step may not send meanwhile.
///
/// Twenty alerts in a minute have one cause, and twenty messages hide it. Above `countMax` firings within
/// `windowNs` messages are held: one says that the storm began, one, after `windowNs` without a firing, what
/// happened in it. Events and their actions are not held.
struct AlertStorm: Sendable {
  let countMax: Int
  let windowNs: Int64
  private(set) var since: UnixNanos?
  /// The newest `countMax + 1`, oldest first.
  private var firings: [UnixNanos] = []
  private var held: [String: (fired: Int, recovered: Int)] = [:]

  init(countMax: Int, windowNs: Int64) {
    self.countMax = countMax
    self.windowNs = windowNs
  }

  /// - Parameters:
  ///   - notifications: what the step would send.
  ///   - firing: names of rules that fire now, for the summary.
  /// - Returns: what is sent.
  mutating func pass(
    _ events: [AlertEvent], _ notifications: [AlertNotification], firing: [String], at now: UnixNanos
  ) -> [AlertNotification] {
    for event in events where event.kind == .fired { firings.append(event.firedAt) }
    firings.removeFirst(max(0, firings.count - countMax - 1))
    if since == nil, firings.count > countMax, now.rawValue - firings[0].rawValue < windowNs {
      since = now
      hold(events)
      let rules = events.filter { $0.kind == .fired }.map { $0.rule + " " + $0.labels.description }
      let span = TimeSpan.text(milliseconds: windowNs / Nanoseconds.millisecond)
      return [
        message(
          .stormBegan, now,
          "more than \(countMax) alerts in \(span): messages are held, actions go on; now: "
            + rules.prefix(20).joined(separator: ", "))
      ]
    }
    guard let began = since else { return notifications }
    hold(events)
    guard let last = firings.last, now.rawValue - last.rawValue >= windowNs else { return [] }
    since = nil
    let lines = held.sorted { $0.key < $1.key }
      .map { "\($0.key) fired \($0.value.fired), recovered \($0.value.recovered)" }
    held = [:]
    let rest = firing.isEmpty ? "nothing fires now" : "still firing: \(firing.joined(separator: ", "))"
    return [
      message(
        .stormEnded, now,
        "calm again; since \(UTCDate(began).isoText): \(lines.joined(separator: "; ")); \(rest)")
    ]
  }

  private mutating func hold(_ events: [AlertEvent]) {
    for event in events {
      switch event.kind {
      case .fired: held[event.rule, default: (0, 0)].fired += 1
      case .recovered: held[event.rule, default: (0, 0)].recovered += 1
      }
    }
  }

  private func message(_ kind: AlertNotification.Kind, _ now: UnixNanos, _ text: String) -> AlertNotification
  {
    let isBegin = kind == .stormBegan
    return AlertNotification(
      kind: kind, at: now, rule: "", level: isBegin ? .P0 : .P2, severity: isBegin ? .critical : .info,
      labels: [], runbook: "docs/runbooks/alerts.md#storm", text: text)
  }
}
