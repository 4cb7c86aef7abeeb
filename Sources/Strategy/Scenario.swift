import Flow

/// The 2×2 of activity (A active, Q quiet: by mode) and volatility (H high, L low: by a symbol's own recent
/// past). Names are part of the output format.
public enum Scenario: UInt8, Sendable, CaseIterable {
  /// Not known yet, or the regime is neither active nor quiet.
  case none
  case activeHigh, activeLow, quietHigh, quietLow

  /// The four cells.
  public static let cells: [Scenario] = [.activeHigh, .activeLow, .quietHigh, .quietLow]

  /// Empty for `none`.
  public var name: StaticString {
    switch self {
    case .none: ""
    case .activeHigh: "A_H"
    case .activeLow: "A_L"
    case .quietHigh: "Q_H"
    case .quietLow: "Q_L"
    }
  }

  public init(_ regime: Signal.Regime, volatilityIsHigh: Bool?) {
    guard let volatilityIsHigh else {
      self = .none
      return
    }
    switch regime {
    case .normal: self = .none
    case .active: self = volatilityIsHigh ? .activeHigh : .activeLow
    case .quiet: self = volatilityIsHigh ? .quietHigh : .quietLow
    }
  }
}

/// What a scenario demands of an entry, and how a position that was entered in it ends.
public struct ScenarioParameters: Equatable, Sendable {
  /// Score from which a buy is confirmed.
  public var entryBuy: Double
  /// −score from which a sell is confirmed.
  public var entrySell: Double
  /// |score| in the position's direction below which it is left.
  public var exit: Double
  public var takeProfitBps: Double
  public var stopLossBps: Double
  public var holdSecondsMax: Int
  /// Both entry thresholds are multiplied by it when a signal is confirmed.
  public var discount: Double

  public init(
    entryBuy: Double, entrySell: Double, exit: Double, takeProfitBps: Double, stopLossBps: Double,
    holdSecondsMax: Int, discount: Double
  ) {
    self.entryBuy = entryBuy
    self.entrySell = entrySell
    self.exit = exit
    self.takeProfitBps = takeProfitBps
    self.stopLossBps = stopLossBps
    self.holdSecondsMax = holdSecondsMax
    self.discount = discount
  }

  /// Whether a score may be confirmed.
  public func admits(_ score: Double) -> Bool {
    score >= entryBuy * discount || -score >= entrySell * discount
  }
}

/// The parameters of the four scenarios.
public struct ScenarioTable: Equatable, Sendable {
  public var activeHigh = ScenarioParameters(
    entryBuy: 2.75, entrySell: 2.5, exit: 0.75, takeProfitBps: 15, stopLossBps: 10, holdSecondsMax: 900,
    discount: 0.8)
  public var activeLow = ScenarioParameters(
    entryBuy: 2.25, entrySell: 2.25, exit: 0.6, takeProfitBps: 12, stopLossBps: 9, holdSecondsMax: 600,
    discount: 1)
  public var quietHigh = ScenarioParameters(
    entryBuy: 2.5, entrySell: 2.75, exit: 0.75, takeProfitBps: 10, stopLossBps: 8, holdSecondsMax: 600,
    discount: 0.9)
  public var quietLow = ScenarioParameters(
    entryBuy: 2, entrySell: 2, exit: 0.5, takeProfitBps: 8, stopLossBps: 7, holdSecondsMax: 300, discount: 1)

  public init() {}

  /// nil for `none`.
  public subscript(_ scenario: Scenario) -> ScenarioParameters? {
    switch scenario {
    case .none: nil
    case .activeHigh: activeHigh
    case .activeLow: activeLow
    case .quietHigh: quietHigh
    case .quietLow: quietLow
    }
  }
}
