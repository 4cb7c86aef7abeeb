import Core

/// The series of an export, made from ``RunCounters``.
///
/// | metric | labels |
/// |---|---|
/// | `weir_signal_rows_total`, `_confirmed_total`, `_strong_total`, `_strong_ratio`, `_rows_per_minute` | |
/// | `weir_signal_gated_total` | `reason` |
/// | `weir_signal_symbol_rows_total`, `_confirmed_total`, `_strong_total`, `_strong_ratio` | `symbol` |
/// | `weir_harvest_latency_ms` | `quantile` |
/// | `weir_harvest_gaps_total`, `_resyncs_total`, `_lost_total`, `_reconnects_total` | |
/// | `weir_harvest_queue_dropped_total` | |
/// | `weir_harvest_symbol_gaps_total`, `_resyncs_total`, `_lost_total` | `symbol` |
///
/// A ratio or quantile that doesn't exist yet is left out; it is never 0.
public struct ExportSeries: Sendable {
  /// The run's id and the host; both become tags, or the Pushgateway's grouping key.
  public let run: String
  public let instance: String

  public init(run: String, instance: String) {
    self.run = run
    self.instance = instance
  }

  /// The label pairs every series has.
  public var identity: [ExportPoint.Label] { [.init("run", run), .init("instance", instance)] }

  /// Points in a fixed order: reasons and symbols are sorted.
  public func points(_ counters: RunCounters, timeNs: Int64) -> [ExportPoint] {
    var points: [ExportPoint] = []
    func add(_ measurement: String, _ label: ExportPoint.Label?, _ fields: [ExportPoint.Field]) {
      guard !fields.isEmpty else { return }
      let tags = identity + (label.map { [$0] } ?? [])
      points.append(ExportPoint(measurement, tags: tags, fields: fields, timeNs: timeNs))
    }
    add(
      "weir_signal", nil,
      signal(counters.rows, counters.confirmed, counters.strong) + [
        .init("rows_per_minute", .integer(counters.rowsLastMinute))
      ])
    for (reason, count) in counters.gatedByReason.sorted(by: { $0.key < $1.key }) {
      add("weir_signal", .init("reason", reason), [.init("gated_total", .integer(count))])
    }
    let quantiles = [
      ("0.5", counters.latency.p50Ms), ("0.95", counters.latency.p95Ms), ("0.99", counters.latency.p99Ms),
    ]
    for (quantile, value) in quantiles {
      add("weir_harvest", .init("quantile", quantile), number("latency_ms", value))
    }
    add(
      "weir_harvest", nil,
      [
        .init("gaps_total", .integer(counters.gaps)), .init("resyncs_total", .integer(counters.resyncs)),
        .init("queue_dropped_total", .integer(counters.queueDropped)),
        .init("lost_total", .integer(counters.lost)),
        .init("reconnects_total", .integer(counters.reconnects)),
      ])
    for (symbol, counts) in counters.bySymbol.sorted(by: { $0.key < $1.key }) {
      let label = ExportPoint.Label("symbol", symbol)
      add("weir_signal_symbol", label, signal(counts.rows, counts.confirmed, counts.strong))
      add(
        "weir_harvest_symbol", label,
        [
          .init("gaps_total", .integer(counts.gaps)), .init("resyncs_total", .integer(counts.resyncs)),
          .init("lost_total", .integer(counts.lost)),
        ])
    }
    return points
  }

  private func signal(_ rows: Int64, _ confirmed: Int64, _ strong: Int64) -> [ExportPoint.Field] {
    [
      .init("rows_total", .integer(rows)), .init("confirmed_total", .integer(confirmed)),
      .init("strong_total", .integer(strong)),
    ] + number("strong_ratio", RunCounters.ratio(strong, confirmed))
  }

  private func number(_ name: String, _ value: Double?) -> [ExportPoint.Field] {
    guard let value, value.isFinite else { return [] }
    return [.init(name, .double(value))]
  }
}
