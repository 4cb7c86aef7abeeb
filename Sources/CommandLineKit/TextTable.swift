/// Rows and columns for people: aligned with spaces, numbers to the right.
///
/// A column is set to the right when all its filled cells are numbers. Control characters in cells are
/// escaped, so that a text from outside cannot steer the terminal.
public struct TextTable: Sendable {
  public let header: [String]
  public private(set) var rows: [[String]] = []

  public init(_ header: [String]) {
    precondition(!header.isEmpty)
    self.header = header
  }

  /// - Precondition: one cell a column.
  public mutating func add(_ cells: [String]) {
    precondition(cells.count == header.count, "a row has as many cells as the table has columns")
    rows.append(cells)
  }

  /// The table, each line ending in a line break and none in spaces.
  public func text(_ style: TerminalStyle = TerminalStyle(isStyled: false)) -> String {
    let head = header.map { printable($0, charactersMax: .max) }
    let body = rows.map { $0.map { printable($0, charactersMax: .max) } }
    let widths = head.indices.map { column in
      max(displayWidth(head[column]), body.map { displayWidth($0[column]) }.max() ?? 0)
    }
    let isRight = head.indices.map { column in
      let filled = body.map { $0[column] }.filter { !$0.isEmpty && $0 != "–" }
      return !filled.isEmpty && filled.allSatisfy(isNumber)
    }
    var text = line(head, widths, isRight) { style.bold($0) }
    for row in body { text += line(row, widths, isRight) { $0 } }
    return text
  }

  private func line(
    _ cells: [String], _ widths: [Int], _ isRight: [Bool], _ stress: (String) -> String
  ) -> String {
    var text = ""
    var pending = ""
    for (column, cell) in cells.enumerated() {
      let padding = String(repeating: " ", count: widths[column] - displayWidth(cell))
      if column > 0 { pending += "  " }
      if isRight[column] { pending += padding }
      if !cell.isEmpty {
        text += pending + stress(cell)
        pending = ""
      }
      if !isRight[column] { pending += padding }
    }
    return text + "\n"
  }
}

/// Columns a text takes on a terminal: two for East Asian wide characters and emoji, none for marks that
/// combine. Source: Unicode Standard Annex #11, by blocks.
func displayWidth(_ text: String) -> Int {
  text.reduce(0) { width, character in
    guard let first = character.unicodeScalars.first else { return width }
    switch first.value {
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
      0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      return width + 2
    default:
      let isMark =
        first.properties.generalCategory == .nonspacingMark || first.properties.generalCategory == .format
      return isMark ? width : width + 1
    }
  }
}

/// `-1,234.5`, `12 %`, `8.3 M`, `1e-9`: digits first, then at most a short unit.
private func isNumber(_ text: String) -> Bool {
  var rest = Substring(text)
  if let sign = rest.first, sign == "-" || sign == "+" || sign == "−" { rest.removeFirst() }
  guard let first = rest.utf8.first, (0x30...0x39).contains(first) else { return false }
  let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "," || $0 == "e" || $0 == "-") }
  let unit = rest.dropFirst(number.count)
  return unit.isEmpty || unit.first == " " && unit.count <= 5 || unit == "%"
}
