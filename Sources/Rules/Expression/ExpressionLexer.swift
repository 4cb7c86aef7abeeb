/// An expression's text as tokens with their columns.
struct ExpressionLexer {
  enum Token: Equatable {
    case name(String)
    case number(Double)
    case text(String)
    case symbol(String)
    case end

    /// For messages.
    var description: String {
      switch self {
      case .name(let name): legible(name)
      case .number(let value): "the number \(value)"
      case .text(let text): "the text \(legible(text))"
      case .symbol(let symbol): "\"\(symbol)\""
      case .end: "the end"
      }
    }
  }

  private let scalars: [Unicode.Scalar]
  private var at = 0
  private static let symbols = [
    "=~", "!~", "==", "!=", ">=", "<=", "(", ")", "{", "}", "[", "]", ",", "=", ">", "<", "+", "-", "*", "/",
  ]

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  var column: Int { at + 1 }

  mutating func skipBlanks() {
    while at < scalars.count, [" ", "\t", "\n", "\r"].contains(scalars[at]) { at += 1 }
  }

  mutating func next() throws(ExpressionError) -> Token {
    skipBlanks()
    guard at < scalars.count else { return .end }
    let scalar = scalars[at]
    if Self.startsName(scalar) { return name() }
    if Self.isDigit(scalar) || scalar == "." && at + 1 < scalars.count && Self.isDigit(scalars[at + 1]) {
      return try number()
    }
    if scalar == "\"" || scalar == "'" { return .text(try text(quote: scalar)) }
    for symbol in Self.symbols where scalars[at...].starts(with: symbol.unicodeScalars) {
      at += symbol.unicodeScalars.count
      return .symbol(symbol)
    }
    throw ExpressionError(column: column, "found \(legible(String(scalar))), which has no meaning here")
  }

  private mutating func name() -> Token {
    let start = at
    while at < scalars.count, Self.startsName(scalars[at]) || Self.isDigit(scalars[at]) { at += 1 }
    let name = string(start)
    // As in Prometheus these two are numbers in any letter case.
    switch name.lowercased() {
    case "inf": return .number(.infinity)
    case "nan": return .number(.nan)
    default: return .name(name)
    }
  }

  private mutating func number() throws(ExpressionError) -> Token {
    let start = at
    while at < scalars.count, Self.isDigit(scalars[at]) || scalars[at] == "." { at += 1 }
    if at < scalars.count, scalars[at] == "e" || scalars[at] == "E" {
      at += 1
      if at < scalars.count, scalars[at] == "+" || scalars[at] == "-" { at += 1 }
      while at < scalars.count, Self.isDigit(scalars[at]) { at += 1 }
    }
    let digits = string(start)
    let isJoined = at < scalars.count && Self.startsName(scalars[at])
    // Go, which reads the exported text, takes a leading zero for octal in some places.
    let octalLike =
      digits.count > 1 && digits.hasPrefix("0") && !digits.contains(where: { ".eE".contains($0) })
    guard !isJoined, !octalLike, let value = Double(digits), value.isFinite else {
      throw ExpressionError(
        column: start + 1,
        "\(legible(digits + (isJoined ? String(scalars[at]) : ""))) is no number; write lengths of time in [ ]"
      )
    }
    return .number(value)
  }

  /// Behind `[`: the text up to `]`, which is consumed.
  mutating func rangeText() throws(ExpressionError) -> String {
    let start = at
    while at < scalars.count, scalars[at] != "]" { at += 1 }
    guard at < scalars.count else {
      throw ExpressionError(column: start, "\"[\" is never closed; write a range such as [5m]")
    }
    at += 1
    var inside = scalars[start..<(at - 1)]
    while inside.first == " " { inside.removeFirst() }
    while inside.last == " " { inside.removeLast() }
    return String(String.UnicodeScalarView(inside))
  }

  private mutating func text(quote: Unicode.Scalar) throws(ExpressionError) -> String {
    let start = at
    at += 1
    var result = String.UnicodeScalarView()
    while at < scalars.count, scalars[at] != quote, scalars[at] != "\n" {
      var scalar = scalars[at]
      if scalar == "\\" {
        at += 1
        guard at < scalars.count else { break }
        switch scalars[at] {
        case "n": scalar = "\n"
        case "t": scalar = "\t"
        case "r": scalar = "\r"
        case "\\": scalar = "\\"
        case quote: scalar = quote
        default:
          throw ExpressionError(
            column: at,
            "the escape \(legible("\\" + String(scalars[at]))) is not supported; a backslash is \\\\")
        }
      }
      result.append(scalar)
      at += 1
    }
    guard at < scalars.count, scalars[at] == quote else {
      throw ExpressionError(column: start + 1, "the text is never closed; end it with \(quote)")
    }
    at += 1
    return String(result)
  }

  private func string(_ start: Int) -> String { String(String.UnicodeScalarView(scalars[start..<at])) }

  static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

  static func startsName(_ scalar: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_" || scalar == ":"
  }
}
