/// # Command line
///
/// A command is a value: what it takes, what it means, an example, and the function that runs it. Parsing,
/// help, usage errors with the nearest known name, exit codes and the `--json` rules follow from that value
/// and so are the same in every command.
///
/// Rules: options and words may be mixed; `--` ends the options; `--name=value` and `--name value` are the
/// same; an option given twice is an error unless it is declared repeatable. Every command also takes
/// `--help` (`-h`), `--json` and `--quiet`.
///
/// With `--json`, standard output carries JSON only. An error then ends it with one line
/// `{"command": …, "error": …, "exit": …}`; the error's text goes to standard error in any case.
public struct Command: Sendable {
  public typealias Run = @Sendable (ParsedArguments) throws -> ExitCode

  public let name: String
  public let summary: String
  public let details: String
  let arguments: [CommandArgument]
  let options: [CommandOption]
  let examples: [String]
  let subcommands: [Command]
  let run: Run?

  /// - Parameters:
  ///   - details: paragraphs for the help, below the summary.
  ///   - examples: complete command lines, at least one.
  public init(
    name: String, summary: String, details: String = "", arguments: [CommandArgument] = [],
    options: [CommandOption] = [], examples: [String], run: @escaping Run
  ) {
    precondition(CommandOption.isName(name) && !examples.isEmpty, "\(name) needs a plain name and an example")
    let all = options + Command.standardOptions
    precondition(Set(all.map(\.name)).count == all.count, "\(name) declares an option twice")
    let optionalFrom = arguments.firstIndex { !$0.isRequired } ?? arguments.count
    precondition(
      arguments[optionalFrom...].allSatisfy { !$0.isRequired }, "\(name): a word that may be missing first")
    precondition(arguments.dropLast().allSatisfy { !$0.isRepeated }, "\(name): only the last word repeats")
    self.name = name
    self.summary = summary
    self.details = details
    self.arguments = arguments
    self.options = all
    self.examples = examples
    subcommands = []
    self.run = run
  }

  /// A group: `weir venue generate`.
  public init(name: String, summary: String, details: String = "", subcommands: [Command]) {
    precondition(CommandOption.isName(name) && !subcommands.isEmpty, "\(name) is an empty group")
    precondition(Set(subcommands.map(\.name)).count == subcommands.count, "\(name) holds a name twice")
    self.name = name
    self.summary = summary
    self.details = details
    arguments = []
    options = Command.standardOptions
    examples = []
    self.subcommands = subcommands
    run = nil
  }

  static let standardOptions = [
    CommandOption.flag("json", "print JSON for machines"),
    CommandOption.flag("quiet", "print no progress"),
    CommandOption.flag("help", "print this help, also -h"),
  ]
}
