import Core
import Strategy

/// What the broker takes from a confirmed signal row.
public struct ConfirmedSignal: Equatable, Sendable {
  public var signalID: String
  public var traceID: String
  public var timeMs: Int64
  public var receiveTime: UnixNanos
  public var symbol: String
  /// `nil` for a row without direction.
  public var side: OrderSide?
  /// The mid price, `units` × 10^-`decimals` without trailing zeros; `nil` without a quote.
  public var midUnits: Int64?
  public var midDecimals: Int
  public var spreadBps: Micros
  /// The row carries the quality flag `conservative_cost`.
  public var isCostConservative: Bool
  public var regime: Signal.Regime
  public var configVersion: String

  public init(
    signalID: String, traceID: String, timeMs: Int64, receiveTime: UnixNanos, symbol: String,
    side: OrderSide?, mid: (units: Int64, decimals: Int)?, spreadBps: Micros, isCostConservative: Bool,
    regime: Signal.Regime = .normal, configVersion: String
  ) {
    self.signalID = signalID
    self.traceID = traceID
    self.timeMs = timeMs
    self.receiveTime = receiveTime
    self.symbol = symbol
    self.side = side
    midUnits = mid?.units
    midDecimals = mid?.decimals ?? 0
    self.spreadBps = spreadBps
    self.isCostConservative = isCostConservative
    self.regime = regime
    self.configVersion = configVersion
  }
}
