import Core
import Glibc
import Report
import Strategy
import Testing

@Suite("Charts")
struct ChartTests {
  @Test(
    arguments: [
      (1, 1), (2, 60), (3, 179), (4, 180),
    ] as [(UInt64, Int)])
  func wellFormed(_ seed: UInt64, _ seconds: Int) throws {
    let report = try #require(ReportSamples.report(ReportSamples.market(seed: seed, seconds: seconds)).first)
    let svg = try #require(report.chart(SymbolID(0)))
    #expect(xmlProblem(svg) == nil)
    #expect(svg.utf8.count < 300_000)
    #expect(!svg.contains("nan") && !svg.contains("inf"))
  }

  @Test func foreignNamesAreEscaped() throws {
    let names = ["A<b>&\"'\u{1}../|X", "ETHUSDT"]
    let report = try #require(
      ReportSamples.report(ReportSamples.market(seed: 91, seconds: 20), names: names).first)
    let svg = try #require(report.chart(SymbolID(0)))
    #expect(xmlProblem(svg) == nil)
    #expect(svg.contains("A&lt;b&gt;&amp;&quot;&#39;"))
    #expect(
      report.json["charts"]?[0]?.text == "charts/2024-07-18_A~3cb~3e~26~22~27~01~2e~2e~2f~7cX.svg")
  }

  @Test func absentAndExtremeValues() throws {
    var rows = ReportSamples.market(seed: 92, seconds: 30, symbols: 1)
    for index in rows.indices {
      rows[index].doubledMid = nil
      rows[index].score = .absent
      rows[index].ofi = Micros(rawValue: index % 2 == 0 ? .max : .min + 1)
      rows[index].cvd = 0
    }
    let report = try #require(ReportSamples.report(rows).first)
    let svg = try #require(report.chart(SymbolID(0)))
    #expect(xmlProblem(svg) == nil && svg.contains("no values"))
    #expect(!svg.contains("nan") && !svg.contains("inf"))
  }

  /// A whole day of rows: bounded cells, no extreme lost.
  @Test func aDayKeepsItsExtremes() {
    var random = SeededRandom(seed: 93)
    var series = ChartSeries()
    var low = Double.infinity
    var high = -Double.infinity
    for row in 0..<345_600 {
      let value = random.normal()
      low = min(low, value)
      high = max(high, value)
      let time = UnixNanos(ReportSamples.start + Int64(row) * 250_000_000)
      series.add(time: time, SIMD4(value, .nan, value, value))
    }
    #expect(series.cells.count <= ChartSeries.cellsMax && series.cells.count > ChartSeries.cellsMax / 3)
    #expect(series.cells.map { $0.low[0] }.min() == low && series.cells.map { $0.high[0] }.max() == high)
    #expect(series.cells.allSatisfy { $0.low[1].isNaN })
    #expect(zip(series.cells, series.cells.dropFirst()).allSatisfy { $0.index < $1.index })
  }

  @Test func orderWithinACell() {
    var series = ChartSeries()
    func put(_ values: [Double]) -> Int64 {
      series = ChartSeries()
      for (index, value) in values.enumerated() {
        series.add(time: UnixNanos(Int64(index)), SIMD4(repeating: value))
      }
      return series.cells[0].lowFirst[0]
    }
    #expect(put([1, 2, 3]) == 1)
    #expect(put([3, 2, 1]) == 0)
    #expect(put([2, 1, 3]) == 1)
    #expect(put([2, 3, 1]) == 0)
  }
}

@Suite("Time zone")
struct ReportTimeZoneTests {
  @Test(arguments: [
    ("", 0), ("UTC", 0), ("+08:00", 28_800), ("-03:30", -12_600), ("+0530", 19_800), ("+8", 28_800),
  ])
  func fixed(_ name: String, _ seconds: Int) throws {
    #expect(try ReportTimeZone.utcOffsetSeconds(name)(UnixNanos(0)) == seconds)
  }

  @Test(arguments: [
    "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "+25:00", "+08:75", "+", "Asia", "+1:234",
  ])
  func unknown(_ name: String) {
    #expect(throws: ReportTimeZone.UnknownZone(name: name)) { _ = try ReportTimeZone.utcOffsetSeconds(name) }
  }

  @Test(.enabled(if: access("/usr/share/zoneinfo/Europe/Berlin", F_OK) == 0, "the system has no time zones"))
  func named() throws {
    let offset = try ReportTimeZone.utcOffsetSeconds("Europe/Berlin")
    #expect(offset(UnixNanos(ReportSamples.start)) == 7200)
    #expect(offset(UnixNanos(ReportSamples.start + 180 * Nanoseconds.day)) == 3600)
  }
}

@Suite("Run summary")
struct RunSummaryTests {
  func summary() -> RunSummary {
    var symbol = RunSummary.Symbol()
    symbol.frames = 1_234_567
    symbol.cvd = "-12.345"
    symbol.rSquared10s = 0.12345678
    symbol.count(ReportSamples.signal(kind: .strongSell, confirmed: true))
    symbol.count(ReportSamples.signal(reason: .weak))
    symbol.count(ReportSamples.signal(reason: .weak))
    symbol.count(ReportSamples.signal(reason: .warmup))
    symbol.extra = [.init("beta", .number("1.5"))]
    var summary = RunSummary()
    summary.framesTotal = 2_000_000
    summary.wallSeconds = 1.25
    summary.cpuSeconds = 1
    summary.maxRSSMegabytes = 31.27
    summary.signalsSHA256 = "ab"
    summary.symbols = [("BTCUSDT", symbol), ("E\u{1B}[31m", RunSummary.Symbol())]
    return summary
  }

  @Test func keys() {
    let json = summary().json
    #expect(
      json.members?.map(\.key) == [
        "frames_total", "wall_s", "cpu_s", "frames_per_cpu_s", "max_rss_mb", "signals_sha256", "symbols",
      ])
    #expect(json["frames_per_cpu_s"]?.text == "2000000")
    #expect(
      json["symbols"]?["BTCUSDT"]?.text()
        == """
        {"frames":1234567,"depth_events":0,"book_ticker_events":0,"trades":0,"trades_excluded":0,\
        "decode_errors":0,"gaps":0,"resyncs":0,"crossed":0,"ofi_l1_sum":0,"ofi_book_l1_sum":0,\
        "cvd":-12.345,"r2_10s":0.123457,"signals":4,"confirmed":1,"strong":1,\
        "guard_reasons":{"warmup":1,"weak":2},"beta":1.5}
        """)
    #expect(RunSummary().json["frames_per_cpu_s"] == .null)
  }

  @Test func terminal() throws {
    var accumulator = ReportAccumulator(symbols: ReportSamples.symbols())
    accumulator.add(ReportSamples.signal(score: 2.6, kind: .strongBuy, confirmed: true))
    accumulator.add(ReportSamples.signal(symbol: 1, score: -3, kind: .strongSell, confirmed: true))
    let text = terminalReport(summary(), top: accumulator.topSignals(countMax: 5))
    let lines = text.split(separator: "\n").map(String.init)
    #expect(lines[0] == "2,000,000 frames in 1.25 s (1.00 s CPU, 2,000,000 frames per CPU second, 31.3 MB)")
    #expect(lines[2].contains("1,234,567") && lines[2].hasSuffix("weak (2)"))
    #expect(lines[5] == "time (UTC)                symbol   type         score      price  spread bps")
    #expect(lines[6] == "2024-07-18T23:57:00.000Z  ETHUSDT  strong_sell     -3  63943.905         0.5")
    #expect(!text.contains("\u{1B}"))
    #expect(lines.allSatisfy { !$0.hasSuffix(" ") })
  }
}
