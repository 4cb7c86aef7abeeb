import Core

extension DailyReport {
  /// The report for people; made from ``json``, so that both say the same.
  public var markdown: String { markdown(json, chartFolder: "charts") }

  func markdown(_ json: JSONValue, chartFolder: String) -> String {
    var text = MarkdownWriter()
    text.line("# Signals of \(day.dayText)")
    text.line()
    let totals = json["totals"] ?? .null
    text.line(
      "\(plain(totals["rows"])) rows in \(plain(totals["minutes"])) minutes, from \(plain(totals["first"])) "
        + "to \(plain(totals["last"])). \(plain(totals["confirmed"])) confirmed, of these "
        + "\(plain(totals["strong"])) strong (strong ratio \(plain(totals["strong_ratio"]))).")
    text.line()
    section("Run", facts, &text)
    text.line("## Symbols")
    text.line()
    text.table("symbol", json["symbols"] ?? .null)
    charts(chartFolder, &text)
    text.line("## Gating")
    text.line()
    let gating = json["gating_breakdown"] ?? .null
    text.line("\(plain(gating["rows_gated"])) rows were gated (share \(plain(gating["share_of_rows"]))).")
    text.line()
    text.table("guard reason", gating["reasons"] ?? .null)
    text.line("## Signal types")
    text.line()
    text.table("signal type", json["signal_types"] ?? .null)
    strategy(json, &text)
    standardisation(json["z_quality"] ?? .null, &text)
    topSignals(json["top_signals"]?.elements ?? [], &text)
    section("Data", data, &text)
    runtime(&text)
    for member in sections { section(member.key, member.value, &text) }
    minutes(&text)
    return text.finish()
  }

  private func plain(_ value: JSONValue?) -> String { MarkdownWriter.cell(value ?? .null) }

  private func section(_ title: String, _ value: JSONValue, _ text: inout MarkdownWriter) {
    if value == .null || value.members?.isEmpty == true { return }
    text.line("## \(MarkdownWriter.escaped(title))")
    text.line()
    text.value(value)
  }

  private func charts(_ folder: String, _ text: inout MarkdownWriter) {
    for id in symbolOrder where day.symbols[id.index]!.chart != nil {
      text.line("![\(MarkdownWriter.escaped(symbols[id]))](\(folder)/\(chartName(id)))")
      text.line()
    }
    let without = symbolOrder.count(where: { day.symbols[$0.index]!.chart == nil })
    if without > 0 {
      text.line("\(without) further symbols have no chart (limit \(options.chartSymbolsMax)).")
      text.line()
    }
  }

  private func standardisation(_ quality: JSONValue, _ text: inout MarkdownWriter) {
    text.line("## Standardised values")
    text.line()
    text.line(
      "Targets: median of |z| at most 1, P(|z|>2) from 1 to 8 %, P(|z|>3) at most 2 %. Neighbouring rows "
        + "share most of their window, so the number of independent values decides what can be said.")
    text.line()
    func list(_ name: String, _ factors: JSONValue?) {
      for member in factors?.members ?? [] {
        text.line("- **\(MarkdownWriter.escaped(name)) `\(member.key)`**: \(plain(member.value["words"])).")
      }
    }
    list("all symbols", quality["all"])
    for member in quality["symbols"]?.members ?? [] { list(member.key, member.value) }
    text.line()
    var rows: [JSONValue.Member] = []
    func collect(_ name: String, _ factors: JSONValue?) {
      for member in factors?.members ?? [] {
        let shown = member.value.members?.filter { $0.key != "words" } ?? []
        rows.append(.init("\(name) \(member.key)", .object(shown)))
      }
    }
    collect("all", quality["all"])
    for member in quality["symbols"]?.members ?? [] { collect(member.key, member.value) }
    text.table("value", .object(rows))
  }

  private func topSignals(_ signals: [JSONValue], _ text: inout MarkdownWriter) {
    text.line("## Strongest confirmed signals")
    text.line()
    if signals.isEmpty {
      text.line("No signal was confirmed.")
      text.line()
      return
    }
    text.table(
      "rank", .object(signals.enumerated().map { .init("\($0.offset + 1)", $0.element) }))
  }

  private func minutes(_ text: inout MarkdownWriter) {
    text.line("## Per minute")
    text.line()
    let rows: [JSONValue.Member] = day.minutes.map {
      .init(minuteText($0.start), .object($0.counts.members))
    }
    text.table("minute (UTC)", .object(rows))
  }
}

/// Markdown text; cells and headings from outside are escaped.
struct MarkdownWriter: ~Copyable {
  private var writer = ByteWriter(capacity: 1 << 14)

  mutating func line(_ text: String = "") {
    writer.append(text)
    writer.append(byte: 0x0A)
  }

  /// An object of objects as a table, one row a member; columns are the members' keys.
  mutating func table(_ firstColumn: String, _ value: JSONValue) {
    let rows = value.members ?? []
    if rows.isEmpty {
      line("None.")
      line()
      return
    }
    var columns: [String] = []
    for row in rows {
      for member in row.value.members ?? [] where !columns.contains(member.key) { columns.append(member.key) }
    }
    line("| " + ([firstColumn] + columns).map(MarkdownWriter.heading).joined(separator: " | ") + " |")
    line("|---|" + columns.map { isNumeric($0, rows) ? "--:|" : "---|" }.joined())
    for row in rows {
      let cells = columns.map { MarkdownWriter.cell(row.value[$0] ?? .null) }
      line("| " + ([MarkdownWriter.escaped(row.key)] + cells).joined(separator: " | ") + " |")
    }
    line()
  }

  private func isNumeric(_ column: String, _ rows: [JSONValue.Member]) -> Bool {
    rows.allSatisfy {
      switch $0.value[column] {
      case .number, .null, nil: true
      default: false
      }
    }
  }

  /// Anything: an object of objects as a table, an object of plain values as two columns, else as JSON.
  mutating func value(_ value: JSONValue) {
    guard let members = value.members else {
      line(MarkdownWriter.cell(value))
      line()
      return
    }
    let plain = members.filter { $0.value.members == nil }
    if !plain.isEmpty {
      table("item", .object(plain.map { .init($0.key, .object(["value": $0.value])) }))
    }
    let nested = members.filter { $0.value.members != nil }
    if nested.isEmpty { return }
    if plain.isEmpty, nested.allSatisfy({ $0.value.members!.allSatisfy { $0.value.members == nil } }) {
      table("", .object(nested))
      return
    }
    for member in nested {
      line("### \(MarkdownWriter.escaped(member.key))")
      line()
      self.value(member.value)
    }
  }

  static func heading(_ key: String) -> String {
    escaped(String(key.map { $0 == "_" ? " " : $0 }))
  }

  static func cell(_ value: JSONValue) -> String {
    switch value {
    case .null: "–"
    case .bool(let value): value ? "yes" : "no"
    case .number(let text): text
    case .string(let text): escaped(text)
    case .array, .object: "`" + escaped(value.text()) + "`"
    }
  }

  /// Keeps foreign text from ending a cell or becoming markup.
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "|", "\\", "`", "*", "[", "]": result += "\\\(character)"
      case "<": result += "&lt;"
      case "&": result += "&amp;"
      case _ where character.isNewline: result += " "
      default: result.append(character)
      }
    }
    return result
  }

  consuming func finish() -> String { writer.string() }
}
