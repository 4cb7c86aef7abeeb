import CommandLineKit
import Core
import Evaluation
import Services

enum EvaluateCommand {
  static let command = Command(
    name: "evaluate", summary: "a run's signals against what prices did afterwards",
    details: """
      Compares each row's score with the return behind it: AUC, rank correlation, hit rate, quantiles, decay, net \
      of cost, with intervals that respect overlap, per symbol, horizon and slice. Audits first that the rows are \
      what a causal replay of the tape gives. Writes evaluation.json, evaluation.md and charts into --out, by \
      default RUN/evaluation (evaluation-shuffle and evaluation-shift for the honesty checks).

      Exit code 1 when features come from the future; with --shift-features it is the other way round. Exit code \
      2 when there is nothing to evaluate.
      """,
    arguments: [.optional("run", "the run's folder")],
    options: [
      .text("tape", "TAPE", "the tape that the run was made of"),
      .text("klines", "PATH", "official 1-minute bars in place of a run, a file or a folder of files")
        .repeatable(),
      .text("horizons", "S,S", "seconds of the returns; default 10,60,300, of klines 60,300,600"),
      .oneOf(
        "prices", EvaluationOptions.Prices.allCases.map(\.rawValue), default: "mid", "of the returns"),
      .integer("shuffle", 0...Int.max, "deal the returns out anew by this seed; every AUC should be 0.5"),
      .integer(
        "shift-features", -1000...1000, "take each row's features from so many rows later; should be detected"
      ),
      .text("against", "RUN", "another run of the same tape to compare with").repeatable(),
      .integer("latency-ms", 0...60_000, default: 0, "from a row to the price it can be acted on"),
      .double(
        "fee-bps", -10...100, "taker fee of each fill; default: broker.taker_fee_bps of the configuration"),
      .integer("seed", 0...Int.max, default: 1, "of the intervals"),
      .text("out", "DIR", "where the report goes"),
    ] + Configuring.options,
    examples: [
      "weir evaluate out/run --tape out/tape",
      "weir evaluate out/run --tape out/tape --horizons 10,60,300 --json",
      "weir evaluate out/run --tape out/tape --shuffle 7",
      "weir evaluate out/run --tape out/tape --shift-features 1",
      "weir evaluate --klines data/BTCUSDT-1m-2023-08.csv --out out/klines",
    ]
  ) { arguments in
    let configuration = try Configuring.load(arguments).value
    var options = try options(arguments)
    options.takerFeeBps = arguments.double("fee-bps") ?? configuration.broker.takerFeeBps
    do {
      return try EvaluationJob(arguments, configuration, options).run()
    } catch let error as EvaluationError {
      throw NothingToEvaluate(description: "\(error)")
    }
  }

  private static func options(_ arguments: ParsedArguments) throws -> EvaluationOptions {
    var options = EvaluationOptions()
    if arguments.has("horizons") {
      options.horizonsSeconds = try arguments.list("horizons").map { text in
        guard let seconds = Int(text), (1...EvaluationOptions.horizonSecondsMax).contains(seconds) else {
          throw UsageError(
            "--horizons takes whole seconds from 1 to \(EvaluationOptions.horizonSecondsMax), as 10,60,300; "
              + "found \"\(text)\"")
        }
        return seconds
      }
      guard Set(options.horizonsSeconds).count == options.horizonsSeconds.count,
        options.horizonsSeconds.count <= horizonsMax
      else { throw UsageError("--horizons takes up to \(horizonsMax) different horizons") }
    } else if arguments.has("klines") {
      options.horizonsSeconds = [60, 300, 600]
    }
    options.prices = arguments.choice("prices", as: EvaluationOptions.Prices.self)!
    options.latencyMs = arguments.integer("latency-ms")!
    options.seed = UInt64(arguments.integer("seed")!)
    options.shuffleSeed = arguments.integer("shuffle").map(UInt64.init)
    return options
  }

  /// More looks than this only cost power.
  private static let horizonsMax = 20
}

/// The data says nothing about the question: exit code 2.
struct NothingToEvaluate: ExitCodeError, CustomStringConvertible {
  var description: String
  var exitCode: ExitCode { .usage }
}
