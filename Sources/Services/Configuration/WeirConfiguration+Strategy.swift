import Broker
import Configuration
import Flow
import Strategy

extension StrategyConfiguration {
  /// ``mode`` as it is written.
  var modeName: String {
    get { "\(mode.name)" }
    set { mode = Signal.Mode.allCases.first { "\($0.name)" == newValue } ?? mode }
  }
}

extension WeirConfiguration {
  /// Variables that set keys by other names; commands that roll a strategy back use them.
  public static let environmentAliases = [
    ConfigLoader<WeirConfiguration>.Alias("STRATEGY_MODE", key: "strategy.mode"),
    ConfigLoader<WeirConfiguration>.Alias(
      "DYNAMIC_MODE_ENABLED", key: "strategy.dynamic", words: ["1": "true", "0": "false"]),
  ]

  static let strategyKeys: [ConfigKey<WeirConfiguration>] =
    modes
    + ConfigKey.section("strategy.active", \.signal.strategy.active, modeKeys)
    + ConfigKey.section("strategy.quiet", \.signal.strategy.quiet, modeKeys)

  private static let modes: [ConfigKey<WeirConfiguration>] = [
    .oneOf(
      "strategy.mode", \.signal.strategy.modeName, Signal.Mode.allCases.map { "\($0.name)" },
      "who decides between quiet and active; also STRATEGY_MODE"),
    .boolean(
      "strategy.dynamic", \.signal.strategy.isDynamic,
      "whether auto changes the regime; without it, it stays normal; also DYNAMIC_MODE_ENABLED"),
    .choice(
      "strategy.combine", \.signal.strategy.combination, "schedule or market, or both of them"),
    .integer(
      "strategy.min_active_windows", \.signal.strategy.activeWindowsMin, 1...1440,
      "windows in a row before active"),
    .integer(
      "strategy.min_quiet_windows", \.signal.strategy.quietWindowsMin, 1...1440, "and before quiet"),
    .integer("strategy.window_s", \.signal.strategy.windowSeconds, 5...3600, "tape time of a window"),
    .boolean(
      "strategy.throttle_in_quiet", \.signal.strategy.throttlesInQuiet, "fewer rows in quiet"),
    .double(
      "strategy.quiet_row_ratio", \.signal.strategy.quietRowRatio, 0.01...1, "share of the rows that is made"),
    .boolean(
      "strategy.schedule.enabled", \.signal.strategy.schedule.isEnabled, "hours ask for active"),
    .text(
      "strategy.schedule.time_zone", \.signal.strategy.schedule.timeZone,
      "zone of the hours: a name or an offset such as +08:00"),
    .texts(
      "strategy.schedule.weekdays", \.signal.strategy.schedule.weekdays, count: 0...7,
      "mon to sun; empty for all"),
    .texts(
      "strategy.schedule.windows", \.signal.strategy.schedule.windows, count: 0...48,
      "such as 09:30-16:00, or 22:00-02:00 over midnight; empty for the whole day"),
    .texts(
      "strategy.schedule.holidays", \.signal.strategy.schedule.holidays, count: 0...366,
      "such as 2026-12-25: never active"),
    .boolean("strategy.market.enabled", \.signal.strategy.market.isEnabled, "the market asks for active"),
    .double(
      "strategy.market.trades_per_min", \.signal.strategy.market.tradesPerMinuteMin, 0...1e9,
      "from so many trades"),
    .double(
      "strategy.market.quote_updates_per_s", \.signal.strategy.market.quotesPerSecondMin, 0...1e9,
      "and quote updates, in the median second"),
    .double(
      "strategy.market.spread_bps_max", \.signal.strategy.market.spreadBpsMax, 0...10_000,
      "and up to this median spread"),
    .double(
      "strategy.market.volatility_bps", \.signal.strategy.market.volatilityBpsMin, 0...100_000,
      "and from this realised volatility, per square root of a minute"),
    .double(
      "strategy.market.volume_usd", \.signal.strategy.market.volumeUSDMin, 0...1e15,
      "and this volume in quote asset, over 60 s"),
    .double(
      "strategy.market.winsorized_share", \.signal.strategy.market.winsorizedShare, 0...0.49,
      "of a window's seconds at either end"),
    .double(
      "strategy.market.symbols_share", \.signal.strategy.market.symbolsShareMin, 0...1,
      "of the symbols that must be active"),
    .integer(
      "strategy.volatility.window_s", \.signal.strategy.volatility.windowSeconds, 5...3600,
      "over which volatility is taken"),
    .integer(
      "strategy.volatility.history_s", \.signal.strategy.volatility.historySeconds, 60...86_400,
      "whose median divides high from low"),
    .integer(
      "strategy.volatility.stride_s", \.signal.strategy.volatility.strideSeconds, 1...3600,
      "distance of its values"),
    .integer(
      "strategy.volatility.samples_min", \.signal.strategy.volatility.samplesMin, 1...4096,
      "values before it is told"),
    .double(
      "strategy.volatility.band", \.signal.strategy.volatility.band, 0...0.9,
      "share of the median within which nothing changes"),
    .boolean("shadow.enabled", \.signal.shadow.isEnabled, "record single ingredients beside the main chain"),
    .double(
      "shadow.weight_ofi", \.signal.shadow.weightOFI, 0...1, "of the fusion judged beside the live one"),
    .double(
      "shadow.weight_cvd", \.signal.shadow.weightCVD, 0...1, "of the fusion judged beside the live one"),
  ]

  private static let modeKeys: [ConfigKey<ModeParameters>] = [
    .integer(
      "levels", \.levels, 0...FlowConfiguration.levelsMax, "book levels in the OFI; 0: as in flow"),
    .integer("ofi_window_ms", \.ofiWindowMs, 0...600_000, "0: as in flow"),
    .integer("cvd_window_ms", \.cvdWindowMs, 0...600_000, "0: as in flow"),
    .double(
      "position_notional_usdt_max", \.positionNotionalUSDTMax, 0...1_000_000_000,
      "of a paper position; 0: as in broker"),
    .integer("flush_ms", \.flushMs, 0...60_000, "between two flushes of live rows; 0: each batch"),
    .integer("log_s", \.logSeconds, 1...86_400, "between two lines of state in the log"),
  ]

  static let scenarioKeys: [ConfigKey<WeirConfiguration>] =
    ConfigKey.section("strategy.scenarios.a_h", \.signal.strategy.scenarios.activeHigh, scenario)
    + ConfigKey.section("strategy.scenarios.a_l", \.signal.strategy.scenarios.activeLow, scenario)
    + ConfigKey.section("strategy.scenarios.q_h", \.signal.strategy.scenarios.quietHigh, scenario)
    + ConfigKey.section("strategy.scenarios.q_l", \.signal.strategy.scenarios.quietLow, scenario)

  private static let scenario: [ConfigKey<ScenarioParameters>] = [
    .double("entry_buy", \.entryBuy, 0...10, "score from which a buy is confirmed"),
    .double("entry_sell", \.entrySell, 0...10, "-score from which a sell is confirmed"),
    .double("exit", \.exit, 0...10, "|score| below which a position is left"),
    .double("take_profit_bps", \.takeProfitBps, 0.1...10_000, "profit at which a position is left"),
    .double("stop_loss_bps", \.stopLossBps, 0.1...10_000, "loss at which it is left"),
    .integer("hold_s_max", \.holdSecondsMax, 1...86_400, "time after which it is left"),
    .double("discount", \.discount, 0.1...1, "factor on the entry thresholds at confirmation"),
  ]

  static let divergenceKeys: [ConfigKey<WeirConfiguration>] = [
    .boolean("divergence.enabled", \.signal.divergence.isEnabled, "look for divergences"),
    .integer("divergence.stride_ms", \.signal.divergence.strideMs, 10...60_000, "distance of two samples"),
    .integer(
      "divergence.pivot_samples", \.signal.divergence.pivotSamples,
      1...DivergenceConfiguration.pivotSamplesMax, "samples on each side that a pivot must exceed"),
    .integer(
      "divergence.separation_samples", \.signal.divergence.separationSamples, 1...3600,
      "least distance of two pivots of a kind"),
    .integer(
      "divergence.span_samples_max", \.signal.divergence.spanSamplesMax,
      2...DivergenceConfiguration.spanSamplesMaxMax, "pivots further apart are not compared"),
    .double("divergence.conflict_z_ofi", \.signal.divergence.conflictZOFI, 0...10, "|z_ofi| of a conflict"),
    .double("divergence.conflict_z_cvd", \.signal.divergence.conflictZCVD, 0...10, "|z_cvd| of a conflict"),
    .double("divergence.score_min", \.signal.divergence.scoreMin, 0...100, "lower scores are not reported"),
    .integer(
      "divergence.cooldown_ms", \.signal.divergence.cooldownMs, 0...3_600_000, "between two of one kind"),
  ]

  /// What single ranges cannot say of the strategy.
  var strategyChecks: [ConfigIssue] {
    var issues: [ConfigIssue] = []
    func demand(_ holds: Bool, _ key: String, _ message: String) {
      if !holds { issues.append(ConfigIssue(key, message)) }
    }
    let flow = signal.flow
    for (name, mode) in [("active", signal.strategy.active), ("quiet", signal.strategy.quiet)] {
      let limit = mode.positionNotionalUSDTMax
      demand(
        limit == 0 || BrokerConfiguration.positionRange.contains(limit),
        "strategy.\(name).position_notional_usdt_max", "must be 0 or at least 1")
    }
    for (name, mode) in [("active", signal.strategy.active), ("quiet", signal.strategy.quiet)] {
      demand(
        flow.weights.count >= mode.levels, "strategy.\(name).levels",
        "needs a weight for each level in flow.weights")
      demand(
        flow.historyMs >= 60 * max(mode.ofiWindowMs, mode.cvdWindowMs), "strategy.\(name).ofi_window_ms",
        "and cvd_window_ms must fit 60 times into flow.history_ms = \(flow.historyMs)")
    }
    for problem in Schedule.problems(in: signal.strategy.schedule) {
      demand(false, "strategy.schedule.\(problem.key)", problem.message)
    }
    let volatility = signal.strategy.volatility
    let samples = volatility.historySeconds / volatility.strideSeconds
    demand(
      samples <= VolatilityConfiguration.samplesMax && samples >= volatility.samplesMin,
      "strategy.volatility.history_s",
      "must hold at least strategy.volatility.samples_min and at most \(VolatilityConfiguration.samplesMax) values"
    )
    demand(
      signal.divergence.strideMs % flow.rowIntervalMs == 0, "divergence.stride_ms",
      "must be a multiple of flow.row_interval_ms = \(flow.rowIntervalMs)")
    demand(
      signal.divergence.spanSamplesMax > signal.divergence.separationSamples, "divergence.span_samples_max",
      "must exceed divergence.separation_samples")
    demand(
      signal.shadow.weightOFI + signal.shadow.weightCVD > 0, "shadow.weight_ofi",
      "and shadow.weight_cvd must not both be 0")
    return issues
  }
}
