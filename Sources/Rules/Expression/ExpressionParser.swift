import Core

/// Recursive descent over the subset's grammar, with precedence climbing for the operators.
struct ExpressionParser {
  private typealias Node = MetricExpression.Node
  private typealias Function = MetricExpression.Function
  private typealias Aggregation = MetricExpression.Aggregation
  private typealias Operator = MetricExpression.Operator

  private var lexer: ExpressionLexer
  private var token = ExpressionLexer.Token.end
  /// Where `token` begins.
  private var column = 1
  private var depth = 0

  /// Words of PromQL that cannot name a metric here.
  private static let reserved: Set<String> = [
    "and", "or", "unless", "by", "without", "on", "ignoring", "start", "end", "sum", "avg", "count", "min",
    "max", "stddev", "stdvar", "group", "topk",
    "bottomk", "count_values", "quantile",
  ]
  private static let unsupported: Set<String> = ["offset", "bool", "group_left", "group_right", "atan2"]

  static func parse(_ text: String) throws(ExpressionError) -> MetricExpression.Node {
    guard text.utf8.count <= MetricExpression.bytesMax else {
      throw ExpressionError(column: 1, "longer than \(MetricExpression.bytesMax) bytes")
    }
    var parser = ExpressionParser(lexer: ExpressionLexer(text))
    try parser.advance()
    if parser.token == .end { throw ExpressionError(column: 1, "empty; write an expression such as up") }
    let root = try parser.expression(above: 0)
    if parser.token != .end { throw parser.unexpected("an operator or the end") }
    if root.kind == .range {
      throw ExpressionError(
        column: 1, "a range of values is no result; apply a function such as max_over_time to it")
    }
    return root
  }

  private init(lexer: ExpressionLexer) { self.lexer = lexer }

  private mutating func advance() throws(ExpressionError) {
    lexer.skipBlanks()
    column = lexer.column
    token = try lexer.next()
  }

  private mutating func consume(_ symbol: String) throws(ExpressionError) -> Bool {
    guard token == .symbol(symbol) else { return false }
    try advance()
    return true
  }

  private mutating func expect(_ symbol: String, _ place: String) throws(ExpressionError) {
    if try !consume(symbol) { throw unexpected("\"\(symbol)\" \(place)") }
  }

  private func unexpected(_ expected: String) -> ExpressionError {
    if case .name(let name) = token, Self.unsupported.contains(name) {
      return ExpressionError(column: column, "\(name) is not supported in rules")
    }
    return ExpressionError(column: column, "found \(token.description), expected \(expected)")
  }

  // MARK: Operators

  private mutating func expression(above precedence: Int) throws(ExpressionError) -> MetricExpression.Node {
    depth += 1
    defer { depth -= 1 }
    if depth > MetricExpression.depthMax {
      throw ExpressionError(column: column, "nested deeper than \(MetricExpression.depthMax) levels")
    }
    var left = try unary()
    while let found = operatorHere(), found.precedence > precedence {
      let place = column
      try advance()
      let matching = try matching()
      let right = try expression(above: found.precedence)
      try check(found, left, right, hasMatching: matching != nil, place)
      left = .binary(found, left, right, matching ?? .ignoring([]))
      joined += 1
      if joined > 256 { throw ExpressionError(column: place, "more than 256 operators") }
    }
    return left
  }

  /// Operators so far: a chain nests to the left without recursion here, but not in the evaluator.
  private var joined = 0

  private func operatorHere() -> MetricExpression.Operator? {
    switch token {
    case .symbol(let text), .name(let text): Operator(rawValue: text)
    default: nil
    }
  }

  private mutating func matching() throws(ExpressionError) -> MetricExpression.Matching? {
    guard case .name(let word) = token, word == "on" || word == "ignoring" else { return nil }
    try advance()
    let labels = try labelList()
    return word == "on" ? .on(labels) : .ignoring(labels)
  }

  private func check(
    _ found: MetricExpression.Operator, _ left: MetricExpression.Node, _ right: MetricExpression.Node,
    hasMatching: Bool, _ place: Int
  ) throws(ExpressionError) {
    let scalars = [left, right].count { $0.kind == .scalar }
    if left.kind == .range || right.kind == .range {
      throw ExpressionError(
        column: place, "\"\(found.rawValue)\" does not apply to a range; apply a function to it first")
    }
    if found.isSet, scalars > 0 {
      throw ExpressionError(column: place, "\"\(found.rawValue)\" joins series, not numbers")
    }
    if found.comparison != nil, scalars == 2 {
      throw ExpressionError(column: place, "\"\(found.rawValue)\" filters series; both sides are numbers")
    }
    if hasMatching, scalars > 0 {
      throw ExpressionError(column: place, "on and ignoring apply between series, not to a number")
    }
  }

  private mutating func unary() throws(ExpressionError) -> MetricExpression.Node {
    // Not a recursion: a thousand signs must not overflow the stack.
    var minuses = 0
    var hasSign = false
    while case .symbol(let sign) = token, sign == "-" || sign == "+" {
      if sign == "-" { minuses += 1 }
      hasSign = true
      try advance()
    }
    let place = column
    let node = try primary()
    if hasSign, node.kind == .range {
      throw ExpressionError(column: place, "a sign does not apply to a range")
    }
    if minuses == 0 { return node }
    // Two of them give the value back, but not the metric's name.
    return minuses % 2 == 1 ? .negate(node) : .negate(.negate(node))
  }

  // MARK: Operands

  private mutating func primary() throws(ExpressionError) -> MetricExpression.Node {
    switch token {
    case .number(let value):
      try advance()
      return .number(value)
    case .symbol("("):
      try advance()
      let node = try expression(above: 0)
      try expect(")", "to close the parenthesis")
      return node
    case .symbol("{"):
      throw ExpressionError(column: column, "name the metric in front of { }")
    case .name(let name): return try named(name)
    default: throw unexpected("a metric, a number, a function or \"(\"")
    }
  }

  private mutating func named(_ name: String) throws(ExpressionError) -> MetricExpression.Node {
    let place = column
    try advance()
    if let aggregation = Aggregation(rawValue: name) { return try aggregate(aggregation) }
    if token == .symbol("(") {
      guard let function = Function(rawValue: name) else {
        let known = Function.allCases.map(\.rawValue) + Aggregation.allCases.map(\.rawValue)
        let hint = NearestName.find(name, among: known).map { "; did you mean \($0)?" }
        throw ExpressionError(
          column: place,
          "unknown function \(legible(name))\(hint ?? "; known are \(known.joined(separator: ", "))")")
      }
      return try call(function, place)
    }
    if Self.unsupported.contains(name) {
      throw ExpressionError(column: place, "\(name) is not supported in rules")
    }
    if Self.reserved.contains(name) {
      throw ExpressionError(column: place, "\(legible(name)) is a word of the language, not a metric")
    }
    let selector = MetricExpression.Selector(name: name, matchers: try matchers())
    guard token == .symbol("[") else { return .select(selector) }
    let rangePlace = column + 1
    let text = try lexer.rangeText()
    guard let range = TimeSpan.milliseconds(parsing: text), range > 0 else {
      let reason = text.contains(":") ? "subqueries are not supported in rules" : "write a range such as [5m]"
      throw ExpressionError(column: rangePlace, "\(legible(text)) is no range; \(reason)")
    }
    guard range <= MetricExpression.rangeMsMax else {
      throw ExpressionError(column: rangePlace, "the range is longer than 7d, which is the most that is kept")
    }
    try advance()
    return .range(selector, milliseconds: range)
  }

  private mutating func call(_ function: MetricExpression.Function, _ place: Int) throws(ExpressionError)
    -> MetricExpression.Node
  {
    let parameters = function.parameters
    try advance()
    var arguments: [MetricExpression.Node] = []
    while token != .symbol(")") {
      if !arguments.isEmpty { try expect(",", "or \")\" behind an argument of \(function.rawValue)") }
      let start = column
      let argument = try expression(above: 0)
      if arguments.count < parameters.count, argument.kind != parameters[arguments.count] {
        let wanted = parameters[arguments.count]
        let hint = wanted == .range ? ", such as metric[5m]" : wanted == .scalar ? ", such as 0.95" : ""
        throw ExpressionError(
          column: start,
          "\(function.rawValue) takes a \(wanted.rawValue) here\(hint); found a \(argument.kind.rawValue)")
      }
      arguments.append(argument)
    }
    guard arguments.count == parameters.count else {
      throw ExpressionError(
        column: place,
        "\(function.rawValue) takes \(parameters.count) argument\(parameters.count == 1 ? "" : "s"), "
          + "found \(arguments.count)")
    }
    try expect(")", "")
    return .call(function, arguments)
  }

  private mutating func aggregate(_ aggregation: MetricExpression.Aggregation) throws(ExpressionError)
    -> MetricExpression.Node
  {
    var grouping = try grouping()
    try expect("(", "behind \(aggregation.rawValue)")
    let start = column
    let node = try expression(above: 0)
    if node.kind != .vector {
      throw ExpressionError(
        column: start, "\(aggregation.rawValue) takes a vector; found a \(node.kind.rawValue)")
    }
    try expect(")", "behind the argument of \(aggregation.rawValue)")
    if grouping == nil { grouping = try self.grouping() }
    return .aggregate(aggregation, grouping ?? .by([]), node)
  }

  private mutating func grouping() throws(ExpressionError) -> MetricExpression.Grouping? {
    guard case .name(let word) = token, word == "by" || word == "without" else { return nil }
    try advance()
    let labels = try labelList()
    return word == "by" ? .by(labels) : .without(labels)
  }

  /// `(symbol, reason)`
  private mutating func labelList() throws(ExpressionError) -> [String] {
    try expect("(", "to begin a list of labels")
    var labels: [String] = []
    while token != .symbol(")") {
      if !labels.isEmpty { try expect(",", "or \")\" behind a label") }
      labels.append(try labelName())
    }
    try advance()
    return labels
  }

  private mutating func labelName() throws(ExpressionError) -> String {
    guard case .name(let name) = token, !name.contains(":"), !name.hasPrefix("__") else {
      throw unexpected("the name of a label")
    }
    try advance()
    return name
  }

  private mutating func matchers() throws(ExpressionError) -> [MetricExpression.Matcher] {
    guard try consume("{") else { return [] }
    var matchers: [MetricExpression.Matcher] = []
    while token != .symbol("}") {
      if !matchers.isEmpty {
        try expect(",", "or \"}\" behind a matcher")
        // Prometheus allows a comma behind the last one.
        if token == .symbol("}") { break }
      }
      let label = try labelName()
      guard case .symbol(let relation) = token, ["=", "!=", "=~", "!~"].contains(relation) else {
        throw unexpected("=, !=, =~ or !~ behind the label")
      }
      try advance()
      let place = column
      guard case .text(let text) = token else { throw unexpected("a text in quotes") }
      try advance()
      let isPattern = relation.hasSuffix("~")
      matchers.append(
        MetricExpression.Matcher(
          label: label, isNegated: relation.hasPrefix("!"),
          values: isPattern ? try alternatives(text, place) : [text], isEquality: relation == "="))
    }
    try advance()
    return matchers
  }

  /// Of the regular expressions only plain words joined by `|`, which need no engine to be read alike.
  private func alternatives(_ pattern: String, _ place: Int) throws(ExpressionError) -> [String] {
    var words = [""]
    var isEscaped = false
    for scalar in pattern.unicodeScalars {
      let isSpecial = ".+*?()[]{}^$\\|".unicodeScalars.contains(scalar)
      if isEscaped {
        guard isSpecial || scalar == "-" else {
          throw ExpressionError(
            column: place, "the escape \(legible("\\" + String(scalar))) is not supported in a pattern")
        }
        words[words.count - 1].unicodeScalars.append(scalar)
        isEscaped = false
      } else if scalar == "\\" {
        isEscaped = true
      } else if scalar == "|" {
        words.append("")
      } else if isSpecial {
        throw ExpressionError(
          column: place,
          "a pattern is plain words joined by |; \"\(scalar)\" is not supported, a literal one is \\\\\(scalar)"
        )
      } else {
        words[words.count - 1].unicodeScalars.append(scalar)
      }
    }
    if isEscaped { throw ExpressionError(column: place, "the pattern ends in a lone backslash") }
    return words
  }
}
