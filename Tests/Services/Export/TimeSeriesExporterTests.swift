import Core
import Net
import ProcessKit
import Services
import Telemetry
import Testing

@Suite("Time-series exporter")
struct TimeSeriesExporterTests {
  private func rows(_ bench: ExportBench) -> [String] {
    bench.received.map { $0.body.split(separator: "\n").last.map(String.init) ?? "" }
  }

  @Test func requestsOfEachReceiver() throws {
    let bench = try ExportBench()
    let token = try ExportCredentials.token("hush")
    let user = try ExportCredentials.user("me", password: "hush")
    let exporters = [
      bench.exporter(.prometheus, url: bench.url + "/prefix/", credentials: token, run: "a/b"),
      bench.exporter(.influxdb, credentials: token) { $0.organization = "my desk" },
      bench.exporter(.influxdb, credentials: user) { $0.influxVersion = 1 },
    ]
    for (index, exporter) in exporters.enumerated() {
      exporter.push([samplePoint(5)])
      #expect(bench.wait { exporter.exportCount == 1 }, "receiver \(index)")
    }
    let requests = bench.received
    try #require(requests.count == 3)
    #expect(
      requests.map { "\($0.method) \($0.target)" } == [
        "PUT /prefix/metrics/job/weir/run@base64/YS9i/instance/host-1",
        "POST /api/v2/write?org=my%20desk&bucket=weir&precision=ns", "POST /write?db=weir&precision=ns",
      ])
    #expect(
      requests.map { $0.headers["Authorization"] } == ["Bearer hush", "Token hush", "Basic bWU6aHVzaA=="])
    #expect(requests[0].body == "# TYPE weir_signal_rows_total counter\nweir_signal_rows_total 5\n")
    #expect(requests[1].body == "weir_signal rows_total=5i 1721347021080123456\n")
    #expect(exporters.allSatisfy { $0.lastSuccess != nil && $0.errorCount == 0 })
    #expect(bench.reports.isEmpty)
  }

  @Test(arguments: [500, 503, 408, 429])
  func failuresAreRetried(_ status: Int) throws {
    let bench = try ExportBench()
    bench.faults = [.answer(status, "busy\nmore"), .answer(status, "busy")]
    let exporter = bench.exporter(.prometheus)
    exporter.push([samplePoint(1)])
    #expect(bench.wait { exporter.exportCount == 1 })
    #expect(exporter.errorCount == 2 && exporter.retryCount == 2 && exporter.dropped == 0)
    #expect(exporter.consecutiveFailures == 0 && exporter.lastError == "the server answered \(status): busy")
    #expect(
      bench.reports == [
        "time-series export to \(bench.url): the server answered \(status): busy",
        "time-series export to \(bench.url): delivers again after 2 failures",
      ])
  }

  @Test(arguments: [400, 401, 404, 301])
  func refusalsAreNot(_ status: Int) throws {
    let bench = try ExportBench()
    bench.faults = [.answer(status, "no"), .answer(status, "no")]
    let exporter = bench.exporter(.influxdb)
    for row in 1...3 { exporter.push([samplePoint(Int64(row))]) }
    #expect(bench.wait { exporter.exportCount == 1 })
    #expect(bench.received.count == 3 && exporter.retryCount == 0)
    #expect(exporter.errorCount == 2 && exporter.dropped == 2)
    #expect(bench.reports.count == 2)
  }

  @Test(arguments: ["hang", "drip", "reset", "abort"])
  func brokenConnections(_ kind: String) throws {
    let bench = try ExportBench()
    let fault: ExportBench.Fault =
      switch kind {
      case "hang": .hang
      case "drip": .drip
      case "reset": .reset
      default: .abort
      }
    bench.faults = [fault, fault]
    let exporter = bench.exporter(.influxdb)
    exporter.push([samplePoint(1)])
    #expect(bench.wait { exporter.exportCount == 1 })
    #expect(exporter.errorCount == 2 && exporter.retryCount == 2 && exporter.dropped == 0)
  }

  @Test func influxDeliversLateAndInOrder() throws {
    let bench = try ExportBench()
    bench.otherwise = .answer(503, "")
    let exporter = bench.exporter(.influxdb) {
      $0.batchesMax = 4
      $0.retriesMax = 2
    }
    exporter.push([samplePoint(0)])
    #expect(bench.wait { exporter.errorCount == 3 })
    bench.pass(0.15)
    #expect(exporter.errorCount == 3, "after the last retry only a new batch brings a try")
    for row in 1...6 { exporter.push([samplePoint(Int64(row), timeNs: Int64(row))]) }
    #expect(bench.wait { exporter.errorCount >= 4 })
    let failed = bench.received.count
    bench.otherwise = .answer(204, "")
    #expect(bench.wait { exporter.pending == 0 })
    // Four wait; the one that was under way when they came had no room to come back to.
    #expect(
      rows(bench).dropFirst(failed) == [
        "weir_signal rows_total=3i 3", "weir_signal rows_total=4i 4", "weir_signal rows_total=5i 5",
        "weir_signal rows_total=6i 6",
      ])
    #expect(exporter.exportCount == 4 && exporter.dropped == 3)
  }

  @Test func theGatewayGetsTheLatestOnly() throws {
    let bench = try ExportBench()
    bench.faults = [.answer(500, ""), .answer(500, "")]
    let exporter = bench.exporter(.prometheus)
    for row in 1...5 { exporter.push([samplePoint(Int64(row))]) }
    #expect(bench.wait { exporter.pending == 0 })
    #expect(rows(bench).last == "weir_signal_rows_total 5")
    #expect(exporter.exportCount == 1 && exporter.dropped == 4)
  }

  @Test func oneRequestAtATime() throws {
    let bench = try ExportBench()
    bench.otherwise = .slow
    let exporter = bench.exporter(.influxdb)
    for row in 1...20 { exporter.push([samplePoint(Int64(row))]) }
    #expect(bench.wait { exporter.exportCount == 20 })
    #expect(bench.answeringMax == 1)
  }

  @Test func nobodyListens() throws {
    let bench = try ExportBench()
    let reserved = try ReservedPort()
    let exporter = bench.exporter(.prometheus, url: "http://127.0.0.1:\(reserved.port)") { $0.retriesMax = 1 }
    exporter.push([samplePoint(1)])
    #expect(bench.wait { exporter.errorCount == 2 })
    #expect(exporter.lastError?.contains("is the server running?") == true)
    var warning: String?
    exporter.checkReachability { warning = $0 }
    #expect(bench.wait { warning != nil })
    #expect(warning?.contains("cannot be reached") == true)
    #expect(warning?.contains("the run goes on") == true)
    reserved.release()
  }

  @Test(arguments: [(200, true), (204, true), (404, false), (503, false)])
  func reachability(_ status: Int, _ isGood: Bool) throws {
    let bench = try ExportBench()
    bench.otherwise = .answer(status, "")
    for type in [ExportSettings.Kind.prometheus, .influxdb] {
      let exporter = bench.exporter(type)
      var answers: [String?] = []
      exporter.checkReachability { answers.append($0) }
      #expect(bench.wait { !answers.isEmpty })
      #expect(answers.count == 1 && (answers[0] == nil) == isGood)
      #expect(exporter.errorCount == 0)
    }
    #expect(bench.received.map(\.target) == ["/-/ready", "/ping"])
  }

  @Test func aServerThatSendsTheSecretBack() throws {
    let bench = try ExportBench()
    let all = [try ExportCredentials.token("hush"), try ExportCredentials.user("me", password: "hush")]
    for credentials in all {
      bench.faults = [.answer(401, "Token hush Basic bWU6aHVzaA== is wrong")]
      let exporter = bench.exporter(.influxdb, credentials: credentials)
      exporter.push([samplePoint(1)])
      #expect(bench.wait { exporter.errorCount == 1 })
      let shown = exporter.timeseriesExport.text() + bench.reports.joined()
      #expect(shown.contains("***") && !shown.contains("hush"))
    }
  }

  @Test func finishPushesTheLastBatch() throws {
    let bench = try ExportBench()
    let exporter = bench.exporter(.influxdb)
    var isDone = false
    exporter.push([samplePoint(1)])
    exporter.finish([samplePoint(2)]) { isDone = true }
    #expect(bench.wait { isDone })
    #expect(exporter.exportCount == 2 && exporter.dropped == 0)
    exporter.push([samplePoint(3)])
    bench.pass(0.02)
    #expect(exporter.dropped == 1 && bench.received.count == 2)
  }

  @Test(arguments: ["hang", "500", "waiting"])
  func finishEndsInTime(_ kind: String) throws {
    let bench = try ExportBench()
    bench.otherwise = kind == "hang" ? .hang : .answer(500, "")
    let exporter = bench.exporter(.influxdb) {
      $0.timeoutMs = 10_000
      $0.backoffMsMin = 10_000
      $0.backoffMsMax = 10_000
    }
    exporter.push([samplePoint(1)])
    if kind == "waiting" { #expect(bench.wait { exporter.errorCount == 1 }) }
    var isDone = false
    let start = EventLoop.monotonicNow()
    exporter.finish([samplePoint(2)], withinMs: 300) { isDone = true }
    #expect(bench.wait { isDone })
    #expect(EventLoop.monotonicNow() - start < Nanoseconds.second)
    #expect(exporter.dropped == 2 && exporter.pending == 0)
  }

  @Test func aBatchWithoutNumbersIsNone() throws {
    let bench = try ExportBench()
    let nothing = ExportPoint("m", fields: [.init("v", .double(.nan))], timeNs: 1)
    let exporter = bench.exporter(.influxdb)
    exporter.push([nothing])
    exporter.push([])
    exporter.push([nothing, samplePoint(1)])
    #expect(bench.wait { exporter.exportCount == 1 })
    #expect(bench.received.count == 1)
  }

  @Test func everyInterval() throws {
    let bench = try ExportBench()
    let exporter = bench.exporter(.influxdb) { $0.intervalSeconds = 1 }
    var collected: Int64 = 0
    exporter.start {
      collected += 1
      return [samplePoint(collected)]
    }
    bench.pass(0.8)
    #expect(collected == 0)
    #expect(bench.wait { exporter.exportCount == 2 })
    #expect(collected == 2)
  }

  @Test func stateForManifestAndMetrics() throws {
    let bench = try ExportBench()
    bench.faults = [.answer(500, "full")]
    let exporter = bench.exporter(.influxdb)
    let registry = MetricRegistry()
    exporter.register(in: registry)
    exporter.push([samplePoint(4)])
    #expect(bench.wait { exporter.exportCount == 1 })
    #expect(
      exporter.timeseriesExport.text()
        == #"{"type":"influxdb","url":"\#(bench.url)","export_count":1,"error_count":1,"retries":1,"#
        + #""dropped":0,"last_error":"the server answered 500: full"}"#)
    #expect(
      exporter.timeseriesData.text()
        == #"[{"measurement":"weir_signal","tags":{},"fields":{"rows_total":4},"#
        + #""time_ns":1721347021080123456}]"#)
    var text = ByteWriter()
    registry.write(into: &text)
    for line in [
      "weir_export_pushes_total 1", "weir_export_errors_total 1", "weir_export_consecutive_failures 0",
      "weir_export_dropped_total 0",
    ] {
      #expect(text.string().contains(line + "\n"))
    }
  }
}
