import Core

extension ReplayResult {
  /// What `weir replay` prints for a person.
  public var text: String {
    var lines: [String] = []
    let span = UTCDate(UnixNanos(totals.firstReceiveNs)).isoText + " … " + UTCDate(UnixNanos(max(0, lastReceiveNs))).isoText
    lines.append("tape     \(options.tape)  \(span)")
    lines.append(
      "frames   \(totals.frames)  in \(JSONValue.rounded(wallSeconds, 3).text ?? "–") s, "
        + "\(JSONValue.rounded(framesPerCPUSecond / 1e6, 2).text ?? "–") M frames per CPU-second, "
        + "\(JSONValue.rounded(maxRSSMiB, 1).text ?? "–") MB")
    lines.append("")
    let header = ["symbol", "depth", "ticker", "trades", "gaps", "resyncs", "crossed", "errors", "OFI L1", "CVD", "R² 10 s", "rows", "confirmed", "strong"]
    var table = [header]
    for symbol in symbols {
      table.append([
        symbol.name, String(symbol.counts.depthEvents), String(symbol.counts.bookTickerEvents),
        String(symbol.counts.trades), String(symbol.gaps), String(symbol.resyncs), String(symbol.crossed),
        String(symbol.counts.decodeErrors), symbol.ofiLevelOne.text ?? "–", symbol.cvd.text ?? "–",
        symbol.r2.map { JSONValue.rounded($0, 3).text ?? "–" } ?? "–", String(symbol.counts.signals),
        String(symbol.counts.confirmed), String(symbol.counts.strong),
      ])
    }
    let widths = header.indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    for row in table {
      let cells = row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + padding : padding + cell
      }
      lines.append(cells.joined(separator: "  "))
    }
    let bad = totals.decodeErrors.reduce(0, +) + totals.badRecords
    if bad > 0 {
      lines.append("")
      lines.append("skipped  \(bad) frames or records that could not be used; reasons and samples are in summary.json")
    }
    lines.append("")
    lines.append("signals  \(sinks.rowsAppended) rows, SHA-256 \(signalsSHA256)")
    lines.append("run      \(options.out)/summary.json")
    return lines.joined(separator: "\n") + "\n"
  }
}
