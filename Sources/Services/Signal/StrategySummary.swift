import Core
import Strategy

extension SignalPipeline {
  /// `strategy` of `summary.json`: who decides, what is in force, how it came to that.
  var strategyJSON: JSONValue {
    let state = strategyState
    let regimes: [Signal.Regime] = [.normal, .active, .quiet]
    return .object([
      "mode": .string("\(control.mode.name)"), "regime": .string("\(control.regime.name)"),
      "time_in_mode_s": .object(
        regimes.map {
          .init("\($0.name)", .rounded(Double(state.nsInRegime[Int($0.rawValue)]) / 1e9, 3))
        }),
      "windows": .object([
        "seen": .integer(mode.windows.seen), "active": .integer(mode.windows.active),
        "quiet": .integer(mode.windows.quiet),
      ]),
      "transitions": .array(
        state.transitions.map {
          .object([
            "from": .string("\($0.from.name)"), "to": .string("\($0.to.name)"), "reason": .string($0.reason),
            "count": .integer($0.count),
          ])
        }),
      "changes": .array(state.changes.map(\.json)),
      "mode_change_failed": .object(state.refusals.map { .init($0.module, .integer($0.count)) }),
      "newest_window": mode.newest?.json ?? .null,
    ])
  }
}

extension StrategyState.Change {
  var json: JSONValue {
    .object([
      "t": .string(UTCDate(UnixNanos(timeNs)).isoText), "recv_ns": .integer(timeNs),
      "from": .string("\(from.name)"), "to": .string("\(to.name)"), "reason": .string(reason),
      "window": window?.json ?? .null,
    ])
  }
}

extension StrategyMode.Window {
  var json: JSONValue {
    func asked(_ value: Bool?) -> JSONValue { value.map { .string($0 ? "active" : "quiet") } ?? .null }
    let figures = verdict?.figures
    return .object([
      "end": .string(UTCDate(UnixNanos(endNs)).isoText), "schedule": asked(schedule),
      "market": asked(market),
      "symbols": verdict.map { .integer($0.symbols) } ?? .null,
      "symbols_active": verdict.map { .integer($0.symbolsActive) } ?? .null,
      "trades_per_min": .rounded(figures?.tradesPerMinute, 3),
      "quote_updates_per_s": .rounded(figures?.quotesPerSecond, 3),
      "spread_bps": .rounded(figures?.spreadBps, 4), "volatility_bps": .rounded(figures?.volatilityBps, 4),
      "volume_usd": .rounded(figures?.volumeUSD, 2),
    ])
  }
}
