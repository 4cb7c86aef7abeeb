import Core
import Report
import Store
import Strategy
import Testing

@testable import Services

@Suite("Report service")
struct ReportServiceTests {
  private func report(_ folder: String, _ sources: [SignalFeed.Source] = [.jsonl, .sqlite]) throws
    -> JSONValue
  {
    var last = JSONValue.null
    let service = try ReportService(
      ReportServiceOptions(
        runFolder: folder, sources: sources, follow: FollowOptions(isOnce: true),
        configuration: WeirConfiguration()))
    try service.run { last = $0 }
    return last
  }

  private func read(_ path: String) throws -> JSONValue {
    try Files.read(path).withUnsafeBytes { try JSONValue(parsing: $0) }
  }

  /// The members that depend on the rows alone; see `DailyReport.rowMembers`.
  private func rowPart(_ report: JSONValue) -> [JSONValue.Member] {
    (report.members ?? []).prefix { $0.key != "charts" }
  }

  /// A report from either sink is the replay's, and the charts are the same bytes.
  @Test func readBackIsWhatTheReplayReported() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 11, minutes: 4)
    _ = try Replay.run(
      ReplayOptions(
        tape: folder + "/tape", out: folder + "/run", sink: .dual, configuration: WeirConfiguration(),
        configurationVersion: "000000000000"))
    let summary = try report(folder + "/run")
    let day = try #require(summary["sinks"]?["jsonl"]?["days"]?[0]?.text)
    let replayed = try read(folder + "/run/reports/summary_\(day).json")
    #expect(rowPart(replayed).count == 15 && (replayed["totals"]?["confirmed"]?.integer ?? 0) > 0)
    for sink in ["jsonl", "sqlite"] {
      let own = try read(folder + "/run/reports/\(sink)/summary_\(day).json")
      #expect(rowPart(own) == rowPart(replayed), "\(sink)")
      #expect(own["run"]?["known"] == .bool(false))
      for chart in try Files.list(folder + "/run/reports/charts") {
        #expect(
          try Files.read(folder + "/run/reports/charts/" + chart)
            == Files.read(folder + "/run/reports/\(sink)/charts/" + chart))
      }
    }
    #expect(
      try Files.read(folder + "/run/reports/jsonl/summary_\(day).json")
        == Files.read(folder + "/run/reports/sqlite/summary_\(day).json"))
    let text = String(decoding: try Files.read(folder + "/run/summary_\(day).md"), as: UTF8.self)
    #expect(text.contains("](reports/jsonl/charts/\(day)_"))
  }

  /// Stopped at any row and begun anew, over midnight, while the run goes on: the same reports, and the day
  /// that is over is not read again.
  @Test(arguments: [1, 2, 3] as [UInt64], [SignalFeed.Source.jsonl, .sqlite])
  func restartsDoNotShow(seed: UInt64, source: SignalFeed.Source) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    let rows = 900
    try makeSignals(folder + "/whole", rows: rows, seed: seed)
    _ = try report(folder + "/whole", [source])

    var random = SeededRandom(seed: seed)
    var stops = SeededRandom(seed: seed + 100)
    var symbols = SymbolTable()
    for name in ["BTCUSDT", "ADAUSDT", "ETHUSDT"] { _ = symbols.intern(name) }
    var sinks = try SignalSinkSet(
      .dual, runFolder: folder + "/live",
      context: SignalContext(symbols: symbols, configVersion: "0123456789ab"))
    let options = ReportOptions()
    func sink() -> SinkReport {
      SinkReport(
        runFolder: folder + "/live", source: source, isFirst: true, options: options, resumes: true)
    }
    var live = sink()
    for index in 0..<rows {
      try sinks.append(sampleRow(&random, index))
      if stops.bernoulli(0.02) { try sinks.flush() }
      if stops.bernoulli(0.02) { _ = try live.consume(stepsMax: stops.below(100), isLast: false) }
      if stops.bernoulli(0.005) {
        if stops.bernoulli(0.5) { _ = try live.write() }
        live = sink()
      }
    }
    try sinks.finish()
    while try live.consume(stepsMax: 1000, isLast: true) > 0 {}
    _ = try live.write()
    for day in ["2024-07-18", "2024-07-19"] {
      let whole = try read(folder + "/whole/summary_\(day).json")
      #expect(
        try rowPart(read(folder + "/live/summary_\(day).json")) == rowPart(whole), "seed \(seed) \(day)")
      #expect(rowPart(whole).count == 15)
    }
    let again = sink()
    #expect(again.progress.finishedDays == ["2024-07-18"])
    while try again.consume(stepsMax: 1000, isLast: true) > 0 {}
    #expect(again.rowsRead == rows && again.rowsRefused == 0)
    #expect(again.progress.position.rows == 360)
  }

  @Test func objectivesAreJudgedOnWhatWasMeasured() throws {
    func slo(_ text: String, hours: Double = 0.5) throws -> JSONValue {
      runSection(status: try JSONValue(parsing: text), seconds: hours * 3600)["harvester_slo"] ?? .null
    }
    let good =
      #"{"harvester_metrics":{"queue_dropped":0,"substream_timeout_detected":false,"reconnect_count":3}}"#
    #expect(try slo(good)["pass"] == .bool(true))
    let many =
      #"{"harvester_metrics":{"queue_dropped":0,"substream_timeout_detected":0,"reconnect_count":4}}"#
    #expect(try slo(many)["pass"] == .bool(false))
    #expect(try slo(many, hours: 2)["pass"] == .bool(true))
    let silent =
      #"{"harvester_metrics":{"queue_dropped":0,"substream_timeout_detected":true,"reconnect_count":0}}"#
    #expect(try slo(silent)["substream_timeout_detected"]?["pass"] == .bool(false))
    #expect(try slo(#"{"harvester_metrics":{"queue_dropped":0}}"#)["pass"] == .null)
    #expect(runSection(status: nil, seconds: 0)["known"] == .bool(false))
  }
}
