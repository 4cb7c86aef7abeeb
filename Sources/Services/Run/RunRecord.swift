import Core

/// What a run has been seen to do: the source of `run_status.json` and `run_manifest.json`.
///
/// Everything in it was measured. Memory is bounded: of health samples the newest day is kept one by one, older
/// ones only in the counts.
struct RunRecord {
  struct Resources {
    var maxRSSBytes: Int64 = 0
    var maxOpenFiles = 0
    var rssBytes: Int64 = 0
    var openFiles = 0
    var cpuSeconds = 0.0
    var cpuRatio = 0.0
    /// RSS over the run, for growth: (seconds, bytes), thinned to a bounded number.
    var series: [(seconds: Double, bytes: Int64)] = []

    var json: JSONValue {
      .object([
        "max_rss_mb": .rounded(Double(maxRSSBytes) / 1_048_576, 1), "max_open_files": .integer(maxOpenFiles),
        "cpu_s": .rounded(cpuSeconds, 2),
      ])
    }
  }

  /// One alert from its firing to its recovery.
  struct Alert {
    var rule: String
    var level: String
    var severity: String
    var labels: [(String, String)]
    var firedAt: UnixNanos
    var recoveredAt: UnixNanos?
    var value: Double
    var detail: String
    var action: String?

    var json: JSONValue {
      .object([
        "rule": .string(rule), "level": .string(level), "severity": .string(severity),
        "labels": .object(labels.map { .init($0.0, .string($0.1)) }),
        "fired_at": .string(UTCDate(firedAt).isoText),
        "recovered_at": recoveredAt.map { .string(UTCDate($0).isoText) } ?? .null,
        "value": .double(value), "detail": .string(detail), "action": action.map { .string($0) } ?? .null,
      ])
    }
  }

  /// A condition that the run is judged by.
  struct Condition {
    var name: String
    var value: String
    var limit: String
    var holds: Bool

    var json: JSONValue {
      .object([
        "name": .string(name), "value": .string(value), "limit": .string(limit), "holds": .bool(holds),
      ])
    }
  }

  /// Totals of a service over all its incarnations: each begins at 0.
  struct Totals {
    private var former: [String: Int64] = [:]
    private var current: [String: Int64] = [:]

    static let keys = [
      "frames", "gaps", "resyncs", "reconnects", "queue_dropped", "substream_timeouts", "lost", "backfilled",
      "rotations",
    ]

    mutating func update(_ json: JSONValue) {
      for key in Totals.keys { if let value = json[key]?.integer { current[key] = value } }
      if let value = json["substream_timeout_detected"]?.integer { current["substream_timeouts"] = value }
    }

    mutating func ended() {
      for (key, value) in current { former[key, default: 0] += value }
      current = [:]
    }

    subscript(key: String) -> Int64 { former[key, default: 0] + current[key, default: 0] }
  }

  static let samplesMax = 8640
  static let alertsMax = 1000
  static let reloadsMax = 100
  private static let seriesMax = 720

  let runID: String
  let startedAt: UnixNanos
  let startedNs: Int64
  var endedAt: UnixNanos?
  var samples: [HealthSample] = []
  var samplesTotal = 0
  var samplesGreen = 0
  var harvester = Totals()
  /// By service; `total` is the sum at one moment, the supervisor with it.
  var resources: [String: Resources] = [:]
  var alerts: [Alert] = []
  var alertsForgotten = 0
  var modeSnapshots: [JSONValue] = []
  var reloads: [JSONValue] = []
  var degradations: [JSONValue] = []
  var pids: [ServiceName: Int32] = [:]
  var summaries: [ServiceName: JSONValue] = [:]
  var notes: [String] = []

  init(runID: String, startedAt: UnixNanos, startedNs: Int64) {
    self.runID = runID
    self.startedAt = startedAt
    self.startedNs = startedNs
  }

  var greenShare: Double { samplesTotal == 0 ? 1 : Double(samplesGreen) / Double(samplesTotal) }

  mutating func add(_ sample: HealthSample) {
    samplesTotal += 1
    if sample.isGreen { samplesGreen += 1 }
    if samples.count == RunRecord.samplesMax { samples.removeFirst(RunRecord.samplesMax / 10) }
    samples.append(sample)
  }

  /// Notes a process's memory, files and processor time.
  mutating func add(_ sample: ProcessSample?, for name: String, atNs nowNs: Int64, sinceNs: Int64?) {
    guard let sample else {
      resources[name]?.rssBytes = 0
      resources[name]?.openFiles = 0
      return
    }
    var entry = resources[name] ?? Resources()
    let cpu = sample.cpuSeconds
    if let sinceNs, nowNs > sinceNs, cpu >= entry.cpuSeconds {
      entry.cpuRatio = (cpu - entry.cpuSeconds) / (Double(nowNs - sinceNs) / 1e9)
    }
    entry.cpuSeconds = cpu
    add(&entry, rss: sample.rssBytes, files: sample.openFiles, nowNs)
    resources[name] = entry
  }

  /// Notes the sum over all processes.
  mutating func addTotal(_ nowNs: Int64) {
    let parts = resources.filter { $0.key != "total" }.values
    var entry = resources["total"] ?? Resources()
    entry.cpuSeconds = parts.reduce(0) { $0 + $1.cpuSeconds }
    add(
      &entry, rss: parts.reduce(0) { $0 + $1.rssBytes }, files: parts.reduce(0) { $0 + $1.openFiles }, nowNs)
    resources["total"] = entry
  }

  private func add(_ entry: inout Resources, rss: Int64, files: Int, _ nowNs: Int64) {
    entry.rssBytes = rss
    entry.openFiles = files
    entry.maxRSSBytes = max(entry.maxRSSBytes, rss)
    entry.maxOpenFiles = max(entry.maxOpenFiles, files)
    if entry.series.count == RunRecord.seriesMax {
      entry.series = stride(from: 0, to: entry.series.count, by: 2).map { entry.series[$0] }
    }
    entry.series.append((Double(nowNs - startedNs) / 1e9, rss))
  }

  mutating func fired(_ alert: Alert) {
    if alerts.count == RunRecord.alertsMax {
      alerts.removeFirst()
      alertsForgotten += 1
    }
    alerts.append(alert)
  }

  /// Notes a recovery; false when no such alert is open.
  mutating func recovered(rule: String, labels: [(String, String)], at time: UnixNanos) -> Bool {
    let index = alerts.lastIndex {
      $0.rule == rule && $0.recoveredAt == nil && $0.labels.elementsEqual(labels, by: ==)
    }
    guard let index else { return false }
    alerts[index].recoveredAt = time
    return true
  }

  /// The rules were replaced: what fired by the old ones is over.
  mutating func recoverAll(at time: UnixNanos) {
    for index in alerts.indices where alerts[index].recoveredAt == nil { alerts[index].recoveredAt = time }
  }

  mutating func degrade(_ transition: JSONValue) {
    if degradations.count == RunRecord.alertsMax { degradations.removeFirst() }
    degradations.append(transition)
  }

  // MARK: Documents

  var harvesterJSON: JSONValue {
    .object([
      "queue_dropped": .integer(harvester["queue_dropped"]),
      "substream_timeout_detected": .integer(harvester["substream_timeouts"]),
      "reconnect_count": .integer(harvester["reconnects"]),
      "frames": .integer(max(harvester["frames"], summaries[.signal]?["frames_total"]?.integer ?? 0)),
      "gaps": .integer(harvester["gaps"]), "resyncs": .integer(harvester["resyncs"]),
      "lost": .integer(harvester["lost"]), "backfilled": .integer(harvester["backfilled"]),
      "rotations": .integer(harvester["rotations"]),
    ])
  }

  func processesJSON(_ supervision: Supervision) -> JSONValue {
    .object(
      supervision.members.map { member in
        .init(
          member.service.rawValue,
          .object([
            "pid": .integer(pids[member.service] ?? 0), "state": .string(member.state.rawValue),
            "restart_count": .integer(member.restartCount), "beats_missed": .integer(member.beatsMissed),
          ]))
      })
  }

  func restartsJSON(_ supervision: Supervision) -> JSONValue {
    func milliseconds(_ from: Int64, _ to: Int64?) -> JSONValue {
      .rounded(to.map { Double($0 - from) / 1e6 }, 1)
    }
    return .array(
      supervision.restarts.map { restart in
        .object([
          "process": .string(restart.service.rawValue),
          "at": .string(UTCDate(UnixNanos(startedAt.rawValue + restart.endedNs - startedNs)).isoText),
          "reason": .string(restart.reason), "backoff_ms": .rounded(restart.backoffMs, 1),
          "started_after_ms": milliseconds(restart.endedNs, restart.startedNs),
          "ready_after_ms": milliseconds(restart.endedNs, restart.readyNs),
        ])
      })
  }

  var resourcesJSON: JSONValue {
    let total = resources["total"] ?? Resources()
    let names = resources.keys.filter { $0 != "total" }.sorted()
    return .object([
      "max_rss_mb": .rounded(Double(total.maxRSSBytes) / 1_048_576, 1),
      "max_open_files": .integer(total.maxOpenFiles),
      "processes": .object(names.map { .init($0, resources[$0]!.json) }),
      "total": total.json,
      "rss_growth_mb_per_h": .object(
        names.map { .init($0, .rounded(RunRecord.growth(resources[$0]!.series), 2)) }),
    ])
  }

  /// MiB an hour over the second half of the run, by least squares; nil for less than two minutes of it.
  ///
  /// The first half is left out: caches and windows fill then.
  static func growth(_ series: [(seconds: Double, bytes: Int64)]) -> Double? {
    guard let last = series.last else { return nil }
    let half = series.filter { $0.seconds >= last.seconds / 2 && $0.bytes > 0 }
    guard let first = half.first, last.seconds - first.seconds >= 120, half.count >= 8 else { return nil }
    let n = Double(half.count)
    let meanX = half.reduce(0) { $0 + $1.seconds } / n
    let meanY = half.reduce(0) { $0 + Double($1.bytes) } / n
    var xy = 0.0
    var xx = 0.0
    for point in half {
      xy += (point.seconds - meanX) * (Double(point.bytes) - meanY)
      xx += (point.seconds - meanX) * (point.seconds - meanX)
    }
    return xx == 0 ? nil : xy / xx * 3600 / 1_048_576
  }

  var healthJSON: JSONValue {
    .object([
      "checks": .integer(samplesTotal), "green": .integer(samplesGreen),
      "green_share": .rounded(greenShare, 6),
      "series": .array(samples.map(\.json)),
    ])
  }
}
