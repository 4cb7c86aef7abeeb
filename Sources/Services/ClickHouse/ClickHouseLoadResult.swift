import ClickHouse
import Core
import Tables
import Telemetry

/// What a loader did.
public struct ClickHouseLoadResult: Sendable {
  public var rows: [TableKind: Int64] = [:]
  public var batches = 0
  /// Times an insert's fate was unknown.
  public var retried = 0
  /// Of these, how often it was in the tables already.
  public var deduplicated = 0
  public var bytesSent = 0
  public var seconds = 0.0
  public var lagRecords: Int64 = 0
  /// All records up to this one are in all tables.
  public var sequence: Int64 = 0
  public var unreadableLines: Int64 = 0
  /// Everything that was on the tape has been loaded.
  public var isComplete = false

  public init() {}

  public var json: JSONValue {
    let total = rows.values.reduce(0, +)
    return .object([
      "rows": .object(TableKind.allCases.map { .init($0.name, .integer(rows[$0] ?? 0)) }),
      "batches": .integer(batches), "retried": .integer(retried), "deduplicated": .integer(deduplicated),
      "seconds": .rounded(seconds, 3),
      "rows_per_s": .rounded(seconds > 0 ? Double(total) / seconds : nil, 0),
      "bytes_sent": .integer(bytesSent), "lag_records": .integer(lagRecords), "seq": .integer(sequence),
      "unreadable_lines": .integer(unreadableLines), "complete": .bool(isComplete),
    ])
  }
}

/// What a loader exports.
final class ClickHouseLoadMetrics {
  private let registry = MetricRegistry()

  func write(_ loader: ClickHouseLoader, into text: inout ByteWriter) {
    func counter(_ name: String, _ help: String, _ value: Int) {
      registry.counter("weir_clickhouse_" + name, help).set(total: Double(value))
    }
    func gauge(_ name: String, _ help: String, _ value: Double) {
      registry.gauge("weir_clickhouse_" + name, help).set(value)
    }
    for (kind, rows) in loader.result.rows.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      registry.counter(
        "weir_clickhouse_rows_total", "Rows the server acknowledged.", labels: ["kind": kind.name]
      ).set(total: Double(rows))
    }
    counter("batches_total", "Inserts the server acknowledged.", loader.result.batches)
    counter("retries_total", "Inserts whose fate was unknown.", loader.result.retried)
    counter("deduplicated_total", "Of these, inserts that were there already.", loader.result.deduplicated)
    counter("bytes_sent_total", "Bytes of inserts, compressed.", loader.result.bytesSent)
    gauge("up", "1 while the server answers.", loader.isUp ? 1 : 0)
    gauge("lag_records", "Records read and not in all tables.", Double(loader.lagRecords))
    gauge("lag_seconds", "Tape time between the newest record read and loaded.", loader.lagSeconds)
    gauge("backlog_bytes", "Bytes of the tape that are not read.", Double(loader.backlogBytes))
    registry.write(into: &text)
  }
}
