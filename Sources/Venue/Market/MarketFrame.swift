import Core

/// The streams of the generated market.
public enum MarketStream: UInt8, Sendable, CaseIterable {
  case depth, bookTicker, aggregateTrade, markPrice, kline, forceOrder
  /// Not a stream: the answer to a REST request for the book.
  case snapshot

  /// The part of a stream's name after `btcusdt@`; empty for a snapshot.
  public var suffix: StaticString {
    switch self {
    case .depth: "depth@100ms"
    case .bookTicker: "bookTicker"
    case .aggregateTrade: "aggTrade"
    case .markPrice: "markPrice@1s"
    case .kline: "kline_1m"
    case .forceOrder: "forceOrder"
    case .snapshot: ""
    }
  }

  /// The key in the truth's frame counts.
  var countName: String {
    switch self {
    case .depth: "depth"
    case .bookTicker: "book_ticker"
    case .aggregateTrade: "agg_trade"
    case .markPrice: "mark_price"
    case .kline: "kline"
    case .forceOrder: "force_order"
    case .snapshot: "snapshot"
    }
  }
}

/// One thing that arrived at the receiver.
public struct MarketFrame {
  public enum Kind: UInt8, Sendable {
    /// A combined websocket frame, `{"stream":…,"data":{…}}`.
    case frame
    /// A REST answer, the bare object.
    case snapshot
  }

  /// Frames of depth and best quotes.
  public static let publicConnection: Int32 = 0
  /// Frames of trades, mark prices, klines and liquidations.
  public static let marketConnection: Int32 = 1
  /// Snapshots come by request, on no websocket connection.
  public static let restConnection: Int32 = -1

  public var kind: Kind
  /// Exact bytes, valid until the generator's next call.
  public var payload: UnsafeRawBufferPointer
  public var stream: MarketStream
  /// The symbol's place in the options' list.
  public var symbolIndex: Int
  /// By the receiver's clock, skew included; never before the frame that came before.
  public var receiveTime: UnixNanos
  public var connection: Int32
}
