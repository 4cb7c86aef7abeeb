import Glibc

/// The planted parameters: every number that a test may try to find again in the frames.
enum FlowParameters {
  // Order flow, per symbol and second at the default rate.
  static let tradesPerSecond = 13.8
  static let quotesPerSecond = 57.0
  static let tradeByTrade = 0.55
  static let tradeByQuote = 0.02
  static let quoteByTrade = 1.2
  static let quoteByQuote = 0.45
  /// Kernels' decay rates, per second.
  static let tradeDecay = 12.0
  static let quoteDecay = 25.0
  /// Book levels away from the touch that one quote event changes.
  static let requotesPerEvent = 6.4
  /// Those changed in a window in which nothing else happened.
  static let requotesPerQuietWindow = 32.0
  /// Share of market orders that are liquidations.
  static let forcedShare = 0.001

  /// Largest eigenvalue of the branching matrix; below 1 the process is stationary.
  static var branchingRadius: Double {
    let half = (tradeByTrade + quoteByQuote) / 2
    let difference = (tradeByTrade - quoteByQuote) / 2
    return half + (difference * difference + tradeByQuote * quoteByTrade).squareRoot()
  }

  // Sizes, in mean orders.
  static let tradeTailExponent = 2.2
  static let quoteTailExponent = 3.5
  /// Queue at the touch that adds and cancels pull towards.
  static let touchOrders = 5.0
  static let touchOrdersLargeTick = 9.0

  // The planted relation.
  /// Time constant of the hidden pressure.
  static let pressureSeconds = 15.0
  /// P(a market order buys) = (1 + tradeTilt · m) / 2.
  static let tradeTilt = 0.12
  /// P(a quote event pushes up, by a better or larger bid or a smaller ask) = (1 + quoteTilt · m) / 2.
  static let quoteTilt = 0.058
}

/// Frames a second and what a requested rate does to the flow.
enum MarketRates {
  static let depthPerSecond = 10.0
  static let bookTickersPerSecond = 70.0
  static let aggregateTradesPerSecond = 15.0
  /// Mark price each second, kline every two.
  static let markAndKlinePerSecond = 1.5

  static let clockedPerSecond = depthPerSecond + markAndKlinePerSecond
  static let flowPerSecond = bookTickersPerSecond + aggregateTradesPerSecond
  static let symbolFramesPerSecond = clockedPerSecond + flowPerSecond
  static let symbolFramesPerSecondMin = 16.0
  static let symbolFramesPerSecondMax = 10_000.0

  /// The factor on the order flow that gives one symbol so many frames a second. Depth, mark price and kline
  /// keep their clocks whatever the rate, as at the exchange.
  static func flowScale(symbolFramesPerSecond: Double) -> Double {
    (symbolFramesPerSecond - clockedPerSecond) / flowPerSecond
  }
}
