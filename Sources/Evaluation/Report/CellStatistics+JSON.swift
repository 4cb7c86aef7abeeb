import Core

extension Estimate {
  /// `[low, high]`; where the error is not known the whole range of what can be, or null where there is none.
  func intervalJSON(_ decimals: Int, range: ClosedRange<Double>? = nil) -> JSONValue {
    guard let interval = interval ?? range else { return .null }
    return .array([.rounded(interval.lowerBound, decimals), .rounded(interval.upperBound, decimals)])
  }
}

extension CellStatistics {
  /// Members that every cell has; absent figures are null, and `why` says why.
  var shortMembers: [JSONValue.Member] {
    [
      .init("n", .integer(rows)), .init("n_effective", .rounded(effectiveRows, 1)),
      .init("auc", .rounded(auc?.value, 6)), .init("auc_ci", auc?.intervalJSON(6, range: 0...1) ?? .null),
      .init("auc_p", .double(auc?.p(against: 0.5))),
      .init("survives_multiple_testing", survives.map { .bool($0) } ?? .null),
      .init("ic", .rounded(ic?.value, 6)), .init("ic_ci", ic?.intervalJSON(6, range: -1...1) ?? .null),
      .init("hit_rate", .rounded(hitRate, 6)), .init("r_squared", .rounded(rSquared, 8)),
      .init("mean_bps_net", .rounded(directional?.netMeanBps.value, 4)),
      .init("why", why.map { .string($0) } ?? .null),
    ]
  }

  /// The cell with all that is known of it.
  public var json: JSONValue {
    let quantileRows = quantiles.map { quantile -> JSONValue in
      .object([
        "n": .integer(quantile.rows), "score_mean": .rounded(quantile.scoreMean, 6),
        "mean_bps": .rounded(quantile.returnMeanBps, 4),
      ])
    }
    let thresholdRows = thresholds.map { figures -> JSONValue in
      .object([
        "share": .double(figures.share), "score_min": .rounded(figures.scoreMin, 6),
        "n": .integer(figures.rows), "mean_bps_net": .rounded(figures.netMeanBps.value, 4),
        "mean_bps_net_ci": figures.netMeanBps.intervalJSON(4),
      ])
    }
    return .object(
      shortMembers + [
        .init("monotone", isMonotone.map { .bool($0) } ?? .null),
        .init("quantile_trend", .rounded(quantileTrend, 4)), .init("quantiles", .array(quantileRows)),
        .init("directional", directional?.json ?? .null), .init("confirmed", confirmed?.json ?? .null),
        .init("thresholds", .array(thresholdRows)), .init("n_without_move", .integer(rowsWithoutMove)),
        .init("n_without_price", .integer(rowsWithoutPrice)), .init("n_behind_end", .integer(rowsBehindEnd)),
        .init("n_without_spread", .integer(rowsWithoutSpread)),
      ])
  }

  /// A slice's cell: as ``json`` without the tables.
  var sliceJSON: JSONValue {
    .object(
      shortMembers + [
        .init("directional", directional?.json ?? .null), .init("confirmed", confirmed?.json ?? .null),
      ])
  }

  /// A point of the decay curve.
  var decayJSON: JSONValue { .object([.init("horizon_s", .integer(horizonSeconds))] + shortMembers) }
}

extension CellStatistics.NetFigures {
  var json: JSONValue {
    .object([
      "n": .integer(rows), "hit_rate": .rounded(hitRate, 6), "mean_bps_gross": .rounded(grossMeanBps, 4),
      "spread_cost_bps": .rounded(spreadCostMeanBps, 4), "mean_bps_net": .rounded(netMeanBps.value, 4),
      "mean_bps_net_ci": netMeanBps.intervalJSON(4),
    ])
  }
}
