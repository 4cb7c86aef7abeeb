/// `--name value`, `--name`, and the rest, as the conformance scripts give them.
struct PeerArguments {
  private var values: [String: String] = [:]
  private(set) var rest: [String] = []
  private static let flags: Set = ["--deflate", "--together"]

  init(_ words: [String]) {
    var index = 0
    while index < words.count {
      let word = words[index]
      index += 1
      guard word.hasPrefix("--") else {
        rest.append(word)
        continue
      }
      if PeerArguments.flags.contains(word) || index == words.count {
        values[word] = ""
      } else {
        values[word] = words[index]
        index += 1
      }
    }
  }

  func has(_ name: String) -> Bool { values[name] != nil }
  func text(_ name: String) -> String? { values[name] }
  func integer(_ name: String) -> Int? { values[name].flatMap { Int($0) } }
}
