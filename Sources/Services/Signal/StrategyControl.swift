import Configuration
import Core
import Flow
import Strategy

/// What interventions have made of the signal stage: all of its state that they change, in one value.
///
/// A checkpoint keeps it whole; ``SignalPipeline/restore(control:)`` puts it in force again.
public struct StrategyControl: Equatable, Sendable {
  public var mode = Signal.Mode.auto
  /// In force; not that of ``mode`` while a module refuses it.
  public internal(set) var regime = Signal.Regime.normal
  /// Why the regime is, or would be, what it is.
  var regimeReason = ""
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
    regime =
      switch mode {
      case .auto: .normal
      case .quiet: .quiet
      case .active: .active
      }
  }

  /// What follows from all of it.
  func parameters(_ configuration: StrategyConfiguration, _ lanes: RegimeLanes) -> RegimeParameters {
    RegimeParameters(
      regime, configuration, fusion: fusion, gates: gates, scenarios: scenarios,
      thresholdScale: degradation.thresholdScale, lane: lanes[regime])
  }

  /// Enters another regime, for ``regimeReason``.
  mutating func enter(_ regime: Signal.Regime, at timeNs: Int64, _ window: StrategyMode.Window?) {
    state.change(
      StrategyState.Change(
        timeNs: timeNs, from: self.regime, to: regime, reason: regimeReason, window: window))
    self.regime = regime
  }

  /// Puts an intervention in force, or changes nothing. The regime follows a mode by ``enter(_:at:_:)``.
  ///
  /// - Throws: ``ControlError`` for values that no configuration may have.
  mutating func apply(_ control: Control) throws(ControlError) {
    switch control.action {
    case .mode(let mode):
      self.mode = mode
      regimeReason = control.reason
    case .shadow(let isPaused): shadowIsPaused = isPaused
    case .timeSync(let isDegraded): timeSyncIsForced = isDegraded
    case .degrade(let degradation): self.degradation = degradation
    case .parameters(let version, let values):
      (fusion, gates, scenarios) = try StrategyControl.changed(fusion, gates, scenarios, values)
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

  /// One change, with what the newest window had shown by then.
  public struct Change: Equatable, Sendable {
    public var timeNs: Int64
    public var from: Signal.Regime
    public var to: Signal.Regime
    public var reason: String
    public var window: StrategyMode.Window?
  }

  /// Switches of the regime that a module refused.
  public struct Refusals: Equatable, Sendable {
    public var module: String
    public var count: Int64
  }

  /// Changes of the regime, in the order in which each kind was first seen. Bound: ``transitionsMax``, then the reason is
  /// `other`.
  public internal(set) var transitions: [Transition] = []
  /// The newest ``changesMax``, in their order.
  public internal(set) var changes: [Change] = []
  /// In the order in which each module first refused; there are few modules.
  public internal(set) var refusals: [Refusals] = []
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

  public static let changesMax = 64
  static let modulesMax = 64

  mutating func refused(_ module: String) {
    if let index = refusals.firstIndex(where: { $0.module == module }) {
      refusals[index].count += 1
    } else if refusals.count < StrategyState.modulesMax {
      refusals.append(Refusals(module: module, count: 1))
    }
  }

  mutating func change(_ change: Change) {
    let (from, to, reason) = (change.from, change.to, change.reason)
    nsInRegime[Int(from.rawValue)] += change.timeNs - (sinceNs ?? change.timeNs)
    sinceNs = change.timeNs
    lastChangeNs = change.timeNs
    if changes.count == StrategyState.changesMax { changes.removeFirst() }
    changes.append(change)
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
