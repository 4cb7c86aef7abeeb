import Broker
import Core
import Telemetry

/// What the broker tells of itself.
final class BrokerMetrics {
  let registry = MetricRegistry()
  private let roundtrip: Histogram
  private let signalsRead: Counter
  private let bytesBehind: Gauge

  init() {
    roundtrip = registry.histogram(MetricCatalog.orderRoundtrip)
    signalsRead = registry.counter(
      "weir_broker_signals_read_total", "Signal rows read since the run's first.")
    bytesBehind = registry.gauge(
      "weir_broker_feed_bytes_behind", "Bytes of signal rows that are written and not read.")
    registry.declare("weir_broker_orders_total", .counter, Help.orders)
    registry.declare("weir_broker_rejects_total", .counter, Help.rejects)
    registry.declare("weir_broker_position", .gauge, Help.position)
  }

  private enum Help {
    static let orders = "Orders journalled by this process."
    static let rejects = "Orders rejected by this process, by reason."
    static let position = "Position in the base asset, negative when short."
  }

  func count(_ order: PaperOrder, roundtripNs: Int64?) {
    registry.counter(
      "weir_broker_orders_total", Help.orders,
      labels: [
        "symbol": order.symbol, "side": order.side?.rawValue ?? "NONE", "status": order.status.rawValue,
      ]
    ).add()
    if let reason = order.reason {
      registry.counter("weir_broker_rejects_total", Help.rejects, labels: ["reason": reason.rawValue]).add()
    }
    if let roundtripNs { roundtrip.observe(Double(roundtripNs) / 1e9) }
    show(order.symbol, order.position)
  }

  func show(_ symbol: String, _ position: Pico) {
    registry.gauge("weir_broker_position", Help.position, labels: ["symbol": symbol])
      .set(Double(position.rawValue) / 1e12)
  }

  func write(into writer: inout ByteWriter, signalsRead rows: Int64, bytesBehind bytes: Int) {
    signalsRead.set(total: Double(rows))
    bytesBehind.set(Double(bytes))
    registry.write(into: &writer)
  }
}
