import Core
import Flow
import Strategy
import Telemetry

/// The shadow channels' numbers for `/metrics`; switched off, only `weir_shadow_paused` is there.
struct ShadowMetrics {
  private struct Symbol {
    var rows: [Counter]
    var agreement: [Gauge]
    var mean: [Gauge]
    var median: [Gauge]
    var above2: [Gauge]
    var above3: [Gauge]
    var activity: [Gauge]
    var divergenceRate: Gauge
    var gates: [Gauge]
  }

  private static let series = ["z_cvd", "score", "fusion"]

  private let registry: MetricRegistry
  private let paused: Gauge
  private var symbols: [Symbol] = []

  init(_ registry: MetricRegistry) {
    self.registry = registry
    paused = registry.gauge("weir_shadow_paused", "1 while an operator holds shadow signals back.")
  }

  /// Copies what the channels count.
  mutating func refresh(_ pipeline: borrowing SignalPipeline) {
    paused.set(pipeline.control.shadowIsPaused ? 1 : 0)
    for index in 0..<pipeline.states.count {
      guard let findings = pipeline.shadowFindings(index) else { return }
      if index == symbols.count { symbols.append(newSymbol(pipeline.symbols.names[index])) }
      let statistics = findings.statistics
      for channel in ShadowChannel.allCases {
        symbols[index].rows[channel.rawValue].set(total: Double(statistics[channel].onsets))
        symbols[index].agreement[channel.rawValue].set(statistics.agreement(channel) ?? .nan)
      }
      for (place, values) in [statistics.zCVD, statistics.score, statistics.fusion].enumerated() {
        symbols[index].mean[place].set(values.moments.count == 0 ? .nan : values.moments.mean)
        symbols[index].median[place].set(values.median ?? .nan)
        symbols[index].above2[place].set(values.share(values.above2) ?? .nan)
        symbols[index].above3[place].set(values.share(values.above3) ?? .nan)
      }
      symbols[index].activity[0].set(statistics.scoreActivity.correlation ?? .nan)
      symbols[index].activity[1].set(statistics.fusionActivity.correlation ?? .nan)
      symbols[index].divergenceRate.set(statistics.divergenceRate ?? .nan)
      for (gauge, gate) in zip(symbols[index].gates, findings.gates) {
        gauge.set(gate.verdict == .meets ? 1 : gate.verdict == .misses ? -1 : 0)
      }
    }
  }

  private func newSymbol(_ name: String) -> Symbol {
    func gauges(_ metric: String, _ help: String, _ label: String, _ values: [String]) -> [Gauge] {
      values.map { value in
        registry.gauge(metric, help, labels: ["symbol": name, label: value])
      }
    }
    func ofSeries(_ metric: String, _ help: String) -> [Gauge] {
      gauges(metric, help, "series", ShadowMetrics.series)
    }
    let channels = ShadowChannel.allCases.map { "\($0.name)" }
    return Symbol(
      rows: channels.map { channel in
        registry.counter(
          "weir_shadow_rows_total", "Shadow rows since the beginning of the tape.",
          labels: ["symbol": name, "channel": channel])
      },
      agreement: gauges(
        "weir_shadow_agreement_ratio", "Confirmed signals whose direction the channel shared, of all.",
        "channel", channels),
      mean: ofSeries("weir_shadow_z_mean", "Mean of a standardised value, one sample a second."),
      median: ofSeries("weir_shadow_z_median_abs", "Median of a standardised value's magnitude."),
      above2: ofSeries("weir_shadow_z_above_2_ratio", "Share of a standardised value's samples beyond 2."),
      above3: ofSeries("weir_shadow_z_above_3_ratio", "Share of a standardised value's samples beyond 3."),
      activity: gauges(
        "weir_shadow_activity_correlation",
        "Correlation of a score's magnitude with ln(1 + trades and quote updates a second).", "series",
        ["score", "fusion"]),
      divergenceRate: registry.gauge(
        "weir_shadow_divergence_ratio", "Divergences, of the samples in which one could have been found.",
        labels: ["symbol": name]),
      gates: gauges(
        "weir_shadow_gate_verdict", "1 where a gate is met, -1 where it is missed, 0 while that is open.",
        "gate", ShadowFindings.gateNames))
  }
}
