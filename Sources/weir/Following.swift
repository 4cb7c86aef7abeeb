import CommandLineKit
import Core
import Services
import Store

/// The options of the services that follow a run's signals.
enum Following {
  static let options: [CommandOption] = [
    .flag("once", "take what is there now, and end; without it, too, when the run has ended"),
    .double("minutes", 0.001...1_000_000, "end after so long"),
    .double("idle-s", 0.1...86_400, "end when no row has come for so many seconds"),
    .integer(
      "metrics-port", 0...65_535, "serve /metrics, /healthz, /readyz on loopback; 0 for a free port"),
    .flag("supervised", "standard input and output belong to a supervisor"),
  ]

  static func follow(_ arguments: ParsedArguments, _ runFolder: String) -> FollowOptions {
    // The signal stage writes its summary last.
    let isOver = Files.exists(runFolder + "/summary.json") && !arguments.has("supervised")
    return FollowOptions(
      isOnce: isOver || arguments.has("once"), minutes: arguments.double("minutes"),
      idleSecondsMax: arguments.double("idle-s"),
      isSupervised: arguments.has("supervised"),
      metricsPort: arguments.integer("metrics-port").map(UInt16.init))
  }

  /// What `--sink` says, or else what the run's folder holds; the first is the one that counts.
  static func sources(_ arguments: ParsedArguments, _ runFolder: String) -> [SignalFeed.Source] {
    guard let text = arguments.text("sink"), let choice = SignalSinkSet.Choice(rawValue: text) else {
      var found: [SignalFeed.Source] = []
      if Files.isFolder(SignalFiles.jsonlFolder(runFolder)) { found.append(.jsonl) }
      if Files.exists(SignalFiles.database(runFolder)) { found.append(.sqlite) }
      return found
    }
    return (choice.hasJSONL ? [.jsonl] : []) + (choice.hasSQLite ? [.sqlite] : [])
  }
}
