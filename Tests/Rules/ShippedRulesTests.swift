import Core
import Rules
import Testing

/// Every rule of `config/alerts.yaml`: a named cause fires it after its `for`, and it recovers.
@Suite("Shipped rules")
struct ShippedRulesTests {
  static let names = (try? shippedRules().alerts.map(\.name)) ?? []

  /// What operations.md requires.
  static let required = [
    "signal_total_zero", "low_consistency_share", "strong_ratio_collapse", "export_failing", "queue_dropped",
    "ws_packet_loss", "ws_depth_gap", "ws_end_to_end_slow", "clock_drift", "feature_compute_slow",
    "feature_nan", "predict_slow", "predict_saturated", "calibration_off", "cost_model_off", "pr_auc_drop",
    "false_positives_up", "binance_ws_latency_high", "mode_switches_frequent", "stuck_in_quiet",
    "parameter_update_slow", "process_cpu_high", "memory_high", "disk_low", "WS_HEARTBEAT_MISSED",
    "ASYNC_TASK_OVERRUN", "service_down", "service_unhealthy",
  ]

  @Test func everyRequiredRuleIsThere() throws {
    let rules = try shippedRules()
    for name in Self.required { #expect(rules.alerts.contains { $0.name == name }, "\(name)") }
    #expect(rules.intervalNs == 5 * Nanoseconds.second)
    #expect(rules.stormCountMax == 5)
    #expect(rules.stormWindowNs == 600 * Nanoseconds.second)
    for rule in rules.alerts {
      let anchor = "docs/runbooks/alerts.md#" + rule.name.split(separator: "_").joined(separator: "-")
      #expect([anchor, "docs/runbooks/\(rule.name).md"].contains(rule.runbook))
    }
  }

  @Test(arguments: names)
  func firesForItsCauseAfterItsDurationAndRecovers(_ name: String) throws {
    let rule = try #require(try shippedRules().alerts.first { $0.name == name })
    let proof = try #require(rule.proof)
    let result = try proof.run(rule)
    let held = (result.firedMs - result.holdsMs) * Nanoseconds.millisecond
    // Judged once a minute, so it fires at the first evaluation at or after `for`.
    #expect(held >= rule.condition.forNs)
    #expect(held < rule.condition.forNs + RuleProof.evaluationMs * Nanoseconds.millisecond)
    #expect(result.recoveredMs > result.firedMs)
    // Where a second series stays well, one alert fires and the other doesn't.
    #expect(result.labels.count == 1)
  }

  /// The share of low consistency stays a share, whatever the two counters' extrapolation does.
  @Test func lowConsistencyShareNeverExceedsOne() throws {
    let rules = try shippedRules()
    let rule = try #require(rules.alerts.first { $0.name == "low_consistency_share" })
    var random = SeededRandom(seed: 11)
    var highest = 0.0
    var store = MetricStore(for: rules)
    var rows = 0
    for second in stride(from: 0, to: 3600, by: 5) {
      let more = random.below(40)
      rows += more
      let time = seconds(second)
      store.append("weir_signal_rows_total", .empty, Double(rows), at: time)
      let reason = LabelSet([.init("reason", "low_consistency")])
      // The gated counter appears late and misses scrapes, so its extrapolation runs ahead.
      if second > 200, random.bernoulli(0.7) {
        store.append("weir_signal_rows_gated_total", reason, Double(rows), at: time)
      }
      for element in try rule.condition.expression.evaluate(in: store, at: time).elements {
        highest = max(highest, element.value)
        #expect(element.value <= 1)
      }
    }
    #expect(highest == 1)
  }

  @Test(.enabled(if: Promtool.isThere, "\(Promtool.missing)"))
  func promtoolAgreesOnRulesAndProofs() throws {
    let rules = try shippedRules()
    let folder = try TemporaryFolder()
    try Files.writeAtomically("\(folder.path)/weir.rules.yaml", rules.prometheusRules())
    let check = Promtool.run("check rules \(folder.path)/weir.rules.yaml")
    #expect(check.status == 0, "\(check.output)")
    #expect(check.output.contains("SUCCESS: \(rules.alerts.count) rules found"), "\(check.output)")
    // Rule by rule: promtool would judge all rules over every proof, and one proof lasts a day.
    var files = ""
    for rule in rules.alerts {
      var single = rules
      single.alerts = [rule]
      let name = "\(folder.path)/\(rule.name)"
      try Files.writeAtomically("\(name).rules.yaml", single.prometheusRules())
      try Files.writeAtomically(
        "\(name).tests.yaml", single.prometheusTests(rulesPath: "\(rule.name).rules.yaml"))
      files += " \(name).tests.yaml"
    }
    let test = Promtool.run("test rules\(files)")
    #expect(test.status == 0, "\(test.output.prefix(4000))")
    #expect(test.output.split(separator: "SUCCESS").count == rules.alerts.count + 1)
  }
}
