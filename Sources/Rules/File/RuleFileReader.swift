import Configuration
import Core

/// Reads the rule file and collects everything that is wrong with it.
struct RuleFileReader {
  private let path: String
  private var issues: [ConfigIssue] = []

  static func read(_ bytes: [UInt8], path: String) throws(ConfigError) -> RuleSet {
    var reader = RuleFileReader(path: path)
    let document = YAMLDocument(parsing: bytes)
    for problem in document.problems { reader.report(problem.position, nil, problem.message) }
    var rules = RuleSet(path: path)
    if let root = document.root {
      reader.readRoot(root, &rules)
    } else if document.problems.isEmpty {
      reader.report(YAMLNode.Position(line: 1, column: 1), nil, "empty; expected alerts: and degrade:")
    }
    guard reader.issues.isEmpty else {
      throw ConfigError(
        reader.issues.sorted { a, b in
          guard case .file(_, let a?) = a.origin, case .file(_, let b?) = b.origin else { return false }
          return (a.line, a.column) < (b.line, b.column)
        })
    }
    return rules
  }

  private init(path: String) { self.path = path }

  private mutating func report(_ position: YAMLNode.Position, _ key: String?, _ message: String) {
    issues.append(ConfigIssue(origin: .file(path: path, position: position), key: key, message))
  }

  private mutating func readRoot(_ root: YAMLNode, _ rules: inout RuleSet) {
    let top = section(
      root, "", known: ["interval_s", "suppress_s", "storm", "alerts", "degrade"], required: ["alerts"])
    if let node = top["interval_s"], let value = seconds(node, "interval_s", 1...300) {
      rules.intervalNs = value
    }
    if let node = top["suppress_s"], let value = seconds(node, "suppress_s", 0...86_400) {
      rules.suppressNs = value
    }
    if let node = top["storm"] {
      let storm = section(node, "storm", known: ["count", "window_s"], required: ["count", "window_s"])
      if let node = storm["count"], let value = number(node, "storm.count", 1...1000) {
        rules.stormCountMax = Int(value)
      }
      if let node = storm["window_s"], let value = seconds(node, "storm.window_s", 1...86_400) {
        rules.stormWindowNs = value
      }
    }
    if let node = top["alerts"] {
      rules.alerts = list(node, "alerts") { reader, node, key in reader.alert(node, key) }
    }
    if let node = top["degrade"] {
      rules.degrade = list(node, "degrade") { reader, node, key in reader.degradeStep(node, key) }
    }
  }

  // MARK: Rules

  private static let conditionKeys = ["name", "expression", "comparison", "threshold", "for", "summary"]

  private mutating func alert(_ node: YAMLNode, _ key: String) -> AlertRule? {
    let required = Self.conditionKeys + ["level", "severity", "action", "runbook"]
    let fields = section(node, key, known: required + ["proof"], required: required)
    let condition = self.condition(fields, key)
    let level = choice(fields["level"], "\(key).level", AlertLevel.self)
    let severity = choice(fields["severity"], "\(key).severity", AlertSeverity.self)
    let action = choice(fields["action"], "\(key).action", AlertAction.self)
    let runbook = text(fields["runbook"], "\(key).runbook")
    let summary = text(fields["summary"], "\(key).summary")
    let name = self.name(fields["name"], "\(key).name")
    var proof: RuleProof?
    if let node = fields["proof"] { proof = self.proof(node, "\(key).proof") }
    guard let name, let condition, let level, let severity, let action, let runbook, let summary else {
      return nil
    }
    return AlertRule(
      name: name, condition: condition, level: level, severity: severity, action: action, runbook: runbook,
      summary: summary, proof: proof)
  }

  private mutating func degradeStep(_ node: YAMLNode, _ key: String) -> DegradeStep? {
    let required = Self.conditionKeys + ["recover_for", "effects"]
    let fields = section(node, key, known: required, required: required)
    let condition = self.condition(fields, key)
    let recoverFor = duration(fields["recover_for"], "\(key).recover_for")
    let summary = text(fields["summary"], "\(key).summary")
    let name = self.name(fields["name"], "\(key).name")
    var effects: [DegradeEffect] = []
    if let node = fields["effects"] {
      effects = list(node, "\(key).effects") { $0.choice($1, $2, DegradeEffect.self) }
      if Set(effects).count < effects.count {
        report(node.position, "\(key).effects", "an effect stands twice")
      }
      if effects.isEmpty { report(node.position, "\(key).effects", "name at least one effect") }
    }
    guard let name, let condition, let recoverFor, let summary, !effects.isEmpty else { return nil }
    return DegradeStep(
      name: name, condition: condition, recoverForNs: recoverFor, effects: effects, summary: summary)
  }

  private mutating func condition(_ fields: [String: YAMLNode], _ key: String) -> Condition? {
    let parsed = expression(fields["expression"], "\(key).expression")
    let comparison = choice(fields["comparison"], "\(key).comparison", Comparison.self)
    let threshold = number(fields["threshold"], "\(key).threshold", -1e15...1e15)
    let duration = self.duration(fields["for"], "\(key).for")
    guard let parsed, let comparison, let threshold, let duration else { return nil }
    return Condition(parsed, comparison, threshold, forNs: duration)
  }

  private mutating func expression(_ node: YAMLNode?, _ key: String) -> MetricExpression? {
    guard let node, let text = self.text(node, key) else { return nil }
    do throws(ExpressionError) {
      let parsed = try MetricExpression(parsing: text)
      if !parsed.isScalar { return parsed }
      report(node.position, key, "gives a number without series; a rule judges a measured metric")
    } catch {
      report(node.position, key, error.description)
    }
    return nil
  }

  // MARK: Proofs

  private mutating func proof(_ node: YAMLNode, _ key: String) -> RuleProof? {
    let keys = ["cause", "every", "series"]
    let fields = section(node, key, known: keys, required: keys)
    let cause = text(fields["cause"], "\(key).cause")
    let every = duration(fields["every"], "\(key).every")
    guard let cause, let every, let node = fields["series"] else { return nil }
    if every < Nanoseconds.second {
      report(node.position, "\(key).every", "must be at least 1s")
      return nil
    }
    guard case .mapping(let entries) = node.content else {
      report(node.position, "\(key).series", "expected series and values, such as up: 1x10 0x5")
      return nil
    }
    return RuleProof(
      cause: cause, everyMs: every / Nanoseconds.millisecond,
      series: entries.compactMap { series($0, "\(key).series") })
  }

  private mutating func series(_ entry: YAMLNode.Entry, _ key: String) -> RuleProof.Series? {
    guard let values = text(entry.value, key) else { return nil }
    do throws(ExpressionError) {
      guard case .select(let selector) = try MetricExpression(parsing: entry.key).root,
        selector.matchers.allSatisfy(\.isEquality)
      else {
        report(entry.position, key, "\(legible(entry.key)) is no series; write such as up{job=\"signal\"}")
        return nil
      }
      let labels = LabelSet(selector.matchers.map { .init($0.label, $0.values[0]) })
      do throws(RuleError) {
        return RuleProof.Series(
          text: entry.key, name: selector.name, labels: labels, values: try SeriesNotation(parsing: values))
      } catch {
        report(entry.value.position, key, error.message)
      }
    } catch {
      report(entry.position, key, error.description)
    }
    return nil
  }

  // MARK: Values

  /// The entries of a mapping by key; what is unknown or missing is reported.
  private mutating func section(_ node: YAMLNode, _ key: String, known: [String], required: [String])
    -> [String: YAMLNode]
  {
    guard case .mapping(let entries) = node.content else {
      report(node.position, key.isEmpty ? nil : key, "expected keys and values, such as \(known[0]):")
      return [:]
    }
    var fields: [String: YAMLNode] = [:]
    for entry in entries {
      if known.contains(entry.key) {
        fields[entry.key] = entry.value
      } else {
        let hint = NearestName.find(entry.key, among: known).map { "did you mean \($0)?" }
        report(
          entry.position, key.isEmpty ? nil : key,
          "unknown key \(legible(entry.key)); \(hint ?? "known are \(known.joined(separator: ", "))")")
      }
    }
    for name in required where fields[name] == nil {
      report(node.position, key.isEmpty ? nil : key, "\(name): is missing")
    }
    return fields
  }

  private mutating func list<Element>(
    _ node: YAMLNode, _ key: String,
    _ read: (inout RuleFileReader, YAMLNode, String) -> Element?
  ) -> [Element] {
    if node.isNull { return [] }
    guard case .sequence(let nodes) = node.content else {
      report(node.position, key, "expected a list")
      return []
    }
    let outerNames = names
    names = [:]
    defer { names = outerNames }
    var elements: [Element] = []
    for (index, node) in nodes.enumerated() {
      if let element = read(&self, node, "\(key)[\(index)]") { elements.append(element) }
    }
    return elements
  }

  /// Of the list that is being read, with their lines.
  private var names: [String: Int] = [:]

  private mutating func name(_ node: YAMLNode?, _ key: String) -> String? {
    guard let node, let text = self.text(node, key) else { return nil }
    let isPlain = text.unicodeScalars.allSatisfy {
      $0 != ":" && (ExpressionLexer.startsName($0) || ExpressionLexer.isDigit($0))
    }
    guard isPlain, let first = text.unicodeScalars.first, !ExpressionLexer.isDigit(first) else {
      report(node.position, key, "\(legible(text)) is no name; use letters, digits and _")
      return nil
    }
    if let line = names[text] {
      report(node.position, key, "the name \(text) is used twice, on lines \(line) and \(node.position.line)")
      return nil
    }
    names[text] = node.position.line
    return text
  }

  private mutating func text(_ node: YAMLNode?, _ key: String) -> String? {
    guard let node else { return nil }
    guard case .scalar(var text, _) = node.content, !node.isNull else {
      report(node.position, key, "expected a text")
      return nil
    }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    if text.isEmpty || text.contains("{{") {
      report(node.position, key, text.isEmpty ? "is empty" : "\"{{\" would be read as a template elsewhere")
      return nil
    }
    return text
  }

  private mutating func number(_ node: YAMLNode?, _ key: String, _ range: ClosedRange<Double>) -> Double? {
    guard let node else { return nil }
    guard case .scalar(let text, isPlain: true) = node.content, let value = Double(text),
      range.contains(value)
    else {
      report(
        node.position, key,
        "expected a number from \(numberText(range.lowerBound)) to "
          + numberText(range.upperBound))
      return nil
    }
    return value
  }

  private mutating func seconds(_ node: YAMLNode, _ key: String, _ range: ClosedRange<Double>) -> Int64? {
    number(node, key, range).map { Int64($0 * 1000) * Nanoseconds.millisecond }
  }

  /// `3m`, in nanoseconds.
  private mutating func duration(_ node: YAMLNode?, _ key: String) -> Int64? {
    guard let node else { return nil }
    guard case .scalar(let text, _) = node.content, let value = TimeSpan.milliseconds(parsing: text),
      value <= MetricExpression.rangeMsMax
    else {
      report(node.position, key, "expected a length of time up to 7d, such as 30s, 3m or 0s")
      return nil
    }
    return value * Nanoseconds.millisecond
  }

  private mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ node: YAMLNode?, _ key: String, _ type: Choice.Type
  ) -> Choice? {
    guard let node else { return nil }
    let known = Choice.allCases.map(\.rawValue)
    guard case .scalar(let text, _) = node.content else {
      report(node.position, key, "expected one of \(known.joined(separator: ", "))")
      return nil
    }
    if let choice = Choice(rawValue: text) { return choice }
    let hint = NearestName.find(text, among: known).map { "did you mean \($0)?" }
    report(
      node.position, key,
      "found \(legible(text)); \(hint ?? "expected one of \(known.joined(separator: ", "))")")
    return nil
  }
}
