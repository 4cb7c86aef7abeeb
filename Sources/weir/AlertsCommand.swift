import CommandLineKit
import Core
import Rules

enum AlertsCommand {
  static let command = Command(
    name: "alerts", summary: "the rules of alerts and of degradation",
    subcommands: [list, check, export, replay])

  private static let rulesOption = CommandOption.text(
    "rules", "FILE", default: "config/alerts.yaml", "the rule file")

  private static let list = Command(
    name: "list", summary: "print the rules", options: [rulesOption],
    examples: ["weir alerts list", "weir alerts list --rules config/alerts.yaml --json"]
  ) { arguments in
    let rules = try load(arguments.text("rules")!)
    if arguments.isJSON {
      try arguments.console.print(json: rules.json)
    } else {
      for rule in rules.alerts {
        try arguments.console.print(
          "\(rule.level.rawValue) \(rule.name): \(rule.summary); action \(rule.action.rawValue)")
      }
      for step in rules.degrade {
        let effects = step.effects.map(\.rawValue).joined(separator: ", ")
        try arguments.console.print("degrade \(step.name): \(step.summary); \(effects)")
      }
    }
    return .ok
  }

  private static let check = Command(
    name: "check", summary: "read a rule file and run its proofs",
    details: "Every alert must fire and recover on the series of its proof; exit code 1 when one doesn't.",
    arguments: [CommandArgument("file", "the rule file")], examples: ["weir alerts check config/alerts.yaml"]
  ) { arguments in
    let rules = try load(arguments.argument("file"))
    var failed = 0
    for verdict in rules.runProofs() {
      if verdict.problem != nil { failed += 1 }
      if arguments.isJSON {
        try arguments.console.print(json: verdict.json)
      } else {
        try arguments.console.print(verdict.description)
      }
    }
    if !arguments.isJSON {
      try arguments.console.print(
        "\(rules.alerts.count) alerts, \(failed) not proven; \(rules.degrade.count) degrade steps")
    }
    return failed == 0 ? .ok : .failedCheck
  }

  private static let export = Command(
    name: "export", summary: "write the rules for Prometheus, and their tests for promtool",
    options: [
      .text("out", "FOLDER", "where weir.rules.yaml and weir.tests.yaml go").required(), rulesOption,
    ],
    examples: ["weir alerts export --out out/prometheus"]
  ) { arguments in
    let rules = try load(arguments.text("rules")!)
    let folder = arguments.text("out")!
    try Files.makeFolder(folder)
    try Files.writeAtomically("\(folder)/weir.rules.yaml", rules.prometheusRules())
    try Files.writeAtomically("\(folder)/weir.tests.yaml", rules.prometheusTests())
    if arguments.isJSON {
      try arguments.console.print(
        json: .object([
          "rules": .string("\(folder)/weir.rules.yaml"), "tests": .string("\(folder)/weir.tests.yaml"),
        ]))
    } else {
      try arguments.console.print("\(folder)/weir.rules.yaml")
      try arguments.console.print("\(folder)/weir.tests.yaml")
    }
    return .ok
  }

  private static let replay = Command(
    name: "replay", summary: "judge recorded metrics in their own time",
    details: """
      A line of the file is one scrape of one target: {"time_ns":…,"target":{"job":"signal"},\
      "samples":[["name",{"label":"value"},1.5],…]}. Prints one JSON object a line for every alert that \
      fires or recovers and every effect of the degrade ladder.
      """,
    arguments: [CommandArgument("metrics", "the file, one scrape a line in order of time")],
    options: [rulesOption], examples: ["weir alerts replay metrics.ndjson --rules config/alerts.yaml"]
  ) { arguments in
    var replay = RuleReplay(try load(arguments.text("rules")!))
    let path = arguments.argument("metrics")
    try forEachLine(path) { line, number in
      let events: [JSONValue]
      do throws(RuleError) {
        events = try replay.take(line)
      } catch {
        throw UsageError("\(path):\(number): \(error.message)")
      }
      for event in events { try arguments.console.print(json: event) }
    }
    for event in replay.finish() { try arguments.console.print(json: event) }
    return .ok
  }

  private static func load(_ path: String) throws -> RuleSet {
    do { return try RuleSet(loading: path) } catch { throw UsageError(error.description) }
  }

  /// A scrape of 8192 series takes less.
  private static let lineBytesMax = 4 << 20

  /// Lines without their newline, empty ones left out; the last one may lack its newline.
  private static func forEachLine(
    _ path: String, _ body: (UnsafeRawBufferPointer, Int) throws -> Void
  ) throws {
    let file = try File(path, .read)
    var rest = ByteWriter(capacity: 1 << 16)
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { chunk.deallocate() }
    var number = 0
    while true {
      let count = try file.read(into: chunk)
      if count == 0 { break }
      var start = 0
      for index in 0..<count where chunk[index] == 0x0A {
        rest.append(bytes: UnsafeRawBufferPointer(rebasing: chunk[start..<index]))
        start = index + 1
        number += 1
        if rest.count > 0 { try body(rest.bytes, number) }
        rest.removeAll()
      }
      rest.append(bytes: UnsafeRawBufferPointer(rebasing: chunk[start..<count]))
      if rest.count > lineBytesMax { throw UsageError("\(path):\(number + 1): longer than 4 MiB") }
    }
    if rest.count > 0 { try body(rest.bytes, number + 1) }
  }
}
