import Core

/// A soak's numbers beside what they must be.
public struct SoakVerdict: Sendable {
  public enum Outcome: String, Sendable {
    case pass, fail, skipped
  }

  public struct Line: Sendable {
    public var name: String
    public var measured: String
    public var limit: String
    /// Where the spec names something better than the limit.
    public var goal: String
    public var outcome: Outcome
    public var meetsGoal: Bool
  }

  public private(set) var lines: [Line] = []
  public var holds: Bool { lines.allSatisfy { $0.outcome != .fail } }

  private static let shutdownOrder = ["report", "broker", "signal", "harvest", "convert", "venue"]
  private static let fields = [
    "run_id", "started_at", "ended_at", "config_hash", "status", "restart_backoff_pattern", "health",
    "harvester_metrics", "resource_usage", "shutdown_order", "timeseries_export", "timeseries_data", "alerts",
    "artefacts",
  ]

  init(
    manifest: JSONValue, summary: JSONValue, exit: ChildProcess.Exit?, minutes: Double, killedPID: Int32?,
    leftOver: [Int32], replaySHA256: String, hasExport: Bool, missingFiles: [String]
  ) {
    func number(_ value: JSONValue?) -> Double? { value?.text.flatMap { Double($0) } }
    func text(_ value: Double?, _ decimals: Int = 0) -> String {
      JSONValue.rounded(value, decimals).text ?? "none"
    }

    add("exit code of the run", exit.map { "\($0)" } ?? "none", "0", exit?.code == 0)

    let share = number(manifest["health"]?["green_share"])
    add(
      "health green", text(share.map { $0 * 100 }, 2) + " %", "≥ 98 %", (share ?? 0) >= 0.98, "100 %",
      share == 1)

    let restarts = (manifest["restart_backoff_pattern"]?.elements ?? [])
      .filter { $0["process"]?.text == "signal" }
    let readyMs = restarts.compactMap { number($0["ready_after_ms"]) }.max()
    let wasKilled = killedPID != nil
    add(
      "signal stage killed and ready again", wasKilled ? text(readyMs, 0) + " ms" : "no fault", "≤ 12000 ms",
      wasKilled && (readyMs ?? .infinity) <= 12_000, "< 1000 ms", (readyMs ?? .infinity) < 1000)
    add(
      "restart_backoff_pattern", "\(restarts.count) restart of signal", "1", !wasKilled || restarts.count == 1
    )
    let others = (manifest["status"]?["processes"]?.members ?? []).filter { $0.key != "signal" }
      .compactMap { $0.value["restart_count"]?.integer }.reduce(0, +)
    add("other restarts", "\(others)", "0", others == 0)

    let order = (manifest["shutdown_order"]?.elements ?? []).compactMap(\.text)
    let expected = SoakVerdict.shutdownOrder.filter { order.contains($0) }
    add(
      "order of shutdown", order.joined(separator: " "), "report … harvest",
      order == expected && order.count > 3)
    add("processes left over", "\(leftOver.count)", "0", leftOver.isEmpty)
    let unread = manifest["unread_records"]?.integer
    add("records left unread", unread.map { "\($0)" } ?? "none", "0", unread == 0)

    let exported = number(manifest["timeseries_export"]?["export_count"]) ?? 0
    let errors = number(manifest["timeseries_export"]?["error_count"]) ?? 0
    if hasExport {
      add("exports", text(exported), "≥ \(Int(minutes))", exported >= minutes.rounded(.down))
      add("export errors", text(errors), "0", errors == 0)
    } else {
      lines.append(
        Line(
          name: "exports", measured: "no server", limit: "≥ \(Int(minutes))", goal: "", outcome: .skipped,
          meetsGoal: false))
    }

    let conditions = manifest["conditions"]?.elements ?? []
    let parity = conditions.first { $0["name"]?.text == "parity" }
    add("parity of the sinks", parity?["value"]?.text ?? "none", "exact", parity?["holds"]?.boolean == true)
    let live = summary["signals_sha256"]?.text ?? "none"
    add(
      "signals = replay of the tape",
      live == replaySHA256 ? "same bytes" : "\(live.prefix(8)) ≠ \(replaySHA256.prefix(8))",
      "same bytes", live == replaySHA256)

    let harvester = manifest["harvester_metrics"]
    for (key, limit) in [("queue_dropped", 0), ("substream_timeout_detected", 0), ("lost", 0)] {
      let value = number(harvester?[key])
      add(key, text(value), "\(limit)", value == Double(limit))
    }
    let hours = max(1, minutes / 60)
    let reconnects = number(harvester?["reconnect_count"])
    add(
      "reconnect_count", text(reconnects), "≤ \(Int(3 * hours))", (reconnects ?? .infinity) <= 3 * hours, "0",
      reconnects == 0)

    addResources(manifest["resource_usage"], minutes: minutes)
    let missing = missingFiles + SoakVerdict.fields.filter { manifest[$0] == nil || manifest[$0] == .null }
    add(
      "manifests complete", missing.isEmpty ? "yes" : "missing " + missing.joined(separator: ", "), "yes",
      missing.isEmpty)
  }

  private mutating func addResources(_ usage: JSONValue?, minutes: Double) {
    func number(_ value: JSONValue?) -> Double? { value?.text.flatMap { Double($0) } }
    let total = number(usage?["max_rss_mb"]) ?? .infinity
    add("RSS in all", "\(total) MB", "< 600 MB", total < 600)
    for member in usage?["processes"]?.members ?? [] {
      let megabytes = number(member.value["max_rss_mb"]) ?? .infinity
      let growth = number(usage?["rss_growth_mb_per_h"]?[member.key])
      let words = growth.map { ", \(JSONValue.rounded($0, 1).text ?? "") MB/h" } ?? ""
      // The slope of a short soak is noise and start-up; over an hour it must be level.
      let isLevel = minutes < 30 || (growth ?? 0) < 8
      add(
        "RSS of \(member.key)", "\(megabytes) MB\(words)", "< 600 MB, level", megabytes < 600 && isLevel,
        "< 40 MB",
        megabytes < 40)
    }
    let files = number(usage?["max_open_files"]) ?? .infinity
    add("open files in all", JSONValue.rounded(files, 0).text ?? "none", "< 256", files < 256)
  }

  private mutating func add(
    _ name: String, _ measured: String, _ limit: String, _ holds: Bool, _ goal: String = "",
    _ meetsGoal: Bool = true
  ) {
    lines.append(
      Line(
        name: name, measured: measured, limit: limit, goal: goal, outcome: holds ? .pass : .fail,
        meetsGoal: goal.isEmpty || meetsGoal))
  }

  public var json: JSONValue {
    .object([
      "ok": .bool(holds),
      "lines": .array(
        lines.map { line in
          .object([
            "name": .string(line.name), "measured": .string(line.measured), "limit": .string(line.limit),
            "goal": .string(line.goal), "outcome": .string(line.outcome.rawValue),
            "meets_goal": .bool(line.meetsGoal),
          ])
        }),
    ])
  }
}
