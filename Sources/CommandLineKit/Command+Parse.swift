import Core

extension Command {
  /// Splits a command's own words, without its name, into options and arguments, and checks them.
  func parse(_ words: [String], path: String, console: Console) throws(UsageError) -> ParsedArguments {
    var values: [String: [String]] = [:]
    var plain: [String] = []
    var index = 0
    while index < words.count {
      let word = words[index]
      index += 1
      if word == "--" {
        plain += words[index...]
        break
      }
      guard word.hasPrefix("-"), word != "-", !isNumber(word) else {
        plain.append(word)
        continue
      }
      let (option, attached) = try recognise(word)
      if values[option.name] != nil, !option.isRepeatable, option.value != .none {
        throw UsageError("--\(option.name) is given twice; give it once")
      }
      let next = index < words.count ? words[index] : nil
      let (text, isTaken) = try value(of: option, attached: attached, next: next)
      if isTaken { index += 1 }
      if let problem = option.value == .none ? nil : option.problem(with: text) {
        throw UsageError("--\(option.name) \(problem)")
      }
      values[option.name, default: []].append(text)
    }
    // Asking for help is never answered with what is missing.
    if values["help"] == nil { try check(plain, values) }
    return ParsedArguments(command: self, commandPath: path, console: console, values: values, words: plain)
  }

  private func recognise(_ word: String) throws(UsageError) -> (CommandOption, attached: String?) {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0].drop { $0 == "-" })
    let spelling = word == "-h" ? "--help" : String(parts[0])
    if let option = options.first(where: { "--" + $0.name == spelling }) {
      return (option, parts.count > 1 ? String(parts[1]) : nil)
    }
    let nearest =
      options.first { $0.name == name }
      ?? NearestName.find(name, among: options.map(\.name)).flatMap { found in
        options.first { $0.name == found }
      }
    let hint = nearest.map { "; did you mean --\($0.name)?" } ?? ""
    throw UsageError("unknown option \(printable(spelling))\(hint)")
  }

  /// - Returns: the value, and whether the next word was used for it.
  private func value(
    of option: CommandOption, attached: String?, next: String?
  ) throws(UsageError) -> (String, isTaken: Bool) {
    if option.value == .none {
      if attached != nil { throw UsageError("--\(option.name) takes no value") }
      return ("", false)
    }
    if let attached { return (attached, false) }
    if let alone = option.textWithoutValue {
      if let next, option.value != .text, option.problem(with: next) == nil { return (next, true) }
      return (alone, false)
    }
    guard let next else { throw UsageError("--\(option.name) needs a value: \(option.usage)") }
    if next.hasPrefix("-"), next != "-", !isNumber(next) {
      throw UsageError(
        "--\(option.name) needs a value: \(option.usage); write --\(option.name)=… for one that begins with a dash"
      )
    }
    return (next, true)
  }

  private func check(_ words: [String], _ values: [String: [String]]) throws(UsageError) {
    for option in options where option.isRequired && values[option.name] == nil {
      throw UsageError("\(option.usage) is required: \(option.documentation)")
    }
    if words.count < arguments.count, arguments[words.count].isRequired {
      let missing = arguments[words.count]
      throw UsageError("\(missing.name.uppercased()) is missing: \(missing.documentation)")
    }
    let isOpen = arguments.last?.isRepeated ?? false
    if words.count > arguments.count, !isOpen {
      throw UsageError("unexpected argument \"\(printable(words[arguments.count]))\"")
    }
    if let empty = words.firstIndex(of: "") {
      throw UsageError("\(arguments[min(empty, arguments.count - 1)].name.uppercased()) is empty")
    }
  }
}

/// A word such as `-5` or `-0.5`, which is a value and no option.
private func isNumber(_ word: String) -> Bool {
  word.utf8.count > 1 && word.utf8.dropFirst().first.map { (0x30...0x39).contains($0) } == true
    && Double(word) != nil
}
