// Numbers are read by this grammar and not by YAML's own typing, which takes 010 for eight, 1_000 for a
// thousand, 12:30 for 750 and `on` for true, and by this grammar both in a file and in the environment.

extension ConfigType {
  /// Reads a value, reporting everything that is wrong with it.
  ///
  /// - Parameter example: a valid value, quoted in the messages.
  /// - Returns: `nil` when something was reported.
  func read(_ node: YAMLNode, example: String, _ problems: inout [YAMLProblem]) -> ConfigValue? {
    let before = problems.count
    let value = readUnchecked(node, example, &problems)
    return problems.count == before ? value : nil
  }

  private func readUnchecked(
    _ node: YAMLNode, _ example: String, _ problems: inout [YAMLProblem]
  ) -> ConfigValue? {
    func fail(_ node: YAMLNode, _ message: String) -> ConfigValue? {
      problems.append(YAMLProblem(node.position, message))
      return nil
    }
    func mismatch(_ node: YAMLNode, _ hint: String? = nil) -> ConfigValue? {
      let found = "found \(summary(of: node))\(hint.map { " (\($0))" } ?? "")"
      return fail(node, "\(found); expected \(description), such as \(example)")
    }
    if node.isNull || node.content == .scalar("", isPlain: false) {
      return fail(node, "has no value; give it one, such as \(example), or remove the key")
    }
    switch self {
    case .integer(let range):
      guard case .scalar(let text, isPlain: true) = node.content else { return mismatch(node) }
      guard isInteger(text) else { return mismatch(node, numberHint(text, isInteger: true)) }
      guard let value = Int64(text) else { return mismatch(node, "beyond 64 bits") }
      return range.contains(value) ? .integer(value) : outOfRange(node, text, example, &problems)
    case .double(let range):
      guard case .scalar(let text, isPlain: true) = node.content else { return mismatch(node) }
      guard isDecimal(text) else { return mismatch(node, numberHint(text, isInteger: false)) }
      guard let value = finiteDouble(text) else { return mismatch(node, "not representable as a double") }
      return range.contains(value) ? .double(value) : outOfRange(node, text, example, &problems)
    case .boolean:
      switch node.content {
      case .scalar("true", isPlain: true): return .boolean(true)
      case .scalar("false", isPlain: true): return .boolean(false)
      default: return mismatch(node)
      }
    case .string, .optionalString:
      guard case .scalar(let text, _) = node.content else { return mismatch(node) }
      if let reason = textProblem(text) { return fail(node, reason) }
      return .string(text)
    case .oneOf(let names):
      guard case .scalar(let text, _) = node.content else { return mismatch(node) }
      if names.contains(text) { return .string(text) }
      return mismatch(node)
    case .strings(let count):
      guard case .sequence(let elements) = node.content else { return mismatch(node) }
      guard count.contains(elements.count) else { return wrongCount(node, elements.count, &problems) }
      var values: [String] = []
      for element in elements {
        if case .string(let value) = ConfigType.string.readUnchecked(element, "some text", &problems) {
          values.append(value)
        }
      }
      return .strings(values)
    case .doubles(let range, let count):
      guard case .sequence(let elements) = node.content else { return mismatch(node) }
      guard count.contains(elements.count) else { return wrongCount(node, elements.count, &problems) }
      let type = ConfigType.double(range)
      var values: [Double] = []
      for element in elements {
        if case .double(let value) = type.readUnchecked(element, type.example, &problems) {
          values.append(value)
        }
      }
      return .doubles(values)
    }
  }

  private func outOfRange(
    _ node: YAMLNode, _ text: String, _ example: String, _ problems: inout [YAMLProblem]
  ) -> ConfigValue? {
    problems.append(
      YAMLProblem(
        node.position, "\(printable(text)) is out of range; expected \(description), such as \(example)"))
    return nil
  }

  private func wrongCount(_ node: YAMLNode, _ count: Int, _ problems: inout [YAMLProblem]) -> ConfigValue? {
    problems.append(
      YAMLProblem(node.position, "a list of \(count); expected \(description)"))
    return nil
  }

  /// A value from the environment or the command line as the node a file would have given.
  ///
  /// Texts are taken literally. A list is written with commas (`a,b`) or as in a file (`[a, b]`).
  func node(fromText text: String) -> Result<YAMLNode, YAMLProblem> {
    let start = YAMLNode.Position(line: 1, column: 1)
    let isList: Bool
    switch self {
    case .strings, .doubles: isList = true
    default: isList = false
    }
    guard isList else {
      var isText = false
      switch self {
      case .string, .optionalString, .oneOf: isText = true
      default: break
      }
      return .success(YAMLNode(.scalar(text, isPlain: !isText), at: start))
    }
    if text.utf8.first == 0x5B {
      let document = YAMLDocument(parsing: text)
      if let problem = document.problems.first {
        return .failure(
          YAMLProblem(problem.position, "\"\(printable(text))\" is not a list; write a,b or [a, b]"))
      }
      if let root = document.root { return .success(root) }
    }
    if text.isEmpty { return .success(YAMLNode(.scalar("", isPlain: true), at: start)) }
    var isText = false
    if case .strings = self { isText = true }
    let elements = text.split(separator: ",", omittingEmptySubsequences: false).map { part in
      let trimmed = part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
      return YAMLNode(.scalar(String(trimmed), isPlain: !isText), at: start)
    }
    return .success(YAMLNode(.sequence(elements), at: start))
  }
}

/// What a node is, in a message: `the text "fast"`, `a list`.
func summary(of node: YAMLNode) -> String {
  switch node.content {
  case .mapping: "a group of keys"
  case .sequence: "a list"
  case .scalar(let text, let isPlain):
    node.isNull
      ? "nothing"
      : isPlain ? "\"\(printable(text))\"" : "the text \"\(printable(text))\" in quotes"
  }
}

/// `-?(0|[1-9][0-9]*)`
private func isInteger(_ text: String) -> Bool {
  var digits = Substring(text)
  if digits.first == "-" { digits.removeFirst() }
  guard let first = digits.utf8.first, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
    return false
  }
  return first != 0x30 || digits.utf8.count == 1
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
private func isDecimal(_ text: String) -> Bool {
  func isDigits(_ part: Substring) -> Bool {
    !part.isEmpty && part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
  }
  var mantissa = Substring(text)
  if let mark = mantissa.firstIndex(where: { $0 == "e" || $0 == "E" }) {
    var exponent = mantissa[mantissa.index(after: mark)...]
    if exponent.first == "+" || exponent.first == "-" { exponent.removeFirst() }
    guard isDigits(exponent) else { return false }
    mantissa = mantissa[..<mark]
  }
  if let point = mantissa.firstIndex(of: ".") {
    guard isDigits(mantissa[mantissa.index(after: point)...]) else { return false }
    mantissa = mantissa[..<point]
  }
  return isInteger(String(mantissa))
}

/// `nil` for texts that overflow to infinity or underflow to zero. Minus zero becomes zero.
private func finiteDouble(_ text: String) -> Double? {
  guard let value = Double(text), value.isFinite else { return nil }
  let mantissa = text.prefix { $0 != "e" && $0 != "E" }
  let isZero = !mantissa.contains { $0 >= "1" && $0 <= "9" }
  if value == 0 { return isZero ? 0 : nil }
  return value
}

/// Why a text that looks like a number is none.
private func numberHint(_ text: String, isInteger wantsInteger: Bool) -> String? {
  let lowered = text.lowercased()
  let unsigned = lowered.drop { $0 == "-" || $0 == "+" }
  if ["inf", ".inf", "infinity", "nan", ".nan"].contains(String(unsigned)) {
    return "numbers must be finite"
  }
  guard let first = unsigned.first, first.isNumber || first == "." else { return nil }
  if lowered.first == "+" { return "write it without the plus sign" }
  for prefix in ["0x", "0o", "0b"] where unsigned.hasPrefix(prefix) { return "write it in decimal" }
  if unsigned.contains("_") || unsigned.contains(",") { return "write the digits without separators" }
  if wantsInteger, isDecimal(text) { return "it must be whole, without point or exponent" }
  if first == "0", unsigned.count > 1, unsigned.dropFirst().first?.isNumber == true {
    return "a leading zero means octal to some readers; write it without"
  }
  if first == "." || unsigned.last == "." { return "write digits on both sides of the point" }
  if let last = unsigned.last, !last.isNumber { return "write only the number; the unit is fixed" }
  return nil
}

private func textProblem(_ text: String) -> String? {
  if text.utf8.count > ConfigType.textBytesMax { return "longer than \(ConfigType.textBytesMax) bytes" }
  for scalar in text.unicodeScalars where scalar != "\n" && scalar != "\t" {
    if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) { return "holds a control character" }
  }
  return nil
}
