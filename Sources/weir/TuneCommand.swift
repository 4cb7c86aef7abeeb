import CommandLineKit
import Configuration
import Core
import Evaluation
import Services
import Strategy

enum TuneCommand {
  static let command = Command(
    name: "tune", summary: "search scenario parameters that beat the present ones after cost",
    details: """
      Trades a run's signals again under other parameters, at the touch of its tape, after a latency and with fees, and \
      judges them by purged walk-forward: what is picked before each of the test spans is what counts in it. A \
      scenario gets new parameters only when they earn more than the present ones out of sample, more than \
      their cost, and more than the luckiest of so many trials would (deflated Sharpe ratio). It may well say \
      that nothing beats the default: then no file is written, and the exit code is 0 all the same. Liquidity \
      is not modelled: sizes are those that the touch can fill. The present parameters are those of RUN/config.yaml \
      unless --config names others. \
      'weir run --set strategy.parameters=FILE' uses the file, and takes it over when it changes.
      """,
    arguments: [CommandArgument("run", "the run's folder, with its signals")],
    options: [
      .text("tape", "TAPE", "the tape that the signals were made of").required(),
      .integer("trials", TuningOptions.trialsRange, default: 64, "parameter sets tried per scenario"),
      .integer("folds", TuningOptions.foldsRange, default: 4, "test spans"),
      .integer("embargo-s", 0...86_400, default: 60, "between what is learnt from and what is tested"),
      .integer("min-trades", 2...1_000_000, default: 30, "fewer trades are not judged"),
      .integer("latency-ms", 0...60_000, default: 250, "from a decision to its fill"),
      .double("fee-bps", 0...100, "of each order; default broker.taker_fee_bps"),
      .integer("seed", 0...Int.max, default: 1, "of the search"),
      .text("out", "FILE", "the parameter file to write"),
    ] + Configuring.options,
    examples: [
      "weir tune out/run --tape out/run/tape --out params.yaml",
      "weir run --set strategy.parameters=params.yaml --minutes 60",
    ]
  ) { arguments in
    let run = arguments.argument("run")
    let configuration = try configuration(arguments, run)
    let options = options(arguments, configuration)
    let series = try series(arguments, configuration)
    guard let tuner = Tuner(series, options) else {
      throw UsageError("\(run) and \(arguments.text("tape")!) give no prices; name the run's own tape")
    }
    let progress = Progress(
      "trials", total: Int64(Scenario.cells.count * options.trials), unit: "trials", for: arguments)
    let result = tuner.run(configuration.signal.strategy.scenarios) { done, _ in progress.update(Int64(done))
    }
    progress.finish()
    var written: ScenarioFile.Facts?
    if let table = result.proposedTable, let path = arguments.text("out") {
      written = try ScenarioFile.write(
        table, to: path, name: "tuned-" + result.daysText, header: header(result, run),
        notes: notes(result))
    }
    if arguments.isJSON {
      let file = JSONValue.Member("file", written?.json ?? .null)
      try arguments.console.print(json: .object((result.json.members ?? []) + [file]))
    } else {
      try arguments.console.write(text(result, arguments, written))
    }
    return .ok
  }

  /// That of the run, unless another is given.
  private static func configuration(_ arguments: ParsedArguments, _ run: String) throws -> WeirConfiguration {
    let own = run + "/config.yaml"
    return try Configuring.load(arguments, file: Files.exists(own) ? own : nil).value
  }

  /// The run's rows over the prices of its tape; rows that know the future teach nothing.
  private static func series(
    _ arguments: ParsedArguments, _ configuration: WeirConfiguration
  ) throws -> [EvaluationSeries] {
    let progress = Progress("read", unit: "records", for: arguments)
    do {
      let input = try EvaluationInput.load(
        runFolder: arguments.argument("run"), tape: arguments.text("tape")!, configuration: configuration
      ) { progress.update($0) }
      progress.finish()
      guard input.audit.verdict != .leak else { throw NothingToEvaluate(description: input.audit.text) }
      return input.series
    } catch let error as EvaluationError {
      throw NothingToEvaluate(description: "\(error)")
    }
  }

  private static func options(
    _ arguments: ParsedArguments, _ configuration: WeirConfiguration
  ) -> TuningOptions {
    var options = TuningOptions()
    options.trials = arguments.integer("trials")!
    options.folds = arguments.integer("folds")!
    options.embargoSeconds = arguments.integer("embargo-s")!
    let flow = configuration.signal.flow
    options.horizonSeconds = (max(flow.ofiWindowMs, flow.cvdWindowMs) + 999) / 1000
    options.tradesMin = arguments.integer("min-trades")!
    options.latencyMs = arguments.integer("latency-ms")!
    options.takerFeeBps = arguments.double("fee-bps") ?? configuration.broker.takerFeeBps
    options.seed = UInt64(arguments.integer("seed")!)
    return options
  }

  // MARK: Texts

  private static func number(_ value: Double?, _ decimals: Int) -> String {
    JSONValue.rounded(value, decimals).text ?? "–"
  }

  private static func span(_ result: TuningResult) -> String {
    UTCDate(UnixNanos(result.plan.startNs)).isoText + " to " + UTCDate(UnixNanos(result.plan.endNs)).isoText
  }

  private static func method(_ result: TuningResult) -> String {
    let options = result.options
    return "\(options.trials) trials a scenario (together as good as \(number(result.effectiveTrials, 1)) "
      + "independent ones), \(options.folds) test spans, purge hold_s_max + \(options.horizonSeconds) s, embargo "
      + "\(options.embargoSeconds) s, latency \(options.latencyMs) ms, fee \(number(options.takerFeeBps, 3)) bps an "
      + "order, at least \(options.tradesMin) trades, seed \(options.seed)"
  }

  private static func header(_ result: TuningResult, _ run: String) -> [String] {
    [
      "Scenario parameters by weir tune, fitted on \(Files.name(run)): \(result.symbols.joined(separator: ", ")),",
      "\(span(result)).", method(result) + ".",
      "Results are net basis points a trade, after spread and fees; sizes are small enough for the touch.",
    ]
  }

  private static func notes(_ result: TuningResult) -> [Scenario: String] {
    var notes: [Scenario: String] = [:]
    for cell in result.cells {
      notes[cell.scenario] =
        cell.verdict == .proposed
        ? "out of sample \(number(cell.test.netBpsMean, 2)) in \(cell.test.trades) trades, before "
          + "\(number(cell.baseTest.netBpsMean, 2)) in \(cell.baseTest.trades); deflated Sharpe ratio "
          + number(cell.deflatedSharpe, 4)
        : cell.verdict.text
    }
    return notes
  }

  private static func text(
    _ result: TuningResult, _ arguments: ParsedArguments, _ written: ScenarioFile.Facts?
  ) -> String {
    var table = TextTable([
      "scenario", "trades", "net bps", "t", "default trades", "default net bps", "DSR", "verdict",
    ])
    for cell in result.cells {
      table.add([
        "\(cell.scenario.name)", "\(cell.test.trades)", number(cell.test.netBpsMean, 2),
        number(cell.test.blocks?.tStatistic, 2), "\(cell.baseTest.trades)",
        number(cell.baseTest.netBpsMean, 2), number(cell.deflatedSharpe, 4), cell.verdict.text,
      ])
    }
    var text = "\(result.symbols.joined(separator: ", ")), \(span(result))\n\(method(result))\n"
    text += "out of sample, after spread and fees:\n" + table.text(arguments.console.style)
    for cell in result.proposed {
      text += "\(cell.scenario.name): \(cell.parameters.json.text())\n"
    }
    if result.proposed.isEmpty {
      text += "nothing beats the default"
      text += arguments.has("out") ? "; \(arguments.text("out")!) is not written\n" : "\n"
    } else if let written {
      text += "\(written.path): version \(written.version), hash \(written.hash)\n"
    } else {
      text += "not written; name a file with --out\n"
    }
    return text
  }
}
