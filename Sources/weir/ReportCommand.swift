import CommandLineKit
import Core
import Services
import Store

enum ReportCommand {
  static let command = Command(
    name: "report", summary: "a run's signals → daily reports",
    details: """
      Keeps RUN/reports/<sink>/summary_<day>.json and .md, with charts, up to date while a run goes on, and \
      RUN/summary_<day>.json and .md from its first sink. SIGINT or SIGTERM ends it with a last report. A \
      run that has ended is reported at once.
      """,
    options: [
      .text("run", "RUN", "the run's folder").required(),
      .oneOf(
        "sink", SignalSinkSet.Choice.allCases.map(\.rawValue),
        "where its signals are read; default: what is there"),
      .text("data", "DIR", "converted tables of the market, for the section Market by SQL"),
    ] + Following.options + Configuring.options,
    examples: ["weir report --run out/run", "weir report --run out/run --sink dual --metrics-port 9104"]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let run = arguments.text("run")!
    let sources = Following.sources(arguments, run)
    guard !sources.isEmpty else {
      throw UsageError("\(run) has no signals yet; name their sink with --sink to wait for them")
    }
    let console = arguments.console
    let service = try ReportService(
      ReportServiceOptions(
        runFolder: run, sources: sources, follow: Following.follow(arguments, run),
        configuration: Configuring.withReportZone(loaded), dataFolder: arguments.text("data")))
    try service.run { line in
      try? console.print(json: line)
      try? console.flush()
    }
    return .ok
  }
}
