import Core
import Strategy

/// What a search for scenario parameters is told.
public struct TuningOptions: Equatable, Sendable {
  /// Parameter sets tried per scenario, the present one included.
  public var trials = 64
  public var folds = 4
  /// Between what is learnt from and what is tested, seconds.
  public var embargoSeconds = 60
  /// Over which two scores share order flow: the longest window they are made of, seconds.
  public var horizonSeconds = 10
  /// Fewer trades show nothing, in learning or in testing.
  public var tradesMin = 30
  public var seed: UInt64 = 1
  /// From a decision to its fill.
  public var latencyMs = 250
  /// Of each order.
  public var takerFeeBps = 5.0
  /// Least deflated Sharpe ratio of a proposal.
  public var deflatedMin = 0.95

  public init() {}

  public static let trialsRange = 2...10_000
  public static let foldsRange = 1...50
}

/// Searches entry thresholds and exits of each scenario, and says honestly when there is nothing to find.
///
/// **Problem.** Of many parameter sets some do well on any recording, by luck. One that is put to work must earn more
/// than its cost on data it was not chosen by, and more than luck alone would show after so many trials.
///
/// **Why the obvious answer fails.** The best in-sample set loses out of sample; a random split into folds
/// learns from trades that overlap the tested ones; a t-test ignores how many sets were tried, and takes trades
/// of the same minute for independent.
///
/// **Algorithm.** Per scenario a seeded random search around the present parameters (``ParameterSearch``), each set
/// traded over all data (``TradeSimulation``). Walk-forward (``WalkForward``): before each test span the set with
/// the highest t statistic of net results over blocks of time (``TradeOutcome``) is picked, among those that
/// bring more a trade than the present parameters: what is not modelled, liquidity above all, costs by the trade, so a
/// set that earns more by many poorer trades is no better. Its trades in the span count. The proposal is the set picked by all data. It is made only when the walk-forward result is
/// positive after cost and above that of the present parameters over the same spans, with enough trades, and when
/// the pick's deflated Sharpe ratio (``SharpeEstimate``) is high enough. The trials that it is deflated by are those
/// of all scenarios together, since the best of all of them is looked at: the sum of their effective numbers. The
/// variance is that of the scenario's own trials, and at least 1/(T − 1), what luck alone gives each of them (A. W. Lo,
/// Financial Analysts Journal 58 (4), 2002): trials that are nearly the same would otherwise deflate nothing.
///
/// **Bounds.** One simulation a trial and symbol, plus one a fold; results of trials are kept as sums. Trials that
/// differ in earnest raise the variance and with it the bar: an edge must be clear to be proposed.
public struct Tuner: Sendable {
  /// Fewer blocks of time are not judged.
  public static let blocksMin = 10
  /// Blocks by which trials are compared with each other.
  private static let blocksMax: Int64 = 4096

  let simulations: [TradeSimulation]
  let options: TuningOptions
  let plan: WalkForward

  /// - Returns: nil when no series has a price.
  public init?(_ series: [EvaluationSeries], _ options: TuningOptions) {
    precondition(TuningOptions.trialsRange.contains(options.trials))
    precondition(TuningOptions.foldsRange.contains(options.folds))
    self.options = options
    simulations = series.map {
      TradeSimulation($0, latencyMs: options.latencyMs, takerFeeBps: options.takerFeeBps)
    }
    let spans = simulations.compactMap(\.span)
    guard let start = spans.map(\.lowerBound).min(), let end = spans.map(\.upperBound).max() else {
      return nil
    }
    plan = WalkForward(
      startNs: start, endNs: end, folds: options.folds,
      horizonNs: Int64(options.horizonSeconds) * Nanoseconds.second,
      embargoNs: Int64(options.embargoSeconds) * Nanoseconds.second)
  }

  /// Searches all scenarios.
  ///
  /// - Parameters:
  ///   - table: the present parameters.
  ///   - progress: told how many of all trials are done.
  public func run(_ table: ScenarioTable, progress: (_ done: Int, _ of: Int) -> Void = { _, _ in })
    -> TuningResult
  {
    let total = Scenario.cells.count * options.trials
    var done = 0
    var searches: [Search] = []
    for scenario in Scenario.cells {
      var search = Search(scenario, base: table[scenario]!)
      let isSeen = simulations.contains { $0.candidates.contains { $0.scenario == scenario } }
      var random = SeededRandom(seed: options.seed).stream(UInt64(scenario.rawValue))
      for parameters in ParameterSearch.trials(around: search.base, count: options.trials, &random) {
        if isSeen { add(parameters, to: &search) }
        done += 1
        progress(done, total)
      }
      search.effectiveTrials = SharpeEstimate.effectiveTrials(search.trials.map(\.blocks))
      for index in search.trials.indices { search.trials[index].blocks = [] }
      searches.append(search)
    }
    let effective = searches.reduce(0) { $0 + $1.effectiveTrials }
    return TuningResult(
      cells: searches.map { conclude($0, trials: effective) }, effectiveTrials: effective, plan: plan,
      options: options, table: table, symbols: simulations.map(\.symbol))
  }

  // MARK: One scenario

  private struct Trial {
    var parameters: ScenarioParameters
    var whole: TradeOutcome
    /// Before each fold's test span.
    var train: [TradeOutcome]
    /// Net basis points of each block of the data.
    var blocks: [Double]
  }

  private struct Search {
    var scenario: Scenario
    var base: ScenarioParameters
    var trials: [Trial] = []
    var effectiveTrials = 0.0

    init(_ scenario: Scenario, base: ScenarioParameters) {
      self.scenario = scenario
      self.base = base
    }

    /// The time that the present parameters hold a position: trades closer to each other are taken together.
    var blockNs: Int64 { Int64(base.holdSecondsMax) * Nanoseconds.second }
  }

  private func trades(_ parameters: ScenarioParameters, _ scenario: Scenario) -> [SimulatedTrade] {
    simulations.flatMap { $0.trades { $0 == scenario ? parameters : nil } }
  }

  /// The longest that a trade is held, fills included.
  private func holdNs(_ parameters: ScenarioParameters) -> Int64 {
    let fillNs = simulations.map { Int64($0.latencySteps) * $0.stepNs }.max() ?? 0
    let stepNs = simulations.map(\.stepNs).max() ?? 0
    return Int64(parameters.holdSecondsMax) * Nanoseconds.second + 2 * fillNs + stepNs
  }

  private func add(_ parameters: ScenarioParameters, to search: inout Search) {
    let holdNs = holdNs(parameters)
    let trades = trades(parameters, search.scenario).filter { plan.isWhole($0, holdNs: holdNs) }
    let lengthNs = max(search.blockNs, (plan.endNs - plan.startNs) / Tuner.blocksMax + 1)
    let first = plan.startNs / lengthNs
    var blocks = [Double](repeating: 0, count: Int(plan.endNs / lengthNs - first) + 1)
    for (block, netBps) in TradeOutcome.blockTotals(trades, blockNs: lengthNs) {
      // A row's time may lie up to a step before the first price.
      blocks[max(0, min(blocks.count - 1, Int(block - first)))] += netBps
    }
    search.trials.append(
      Trial(
        parameters: parameters, whole: TradeOutcome(trades, blockNs: search.blockNs),
        train: plan.folds.map { fold in
          TradeOutcome(
            trades.filter { plan.trains(fold, $0, holdNs: holdNs) }, blockNs: search.blockNs)
        }, blocks: blocks))
  }

  private func isJudged(_ outcome: TradeOutcome) -> Bool {
    outcome.trades >= options.tradesMin && (outcome.blocks?.observations ?? 0) >= Tuner.blocksMin
  }

  /// The trial with the highest t statistic of those that bring more a trade than the present parameters, the first,
  /// which it is when there is none; nil when none has enough trades.
  private func best(_ outcomes: [TradeOutcome]) -> Int? {
    let present = isJudged(outcomes[0]) ? outcomes[0].netBpsMean ?? 0 : -.infinity
    var best: (index: Int, t: Double)?
    for (index, outcome) in outcomes.enumerated().dropFirst() where isJudged(outcome) {
      guard let t = outcome.blocks?.tStatistic, t > best?.t ?? -.infinity, outcome.netBpsMean ?? 0 > present
      else { continue }
      best = (index, t)
    }
    return best?.index ?? (isJudged(outcomes[0]) ? 0 : nil)
  }

  private func conclude(_ search: Search, trials effective: Double) -> TuningResult.Cell {
    var cell = TuningResult.Cell(scenario: search.scenario, base: search.base)
    cell.trials = search.trials.count
    cell.effectiveTrials = search.effectiveTrials
    guard !search.trials.isEmpty else { return cell }
    var tested: [SimulatedTrade] = []
    var baseTested: [SimulatedTrade] = []
    for (index, fold) in plan.folds.enumerated() {
      // What cannot be judged yet is left as it is.
      let best = best(search.trials.map { $0.train[index] })
      let pick = best ?? 0
      func inTest(_ parameters: ScenarioParameters) -> [SimulatedTrade] {
        let holdNs = holdNs(parameters)
        return trades(parameters, search.scenario).filter { plan.tests(fold, $0, holdNs: holdNs) }
      }
      let picked = inTest(search.trials[pick].parameters)
      let base = pick == 0 ? picked : inTest(search.base)
      tested += picked
      baseTested += base
      cell.folds.append(
        .init(
          fold: fold, isJudged: best != nil, parameters: search.trials[pick].parameters,
          train: search.trials[pick].train[index],
          test: TradeOutcome(picked, blockNs: search.blockNs),
          baseTest: TradeOutcome(base, blockNs: search.blockNs)))
    }
    cell.test = TradeOutcome(tested, blockNs: search.blockNs)
    cell.baseTest = TradeOutcome(baseTested, blockNs: search.blockNs)
    cell.baseWhole = search.trials[0].whole
    let judged = search.trials.map(\.whole).filter(isJudged).compactMap(\.blocks)
    cell.trialsJudged = judged.count
    // In units of 1/√(T − 1), so that trials with unlike numbers of observations can be compared.
    let scaled = judged.map { $0.sharpe * Double($0.observations - 1).squareRoot() }
    let mean = scaled.reduce(0, +) / Double(max(1, scaled.count))
    cell.trialsVariance =
      scaled.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, scaled.count - 1))
    if let index = best(search.trials.map(\.whole)), let blocks = search.trials[index].whole.blocks {
      cell.pick = search.trials[index].parameters
      cell.whole = search.trials[index].whole
      cell.deflatedSharpe = blocks.deflated(
        trials: effective, variance: max(1, cell.trialsVariance) / Double(blocks.observations - 1))
    }
    cell.verdict = verdict(cell)
    return cell
  }

  private func verdict(_ cell: TuningResult.Cell) -> TuningResult.Verdict {
    guard let pick = cell.pick else { return .tooFewTrades }
    if pick == cell.base { return .presentIsBest }
    guard cell.folds.contains(where: \.isJudged), cell.test.trades >= options.tradesMin,
      let mean = cell.test.netBpsMean
    else { return .tooFewTrades }
    if mean <= 0 { return .losesAfterCost }
    if mean <= cell.baseTest.netBpsMean ?? 0 { return .presentIsBetter }
    if !(cell.deflatedSharpe ?? 0 >= options.deflatedMin) { return .mayBeLuck }
    return .proposed
  }
}
