import Core
import Tables

/// The views that reports and people read. They have the columns of DuckDB's views of the same names,
/// and `tape` behind them.
extension ClickHouseSchema {
  var views: [String] {
    let onCluster = cluster.map { " ON CLUSTER \($0)" } ?? ""
    return [("trades", trades), ("book_tops", bookTops)].map { create($0.0, $0.1, onCluster) }
      + ClickHouseSchema.barWidths.map { create($0.name, bars($0.name, $0.ns), onCluster) }
  }

  private func create(_ name: String, _ select: String, _ onCluster: String) -> String {
    let create = dialect == .modern ? "CREATE OR REPLACE VIEW" : "CREATE VIEW IF NOT EXISTS"
    return "\(create) \(database).\(name)\(onCluster) AS\n\(select)"
  }

  private func raw(_ kind: TableKind) -> String {
    TableSchema.of(kind).columns.map(\.name).joined(separator: ", ")
  }

  private var timeNs: String { dialect == .modern ? "toUnixTimestamp64Nano(ts) AS ts_ns" : "ts_ns" }

  private var trades: String {
    """
    SELECT \(raw(.trade)), \(timeNs), ts, tape
    FROM \(database).trade
    WHERE kind != 'duplicate'
    """
  }

  private var bookTops: String {
    """
    SELECT \(raw(.bookTicker)), (bid_price + ask_price) / 2 AS mid, ask_price - bid_price AS spread, ofi,
      \(timeNs), ts, tape
    FROM \(database).book_ticker
    """
  }

  /// Names of the inner columns differ from those outside: ClickHouse puts an alias in the place of a
  /// column of the same name.
  private func bars(_ name: String, _ widthNs: Int64) -> String {
    """
    SELECT symbol, first_ns AS start_ns, if(n = 0, NULL, o) AS open, if(n = 0, NULL, h) AS high,
      if(n = 0, NULL, l) AS low, if(n = 0, NULL, c) AS close, toInt64(n) AS trades, v AS volume,
      b AS buy_volume, s AS sell_volume, b - s AS cvd, toInt64(q) AS quotes, e AS ofi, tape
    FROM
    (
    \(dialect == .modern ? merged(name) : computed(widthNs))
    )
    """
  }

  private func merged(_ name: String) -> String {
    """
      SELECT tape, symbol, toUnixTimestamp64Nano(start) AS first_ns, argMinMerge(open) AS o,
        maxMerge(high) AS h, minMerge(low) AS l, argMaxMerge(close) AS c, sum(trades) AS n,
        sum(volume) AS v, sum(buy_volume) AS b, sum(sell_volume) AS s, sum(quotes) AS q, sum(ofi) AS e
      FROM \(database).\(name)_state
      GROUP BY tape, symbol, start
    """
  }

  private func computed(_ widthNs: Int64) -> String {
    let start = "intDiv(ts_ns, \(widthNs)) * \(widthNs) AS first_ns"
    let zero = "toDecimal128(0, 8)"
    return """
        SELECT tape, symbol, first_ns, max(o_) AS o, max(h_) AS h, max(l_) AS l, max(c_) AS c, sum(n_) AS n,
          sum(v_) AS v, sum(b_) AS b, sum(s_) AS s, sum(q_) AS q, sum(e_) AS e
        FROM
        (
          SELECT tape, symbol, \(start), argMin(price, (seq, trade_id)) AS o_, max(price) AS h_,
            min(price) AS l_, argMax(price, (seq, trade_id)) AS c_, count() AS n_, sum(quantity) AS v_,
            sum(if(buyer_is_maker, toDecimal64(0, 8), quantity)) AS b_,
            sum(if(buyer_is_maker, quantity, toDecimal64(0, 8))) AS s_, toUInt64(0) AS q_, \(zero) AS e_
          FROM \(database).trade
          WHERE \(ClickHouseSchema.counted)
          GROUP BY tape, symbol, first_ns
          UNION ALL
          SELECT tape, symbol, \(start), toDecimal64(0, 8) AS o_, toDecimal64(0, 8) AS h_,
            toDecimal64(0, 8) AS l_, toDecimal64(0, 8) AS c_, toUInt64(0) AS n_, \(zero) AS v_,
            \(zero) AS b_, \(zero) AS s_, count() AS q_, sum(ifNull(ofi, \(zero))) AS e_
          FROM \(database).book_ticker
          GROUP BY tape, symbol, first_ns
        )
        GROUP BY tape, symbol, first_ns
      """
  }
}
