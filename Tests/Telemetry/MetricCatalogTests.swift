import Telemetry
import Testing

@Suite("Metric catalog") struct MetricCatalogTests {
  @Test("every metric registers under its name, once") func registers() {
    let registry = MetricRegistry()
    for definition in MetricCatalog.all {
      #expect(definition.buckets.isEmpty == (definition.type != .histogram), "\(definition.name)")
      registry.declare(definition)
    }
    #expect(Set(MetricCatalog.all.map(\.name)).count == MetricCatalog.all.count)
  }

  @Test("the fixed names are there")
  func fixedNames() {
    let fixed = """
      binance_ws_latency_seconds task_latency_seconds order_roundtrip_seconds msg_lag_seconds \
      ws_reconnects_total ws_packet_loss_ratio ws_depth_gap_ratio ws_e2e_latency_ms clock_drift_ms_ewma \
      feature_compute_ms feature_nan_rate predict_latency_ms predict_qps_util calibration_ece_pp \
      cost_mape_ratio rolling_pr_auc_7d fpr_pp strategy_mode_info strategy_mode_active \
      strategy_mode_last_change_timestamp strategy_mode_transitions_total \
      strategy_time_in_mode_seconds_total strategy_params_update_duration_ms \
      strategy_params_update_failures_total
      """
    let names = Set(MetricCatalog.all.map(\.name))
    for name in fixed.split(separator: " ") { #expect(names.contains(String(name)), "\(name)") }
  }

  @Test("every list of buckets is accepted")
  func buckets() {
    let registry = MetricRegistry()
    for definition in MetricCatalog.all where definition.type == .histogram {
      _ = registry.histogram(definition.name, definition.help, buckets: definition.buckets)
    }
    #expect(registry.samples().count > 20)
  }

  @Test("a series has its metric's labels") func labels() {
    let registry = MetricRegistry()
    let reconnects = MetricCatalog.webSocketReconnects
    registry.counter(reconnects, labels: ["symbol": "BTCUSDT", "reason": "remote"]).add()
    #expect(registry.samples().first?["reason"] == "remote")
  }
}
