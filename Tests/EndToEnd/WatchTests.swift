import Core
import Foundation
import ProcessKit
import Rules
import Telemetry
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil
private let hasPrometheus = RealServer.find("prometheus") != nil

/// A run that watches itself, seen from outside: its metrics, its alerts, what they do, and what others make of them.
@Suite("Watch", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct WatchTests {
  private static let repositoryRoot = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
  private static let rulesPath = repositoryRoot + "/config/alerts.yaml"

  private func start(_ scratch: Scratch, _ words: [String] = []) throws -> SupervisedRun {
    try SupervisedRun(
      folder: scratch.path + "/run",
      allServices + ["--sink", "dual", "--rate", "400", "--set", "run.rules=" + WatchTests.rulesPath]
        + shortRunSettings + words)
  }

  private func metrics(_ ports: [String: UInt16]) throws -> ExportedMetrics {
    var metrics = ExportedMetrics()
    for (name, port) in ports {
      let answer = try Loopback.request(port: port, "GET", "/metrics")
      #expect(answer.status == 200, "\(name)")
      let exposition = try Array(answer.body.utf8).withUnsafeBytes { try Exposition(parsing: $0) }
      #expect(!exposition.samples.isEmpty, "\(name)")
      metrics.add(exposition)
    }
    return metrics
  }

  /// One alert in the form of the rule file.
  private func rule(
    _ name: String, _ expression: String, _ comparison: String, _ threshold: Double,
    for duration: String = "0s",
    action: String = "none"
  ) -> String {
    """
      - name: \(name)
        expression: '\(expression)'
        comparison: "\(comparison)"
        threshold: \(threshold)
        for: \(duration)
        level: P1
        severity: warning
        action: \(action)
        runbook: docs/runbooks/alerts.md#\(name)
        summary: something is wrong

    """
  }

  @Test func everyMetricThatARuleNamesIsExported() throws {
    let scratch = Scratch()
    // Its metrics have samples once there is an export; that nobody answers there stops nothing.
    let nobody = try ReservedPort()
    let run = try start(
      scratch,
      [
        "--set", "export.type=prometheus", "--set", "export.url=http://127.0.0.1:\(nobody.port)", "--set",
        "export.interval_s=1",
      ])
    let ports = try #require(run.waitForMetrics(), "\(run.process.errorText.suffix(2000))")
    let rules = try RuleSet(loading: WatchTests.rulesPath)
    var exported = ExportedMetrics()
    // Some begin with the first frames, rows and beats.
    run.wait(60) {
      exported = (try? metrics(ports)) ?? exported
      return exported.problems(of: rules).isEmpty
    }
    let problems = exported.problems(of: rules)
    #expect(problems.isEmpty, "\(problems.joined(separator: "\n"))")
    // The exceptions are no more than they must be.
    for name in ExportedMetrics.withoutSamples {
      #expect(exported.families[name] != nil, "\(name) is announced")
      #expect(
        exported.labelSets[name] == nil && exported.labelSets[name + "_bucket"] == nil, "\(name) has samples")
    }

    // The same check finds what it is there to find.
    let bad: [(expression: String, problem: String)] = [
      ("ws_packet_loss_ration", "nobody exports ws_packet_loss_ration"),
      ("sum(rate(weir_signal_rows[1m]))", "nobody exports weir_signal_rows"),
      (#"binance_ws_latency_seconds{quantile="0.95"}"#, "nobody exports binance_ws_latency_seconds"),
      (
        #"binance_ws_latency_seconds_bucket{quantile="0.95"}"#,
        "binance_ws_latency_seconds_bucket has no label quantile"
      ),
      ("sum by (venue) (ws_depth_gap_ratio)", "ws_depth_gap_ratio has no label venue"),
      (
        "histogram_quantile(0.9, sum by (le) (rate(weir_signal_rows_total[1m])))",
        "weir_signal_rows_total has no label le"
      ),
      (
        #"weir_signal_rows_gated_total{reason="low_consistence"}"#,
        "no sample of weir_signal_rows_gated_total has the values that are asked for"
      ),
      (#"predict_latency_ms{quantile="0.95"}"#, "nobody exports predict_latency_ms"),
    ]
    for (index, one) in bad.enumerated() {
      let text = "alerts:\n" + rule("bad_\(index)", one.expression, ">", 0)
      let found = exported.problems(of: try RuleSet(parsing: text, path: "bad.yaml"))
      #expect(found == ["bad_\(index): \(one.problem)"])
    }
    let (code, _) = try run.process.stop()
    #expect(code <= 1, "\(run.process.errorText.suffix(2000))")
  }

  @Test(.enabled(if: hasPrometheus, "prometheus is not installed: scripts/peers.sh installs it"))
  func prometheusScrapesTheRunAndFires() throws {
    let scratch = Scratch()
    let receiver = try WebhookReceiver()
    defer { receiver.stop() }
    let run = try start(
      scratch,
      ["--set", "run.restarts_max=0", "--set", "alerts.webhook_url=http://127.0.0.1:\(receiver.port)/alerts"])
    let ports = try #require(run.waitForMetrics(), "\(run.process.errorText.suffix(2000))")

    let exported = try weir(
      "alerts", "export", "--rules", WatchTests.rulesPath, "--out", scratch.path + "/prometheus")
    #expect(exported.code == 0, "\(exported.error)")
    let rules = String(decoding: try Files.read(scratch.path + "/prometheus/weir.rules.yaml"), as: UTF8.self)
    var configuration = """
      global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
      rule_files: [weir.rules.yaml]
      scrape_configs:

      """
    for (name, port) in ports.sorted(by: { $0.key < $1.key }) {
      configuration += "  - {job_name: \(name), static_configs: [{targets: ['127.0.0.1:\(port)']}]}\n"
    }
    let prometheus = try RealServer.prometheus(
      configuration: configuration, files: ["weir.rules.yaml": rules])
    defer { prometheus.stop() }
    func ask(_ path: String) -> JSONValue {
      let body = (try? prometheus.request("GET", path))?.body ?? ""
      return (try? JSONValue(parsing: body))?["data"] ?? .null
    }
    func health() -> [String: String] {
      var health: [String: String] = [:]
      for target in ask("/api/v1/targets")["activeTargets"]?.elements ?? [] {
        health[target["labels"]?["job"]?.text ?? "?"] = target["health"]?.text
      }
      return health
    }
    #expect(
      run.wait(60) { health() == ports.mapValues { _ in "up" } } != nil,
      "\(health()) \(prometheus.log.suffix(800))")
    func firing() -> [String] {
      (ask("/api/v1/alerts")["alerts"]?.elements ?? []).filter { $0["state"]?.text == "firing" }.map {
        "\($0["labels"]?["alertname"]?.text ?? "?") \($0["labels"]?["process"]?.text ?? "")"
      }
    }
    #expect(!firing().contains { $0.hasPrefix("service_") }, "\(firing())")

    kill(try #require(run.pid(of: "broker")), SIGKILL)
    func ours() -> JSONValue? {
      (run.ask("status")["result"]?["alerts"]?.elements ?? []).first {
        $0["rule"]?.text == "service_unhealthy"
      }
    }
    func delivered() -> JSONValue? { receiver.alerts.first { $0["rule"]?.text == "service_unhealthy" } }
    #expect(run.wait(60) { ours() != nil && delivered() != nil } != nil, "\(receiver.alerts)")
    #expect(run.wait(60) { firing().contains("service_unhealthy broker") } != nil, "\(firing())")

    let (code, _) = try run.process.stop()
    #expect(code == 1)
    let alert = try #require(
      run.manifest["alerts"]?.elements?.first { $0["rule"]?.text == "service_unhealthy" })
    #expect(alert["fired_at"]?.text?.hasSuffix("Z") == true)
    #expect(alert["labels"]?["process"]?.text == "broker")
    #expect(alert["level"]?.text == "P0" && alert["severity"]?.text == "critical")
    let notice = try #require(delivered())
    #expect(notice["state"]?.text == "firing" && notice["level"]?.text == "P0")
    #expect(notice["fired_at"] == alert["fired_at"])
    #expect(notice["labels"]?["process"]?.text == "broker")
    #expect(notice["runbook"]?.text == "docs/runbooks/alerts.md#service-unhealthy")
    #expect(run.leftovers() == [])
  }

  /// Eight seconds without websockets: alerts act, the ladder falls back to REST, and all of it comes back.
  @Test func aLostFeedIsBridgedByRESTAndComesBack() throws {
    let scratch = Scratch()
    let open = "sum(weir_harvest_connections_open)"
    let lost = rule("connections_lost", open, "==", 0, for: "1s", action: "restart_ws")
    // By then the books are there again, for it is they that are made anew.
    let reconnected = rule(
      "reconnected", "increase(weir_harvest_reconnects_total[8s])", ">", 0, for: "3s",
      action: "rebuild_snapshot")
    let rules = scratch.file(
      "rules.yaml",
      """
      interval_s: 1
      suppress_s: 1
      storm: {count: 50, window_s: 600}
      alerts:
      \(lost)
      \(reconnected)
      degrade:
        - name: websocket_down
          expression: \(open)
          comparison: "=="
          threshold: 0
          for: 2s
          recover_for: 2s
          effects: [rest_fallback]
          summary: no websocket is open

      """)
    let faults = scratch.file(
      "faults.json",
      """
      [{"at_ms":5000,"fault":"refuse_connections","duration_ms":8000},
       {"at_ms":5000,"fault":"cut","sessions":"all","manner":"abort"}]
      """)
    let run = try start(scratch, ["--faults", faults, "--set", "run.rules=" + rules])
    func degradations() -> [String] {
      (run.manifest["degradations"]?.elements ?? []).map {
        "\($0["event"]?.text ?? "") \($0["step"]?.text ?? "") \($0["effect"]?.text ?? "")"
      }
    }
    func effects() -> [String] {
      (run.ask("status")["result"]?["effects"]?.elements ?? []).compactMap(\.text)
    }
    let port = try #require(run.waitForMetrics()?["harvest"], "\(run.process.errorText.suffix(2000))")
    func value(_ name: String) -> Double {
      let body = (try? Loopback.request(port: port, "GET", "/metrics"))?.body ?? ""
      let line = body.split(separator: "\n").first { $0.hasPrefix(name + " ") }
      return line.flatMap { Double($0.dropFirst(name.count + 1)) } ?? -1
    }
    #expect(run.wait(60) { effects() == ["rest_fallback"] } != nil, "the ladder did not fall")
    #expect(
      run.wait(60) {
        value("weir_harvest_books_polled_total") > 0 && value("weir_harvest_trades_polled_total") > 0
          && value("weir_harvest_connections_open") == 0
      } != nil, "nothing was asked for by REST while no websocket was open")
    #expect(value("weir_harvest_rest_fallback") == 1)
    #expect(run.wait(60) { effects().isEmpty && value("weir_harvest_connections_open") == 2 } != nil)
    func hasRecovered(_ rule: String) -> Bool {
      (run.ask("status")["result"]?["alerts"]?.elements ?? []).contains {
        $0["rule"]?.text == rule && $0["recovered_at"]?.text != nil
      }
    }
    #expect(run.wait(60) { hasRecovered("reconnected") } != nil)
    let (code, _) = try run.process.stop()
    #expect(code <= 1, "\(run.process.errorText.suffix(2000))")

    #expect(
      degradations() == [
        "degrade_entered websocket_down rest_fallback", "degrade_returned websocket_down rest_fallback",
      ])
    let alerts = run.manifest["alerts"]?.elements ?? []
    for (name, action) in [("connections_lost", "restart_ws"), ("reconnected", "rebuild_snapshot")] {
      let alert = try #require(alerts.first { $0["rule"]?.text == name }, "\(name)")
      #expect(alert["action"]?.text == action)
      let (fired, recovered) = (alert["fired_at"]?.text ?? "", alert["recovered_at"]?.text ?? "")
      #expect(!fired.isEmpty && fired < recovered, "\(name) \(fired) \(recovered)")
    }
    // What the actions and the ladder did is on the tape.
    let notes = try run.tapeNotes().compactMap { $0["data"] }
    #expect(notes.compactMap { $0["rest_fallback"]?.boolean } == [true, false])
    #expect(notes.contains { $0["restart"]?.text == "connections" })
    #expect(notes.contains { $0["book_polled"]?.boolean == true })
    #expect(notes.contains { $0["trades_polled"]?.boolean == true })
    #expect(notes.contains { $0["rebuild"]?.boolean == true })
    let harvester = run.manifest["harvester_metrics"]
    for key in ["lost", "queue_dropped"] { #expect(harvester?[key]?.integer == 0, "\(key)") }
    #expect((harvester?["backfilled"]?.integer ?? 0) > 0)
    #expect(run.manifest["unread_records"]?.integer == 0)
    // A feed that was away is no green health; everything else held.
    let broken = (run.manifest["conditions"]?.elements ?? []).filter { $0["holds"]?.boolean != true }
    #expect(broken.allSatisfy { $0["name"]?.text == "health_green_share" }, "\(broken.map { $0.text() })")
    #expect(run.json("parity_diff.json")["exact"]?.boolean == true)
    #expect(try weir("tape", "verify", run.folder + "/tape").code == 0)
    #expect(run.leftovers() == [])
  }
}
