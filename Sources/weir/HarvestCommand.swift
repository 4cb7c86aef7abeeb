import CommandLineKit
import Core
import Services

enum HarvestCommand {
  static let command = Command(
    name: "harvest", summary: "a venue's live feed → tape",
    details: """
      Captures depth, best quotes, trades, mark prices, klines and liquidations of the symbols over pooled websocket \
      connections, keeps every book in sync with snapshots, fills holes of trades, and writes everything it receives \
      to the tape. A ready line is printed once all connections are up. SIGINT or SIGTERM drains and ends. Started \
      again on the same folder it continues the tape and fills what it missed as far as the venue can.
      """,
    options: [
      .text("venue", "live|testnet|URL", default: "live", "whose feed; a URL such as http://127.0.0.1:9001"),
      .text("symbols", "A,B", "instruments, such as BTCUSDT,ETHUSDT").required(),
      .text("out", "TAPE", "folder of the tape; continued where it exists").required(),
      .double("minutes", 0.001...1_000_000, "end after so long"),
      .integer(
        "metrics-port", 0...65_535, "serve /metrics, /healthz, /readyz on loopback; 0 for a free port"),
      .flag("supervised", "standard input and output are the line to a supervisor (weir run)"),
      .text("ca", "FILE", "PEM file of the authorities to trust instead of the system's"),
      .integer("seed", 0...Int.max, "seed of the jitter; default: from the clock"),
    ] + Configuring.options,
    examples: [
      "weir harvest --venue http://127.0.0.1:9001 --symbols BTCUSDT,ETHUSDT --out out/tape --minutes 10 --json",
      "weir harvest --venue testnet --symbols BTCUSDT --out out/tape",
    ]
  ) { arguments in
    let loaded = try Configuring.load(arguments)
    var configuration = loaded.value
    if let authorities = arguments.text("ca") { configuration.venues.authorities = authorities }
    let endpoints: VenueEndpoints
    do {
      endpoints = try VenueEndpoints(arguments.text("venue")!, configuration: configuration.venues)
    } catch {
      throw UsageError("--venue: \(error)")
    }
    let symbols = arguments.text("symbols")!.split(separator: ",").map { $0.uppercased() }
    let service = try HarvestService(
      HarvestOptions(
        endpoints: endpoints, symbols: symbols, out: arguments.text("out")!,
        minutes: arguments.double("minutes"), metricsPort: arguments.integer("metrics-port").map(UInt16.init),
        isSupervised: arguments.has("supervised"), configuration: configuration,
        seed: arguments.integer("seed").map { UInt64($0) } ?? HarvestService.seedFromClock()))
    let console = arguments.console
    let summary = try service.run(
      ready: {
        try? console.print(json: $0)
        try? console.flush()
      }, note: operatorNote(arguments, "harvest"))
    try console.print(json: arguments.has("supervised") ? .object(["summary": summary]) : summary)
    return .ok
  }
}
