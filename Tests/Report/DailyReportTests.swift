import Core
import Report
import Store
import Strategy
import Testing

@Suite("Daily report")
struct DailyReportTests {
  @Test func goldenSmallDay() throws {
    let second = Nanoseconds.second
    let rows = [
      ReportSamples.signal(),
      ReportSamples.signal(time: ReportSamples.start + second, score: 2.6, kind: .strongBuy, confirmed: true),
      ReportSamples.signal(
        time: ReportSamples.start + 61 * second, score: -1.6, kind: .sell, confirmed: true, lagMs: 40),
      ReportSamples.signal(
        time: ReportSamples.start + 62 * second, symbol: 1, score: 3, kind: .strongBuy, reason: .spread),
      ReportSamples.signal(time: ReportSamples.start + 63 * second, symbol: 1, score: 0.1, reason: .weak),
    ]
    let json = try #require(ReportSamples.report(rows).first).json
    #expect(json["day"]?.text == "2024-07-18")
    #expect(
      json["totals"]?.text()
        == """
        {"rows":5,"confirmed":2,"strong":1,"strong_ratio":0.5,"minutes":2,"rows_per_minute":2.5,\
        "first":"2024-07-18T23:57:00.000Z","last":"2024-07-18T23:58:03.000Z","span_s":63}
        """)
    #expect(
      json["gating_breakdown"]?.text()
        == """
        {"rows_gated":2,"share_of_rows":0.4,"reasons":{"spread":{"rows":1,"share_of_rows":0.2,\
        "share_of_gated":0.5},"weak":{"rows":1,"share_of_rows":0.2,"share_of_gated":0.5}}}
        """)
    #expect(
      json["symbols"]?["BTCUSDT"]?.text()
        == """
        {"rows":3,"confirmed":2,"strong":1,"strong_ratio":0.5,"mean_spread_bps":0.5,"lag_ms_p50":4.063231,\
        "lag_ms_p95":40,"lag_ms_max":40,"price_end":63943.905,"ofi_end":-12.5,"cvd_end":-1234.5}
        """.replacing("4.063231", with: json["symbols"]?["BTCUSDT"]?["lag_ms_p50"]?.text ?? ""))
    let median = try #require(json["symbols"]?["BTCUSDT"]?["lag_ms_p50"]?.double)
    #expect(median >= 4 && median <= 4 * 17 / 16)
    #expect(json["symbols"]?["ETHUSDT"]?["strong_ratio"] == .null)
    #expect(json["signal_types"]?["strong_buy"]?["rows"]?.integer == 2)
    #expect(json["signal_types"]?["strong_buy"]?["confirmed"]?.integer == 1)
    #expect(json["regimes"]?["normal"]?["rows"]?.integer == 5)
    #expect(json["top_signals"]?.elements?.map { $0["score"]?.text } == ["2.6", "-1.6"])
    #expect(json["top_signals"]?[0]?["price"]?.text == "63943.905")
    #expect(json["per_minute"]?.elements?.map { $0["rows"]?.integer } == [2, 3])
    #expect(
      json["charts"]?.elements?.map(\.text)
        == ["charts/2024-07-18_BTCUSDT.svg", "charts/2024-07-18_ETHUSDT.svg"])
  }

  @Test func daysEndAtMidnight() {
    // The samples begin three minutes before midnight.
    let rows = ReportSamples.market(seed: 71, seconds: 300)
    let days = ReportSamples.report(rows)
    #expect(days.map(\.day.dayText) == ["2024-07-18", "2024-07-19"])
    #expect(days.map(\.day.counts.rows) == [180 * 8, 120 * 8])
    #expect(days[0].day.lastTime < UnixNanos(ReportSamples.start + 180 * Nanoseconds.second))
    #expect(days[1].day.firstTime == UnixNanos(ReportSamples.start + 180 * Nanoseconds.second))
  }

  @Test(
    arguments: [(8 * 3600, ["2024-07-19"]), (-86_400, ["2024-07-17", "2024-07-18"])] as [(Int, [String])])
  func daysFollowTheOffset(_ offset: Int, _ expected: [String]) {
    var accumulator = ReportAccumulator(
      symbols: ReportSamples.symbols(), options: ReportOptions(utcOffsetSeconds: { _ in offset }))
    for row in ReportSamples.market(seed: 72, seconds: 300) { accumulator.add(row) }
    #expect(accumulator.days.map(\.dayText) == expected)
  }

  @Test func daysAreBounded() {
    var accumulator = ReportAccumulator(symbols: ReportSamples.symbols())
    for day in 0..<10 {
      accumulator.add(ReportSamples.signal(time: ReportSamples.start + Int64(day) * Nanoseconds.day))
    }
    accumulator.add(ReportSamples.signal(time: ReportSamples.start))
    #expect(accumulator.days.count == 8 && accumulator.rowsDropped == 3)
    let finished = accumulator.takeFinishedDays()
    #expect(finished.count == 7 && accumulator.days.count == 1)
  }

  /// Same rows, three ways: fed while made, read back from the lines, read back from the database.
  @Test func sinksGiveTheSameReport() throws {
    let folder = TemporaryFolder()
    let rows = ReportSamples.market(seed: 73, seconds: 60)
    let context = SignalContext(symbols: ReportSamples.symbols(), configVersion: "c")
    var sinks = try SignalSinkSet(.dual, runFolder: folder.path, context: context)
    for row in rows { try sinks.append(row) }
    try sinks.finish()
    let expected = try #require(ReportSamples.report(rows).first)
    var fromLines = ReportAccumulator()
    var lines = try JSONLReader(runFolder: folder.path)
    while let row = try lines.next() {
      let isAdded = fromLines.add(row)
      #expect(isAdded)
    }
    var fromTable = ReportAccumulator()
    var table = try SQLiteReader(runFolder: folder.path)
    while let row = try table.next() {
      let isAdded = fromTable.add(row)
      #expect(isAdded)
    }
    for accumulator in [fromLines, fromTable] {
      let report = DailyReport(day: accumulator.days[0], symbols: accumulator.symbols)
      #expect(report.json == expected.json)
      #expect(report.chart(SymbolID(0)) == expected.chart(SymbolID(0)))
    }
  }

  @Test func filesAreWritten() throws {
    let folder = TemporaryFolder()
    var report = try #require(ReportSamples.report(ReportSamples.market(seed: 74, seconds: 60)).first)
    report.facts = .object(["tape": .string("tape|with`odd*name"), "config_version": .string("c")])
    report.data = .object([
      "BTCUSDT": .object(["frames": .integer(10), "gaps": .integer(0)]),
      "ETHUSDT": .object(["frames": .integer(11), "gaps": .integer(1)]),
    ])
    report.sections = [.init("Alerts", .object(["fired": .array([])]))]
    let paths = try report.write(runFolder: folder.path)
    #expect(
      try Files.list(folder.path + "/reports") == [
        "charts", "summary_2024-07-18.json", "summary_2024-07-18.md",
      ])
    #expect(paths.count == 4)
    let json = try JSONValue(parsing: try Files.read(folder.path + "/reports/summary_2024-07-18.json").text)
    #expect(json == report.json)
    let markdown = try Files.read(folder.path + "/reports/summary_2024-07-18.md").text
    for part in [
      "# Signals of 2024-07-18", "tape\\|with\\`odd\\*name", "| BTCUSDT | 10 | 0 |", "## Alerts",
      "![BTCUSDT](charts/2024-07-18_BTCUSDT.svg)", "## Strongest confirmed signals", "recording too short",
    ] {
      #expect(markdown.contains(part), "\(part)")
    }
    for path in paths where path.hasSuffix(".svg") { #expect(xmlProblem(try Files.read(path).text) == nil) }
    // Every row of a table has as many cells as its heading.
    var cells: Int?
    for line in markdown.split(separator: "\n", omittingEmptySubsequences: false) {
      guard line.hasPrefix("|") else {
        cells = nil
        continue
      }
      let count = line.replacing("\\|", with: "").count(where: { $0 == "|" })
      #expect(cells == nil || cells == count, "\(line)")
      cells = count
    }
  }

  @Test func topSignalsAreTheLargest() throws {
    let rows = ReportSamples.market(seed: 75, seconds: 170)
    let day = try #require(ReportSamples.report(rows).first).day
    let expected = rows.filter(\.confirmed).map { $0.score.rawValue.magnitude }.sorted(by: >).prefix(20)
    #expect(day.top.map { $0.score.rawValue.magnitude } == Array(expected) && expected.count == 20)
  }
}

@Suite("Quality of standardised values")
struct ZQualityTests {
  func quality(_ values: [Double]) -> ZQuality {
    var quality = ZQuality()
    for value in values { quality.add(Micros(value)) }
    return quality
  }

  @Test func sharesAreExact() {
    let z = quality([0.1, -0.2, 2, -2, 2.000001, -3.5, 0.3, 0.4, 0.5, 12])
    #expect(z.samples == 10 && z.shareAbove2 == 0.3 && z.shareAbove3 == 0.2)
    #expect(abs(z.median! - 0.5) < 0.006)
    #expect(quality([]).median == nil && quality([.nan]).samples == 0)
  }

  @Test func normalValuesMeet() {
    var random = SeededRandom(seed: 81)
    let z = quality((0..<20_000).map { _ in random.normal() })
    #expect(abs(z.median! - 0.6745) < 0.02)
    #expect(z.verdict(independent: 20_000).verdict == .meets)
    #expect(z.verdict(independent: 99).verdict == .undecided)
    #expect(z.verdict(independent: 99).words.contains("too short"))
  }

  @Test func restlessAndCalm() {
    var random = SeededRandom(seed: 82)
    let restless = quality((0..<5000).map { _ in random.normal() * 2 }).verdict(independent: 500)
    #expect(restless.verdict == .misses && restless.words.contains("more restless"))
    let calm = quality((0..<5000).map { _ in random.normal() * 0.2 }).verdict(independent: 5000)
    #expect(calm.verdict == .misses && calm.words.contains("calmer"))
    let edge = quality((0..<1000).map { $0 < 85 ? 2.5 : 0.5 }).verdict(independent: 200)
    #expect(edge.verdict == .undecided && edge.words.contains("within the sampling error"))
  }

  @Test func histogramsAddUp() {
    var random = SeededRandom(seed: 83)
    let values = (0..<3000).map { _ in random.normal() }
    var sum = quality(Array(values[..<1000]))
    sum.add(quality(Array(values[1000...])))
    #expect(sum == quality(values))
  }
}

@Suite("Logarithmic histogram")
struct LogHistogramTests {
  @Test func quantilesWithinASixteenth() {
    let seed: UInt64 = 84
    var random = SeededRandom(seed: seed)
    var histogram = LogHistogram()
    var values: [Int64] = []
    for _ in 0..<5000 {
      let value = Int64(random.exponential(mean: 1) * pow10(random.below(10)))
      values.append(value)
      histogram.add(value)
    }
    values.sort()
    for share in [0.01, 0.5, 0.95, 0.999, 1] {
      let exact = values[max(0, Int((share * 5000).rounded(.up)) - 1)]
      let found = histogram.quantile(share)!
      #expect(found >= exact && Double(found) <= Double(exact) * 17 / 16 + 1, "seed \(seed), share \(share)")
    }
    #expect(histogram.largest == values.last)
  }

  func pow10(_ exponent: Int) -> Double { Double(powerOfTen(exponent)) }

  @Test func edges() {
    var histogram = LogHistogram()
    #expect(histogram.quantile(0.5) == nil)
    histogram.add(-5)
    histogram.add(.max)
    #expect(histogram.quantile(0.5) == 0 && histogram.quantile(1) == .max)
  }
}
