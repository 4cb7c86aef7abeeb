import Core
import Rules
import Testing

@Suite("Rules over recorded metrics")
struct RuleReplayTests {
  private func replay(_ lines: [String], _ rules: RuleSet? = nil) throws -> [JSONValue] {
    var replay = RuleReplay(try rules ?? shippedRules())
    var events: [JSONValue] = []
    for line in lines {
      events += try Array(line.utf8).withUnsafeBytes { bytes throws(RuleError) in try replay.take(bytes)
      }
    }
    return events + replay.finish()
  }

  private static let start: Int64 = 1_721_347_200

  private func line(_ second: Int, _ job: String, _ samples: String) -> String {
    "{\"time_ns\":\(Self.start + Int64(second))000000000,"
      + "\"target\":{\"job\":\"\(job)\"},\"samples\":[\(samples)]}"
  }

  @Test func eventsComeInTheMetricsOwnTime() throws {
    var lines: [String] = []
    for second in stride(from: 0, through: 600, by: 5) {
      let isBad = (100..<300).contains(second)
      lines.append(line(second, "harvest", "[\"ws_depth_gap_ratio\",{},\(isBad ? 0.01 : 0)]"))
      lines.append(line(second, "signal", "[\"weir_signal_rows_total\",{\"symbol\":\"BTC\"},\(second * 4)]"))
    }
    let events = try replay(lines)
    let told = events.map { "\($0["event"]?.text ?? "") \($0["rule"]?.text ?? $0["step"]?.text ?? "")" }
    #expect(
      told == [
        "degrade_entered depth_holes", "fired ws_depth_gap", "recovered ws_depth_gap",
        "degrade_returned depth_holes",
      ])
    #expect(events[1]["fired_at"]?.text == "2024-07-19T00:04:40.000Z")
    #expect(events[1]["action"]?.text == "rebuild_snapshot")
    #expect(events[2]["recovered_at"]?.text == "2024-07-19T00:05:00.000Z")
    #expect(events[2]["labels"]?["job"]?.text == "harvest")
  }

  /// Hours of silence, or a century, are judged without a century of steps.
  @Test func longSilenceIsLeftOut() throws {
    let far = Int64.max / 2 - 1
    let events = try replay(
      [
        line(0, "run", "[\"lag\",{\"symbol\":\"BTC\"},1]"),
        line(15, "run", "[\"lag\",{\"symbol\":\"BTC\"},0]"),
        line(90_000, "run", "[\"lag\",{\"symbol\":\"BTC\"},1]"),
        line(90_095, "run", "[\"lag\",{\"symbol\":\"BTC\"},1]"),
        "{\"time_ns\":\(far),\"samples\":[]}",
      ], try RuleSet(parsing: RuleFileTests.good, path: "test.yaml"))
    #expect(events.compactMap { $0["event"]?.text } == ["fired", "recovered"])
    #expect(events.first?["fired_at"]?.text == "2024-07-20T01:01:30.000Z")
    // The series ends five minutes after its last sample.
    #expect(events.last?["recovered_at"]?.text == "2024-07-20T01:06:40.000Z")
  }

  @Test(arguments: [
    ("{", "not valid JSON"), ("{}", "time_ns must be"), (#"{"time_ns":"5","samples":[]}"#, "time_ns must be"),
    (#"{"time_ns":-5,"samples":[]}"#, "time_ns must be"),
    (#"{"time_ns":1e99,"samples":[]}"#, "time_ns must be"),
    (#"{"time_ns":5}"#, "samples must be"), (#"{"time_ns":5,"samples":[5]}"#, "a sample must be"),
    (#"{"time_ns":5,"samples":[["x",{},"five"]]}"#, "a sample must be"),
    (#"{"time_ns":5,"samples":[["x",{"a":1},5]]}"#, "the label \"a\" must be a text"),
    (#"{"time_ns":5,"target":[],"samples":[]}"#, "labels must be"),
  ])
  func whatIsNoScrapeIsAnError(_ line: String, _ message: String) {
    let error = #expect(throws: RuleError.self) { try replay([line]) }
    #expect(error?.message.contains(message) == true, "\(String(describing: error))")
  }

  @Test func linesOutOfOrderAreAnError() {
    #expect(throws: RuleError.self) { try replay([line(5, "a", ""), line(4, "a", "")]) }
  }

  @Test func valuesWithoutANumberAreTexts() throws {
    let samples = #"["ws_depth_gap_ratio",{},"NaN"],["ws_packet_loss_ratio",{},"+Inf"]"#
    let events = try replay((0...80).map { line(5 * $0, "harvest", samples) })
    // No signal stage is scraped at all, which is the other alert.
    #expect(events.compactMap { $0["rule"]?.text } == ["signal_total_zero", "ws_packet_loss"])
  }
}
