import CommandLineKit
import Configuration
import Core
import Net
import Redis
import Services
import Store

enum RedisCommand {
  static let command = Command(
    name: "redis", summary: "latest signals in Redis, and a tape between hosts",
    details: """
      The server is redis.url of the configuration; its password comes from REDIS_PASSWORD (and REDIS_USER) or the \
      file redis.password_file, never from the command line.
      """,
    subcommands: [publish, receive, cache, get, status])

  private static let relayOptions: [CommandOption] = [
    .flag("until-finished", "end when the publisher's tape was finished in order and all of it is through"),
    .double("minutes", 0.001...1_000_000, "end after so long"),
    .double("idle-s", 0.1...86_400, "end when no record has come for so many seconds"),
    .integer(
      "metrics-port", 0...65_535, "serve /metrics, /healthz, /readyz on loopback; 0 for a free port"),
    .flag("supervised", "standard input and output belong to a supervisor"),
  ]

  private static func relay(_ arguments: ParsedArguments) -> RelayOptions {
    RelayOptions(
      isUntilFinished: arguments.has("until-finished"), minutes: arguments.double("minutes"),
      idleSecondsMax: arguments.double("idle-s"), isSupervised: arguments.has("supervised"),
      metricsPort: arguments.integer("metrics-port").map(UInt16.init))
  }

  private static func connector(_ settings: RedisSettings) throws -> RedisConnector {
    do { return try settings.connector(environment: ProcessEnvironment.variables()) } catch {
      throw UsageError("\(error)")
    }
  }

  private static func printer(_ arguments: ParsedArguments) -> (JSONValue) -> Void {
    { line in
      guard arguments.isJSON || arguments.has("supervised") else { return }
      try? arguments.console.print(json: line)
      try? arguments.console.flush()
    }
  }

  private static let publish = Command(
    name: "publish", summary: "a growing tape → a Redis stream",
    details: """
      Record n becomes entry n-0, once, whatever is killed: where to go on is asked from the server. When the stream \
      holds redis.stream_records_max entries that not every group has acknowledged, it waits; the tape is the spool.
      """,
    arguments: [CommandArgument("tape", "the tape's folder; may not exist yet")],
    options: [.text("stream", "NAME", "key of the stream").required()] + relayOptions + Configuring.options,
    examples: [
      "weir redis publish out/tape --stream weir:tape:main",
      "weir redis publish out/tape --stream weir:tape:main --until-finished --json",
    ]
  ) { arguments in
    let settings = try Configuring.load(arguments).value.redis
    let service = try TapePublisher(
      TapePublisherOptions(
        tape: arguments.argument("tape"), stream: arguments.text("stream")!, relay: relay(arguments),
        settings: settings, connector: connector(settings)), note: operatorNote(arguments, "redis publish"))
    let progress = Progress("publish", unit: "records", for: arguments)
    let summary = try service.run(print: printer(arguments)) { progress.update($0) }
    progress.finish()
    if !arguments.has("supervised") { try arguments.console.print(json: summary, pretty: !arguments.isJSON) }
    return .ok
  }

  private static let receive = Command(
    name: "receive", summary: "a Redis stream → a copy of the tape",
    details: """
      The copy is the publisher's tape byte for byte, with its segments and seals; 'weir signal' follows it as any \
      other. Entries are acknowledged when they are on this disk by tape.fsync. Each tape needs a group of its own. \
      Where the stream no longer has what the tape needs next, it ends with an error that names both records.
      """,
    options: [
      .text("stream", "NAME", "key of the stream").required(),
      .text("group", "GROUP", "this tape's consumer group; made where it does not exist").required(),
      .text("out", "TAPE", "folder of the copy; continued where it exists").required(),
      .flag("from-gap", "a new tape may begin with the first record that the stream still has"),
    ] + relayOptions + Configuring.options,
    examples: [
      "weir redis receive --stream weir:tape:main --group host-b --out out/copy",
      "weir redis receive --stream weir:tape:main --group host-b --out out/copy --until-finished --json",
    ]
  ) { arguments in
    let configuration = try Configuring.load(arguments).value
    let service = try TapeReceiver(
      TapeReceiverOptions(
        stream: arguments.text("stream")!, group: arguments.text("group")!, out: arguments.text("out")!,
        mayBeginAnywhere: arguments.has("from-gap"), relay: relay(arguments), settings: configuration.redis,
        connector: connector(configuration.redis), tape: configuration.tapeOptions),
      note: operatorNote(arguments, "redis receive"))
    let progress = Progress("receive", unit: "records", for: arguments)
    let summary = try service.run(print: printer(arguments)) { progress.update($0) }
    progress.finish()
    if !arguments.has("supervised") { try arguments.console.print(json: summary, pretty: !arguments.isJSON) }
    return .ok
  }

  private static let cache = Command(
    name: "cache", summary: "a run's latest signals → Redis keys",
    details: """
      Follows a run's signals and keeps each symbol's latest row under PREFIXsignal:{SYMBOL} and its features under \
      PREFIXfeatures:{SYMBOL}, for redis.ttl_s after the last one. While the server is down the latest rows wait.
      """,
    arguments: [CommandArgument("run", "the run's folder")],
    options: [
      .oneOf(
        "sink", SignalSinkSet.Choice.allCases.map(\.rawValue),
        "where its signals are read; default: the lines where there are any")
    ] + Following.options + Configuring.options,
    examples: ["weir redis cache out/run --metrics-port 0", "weir redis cache out/run --once --json"]
  ) { arguments in
    let settings = try Configuring.load(arguments).value.redis
    let run = arguments.argument("run")
    let service = try HotCacheService(
      HotCacheOptions(
        runFolder: run, source: Following.sources(arguments, run).first ?? .jsonl,
        follow: Following.follow(arguments, run), settings: settings, connector: connector(settings)),
      note: operatorNote(arguments, "redis cache"))
    try service.run { line in
      try? arguments.console.print(json: line)
      try? arguments.console.flush()
    }
    return .ok
  }

  private static let get = Command(
    name: "get", summary: "the latest signal of a symbol, and its age",
    arguments: [CommandArgument("symbol", "such as BTCUSDT")], options: Configuring.options,
    examples: ["weir redis get BTCUSDT", "weir redis get BTCUSDT --json"]
  ) { arguments in
    let settings = try Configuring.load(arguments).value.redis
    let symbol = arguments.argument("symbol").uppercased()
    let connection = try connector(settings).connect()
    guard let bytes = try connection.call("GET", settings.keys.signal(symbol)).bytes else {
      throw RedisError.foreign(
        what: settings.keys.signal(symbol),
        reason: "there is no signal newer than redis.ttl_s; is 'weir redis cache' running?")
    }
    let row = try bytes.withUnsafeBytes { try JSONValue(parsing: $0) }
    let ageNs = row["recv_ns"]?.integer.map { EventLoop.wallNow().rawValue - $0 }
    try arguments.console.print(
      json: .object(["age_ms": .rounded(ageNs.map { Double($0) / 1e6 }, 3), "signal": row]),
      pretty: !arguments.isJSON)
    return .ok
  }

  private static let status = Command(
    name: "status", summary: "the server, and who has what of a stream",
    options: [.text("stream", "NAME", "key of a tape's stream")] + Configuring.options,
    examples: ["weir redis status", "weir redis status --stream weir:tape:main --json"]
  ) { arguments in
    let settings = try Configuring.load(arguments).value.redis
    let connection = try connector(settings).connect()
    var members = try RedisStatus.server(connection)
    if let name = arguments.text("stream") {
      members.append(.init("stream", try RedisStatus.stream(RecordStream(name, on: connection))))
    }
    try arguments.console.print(json: .object(members), pretty: !arguments.isJSON)
    return .ok
  }
}
