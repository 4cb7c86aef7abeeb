/// The named questions that reports ask, in the SQL that DuckDB and ClickHouse have in common, over the
/// views that both have: `trades`, `book_tops`, `bars_1m`, `signals`.
///
/// Rules that keep an answer the same to the last digit on both: no division and no floating-point sum
/// (their order is not defined), products only of decimals of 38 digits (ClickHouse keeps the wider
/// factor's width), no alias that is also a column used by an aggregate (ClickHouse puts the alias in its place),
/// and a total `ORDER BY`.
public enum StandardQuery: String, CaseIterable, Sendable {
  case minuteBars = "minute_bars"
  case symbolTotals = "symbol_totals"
  case busiestMinutes = "busiest_minutes"
  case spreads
  case tradeSizes = "trade_sizes"
  case signalTiers = "signal_tiers"

  public var name: String { rawValue }

  public var summary: String {
    switch self {
    case .minuteBars: "every bar of a minute"
    case .symbolTotals: "trades, volume and flow of each symbol"
    case .busiestMinutes: "the five minutes with most trades"
    case .spreads: "how often each spread was quoted"
    case .tradeSizes: "sizes of trades, sides and notional"
    case .signalTiers: "signals of each type and symbol"
    }
  }

  public var sql: String { sql(barsIn: nil) }

  /// - Parameter times: bars that begin in this range of nanoseconds, for the questions about bars; nil for all.
  public func sql(barsIn times: Range<Int64>?) -> String {
    let time = times.map { "start_ns >= \($0.lowerBound) AND start_ns < \($0.upperBound)" } ?? ""
    let alone = time.isEmpty ? "" : "\nWHERE \(time)"
    let further = time.isEmpty ? "" : " AND \(time)"
    return switch self {
    case .minuteBars:
      """
      SELECT symbol, start_ns, open, high, low, close, trades, volume, buy_volume, sell_volume, cvd, quotes, ofi
      FROM bars_1m\(alone)
      ORDER BY symbol, start_ns
      """
    case .symbolTotals:
      """
      SELECT symbol, count(*) AS minutes, sum(trades) AS trade_count, sum(volume) AS total_volume,
        sum(cvd) AS total_cvd, min(low) AS lowest, max(high) AS highest, sum(quotes) AS quote_count,
        sum(ofi) AS total_ofi
      FROM bars_1m\(alone)
      GROUP BY symbol
      ORDER BY symbol
      """
    case .busiestMinutes:
      """
      SELECT symbol, start_ns, trades, volume, cvd, ofi, open, close
      FROM bars_1m
      WHERE trades > 0\(further)
      ORDER BY trades DESC, symbol, start_ns
      LIMIT 5
      """
    case .spreads:
      """
      SELECT symbol, spread, count(*) AS quote_count
      FROM book_tops
      GROUP BY symbol, spread
      ORDER BY symbol, spread
      """
    case .tradeSizes:
      """
      SELECT symbol, count(*) AS trade_count, min(quantity) AS smallest, max(quantity) AS largest,
        sum(quantity) AS total_quantity,
        sum(CASE WHEN buyer_is_maker THEN 0 ELSE 1 END) AS buy_count,
        sum(CAST(price AS DECIMAL(38, 8)) * CAST(quantity AS DECIMAL(38, 8))) AS notional
      FROM trades
      WHERE is_market
      GROUP BY symbol
      ORDER BY symbol
      """
    case .signalTiers:
      """
      SELECT symbol, signal_type, count(*) AS row_count, sum(CASE WHEN confirm THEN 1 ELSE 0 END) AS confirmed,
        min(ts_ms) AS first_ts_ms, max(ts_ms) AS last_ts_ms
      FROM signals
      GROUP BY symbol, signal_type
      ORDER BY symbol, signal_type
      """
    }
  }
}
