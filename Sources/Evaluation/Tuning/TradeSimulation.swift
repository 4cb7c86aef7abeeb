import Core
import Strategy

/// A round trip that scenario parameters would have made.
public struct SimulatedTrade: Equatable, Sendable {
  /// Why a position was left. Order: the first that applies is the one given.
  public enum Exit: UInt8, Sendable, CaseIterable {
    case stopLoss, takeProfit
    /// The score no longer supports the position.
    case score
    case hold
    /// The data ends first; the last quote is taken.
    case end

    public var name: StaticString {
      switch self {
      case .stopLoss: "stop_loss"
      case .takeProfit: "take_profit"
      case .score: "score"
      case .hold: "hold"
      case .end: "end_of_data"
      }
    }
  }

  /// Of the row that was followed.
  public var scenario: Scenario
  /// 1 long, −1 short.
  public var direction: Int
  /// When it was decided, when it was entered and when it was over; tape time.
  public var signalNs: Int64
  public var entryNs: Int64
  public var exitNs: Int64
  /// Into the series' grid.
  public var entryIndex: Int
  public var exitIndex: Int
  /// From touch to touch, in basis points of the price at the entry.
  public var grossBps: Double
  /// ``grossBps`` without the fees of both orders.
  public var netBps: Double
  public var exit: Exit

  public init(
    scenario: Scenario, direction: Int, signalNs: Int64, entryNs: Int64, exitNs: Int64, entryIndex: Int,
    exitIndex: Int, grossBps: Double, netBps: Double, exit: Exit
  ) {
    self.scenario = scenario
    self.direction = direction
    self.signalNs = signalNs
    self.entryNs = entryNs
    self.exitNs = exitNs
    self.entryIndex = entryIndex
    self.exitIndex = exitIndex
    self.grossBps = grossBps
    self.netBps = netBps
    self.exit = exit
  }
}

/// One symbol's signals and touches, ready to be traded again and again under other parameters.
///
/// **Problem.** Thresholds can only be compared by what trading on them would have brought, after cost.
///
/// **Why the obvious answer fails.** Returns over a fixed horizon, summed over all rows beyond a threshold, count
/// the same move once for each overlapping row, know no stop, and fill at a mid that nobody can trade at.
///
/// **Algorithm.** One position at a time. A row is a candidate when it has a direction and no gate but the entry
/// threshold stood in its way, so that thresholds can be searched upward and downward. It is followed when its
/// |score| reaches the entry threshold of its scenario times the discount. The order fills at the touch
/// ``latencySteps`` after the row: it pays half the spread. Then at each step of the grid: stop loss, take profit,
/// a score below the exit threshold, hold time, in this order; the exit is as late as the entry and pays its half
/// of the spread, too. Both orders pay the taker fee. Where there is no quote nothing can be traded: such an entry
/// is not made, an exit waits.
///
/// **Bounds and limits.** Three doubles a step; a run over the data is O(steps + candidates). The size is so
/// small that the touch fills it and the market does not answer: liquidity is not modelled. Prices between two
/// steps are not seen, so a stop is as late as the grid. The gates behind the entry threshold are not known of a row
/// that the threshold refused: cooldowns after a resync or a reconnect, and bad clocks, are taken from the row
/// that last got so far; the reversal and repetition gates are stood in for by the one position; that only strong
/// types were confirmed while degraded is not known.
public struct TradeSimulation: Sendable {
  /// A row that may be followed.
  struct Candidate: Sendable {
    var index: Int
    var timeNs: Int64
    var scenario: Scenario
    var direction: Int
    var score: Double
  }

  public let symbol: String
  let startNs: Int64
  public let stepNs: Int64
  /// Steps from a decision to its fill.
  public let latencySteps: Int
  private let feesBps: Double
  private let bids: [Double]
  private let asks: [Double]
  /// The score of the newest row at each step; NaN where there is none.
  private let scores: [Double]
  let candidates: [Candidate]

  /// - Parameters:
  ///   - latencyMs: from a row to the fill, and from an exit's reason to its fill; rounded up to whole steps.
  ///   - takerFeeBps: of each of the two orders.
  public init(_ series: EvaluationSeries, latencyMs: Int, takerFeeBps: Double) {
    precondition(series.mids.count == series.spreadsBps.count, "a spread for each mid")
    symbol = series.symbol
    startNs = series.startNs
    stepNs = series.stepNs
    latencySteps = Int((Int64(latencyMs) * Nanoseconds.millisecond + series.stepNs - 1) / series.stepNs)
    feesBps = 2 * takerFeeBps
    bids = zip(series.mids, series.spreadsBps).map { $0 * (1 - $1 / 2e4) }
    asks = zip(series.mids, series.spreadsBps).map { $0 * (1 + $1 / 2e4) }
    var scores = [Double](repeating: .nan, count: series.mids.count)
    var candidates: [Candidate] = []
    var isBarred = false
    for row in series.rows where !row.trigger.isShadow {
      if row.index >= 0, row.index < scores.count { scores[row.index] = row.score }
      switch row.guardReason {
      case .degradedTimeSync, .resyncCooldown, .reconnectCooldown: isBarred = true
      case .none, .reverseCooldown, .dedupe: isBarred = false
      default: break
      }
      let isOpen = row.guardReason == .none || (row.guardReason == .belowEntry && !isBarred)
      guard isOpen, row.kind.direction != 0, row.scenario != .none, row.score.isFinite else { continue }
      candidates.append(
        Candidate(
          index: row.index, timeNs: row.timeNs, scenario: row.scenario, direction: row.kind.direction,
          score: row.score))
    }
    self.scores = scores
    self.candidates = candidates
  }

  /// Moments of the first and the last step; nil without any.
  public var span: ClosedRange<Int64>? {
    bids.isEmpty ? nil : startNs...startNs + Int64(bids.count - 1) * stepNs
  }

  /// The trades that parameters make, in order of time.
  ///
  /// - Parameter parameters: of each scenario; one that has none is not traded.
  /// - Complexity: O(steps + candidates)
  public func trades(_ parameters: (Scenario) -> ScenarioParameters?) -> [SimulatedTrade] {
    let table = Scenario.allCases.map(parameters)
    var trades: [SimulatedTrade] = []
    var freeFrom = 0
    for candidate in candidates where candidate.index >= freeFrom {
      guard let rule = table[Int(candidate.scenario.rawValue)], follows(candidate, rule) else { continue }
      guard let trade = trade(candidate, rule) else { continue }
      trades.append(trade)
      freeFrom = trade.exitIndex
    }
    return trades
  }

  private func follows(_ candidate: Candidate, _ rule: ScenarioParameters) -> Bool {
    candidate.direction > 0
      ? candidate.score >= rule.entryBuy * rule.discount : -candidate.score >= rule.entrySell * rule.discount
  }

  /// nil where the entry finds no quote, or no later one by which it could be left.
  private func trade(_ candidate: Candidate, _ rule: ScenarioParameters) -> SimulatedTrade? {
    let entry = candidate.index + latencySteps
    let isLong = candidate.direction > 0
    guard entry >= 0, entry < bids.count - 1 else { return nil }
    let entryPrice = isLong ? asks[entry] : bids[entry]
    guard entryPrice.isFinite, entryPrice > 0 else { return nil }
    let direction = Double(candidate.direction)
    func grossBps(_ index: Int) -> Double {
      1e4 * direction * ((isLong ? bids[index] : asks[index]) / entryPrice - 1)
    }
    let holdNs = Int64(rule.holdSecondsMax) * Nanoseconds.second
    let lastHeld = entry + Int((holdNs + stepNs - 1) / stepNs)
    var reason = SimulatedTrade.Exit.end
    var step = entry + 1
    while step < bids.count {
      let result = grossBps(step)
      // Comparisons with NaN are false.
      if result <= -rule.stopLossBps {
        reason = .stopLoss
      } else if result >= rule.takeProfitBps {
        reason = .takeProfit
      } else if direction * scores[step] < rule.exit {
        reason = .score
      } else if step >= lastHeld {
        reason = .hold
      }
      if reason != .end { break }
      step += 1
    }
    var exit = step + latencySteps
    while exit < bids.count, !grossBps(exit).isFinite { exit += 1 }
    if exit >= bids.count {
      reason = .end
      exit = bids.count - 1
      while exit > entry, !grossBps(exit).isFinite { exit -= 1 }
      guard exit > entry else { return nil }
    }
    let gross = grossBps(exit)
    return SimulatedTrade(
      scenario: candidate.scenario, direction: candidate.direction, signalNs: candidate.timeNs,
      entryNs: startNs + Int64(entry) * stepNs, exitNs: startNs + Int64(exit) * stepNs, entryIndex: entry,
      exitIndex: exit, grossBps: gross, netBps: gross - feesBps, exit: reason)
  }
}
