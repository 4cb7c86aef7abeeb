import Core
import Glibc

/// A program made of commands: finds the one meant, runs it, reports its error, gives the exit code.
public struct CommandLineTool: Sendable {
  public let root: Command
  public let version: String

  /// - Parameters:
  ///   - version: `0.1.0`, printed by `weir version` and `weir --version`.
  ///   - versionDetails: further lines for `weir version`, name and value, and members of its JSON.
  public init(
    name: String, summary: String, version: String, versionDetails: KeyValuePairs<String, String> = [:],
    commands: [Command]
  ) {
    self.version = version
    let details = versionDetails.map { ($0.key, $0.value) }
    let versionCommand = Command(
      name: "version", summary: "print the version", examples: ["\(name) version --json"]
    ) { arguments in
      if arguments.isJSON {
        let members = [("name", name), ("version", version)] + details
        try arguments.console.print(json: .object(members.map { JSONValue.Member($0.0, .string($0.1)) }))
      } else {
        try arguments.console.print("\(name) \(version)")
        for (name, value) in details { try arguments.console.print("\(name): \(value)") }
      }
      return .ok
    }
    // Found by `find` before it could run; listed so that the help and the suggestions know it.
    let helpCommand = Command(
      name: "help", summary: "print the help of a command",
      arguments: [.list("command", "the command's name")],
      examples: ["\(name) help version"]
    ) { _ in .ok }
    root = Command(name: name, summary: summary, subcommands: commands + [helpCommand, versionCommand])
  }

  /// Runs the process's own command line and ends the process.
  public func main() -> Never {
    // A reader that goes away is an error to handle, not a signal to die from.
    signal(SIGPIPE, SIG_IGN)
    exit(run(Array(CommandLine.arguments.dropFirst()), console: Console()).rawValue)
  }

  /// Runs one command line, given without the program's name.
  public func run(_ words: [String], console: Console) -> ExitCode {
    var path = root.name
    do {
      let code = try run(words, console, path: &path)
      try console.flush()
      return code
    } catch is OutputClosed {
      return .ok
    } catch {
      return report(error, path: path, isJSON: asksForJSON(words), console)
    }
  }

  private func run(_ words: [String], _ console: Console, path: inout String) throws -> ExitCode {
    switch try find(words, path: &path) {
    case .help(let command):
      try console.write(command.help(path: path))
      return .ok
    case .nothing(let group):
      console.writeError(group.help(path: path))
      return .usage
    case .version:
      try console.print("\(root.name) \(version)")
      return .ok
    case .leaf(let command, let rest):
      let arguments = try command.parse(rest, path: path, console: console)
      if arguments.has("help") {
        try console.write(command.help(path: path))
        return .ok
      }
      guard let run = command.run else { preconditionFailure("a leaf runs") }
      return try run(arguments)
    }
  }

  private func report(_ error: any Error, path: String, isJSON: Bool, _ console: Console) -> ExitCode {
    let code = (error as? any ExitCodeError)?.exitCode ?? .failedCheck
    let lines = "\(error)".split(separator: "\n", omittingEmptySubsequences: false)
    console.note("\(path): error: \(lines.joined(separator: "\n  "))")
    if error is UsageError { console.note("run '\(path) --help'") }
    guard isJSON else {
      // What was printed before the error still belongs to the reader.
      try? console.flush()
      return code
    }
    let document: JSONValue = .object([
      "command": .string(path), "error": .string("\(error)"), "exit": .integer(code.rawValue),
    ])
    try? console.print(json: document)
    try? console.flush()
    return code
  }

  private func asksForJSON(_ words: [String]) -> Bool { words.prefix { $0 != "--" }.contains("--json") }

  private enum Target {
    case leaf(Command, [String])
    case help(Command)
    case nothing(Command)
    case version
  }

  private func find(_ words: [String], path: inout String) throws(UsageError) -> Target {
    var command = root
    var rest = words[...]
    // `weir --json replay` means `weir replay --json`.
    var leading: [String] = []
    var wantsHelp = false
    while !command.subcommands.isEmpty {
      guard let word = rest.first else { return wantsHelp ? .help(command) : .nothing(command) }
      rest = rest.dropFirst()
      switch word {
      case "--json", "--quiet": leading.append(word)
      case "--help", "-h": return .help(command)
      case "--version" where command.name == root.name: return .version
      case "help" where command.name == root.name && !wantsHelp: wantsHelp = true
      default:
        guard let next = command.subcommands.first(where: { $0.name == word }) else {
          throw unknown(word, in: command)
        }
        command = next
        path += " " + next.name
      }
    }
    if wantsHelp {
      if let extra = rest.first { throw UsageError("unexpected argument \"\(printable(extra))\"") }
      return .help(command)
    }
    return .leaf(command, leading + rest)
  }

  private func unknown(_ word: String, in command: Command) -> UsageError {
    let isOption = word.hasPrefix("-")
    let names = command.subcommands.map(\.name)
    let nearest = isOption ? nil : NearestName.find(word, among: names)
    let hint = nearest.map { "; did you mean \($0)?" } ?? (isOption ? "; options follow the command" : "")
    return UsageError("unknown \(isOption ? "option" : "command") \(printable(word))\(hint)")
  }

  /// What is wrong with the commands' examples; for a test, empty when all can be parsed.
  public func exampleProblems() -> [String] {
    func walk(_ command: Command) -> [String] {
      command.subcommands.isEmpty ? command.examples : command.subcommands.flatMap(walk)
    }
    let console = Console(environment: [:])
    return walk(root).compactMap { example in
      let words = example.split(separator: " ").map(String.init)
      guard words.first == root.name else { return "\(example): begins with another word than \(root.name)" }
      do throws(UsageError) {
        var path = root.name
        guard case .leaf(let command, let rest) = try find(Array(words.dropFirst()), path: &path) else {
          return nil
        }
        _ = try command.parse(rest, path: path, console: console)
        return nil
      } catch {
        return "\(example): \(error)"
      }
    }
  }
}
