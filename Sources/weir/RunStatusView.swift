import CommandLineKit
import Core

/// A run's status, as its socket or its manifest tells it, for people.
struct RunStatusView {
  let status: JSONValue
  /// Wall time, which the age of the newest record is counted from.
  let nowNs: Int64

  func text(_ style: TerminalStyle) -> String {
    var parts = ["run \(status["run_id"]?.text ?? "?"): \(status["state"]?.text ?? "?")"]
    if let seconds = status["uptime_s"]?.double { parts.append("up \(RunStatusView.duration(seconds))") }
    if let mode = status["mode"]?.text { parts.append("mode \(mode)") }
    let effects = (status["effects"]?.elements ?? []).map { $0.text ?? $0["name"]?.text ?? $0.text() }
    if !effects.isEmpty { parts.append("in effect: " + effects.joined(separator: ", ")) }
    var text = parts.joined(separator: ", ") + "\n"
    text += table.text(style)
    let alerts = status["alerts"]?.elements ?? []
    if !alerts.isEmpty { text += "\n" + RunStatusView.alertTable(alerts).text(style) }
    return text
  }

  private var table: TextTable {
    var table = TextTable([
      "service", "pid", "state", "restarts", "RSS MB", "files", "CPU", "seq", "backlog", "lag",
    ])
    for process in status["processes"]?.elements ?? [] {
      func cell(_ key: String) -> String { process[key]?.text ?? "–" }
      table.add([
        cell("name"), cell("pid"), cell("state"), cell("restart_count"),
        JSONValue.rounded(process["rss_mb"]?.double, 1).text ?? "–", cell("open_files"),
        JSONValue.rounded(process["cpu_ratio"]?.double.map { $0 * 100 }, 1).text.map { $0 + " %" } ?? "–",
        cell("seq"), cell("backlog"), lag(process["time_ns"]?.integer),
      ])
    }
    return table
  }

  /// Age of the newest record done; a replay's tape time says nothing about it.
  private func lag(_ timeNs: Int64?) -> String {
    guard let timeNs, timeNs > 0 else { return "–" }
    let seconds = Double(nowNs - timeNs) / 1e9
    if seconds >= 86_400 { return "–" }
    return seconds < 10
      ? "\(JSONValue.rounded(seconds * 1000, 0).text ?? "–") ms" : RunStatusView.duration(seconds)
  }

  static func alertTable(_ alerts: [JSONValue]) -> TextTable {
    var table = TextTable(["alert", "level", "fired", "recovered", "detail"])
    for alert in alerts {
      table.add(
        [alert.text ?? alert["rule"]?.text ?? "?"]
          + ["level", "fired_at", "recovered_at", "detail"].map { alert[$0]?.text ?? "–" })
    }
    return table
  }

  /// `1:02:05`
  static func duration(_ seconds: Double) -> String {
    let whole = Int64(max(0, min(seconds, 1e12)))
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))"
  }
}
