import Configuration
import Core
import Flow
import Strategy

/// What interventions have made of the signal stage: all of its state that they change, in one value.
///
/// A checkpoint keeps it whole; ``SignalPipeline/restore(control:)`` puts it in force again.
public struct StrategyControl: Equatable, Sendable {
  public var mode = Signal.Mode.auto
  public var shadowIsPaused = false
  public var timeSyncIsForced = false
  public var degradation = Degradation()
  public var fusion: FusionConfiguration
  public var gates: GateConfiguration
  public var scenarios: ScenarioTable
  public var version = ParameterVersion.configured
  public var state = StrategyState()

  init(_ configuration: SignalConfiguration) {
    fusion = configuration.flow.fusion
    gates = configuration.gates
    scenarios = configuration.strategy.scenarios
    mode = configuration.strategy.mode
  }

  /// Nothing chooses between quiet and active by itself: unforced, the regime is normal.
  var regime: Signal.Regime {
    switch mode {
    case .auto: .normal
    case .quiet: .quiet
    case .active: .active
    }
  }

  /// The regime's, scaled by the degradation.
  var thresholds: FusionConfiguration.Thresholds {
    var thresholds =
      switch regime {
      case .normal: fusion.base
      case .active: fusion.active
      case .quiet: fusion.quiet
      }
    thresholds.signal *= degradation.thresholdScale
    thresholds.strong *= degradation.thresholdScale
    return thresholds
  }

  /// Puts an intervention in force, or changes nothing.
  ///
  /// - Throws: ``ControlError`` for values that no configuration may have.
  mutating func apply(_ control: Control, at timeNs: Int64) throws(ControlError) {
    switch control.action {
    case .mode(let mode):
      let before = regime
      self.mode = mode
      if regime != before { state.change(before, regime, control.reason, at: timeNs) }
    case .shadow(let isPaused): shadowIsPaused = isPaused
    case .timeSync(let isDegraded): timeSyncIsForced = isDegraded
    case .degrade(let degradation): self.degradation = degradation
    case .parameters(let version, let values):
      do {
        (fusion, gates, scenarios) = try StrategyControl.changed(fusion, gates, scenarios, values)
      } catch {
        state.parameterFailures += 1
        throw error
      }
      self.version = version
      state.parameterUpdates += 1
    }
  }

  /// Parameters with some of their keys changed, by the configuration's own rules.
  static func changed(
    _ fusion: FusionConfiguration, _ gates: GateConfiguration, _ scenarios: ScenarioTable,
    _ values: [Control.ParameterValue]
  ) throws(ControlError) -> (FusionConfiguration, GateConfiguration, ScenarioTable) {
    var root = WeirConfiguration()
    root.signal.flow.fusion = fusion
    root.signal.gates = gates
    root.signal.strategy.scenarios = scenarios
    do {
      root = try ConfigLoader(WeirConfiguration.schema).change(root, values.map { ($0.key, $0.text) })
    } catch {
      let issues = error.issues.map { issue in (issue.key.map { "\($0): " } ?? "") + issue.message }
      throw ControlError(issues.joined(separator: "; "))
    }
    return (root.signal.flow.fusion, root.signal.gates, root.signal.strategy.scenarios)
  }
}

extension Control {
  /// Whether the values it sets are in the ranges of the configuration.
  ///
  /// - Throws: ``ControlError``, as the signal stage would.
  public func validate(against configuration: SignalConfiguration) throws(ControlError) {
    guard case .parameters(_, let values) = action else { return }
    _ = try StrategyControl.changed(
      configuration.flow.fusion, configuration.gates, configuration.strategy.scenarios, values)
  }
}

/// How the strategy has been switched over a run, for its metrics. Times are tape time.
public struct StrategyState: Equatable, Sendable {
  public struct Transition: Equatable, Sendable {
    public var from: Signal.Regime
    public var to: Signal.Regime
    public var reason: String
    public var count: Int64
  }

  /// Changes of the regime, in the order in which each kind was first seen. Bound: ``transitionsMax``, then the reason is
  /// `other`.
  public internal(set) var transitions: [Transition] = []
  /// By regime, up to the last change.
  public internal(set) var nsInRegime: [Int64] = [0, 0, 0]
  /// 0 before the first.
  public internal(set) var lastChangeNs: Int64 = 0
  public internal(set) var controlsApplied: Int64 = 0
  /// Records that are no control, or whose values are refused.
  public internal(set) var controlErrors: Int64 = 0
  public internal(set) var parameterUpdates: Int64 = 0
  public internal(set) var parameterFailures: Int64 = 0
  /// When the regime began; nil before the first record.
  var sinceNs: Int64?

  public static let transitionsMax = 64

  mutating func change(_ from: Signal.Regime, _ to: Signal.Regime, _ reason: String, at timeNs: Int64) {
    nsInRegime[Int(from.rawValue)] += timeNs - (sinceNs ?? timeNs)
    sinceNs = timeNs
    lastChangeNs = timeNs
    func place(_ reason: String) -> Int? {
      transitions.firstIndex { $0.from == from && $0.to == to && $0.reason == reason }
    }
    let isFull = transitions.count >= StrategyState.transitionsMax - 6
    let name = isFull && place(reason) == nil ? "other" : reason
    if let index = place(name) {
      transitions[index].count += 1
    } else {
      transitions.append(Transition(from: from, to: to, reason: name, count: 1))
    }
  }
}
