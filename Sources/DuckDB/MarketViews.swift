import Core
import Tables

/// The views that every question starts from; their meaning is the same in ClickHouse.
///
/// **Time of a trade or quote** is `ts_ns`: the exchange's transaction time, else its event time, else the
/// receive time.
///
/// **Bars**, per symbol, over `[start_ns, start_ns + width)`. From trades that are counted once and made at the
/// market: `open` and `close` are the prices at the smallest and largest `(seq, trade_id)`; `cvd` is
/// `buy_volume - sell_volume`, a buy being a trade whose buyer is not the maker. From best quotes:
/// `ofi` is the sum of their increments e, each against the symbol's quote before it by `seq`, over all of the
/// tape: e = [b ≥ b′] q_b − [b ≤ b′] q_b′ − [a ≤ a′] q_a + [a ≥ a′] q_a′. The first quote has none. A bar
/// exists where there is a trade or a quote; its prices are null without trades.
/// Source: R. Cont, A. Kukanov, S. Stoikov, "The Price Impact of Order Book Events", 2014.
///
/// All sums are decimals: exact, and so the same in any order.
enum MarketViews {
  static let widths: [(name: String, ns: Int64)] = [
    ("bars_1s", Nanoseconds.second), ("bars_1m", Nanoseconds.minute),
  ]

  /// Statements that make the views over tables or views of the kinds' names.
  static var derived: [String] { [trades, bookTops] + widths.map { bars($0.name, widthNs: $0.ns) } }

  private static let time = "coalesce(transaction_ns, exchange_ns, recv_ns)"

  private static let trades = """
    CREATE VIEW trades AS
    SELECT symbol, \(time) AS ts_ns, make_timestamp_ns(\(time)) AS ts, exchange_ns, transaction_ns, recv_ns, seq,
      trade_id, price, quantity, buyer_is_maker, kind, first_trade_id, last_trade_id, quantity_without_rpi,
      is_market
    FROM trade
    WHERE kind <> 'duplicate'
    """

  private static let bookTops = """
    CREATE VIEW book_tops AS
    SELECT symbol, ts_ns, make_timestamp_ns(ts_ns) AS ts, exchange_ns, transaction_ns, recv_ns, seq, update_id,
      bid_price, bid_quantity, ask_price, ask_quantity,
      CAST((bid_price + ask_price) * 0.5 AS DECIMAL(20, 9)) AS mid,
      CAST(ask_price - bid_price AS DECIMAL(18, 8)) AS spread,
      CASE WHEN last_bid_price IS NOT NULL THEN
        CASE WHEN bid_price >= last_bid_price THEN bid_size ELSE 0 END
        - CASE WHEN bid_price <= last_bid_price THEN last_bid_size ELSE 0 END
        - CASE WHEN ask_price <= last_ask_price THEN ask_size ELSE 0 END
        + CASE WHEN ask_price >= last_ask_price THEN last_ask_size ELSE 0 END
      END AS ofi
    FROM (
      SELECT *, \(time) AS ts_ns,
        CAST(bid_quantity AS DECIMAL(38, 8)) AS bid_size, CAST(ask_quantity AS DECIMAL(38, 8)) AS ask_size,
        lag(bid_price) OVER quotes AS last_bid_price, lag(ask_price) OVER quotes AS last_ask_price,
        lag(CAST(bid_quantity AS DECIMAL(38, 8))) OVER quotes AS last_bid_size,
        lag(CAST(ask_quantity AS DECIMAL(38, 8))) OVER quotes AS last_ask_size
      FROM book_ticker
      WINDOW quotes AS (PARTITION BY symbol ORDER BY seq, update_id)
    )
    """

  private static func bars(_ name: String, widthNs: Int64) -> String {
    """
    CREATE VIEW \(name) AS
    SELECT symbol, start_ns, make_timestamp_ns(start_ns) AS start, open, high, low, close,
      coalesce(trades, 0) AS trades, coalesce(volume, CAST(0 AS DECIMAL(38, 8))) AS volume,
      coalesce(buy_volume, CAST(0 AS DECIMAL(38, 8))) AS buy_volume,
      coalesce(sell_volume, CAST(0 AS DECIMAL(38, 8))) AS sell_volume,
      CAST(coalesce(buy_volume, 0) - coalesce(sell_volume, 0) AS DECIMAL(38, 8)) AS cvd,
      coalesce(quotes, 0) AS quotes, coalesce(ofi, CAST(0 AS DECIMAL(38, 8))) AS ofi
    FROM (
      SELECT symbol, ts_ns - ts_ns % \(widthNs) AS start_ns,
        arg_min(price, (seq, trade_id)) AS open, max(price) AS high, min(price) AS low,
        arg_max(price, (seq, trade_id)) AS close, count(*) AS trades, sum(quantity) AS volume,
        sum(CASE WHEN buyer_is_maker THEN CAST(0 AS DECIMAL(18, 8)) ELSE quantity END) AS buy_volume,
        sum(CASE WHEN buyer_is_maker THEN quantity ELSE CAST(0 AS DECIMAL(18, 8)) END) AS sell_volume
      FROM trades
      WHERE is_market
      GROUP BY symbol, ts_ns - ts_ns % \(widthNs)
    ) AS traded
    FULL JOIN (
      SELECT symbol, ts_ns - ts_ns % \(widthNs) AS start_ns, count(*) AS quotes, sum(ofi) AS ofi
      FROM book_tops
      GROUP BY symbol, ts_ns - ts_ns % \(widthNs)
    ) AS quoted USING (symbol, start_ns)
    """
  }

  /// A view of a kind's files.
  static func raw(_ kind: TableKind, _ folder: ParquetFolder) -> String {
    guard folder.holds(kind) else { return empty(kind.name, columns(kind)) }
    let names = columns(kind).map { SQLText.identifier($0.name) }
    return """
      CREATE VIEW \(kind.name) AS
      SELECT \(names.joined(separator: ", "))
      FROM read_parquet(\(SQLText.literal(folder.pattern(kind))), hive_partitioning = false, union_by_name = true)
      """
  }

  static func columns(_ kind: TableKind) -> [(name: String, type: String)] {
    TableSchema.of(kind).columns.map { ($0.name, $0.type.sqlName) }
  }

  /// A view without rows.
  static func empty(_ name: String, _ columns: [(name: String, type: String)]) -> String {
    let parts = columns.map { "CAST(NULL AS \($0.type)) AS \(SQLText.identifier($0.name))" }
    return "CREATE VIEW \(name) AS SELECT \(parts.joined(separator: ", ")) WHERE false"
  }

  /// A view of files of JSON lines. A line that is none, as the one being written, is left out.
  static func lines(
    _ name: String, _ columns: [(name: String, type: String)], key: String, files: [String]
  ) -> String {
    if files.isEmpty { return empty(name, columns) }
    let types = columns.map { "\(SQLText.identifier($0.name)): \(SQLText.literal($0.type))" }
    return """
      CREATE VIEW \(name) AS
      SELECT * FROM read_json(
        \(SQLText.list(files.map(SQLText.pattern(ofPath:)))), format = 'newline_delimited', ignore_errors = true,
        columns = {\(types.joined(separator: ", "))})
      WHERE \(SQLText.identifier(key)) IS NOT NULL
      """
  }
}
