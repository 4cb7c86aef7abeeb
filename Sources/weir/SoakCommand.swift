import CommandLineKit
import Core
import Services

enum SoakCommand {
  static let command = Command(
    name: "soak", summary: "a whole run with a fault, judged against every number",
    details: """
      Starts 'weir run' on the embedded venue, kills the signal stage (signal 9) at half time, waits for the end, \
      and compares what the run left with the acceptance list: health, restart time, order of shutdown, exports, \
      parity, drops, memory, files, and that the signals are those of a replay. Exports go to TIMESERIES_URL, else to \
      a Pushgateway started on loopback where one is installed. Exit code 0 only if every line passes.
      """,
    options: [
      .double("minutes", 0.2...100_000, default: 10, "length of the run"),
      .text("run-dir", "DIR", "folder of the run; default: a new one under ./runs"),
      .text("symbols", "A,B", "instruments; default run.symbols of the configuration"),
      .double("rate", 1...2_000_000, "frames a second of the market over all symbols"),
    ] + Configuring.options,
    examples: ["weir soak --minutes 10", "weir soak --minutes 60 --run-dir out/soak --json"]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let folder = arguments.text("run-dir") ?? RunOptions.newFolder()
    var words: [String] = []
    for name in ["config", "symbols"] {
      if let value = arguments.text(name) { words += ["--\(name)", value] }
    }
    if let rate = arguments.double("rate") { words += ["--rate", "\(rate)"] }
    for value in arguments.texts("set") { words += ["--set", value] }
    let soak = try Soak(
      SoakOptions(
        minutes: arguments.double("minutes")!, folder: folder, arguments: words,
        configuration: Configuring.withReportZone(loaded), configurationVersion: loaded.version,
        environment: ProcessEnvironment.variables()),
      note: { arguments.console.note("weir soak: \($0)") })
    let verdict = try soak.run()
    try Files.writeAtomically(folder + "/soak.json", verdict.json.text(pretty: true) + "\n")
    if arguments.isJSON {
      try arguments.console.print(json: verdict.json)
    } else {
      var table = TextTable(["number", "measured", "limit", "", "goal", ""])
      for line in verdict.lines {
        let goal = line.goal.isEmpty ? "" : line.meetsGoal ? "met" : "not met"
        table.add([
          line.name, line.measured, line.limit, line.outcome == .fail ? "FAIL" : line.outcome.rawValue,
          line.goal,
          goal,
        ])
      }
      try arguments.console.write(table.text(arguments.console.style))
      try arguments.console.print(verdict.holds ? "the soak holds" : "the soak does NOT hold")
    }
    return verdict.holds ? .ok : .failedCheck
  }
}
