import CommandLineKit
import Core
import Glibc
import Testing

struct CheckFailed: Error, CustomStringConvertible {
  var description: String { "3 rows differ\nfirst: row 7" }
}

enum Sink: String { case jsonl, dual }

/// Prints what it was given, one `name=value` a line.
let sampleTool = CommandLineTool(
  name: "weir", summary: "order flow to signals", version: "1.2.3", versionDetails: ["swift": "6.3"],
  commands: [
    Command(
      name: "replay", summary: "run the pipeline over a tape", details: "Same tape, same rows.",
      arguments: [CommandArgument("tape", "folder of the tape"), .optional("note", "a remark")],
      options: [
        .text("out", "FOLDER", default: "out/run", "where the rows go"),
        .oneOf("sink", ["jsonl", "dual"], default: "jsonl", "kind of output"),
        .integer("minutes", 1...60, "how much of the tape"),
        .double("speed", 0...1000, default: 2.5, "times real time"),
        .integer("gaps", 1...1000, "list the gaps").orAlone("10"),
        .text("set", "KEY=VALUE", "override a configuration key").repeatable(),
        .text("symbols", "A,B", "symbols to keep").repeatable(),
        .flag("fast", "do not wait"),
      ],
      examples: ["weir replay out/tape --sink dual", "weir replay --gaps 5 out/tape"]
    ) { arguments in
      let symbols = try arguments.list("symbols")
      func show(_ name: String, _ value: Any?) throws {
        if let value { try arguments.console.print("\(name)=\(value)") }
      }
      try show("tape", arguments.argument("tape"))
      if !arguments.arguments("note").isEmpty { try show("note", arguments.argument("note")) }
      if arguments.has("out") { try show("out", arguments.text("out")) }
      if arguments.has("sink") { try show("sink", arguments.choice("sink", as: Sink.self)) }
      try show("minutes", arguments.integer("minutes"))
      if arguments.has("speed") { try show("speed", arguments.double("speed")) }
      try show("gaps", arguments.integer("gaps"))
      if arguments.has("set") { try show("set", arguments.texts("set").joined(separator: "|")) }
      if !symbols.isEmpty { try show("symbols", symbols.joined(separator: "|")) }
      if arguments.has("fast") { try show("fast", "yes") }
      if arguments.isJSON { try show("json", "yes") }
      return .ok
    },
    Command(
      name: "parity", summary: "compare two outputs", arguments: [.list("files", "files to compare")],
      options: [.text("key", "NAME", "column to compare by").required()],
      examples: ["weir parity --key seq a b"]
    ) { arguments in
      try arguments.console.print("\(arguments.arguments("files").count) files")
      throw CheckFailed()
    },
    Command(
      name: "venue", summary: "the simulated exchange",
      subcommands: [
        Command(name: "generate", summary: "make a market", examples: ["weir venue generate"]) { arguments in
          for _ in 0..<100_000 { try arguments.console.print("0123456789") }
          return .failedCheck
        }
      ]),
  ])

struct Outcome: Equatable {
  var code: ExitCode
  var output: String
  var error: String
}

/// Runs the sample with both streams in files.
func run(_ line: String, tool: CommandLineTool = sampleTool) throws -> Outcome {
  try run(line.split(separator: " ").map(String.init), tool: tool)
}

func run(_ words: [String], tool: CommandLineTool = sampleTool) throws -> Outcome {
  func file() throws -> Int32 {
    var template = Array("/tmp/weir-command-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    unlink(template)
    return try #require(descriptor >= 0 ? descriptor : nil)
  }
  func content(_ descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: Int(lseek(descriptor, 0, SEEK_END)))
    let count = pread(descriptor, &bytes, bytes.count, 0)
    close(descriptor)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
  let output = try file()
  let error = try file()
  let code = tool.run(words, console: Console(output: output, error: error, environment: [:]))
  return Outcome(code: code, output: content(output), error: content(error))
}
