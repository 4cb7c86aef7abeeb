/// What decides between quiet and active, and what each of them changes.
public struct StrategyConfiguration: Equatable, Sendable {
  /// Who decides, until somebody intervenes.
  public var mode = Signal.Mode.auto
  /// Without it `auto` stays in the normal regime.
  public var isDynamic = true
  public var combination = Combination.or
  /// Windows in a row that ask for the active regime before it is entered.
  public var activeWindowsMin = 3
  public var quietWindowsMin = 6
  public var windowSeconds = 60
  public var schedule = ScheduleConfiguration()
  public var market = MarketTriggerConfiguration()
  /// In quiet, rows are made at this share of the grid's points; 1 for all.
  public var throttlesInQuiet = true
  public var quietRowRatio = 0.3
  public var active = ModeParameters(positionNotionalUSDTMax: 0, flushMs: 0, logSeconds: 60)
  public var quiet = ModeParameters(positionNotionalUSDTMax: 2500, flushMs: 1000, logSeconds: 300)
  public var volatility = VolatilityConfiguration()
  public var scenarios = ScenarioTable()

  public init() {}

  /// How schedule and market are combined, where both are in use.
  public enum Combination: String, CaseIterable, Sendable {
    case or, and
  }
}

/// The hours that ask for the active regime.
public struct ScheduleConfiguration: Equatable, Sendable {
  public var isEnabled = false
  /// An IANA name or an offset such as +08:00.
  public var timeZone = "UTC"
  /// `mon` to `sun`; empty for all days.
  public var weekdays: [String] = []
  /// `09:30-16:00` in local time, `22:00-02:00` over midnight; empty for the whole day.
  public var windows: [String] = []
  /// `2026-12-25` in local time: days on which it never asks.
  public var holidays: [String] = []

  public init() {}
}

/// What a market must show over a window to ask for the active regime; all of it.
public struct MarketTriggerConfiguration: Equatable, Sendable {
  public var isEnabled = true
  public var tradesPerMinuteMin = 500.0
  public var quotesPerSecondMin = 100.0
  public var spreadBpsMax = 5.0
  /// Realised volatility of the mid over the window, per square root of a minute.
  public var volatilityBpsMin = 10.0
  /// Quote-asset volume, scaled to 60 s.
  public var volumeUSDMin = 1_000_000.0
  /// Share of a window's seconds that is moved to the nearest kept value at either end before its median is taken.
  public var winsorizedShare = 0.05
  /// The market is active when at least this share of the symbols that deliver is.
  public var symbolsShareMin = 0.5

  public init() {}
}

/// What a mode changes; 0 leaves a value as it is configured for the normal regime.
public struct ModeParameters: Equatable, Sendable {
  public var levels = 0
  public var ofiWindowMs = 0
  public var cvdWindowMs = 0
  /// Of a symbol's paper position.
  public var positionNotionalUSDTMax: Double
  /// Between two flushes of the live sinks; 0 for each batch.
  public var flushMs: Int
  /// Between two lines of the signal stage's state in its log.
  public var logSeconds: Int

  public init(positionNotionalUSDTMax: Double, flushMs: Int, logSeconds: Int) {
    self.positionNotionalUSDTMax = positionNotionalUSDTMax
    self.flushMs = flushMs
    self.logSeconds = logSeconds
  }
}

/// How a symbol's volatility is told to be high or low.
public struct VolatilityConfiguration: Equatable, Sendable {
  /// Realised volatility is taken over this time…
  public var windowSeconds = 60
  /// …and compared with the median of its values over this time.
  public var historySeconds = 1800
  public var strideSeconds = 10
  /// Values needed before it is told.
  public var samplesMin = 6
  /// Changes within ±this share of the median change nothing.
  public var band = 0.1

  public init() {}

  public static let samplesMax = 4096
}

/// Signals of single ingredients, recorded beside the main chain.
public struct ShadowConfiguration: Equatable, Sendable {
  public var isEnabled = true
  /// Weights of the fusion that is judged beside the live one.
  public var weightOFI = 0.5
  public var weightCVD = 0.5

  public init() {}
}
