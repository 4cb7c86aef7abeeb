import Core
import DuckDB
import Store

/// A run's files as views for SQL: `signals` with the columns of every sink, `orders` with those of the journal.
///
/// Numbers that are decimals in the files are doubles here, the nearest ones; times and counts are integers.
///
/// - Parameter runFolder: nil for views without rows.
/// - Throws: `SignalStoreError`
public func runLines(_ runFolder: String?) throws -> [MarketDatabase.Lines] {
  let signals: [(name: String, type: String)] = SignalColumn.allCases.map { column in
    let type =
      switch column.storage {
      case .text: "VARCHAR"
      case .integer: "BIGINT"
      case .real: "DOUBLE"
      case .boolean: "BOOLEAN"
      }
    return ("\(column.name)", type)
  }
  let orders: [(name: String, type: String)] = [
    ("order_id", "VARCHAR"), ("signal_id", "VARCHAR"), ("trace_id", "VARCHAR"), ("ts_ms", "BIGINT"),
    ("recv_ns", "BIGINT"), ("symbol", "VARCHAR"), ("side", "VARCHAR"), ("type", "VARCHAR"),
    ("price", "DOUBLE"), ("quantity", "DOUBLE"), ("notional", "DOUBLE"), ("fee", "DOUBLE"),
    ("status", "VARCHAR"), ("reason", "VARCHAR"), ("position", "DOUBLE"), ("realized_pnl", "DOUBLE"),
    ("config_version", "VARCHAR"),
  ]
  let journal = runFolder.map { OrderJournal.folder($0) + "/orders.jsonl" }
  return [
    MarketDatabase.Lines(
      view: "signals", columns: signals, key: "signal_id",
      files: try runFolder.map { try SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder($0)) } ?? []),
    MarketDatabase.Lines(
      view: "orders", columns: orders, key: "order_id",
      files: journal.map { Files.exists($0) ? [$0] : [] } ?? []),
  ]
}
