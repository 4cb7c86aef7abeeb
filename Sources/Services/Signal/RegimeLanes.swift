import Flow
import Strategy

/// Which parameter set of the flow speaks in which regime.
///
/// Equal sets are one lane, so that a strategy whose modes change nothing here keeps one of everything.
struct RegimeLanes: Equatable, Sendable {
  /// The distinct sets; the normal regime's is the first.
  let parameters: [FactorParameters]
  private let active: Int
  private let quiet: Int

  init(_ configuration: SignalConfiguration) {
    var sets = [configuration.flow.parameters()]
    func place(_ mode: ModeParameters) -> Int {
      let set = configuration.flow.parameters(
        levels: mode.levels, ofiWindowMs: mode.ofiWindowMs, cvdWindowMs: mode.cvdWindowMs)
      if let known = sets.firstIndex(of: set) { return known }
      sets.append(set)
      return sets.count - 1
    }
    active = place(configuration.strategy.active)
    quiet = place(configuration.strategy.quiet)
    parameters = sets
  }

  subscript(_ regime: Signal.Regime) -> Int {
    switch regime {
    case .normal: 0
    case .active: active
    case .quiet: quiet
    }
  }
}
