/// What a command was given, checked against its declaration.
///
/// Asking for a name or a type that the command doesn't declare is our own bug and traps.
public struct ParsedArguments {
  public let command: Command
  /// `weir venue generate`
  public let commandPath: String
  public let console: Console
  private let values: [String: [String]]
  private let words: [String]

  init(command: Command, commandPath: String, console: Console, values: [String: [String]], words: [String]) {
    self.command = command
    self.commandPath = commandPath
    self.console = console
    self.values = values
    self.words = words
  }

  public var isJSON: Bool { values["json"] != nil }
  public var isQuiet: Bool { values["quiet"] != nil }

  /// True when the option was given, whatever its default is.
  public func has(_ name: String) -> Bool {
    _ = option(name)
    return values[name] != nil
  }

  /// The value given, or the default.
  public func text(_ name: String) -> String? { values[name]?.last ?? option(name).defaultText }

  /// The values given, in order; the default alone when none was.
  public func texts(_ name: String) -> [String] {
    values[name] ?? option(name).defaultText.map { [$0] } ?? []
  }

  /// The values given, each split at its commas: `--symbols A,B --symbols C`.
  ///
  /// - Throws: ``UsageError`` when a part is empty.
  public func list(_ name: String) throws(UsageError) -> [String] {
    let parts = texts(name).flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }.map(
      String.init)
    if parts.contains("") { throw UsageError("--\(name) has an empty part; write values as A,B,C") }
    return parts
  }

  public func integer(_ name: String) -> Int? {
    guard case .integer = option(name).value else { preconditionFailure("--\(name) is no whole number") }
    return text(name).flatMap { Int($0) }
  }

  public func double(_ name: String) -> Double? {
    switch option(name).value {
    case .integer, .double: return text(name).flatMap { Double($0) }
    default: preconditionFailure("--\(name) is no number")
    }
  }

  /// For options declared with the raw values of an enumeration.
  public func choice<Choice: RawRepresentable<String>>(_ name: String, as type: Choice.Type) -> Choice? {
    guard case .oneOf(let names) = option(name).value, names.allSatisfy({ Choice(rawValue: $0) != nil })
    else {
      preconditionFailure("--\(name) names something that is no \(type)")
    }
    return text(name).flatMap { Choice(rawValue: $0) }
  }

  /// One word; empty only for an optional word that was left out.
  public func argument(_ name: String) -> String {
    let index = argumentIndex(name)
    return index < words.count ? words[index] : ""
  }

  /// The words of a list, or none or one of a single word.
  public func arguments(_ name: String) -> [String] {
    let index = argumentIndex(name)
    guard index < words.count else { return [] }
    return command.arguments[index].isRepeated ? Array(words[index...]) : [words[index]]
  }

  private func option(_ name: String) -> CommandOption {
    guard let option = command.options.first(where: { $0.name == name }) else {
      preconditionFailure("\(commandPath) declares no --\(name)")
    }
    return option
  }

  private func argumentIndex(_ name: String) -> Int {
    guard let index = command.arguments.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("\(commandPath) declares no \(name)")
    }
    return index
  }
}
