import CommandLineKit
import Core
import Report
import Services
import Store

enum ReplayCommand {
  static let command = Command(
    name: "replay", summary: "tape → signals, summary and report",
    details: """
      Reads a tape and runs the signal stage over it exactly as it would run live: time is the tape's receive \
      time, so every speed gives the same bytes. Exit code 1 when part of the tape is missing or unreadable.
      """,
    arguments: [CommandArgument("tape", "the tape's folder")],
    options: [
      .text("out", "RUN", "folder for signals, summary.json and reports").required(),
      .oneOf("sink", SignalSinkSet.Choice.allCases.map(\.rawValue), default: "dual", "where signals go"),
      .text("speed", "max|xN", default: "max", "as fast as possible, or N tape seconds a second"),
      .text("final-books", "FILE", "write the books at the end of the tape as JSON"),
    ] + Configuring.options,
    examples: [
      "weir replay out/tape --out out/run --sink dual",
      "weir replay out/tape --out out/run --speed x50 --json",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let progress = Progress("replay", unit: "records", for: arguments)
    let result = try Replay.run(
      ReplayOptions(
        tape: arguments.argument("tape"), out: arguments.text("out")!,
        sink: arguments.choice("sink", as: SignalSinkSet.Choice.self)!,
        speed: try speed(arguments.text("speed")!),
        finalBooks: arguments.text("final-books"), configuration: Configuring.withReportZone(loaded),
        configurationVersion: loaded.version,
        configurationText: loaded.render(omitsSecrets: true, showsOrigins: false))
    ) { progress.update($0) }
    progress.finish()
    return try print(result, arguments)
  }

  /// What a run of the signal stage ends with, live or not.
  static func print(_ result: ReplayResult, _ arguments: ParsedArguments, live: JSONValue? = nil) throws
    -> ExitCode
  {
    if arguments.isJSON {
      var summary = result.summary
      if let live { summary.extra.append(.init("live", live)) }
      try arguments.console.print(json: summary.json)
    } else {
      try arguments.console.write(
        terminalReport(result.summary, top: result.topSignals, overview: result.overview))
      for warning in result.warnings { try arguments.console.print("warning: \(warning)") }
      try arguments.console.print("summary: \(arguments.text("out")!)/summary.json")
      try arguments.console.print("reports: \(arguments.text("out")!)/reports")
    }
    return result.tapeIsDamaged ? .failedCheck : .ok
  }

  /// nil for `max`.
  private static func speed(_ text: String) throws -> Double? {
    if text == "max" { return nil }
    guard text.hasPrefix("x"), let speed = Double(text.dropFirst()), speed.isFinite, speed > 0, speed <= 1e6
    else {
      throw UsageError("--speed must be max, or x and a number such as x50; found \"\(text)\"")
    }
    return speed
  }
}
