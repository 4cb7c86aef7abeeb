import Core
import Testing

@testable import Configuration

@Suite("YAML document")
struct YAMLDocumentTests {
  @Test func positionsCountFromOneInCharacters() throws {
    let document = YAMLDocument(parsing: "a: 1\n\"größe\": [x, 'y']\nb:\n  c: \"\"\n")
    #expect(document.problems == [])
    guard case .mapping(let entries) = try #require(document.root).content else {
      Issue.record("not a mapping")
      return
    }
    #expect(entries.map(\.key) == ["a", "größe", "b"])
    #expect(entries[1].position == .init(line: 2, column: 1))
    #expect(entries[1].value.position == .init(line: 2, column: 10))
    #expect(
      entries[1].value.content
        == .sequence([
          YAMLNode(.scalar("x", isPlain: true), at: .init(line: 2, column: 11)),
          YAMLNode(.scalar("y", isPlain: false), at: .init(line: 2, column: 14)),
        ]))
    #expect(entries[0].value.content == .scalar("1", isPlain: true))
  }

  @Test(arguments: ["", "\n\n", "# only a comment\n", "---\n", "\u{FEFF}"])
  func emptyTextHasNoKeys(_ text: String) {
    let document = YAMLDocument(parsing: text)
    #expect(document.problems == [])
    #expect(document.root?.isNull ?? true)
  }

  @Test(arguments: [
    ("a: 1\n\tb: 2\n", 2, "tab"),
    ("a: [1, 2\nb: 3\n", 2, "flow sequence"),
    ("a: \"x\nb: 1\n", 3, "quoted scalar"),
    ("a: 1\n---\nb: 2\n", 2, "second document"),
    ("a: &x 1\n", 1, "anchor &x"),
    ("a: *x\n", 1, "alias *x"),
    ("a: !!int 1\n", 1, "tag"),
    ("a:\n  <<: {b: 1}\n", 2, "merge key"),
    ("a: 1\nb: 2\na: 3\n", 3, "on lines 1 and 3"),
    ("a: {b: 1, b: 2}\n", 1, "on lines 1 and 1"),
    ("[a]: 1\n", 1, "a key must be"),
    ("? {a: 1}\n: 2\n", 1, "a key must be"),
    ("~: 1\n", 1, "a key is empty"),
    ("\"\": 1\n", 1, "a key is empty"),
    ("a: @x\n", 1, "cannot start"),
    ("a: b: c\n", 1, "mapping values"),
  ])
  func refused(_ text: String, _ line: Int, _ words: String) throws {
    let problem = try #require(YAMLDocument(parsing: text).problems.first)
    #expect(problem.position.line == line)
    #expect(problem.message.contains(words), "\(problem)")
  }

  @Test func invalidBytesAreNamedByLineAndColumn() throws {
    let bytes = Array("a: 1\nb: ä".utf8) + [0xFF, 0x0A]
    let problem = try #require(YAMLDocument(parsing: bytes).problems.first)
    #expect(problem.position == .init(line: 2, column: 5))
    #expect(problem.message.contains("UTF-8"))
    let control = try #require(YAMLDocument(parsing: "a: \u{1}").problems.first)
    #expect(control.position == .init(line: 1, column: 4))
    #expect(YAMLDocument(parsing: [0xFF, 0xFE, 0x61, 0x00]).problems.count == 1)
  }

  @Test func boundsHold() {
    let deep = String(repeating: "[", count: 5000)
    #expect(YAMLDocument(parsing: deep).problems.first?.message.contains("deeper than 16") == true)
    let nested = String(repeating: "[", count: 15) + "1" + String(repeating: "]", count: 15)
    #expect(YAMLDocument(parsing: nested).problems == [])
    let wide = "a: [" + String(repeating: "1,", count: 120_000) + "]"
    #expect(YAMLDocument(parsing: wide).problems.first?.message.contains("100000 values") == true)
    let long = [UInt8](repeating: 0x20, count: YAMLDocument.bytesMax + 1)
    #expect(YAMLDocument(parsing: long).problems.first?.message.contains("1 MiB") == true)
    let many = (0..<200).map { _ in "a: 1\n" }.joined()
    #expect(YAMLDocument(parsing: many).problems.count == YAMLDocument.problemsMax + 1)
  }

  /// Damaged files end in a tree or in problems, and a problem lies inside the text.
  @Test(arguments: 0..<40)
  func damagedTextsAreRefusedOrRead(seed: Int) {
    let pieces = [
      "a", "b: ", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "\"", "'", "#", "&x ", "*x", "!", "|", ">", "%",
      "\t",
      "\u{85}", "ä", "\\", "---", "...", "? ", ",", "\u{FEFF}", "\0", "1", "null", "<<: ",
    ]
    var random = SeededRandom(seed: UInt64(seed))
    for _ in 0..<50 {
      var bytes: [UInt8] = []
      for _ in 0..<random.below(60) {
        bytes += Array(pieces[random.below(pieces.count)].utf8)
        if random.bernoulli(0.02) { bytes.append(UInt8(random.below(256))) }
      }
      let document = YAMLDocument(parsing: bytes)
      let lines = bytes.filter { $0 == 0x0A || $0 == 0x0D || $0 == 0x85 }.count + 2
      for problem in document.problems {
        #expect((1...lines).contains(problem.position.line), "seed \(seed): \(bytes)")
      }
    }
  }
}
