import Core
import Telemetry

extension TimeSeriesExporter {
  /// `weir_export_pushes_total`, `weir_export_errors_total`, `weir_export_consecutive_failures`,
  /// `weir_export_dropped_total`.
  public var samples: [MetricSample] {
    [
      MetricSample("weir_export_pushes_total", [], Double(exportCount)),
      MetricSample("weir_export_errors_total", [], Double(errorCount)),
      MetricSample("weir_export_consecutive_failures", [], Double(consecutiveFailures)),
      MetricSample("weir_export_dropped_total", [], Double(dropped)),
    ]
  }
}

extension AlertDelivery {
  /// `weir_alerts_delivered_total`, `weir_alerts_delivery_errors_total`,
  /// `weir_alerts_delivery_dropped_total`.
  public var samples: [MetricSample] {
    [
      MetricSample("weir_alerts_delivered_total", [], Double(deliveredCount)),
      MetricSample("weir_alerts_delivery_errors_total", [], Double(errorCount)),
      MetricSample("weir_alerts_delivery_dropped_total", [], Double(dropped)),
    ]
  }
}
