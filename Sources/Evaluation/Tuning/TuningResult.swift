import Core
import Strategy

/// What a search for scenario parameters has found.
public struct TuningResult: Equatable, Sendable {
  /// What becomes of a scenario's parameters. Order: the first that applies is the one given.
  public enum Verdict: String, Sendable, CaseIterable {
    case noSignals = "no_signals"
    case tooFewTrades = "too_few_trades"
    case presentIsBest = "default_is_best"
    case losesAfterCost = "loses_after_cost"
    case presentIsBetter = "default_is_better"
    case mayBeLuck = "may_be_luck"
    case proposed

    /// For people.
    public var text: String {
      switch self {
      case .noSignals: "keeps its parameters: no signal of this scenario"
      case .tooFewTrades: "keeps its parameters: too few trades to judge"
      case .presentIsBest: "keeps its parameters: no trial did better on all data"
      case .losesAfterCost: "keeps its parameters: what was picked lost after cost out of sample"
      case .presentIsBetter: "keeps its parameters: out of sample they did better"
      case .mayBeLuck: "keeps its parameters: the best of so many trials may be luck"
      case .proposed: "new parameters are proposed"
      }
    }
  }

  public struct FoldResult: Equatable, Sendable {
    public var fold: WalkForward.Fold
    /// Whether the time before it has trades enough; without, the present parameters are taken.
    public var isJudged: Bool
    /// Picked by the time before the span.
    public var parameters: ScenarioParameters
    public var train: TradeOutcome
    public var test: TradeOutcome
    /// Of the present parameters over the same span.
    public var baseTest: TradeOutcome
  }

  public struct Cell: Equatable, Sendable {
    public var scenario: Scenario
    /// The present parameters.
    public var base: ScenarioParameters
    public var verdict = Verdict.noSignals
    public var trials = 0
    /// Those with enough trades.
    public var trialsJudged = 0
    public var effectiveTrials = 0.0
    /// Of the trials' Sharpe ratios, in units of 1/(T − 1).
    public var trialsVariance = 0.0
    /// The best set on all data; nil when none could be judged.
    public var pick: ScenarioParameters?
    /// The pick's on all data.
    public var whole = TradeOutcome([], blockNs: 1)
    public var baseWhole = TradeOutcome([], blockNs: 1)
    /// Out of sample: what was picked before each span.
    public var test = TradeOutcome([], blockNs: 1)
    public var baseTest = TradeOutcome([], blockNs: 1)
    /// Of the pick on all data, by the trials of all scenarios.
    public var deflatedSharpe: Double?
    public var folds: [FoldResult] = []

    init(scenario: Scenario, base: ScenarioParameters) {
      self.scenario = scenario
      self.base = base
    }

    /// What the scenario should use.
    public var parameters: ScenarioParameters { verdict == .proposed ? pick ?? base : base }
  }

  /// In the order of `Scenario.cells`.
  public var cells: [Cell]
  /// Of all scenarios together.
  public var effectiveTrials: Double
  public var plan: WalkForward
  public var options: TuningOptions
  /// The present parameters.
  public var table: ScenarioTable
  public var symbols: [String]

  public var proposed: [Cell] { cells.filter { $0.verdict == .proposed } }

  /// The present parameters with what is proposed; nil when nothing beats them.
  public var proposedTable: ScenarioTable? {
    guard !proposed.isEmpty else { return nil }
    var table = table
    for cell in proposed {
      switch cell.scenario {
      case .none: break
      case .activeHigh: table.activeHigh = cell.parameters
      case .activeLow: table.activeLow = cell.parameters
      case .quietHigh: table.quietHigh = cell.parameters
      case .quietLow: table.quietLow = cell.parameters
      }
    }
    return table
  }

  /// `20240718-20240719`: the days of the data.
  public var daysText: String {
    func day(_ ns: Int64) -> String { UTCDate(UnixNanos(ns)).dayText.filter { $0 != "-" } }
    return day(plan.startNs) + "-" + day(plan.endNs)
  }
}

extension TuningResult {
  public var json: JSONValue {
    .object([
      "schema_version": .integer(1),
      "verdict": .string(proposed.isEmpty ? "nothing beats the default" : "proposed"),
      "proposed": .array(proposed.map { .string("\($0.scenario.name)") }),
      "from": .string(UTCDate(UnixNanos(plan.startNs)).isoText),
      "to": .string(UTCDate(UnixNanos(plan.endNs)).isoText),
      "symbols": .array(symbols.map { .string($0) }),
      "trials_per_scenario": .integer(options.trials), "effective_trials": .rounded(effectiveTrials, 2),
      "folds": .integer(options.folds), "embargo_s": .integer(options.embargoSeconds),
      "horizon_s": .integer(options.horizonSeconds), "trades_min": .integer(options.tradesMin),
      "latency_ms": .integer(options.latencyMs), "taker_fee_bps": .double(options.takerFeeBps),
      "dsr_min": .double(options.deflatedMin), "seed": .integer(options.seed),
      "scenarios": .object(cells.map { .init("\($0.scenario.name)", $0.json) }),
    ])
  }
}

extension TuningResult.Cell {
  var json: JSONValue {
    .object([
      "verdict": .string(verdict.rawValue), "trials": .integer(trials),
      "trials_judged": .integer(trialsJudged), "effective_trials": .rounded(effectiveTrials, 2),
      "trials_variance": .rounded(trialsVariance, 4), "dsr": .rounded(deflatedSharpe, 4),
      "default": .object([
        "parameters": base.json, "all": baseWhole.json, "out_of_sample": baseTest.json,
      ]),
      "pick": .object([
        "parameters": pick?.json ?? .null, "all": whole.json, "out_of_sample": test.json,
      ]),
      "folds": .array(
        folds.map { fold in
          .object([
            "from": .string(UTCDate(UnixNanos(fold.fold.testStartNs)).isoText),
            "to": .string(UTCDate(UnixNanos(fold.fold.testEndNs)).isoText),
            "judged": .bool(fold.isJudged), "parameters": fold.parameters.json, "train": fold.train.json,
            "test": fold.test.json,
            "default_test": fold.baseTest.json,
          ])
        }),
    ])
  }
}

extension ScenarioParameters {
  /// By the names of the parameter file.
  public var json: JSONValue {
    .object([
      "entry_buy": .double(entryBuy), "entry_sell": .double(entrySell), "exit": .double(exit),
      "take_profit_bps": .double(takeProfitBps), "stop_loss_bps": .double(stopLossBps),
      "hold_s_max": .integer(holdSecondsMax), "discount": .double(discount),
    ])
  }
}
