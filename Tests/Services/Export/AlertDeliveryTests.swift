import Core
import Net
import Services
import Telemetry
import Testing

@Suite("Alert delivery")
struct AlertDeliveryTests {
  private func notice(_ rule: String, _ level: AlertNotice.Level = .p1) -> AlertNotice {
    AlertNotice(
      rule: rule, level: level, severity: "critical", state: .firing,
      labels: [.init("symbol", "BTCUSDT")], value: 0.5, firedAt: UnixNanos(milliseconds: 1_721_347_021_080),
      detail: "no \"signal\"", runbook: "docs/runbooks/x.md")
  }

  private func delivery(
    _ bench: ExportBench, path: String = "/hook", token: ExportCredentials = .none,
    change: (inout AlertDeliverySettings) -> Void = { _ in }
  ) -> AlertDelivery {
    var settings = AlertDeliverySettings()
    settings.webhookURL = bench.url + path
    settings.timeoutMs = 200
    settings.backoffMsMin = 5
    settings.backoffMsMax = 20
    change(&settings)
    return AlertDelivery(
      on: bench.loop, settings: settings, run: "r1", token: token, seed: 3,
      log: { [unowned bench] in bench.reports.append($0) })
  }

  @Test func notification() throws {
    let bench = try ExportBench()
    let alerts = delivery(bench, token: try .token("hush"))
    var recovered = notice("b")
    recovered.state = .recovered
    recovered.value = nil
    recovered.recoveredAt = UnixNanos(milliseconds: 1_721_347_081_080)
    alerts.deliver([notice("a", .p0), recovered])
    #expect(bench.wait { alerts.deliveredCount == 1 })
    let request = try #require(bench.received.first)
    #expect(request.method == "POST" && request.target == "/hook")
    #expect(request.headers["Authorization"] == "Bearer hush")
    #expect(request.headers["Content-Type"] == "application/json")
    #expect(
      request.body
        == #"{"run_id":"r1","alerts":[{"rule":"a","level":"P0","severity":"critical","state":"firing","#
        + #""labels":{"symbol":"BTCUSDT"},"value":0.5,"fired_at":"2024-07-18T23:57:01.080Z","#
        + #""recovered_at":null,"detail":"no \"signal\"","runbook":"docs/runbooks/x.md"},"#
        + #"{"rule":"b","level":"P1","severity":"critical","state":"recovered","#
        + #""labels":{"symbol":"BTCUSDT"},"value":null,"fired_at":"2024-07-18T23:57:01.080Z","#
        + #""recovered_at":"2024-07-18T23:58:01.080Z","detail":"no \"signal\"","#
        + #""runbook":"docs/runbooks/x.md"}]}"#)
    #expect(
      bench.reports.first
        == #"alert firing P0 critical a{symbol="BTCUSDT"} value 0.5: no "signal"; see docs/runbooks/x.md"#)
    #expect(bench.reports.count == 2)
  }

  @Test func aRepeatCarriesTheSameKey() throws {
    let bench = try ExportBench()
    bench.faults = [.hang, .answer(500, ""), .reset]
    let alerts = delivery(bench)
    alerts.deliver([notice("a")])
    alerts.deliver([notice("b")])
    #expect(bench.wait { alerts.deliveredCount == 2 })
    let keys = bench.received.compactMap { $0.headers["Idempotency-Key"] }
    try #require(keys.count == 5)
    #expect(Set(keys.prefix(4)).count == 1 && keys[4] != keys[0])
    #expect(alerts.errorCount == 3 && alerts.dropped == 0)
    #expect(bench.received.last?.body.contains(#""rule":"b""#) == true)
  }

  @Test func attemptsAreBounded() throws {
    let bench = try ExportBench()
    bench.faults = [.answer(503, ""), .answer(503, ""), .answer(503, ""), .answer(404, "gone")]
    let alerts = delivery(bench) { $0.attemptsMax = 3 }
    for rule in ["a", "b", "c"] { alerts.deliver([notice(rule)]) }
    #expect(bench.wait { alerts.deliveredCount == 1 })
    #expect(bench.received.count == 5 && bench.received.last?.body.contains(#""rule":"c""#) == true)
    #expect(alerts.errorCount == 4 && alerts.dropped == 2 && alerts.pending == 0)
  }

  @Test func whatIsUrgentGoesLast() throws {
    let bench = try ExportBench()
    bench.faults = [.hang]
    let alerts = delivery(bench) { $0.timeoutMs = 2000 }
    alerts.deliver([notice("first", .p0)])
    #expect(bench.wait { bench.received.count == 1 })
    let count = AlertDelivery.notificationsMax
    for index in 0..<count { alerts.deliver([notice("w\(index)", index % 4 == 0 ? .p2 : .p0)]) }
    #expect(alerts.dropped == 0 && alerts.pending == count + 1)
    for index in 0..<70 { alerts.deliver([notice("n\(index)", .p0)]) }
    // 64 of P2 made room; then the oldest P0 went. The one under way found no room to come back to.
    #expect(alerts.dropped == 70)
    alerts.deliver([notice("late", .p2)])
    #expect(alerts.dropped == 71)
    #expect(bench.wait(60) { alerts.pending == 0 })
    let bodies = bench.received.dropFirst().map(\.body)
    #expect(bodies.count == count && alerts.dropped == 72)
    #expect(!bodies.contains { $0.contains(#""level":"P2""#) })
    #expect(bodies.last?.contains(#""rule":"n69""#) == true)
  }

  @Test func theAddressIsASecret() throws {
    let bench = try ExportBench()
    bench.faults = [.answer(403, "/services/hush is unknown"), .hang]
    let alerts = delivery(bench, path: "/services/hush", token: try .token("quiet")) { $0.attemptsMax = 1 }
    alerts.deliver([notice("a")])
    #expect(bench.wait { alerts.errorCount == 1 })
    #expect(alerts.lastError == "the server answered 403: /*** is unknown")
    alerts.deliver([notice("a")])
    #expect(bench.wait { alerts.errorCount == 2 })
    #expect(alerts.lastError == "POST \(bench.url)/*** took too long")
    #expect(!bench.reports.joined().contains("hush"))
  }

  @Test func withoutAWebhookThereIsTheLog() throws {
    let bench = try ExportBench()
    let alerts = delivery(bench) { $0.webhookURL = nil }
    alerts.deliver([])
    alerts.deliver([notice("a")])
    var isDone = false
    alerts.finish { isDone = true }
    #expect(bench.wait { isDone })
    #expect(bench.reports.count == 1 && bench.received.isEmpty && alerts.dropped == 0)
  }

  @Test func finishAndMetrics() throws {
    let bench = try ExportBench()
    let alerts = delivery(bench)
    let registry = MetricRegistry()
    alerts.register(in: registry)
    for rule in ["a", "b"] { alerts.deliver([notice(rule)]) }
    var isDone = false
    alerts.finish { isDone = true }
    #expect(bench.wait { isDone })
    var text = ByteWriter()
    registry.write(into: &text)
    for line in [
      "weir_alerts_delivered_total 2", "weir_alerts_delivery_errors_total 0",
      "weir_alerts_delivery_dropped_total 0",
    ] {
      #expect(text.string().contains(line + "\n"))
    }
  }
}
