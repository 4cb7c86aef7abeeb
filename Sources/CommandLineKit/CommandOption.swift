/// One `--option` of a command: what it accepts, its default, its line of help.
public struct CommandOption: Sendable {
  enum Value: Sendable, Equatable {
    case none
    case text
    case integer(ClosedRange<Int>)
    case double(ClosedRange<Double>)
    case oneOf([String])
  }

  /// Without the dashes.
  public let name: String
  public let documentation: String
  let value: Value
  /// What stands for the value in the help, `FOLDER`.
  let valueName: String
  private(set) var defaultText: String?
  private(set) var textWithoutValue: String?
  private(set) var isRepeatable = false
  private(set) var isRequired = false

  private init(
    _ name: String, _ value: Value, valueName: String, defaultText: String? = nil, _ documentation: String
  ) {
    precondition(CommandOption.isName(name), "--\(name) is no name for an option")
    self.name = name
    self.value = value
    self.valueName = valueName
    self.defaultText = defaultText
    self.documentation = documentation
    if let defaultText {
      precondition(problem(with: defaultText) == nil, "the default of --\(name) is not valid")
    }
  }

  static func isName(_ name: String) -> Bool {
    guard let first = name.utf8.first, (0x61...0x7A).contains(first) else { return false }
    return name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
  }

  /// `--quiet`
  public static func flag(_ name: String, _ documentation: String) -> CommandOption {
    CommandOption(name, .none, valueName: "", documentation)
  }

  /// `--out FOLDER`
  public static func text(
    _ name: String, _ valueName: String, default text: String? = nil, _ documentation: String
  ) -> CommandOption {
    CommandOption(name, .text, valueName: valueName, defaultText: text, documentation)
  }

  /// `--minutes 10`
  public static func integer(
    _ name: String, _ range: ClosedRange<Int>, default value: Int? = nil, _ documentation: String
  ) -> CommandOption {
    CommandOption(name, .integer(range), valueName: "N", defaultText: value.map { String($0) }, documentation)
  }

  /// `--speed 2.5`
  public static func double(
    _ name: String, _ range: ClosedRange<Double>, default value: Double? = nil, _ documentation: String
  ) -> CommandOption {
    CommandOption(
      name, .double(range), valueName: "X", defaultText: value.map { $0.description }, documentation)
  }

  /// `--sink jsonl|sqlite|dual`
  public static func oneOf(
    _ name: String, _ names: [String], default text: String? = nil, _ documentation: String
  ) -> CommandOption {
    CommandOption(
      name, .oneOf(names), valueName: names.joined(separator: "|"), defaultText: text, documentation)
  }

  /// The value may be left out: `--gaps` alone means `text`.
  ///
  /// The following word is the value only when it could be one (`--gaps 5`, but not `--gaps tape`); of a text
  /// only `--name=value` is.
  public func orAlone(_ text: String) -> CommandOption {
    precondition(value != .none && problem(with: text) == nil, "--\(name) cannot stand alone for \(text)")
    var option = self
    option.textWithoutValue = text
    return option
  }

  /// May be given more than once; without this a second time is an error.
  public func repeatable() -> CommandOption {
    var option = self
    option.isRepeatable = true
    return option
  }

  public func required() -> CommandOption {
    precondition(value != .none && defaultText == nil, "--\(name) has a default, so it is never missing")
    var option = self
    option.isRequired = true
    return option
  }

  /// What is wrong with a value, if anything.
  func problem(with text: String) -> String? {
    switch value {
    case .none: return nil
    case .text: return text.isEmpty ? "is empty" : nil
    case .integer(let range):
      guard let value = Int(text), !text.hasPrefix("+") else {
        return "must be a whole number\(bounds(range)); found \"\(printable(text))\""
      }
      return range.contains(value) ? nil : "must be a whole number\(bounds(range)); found \(value)"
    case .double(let range):
      let isPlain = text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x2D || $0 == 0x65 || $0 == 0x2B
      }
      guard isPlain, let value = Double(text), value.isFinite else {
        return "must be a number\(bounds(range)); found \"\(printable(text))\""
      }
      return range.contains(value) ? nil : "must be a number\(bounds(range)); found \(printable(text))"
    case .oneOf(let names):
      return names.contains(text)
        ? nil : "must be one of \(names.joined(separator: ", ")); found \"\(printable(text))\""
    }
  }

  private func bounds(_ range: ClosedRange<Int>) -> String {
    switch (range.lowerBound, range.upperBound) {
    case (.min, .max): ""
    case (let lower, .max): " of at least \(lower)"
    case (.min, let upper): " of at most \(upper)"
    case (let lower, let upper): " from \(lower) to \(upper)"
    }
  }

  private func bounds(_ range: ClosedRange<Double>) -> String {
    switch (range.lowerBound.isFinite, range.upperBound.isFinite) {
    case (false, false): ""
    case (true, false): " of at least \(range.lowerBound)"
    case (false, true): " of at most \(range.upperBound)"
    case (true, true): " from \(range.lowerBound) to \(range.upperBound)"
    }
  }

  /// `--out FOLDER`, `--gaps[=N]`
  var usage: String {
    if value == .none { return "--\(name)" }
    return textWithoutValue == nil ? "--\(name) \(valueName)" : "--\(name)[=\(valueName)]"
  }

  /// The documentation with the range, the default and the rules of repetition.
  var fullDocumentation: String {
    var notes: [String] = []
    switch value {
    case .integer(let range) where bounds(range) != "":
      notes.append(String(bounds(range).dropFirst()))
    case .double(let range) where bounds(range) != "":
      notes.append(String(bounds(range).dropFirst()))
    default: break
    }
    if let textWithoutValue { notes.append("alone: \(textWithoutValue)") }
    if let defaultText { notes.append("default: \(defaultText)") }
    if isRequired { notes.append("required") }
    if isRepeatable { notes.append("may be repeated") }
    return notes.isEmpty ? documentation : "\(documentation) (\(notes.joined(separator: "; ")))"
  }
}

/// One word of a command that is no option.
public struct CommandArgument: Sendable {
  public let name: String
  public let documentation: String
  let isRequired: Bool
  let isRepeated: Bool

  /// Exactly one word.
  public init(_ name: String, _ documentation: String) {
    self.init(name: name, documentation, isRequired: true, isRepeated: false)
  }

  private init(name: String, _ documentation: String, isRequired: Bool, isRepeated: Bool) {
    self.name = name
    self.documentation = documentation
    self.isRequired = isRequired
    self.isRepeated = isRepeated
  }

  /// One word that may be left out; only words that may be left out can follow.
  public static func optional(_ name: String, _ documentation: String) -> CommandArgument {
    CommandArgument(name: name, documentation, isRequired: false, isRepeated: false)
  }

  /// All words that are left, at least one; the last argument.
  public static func list(_ name: String, _ documentation: String) -> CommandArgument {
    CommandArgument(name: name, documentation, isRequired: true, isRepeated: true)
  }

  var usage: String {
    let name = name.uppercased()
    return isRepeated ? "\(name)…" : isRequired ? name : "[\(name)]"
  }
}

/// A text from outside made fit for one line of a terminal: control characters escaped, cut when long.
func printable(_ text: String, charactersMax: Int = 80) -> String {
  var result = ""
  for scalar in text.unicodeScalars.prefix(charactersMax) {
    let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    result += isControl ? scalar.escaped(asASCII: true) : String(Character(scalar))
  }
  return text.unicodeScalars.count > charactersMax ? result + "…" : result
}
