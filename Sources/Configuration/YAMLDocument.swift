/// One YAML text as a tree, with everything that is wrong with it.
///
/// The subset is what a configuration needs: block and flow mappings, lists and scalars. What would make the
/// meaning of a line depend on another place or on a type guess is refused by name: anchors, aliases (and
/// with them expansion bombs), tags, merge keys, repeated keys, a second document.
public struct YAMLDocument: Sendable {
  /// `nil` when the text is empty or cannot be read to its end.
  public private(set) var root: YAMLNode?
  /// In order of the text. Repeated keys and refused constructs don't stop the reading; a syntax error does.
  public private(set) var problems: [YAMLProblem] = []

  /// The longest text read, 1 MiB.
  public static let bytesMax = 1 << 20
  public static let depthMax = 16
  public static let nodesMax = 100_000
  /// Reading stops after this many problems.
  public static let problemsMax = 50

  private var nodes = 0

  public init(parsing bytes: [UInt8]) {
    guard bytes.count <= YAMLDocument.bytesMax else {
      problems.append(YAMLProblem(YAMLNode.Position(line: 1, column: 1), "longer than 1 MiB"))
      return
    }
    // libyaml asserts that it is given a pointer.
    if bytes.isEmpty { return }
    do throws(YAMLProblem) {
      let reader = YAMLEventReader(bytes)
      root = try readRoot(reader)
    } catch {
      problems.append(error)
      root = nil
    }
  }

  public init(parsing text: String) { self.init(parsing: Array(text.utf8)) }

  private mutating func readRoot(_ reader: borrowing YAMLEventReader) throws(YAMLProblem) -> YAMLNode? {
    var result: YAMLNode?
    var documents = 0
    while true {
      let event = try reader.next()
      switch event.kind {
      case .streamEnd: return result
      case .documentStart:
        documents += 1
        if documents > 1 {
          throw YAMLProblem(event.position, "a second document begins here; keep one document in a file")
        }
      case .documentEnd: break
      default: result = try readNode(event, reader, depth: 0)
      }
    }
  }

  /// - Returns: `nil` for an alias, which has been reported.
  private mutating func readNode(
    _ event: YAMLEventReader.Event, _ reader: borrowing YAMLEventReader, depth: Int
  ) throws(YAMLProblem) -> YAMLNode? {
    nodes += 1
    if nodes > YAMLDocument.nodesMax {
      throw YAMLProblem(event.position, "more than \(YAMLDocument.nodesMax) values")
    }
    if depth >= YAMLDocument.depthMax {
      throw YAMLProblem(event.position, "nested deeper than \(YAMLDocument.depthMax) levels")
    }
    if let anchor = event.anchor, event.kind != .alias {
      try report(event.position, "the anchor &\(anchor) is not supported; write the value at every place")
    }
    if let tag = event.tag { try report(event.position, "the tag \(tag) is not supported; remove it") }
    switch event.kind {
    case .scalar(let text, let isPlain):
      return YAMLNode(.scalar(text, isPlain: isPlain), at: event.position)
    case .sequenceStart: return try readSequence(event.position, reader, depth: depth)
    case .mappingStart: return try readMapping(event.position, reader, depth: depth)
    case .alias:
      try report(
        event.position, "the alias *\(event.anchor ?? "") is not supported; write the value out here")
      return nil
    default: preconditionFailure("libyaml closes only what it opened")
    }
  }

  private mutating func readSequence(
    _ position: YAMLNode.Position, _ reader: borrowing YAMLEventReader, depth: Int
  ) throws(YAMLProblem) -> YAMLNode {
    var elements: [YAMLNode] = []
    while true {
      let event = try reader.next()
      if event.kind == .sequenceEnd { return YAMLNode(.sequence(elements), at: position) }
      if let element = try readNode(event, reader, depth: depth + 1) { elements.append(element) }
    }
  }

  private mutating func readMapping(
    _ position: YAMLNode.Position, _ reader: borrowing YAMLEventReader, depth: Int
  ) throws(YAMLProblem) -> YAMLNode {
    var entries: [YAMLNode.Entry] = []
    var firstLines: [String: Int] = [:]
    while true {
      let event = try reader.next()
      if event.kind == .mappingEnd { return YAMLNode(.mapping(entries), at: position) }
      let key = try readNode(event, reader, depth: depth + 1)
      let value = try readNode(try reader.next(), reader, depth: depth + 1)
      guard let key, let value else { continue }
      guard case .scalar(let name, let isPlain) = key.content else {
        try report(key.position, "a key must be a plain name, not a list or a mapping")
        continue
      }
      if key.isNull || name.isEmpty {
        try report(key.position, "a key is empty; give it a name")
      } else if isPlain, name == "<<" {
        try report(key.position, "the merge key << is not supported; write the values out here")
      } else if let first = firstLines[name] {
        try report(
          key.position,
          "the key \"\(printable(name))\" is written twice, on lines \(first) and \(key.position.line); "
            + "remove one")
      } else {
        firstLines[name] = key.position.line
        entries.append(YAMLNode.Entry(key: name, position: key.position, value: value))
      }
    }
  }

  private mutating func report(_ position: YAMLNode.Position, _ message: String) throws(YAMLProblem) {
    if problems.count >= YAMLDocument.problemsMax {
      throw YAMLProblem(position, "too many problems; stopped")
    }
    problems.append(YAMLProblem(position, message))
  }
}

/// A text from outside made fit for one line of a message: control characters escaped, at most
/// `charactersMax` long.
func printable(_ text: String, charactersMax: Int = 60) -> String {
  var result = ""
  for scalar in text.unicodeScalars.prefix(charactersMax) {
    let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    let separatesLines = scalar.value == 0x2028 || scalar.value == 0x2029
    result += isControl || separatesLines ? scalar.escaped(asASCII: true) : String(Character(scalar))
  }
  return text.unicodeScalars.count > charactersMax ? result + "…" : result
}
