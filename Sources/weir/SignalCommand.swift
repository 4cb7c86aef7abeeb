import CommandLineKit
import Core
import Services
import Store

enum SignalCommand {
  static let command = Command(
    name: "signal", summary: "a growing tape → signals, live",
    details: """
      Follows a tape while a harvester writes it (woken by its growth) and runs the signal stage over it. SIGINT or \
      SIGTERM ends it after what is on the tape; the files are the same bytes as those of 'weir replay' of that tape. \
      Started again on the same folder before it ended in order, it continues.
      """,
    arguments: [CommandArgument("tape", "the tape's folder; may not exist yet")],
    options: [
      .text("out", "RUN", "folder for signals, summary.json and reports").required(),
      .oneOf("sink", SignalSinkSet.Choice.allCases.map(\.rawValue), default: "dual", "where signals go"),
      .double("minutes", 0.001...1_000_000, "end after so long"),
      .double("idle-s", 0.1...86_400, "end when the tape has not grown for so many seconds"),
      .text("final-books", "FILE", "write the books at the end of the tape as JSON"),
    ] + Configuring.options,
    examples: [
      "weir signal out/tape --out out/run --sink dual",
      "weir signal out/tape --out out/run --idle-s 30 --json",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let follower = try TapeFollower(
      folder: arguments.argument("tape"),
      options: .init(idleSecondsMax: arguments.double("idle-s"), minutes: arguments.double("minutes")))
    let progress = Progress("signal", unit: "records", for: arguments)
    let result = try Replay.run(
      ReplayOptions(
        tape: arguments.argument("tape"), out: arguments.text("out")!,
        sink: arguments.choice("sink", as: SignalSinkSet.Choice.self)!,
        finalBooks: arguments.text("final-books"), configuration: Configuring.withReportZone(loaded),
        configurationVersion: loaded.version),
      following: follower
    ) { progress.update($0) }
    progress.finish()
    return try ReplayCommand.print(result, arguments, live: follower.json)
  }
}
