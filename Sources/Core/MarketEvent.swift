/// The best bid and ask with their sizes, in an instrument's units.
@frozen
public struct Quote: Hashable, Sendable {
  public var bidPrice: Int64
  public var bidQuantity: Int64
  public var askPrice: Int64
  public var askQuantity: Int64

  @inlinable public init(bidPrice: Int64, bidQuantity: Int64, askPrice: Int64, askQuantity: Int64) {
    self.bidPrice = bidPrice
    self.bidQuantity = bidQuantity
    self.askPrice = askPrice
    self.askQuantity = askQuantity
  }

  /// Best bid + best ask: twice the mid, so that half ticks stay exact.
  @inlinable public var doubledMid: Int64 { bidPrice &+ askPrice }
  @inlinable public var isCrossed: Bool { bidPrice >= askPrice }
}

/// The ids that place a depth event in its symbol's chain.
@frozen
public struct DepthIDs: Hashable, Sendable {
  /// `U`
  public var first: Int64
  /// `u`
  public var final: Int64
  /// `pu`; absent on spot, where the chain is `U == previous u + 1`.
  public var previousFinal: Int64?

  @inlinable public init(first: Int64, final: Int64, previousFinal: Int64?) {
    self.first = first
    self.final = final
    self.previousFinal = previousFinal
  }
}

/// What a frame carries.
public enum FrameKind: UInt8, Sendable, CaseIterable {
  case depthUpdate, aggregateTrade, trade, bookTicker, markPrice, kline, liquidation
  /// Valid JSON of a kind that carries no market data for the pipeline (account events, tickers).
  case other

  public var name: StaticString {
    switch self {
    case .depthUpdate: "depth"
    case .aggregateTrade: "agg_trade"
    case .trade: "trade"
    case .bookTicker: "book_ticker"
    case .markPrice: "mark_price"
    case .kline: "kline"
    case .liquidation: "liquidation"
    case .other: "other"
    }
  }
}
