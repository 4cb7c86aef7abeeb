import CommandLineKit
import Core
import DuckDB
import Services
import Store
import Tables

enum SQLCommand {
  static let command = Command(
    name: "sql", summary: "ask converted tables, a tape and a run in SQL",
    details: """
      Views: depth, trade, book_ticker, mark_price, kline, liquidation, snapshot, feed, other (rows as converted); \
      trades (each once, with ts_ns and ts), book_tops (with mid, spread, ofi), bars_1s, bars_1m; signals and \
      orders of --run. The SQL is DuckDB's; nothing outside the named folders can be read or written.

      As: weir sql --data out/parquet "SELECT * FROM bars_1m ORDER BY start_ns LIMIT 10"

      A tape that is not converted is read into memory with --tape, as far as the statement names its tables. \
      Exit code 2 when the statement is wrong.
      """,
    arguments: [.optional("statement", "one SQL statement")],
    options: [
      .text("data", "DIR", "folder of the Parquet files"),
      .text("tape", "TAPE", "a tape, in place of --data"),
      .text("run", "RUN", "the run whose signals and orders are asked"),
      .oneOf(
        "query", StandardQuery.allCases.map(\.name), "a question of the reports, in place of a statement"),
      .oneOf("format", ["csv", "json", "table"], "default: table on a terminal, else csv; json with --json"),
      .integer("threads", 1...64, default: 2, "of DuckDB"),
      .integer(
        "memory-mb", 64...1_048_576, default: 4096, "that DuckDB may take; beyond it the statement fails"),
    ],
    examples: [
      "weir sql --data out/parquet --query symbol_totals",
      "weir sql --run out/run --tape out/run/tape --query signal_tiers --format json",
    ]
  ) { arguments in
    let statement = try statement(arguments)
    let options = DuckDBOptions(
      threads: arguments.integer("threads")!, memoryMegabytesMax: arguments.integer("memory-mb")!)
    let progress = Progress("tape", unit: "records", for: arguments)
    let run = arguments.text("run")
    if let run, !Files.isFolder(run) { throw UsageError("--run: there is no folder \(run)") }
    let lines = try runLines(run)
    if let run, statement.lowercased().contains("signals"), lines[0].files.isEmpty,
      Files.exists(SignalFiles.database(run))
    {
      throw UsageError(
        "\(run) keeps its signals in SQLite alone; ask them there, or replay with --sink jsonl")
    }
    let market = try MarketDatabase(
      source(arguments), lines: lines, question: statement, options: options
    ) { progress.update($0) }
    progress.finish()
    try market.database.withInterruptBySignal {
      let result = try market.database.query(statement)
      let format = SQLOutput.Format(
        rawValue: arguments.text("format")
          ?? (arguments.isJSON ? "json" : arguments.console.isOutputTerminal ? "table" : "csv"))!
      try SQLOutput(format, arguments.console).write(result)
    }
    return .ok
  }

  private static func statement(_ arguments: ParsedArguments) throws -> String {
    let text = arguments.argument("statement")
    let named = arguments.choice("query", as: StandardQuery.self)
    switch (text.isEmpty, named) {
    case (false, nil): return text
    case (true, let query?): return query.sql
    case (true, nil): throw UsageError("name a statement, or a question by --query")
    case (false, _?): throw UsageError("name a statement or --query, not both")
    }
  }

  private static func source(_ arguments: ParsedArguments) throws -> MarketDatabase.Source {
    switch (arguments.text("data"), arguments.text("tape")) {
    case (let data?, nil): return .parquet(folder: data)
    case (nil, let tape?): return .tape(folder: tape)
    case (nil, nil):
      if arguments.has("run") { return .none }
      throw UsageError("name what is asked: --data DIR, --tape TAPE or --run RUN")
    case (_?, _?): throw UsageError("--data and --tape hold the same tables; name one of them")
    }
  }
}

extension DuckDBError: ExitCodeError {
  public var exitCode: ExitCode { .usage }
}

extension MarketDatabase.Failure: ExitCodeError {
  public var exitCode: ExitCode { .usage }
}
