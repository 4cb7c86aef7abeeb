import Core

extension EvaluationReport {
  /// The report for people.
  ///
  /// - Parameter leakText: the audit's verdict with its reason; nil where there is nothing to audit.
  public func markdown(title: String, leakText: String?) -> String {
    var text = MarkdownText()
    text.line("# " + MarkdownText.escaped(title))
    if let leakText { text.line("**Leak audit.** " + MarkdownText.escaped(leakText)) }
    if options.shuffleSeed != nil { text.line("**Check.** \(shuffleText).") }
    text.line("## What is predictive, and what is not")
    text.list(findings.map(\.text))
    text.line(
      "\(looks.surviving) of \(looks.cells) cells, and \(sliceLooks.surviving) of \(sliceLooks.cells) slices, "
        + "differ from 0.5 after Benjamini-Hochberg at 5 % over all that were looked at.")
    for symbol in symbols { section(symbol, &text) }
    weightSection(&text)
    for comparison in comparisons {
      text.line("## Against " + MarkdownText.escaped(comparison.name))
      text.line("The other run less this one, on rows of equal time.")
      text.line("**Leak audit.** " + MarkdownText.escaped(comparison.audit.text))
      text.list(comparison.cells.map(\.text))
    }
    text.line("## How to read this")
    text.line(
      "Entry is the \(options.prices.rawValue) at a row's grid point"
        + (options.latencyMs > 0 ? " and \(options.latencyMs) ms later" : "")
        + ", so only what was known enters. AUC compares scores of rises and falls, rows without a move left "
        + "out. Intervals are 95 %, from \(options.resamples) draws of stretches of time at least as long as horizon "
        + "and autocorrelation time. n eff. is how many rows' worth of independent information there is. Net "
        + "means pay \(decimal(options.takerFeeBps, 2)) bps at both fills and half the spread at both, from the mid."
    )
    return text.finish()
  }

  private func section(_ symbol: SymbolEvaluation, _ text: inout MarkdownText) {
    text.line("## " + MarkdownText.escaped(symbol.symbol))
    text.line(
      "\(symbol.rowsScored) rows with a score, \(symbol.rowsWithoutScore) without; the score forgets itself "
        + "in \(decimal(symbol.autocorrelationSeconds, 1)) s.")
    text.table(EvaluationReport.headlineColumns, headlineRows(symbol))
    for chart in ["decay", "quantiles", "thresholds"] {
      text.line("![\(chart)](\(chart)_\(EvaluationReport.fileName(symbol.symbol)).svg)")
    }
    text.line("### Decay")
    text.table(
      ["prices", "horizon s", "n", "n eff.", "AUC", "IC"],
      EvaluationOptions.Prices.allCases.flatMap { prices in
        (symbol.curves[prices] ?? []).map { cell in
          [
            prices.rawValue, String(cell.horizonSeconds), String(cell.rows), decimal(cell.effectiveRows, 0),
            withInterval(cell.auc, 3), withInterval(cell.ic, 3),
          ]
        }
      })
    for seconds in options.horizonsSeconds {
      guard let slices = symbol.slices[seconds], let whole = symbol.cell(seconds, options.prices) else {
        continue
      }
      text.line("### Slices, \(seconds) s")
      text.table(
        ["by", "slice", "n", "n eff.", "AUC", "IC", "hit rate", "signals", "net bps", "survives"],
        slices.map { slice in
          let cell = slice.cell
          return [
            slice.axis.rawValue, slice.name, String(cell.rows), decimal(cell.effectiveRows, 0),
            withInterval(cell.auc, 3), withInterval(cell.ic, 3), decimal(cell.hitRate, 3),
            String(cell.directional?.rows ?? 0), decimal(cell.directional?.netMeanBps.value, 2),
            EvaluationReport.word(cell.survives),
          ]
        })
      text.table(
        ["fee tier", "taker bps", "signals", "net bps", "confirmed", "net bps of confirmed"],
        options.feeTiers.map { tier in
          func net(_ figures: CellStatistics.NetFigures?) -> Estimate? {
            figures?.net(takerFeeBps: tier.takerBps, insteadOf: options.takerFeeBps)
          }
          return [
            tier.name, decimal(tier.takerBps, 1), String(whole.directional?.rows ?? 0),
            withInterval(net(whole.directional), 2), String(whole.confirmed?.rows ?? 0),
            withInterval(net(whole.confirmed), 2),
          ]
        })
    }
  }

  private func weightSection(_ text: inout MarkdownText) {
    text.line("## Slice weights")
    text.line(
      "IC · n / (n + \(decimal(options.shrinkageRows, 0))) over independent rows n, symbols pooled; 0 where "
        + "that is negative or the mean net of cost is not above 0; a fee tier's weights add up to 1.")
    text.table(
      ["horizon s", "activity", "fee tier", "n eff.", "IC", "shrunk IC", "net bps", "weight"],
      weights.flatMap { table in
        table.entries.map { entry in
          [
            String(table.horizonSeconds), entry.activity, entry.tier.name, decimal(entry.effectiveRows, 0),
            decimal(entry.ic, 4), decimal(entry.shrunkIC, 4), decimal(entry.netMeanBps, 2),
            decimal(entry.weight, 3),
          ]
        }
      })
  }

  static func word(_ value: Bool?) -> String { value.map { $0 ? "yes" : "no" } ?? "–" }

  /// Of ``headlineRows(_:)``.
  public static let headlineColumns = [
    "horizon s", "n", "n eff.", "AUC", "survives", "IC", "hit rate", "R²", "monotone", "signals", "net bps",
    "confirmed", "net bps confirmed",
  ]

  /// A symbol's cells that were asked for, as a table for people.
  public func headlineRows(_ symbol: SymbolEvaluation) -> [[String]] {
    options.horizonsSeconds.compactMap { seconds in
      guard let cell = symbol.cell(seconds, options.prices) else { return nil }
      return [
        String(seconds), String(cell.rows), decimal(cell.effectiveRows, 0), withInterval(cell.auc, 3),
        EvaluationReport.word(cell.survives), withInterval(cell.ic, 3), decimal(cell.hitRate, 3),
        decimal(cell.rSquared, 4), EvaluationReport.word(cell.isMonotone),
        String(cell.directional?.rows ?? 0), decimal(cell.directional?.netMeanBps.value, 2),
        String(cell.confirmed?.rows ?? 0), decimal(cell.confirmed?.netMeanBps.value, 2),
      ]
    }
  }
}

/// Markdown made of paragraphs, lists and tables.
private struct MarkdownText {
  private var text = ""

  mutating func line(_ line: String) { text += line + "\n\n" }

  mutating func list(_ items: [String]) {
    for item in items { text += "- " + MarkdownText.escaped(item) + "\n" }
    text += "\n"
  }

  /// Nothing for no rows.
  mutating func table(_ header: [String], _ rows: [[String]]) {
    if rows.isEmpty { return }
    text += "| " + header.joined(separator: " | ") + " |\n"
    text += "|" + String(repeating: "---|", count: header.count) + "\n"
    for row in rows {
      text += "| " + row.map(MarkdownText.escaped).joined(separator: " | ") + " |\n"
    }
    text += "\n"
  }

  consuming func finish() -> String { String(text.dropLast()) }

  /// Foreign text on one line, without meaning for Markdown or HTML.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "|", "*", "_", "`", "[", "]", "<", ">", "\\", "#": result += "\\" + String(Character(scalar))
      case _ where scalar.value < 0x20: result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
