/// Writes dotted paths as nested YAML that loads again: each section once, in order of first appearance.
struct ConfigOutline {
  private struct Item {
    var parts: [Substring]
    var value: String?
    var above: [String]
    var note: String?
  }

  private var items: [Item] = []
  /// Comment lines that end the text.
  private var footer: [String] = []
  /// Sections that exist even when nothing in them has a value.
  private var kept: Set<[Substring]> = []

  /// Adds one key; without a value it becomes a comment.
  ///
  /// - Parameters:
  ///   - above: comment lines that go before the key.
  ///   - note: a comment behind the value.
  mutating func add(_ path: String, _ value: String?, above: [String] = [], note: String?) {
    items.append(Item(parts: path.split(separator: "."), value: value, above: above, note: note))
  }

  /// Keeps a section that may turn out to hold no value, as `name: {}`.
  mutating func keep(_ path: String) { kept.insert(path.split(separator: ".")) }

  mutating func comment(_ line: String) { footer.append(line) }

  var text: String {
    var firstSeen: [[Substring]: Int] = [:]
    var filled = Set(kept.flatMap { path in (1..<path.count).map { Array(path[..<$0]) } })
    for item in items {
      for depth in 1...item.parts.count {
        let prefix = Array(item.parts[..<depth])
        if firstSeen[prefix] == nil { firstSeen[prefix] = firstSeen.count }
        if item.value != nil { filled.insert(prefix) }
      }
    }
    func order(_ item: Item) -> [Int] {
      (1...item.parts.count).map { firstSeen[Array(item.parts[..<$0])] ?? 0 }
    }
    let sorted = items.map { (order($0), $0) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }.map(\.1)

    var text = ""
    var section: [Substring] = []
    for item in sorted {
      let parents = Array(item.parts.dropLast())
      let shared = zip(parents, section).prefix { $0 == $1 }.count
      for depth in shared..<max(shared, parents.count) {
        let path = Array(parents[...depth])
        // A section without values would read back as an empty one, which is an error.
        let suffix = filled.contains(path) ? ":" : kept.contains(path) ? ": {}" : nil
        text +=
          indent(depth) + (suffix == nil ? "# " : "") + plainOrQuoted(parents[depth]) + (suffix ?? ":") + "\n"
      }
      section = parents
      let margin = indent(parents.count)
      for comment in item.above { text += "\(margin)# \(comment)\n" }
      let name = plainOrQuoted(item.parts[item.parts.count - 1])
      text += item.value.map { "\(margin)\(name): \($0)" } ?? "\(margin)# \(name): not set"
      text += item.note.map { "  # \($0)\n" } ?? "\n"
    }
    for line in footer { text += "# \(line)\n" }
    return text
  }

  private func indent(_ depth: Int) -> String { String(repeating: "  ", count: depth) }

  /// Free names may hold what means something to YAML.
  private func plainOrQuoted(_ name: Substring) -> String {
    let isPlain = name.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x5F
    }
    let startsWithLetter = name.utf8.first.map { $0 >= 0x41 } ?? false
    let isWord = ["null", "NULL", "Null"].contains(name)
    return isPlain && startsWithLetter && !isWord ? String(name) : ConfigValue.string(String(name)).text
  }
}
