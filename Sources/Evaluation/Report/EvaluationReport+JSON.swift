import Core

extension EvaluationReport {
  /// One finding a symbol and horizon asked for.
  public var findings: [Finding] {
    symbols.flatMap { symbol in
      options.horizonsSeconds.compactMap { seconds in
        symbol.cell(seconds, options.prices).map { Finding(symbol.symbol, $0, looks) }
      }
    }
  }

  /// The whole report; `symbols` has a member for every symbol, and in it one for every horizon asked for.
  ///
  /// - Parameters:
  ///   - leak: of the audit, `LeakAudit.json`.
  ///   - facts: where the data came from.
  ///   - checks: what was checked beside the shuffled returns.
  public func json(leak: JSONValue, facts: JSONValue, checks: [JSONValue.Member] = []) -> JSONValue {
    .object([
      "symbols": .object(
        symbols.map { symbol in
          .init(
            symbol.symbol,
            .object(
              options.horizonsSeconds.compactMap { seconds in
                symbol.cell(seconds, options.prices).map { .init(String(seconds), $0.json) }
              }))
        }),
      "leak": leak,
      "checks": .object(shuffleMembers + checks),
      "findings": .array(
        findings.map {
          .object([
            "symbol": .string($0.symbol), "horizon_s": .integer($0.horizonSeconds),
            "verdict": .string($0.verdict.rawValue), "text": .string($0.text),
          ])
        }),
      "multiple_testing": .object([
        "method": .string("Benjamini-Hochberg"), "rate": .double(MultipleTesting.rate),
        "cells": .integer(looks.cells), "surviving": .integer(looks.surviving),
        "slice_cells": .integer(sliceLooks.cells), "slices_surviving": .integer(sliceLooks.surviving),
      ]),
      "decay": .object(symbols.map { .init($0.symbol, decayJSON($0)) }),
      "slices": .object(symbols.map { .init($0.symbol, slicesJSON($0)) }),
      "weights": .array(weights.map(\.json)),
      "against": .array(comparisons.map(\.json)),
      "rows": .object(
        symbols.map {
          .init(
            $0.symbol,
            .object([
              "scored": .integer($0.rowsScored), "without_score": .integer($0.rowsWithoutScore),
              "shadow": .integer($0.rowsShadow),
              "autocorrelation_s": .rounded($0.autocorrelationSeconds, 3),
            ]))
        }),
      "settings": settingsJSON,
      "facts": facts,
    ])
  }

  private var shuffleMembers: [JSONValue.Member] {
    guard let seed = options.shuffleSeed else { return [] }
    let (cells, holding) = cellsHoldingHalf
    return [
      .init(
        "shuffle",
        .object([
          "seed": .integer(seed), "cells": .integer(cells), "holding_half": .integer(holding),
          "text": .string(shuffleText),
        ]))
    ]
  }

  /// What the shuffled returns showed.
  public var shuffleText: String {
    let (cells, holding) = cellsHoldingHalf
    if cells == 0 { return "returns shuffled: no cell has an interval" }
    let count = "returns shuffled: \(holding) of \(cells) intervals hold 0.5"
    if holding == cells { return count + ", as they must" }
    return count + "; of each hundred about five may miss it by chance"
  }

  private var settingsJSON: JSONValue {
    .object([
      "horizons_s": .array(options.horizonsSeconds.map { .integer($0) }),
      "prices": .string(options.prices.rawValue), "latency_ms": .integer(options.latencyMs),
      "taker_fee_bps": .double(options.takerFeeBps), "seed": .integer(options.seed),
      "resamples": .integer(options.resamples),
      "shuffle_seed": options.shuffleSeed.map { .integer($0) } ?? .null,
      "shrinkage_rows": .double(options.shrinkageRows),
    ])
  }

  private func decayJSON(_ symbol: SymbolEvaluation) -> JSONValue {
    .object(
      EvaluationOptions.Prices.allCases.compactMap { prices in
        symbol.curves[prices].map { .init(prices.rawValue, .array($0.map(\.decayJSON))) }
      })
  }

  private func slicesJSON(_ symbol: SymbolEvaluation) -> JSONValue {
    .object(
      options.horizonsSeconds.compactMap { seconds in
        guard let slices = symbol.slices[seconds], let whole = symbol.cell(seconds, options.prices) else {
          return nil
        }
        var axes: [JSONValue.Member] = Slice.Axis.allCases.map { axis in
          .init(
            axis.rawValue,
            .object(slices.filter { $0.axis == axis }.map { .init($0.name, $0.cell.sliceJSON) }))
        }
        axes.append(.init("fee_tier", tiersJSON(whole)))
        return .init(String(seconds), .object(axes))
      })
  }

  private func tiersJSON(_ cell: CellStatistics) -> JSONValue {
    .object(
      options.feeTiers.map { tier in
        func net(_ figures: CellStatistics.NetFigures?) -> Estimate? {
          figures?.net(takerFeeBps: tier.takerBps, insteadOf: options.takerFeeBps)
        }
        return .init(
          tier.name,
          .object([
            "taker_bps": .double(tier.takerBps), "n": .integer(cell.directional?.rows ?? 0),
            "mean_bps_net": .rounded(net(cell.directional)?.value, 4),
            "mean_bps_net_ci": net(cell.directional)?.intervalJSON(4) ?? .null,
            "confirmed_n": .integer(cell.confirmed?.rows ?? 0),
            "confirmed_mean_bps_net": .rounded(net(cell.confirmed)?.value, 4),
            "confirmed_mean_bps_net_ci": net(cell.confirmed)?.intervalJSON(4) ?? .null,
          ]))
      })
  }
}

extension RunComparison {
  var json: JSONValue {
    .object([
      "run": .string(name), "difference": .string("the other run less this one; above 0 the other is better"),
      "leak": audit.json, "cells": .array(cells.map(\.json)),
    ])
  }
}

extension SliceWeights {
  var json: JSONValue {
    .object([
      "horizon_s": .integer(horizonSeconds),
      "entries": .array(
        entries.map {
          .object([
            "activity": .string($0.activity), "fee_tier": .string($0.tier.name),
            "taker_bps": .double($0.tier.takerBps), "n_effective": .rounded($0.effectiveRows, 1),
            "ic": .rounded($0.ic, 6), "ic_shrunk": .rounded($0.shrunkIC, 6), "n": .integer($0.signals),
            "mean_bps_net": .rounded($0.netMeanBps, 4), "weight": .rounded($0.weight, 4),
          ])
        }),
    ])
  }
}

extension PairedComparison {
  var json: JSONValue {
    .object([
      "symbol": .string(symbol), "horizon_s": .integer(horizonSeconds), "n": .integer(rows),
      "rows_only_here": .integer(rowsOnlyHere), "rows_only_there": .integer(rowsOnlyThere),
      "auc_difference": .rounded(aucDifference?.value, 6),
      "auc_difference_ci": aucDifference?.intervalJSON(6) ?? .null,
      "ic_difference": .rounded(icDifference?.value, 6),
      "ic_difference_ci": icDifference?.intervalJSON(6) ?? .null, "why": why.map { .string($0) } ?? .null,
    ])
  }

  /// One sentence.
  public var text: String {
    let name = "\(symbol), \(horizonSeconds) s: "
    guard let auc = aucDifference, let interval = auc.interval else {
      return name + "inconclusive; \(why ?? "there is no interval")."
    }
    let figures =
      "AUC \(signed(auc.value, 4)) (\(signed(interval.lowerBound, 4)) … \(signed(interval.upperBound, 4)))"
      + " on \(rows) rows"
    if interval.contains(0) { return name + "no difference that can be told from chance; \(figures)." }
    return name + "the other run is \(auc.value > 0 ? "better" : "worse"); \(figures)."
  }
}
