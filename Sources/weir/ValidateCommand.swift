import CommandLineKit
import Core
import DuckDB
import Services
import Tape

enum ValidateCommand {
  static let command = Command(
    name: "validate", summary: "prove that converted files hold what their tape holds",
    details: """
      Reads the tape by a second, plain reading and the files by DuckDB, and compares rows, columns, types, \
      nulls, schema versions and a hash of every column of every file; also the conversion's records, the files' \
      names and sizes, and the tape's seals. Exit code 1 when anything differs, 2 when there is nothing to \
      compare or DuckDB is not here.
      """,
    arguments: [
      CommandArgument("tape", "the tape's folder, or a run's with a tape in it"),
      CommandArgument("dir", "folder of the Parquet files"),
    ],
    options: [.flag("no-seals", "do not recompute the hashes of the tape's segments")],
    examples: ["weir validate out/tape out/parquet", "weir validate out/tape out/parquet --json"]
  ) { arguments in
    let named = arguments.argument("tape")
    let tape = !Tape.holdsRecords(named) && Files.isFolder(named + "/tape") ? named + "/tape" : named
    let progress = Progress("validate", unit: "records", for: arguments)
    let (verdict, json) = try validateConversion(
      tape: tape, folder: arguments.argument("dir"), checksSeals: !arguments.has("no-seals")
    ) { progress.update($0) }
    progress.finish()
    if arguments.isJSON {
      try arguments.console.print(json: json)
    } else {
      try print(verdict, arguments.console)
    }
    return verdict.isMatch ? .ok : .failedCheck
  }

  /// Differences that are printed for people; the JSON has more.
  private static let shownMax = 20

  private static func print(_ verdict: ConversionVerdict, _ console: Console) throws {
    let rows = verdict.rowsTape.values.reduce(0, +)
    try console.print(
      "\(verdict.isMatch ? "match" : "NO MATCH"): \(rows) rows of the tape, "
        + "\(verdict.rowsParquet.values.reduce(0, +)) in \(verdict.files) files, \(verdict.segments) segments"
    )
    try console.print("content hash \(verdict.contentHashParquet)\(verdict.isHashEqual ? "" : " differs")")
    for difference in verdict.differences.prefix(shownMax) {
      let column = difference.column.map { " (\($0))" } ?? ""
      try console.print("\(difference.file)\(column): \(difference.what)")
    }
    if verdict.differenceCount > shownMax {
      try console.print("\(verdict.differenceCount - shownMax) further differences; --json lists them")
    }
  }
}

extension ConversionValidator.Failure: ExitCodeError {
  public var exitCode: ExitCode { .usage }
}
