import Telemetry

extension TimeSeriesExporter {
  /// Shows the export's state among a service's metrics.
  public func register(in registry: MetricRegistry) {
    let pushes = registry.counter("weir_export_pushes_total", "Batches the time-series server took.")
    let errors = registry.counter("weir_export_errors_total", "Requests that failed or were refused.")
    let failures = registry.gauge(
      "weir_export_consecutive_failures", "Failed requests since the last one that succeeded.")
    let dropped = registry.counter("weir_export_dropped_total", "Batches that will never be delivered.")
    registry.onCollect { [weak self] in
      guard let self else { return }
      pushes.set(total: Double(exportCount))
      errors.set(total: Double(errorCount))
      failures.set(Double(consecutiveFailures))
      dropped.set(total: Double(self.dropped))
    }
  }
}

extension AlertDelivery {
  /// Shows the delivery's state among a service's metrics.
  public func register(in registry: MetricRegistry) {
    let delivered = registry.counter(
      "weir_alerts_delivered_total", "Notifications the alerts' receiver took.")
    let errors = registry.counter(
      "weir_alerts_delivery_errors_total", "Requests that failed or were refused.")
    let dropped = registry.counter(
      "weir_alerts_delivery_dropped_total", "Notifications that will never be delivered.")
    registry.onCollect { [weak self] in
      guard let self else { return }
      delivered.set(total: Double(deliveredCount))
      errors.set(total: Double(errorCount))
      dropped.set(total: Double(self.dropped))
    }
  }
}
