import CommandLineKit
import Core
import Report

enum ParityCommand {
  static let command = Command(
    name: "parity", summary: "compare a run's JSONL and SQLite rows",
    details: "Writes parity_diff.json into the run's folder; exit code 1 when the sinks differ too much.",
    arguments: [CommandArgument("run", "the run's folder, made with --sink dual")],
    examples: ["weir parity out/run"]
  ) { arguments in
    let run = arguments.argument("run")
    let report = try compareSinks(runFolder: run)
    if arguments.isJSON {
      try arguments.console.print(json: report.json)
    } else {
      let rows = report.rowsOnlyJSONL + report.rowsOnlySQLite + report.rowsDifferent
      try arguments.console.print(
        "parity: \(report.jsonl.total) JSONL rows, \(report.sqlite.total) SQLite rows, \(rows) differ")
      if let first = report.firstDifference {
        try arguments.console.print(
          "first difference: \(first.signalID) \(first.column): \(first.jsonl.text()) in JSONL, \(first.sqlite.text()) in SQLite"
        )
      }
      try arguments.console.print("\(run)/parity_diff.json")
    }
    return report.verdict == .fail ? .failedCheck : .ok
  }
}
