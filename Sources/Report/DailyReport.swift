import Core
import Store
import Strategy

/// The report of one day: `summary_<day>.json` for machines, `summary_<day>.md` for people, a chart a symbol.
///
/// It says what was measured and on how much of it: shares come with their counts, standardised values with
/// the number of independent samples, and a recording too short for a verdict is called too short. Everything
/// is a function of the rows and of what is passed in; there is no clock.
public struct DailyReport: Sendable {
  public var day: ReportDay
  public var symbols: SymbolTable
  public var options: ReportOptions
  /// About the run: tape, configuration version, span of the input. An object.
  public var facts: JSONValue
  /// About the data: frames, gaps, resyncs by symbol, the harvester's counters. An object.
  public var data: JSONValue
  /// Further sections, by title.
  public var sections: [JSONValue.Member]
  /// What the rows cannot tell: see ``runSection(status:seconds:)``.
  public var run: JSONValue

  public init(
    day: ReportDay, symbols: SymbolTable, options: ReportOptions = ReportOptions(), facts: JSONValue = .null,
    data: JSONValue = .null, sections: [JSONValue.Member] = [], run: JSONValue = .null
  ) {
    self.day = day
    self.symbols = symbols
    self.options = options
    self.facts = facts
    self.data = data
    self.sections = sections
    self.run = run
  }

  /// Writes the report into `RUN/reports/`, each file at once.
  ///
  /// - Returns: the paths written.
  /// - Throws: `FileError`
  @discardableResult
  public func write(runFolder: String) throws(FileError) -> [String] {
    try write(folder: runFolder + "/reports")
  }

  /// Writes the report with its charts into a folder, each file at once.
  ///
  /// - Returns: the paths written.
  /// - Throws: `FileError`
  @discardableResult
  public func write(folder: String) throws(FileError) -> [String] {
    try Files.makeFolder(folder + "/charts")
    var paths: [String] = []
    for id in symbolOrder where day.symbols[id.index]!.chart != nil {
      let path = folder + "/charts/" + chartName(id)
      try Files.writeAtomically(path, chart(id)!)
      paths.append(path)
    }
    return paths + (try writeTexts(folder: folder, chartFolder: "charts"))
  }

  /// Writes the report without its charts, which lie in a folder named relative to this one.
  ///
  /// - Returns: the paths written.
  /// - Throws: `FileError`
  @discardableResult
  public func writeTexts(folder: String, chartFolder: String) throws(FileError) -> [String] {
    let path = folder + "/summary_\(day.dayText)"
    let json = json(chartFolder: chartFolder)
    try Files.writeAtomically(path + ".json", json.text(pretty: true) + "\n")
    try Files.writeAtomically(path + ".md", markdown(json, chartFolder: chartFolder))
    return [path + ".json", path + ".md"]
  }

  /// The SVG of a symbol; `nil` when it has no rows or is beyond the number of charts.
  public func chart(_ id: SymbolID) -> String? {
    guard day.symbols.indices.contains(id.index), let symbolDay = day.symbols[id.index],
      let series = symbolDay.chart
    else { return nil }
    return SymbolChart(
      symbolName: symbols[id], dayText: day.dayText, first: day.firstTime, last: day.lastTime,
      day: symbolDay, series: series, thresholds: options.scoreThresholds
    ).svg()
  }

  /// Symbols with rows, by name.
  var symbolOrder: [SymbolID] {
    day.symbols.indices.filter { day.symbols[$0] != nil }.map { SymbolID($0) }
      .sorted { symbols[$0].utf8.lexicographicallyPrecedes(symbols[$1].utf8) }
  }

  /// `2024-07-18_BTCUSDT.svg`; bytes that a file name or a link should not hold become `~` and two digits.
  func chartName(_ id: SymbolID) -> String {
    var writer = ByteWriter(capacity: 64)
    writer.append(day.dayText)
    writer.append(byte: 0x5F)
    for byte in symbols[id].utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: writer.append(byte: byte)
      default:
        writer.append(byte: 0x7E)
        writer.append(hex: UInt64(byte), digits: 2)
      }
    }
    writer.append(".svg")
    return writer.string()
  }

  /// How many of a number of rows are independent of each other, given a window.
  func independent(_ samples: Int, windowMs: Int) -> Int {
    samples * min(options.rowStrideMs, windowMs) / max(1, windowMs)
  }

  // MARK: JSON

  public var json: JSONValue { json(chartFolder: "charts") }

  /// - Parameter chartFolder: where the charts lie, relative to the report.
  public func json(chartFolder: String) -> JSONValue {
    let charts = symbolOrder.filter { day.symbols[$0.index]!.chart != nil }
    return .object(
      rowMembers + [
        .init("charts", .array(charts.map { .string(chartFolder + "/" + chartName($0)) })),
        .init("facts", facts), .init("data", data), .init("sections", .object(sections)), .init("run", run),
      ])
  }

  /// The members that depend on the day's rows alone: the same from every sink, live or from a replay.
  public var rowMembers: [JSONValue.Member] {
    var row = SignalRow(SignalContext(symbols: symbols, configVersion: ""))
    let order = symbolOrder
    let spanSeconds = Double(day.lastTime.rawValue - day.firstTime.rawValue) / 1e9
    return [
      .init("schema_version", .integer(1)),
      .init("day", .string(day.dayText)),
      .init("utc_offset_s", .integer(options.utcOffsetSeconds(day.firstTime))),
      .init(
        "totals",
        .object(
          day.counts.members + [
            .init("minutes", .integer(day.minutes.count)),
            .init(
              "rows_per_minute", .rounded(Double(day.counts.rows) / Double(max(1, day.minutes.count)), 3)),
            .init("first", .string(UTCDate(day.firstTime).isoText)),
            .init("last", .string(UTCDate(day.lastTime).isoText)),
            .init("span_s", .rounded(spanSeconds, 3)),
          ])),
      .init(
        "signal_types",
        .object(
          Signal.Kind.allCases.map { .init("\($0.name)", .object(day.kinds[Int($0.rawValue)].members)) })),
      .init("gating_breakdown", gating),
    ] + strategyMembers + [
      .init("symbols", .object(order.map { .init(symbols[$0], symbolJSON($0, &row)) })),
      .init("z_quality", zQuality(order)),
      .init("top_signals", .array(day.top.map { TopSignal($0, &row).json })),
      .init(
        "per_minute",
        .array(
          day.minutes.map {
            .object([.init("minute", .string(minuteText($0.start)))] + $0.counts.members)
          })),
    ]
  }

  /// Guard reasons that occurred, with their share of all rows and of the gated ones.
  private var gating: JSONValue {
    let gated = day.gatedRows
    func share(_ count: Int, _ whole: Int) -> JSONValue {
      .rounded(whole == 0 ? nil : Double(count) / Double(whole), 6)
    }
    let reasons = Signal.GuardReason.allCases.dropFirst().filter { day.reasons[Int($0.rawValue)] > 0 }
    return .object([
      "rows_gated": .integer(gated),
      "share_of_rows": share(gated, day.counts.rows),
      "reasons": .object(
        reasons.map { reason in
          let count = day.reasons[Int(reason.rawValue)]
          return .init(
            "\(reason.name)",
            .object([
              "rows": .integer(count), "share_of_rows": share(count, day.counts.rows),
              "share_of_gated": share(count, gated),
            ]))
        }),
    ])
  }

  private func symbolJSON(_ id: SymbolID, _ row: inout SignalRow) -> JSONValue {
    let symbolDay = day.symbols[id.index]!
    func milliseconds(_ nanoseconds: Int64?) -> JSONValue {
      .rounded(nanoseconds.map { Double($0) / 1e6 }, 3)
    }
    row.encode(symbolDay.last)
    func number(_ column: SignalColumn) -> JSONValue { row.text(column).map { .number($0) } ?? .null }
    return .object(
      symbolDay.counts.members + [
        .init("mean_spread_bps", .rounded(symbolDay.meanSpreadBps, 6)),
        .init("lag_ms_p50", milliseconds(symbolDay.lag.quantile(0.5))),
        .init("lag_ms_p95", milliseconds(symbolDay.lag.quantile(0.95))),
        .init("lag_ms_max", milliseconds(symbolDay.lag.count == 0 ? nil : symbolDay.lag.largest)),
        .init("price_end", number(.price)),
        .init("ofi_end", number(.ofi)),
        .init("cvd_end", number(.cvd)),
      ])
  }

  private func zQuality(_ order: [SymbolID]) -> JSONValue {
    func factor(_ quality: ZQuality, _ independent: Int) -> JSONValue {
      let (verdict, words) = quality.verdict(independent: independent)
      return .object([
        "samples": .integer(quality.samples), "independent_samples": .integer(independent),
        "median_abs": .rounded(quality.median, 3), "p_abs_gt_2": .rounded(quality.shareAbove2, 6),
        "p_abs_gt_3": .rounded(quality.shareAbove3, 6), "verdict": .string(verdict.rawValue),
        "words": .string(words),
      ])
    }
    func both(_ ids: [SymbolID]) -> JSONValue {
      var ofi = ZQuality()
      var cvd = ZQuality()
      var ofiIndependent = 0
      var cvdIndependent = 0
      for id in ids {
        let symbolDay = day.symbols[id.index]!
        ofi.add(symbolDay.zOFI)
        cvd.add(symbolDay.zCVD)
        ofiIndependent += independent(symbolDay.zOFI.samples, windowMs: options.ofiWindowMs)
        cvdIndependent += independent(symbolDay.zCVD.samples, windowMs: options.cvdWindowMs)
      }
      return .object(["z_ofi": factor(ofi, ofiIndependent), "z_cvd": factor(cvd, cvdIndependent)])
    }
    return .object([
      "targets": .object([
        "median_abs_max": .rounded(ZQuality.medianMax, 3),
        "p_abs_gt_2_min": .rounded(ZQuality.shareAbove2Min, 3),
        "p_abs_gt_2_max": .rounded(ZQuality.shareAbove2Max, 3),
        "p_abs_gt_3_max": .rounded(ZQuality.shareAbove3Max, 3),
      ]),
      "all": both(order),
      "symbols": .object(order.map { .init(symbols[$0], both([$0])) }),
    ])
  }
}

/// A confirmed signal as reports list it; the texts are those of the sinks.
public struct TopSignal: Equatable, Sendable {
  public var signalID: String
  public var time: UnixNanos
  public var symbolName: String
  public var kind: String
  public var score: String
  public var price: String?
  public var spreadBps: String?

  /// - Parameter row: knows the signal's symbol; what it held is replaced.
  public init(_ signal: Signal, _ row: inout SignalRow) {
    row.encode(signal)
    signalID = row.text(.signalID) ?? ""
    time = signal.receiveTime
    symbolName = row.text(.symbol) ?? ""
    kind = row.text(.signalType) ?? ""
    score = row.text(.score) ?? ""
    price = row.text(.price)
    spreadBps = row.text(.spreadBps)
  }

  var json: JSONValue {
    .object([
      "time": .string(UTCDate(time).isoText), "symbol": .string(symbolName), "signal_type": .string(kind),
      "score": .number(score), "price": price.map { .number($0) } ?? .null,
      "spread_bps": spreadBps.map { .number($0) } ?? .null, "signal_id": .string(signalID),
    ])
  }
}

extension ReportAccumulator {
  /// The confirmed signals of the largest |score| over all days held.
  public func topSignals(countMax: Int) -> [TopSignal] {
    var row = SignalRow(SignalContext(symbols: symbols, configVersion: ""))
    let all = days.flatMap(\.top).enumerated().sorted {
      let a = $0.element.score.rawValue.magnitude
      let b = $1.element.score.rawValue.magnitude
      return a == b ? $0.offset < $1.offset : a > b
    }
    return all.prefix(countMax).map { TopSignal($0.element, &row) }
  }
}
