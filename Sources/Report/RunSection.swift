import Core

/// What a daily report says of the run itself, which no sink can tell: from `RUN/run_status.json`, which the
/// supervisor keeps.
///
/// - Parameters:
///   - status: the file's content; `nil` when there is none, and the section then says so.
///   - seconds: span of the run's rows, for what is limited by the hour. A run of less counts as one hour.
public func runSection(status: JSONValue?, seconds: Double) -> JSONValue {
  guard let status, status.members != nil else {
    return .object([
      "known": .bool(false),
      "detail": .string("not known: the run's folder has no run_status.json, which 'weir run' writes"),
    ])
  }
  let snapshots = status["mode_snapshots"]?.elements ?? []
  let newest = snapshots.last
  return .object([
    "known": .bool(true),
    "run_id": status["run_id"] ?? .null,
    "runtime_state": .object([
      "mode": newest?["mode"] ?? .null, "regime": newest?["regime"] ?? .null,
      "processes": status["status"]?["processes"] ?? .null,
      "mode_snapshots": .array(snapshots.suffix(runSnapshotsMax)),
      "mode_snapshots_left_out": .integer(max(0, snapshots.count - runSnapshotsMax)),
    ]),
    "harvester_slo": harvesterObjectives(status["harvester_metrics"], seconds: seconds),
    "harvester_metrics": status["harvester_metrics"] ?? .null,
    "alerts": status["alerts"] ?? .null,
    "timeseries_export": status["timeseries_export"] ?? .null,
  ])
}

/// Mode snapshots beyond this are counted, the newest kept.
private let runSnapshotsMax = 1000
private let reconnectsPerHourMax = 3.0

/// What the harvester promises: nothing dropped, no sub-stream silent, at most three reconnects an hour. What
/// was not measured has neither passed nor failed.
private func harvesterObjectives(_ metrics: JSONValue?, seconds: Double) -> JSONValue {
  func number(_ name: String) -> Double? {
    metrics?[name].flatMap { $0.boolean.map { $0 ? 1 : 0 } ?? $0.double }
  }
  let hours = max(1, seconds / 3600)
  var verdicts: [Bool?] = []
  func objective(_ value: Double?, _ limit: Double) -> JSONValue {
    let passed = value.map { $0 <= limit }
    verdicts.append(passed)
    return .object([
      "value": .rounded(value, 3), "limit": .rounded(limit, 3),
      "pass": passed.map { .bool($0) } ?? .null,
    ])
  }
  let members: [JSONValue.Member] = [
    .init("queue_dropped", objective(number("queue_dropped"), 0)),
    .init("substream_timeout_detected", objective(number("substream_timeout_detected"), 0)),
    .init(
      "reconnects_per_hour", objective(number("reconnect_count").map { $0 / hours }, reconnectsPerHourMax)),
  ]
  let pass: JSONValue =
    verdicts.contains(false) ? .bool(false) : verdicts.contains(nil) ? .null : .bool(true)
  return .object(members + [.init("hours", .rounded(hours, 3)), .init("pass", pass)])
}

extension DailyReport {
  /// The section for people.
  func runtime(_ text: inout MarkdownWriter) {
    guard run != .null else { return }
    text.line("## Runtime state")
    text.line()
    guard run["known"]?.boolean == true else {
      text.line(MarkdownWriter.cell(run["detail"] ?? .null))
      text.line()
      return
    }
    let state = run["runtime_state"] ?? .null
    let words: [(String, JSONValue?)] = [
      ("run", run["run_id"]), ("mode", state["mode"]), ("regime", state["regime"]),
      ("export", run["timeseries_export"]?["export_count"]),
      ("export errors", run["timeseries_export"]?["error_count"]),
    ]
    text.line(words.map { "\($0.0) \(MarkdownWriter.cell($0.1 ?? .null))" }.joined(separator: " · "))
    text.line()
    text.table("process", state["processes"] ?? .null)
    let snapshots = state["mode_snapshots"]?.elements ?? []
    if !snapshots.isEmpty { list("Mode snapshots", snapshots.suffix(DailyReport.listedMax), &text) }
    text.line("### Harvester")
    text.line()
    let objectives = run["harvester_slo"]?.members ?? []
    text.table("objective", .object(objectives.filter { $0.value.members != nil }))
    list("Alerts", (run["alerts"]?.elements ?? []).suffix(DailyReport.listedMax), &text)
  }

  /// Snapshots and alerts listed for people, the newest; all of them are in the JSON.
  private static let listedMax = 30

  private func list(_ title: String, _ rows: ArraySlice<JSONValue>, _ text: inout MarkdownWriter) {
    text.line("### \(title)")
    text.line()
    text.table("n", .object(rows.enumerated().map { .init("\($0.offset + 1)", $0.element) }))
  }
}
