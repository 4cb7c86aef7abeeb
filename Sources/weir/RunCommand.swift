import CommandLineKit
import Configuration
import Core
import Net
import Services
import Store
import Telemetry

enum RunCommand {
  static let command = Command(
    name: "run", summary: "all services, supervised: harvest, signals, paper orders, reports",
    details: """
      Starts each service as a child of this program, watches and restarts them, evaluates the alert rules, exports \
      time series, and on SIGINT, SIGTERM or at the end drains and stops them, so that nothing is left unread. \
      Without an exchange it runs on a simulated one of its own. Exit code 0 only when every condition of health and \
      parity held; the run's folder then holds the evidence: run_manifest.json, source_manifest.json, \
      parity_diff.json, summary_<day>.md. An interrupted run (power, kill -9) is continued by the same command. \
      'weir ctl' talks to a run; SIGHUP reloads its configuration.
      """,
    options: [
      .text(
        "enable", "A,B", default: "harvest,signal,broker,report,convert",
        "services to run; also clickhouse, publish, cache"),
      .oneOf("sink", SignalSinkSet.Choice.allCases.map(\.rawValue), default: "dual", "where signals go"),
      .double("minutes", 0.01...1_000_000, "end after so long; default: until stopped"),
      .text("run-dir", "DIR", "folder of the run; default: a new one under ./runs"),
      .text("venue", "embedded|live|testnet|URL", "whose market; default run.venue of the configuration"),
      .text("symbols", "A,B", "instruments; default run.symbols of the configuration"),
      .text("tape", "T", "read this tape instead of harvesting"),
      .text("stream", "NAME", "receive the tape from this Redis stream instead of harvesting"),
      .integer("seed", 0...Int.max, "seed of the embedded venue's market; default 7"),
      .double("rate", 1...2_000_000, "frames a second of the embedded venue over all symbols"),
      .text("faults", "FILE", "faults of the embedded venue, as of 'weir venue serve'"),
    ] + Configuring.options,
    examples: [
      "weir run --minutes 1",
      "weir run --config config/defaults.yaml --enable harvest,signal,broker,report --sink dual --minutes 60 "
        + "--run-dir out/run --venue embedded --json",
    ]
  ) { arguments in
    let options = try options(arguments)
    let console = arguments.console
    let log = Log.standardError(
      service: "run", run: Files.name(options.folder), format: format(options.configuration.run.logFormat),
      level: arguments.has("quiet") ? .warning : .info, now: { EventLoop.wallNow() })
    let service = try RunService(options, log: log)
    var table = LiveTable(console)
    let (manifest, holds) = try service.run(
      show: { if !arguments.isJSON && !arguments.has("quiet") { table.show($0) } },
      reload: {
        let loaded = try Configuring.load(arguments)
        return ReloadedConfiguration(
          configuration: try Configuring.withTimeSeries(loaded), loaded: loaded)
      })
    if arguments.isJSON {
      try console.print(json: manifest)
    } else {
      try console.write(RunText.conclusion(manifest, folder: options.folder))
    }
    return holds ? .ok : .failedCheck
  }

  static func options(_ arguments: ParsedArguments) throws -> RunOptions {
    let loaded = try Configuring.load(arguments)
    let configuration = try Configuring.withTimeSeries(loaded)
    let environment = ProcessEnvironment.variables()
    let services = try services(arguments.text("enable")!)
    let source = try source(arguments, configuration.run)
    let symbols =
      arguments.text("symbols").map { $0.split(separator: ",").map { $0.uppercased() } }
      ?? configuration.run.symbols
    var isReplay = try isReplay(environment)
    if case .tape = source { isReplay = true }
    return RunOptions(
      services: services, sink: arguments.choice("sink", as: SignalSinkSet.Choice.self)!,
      minutes: arguments.double("minutes"), folder: arguments.text("run-dir") ?? RunOptions.newFolder(),
      source: source, symbols: symbols, configuration: configuration, loaded: loaded,
      faults: arguments.text("faults"),
      isReplay: isReplay, environment: environment)
  }

  private static func format(_ choice: RunConfiguration.LogFormat) -> Log.Format? {
    switch choice {
    case .auto: nil
    case .json: .json
    case .human: .human
    }
  }

  private static func services(_ text: String) throws -> [ServiceName] {
    let known = ServiceName.allCases.filter { $0 != .venue }
    let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    return try names.map { name in
      guard let service = known.first(where: { $0.rawValue == name }) else {
        let nearest =
          NearestName.find(name, among: known.map(\.rawValue)).map { "; did you mean \($0)?" } ?? ""
        throw UsageError(
          "--enable: unknown service \"\(name)\"; there are \(known.map(\.rawValue).joined(separator: ", "))"
            + nearest)
      }
      return service
    }
  }

  private static func source(_ arguments: ParsedArguments, _ run: RunConfiguration) throws
    -> RunOptions.Source
  {
    if let stream = arguments.text("stream") {
      for name in ["venue", "seed", "rate", "faults", "tape"] where arguments.has(name) {
        throw UsageError("--\(name) and --stream both say where the market comes from; give one of the two")
      }
      return .stream(stream)
    }
    if let tape = arguments.text("tape") {
      for name in ["venue", "seed", "rate", "faults"] where arguments.has(name) {
        throw UsageError("--\(name) is for a venue and --tape brings the data; give one of the two")
      }
      guard Files.isFolder(tape) else { throw UsageError("--tape: \(tape) is no folder") }
      return .tape(tape)
    }
    let venue = arguments.text("venue") ?? run.venue
    guard venue == "embedded" else {
      for name in ["seed", "rate", "faults"] where arguments.has(name) {
        throw UsageError("--\(name) is for the embedded venue, not for \(venue)")
      }
      return .venue(venue)
    }
    return .embedded(
      seed: UInt64(arguments.integer("seed") ?? 7), framesPerSecond: arguments.double("rate"))
  }

  private static func isReplay(_ environment: [String: String]) throws -> Bool {
    for name in ["WEIR_REPLAY_MODE", "V13_REPLAY_MODE"] {
      switch environment[name] ?? "" {
      case "": continue
      case "1", "true": return true
      case "0", "false": return false
      default: throw UsageError("\(name) is 1 or 0, found \"\(environment[name]!)\"")
      }
    }
    return false
  }
}

/// The table of services, drawn over itself on a terminal.
struct LiveTable {
  private let console: Console
  private var lines = 0

  init(_ console: Console) { self.console = console }

  mutating func show(_ run: RunService) {
    let text = RunText.table(run.statusJSON, console.style)
    let back = console.isOutputTerminal && lines > 0 ? "\u{1B}[\(lines)A\u{1B}[J" : ""
    lines = text.filter { $0 == "\n" }.count
    try? console.write(back + text)
    try? console.flush()
  }
}

/// A run's state and end, for people.
enum RunText {
  static func table(_ status: JSONValue, _ style: TerminalStyle) -> String {
    var table = TextTable([
      "service", "pid", "state", "restarts", "RSS MB", "files", "CPU %", "records", "behind",
    ])
    for process in status["processes"]?.elements ?? [] {
      func text(_ key: String) -> String { process[key]?.text ?? "–" }
      let cpu = process["cpu_ratio"]?.text.flatMap { Double($0) }.map {
        JSONValue.rounded($0 * 100, 1).text ?? ""
      }
      table.add([
        text("name"), text("pid"), text("state"), text("restart_count"), text("rss_mb"), text("open_files"),
        cpu ?? "–", text("seq"), text("backlog"),
      ])
    }
    let alerts = (status["alerts"]?.elements ?? []).filter { $0["recovered_at"]?.text == nil }
    let firing = alerts.isEmpty ? "none" : alerts.compactMap { $0["rule"]?.text }.joined(separator: ", ")
    let share = (status["health"]?["green_share"]?.text).flatMap { Double($0) } ?? 1
    return "\n\(status["t"]?.text ?? "")  up \(status["uptime_s"]?.text ?? "") s  "
      + "green \(JSONValue.rounded(share * 100, 1).text ?? "") %  mode \(status["mode"]?.text ?? "")  alerts \(firing)\n"
      + table.text(style)
  }

  static func conclusion(_ manifest: JSONValue, folder: String) -> String {
    var table = TextTable(["condition", "value", "limit", "holds"])
    for condition in manifest["conditions"]?.elements ?? [] {
      func text(_ key: String) -> String { condition[key]?.text ?? "" }
      table.add([
        text("name"), text("value"), text("limit"), condition["holds"]?.boolean == true ? "yes" : "NO",
      ])
    }
    let order = (manifest["shutdown_order"]?.elements ?? []).compactMap(\.text).joined(separator: " → ")
    var text = "\nrun \(manifest["run_id"]?.text ?? "") ended: \(manifest["stop_reason"]?.text ?? "")\n"
    text += table.text()
    text += "stopped in this order: \(order)\n"
    text += "evidence: \(folder)/run_manifest.json\n"
    for name in (try? Files.list(folder).sorted()) ?? []
    where name.hasPrefix("summary_") && name.hasSuffix(".md") {
      text += "report: \(folder)/\(name)\n"
    }
    return text
  }
}
