import CommandLineKit
import Core
import Net
import Services

/// Orders and questions to a run that is under way.
enum CtlCommand {
  static let command = Command(
    name: "ctl", summary: "ask or tell a run that is under way",
    details: """
      Speaks with the run over the socket in its folder, which only its own user and root may do. The folder \
      is --run-dir, else WEIR_RUN_DIR, else the newest one in ./runs in which a run listens. An order that \
      has been carried out already changes nothing.
      """,
    subcommands: [
      status, alerts,
      verb("restart-ws", "open all of the harvester's connections anew"),
      toggle("fallback-rest", "take books and trades by request instead of by websocket"),
      mode, toggle("pause-shadow", "pause the shadow evaluation"),
      Command(
        name: "pause", summary: "the same in two words",
        subcommands: [toggle("shadow", as: "pause-shadow", "pause the shadow evaluation")]),
      verb(
        "rebuild-snapshot", "fetch books anew",
        arguments: [.optional("symbol", "of this symbol only")], example: " BTCUSDT"
      ) { arguments in
        let symbol = arguments.argument("symbol")
        return symbol.isEmpty ? .object([]) : .object(["symbol": .string(symbol.uppercased())])
      },
      toggle("compress", "compress closed segments of the tape as soon as they close"),
      verb("drain", "stop all services in order, losing nothing, and end the run"),
      verb(
        "restart", "stop one service and start it again",
        arguments: [CommandArgument("service", "its name, as in the status")], example: " signal"
      ) { .object(["service": .string($0.argument("service"))]) },
      verb("reload", "read the configuration again; one that is not valid changes nothing"),
    ])

  private static let options: [CommandOption] = [
    .text("run-dir", "DIR", "the run's folder; default: WEIR_RUN_DIR, else the newest run in ./runs")
  ]

  // MARK: Questions

  private static let status = Command(
    name: "status", summary: "services, their state and their use of the machine", options: options,
    examples: ["weir ctl status", "weir ctl status --run-dir runs/today --json"]
  ) { arguments in
    let result = try call("status", .object([]), arguments)
    if arguments.isJSON {
      try arguments.console.print(json: result)
    } else {
      let view = RunStatusView(status: result, nowNs: EventLoop.wallNow().rawValue)
      try arguments.console.write(view.text(arguments.console.style))
    }
    return .ok
  }

  private static let alerts = Command(
    name: "alerts", summary: "alerts that fire and alerts that have recovered", options: options,
    examples: ["weir ctl alerts"]
  ) { arguments in
    let result = try call("alerts", .object([]), arguments)
    if arguments.isJSON {
      try arguments.console.print(json: result)
    } else {
      let alerts = (result["alerts"] ?? result).elements ?? []
      try arguments.console.write(
        alerts.isEmpty ? "no alerts\n" : RunStatusView.alertTable(alerts).text(arguments.console.style))
    }
    return .ok
  }

  // MARK: Orders

  private static let mode = verb(
    "mode", "how readily signals are given",
    arguments: [CommandArgument("mode", "auto, quiet or active")], example: " quiet"
  ) { arguments in
    .object(["mode": .string(try choice("mode", of: ["auto", "quiet", "active"], arguments))])
  }

  private static func toggle(_ name: String, as order: String? = nil, _ summary: String) -> Command {
    verb(
      name, as: order, summary, arguments: [.optional("switch", "on or off; on when it is left out")],
      example: " on"
    ) { arguments in
      let isOff =
        try !arguments.arguments("switch").isEmpty && choice("switch", of: ["on", "off"], arguments) == "off"
      return .object(["on": .bool(!isOff)])
    }
  }

  /// - Parameter order: what the run is told, when it isn't the verb itself.
  private static func verb(
    _ name: String, as order: String? = nil, _ summary: String, arguments: [CommandArgument] = [],
    example: String = "",
    _ parameters: @escaping @Sendable (ParsedArguments) throws -> JSONValue = { _ in .object([]) }
  ) -> Command {
    let words = name == "shadow" ? "pause shadow" : name
    return Command(
      name: name, summary: summary, arguments: arguments, options: options,
      examples: ["weir ctl \(words)\(example)"]
    ) { arguments in
      let result = try call(order ?? name, try parameters(arguments), arguments)
      if arguments.isJSON {
        try arguments.console.print(json: result)
      } else if let text = result.text {
        try arguments.console.print(text.isEmpty ? "done" : text)
      } else if result == .null || result.members?.isEmpty == true {
        try arguments.console.print("done")
      } else {
        try arguments.console.print(json: result, pretty: true)
      }
      return .ok
    }
  }

  private static func choice(
    _ name: String, of words: [String], _ arguments: ParsedArguments
  ) throws(UsageError) -> String {
    let word = arguments.argument(name)
    if words.contains(word) { return word }
    let hint = NearestName.find(word, among: words).map { "; did you mean \($0)?" } ?? ""
    throw UsageError("\(name.uppercased()) must be one of \(words.joined(separator: ", "))\(hint)")
  }

  private static func call(
    _ name: String, _ parameters: JSONValue, _ arguments: ParsedArguments
  ) throws -> JSONValue {
    try ControlClient.call(runFolder: try runFolder(arguments), name: name, arguments: parameters)
  }

  private static func runFolder(_ arguments: ParsedArguments) throws(NoRun) -> String {
    if let folder = arguments.text("run-dir") { return folder }
    if let folder = ProcessEnvironment.variables()["WEIR_RUN_DIR"], !folder.isEmpty { return folder }
    guard let folder = ControlClient.newestRun(in: "runs") else { throw NoRun() }
    return folder
  }
}

private struct NoRun: Error, CustomStringConvertible {
  var description: String {
    "no weir run listens in a folder of ./runs; name its folder by --run-dir or WEIR_RUN_DIR"
  }
}
