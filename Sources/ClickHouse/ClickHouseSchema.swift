import Core
import Tables

/// The tables and views that hold a tape's rows in ClickHouse.
///
/// One table for each ``TableKind`` with the columns of its ``TableSchema``, and before them
/// - `tape`: which tape the row is from, so that one tape can be loaded, counted and checked beside others;
/// - `ts`: the row's time (`DateTime64(9)`, of ``rowTimeNs(_:_:_:)``), by which it is partitioned and kept;
/// - `ofi` (`book_ticker` only): the quote's increment against the symbol's previous quote on the tape, which
///   the loader computes: a database sees rows in the order of their parts.
///
/// **Order** is `(symbol, ts, seq)`: queries ask for a symbol and a time; `seq` makes the order of equal
/// times that of the tape. A row without a symbol has the empty one.
///
/// **Bars** (`bars_1s_state`, `bars_1m_state`) are states of aggregates, written by materialized views with
/// each insert and merged when read (`bars_1s`, `bars_1m`), because an insert knows only its own rows. Two
/// views fill one table: what one knows nothing of stays an empty state. A resent insert is dropped by the
/// table *and* by each state table on its own (`deduplicate_blocks_in_dependent_materialized_views`), so one
/// that was cut off between the two is completed by the resend.
///
/// **Cluster.** The same tables as `…_local` (`ReplicatedMergeTree`), and `Distributed` tables over them
/// under the names without it, sharded by symbol, so that a symbol's bars are complete on one shard.
///
/// **Legacy** servers get `ts` in seconds and `ts_ns` beside it, no codecs, no TTL, and bars as plain views:
/// without deduplication in the views, states could double.
public struct ClickHouseSchema: Sendable {
  public static let barWidths: [(name: String, ns: Int64)] = [
    ("bars_1s", Nanoseconds.second), ("bars_1m", Nanoseconds.minute),
  ]
  /// Inserts whose tokens a table remembers; a loader resends none but its last.
  static let deduplicationWindow = 1000

  public let database: String
  public let cluster: String?
  public let dialect: ClickHouseDialect
  /// Days after which rows go; kinds without an entry are kept.
  public let ttlDays: [TableKind: Int]

  /// - Throws: for a cluster on a legacy server, and for a name that would need quoting.
  public init(
    database: String, cluster: String? = nil, dialect: ClickHouseDialect, ttlDays: [TableKind: Int] = [:]
  ) throws(ClickHouseError) {
    if let cluster {
      guard dialect == .modern else {
        throw .setting("a cluster needs ClickHouse 22 or newer: older servers cannot drop resent inserts")
      }
      guard ClickHouseServer.isName(cluster) else {
        throw .setting("\"\(cluster)\" cannot be a cluster here: use letters, digits and _")
      }
    }
    self.database = database
    self.cluster = cluster
    self.dialect = dialect
    self.ttlDays = ttlDays
  }

  public struct Column: Equatable, Sendable {
    public var name: String
    /// As the server spells it.
    public var type: String
    var codec: String
  }

  /// The columns in the order in which rows are sent: those that all rows of a message share come first.
  public func columns(_ kind: TableKind) -> [Column] {
    let schema = TableSchema.of(kind)
    var columns = [Column(name: "tape", type: name(nullable: false), codec: "ZSTD(6)")]
    switch dialect {
    case .modern:
      columns.append(Column(name: "ts", type: "DateTime64(9, 'UTC')", codec: "Delta(8), ZSTD(6)"))
    case .legacy:
      columns.append(Column(name: "ts", type: "DateTime", codec: ""))
      columns.append(Column(name: "ts_ns", type: "Int64", codec: ""))
    }
    if kind == .bookTicker {
      columns.append(Column(name: "ofi", type: "Nullable(Decimal(38, 8))", codec: "ZSTD(6)"))
    }
    columns += schema.columns.filter(\.isOfMessage).map(column)
    columns += schema.columns.filter { !$0.isOfMessage }.map(column)
    return columns
  }

  private func name(nullable: Bool) -> String {
    let type = nullable ? "Nullable(String)" : "String"
    return dialect == .modern ? "LowCardinality(\(type))" : type
  }

  private func column(_ column: TableColumn) -> Column {
    // A key cannot be null; no symbol has an empty name.
    let isNullable = column.isNullable && column.name != "symbol"
    func type(_ plain: String) -> String { isNullable ? "Nullable(\(plain))" : plain }
    switch column.type {
    // Times and ids rise by steady steps in the table's order; differences of differences are near zero.
    case .integer where column.name == "seq" || column.name.hasSuffix("_id"):
      return Column(name: column.name, type: type("Int64"), codec: "DoubleDelta, ZSTD(6)")
    case .integer: return Column(name: column.name, type: type("Int64"), codec: "Delta(8), ZSTD(6)")
    // Gorilla is for floating point; neighbours of one symbol differ by few ticks.
    case .decimal: return Column(name: column.name, type: type("Decimal(18, 8)"), codec: "Delta(8), ZSTD(6)")
    case .boolean:
      return Column(name: column.name, type: type(dialect == .modern ? "Bool" : "UInt8"), codec: "ZSTD(6)")
    case .name: return Column(name: column.name, type: name(nullable: isNullable), codec: "ZSTD(6)")
    case .text: return Column(name: column.name, type: type("String"), codec: "ZSTD(6)")
    }
  }

  /// The statement whose body is rows of ``columns(_:)``.
  public func insert(_ kind: TableKind) -> String {
    let names = columns(kind).map { "`\($0.name)`" }.joined(separator: ", ")
    return "INSERT INTO \(database).\(kind.name) (\(names)) FORMAT RowBinary"
  }

  /// The settings with which an insert is sent.
  ///
  /// - Parameter token: a server that has had an insert of this token drops this one.
  public func insertSettings(token: String) -> [(String, String)] {
    guard dialect == .modern else { return [] }
    var settings = [
      ("insert_deduplicate", "1"), ("insert_deduplication_token", token),
      ("deduplicate_blocks_in_dependent_materialized_views", "1"), ("async_insert", "0"),
    ]
    // Acknowledged means: on its shards.
    if cluster != nil { settings.append(("distributed_foreground_insert", "1")) }
    return settings
  }

  /// All statements that make the database, in order; each does nothing where its object is there.
  public var statements: [String] {
    var statements = ["CREATE DATABASE IF NOT EXISTS \(database)\(onCluster)"]
    for kind in TableKind.allCases { statements += table(kind) }
    if dialect == .modern {
      for width in ClickHouseSchema.barWidths { statements += barStates(width.name, width.ns) }
    }
    return statements + views
  }

  // MARK: Tables

  private var onCluster: String { cluster.map { " ON CLUSTER \($0)" } ?? "" }
  var local: String { cluster == nil ? "" : "_local" }

  private func engine(_ family: String, _ table: String) -> String {
    guard cluster != nil else { return family + (dialect == .legacy ? "()" : "") }
    return "Replicated\(family)('/clickhouse/tables/{shard}/\(database)/\(table)', '{replica}')"
  }

  private var deduplication: String {
    // A replicated table remembers as many by itself (replicated_deduplication_window).
    dialect == .legacy || cluster != nil
      ? "" : "\nSETTINGS non_replicated_deduplication_window = \(ClickHouseSchema.deduplicationWindow)"
  }

  private func table(_ kind: TableKind) -> [String] {
    let columns = columns(kind).map { column in
      "  `\(column.name)` \(column.type)" + (dialect == .modern ? " CODEC(\(column.codec))" : "")
    }
    let days = ttlDays[kind] ?? 0
    let ttl = dialect == .modern && days > 0 ? "\nTTL toDateTime(ts) + INTERVAL \(days) DAY" : ""
    let name = kind.name + local
    let create =
      "CREATE TABLE IF NOT EXISTS \(database).\(name)\(onCluster)\n(\n" + columns.joined(separator: ",\n")
      + "\n)\nENGINE = \(engine("MergeTree", name))\nPARTITION BY toDate(ts)\nORDER BY (symbol, ts, seq)"
      + ttl + deduplication
    return [create] + distributed(kind.name)
  }

  private func distributed(_ name: String) -> [String] {
    guard let cluster else { return [] }
    return [
      "CREATE TABLE IF NOT EXISTS \(database).\(name)\(onCluster) AS \(database).\(name)_local\n"
        + "ENGINE = Distributed(\(cluster), \(database), \(name)_local, cityHash64(symbol))"
    ]
  }

  private func barStates(_ bars: String, _ widthNs: Int64) -> [String] {
    let sum = "SimpleAggregateFunction(sum, Decimal(38, 8))"
    let count = "SimpleAggregateFunction(sum, UInt64)"
    let price = "Decimal(18, 8)"
    let place = "Tuple(Int64, Int64)"
    let name = bars + "_state"
    let create = """
      CREATE TABLE IF NOT EXISTS \(database).\(name)\(local)\(onCluster)
      (
        tape LowCardinality(String) CODEC(ZSTD(6)),
        symbol LowCardinality(String) CODEC(ZSTD(6)),
        start DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(6)),
        open AggregateFunction(argMin, \(price), \(place)) CODEC(ZSTD(6)),
        high AggregateFunction(max, \(price)) CODEC(ZSTD(6)),
        low AggregateFunction(min, \(price)) CODEC(ZSTD(6)),
        close AggregateFunction(argMax, \(price), \(place)) CODEC(ZSTD(6)),
        trades \(count) CODEC(ZSTD(6)),
        volume \(sum) CODEC(ZSTD(6)),
        buy_volume \(sum) CODEC(ZSTD(6)),
        sell_volume \(sum) CODEC(ZSTD(6)),
        quotes \(count) CODEC(ZSTD(6)),
        ofi \(sum) CODEC(ZSTD(6))
      )
      ENGINE = \(engine("AggregatingMergeTree", name + local))
      PARTITION BY toDate(start)
      ORDER BY (symbol, start, tape)\(deduplication)
      """
    let start =
      "fromUnixTimestamp64Nano(intDiv(toUnixTimestamp64Nano(ts), \(widthNs)) * \(widthNs), 'UTC') AS start"
    func view(_ suffix: String, _ from: TableKind, _ select: String) -> String {
      """
      CREATE MATERIALIZED VIEW IF NOT EXISTS \(database).\(bars)_\(suffix)\(onCluster)
      TO \(database).\(name)\(local) AS
      SELECT tape, symbol, \(start),
        \(select)
      FROM \(database).\(from.name)\(local)\(from == .trade ? "\nWHERE " + ClickHouseSchema.counted : "")
      GROUP BY tape, symbol, start
      """
    }
    return [create] + distributed(name) + [
      view(
        "of_trades", .trade,
        """
        argMinState(price, (seq, trade_id)) AS open, maxState(price) AS high, minState(price) AS low,
          argMaxState(price, (seq, trade_id)) AS close, count() AS trades, sum(quantity) AS volume,
          sumIf(quantity, NOT buyer_is_maker) AS buy_volume, sumIf(quantity, buyer_is_maker) AS sell_volume
        """),
      view(
        "of_quotes", .bookTicker, "count() AS quotes, sum(ifNull(ofi, toDecimal128(0, 8))) AS ofi"),
    ]
  }

  /// Trades that bars count.
  static let counted = "kind != 'duplicate' AND is_market"
}
