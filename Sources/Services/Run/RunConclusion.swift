import Core
import Net
import Report
import Store
import Tape

/// What a run leaves as evidence, and how it is judged.
enum RunConclusion {
  static let greenShareMin = 0.98
  private static let artefactsMax = 1000

  // MARK: Parity

  /// Compares the sinks and leaves `parity_diff.json`; with one sink there is nothing to compare, and the file
  /// says so.
  static func parity(_ options: RunOptions) throws -> ParityReport? {
    if options.sink == .dual, Files.exists(SignalFiles.database(options.folder)) {
      return try compareSinks(runFolder: options.folder)
    }
    let reason =
      options.sink == .dual
      ? "there are no signals" : "the run has one sink (--sink \(options.sink.rawValue))"
    let json: JSONValue = .object([
      "schema_version": .integer(1), "verdict": .string("inconclusive"), "pass": .bool(false),
      "reason": .string(reason),
    ])
    try Files.writeAtomically(options.paths.parity, json.text(pretty: true) + "\n")
    return nil
  }

  // MARK: Conditions

  /// Everything that has to hold for exit code 0.
  static func conditions(_ run: RunService, _ parity: ParityReport?) -> [RunRecord.Condition] {
    var list: [RunRecord.Condition] = []
    func demand(_ name: String, _ value: String, _ limit: String, _ holds: Bool) {
      list.append(.init(name: name, value: value, limit: limit, holds: holds))
    }
    let record = run.record
    demand(
      "health_green_share", percent(record.greenShare), "≥ \(percent(greenShareMin))",
      record.greenShare >= greenShareMin)
    let unhealthy = run.supervision.members.filter { $0.state == .unhealthy }.map(\.service.rawValue)
    demand(
      "no_service_given_up", unhealthy.isEmpty ? "none" : unhealthy.joined(separator: ", "), "none",
      unhealthy.isEmpty)
    demand(
      "drained", "\(run.supervision.unreadRecords) unread", "0 unread",
      run.supervision.isDrainComplete && run.supervision.unreadRecords == 0)
    let dropped = record.harvester["queue_dropped"]
    demand("queue_dropped", "\(dropped)", "0", dropped == 0)
    if run.options.sink == .dual, run.options.plan.contains(.signal) {
      demand(
        "parity",
        parity.map { $0.isExact ? "exact, \($0.jsonl.total) rows" : $0.verdict.rawValue } ?? "no signals",
        "exact", parity?.isExact ?? false)
    }
    let total = record.resources["total"] ?? .init()
    let megabytes = Double(total.maxRSSBytes) / 1_048_576
    demand(
      "rss_total_mb", JSONValue.rounded(megabytes, 1).text ?? "", "< \(run.run.rssMiBMax)",
      megabytes < Double(run.run.rssMiBMax))
    demand(
      "open_files_total", "\(total.maxOpenFiles)", "< \(run.run.openFilesMax)",
      total.maxOpenFiles < run.run.openFilesMax)
    for service in run.options.plan where service != .venue && run.record.summaries[service] == nil {
      demand("\(service.rawValue)_ended_in_order", "no summary", "a summary", false)
    }
    return list
  }

  private static func percent(_ share: Double) -> String {
    (JSONValue.rounded(share * 100, 2).text ?? "") + " %"
  }

  // MARK: Manifests

  static func manifest(_ run: RunService, state: String, conditions: [RunRecord.Condition]) throws
    -> JSONValue
  {
    let record = run.record
    let ended = record.endedAt
    let seconds = ended.map { Double($0.rawValue - record.startedAt.rawValue) / 1e9 }
    return .object([
      "schema_version": .integer(1), "run_id": .string(record.runID), "state": .string(state),
      "started_at": .string(UTCDate(record.startedAt).isoText),
      "ended_at": ended.map { .string(UTCDate($0).isoText) } ?? .null,
      "duration_s": .rounded(seconds, 3),
      "stop_reason": run.supervision.stopReason.map { .string($0) } ?? .null,
      "ok": conditions.isEmpty ? .null : .bool(conditions.allSatisfy(\.holds)),
      "conditions": .array(conditions.map(\.json)),
      "config_version": .string(run.options.configurationVersion),
      "config_hash": .string(sha256Hex(run.options.configurationText)),
      "sink": .string(run.options.sink.rawValue),
      "services": .array(run.options.plan.map { .string($0.rawValue) }),
      "status": .object([
        "processes": record.processesJSON(run.supervision),
        "effects": .array(run.watch.effects.map { .string($0) }),
      ]),
      "restart_backoff_pattern": record.restartsJSON(run.supervision),
      "health": record.healthJSON,
      "harvester_metrics": record.harvesterJSON,
      "resource_usage": record.resourcesJSON,
      "shutdown_order": .array(run.supervision.shutdownOrder.map { .string($0.rawValue) }),
      "unread_records": .integer(run.supervision.unreadRecords),
      "timeseries_export": run.watch.exportJSON,
      "timeseries_data": run.watch.exportDataJSON,
      "alerts": .array(record.alerts.map(\.json)),
      "alerts_forgotten": .integer(record.alertsForgotten),
      "degradations": .array(record.degradations),
      "mode_snapshots": .array(record.modeSnapshots),
      "reloads": .array(record.reloads),
      "parameters": run.parametersJSON,
      "summaries": .object(
        run.options.plan.compactMap { service in
          record.summaries[service].map { .init(service.rawValue, brief($0)) }
        }),
      "notes": .array(record.notes.map { .string($0) }),
      "artefacts": try artefacts(run.options, isFinished: state == "finished"),
    ])
  }

  /// A service's summary without what grows with symbols.
  private static func brief(_ summary: JSONValue) -> JSONValue {
    .object((summary.members ?? []).filter { $0.key != "symbols" || $0.value.members == nil })
  }

  static func writeSourceManifest(_ run: RunService) throws {
    let options = run.options
    var endpoints: [JSONValue.Member] = []
    var region = "local"
    switch options.source {
    case .embedded:
      endpoints = [.init("rest", .string(run.venueAddress)), .init("kind", .string("embedded venue"))]
    case .venue(let name):
      if let venue = try? VenueEndpoints(name, configuration: options.configuration.venues) {
        endpoints = [.init("rest", .string(venue.rest)), .init("websocket", .string(venue.webSocket))]
        region = host(venue.webSocket).map { isLoopback($0) ? "local" : $0 } ?? "unknown"
      }
    case .tape(let folder): endpoints = [.init("tape", .string(folder))]
    case .stream(let name):
      endpoints = [
        .init("redis", .string(options.configuration.redis.url)), .init("stream", .string(name)),
      ]
    }
    let mode =
      switch options.source {
      case .embedded: "embedded"
      case .venue(let name): name == "live" || name == "testnet" ? name : "venue"
      case .tape: "tape"
      case .stream: "stream"
      }
    let json: JSONValue = .object([
      "schema_version": .integer(1), "run_id": .string(run.record.runID),
      "symbols": .array(options.symbols.map { .string($0) }),
      "session_start": .string(UTCDate(run.record.startedAt).isoText),
      "session_end": run.record.endedAt.map { .string(UTCDate($0).isoText) } ?? .null,
      "ws_endpoints": .object(endpoints), "ws_region": .string(region), "input_mode": .string(mode),
      "replay_mode": .bool(options.isReplay),
      "streams": .array(options.configuration.harvest.streams.map { .string($0) }),
      "config_version": .string(options.configurationVersion),
      "config_snapshot": options.configurationJSON["values"] ?? .null,
    ])
    try Files.writeAtomically(options.paths.sourceManifest, json.text(pretty: true) + "\n")
  }

  private static func host(_ address: String) -> String? {
    address.split(separator: "/").dropFirst().first.map { String($0.prefix { $0 != ":" }) }
  }

  private static func isLoopback(_ host: String) -> Bool { host == "localhost" || host.hasPrefix("127.") }

  /// Every file that tells of the run, with its size and SHA-256. A tape's segments stand in for themselves by
  /// their seals, which hold their hashes.
  private static func artefacts(_ options: RunOptions, isFinished: Bool) throws -> JSONValue {
    guard isFinished else { return .array([]) }
    var paths = ["source_manifest.json", "parity_diff.json", "summary.json", "signals.sqlite", "config.yaml"]
    paths += (try? Files.list(options.folder))?.filter { $0.hasPrefix("summary_") }.sorted() ?? []
    paths += ["orders/orders.jsonl", "orders/summary.json", "venue_truth.json"]
    paths.append("shadow/signals.sqlite")
    for folder in ["signals/jsonl", "shadow/signals/jsonl", "tape"] {
      let names = (try? Files.list(options.folder + "/" + folder)) ?? []
      paths += names.sorted().filter { folder != "tape" || $0.hasSuffix(".seal.json") }.map {
        "\(folder)/\($0)"
      }
    }
    let list: [JSONValue] = try paths.prefix(artefactsMax).compactMap { path in
      let whole = options.folder + "/" + path
      guard Files.exists(whole), !Files.isFolder(whole) else { return nil }
      let (hash, bytes) = try sha256(ofFile: whole)
      return .object(["path": .string(path), "bytes": .integer(bytes), "sha256": .string(hash)])
    }
    return .array(list)
  }

  private static func sha256Hex(_ text: String) -> String {
    var hash = RowHash()
    var text = text
    text.withUTF8 { hash.append(UnsafeRawBufferPointer($0)) }
    return hash.hexadecimal()
  }

  private static func sha256(ofFile path: String) throws(FileError) -> (hash: String, bytes: Int) {
    let file = try File(path, .read)
    var hash = RowHash()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { buffer.deallocate() }
    var bytes = 0
    while true {
      let count = try file.read(into: buffer)
      if count == 0 { return (hash.hexadecimal(), bytes) }
      bytes += count
      hash.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }
}

extension RunService {
  /// `run_status.json`, and what `weir ctl status` shows.
  public var statusJSON: JSONValue {
    let now = EventLoop.monotonicNow()
    return .object([
      "run_id": .string(record.runID), "t": .string(UTCDate(EventLoop.wallNow()).isoText),
      "state": .string(supervision.phase.rawValue),
      "uptime_s": .rounded(Double(now - record.startedNs) / 1e9, 1),
      "window_s": .rounded(Double(now - record.startedNs) / 1e9, 1),
      "processes": .array(
        supervision.members.map { member in
          let use = record.resources[member.service.rawValue] ?? .init()
          return .object([
            "name": .string(member.service.rawValue), "pid": .integer(member.pid),
            "state": .string(member.state.rawValue), "restart_count": .integer(member.restartCount),
            "rss_mb": .rounded(Double(use.rssBytes) / 1_048_576, 1), "open_files": .integer(use.openFiles),
            "cpu_ratio": .rounded(use.cpuRatio, 4), "seq": .integer(member.sequence),
            "time_ns": .integer(member.timeNs),
            "backlog": supervision.backlog(member.service).map { .integer($0) } ?? .null,
            "metrics_port": ports[member.service].map { .integer($0) } ?? .null,
          ])
        }),
      "status": .object(["processes": record.processesJSON(supervision)]),
      "health": .object([
        "checks": .integer(record.samplesTotal), "green_share": .rounded(record.greenShare, 6),
      ]),
      "harvester_metrics": record.harvesterJSON,
      "timeseries_export": watch.exportJSON,
      "alerts": .array(record.alerts.map(\.json)),
      "mode": .string(watch.mode), "effects": .array(watch.effects.map { .string($0) }),
      "mode_snapshots": .array(record.modeSnapshots),
      "parameters": parametersJSON,
      "metrics_port": .integer(watch.metricsPort),
    ])
  }
}
