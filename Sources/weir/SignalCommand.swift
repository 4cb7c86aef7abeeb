import CommandLineKit
import Core
import Report
import Services
import Store

enum SignalCommand {
  static let command = Command(
    name: "signal", summary: "a growing tape → signals, live",
    details: """
      Follows a tape while a harvester writes it (woken by its growth) and runs the signal stage over it. SIGINT or \
      SIGTERM ends it after what is on the tape; the files are the same bytes as those of 'weir replay' of that tape. \
      Started again on the same folder before it ended in order, it goes on from its last checkpoint.
      """,
    arguments: [CommandArgument("tape", "the tape's folder; may not exist yet")],
    options: [
      .text("out", "RUN", "folder for signals, summary.json and reports").required(),
      .oneOf("sink", SignalSinkSet.Choice.allCases.map(\.rawValue), default: "dual", "where signals go"),
      .double("minutes", 0.001...1_000_000, "end after so long"),
      .double("idle-s", 0.1...86_400, "end when the tape has not grown for so many seconds"),
      .text("final-books", "FILE", "write the books at the end of the tape as JSON"),
      .integer(
        "metrics-port", 0...65_535, "serve /metrics, /healthz, /readyz on loopback; 0 for a free port"),
      .flag(
        "supervised", "speak to a supervisor on standard input and output; leave the reports to their service"
      ),
    ] + Configuring.options,
    examples: [
      "weir signal out/tape --out out/run --sink dual",
      "weir signal out/tape --out out/run --idle-s 30 --json",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let isSupervised = arguments.has("supervised")
    let service = try SignalService(
      SignalOptions(
        run: ReplayOptions(
          tape: arguments.argument("tape"), out: arguments.text("out")!,
          sink: arguments.choice("sink", as: SignalSinkSet.Choice.self)!,
          finalBooks: arguments.text("final-books"), configuration: Configuring.withReportZone(loaded),
          configurationVersion: loaded.version,
          configurationText: loaded.render(omitsSecrets: true, showsOrigins: false)),
        follower: .init(idleSecondsMax: arguments.double("idle-s"), minutes: arguments.double("minutes")),
        metricsPort: arguments.integer("metrics-port").map(UInt16.init), isSupervised: isSupervised))
    let console = arguments.console
    let progress = Progress("signal", unit: "records", for: arguments)
    let result = try service.run(
      ready: { line in
        guard arguments.isJSON else { return }
        try? console.print(json: line)
        try? console.flush()
      }, note: operatorNote(arguments, "signal"), progress: { progress.update($0) })
    progress.finish()
    guard isSupervised else { return try ReplayCommand.print(result!, arguments, live: service.live) }
    var summary = result?.briefSummary ?? RunSummary()
    summary.extra.append(.init("live", service.live))
    service.say(summary: summary.json)
    return result?.tapeIsDamaged == true ? .failedCheck : .ok
  }
}
