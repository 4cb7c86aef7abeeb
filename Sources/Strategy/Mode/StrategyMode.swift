import Core

/// Decides between quiet and active, window by window.
///
/// **Problem.** A market that lives near a threshold is above it in one minute and below it in the next. A
/// stage that follows every minute switches parameters all day, and none of its signals is comparable with
/// the one before.
///
/// **Why the obvious answer fails.** Counting calls ("three times above") depends on how often somebody asks,
/// so a replay at another speed switches elsewhere. Two thresholds, one to enter and one to leave, need a
/// second value for each of five figures and do nothing for a schedule.
///
/// **Algorithm.** A Schmitt trigger in time. The unit is the window of tape time; each whole window that is
/// evidence asks for active or for quiet, by the schedule, the market, or both of them (or, and). So many
/// windows in a row that ask for active make the regime active, so many that ask for quiet make it quiet;
/// until one of the two has happened it is normal. Between two changes to the same side lie therefore at
/// least as many windows as both numbers together, whatever the market does.
///
/// A trigger that is switched off takes no part; with both of them off nothing asks, and the regime stays
/// normal. A schedule is asked for a window's first moment: a window belongs to the hours in which it begins.
///
/// **What does not count.** The tape's first window, of which a part is missing; a window in which no frame
/// came; one through which the tape was silent for so long that grid points were left out. Such a window asks
/// for nothing and ends no row of windows: silence is no evidence, for either side.
///
/// **Bounds.** A few integers; one step a window.
public struct StrategyMode: Equatable, Sendable {
  /// Windows since the beginning.
  public struct Windows: Equatable, Sendable {
    /// Whole or not.
    public var seen: Int64 = 0
    public var active: Int64 = 0
    public var quiet: Int64 = 0

    public init(seen: Int64 = 0, active: Int64 = 0, quiet: Int64 = 0) {
      self.seen = seen
      self.active = active
      self.quiet = quiet
    }
  }

  /// What the newest window that counted showed.
  public struct Window: Equatable, Sendable {
    public var endNs: Int64
    /// Whether it asked for active; nil where the trigger is off.
    public var schedule: Bool?
    public var market: Bool?
    public var verdict: MarketVerdict?
  }

  public let configuration: StrategyConfiguration
  public let schedule: Schedule?
  /// Normal until enough windows agreed.
  public internal(set) var regime = Signal.Regime.normal
  /// Of the regime.
  public internal(set) var reason = Reason.none
  public internal(set) var windows = Windows()
  public internal(set) var newest: Window?
  var activeInARow = 0
  var quietInARow = 0

  /// Which triggers made the regime what it is. Names are part of the output.
  public enum Reason: UInt8, Sendable {
    case none, schedule, market, both

    public var name: String {
      switch self {
      case .none: "none"
      case .schedule: "schedule"
      case .market: "market"
      case .both: "schedule+market"
      }
    }
  }

  /// - Throws: ``ScheduleError``
  public init(_ configuration: StrategyConfiguration) throws(ScheduleError) {
    self.configuration = configuration
    schedule = configuration.schedule.isEnabled ? try Schedule(configuration.schedule) : nil
  }

  /// A window of which nothing follows.
  public mutating func skipWindow() { windows.seen += 1 }

  /// A whole window is over.
  ///
  /// - Parameter verdict: nil when no symbol gave evidence; the window then does not count.
  /// - Returns: whether the regime is another now.
  public mutating func step(startNs: Int64, endNs: Int64, _ verdict: MarketVerdict?) -> Bool {
    windows.seen += 1
    guard let verdict else { return false }
    let window = Window(
      endNs: endNs, schedule: schedule?.asksForActive(at: startNs),
      market: configuration.market.isEnabled ? verdict.isActive : nil, verdict: verdict)
    newest = window
    guard let asksForActive = combined(window) else { return false }
    if asksForActive {
      windows.active += 1
      activeInARow = min(activeInARow + 1, configuration.activeWindowsMin)
      quietInARow = 0
      guard activeInARow == configuration.activeWindowsMin else { return false }
      return change(to: .active, window)
    }
    windows.quiet += 1
    quietInARow = min(quietInARow + 1, configuration.quietWindowsMin)
    activeInARow = 0
    guard quietInARow == configuration.quietWindowsMin else { return false }
    return change(to: .quiet, window)
  }

  /// nil when no trigger is in use.
  private func combined(_ window: Window) -> Bool? {
    let asking = [window.schedule, window.market].compactMap { $0 }
    if asking.isEmpty { return nil }
    return configuration.combination == .or ? asking.contains(true) : !asking.contains(false)
  }

  private mutating func change(to wanted: Signal.Regime, _ window: Window) -> Bool {
    guard regime != wanted else { return false }
    regime = wanted
    let isSchedule = window.schedule == (wanted == .active)
    let isMarket = window.market == (wanted == .active)
    reason = isSchedule && isMarket ? .both : isSchedule ? .schedule : .market
    return true
  }
}
