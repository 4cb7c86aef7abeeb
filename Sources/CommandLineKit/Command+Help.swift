extension Command {
  /// The help of one command or group, ending in a line break.
  func help(path: String) -> String {
    var text = "\(path): \(summary)\n"
    if !details.isEmpty { text += "\n\(details)\n" }
    text += "\nUsage\n"
    if !subcommands.isEmpty {
      text += "  \(path) COMMAND …\n\nCommands\n"
      text += columns(subcommands.map { ($0.name, $0.summary) })
      return text + "\nRun '\(path) COMMAND --help' for more about one.\n"
    }
    let required = options.filter(\.isRequired).map { " " + $0.usage }.joined()
    let words = arguments.map { " " + $0.usage }.joined()
    text += "  \(path)\(required) [options]\(words)\n"
    if !arguments.isEmpty {
      text += "\nArguments\n" + columns(arguments.map { ($0.name.uppercased(), $0.documentation) })
    }
    text += "\nOptions\n" + columns(options.map { ($0.usage, $0.fullDocumentation) })
    text += "\n\(examples.count == 1 ? "Example" : "Examples")\n"
    for example in examples { text += "  \(example)\n" }
    return text
  }

  private func columns(_ rows: [(String, String)]) -> String {
    // A long left side gets its text on a line below, instead of moving every text to the right.
    let widthMax = 30
    let width = rows.map { $0.0.count }.filter { $0 <= widthMax }.max() ?? 0
    var text = ""
    for (left, right) in rows {
      let isLong = left.count > width
      let gap =
        isLong
        ? "\n  " + String(repeating: " ", count: width) : String(repeating: " ", count: width - left.count)
      text += "  \(left)\(gap)  \(right)\n"
    }
    return text
  }
}
