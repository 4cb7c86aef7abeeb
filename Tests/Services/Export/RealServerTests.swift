import Core
import Glibc
import ProcessKit
import Services
import Testing

/// Third parties' servers say what arrived.
@Suite("Export to real servers", .serialized)
struct RealServerTests {
  static let hasGateway = RealServer.find("prometheus-pushgateway") != nil
  static let hasVictoria = RealServer.find("victoria-metrics") != nil

  private var counters: RunCounters {
    var counters = RunCounters()
    counters.rows = 1_234_567
    counters.confirmed = 30
    counters.strong = 10
    counters.gatedByReason = ["weak": 80]
    counters.latency.p95Ms = 3.25
    counters.bySymbol = ["BTCUSDT": .init(), "ETHUSDT": .init()]
    return counters
  }

  private func push(_ bench: ExportBench, _ exporter: TimeSeriesExporter, _ points: [ExportPoint]) throws {
    let before = exporter.exportCount
    exporter.push(points)
    #expect(
      bench.wait(60) { exporter.exportCount == before + 1 || exporter.errorCount > 0 })
    try #require(exporter.errorCount == 0, "\(exporter.lastError ?? "")")
  }

  private func expectReachable(_ bench: ExportBench, _ exporter: TimeSeriesExporter) {
    var answer: String??
    exporter.checkReachability { answer = .some($0) }
    #expect(bench.wait(60) { answer != nil })
    #expect(answer! == nil)
  }

  // MARK: Pushgateway

  /// Series of one run in the gateway's own exposition.
  private func series(_ gateway: RealServer, run: String) throws -> [String: String] {
    var result: [String: String] = [:]
    for line in try gateway.request("GET", "/metrics").body.split(separator: "\n")
    where line.contains("run=\"\(run)\"") && !line.hasPrefix("#") && !line.hasPrefix("push_") {
      let space = line.lastIndex(of: " ")!
      result[String(line[..<space])] = String(line[line.index(after: space)...])
    }
    return result
  }

  @Test(.enabled(if: hasGateway, "prometheus-pushgateway is not installed; see scripts/test-packages.txt"))
  func pushgateway() throws {
    let gateway = try RealServer.pushgateway()
    defer { gateway.stop() }
    let bench = try ExportBench()
    let exporter = bench.exporter(.prometheus, url: gateway.url, run: "r 1/é", timeoutMs: 5000)
    expectReachable(bench, exporter)
    try push(bench, exporter, exporter.series.points(counters, timeNs: 1))
    let identity = #"instance="host-1",job="weir","#
    var all = try series(gateway, run: "r 1/é")
    #expect(all["weir_signal_rows_total{\(identity)run=\"r 1/é\"}"] == "1.234567e+06")
    #expect(all["weir_signal_gated_total{\(identity)reason=\"weak\",run=\"r 1/é\"}"] == "80")
    #expect(all["weir_harvest_latency_ms{\(identity)quantile=\"0.95\",run=\"r 1/é\"}"] == "3.25")
    #expect(all["weir_signal_symbol_rows_total{\(identity)run=\"r 1/é\",symbol=\"ETHUSDT\"}"] == "0")
    let text = try gateway.request("GET", "/metrics").body
    #expect(text.contains("# TYPE weir_signal_rows_total counter\n"))
    #expect(text.contains("# TYPE weir_signal_strong_ratio gauge\n"))

    // A push replaces the whole group and leaves others alone.
    let other = bench.exporter(.prometheus, url: gateway.url, run: "r2", timeoutMs: 5000)
    try push(bench, other, [samplePoint(7)])
    try push(bench, exporter, [samplePoint(8)])
    all = try series(gateway, run: "r 1/é")
    #expect(all == ["weir_signal_rows_total{\(identity)run=\"r 1/é\"}": "8"])
    #expect(try series(gateway, run: "r2").values.sorted() == ["7"])
  }

  @Test(
    .enabled(if: hasGateway, "prometheus-pushgateway is not installed; see scripts/test-packages.txt"),
    arguments: [11] as [UInt64])
  func anythingGoesToTheGateway(_ seed: UInt64) throws {
    let gateway = try RealServer.pushgateway()
    defer { gateway.stop() }
    let bench = try ExportBench()
    let exporter = bench.exporter(.prometheus, url: gateway.url, timeoutMs: 5000)
    var random = SeededRandom(seed: seed)
    let alphabet = ["\\", "\"", "\n", "é", "{", "}", ",", "=", " ", "a", "#"]
    let points = (0..<200).map { index in
      let label = (0..<random.below(8)).map { _ in alphabet[random.below(alphabet.count)] }.joined()
      let values: [Double] = [.nan, .infinity, -.infinity, Double(bitPattern: random.next())]
      return ExportPoint(
        "odd name", tags: [.init("n", "\(index)"), .init("text", "x" + label)],
        fields: [.init("v", .double(values[random.below(4)]))], timeNs: 1)
    }
    try push(bench, exporter, points)
    let text = try gateway.request("GET", "/metrics").body
    for point in points {
      let label = point.tags[1].value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        .replacing("\n", with: "\\n")
      let start =
        #"odd_name_v{instance="host-1",job="weir",n="\#(point.tags[0].value)",run="r1",text="\#(label)"} "#
      guard case .double(let value) = point.fields[0].value, let found = text.firstRange(of: start) else {
        Issue.record("seed \(seed): \(start) is missing")
        continue
      }
      let word = text[found.upperBound...].prefix { $0 != "\n" }
      let read = word == "+Inf" ? .infinity : Double(word.lowercased())
      #expect(read == value || read?.isNaN == true && value.isNaN, "seed \(seed): \(start)\(word)")
    }
  }

  @Test(.enabled(if: hasGateway, "prometheus-pushgateway is not installed; see scripts/test-packages.txt"))
  func aGatewayThatHangsAndComesBack() throws {
    let gateway = try RealServer.pushgateway()
    defer { gateway.stop() }
    let bench = try ExportBench()
    let exporter = bench.exporter(.prometheus, url: gateway.url, timeoutMs: 2000)
    try push(bench, exporter, [samplePoint(1)])
    gateway.signal(SIGSTOP)
    exporter.push([samplePoint(2)])
    #expect(bench.wait { exporter.errorCount >= 2 })
    exporter.push([samplePoint(3)])
    gateway.signal(SIGCONT)
    #expect(bench.wait { exporter.pending == 0 })
    #expect(try series(gateway, run: "r1").values.sorted() == ["3"])
    #expect(exporter.consecutiveFailures == 0)
  }

  // MARK: InfluxDB's protocols

  private struct Stored: Equatable {
    var labels: [String: String]
    var values: [Double]
    var timesMs: [Int64]
  }

  private func stored(_ server: RealServer) throws -> [Stored] {
    _ = try server.request("GET", "/internal/force_flush")
    let text = try server.request("GET", "/api/v1/export?match%5B%5D=%7B__name__!=%22%22%7D").body
    return try text.split(separator: "\n").map { line in
      let json = try JSONValue(parsing: String(line))
      return Stored(
        labels: Dictionary(
          uniqueKeysWithValues: (json["metric"]?.members ?? []).map { ($0.key, $0.value.text ?? "") }),
        values: (json["values"]?.elements ?? []).map { $0.double ?? .nan },
        timesMs: (json["timestamps"]?.elements ?? []).map { $0.integer ?? 0 })
    }
  }

  @Test(
    .enabled(if: hasVictoria, "victoria-metrics is not installed; see scripts/test-packages.txt"),
    arguments: [2, 1])
  func influx(_ version: Int) throws {
    let server = try RealServer.victoriaMetrics()
    defer { server.stop() }
    let bench = try ExportBench()
    let exporter = bench.exporter(.influxdb, url: server.url, timeoutMs: 5000) { $0.influxVersion = version }
    expectReachable(bench, exporter)
    let times: [Int64] = [1_721_347_021_080_999_999, 1_721_347_081_080_000_000]
    for (index, time) in times.enumerated() {
      var counters = self.counters
      counters.rows += Int64(index)
      try push(bench, exporter, exporter.series.points(counters, timeNs: time))
    }
    let all = try stored(server)
    func found(_ name: String, _ labels: [String: String] = [:]) -> Stored? {
      all.first { series in
        series.labels["__name__"] == name && labels.allSatisfy { series.labels[$0.key] == $0.value }
      }
    }
    let rows = try #require(found("weir_signal_rows_total", ["run": "r1", "instance": "host-1"]))
    #expect(rows.values == [1_234_567, 1_234_568])
    #expect(rows.timesMs == times.map { $0 / 1_000_000 })
    #expect(found("weir_harvest_latency_ms", ["quantile": "0.95"])?.values == [3.25, 3.25])
    #expect(found("weir_signal_gated_total", ["reason": "weak"])?.values == [80, 80])
    #expect(found("weir_signal_symbol_rows_total", ["symbol": "ETHUSDT"])?.values == [0, 0])
    // It keeps twelve digits.
    #expect(abs((found("weir_signal_strong_ratio")?.values.first ?? 0) - 10.0 / 30) < 1e-11)
    if version == 1 { #expect(rows.labels["db"] == "weir") }
  }

  @Test(
    .enabled(if: hasVictoria, "victoria-metrics is not installed; see scripts/test-packages.txt"),
    arguments: [21] as [UInt64])
  func escapesSurvive(_ seed: UInt64) throws {
    let server = try RealServer.victoriaMetrics()
    defer { server.stop() }
    let bench = try ExportBench()
    let exporter = bench.exporter(.influxdb, url: server.url, timeoutMs: 5000)
    var random = SeededRandom(seed: seed)
    let alphabet = [",", " ", "=", "é", "a", "{", "\\x", "\""]
    func text(quotes: Bool = true) -> String {
      "t" + (0..<random.below(8)).map { _ in alphabet[random.below(quotes ? 8 : 7)] }.joined()
    }
    let points = (0..<300).map { index in
      ExportPoint(
        "m" + text(), tags: [.init("n", "\(index)"), .init("k" + text(), text())],
        fields: [.init("f" + text(quotes: false), .integer(Int64(index)))], timeNs: 1_721_347_021_080_000_000)
    }
    try push(bench, exporter, points)
    let all = try stored(server)
    for (index, point) in points.enumerated() {
      let labels = [
        "__name__": "\(point.measurement)_\(point.fields[0].name)", "n": "\(index)",
        point.tags[1].name: point.tags[1].value,
      ]
      #expect(
        all.contains {
          $0.labels.filter { $0.key != "db" } == labels && $0.values == [Double(index)]
        }, "seed \(seed): \(labels)")
    }
    #expect(all.count == points.count)
  }

  @Test(.enabled(if: hasVictoria, "victoria-metrics is not installed; see scripts/test-packages.txt"))
  func passwords() throws {
    let server = try RealServer.victoriaMetrics(
      extra: ["-httpAuth.username=me", "-httpAuth.password=hush"])
    defer { server.stop() }
    let bench = try ExportBench()
    let right = bench.exporter(
      .influxdb, url: server.url, credentials: try .user("me", password: "hush"), timeoutMs: 5000
    ) {
      $0.influxVersion = 1
    }
    try push(bench, right, [samplePoint(1)])
    let wrong = bench.exporter(
      .influxdb, url: server.url, credentials: try .user("me", password: "wrong"), timeoutMs: 5000
    ) {
      $0.influxVersion = 1
    }
    wrong.push([samplePoint(2)])
    #expect(bench.wait(60) { wrong.errorCount == 1 })
    #expect(wrong.lastError?.hasPrefix("the server answered 401") == true && wrong.dropped == 1)
  }

  /// The database is away for three batches and gets all of them, at their own times.
  @Test(.enabled(if: hasVictoria, "victoria-metrics is not installed; see scripts/test-packages.txt"))
  func anOutageLosesNothing() throws {
    let reserved = try ReservedPort()
    let bench = try ExportBench()
    let exporter = bench.exporter(.influxdb, url: "http://127.0.0.1:\(reserved.port)", timeoutMs: 5000) {
      $0.retriesMax = 100
    }
    for index in 1...3 {
      exporter.push([
        samplePoint(Int64(index), timeNs: 1_721_347_021_000_000_000 + Int64(index) * 60_000_000_000)
      ])
      bench.pass(0.05)
    }
    #expect(exporter.exportCount == 0 && exporter.errorCount > 0)
    reserved.release()
    let server = try RealServer.victoriaMetrics(port: reserved.port)
    defer { server.stop() }
    exporter.push([samplePoint(4, timeNs: 1_721_347_261_000_000_000)])
    #expect(bench.wait(60) { exporter.pending == 0 })
    #expect(exporter.exportCount == 4 && exporter.dropped == 0)
    let rows = try stored(server)
    #expect(rows.map(\.values) == [[1, 2, 3, 4]])
    #expect(
      rows.first?.timesMs == [1_721_347_081_000, 1_721_347_141_000, 1_721_347_201_000, 1_721_347_261_000])
  }
}

/// Apart from the others, since Prometheus waits five seconds before its first scrape.
@Suite("Export to a scraped gateway")
struct ScrapedGatewayTests {
  @Test(
    .enabled(
      if: RealServerTests.hasGateway && RealServer.find("prometheus") != nil,
      "prometheus and prometheus-pushgateway are not both installed; see scripts/test-packages.txt"))
  func aPrometheusBehindTheGateway() throws {
    let gateway = try RealServer.pushgateway()
    defer { gateway.stop() }
    let bench = try ExportBench()
    let exporter = bench.exporter(.prometheus, url: gateway.url, timeoutMs: 5000)
    exporter.push([samplePoint(5)])
    #expect(bench.wait { exporter.exportCount == 1 })
    let prometheus = try RealServer.prometheus(
      configuration: """
        scrape_configs:
          - job_name: gateway
            honor_labels: true
            scrape_interval: 200ms
            scrape_timeout: 200ms
            static_configs: [{targets: ["127.0.0.1:\(gateway.port)"]}]
        """)
    defer { prometheus.stop() }
    var found: JSONValue?
    let query = "/api/v1/query?query=weir_signal_rows_total"
    bench.wait(60) {
      let answer = try? JSONValue(parsing: prometheus.request("GET", query).body)
      found = answer?["data"]?["result"]?[0]
      return found != nil
    }
    #expect(found?["metric"]?["run"]?.text == "r1" && found?["metric"]?["job"]?.text == "weir")
    #expect(found?["value"]?[1]?.text == "5")
  }
}
