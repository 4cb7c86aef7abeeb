import CommandLineKit
import Core
import Services
import Venue

enum VenueServeCommand {
  static let command = Command(
    name: "serve", summary: "the exchange on loopback: websockets, REST, orders, faults",
    details: """
      Speaks the exchange's protocol on one port of this machine: the websocket roots /public, /market and \
      /private, and REST under /fapi. The source is a seeded market in which clients can trade, or a tape. A ready \
      line is printed once it listens; SIGINT or SIGTERM stops it and writes the truth. Faults come from a file \
      (--faults) or by POST /venue/faults with the token in WEIR_VENUE_TOKEN; without that variable they are refused.
      """,
    options: [
      .integer("port", 0...65_535, "port; 0 for a free one").required(),
      .text("host", "ADDRESS", default: "127.0.0.1", "address to listen on"),
      .integer("seed", 0...Int.max, "seed of the market; default 1"),
      .text("symbols", "A,B", "instruments of the market; default BTCUSDT,ETHUSDT"),
      .double("rate", 1...2_000_000, "frames a second over all symbols; default: about 97 a symbol"),
      .text("tape", "T", "serve this tape's frames instead of a market"),
      .text("speed", "xN", "tape seconds a second; default x1"),
      .double("minutes", 0.001...1_000_000, "stop after so long"),
      .text("truth", "FILE", "write final books, counts and CVD as JSON at the end"),
      .text("faults", "FILE", "JSON list of faults, each with at_ms"),
      .text("tls-cert", "FILE", "PEM certificate with its chain: serve https and wss"),
      .text("tls-key", "FILE", "PEM key of the certificate"),
      .flag("supervised", "a supervisor is on the standard streams, as under 'weir run'"),
    ],
    examples: [
      "weir venue serve --port 9001 --seed 7 --symbols BTCUSDT,ETHUSDT --minutes 10 --truth out/truth.json",
      "weir venue serve --port 0 --tape out/tape --speed x10",
    ]
  ) { arguments in
    let service = try VenueService(try options(arguments))
    let console = arguments.console
    if arguments.has("supervised") {
      try service.supervise()
    } else {
      try console.print(
        json: .object([
          "ready": .bool(true), "rest": .string(service.restAddress), "ws": .string(service.webSocketAddress),
        ]))
      try console.flush()
    }
    let truth = try service.run()
    if let path = arguments.text("truth") { try Files.writeAtomically(path, truth.text(pretty: true) + "\n") }
    return .ok
  }

  private static func options(_ arguments: ParsedArguments) throws -> VenueOptions {
    let isTape = arguments.has("tape")
    for name in ["seed", "symbols", "rate"] where isTape && arguments.has(name) {
      throw UsageError("--\(name) is for a seeded market and --tape brings its own; give one of the two")
    }
    guard isTape || !arguments.has("speed") else { throw UsageError("--speed is for --tape") }
    guard arguments.has("tls-cert") == arguments.has("tls-key") else {
      throw UsageError("--tls-cert and --tls-key belong together; give both")
    }
    let source: VenueSource
    if let tape = arguments.text("tape") {
      source = .tape(folder: tape, speed: try speed(arguments.text("speed") ?? "x1"))
    } else {
      let symbols = (arguments.text("symbols") ?? "BTCUSDT,ETHUSDT").split(
        separator: ",", omittingEmptySubsequences: false)
      source = .market(
        seed: UInt64(arguments.integer("seed") ?? 1), symbols: symbols.map { $0.uppercased() },
        framesPerSecond: arguments.double("rate"))
    }
    var exchange = ExchangeOptions(source: source)
    exchange.opensWithFirstClient = true
    let token = ProcessEnvironment.variables()["WEIR_VENUE_TOKEN"] ?? ""
    exchange.adminToken = token.isEmpty ? nil : token
    if let path = arguments.text("faults") { exchange.faults = try faults(path) }
    return VenueOptions(
      exchange: exchange, host: arguments.text("host")!, port: UInt16(arguments.integer("port")!),
      minutes: arguments.double("minutes"), certificate: arguments.text("tls-cert"),
      key: arguments.text("tls-key"))
  }

  private static func faults(_ path: String) throws -> [TimedFault] {
    let json: JSONValue
    do {
      json = try Files.read(path).withUnsafeBytes { try JSONValue(parsing: $0) }
    } catch let error as JSONValue.ParseError {
      throw UsageError("\(path): \(error)")
    }
    guard let list = json.elements else { throw UsageError("\(path): write a list of faults, [{…}, …]") }
    return try list.enumerated().map { index, fault in
      do {
        return TimedFault(atMs: fault["at_ms"]?.integer ?? 0, fault: try Fault(json: fault))
      } catch {
        throw UsageError("\(path): fault \(index + 1): \(error)")
      }
    }
  }

  private static func speed(_ text: String) throws -> Double {
    guard text.hasPrefix("x"), let speed = Double(text.dropFirst()), speed.isFinite, speed > 0, speed <= 1e6
    else { throw UsageError("--speed must be x and a number such as x10; found \"\(text)\"") }
    return speed
  }
}
