import Core

/// What a reader of the delivered frames must end with, and what was planted.
extension MarketGenerator {
  /// The whole truth of the run, to be read once ``next()`` has returned `nil`.
  ///
  /// - `planted`: the parameters behind the market. `reference`: what a perfect observer measured of it,
  ///   means over the symbols. `totals`: counts over all symbols.
  /// - `symbols`, by name: `bids`, `asks` (decimal strings, best first: the last snapshot that the exchange's
  ///   procedure uses, and every later delivered diff, up to the last delivered depth frame), `last_u`,
  ///   frames by stream with copies, `trades` and `cvd` (each aggregate id once), `ofi_l1_sum`,
  ///   `depth_events` (each once), `reference` (with `next_move`: what an evaluation of past flow has to find, see
  ///   ``PlantedRelation``), and the defects with the receive time at which a reader can first know of them.
  public var truth: JSONValue {
    precondition(isOver, "the truth is known when the run is over")
    var perSymbol: [JSONValue.Member] = []
    var frames: Int64 = 0
    var snapshotCount = 0
    var counts = (gaps: 0, duplicates: 0, reorders: 0)
    for index in 0..<laneCount {
      let account = lanes[index].account
      perSymbol.append(JSONValue.Member(options.symbols[index], symbolTruth(index)))
      frames += account.frames.reduce(0, +)
      snapshotCount += account.snapshots
      counts.gaps += account.gaps.count
      counts.duplicates += account.duplicates.count
      counts.reorders += account.reorders.count
    }
    return .object([
      "seed": .string(String(options.seed)),
      "options": optionsTruth,
      "planted": plantedTruth,
      "reference": referenceTruth,
      "totals": .object([
        "records": .integer(frames + Int64(snapshotCount)),
        "frames": .integer(frames),
        "snapshots": .integer(snapshotCount),
        "gaps": .integer(counts.gaps),
        "duplicates": .integer(counts.duplicates),
        "reorders": .integer(counts.reorders),
      ]),
      "symbols": .object(perSymbol),
    ])
  }

  private var optionsTruth: JSONValue {
    .object([
      "symbols": .array(options.symbols.map { .string($0) }),
      "minutes": .double(options.minutes),
      "start": .string(UTCDate(options.start).isoText),
      "start_ns": .integer(options.start.rawValue),
      "gaps": .integer(options.gaps),
      "duplicates": .integer(options.duplicates),
      "reorders": .integer(options.reorders),
      "skew_ms": .integer(options.skewMs),
      "frames_per_second": .double(options.framesPerSecond),
    ])
  }

  private var plantedTruth: JSONValue {
    let p = FlowParameters.self
    let scale = laneCount > 0 ? lanes[0].market.tiltScale : 1
    return .object([
      "pressure": .object([
        "process": .string("m' = phi m + sqrt(1 - phi^2) xi, one step each 100 ms"),
        "phi": .double(HiddenPressure.persistence),
        "time_constant_s": .double(p.pressureSeconds),
        "deviation": .integer(1),
      ]),
      "buy_probability": .object([
        "formula": .string("(1 + tilt m) / 2"), "tilt": .double(p.tradeTilt * scale),
      ]),
      "quote_up_probability": .object([
        "formula": .string("(1 + tilt m) / 2"), "tilt": .double(p.quoteTilt * scale),
      ]),
      "flow": .object([
        "process": .string("Hawkes, exponential kernels"),
        "trades_per_s": .double(p.tradesPerSecond * lanes[0].market.flowScale),
        "quotes_per_s": .double(p.quotesPerSecond * lanes[0].market.flowScale),
        "trade_by_trade": .double(p.tradeByTrade),
        "trade_by_quote": .double(p.tradeByQuote),
        "quote_by_trade": .double(p.quoteByTrade),
        "quote_by_quote": .double(p.quoteByQuote),
        "trade_decay_per_s": .double(p.tradeDecay),
        "quote_decay_per_s": .double(p.quoteDecay),
        "branching_radius": .rounded(p.branchingRadius, 6),
      ]),
      "order_size_tail_exponents": .object([
        "trade": .double(p.tradeTailExponent), "quote": .double(p.quoteTailExponent),
      ]),
      "latency": .object([
        "distribution": .string("lognormal"),
        "median_ms": .integer(DeliveryLine.latencyMedian / Nanoseconds.millisecond),
        "log_deviation": .double(DeliveryLine.latencyLogDeviation),
        "max_ms": .integer(DeliveryLine.latencyMax / Nanoseconds.millisecond),
      ]),
    ])
  }

  private var referenceTruth: JSONValue {
    func mean(_ value: (borrowing SymbolLane) -> Double?) -> JSONValue {
      var sum = 0.0
      for index in 0..<laneCount {
        guard let one = value(lanes[index]) else { return .null }
        sum += one
      }
      return .rounded(sum / Double(laneCount), 6)
    }
    return .object([
      "bucket_s": .integer(ReferenceFlow.bucketNanos / Nanoseconds.second),
      "contemporaneous_r2": mean { $0.reference.moveOnOFI.correlation.map { $0 * $0 } },
      "predictive_correlation": mean { $0.reference.nextMoveOnOFI.correlation },
      "cvd_predictive_correlation": mean { $0.reference.nextMoveOnCVD.correlation },
    ])
  }

  private func symbolTruth(_ index: Int) -> JSONValue {
    let instrument = lanes[index].market.instrument
    let account = lanes[index].account
    let counts = MarketStream.allCases.filter { $0 != .snapshot }.map {
      JSONValue.Member($0.countName, .integer(account.frames[Int($0.rawValue)]))
    }
    func text(_ lots: Int64) -> JSONValue { .string(instrument.quantityScale.text(lots)) }
    return .object([
      "last_u": .integer(account.lastDepthUpdateID),
      "frames": .object(counts),
      "depth_events": .integer(account.depthEvents),
      "depth_levels_mean": .rounded(
        account.depthEvents > 0 ? Double(account.depthLevels) / Double(account.depthEvents) : nil, 3),
      "trades": .integer(lanes[index].reference.tradeCount),
      "cvd": text(lanes[index].reference.cvdLots),
      "ofi_l1_sum": text(lanes[index].reference.ofiLots),
      "snapshots": .integer(account.snapshots),
      "snapshots_too_old": .integer(account.staleSnapshots),
      "reference": symbolReference(index),
      "gaps": .array(account.gaps.map { SymbolAccount.json($0) }),
      "duplicates": .array(account.duplicates.map { SymbolAccount.json($0) }),
      "reorders": .array(account.reorders.map { SymbolAccount.json($0) }),
      "bids": bookTruth(index, .bid),
      "asks": bookTruth(index, .ask),
    ])
  }

  private func symbolReference(_ index: Int) -> JSONValue {
    let instrument = lanes[index].market.instrument
    let tick = instrument.priceScale.double(instrument.tickUnits)
    let lot = 1 / Double(instrument.quantityScale.factor)
    let onOFI = lanes[index].reference.moveOnOFI
    return .object([
      "buckets": .integer(onOFI.count),
      "contemporaneous_r2": .rounded(onOFI.correlation.map { $0 * $0 }, 6),
      "price_impact": .double(onOFI.slope.map { $0 * tick / lot }),
      "predictive_correlation": .rounded(lanes[index].reference.nextMoveOnOFI.correlation, 6),
      "ofi_autocorrelation": .rounded(lanes[index].reference.nextOFIOnOFI.correlation, 6),
      "cvd_correlation": .rounded(lanes[index].reference.moveOnCVD.correlation, 6),
      "cvd_predictive_correlation": .rounded(lanes[index].reference.nextMoveOnCVD.correlation, 6),
      "mid_change_deviation": .rounded(onOFI.deviationY.map { $0 * tick }, 8),
      "next_move": lanes[index].reference.planted.truth,
    ])
  }

  private func bookTruth(_ index: Int, _ side: Side) -> JSONValue {
    let instrument = lanes[index].market.instrument
    guard lanes[index].reader.isSynchronised else { return .array([]) }
    return .array(
      lanes[index].reader.levels(side, centre: lanes[index].market.centre).map { level in
        .array([
          .string(instrument.priceScale.text(Int64(level.tick) * instrument.tickUnits)),
          .string(instrument.quantityScale.text(level.lots)),
        ])
      })
  }
}

extension SymbolAccount {
  fileprivate static func json(_ gap: Gap) -> JSONValue {
    .object([
      "u_before": .integer(gap.lastBefore), "U_after": .integer(gap.firstAfter),
      "frames_lost": .integer(gap.framesLost), "too_old_snapshot_first": .bool(gap.staleSnapshot),
      "at_ns": .integer(gap.time),
    ])
  }

  fileprivate static func json(_ duplicate: Duplicate) -> JSONValue {
    .object([
      "stream": .string("\(duplicate.stream.suffix)"), "id": .integer(duplicate.id),
      "at_ns": .integer(duplicate.time),
    ])
  }

  fileprivate static func json(_ reorder: Reorder) -> JSONValue {
    .object([
      "u_first": .integer(reorder.deliveredFirst), "u_second": .integer(reorder.deliveredSecond),
      "at_ns": .integer(reorder.time),
    ])
  }
}
