/// What a table of market data is about. Raw names are the values of the partition key `kind`.
public enum TableKind: UInt8, CaseIterable, Sendable {
  case depth, trade, bookTicker, markPrice, kline, liquidation
  /// REST depth snapshots, one row a level.
  case snapshot
  /// What is known about the feed: connections opened and closed, gaps, clock offsets, notes.
  case feed
  /// Records that no other table holds, verbatim: kinds that carry no market data, and what could not be decoded.
  case other

  public var name: String {
    switch self {
    case .depth: "depth"
    case .trade: "trade"
    case .bookTicker: "book_ticker"
    case .markPrice: "mark_price"
    case .kline: "kline"
    case .liquidation: "liquidation"
    case .snapshot: "snapshot"
    case .feed: "feed"
    case .other: "other"
    }
  }

  public init?(name: String) {
    guard let kind = TableKind.allCases.first(where: { $0.name == name }) else { return nil }
    self = kind
  }
}

/// A column's type in Weir, Parquet, DuckDB and ClickHouse.
public enum ColumnType: UInt8, Sendable {
  /// `BIGINT`; times are nanoseconds since 1970
  case integer
  /// `DECIMAL(18, 8)`: an `Int64` of 1e-8 units
  case decimal
  case boolean
  /// A name out of few.
  case name
  /// Any text, mostly another one in each row.
  case text

  /// Decimals behind the point of every ``decimal``.
  public static let scale = 8
  /// The largest magnitude of a ``decimal`` in its units: 18 nines.
  public static let decimalUnitsMax: Int64 = 999_999_999_999_999_999
}

public struct TableColumn: Equatable, Sendable {
  public var name: String
  public var type: ColumnType
  public var isNullable: Bool
  /// All rows of one message have the same value, which a ``TableBatch`` keeps once.
  public var isOfMessage: Bool

  init(_ name: String, _ type: ColumnType, nullable: Bool = false, ofMessage: Bool = true) {
    self.name = name
    self.type = type
    isNullable = nullable
    isOfMessage = ofMessage
  }
}

/// The columns of a table, in order. One version for all tables: ``version``.
public struct TableSchema: Equatable, Sendable {
  /// Raised whenever a table's columns, their types or meaning change.
  public static let version = 1

  public let kind: TableKind
  public let columns: [TableColumn]

  public func index(of name: String) -> Int? { columns.firstIndex { $0.name == name } }

  public static func of(_ kind: TableKind) -> TableSchema { all[Int(kind.rawValue)] }

  private static let all: [TableSchema] = TableKind.allCases.map {
    TableSchema(kind: $0, columns: columns(of: $0))
  }

  private static let symbol = TableColumn("symbol", .name)
  private static let exchange = TableColumn("exchange_ns", .integer, nullable: true)
  private static let transaction = TableColumn("transaction_ns", .integer, nullable: true)
  private static let receive = TableColumn("recv_ns", .integer)
  private static let sequence = TableColumn("seq", .integer)

  private static func columns(of kind: TableKind) -> [TableColumn] {
    switch kind {
    case .depth:
      [
        symbol, exchange, transaction, receive, sequence,
        TableColumn("first_update_id", .integer), TableColumn("final_update_id", .integer),
        TableColumn("previous_final_update_id", .integer, nullable: true),
        TableColumn("side", .name, ofMessage: false),
        TableColumn("price", .decimal, ofMessage: false), TableColumn("quantity", .decimal, ofMessage: false),
      ]
    case .snapshot:
      [
        symbol, exchange, transaction, receive, sequence, TableColumn("last_update_id", .integer),
        TableColumn("side", .name, ofMessage: false),
        TableColumn("price", .decimal, ofMessage: false), TableColumn("quantity", .decimal, ofMessage: false),
      ]
    case .trade:
      // A message of REST-answered trades is a message per trade here: only `seq` repeats.
      [
        symbol, exchange, receive, sequence, TableColumn("trade_id", .integer),
        TableColumn("price", .decimal), TableColumn("quantity", .decimal),
        TableColumn("buyer_is_maker", .boolean), TableColumn("kind", .name), transaction,
        TableColumn("first_trade_id", .integer, nullable: true),
        TableColumn("last_trade_id", .integer, nullable: true),
        TableColumn("quantity_without_rpi", .decimal, nullable: true),
        TableColumn("is_market", .boolean),
      ]
    case .bookTicker:
      [
        symbol, exchange, receive, sequence, TableColumn("update_id", .integer),
        TableColumn("bid_price", .decimal), TableColumn("bid_quantity", .decimal),
        TableColumn("ask_price", .decimal), TableColumn("ask_quantity", .decimal), transaction,
      ]
    case .markPrice:
      [
        symbol, exchange, receive, sequence, TableColumn("mark_price", .decimal),
        TableColumn("index_price", .decimal, nullable: true),
        TableColumn("settle_price", .decimal, nullable: true),
        TableColumn("funding_rate", .decimal, nullable: true),
        TableColumn("next_funding_ns", .integer, nullable: true),
      ]
    case .kline:
      [
        symbol, exchange, receive, sequence, TableColumn("interval", .name),
        TableColumn("open_ns", .integer), TableColumn("close_ns", .integer),
        TableColumn("open", .decimal), TableColumn("high", .decimal), TableColumn("low", .decimal),
        TableColumn("close", .decimal), TableColumn("volume", .decimal),
        TableColumn("quote_volume", .decimal), TableColumn("trades", .integer),
        TableColumn("taker_buy_volume", .decimal), TableColumn("taker_buy_quote_volume", .decimal),
        TableColumn("first_trade_id", .integer, nullable: true),
        TableColumn("last_trade_id", .integer, nullable: true),
        TableColumn("is_closed", .boolean),
      ]
    case .liquidation:
      [
        symbol, exchange, receive, sequence, transaction, TableColumn("side", .name),
        TableColumn("price", .decimal), TableColumn("average_price", .decimal, nullable: true),
        TableColumn("quantity", .decimal), TableColumn("last_filled_quantity", .decimal, nullable: true),
        TableColumn("filled_quantity", .decimal, nullable: true),
        TableColumn("order_type", .name, nullable: true),
        TableColumn("time_in_force", .name, nullable: true), TableColumn("status", .name, nullable: true),
      ]
    case .feed:
      [
        TableColumn("symbol", .name, nullable: true), receive, sequence, TableColumn("connection", .integer),
        TableColumn("event", .name), TableColumn("stream", .text, nullable: true),
        TableColumn("data", .text),
      ]
    case .other:
      [
        TableColumn("symbol", .name, nullable: true), receive, sequence, TableColumn("connection", .integer),
        TableColumn("reason", .name), TableColumn("stream", .text, nullable: true),
        TableColumn("data", .text),
      ]
    }
  }
}
