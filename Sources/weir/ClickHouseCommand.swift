import ClickHouse
import CommandLineKit
import Core
import Net
import Services

enum ClickHouseCommand {
  static let command = Command(
    name: "clickhouse", summary: "a tape's rows in ClickHouse", subcommands: [initialize, load, check])

  private static let server: [CommandOption] =
    [
      .text("url", "URL", "the server's HTTP interface; default: clickhouse.url"),
      .text("database", "NAME", "where the tables are; default: clickhouse.database"),
    ] + Configuring.options

  private static let initialize = Command(
    name: "init", summary: "make database, tables and views",
    details: """
      Makes what is missing and compares the tables with what rows are sent as; it never drops or changes a \
      table. Days after which rows go are clickhouse.ttl_days.KIND; the password is CLICKHOUSE_PASSWORD or \
      clickhouse.password_file.
      """,
    options: [
      .text("cluster", "NAME", "replicated tables on this cluster, and distributed ones over them"),
      .flag("print", "print the statements instead, without a server"),
      .flag("legacy", "with --print: for servers before 22"),
    ] + server,
    examples: [
      "weir clickhouse init", "weir clickhouse init --print --cluster market",
    ]
  ) { arguments in
    var settings = try configured(arguments)
    if let cluster = arguments.text("cluster") { settings.cluster = cluster }
    if arguments.has("print") {
      let schema = try settings.schema(arguments.has("legacy") ? .legacy : .modern)
      if arguments.isJSON {
        try arguments.console.print(
          json: .object(["statements": .array(schema.statements.map { .string($0) })]))
      } else {
        try arguments.console.print(schema.statements.map { $0 + ";" }.joined(separator: "\n\n"))
      }
      return .ok
    }
    let client = ClickHouseClient(
      on: try EventLoop(), server: try settings.server(environment: ProcessEnvironment.variables()))
    let dialect = try client.dialect()
    let schema = try settings.schema(dialect)
    try client.make(schema)
    try arguments.console.print(
      json: .object([
        "database": .string(schema.database), "dialect": .string(dialect.rawValue),
        "statements": .integer(schema.statements.count),
      ]), pretty: !arguments.isJSON)
    return .ok
  }

  private static let load = Command(
    name: "load", summary: "tape → ClickHouse, each row exactly once",
    details: """
      Goes on from STATE/position.json; killed at any moment and started again it neither loses nor doubles \
      a row. While the server is away the tape keeps the rows, and the loader waits. SIGINT or SIGTERM ends it.
      """,
    arguments: [CommandArgument("tape", "the tape's folder; with --follow it may not exist yet")],
    options: [
      .text("state", "STATE", "folder of position.json; default: clickhouse beside the tape"),
      .flag("follow", "go on while the tape grows"),
      .double("minutes", 0.001...1_000_000, "end after so long"),
      .double("idle-s", 0.1...86_400, "with --follow: end when the tape has not grown for so many seconds"),
      .integer(
        "metrics-port", 0...65_535, "serve /metrics, /healthz, /readyz on loopback; 0 for a free port"),
      .flag("supervised", "speak to a supervisor on standard input and output"),
    ] + server,
    examples: [
      "weir clickhouse load out/tape --json",
      "weir clickhouse load out/tape --follow --metrics-port 9105",
    ]
  ) { arguments in
    let settings = try configured(arguments)
    let loader = try ClickHouseLoader(
      ClickHouseLoadOptions(
        tape: arguments.argument("tape"), state: arguments.text("state"),
        follows: arguments.has("follow"),
        follower: .init(idleSecondsMax: arguments.double("idle-s"), minutes: arguments.double("minutes")),
        metricsPort: arguments.integer("metrics-port").map(UInt16.init),
        isSupervised: arguments.has("supervised"), settings: settings,
        server: try settings.server(environment: ProcessEnvironment.variables()),
        seed: UInt64(bitPattern: EventLoop.wallNow().rawValue)))
    let console = arguments.console
    let progress = Progress("clickhouse load", unit: "records", for: arguments)
    let result = try loader.run(
      ready: { line in
        guard arguments.isJSON else { return }
        try? console.print(json: line)
        try? console.flush()
      }, note: operatorNote(arguments, "clickhouse"), progress: { progress.update($0) })
    progress.finish()
    if arguments.has("supervised") {
      loader.say(summary: result.json)
    } else {
      try console.print(json: result.json, pretty: !arguments.isJSON)
    }
    return .ok
  }

  private static let check = Command(
    name: "check", summary: "compare a tape with its rows in ClickHouse",
    details: """
      Reads the whole tape and compares rows, sums of every column, and the bars of a second and a minute. \
      Exit code 1 on any difference. The tape must not have grown since it was loaded.
      """,
    arguments: [CommandArgument("tape", "the tape's folder")],
    options: [
      .text("state", "STATE", "folder of position.json, which knows the tape's id; default: as for load")
    ] + server,
    examples: ["weir clickhouse check out/tape --json"]
  ) { arguments in
    let settings = try configured(arguments)
    let tape = arguments.argument("tape")
    let state = arguments.text("state") ?? ClickHouseLoadOptions.stateFolder(ofTape: tape)
    let check = try ClickHouseCheck(
      tape: tape, identity: LoadPosition.read(state)?.tape,
      server: try settings.server(environment: ProcessEnvironment.variables()), settings: settings)
    let progress = Progress("clickhouse check", unit: "records", for: arguments)
    let verdict = try check.run { progress.update($0) }
    progress.finish()
    try arguments.console.print(json: verdict.json, pretty: !arguments.isJSON)
    return verdict.isMatch ? .ok : .failedCheck
  }

  /// The configuration's, below what the command line says.
  private static func configured(_ arguments: ParsedArguments) throws -> ClickHouseSettings {
    var overrides: [(String, String)] = []
    if let url = arguments.text("url") { overrides.append(("clickhouse.url", url)) }
    if let database = arguments.text("database") { overrides.append(("clickhouse.database", database)) }
    return try Configuring.load(arguments, adding: overrides).value.clickHouse
  }
}
