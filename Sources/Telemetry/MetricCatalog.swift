/// The metrics whose names are part of the contract with alert rules and dashboards, spelt once.
///
/// Every other name is `weir_<stage>_<noun>_<unit>[_total]` and belongs to the stage that exports it.
public enum MetricCatalog {
  public static let binanceWebSocketLatency = MetricDefinition(
    "binance_ws_latency_seconds", .histogram, "Exchange time to receive time, clock offset removed.",
    buckets: MetricBuckets.latencySeconds)
  public static let taskLatency = MetricDefinition(
    "task_latency_seconds", .histogram, "Time a periodic task took.", labels: ["task_type"],
    buckets: MetricBuckets.taskSeconds)
  public static let orderRoundtrip = MetricDefinition(
    "order_roundtrip_seconds", .histogram, "Order sent to the exchange's answer.",
    buckets: MetricBuckets.latencySeconds)
  public static let messageLag = MetricDefinition(
    "msg_lag_seconds", .gauge, "Latency of a symbol's newest message.", labels: ["symbol"])
  public static let webSocketReconnects = MetricDefinition(
    "ws_reconnects_total", .counter, "Reconnects of connections that carry the symbol.",
    labels: ["symbol", "reason"])
  public static let webSocketPacketLoss = MetricDefinition(
    "ws_packet_loss_ratio", .gauge, "Trades missed at first over a minute, of all.")
  public static let webSocketDepthGap = MetricDefinition(
    "ws_depth_gap_ratio", .gauge, "Holes in the depth chain over a minute, of all events.")
  public static let webSocketEndToEndLatency = MetricDefinition(
    "ws_e2e_latency_ms", .gauge, "Latency's quantile over the last one to two minutes.", labels: ["quantile"])
  public static let clockDrift = MetricDefinition(
    "clock_drift_ms_ewma", .gauge, "Movement of the clock's offset, smoothed.")
  public static let featureCompute = MetricDefinition(
    "feature_compute_ms", .histogram, "Time to compute a feature.", labels: ["name"],
    buckets: MetricBuckets.milliseconds)
  public static let featureNotANumber = MetricDefinition(
    "feature_nan_rate", .gauge, "Share of a feature's values that could not be computed.", labels: ["name"])
  public static let predictLatency = MetricDefinition(
    "predict_latency_ms", .histogram, "Request to answer of the prediction service.",
    buckets: MetricBuckets.milliseconds)
  public static let predictUtilization = MetricDefinition(
    "predict_qps_util", .gauge, "Predictions a second, of what the service can do.")
  public static let calibrationError = MetricDefinition(
    "calibration_ece_pp", .gauge, "Expected calibration error in percentage points.")
  public static let costError = MetricDefinition(
    "cost_mape_ratio", .gauge, "Mean absolute error of the cost model, of the cost.")
  public static let rollingPrecisionRecall = MetricDefinition(
    "rolling_pr_auc_7d", .gauge, "Area under the precision-recall curve over seven days.")
  public static let falsePositiveRate = MetricDefinition(
    "fpr_pp", .gauge, "False positive rate in percentage points.")

  public static let strategyModeInfo = MetricDefinition(
    "strategy_mode_info", .gauge, "1 for the mode in force, 0 for the others.", labels: ["mode"])
  public static let strategyModeActive = MetricDefinition(
    "strategy_mode_active", .gauge, "1 while the mode is active, 0 while it is quiet.")
  public static let strategyModeLastChange = MetricDefinition(
    "strategy_mode_last_change_timestamp", .gauge, "Unix time of the last change of mode, in seconds.")
  public static let strategyModeTransitions = MetricDefinition(
    "strategy_mode_transitions_total", .counter, "Changes of mode.", labels: ["from", "to", "reason"])
  public static let strategyTimeInMode = MetricDefinition(
    "strategy_time_in_mode_seconds_total", .counter, "Time spent in the mode.", labels: ["mode"])
  public static let strategyTriggerSchedule = MetricDefinition(
    "strategy_trigger_schedule_active", .gauge, "1 while the schedule asks for the active mode.")
  public static let strategyTriggerMarket = MetricDefinition(
    "strategy_trigger_market_active", .gauge, "1 while the market asks for the active mode.")
  public static let strategyTriggerTrades = MetricDefinition(
    "strategy_trigger_trades_per_min", .gauge, "Trades a minute, as the market trigger sees them.")
  public static let strategyTriggerQuotes = MetricDefinition(
    "strategy_trigger_quote_updates_per_sec", .gauge,
    "Quote updates a second, as the market trigger sees them.")
  public static let strategyTriggerSpread = MetricDefinition(
    "strategy_trigger_spread_bps", .gauge, "Spread, as the market trigger sees it.")
  public static let strategyTriggerVolatility = MetricDefinition(
    "strategy_trigger_volatility_bps", .gauge, "Realised volatility, as the market trigger sees it.")
  public static let strategyTriggerVolume = MetricDefinition(
    "strategy_trigger_volume_usd", .gauge, "Volume over 60 s, as the market trigger sees it.")
  public static let strategyParametersUpdate = MetricDefinition(
    "strategy_params_update_duration_ms", .histogram, "Time to switch all modules to a mode's parameters.",
    buckets: MetricBuckets.milliseconds)
  public static let strategyParametersUpdateFailures = MetricDefinition(
    "strategy_params_update_failures_total", .counter, "Switches of parameters that a module refused.",
    labels: ["module"])

  public static let seriesDropped = MetricDefinition(
    "weir_telemetry_series_dropped_total", .counter,
    "Requests for a series beyond the bound of the metric's label sets.", labels: ["metric"])

  /// All of them, in the order above.
  public static let all: [MetricDefinition] = [
    binanceWebSocketLatency, taskLatency, orderRoundtrip, messageLag, webSocketReconnects,
    webSocketPacketLoss,
    webSocketDepthGap, webSocketEndToEndLatency, clockDrift, featureCompute, featureNotANumber,
    predictLatency,
    predictUtilization, calibrationError, costError, rollingPrecisionRecall, falsePositiveRate,
    strategyModeInfo, strategyModeActive, strategyModeLastChange, strategyModeTransitions, strategyTimeInMode,
    strategyTriggerSchedule, strategyTriggerMarket, strategyTriggerTrades, strategyTriggerQuotes,
    strategyTriggerSpread, strategyTriggerVolatility, strategyTriggerVolume, strategyParametersUpdate,
    strategyParametersUpdateFailures, seriesDropped,
  ]
}
