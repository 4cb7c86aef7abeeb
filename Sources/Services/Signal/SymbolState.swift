import Binance
import Core
import Flow
import Strategy

/// Everything the signal stage keeps of one symbol.
struct SymbolState: ~Copyable {
  let symbol: SymbolID
  var book = SynchronizedBook()
  var flow: SymbolFlow
  var gates: Gates
  var classifier = SignalClassifier()
  var trades = TradeSequence()
  /// The kind of trade stream that carries the CVD: the first seen. A tape may hold `@trade` and `@aggTrade`
  /// of one symbol, and counting both would count every trade twice.
  var tradeKind: FrameKind?

  // Last event of each factor: which connection, how late.
  var ofiConnection: Int32 = -1
  var cvdConnection: Int32 = -1
  var ofiLagNs: Int64 = 0
  var cvdLagNs: Int64 = 0
  var isSkewed = false
  var resyncedAtMs: Int64?
  var resyncsSeen = 0
  var reconnectedAtMs: Int64?
  /// Messages received and missing, in seconds of tape time over the last minute.
  var messages = SlidingSum(windowMs: 60, width: 2)
  var lastSequence: Int64 = 0
  /// nil when shadow signals are switched off.
  var shadow: ShadowChannels?
  /// What the market trigger sees of it.
  var market = MarketWindow()
  var volatility: VolatilityAxis

  var counts = SymbolCounts()

  init(
    symbol: SymbolID, _ flow: consuming SymbolFlow, _ configuration: SignalConfiguration,
    _ gates: GateConfiguration
  ) {
    self.symbol = symbol
    self.flow = flow
    volatility = VolatilityAxis(configuration.strategy.volatility)
    self.gates = Gates(gates)
    market.reserve(seconds: configuration.strategy.windowSeconds)
  }

  /// Against the symbol's own recent past; nil until it is told.
  var volatilityIsHigh: Bool? { volatility.isHigh }

  /// Missing messages as a share of all that should have come, over the last minute.
  func missingRatio(at timeMs: Int64) -> Double {
    // A late trade takes back a hole that may have left the window.
    let missing = max(0, messages.sums[1])
    return missing == 0 ? 0 : Double(missing) / Double(missing + messages.sums[0])
  }
}

/// What a run reports of a symbol, besides what its parts count themselves.
public struct SymbolCounts: Equatable, Sendable {
  public var frames: Int64 = 0
  public var depthEvents: Int64 = 0
  public var levelUpdates: Int64 = 0
  public var bookTickerEvents: Int64 = 0
  public var trades: Int64 = 0
  /// `X` other than `MARKET`.
  public var tradesExcluded: Int64 = 0
  /// Of a second trade stream, not counted again.
  public var tradesOfOtherStream: Int64 = 0
  public var tickersRepeated: Int64 = 0
  public var decodeErrors: Int64 = 0
  public var signals: Int64 = 0
  public var confirmed: Int64 = 0
  public var strong: Int64 = 0
  /// By `GuardReason.rawValue`.
  public var guardReasons = [Int64](repeating: 0, count: Signal.GuardReason.allCases.count)
  /// Rows by `Scenario.rawValue`.
  public var scenarios = [Int64](repeating: 0, count: Scenario.allCases.count)
}
