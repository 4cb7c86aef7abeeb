import Core

/// What `weir replay` prints at its end: the run in one line, a table of symbols, what else is to be said of the
/// run in lines of their own, the strongest signals.
public func terminalReport(
  _ summary: RunSummary, top: [TopSignal] = [], overview: [String] = []
) -> String {
  var lines: [String] = []
  let rate = summary.framesPerCPUSecond.map { "\(grouped(Int($0))) frames per CPU second" } ?? "not timed"
  lines.append(
    "\(grouped(summary.framesTotal)) frames in \(decimal(summary.wallSeconds, 2)) s "
      + "(\(decimal(summary.cpuSeconds, 2)) s CPU, \(rate), \(decimal(summary.maxRSSMegabytes, 1)) MB)")
  lines.append("")
  var rows = [
    [
      "symbol", "frames", "depth", "quotes", "trades", "errors", "gaps", "resyncs", "signals", "confirmed",
      "strong", "R² 10s", "most gated by",
    ]
  ]
  for (name, symbol) in summary.symbols {
    let reason = symbol.reasons.enumerated().max { a, b in
      a.element.count == b.element.count ? a.offset > b.offset : a.element.count < b.element.count
    }?.element
    rows.append(
      [
        printable(name), grouped(symbol.frames), grouped(symbol.depthEvents),
        grouped(symbol.bookTickerEvents),
        grouped(symbol.trades), grouped(symbol.decodeErrors), grouped(symbol.gaps), grouped(symbol.resyncs),
        grouped(symbol.signals), grouped(symbol.confirmed), grouped(symbol.strong),
        symbol.rSquared10s.map { decimal($0, 3) } ?? "–",
        reason.map { "\($0.name) (\(grouped($0.count)))" } ?? "–",
      ])
  }
  lines += aligned(rows, leftColumns: [0, 12])
  if !overview.isEmpty { lines += [""] + overview.map(printable) }
  if !top.isEmpty {
    lines.append("")
    lines.append("strongest confirmed signals")
    let table = [["time (UTC)", "symbol", "type", "score", "price", "spread bps"]]
    lines += aligned(
      table
        + top.map {
          [
            UTCDate($0.time).isoText, printable($0.symbolName), $0.kind, $0.score, $0.price ?? "–",
            $0.spreadBps ?? "–",
          ]
        }, leftColumns: [0, 1, 2])
  }
  lines.append("")
  lines.append("signals_sha256 \(summary.signalsSHA256.isEmpty ? "–" : summary.signalsSHA256)")
  return lines.joined(separator: "\n") + "\n"
}

/// `1,234,567`
func grouped(_ value: Int) -> String {
  var result = ""
  let digits = String(value.magnitude)
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
    result.append(digit)
  }
  return value < 0 ? "-" + result : result
}

private func decimal(_ value: Double, _ decimals: Int) -> String {
  guard value.isFinite, abs(value) < 1e12 else { return "–" }
  return DecimalScale(decimals).text(Int64((value * Double(powerOfTen(decimals))).rounded()))
}

/// Foreign text without control characters, which a terminal would obey.
private func printable(_ text: String) -> String {
  String(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0) })
}

private func aligned(_ rows: [[String]], leftColumns: Set<Int>) -> [String] {
  let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  return rows.map { row in
    let cells = row.enumerated().map { column, cell in
      let padding = String(repeating: " ", count: widths[column] - cell.count)
      return leftColumns.contains(column) ? cell + padding : padding + cell
    }
    let line = cells.joined(separator: "  ")
    return String(line.reversed().drop { $0 == " " }.reversed())
  }
}
