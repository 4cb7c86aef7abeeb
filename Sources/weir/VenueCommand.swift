import CommandLineKit
import Core
import Services
import Venue

enum VenueCommand {
  static let command = Command(
    name: "venue", summary: "the simulated exchange", subcommands: [VenueServeCommand.command, generate])

  private static let defects = String(MarketOptions.defectsDefault)

  private static let generate = Command(
    name: "generate", summary: "a seeded market → tape",
    details: """
      Writes a realistic market in the exchange's own frames: a ladder with a depth profile, self-exciting order \
      flow with a known relation from flow to the next moves, snapshots, valid chains of update ids. The same seed \
      and options give the same bytes. Defects are planted where asked; the truth file names every one.
      """,
    options: [
      .integer("seed", 0...Int.max, default: 1, "seed of all randomness"),
      .text("symbols", "A,B", default: "BTCUSDT,ETHUSDT", "instruments"),
      .double("minutes", 0.1...MarketOptions.minutesMax, default: 10, "length of the market"),
      .text("out", "TAPE", "folder of the new tape").required(),
      .text("truth", "FILE", "write final books, counts, CVD, defects and planted parameters as JSON"),
      .integer("gaps", 0...100_000, default: 0, "holes in depth chains").orAlone(defects),
      .integer("duplicates", 0...100_000, default: 0, "frames delivered twice").orAlone(defects),
      .integer("reorder", 0...100_000, default: 0, "depth frames that overtake each other").orAlone(defects),
      .integer("skew-ms", -3_600_000...3_600_000, default: 0, "receive clock minus exchange clock"),
      .flag("compress", "closed hours become zstd, as in a harvest"),
      .double("rate", 1...2_000_000, "frames a second over all symbols; default: about 97 a symbol"),
    ] + Configuring.options,
    examples: [
      "weir venue generate --seed 7 --symbols BTCUSDT,ETHUSDT --minutes 10 --out out/tape --truth out/truth.json",
      "weir venue generate --seed 7 --minutes 5 --gaps 5 --duplicates --skew-ms -1500 --out out/tape",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    let options: MarketOptions
    do throws(MarketOptionsError) {
      options = try MarketOptions(
        seed: UInt64(arguments.integer("seed")!), symbols: try list(arguments),
        minutes: arguments.double("minutes")!,
        gaps: arguments.integer("gaps")!, duplicates: arguments.integer("duplicates")!,
        reorders: arguments.integer("reorder")!, skewMs: Int64(arguments.integer("skew-ms")!),
        framesPerSecond: arguments.double("rate"))
    } catch {
      throw UsageError("\(error)")
    }
    let progress = Progress("generate", unit: "frames", for: arguments)
    let report = try generateMarket(
      options, output: arguments.text("out")!, tape: loaded.value.tapeOptions,
      compresses: arguments.has("compress")
    ) { progress.update($0) }
    progress.finish()
    if let path = arguments.text("truth") {
      try Files.writeAtomically(path, report.truth.text(pretty: true) + "\n")
    }
    if arguments.isJSON {
      try arguments.console.print(json: report.json)
    } else {
      let span = UTCDate(report.firstReceiveTime).isoText + " … " + UTCDate(report.lastReceiveTime).isoText
      try arguments.console.print("\(report.frames) frames, \(report.snapshots) snapshots, \(span)")
      try arguments.console.print("tape: \(report.output)")
    }
    return .ok
  }

  private static func list(_ arguments: ParsedArguments) throws(MarketOptionsError) -> [String] {
    arguments.text("symbols")!.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }
}
