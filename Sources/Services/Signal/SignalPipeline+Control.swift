import Core
import Flow
import Strategy
import Tape

/// A part of the stage that follows the regime's parameters: what it asks before, and what of each symbol
/// changes.
struct StageModule: Sendable {
  var name: String
  /// Changes nothing; see ``ParameterModule``.
  var refusal: @Sendable (borrowing SignalPipeline, RegimeParameters) -> String?
  /// Cannot fail. A module without it follows by reading ``SignalPipeline/parameters``.
  var adopt: @Sendable (inout SymbolState, RegimeParameters) -> Void = { _, _ in }
}

extension SignalPipeline {
  /// With light rows, every so-many-th grid point has rows.
  public static let lightRowsStride: Int64 = 4

  /// Everything that follows a regime, a parameter note or a degradation.
  static let modules: [StageModule] = [
    StageModule(name: "fusion", refusal: { _, parameters in parameters.fusionRefusal }) { state, parameters in
      state.flow.change(fusion: parameters.fusion)
    },
    StageModule(name: "gates", refusal: { _, parameters in parameters.gatesRefusal }) { state, parameters in
      state.gates.configuration = parameters.gates
    },
    StageModule(
      name: "flow",
      refusal: { pipeline, parameters in parameters.flowRefusal(pipeline.configuration.flow) }
    ) { state, parameters in
      state.flow.select(lane: parameters.lane)
    },
    StageModule(name: "scenario", refusal: { _, parameters in parameters.scenarioRefusal }),
    StageModule(name: "shell", refusal: { _, parameters in parameters.shellRefusal }),
  ]

  private static let switched: [ParameterModule<SignalPipeline, RegimeParameters>] = modules.map { module in
    ParameterModule(
      module.name,
      refusal: { pipeline, parameters in
        pipeline.refusingModule == module.name ? "a drill" : module.refusal(pipeline, parameters)
      },
      adopt: { pipeline, parameters in
        for state in pipeline.states { module.adopt(&state.pointee, parameters) }
      })
  }

  /// Switches so far; ``StrategyState/nsInRegime`` up to the newest record.
  public var strategyState: StrategyState {
    var state = control.state
    if let since = state.sinceNs, receiveNs > since {
      state.nsInRegime[Int(control.regime.rawValue)] += receiveNs - since
    }
    return state
  }

  /// A checkpoint's state of the interventions, in force again. Before the first record after it.
  public mutating func restore(control: StrategyControl) {
    self.control = control
    parameters = control.parameters(configuration.strategy, lanes)
    ParameterSwitch.adopt(parameters, on: &self, SignalPipeline.switched)
  }

  /// A `note` of ``Control/stream``: obeyed whole, or counted and ignored.
  mutating func takeControl(_ record: TapeRecord) {
    do throws(ControlError) {
      guard record.data.count <= Control.bytesMax, let json = try? JSONValue(parsing: record.data) else {
        throw ControlError("not a JSON object of at most \(Control.bytesMax) bytes")
      }
      try obey(Control(json))
    } catch {
      control.state.controlErrors += 1
    }
  }

  private mutating func obey(_ intervention: Control) throws(ControlError) {
    var next = control
    do throws(ControlError) {
      try next.apply(intervention)
      next.state.controlsApplied += 1
      if case .mode = intervention.action {
        // Who decides is changed in any case; a regime that a module refuses is tried again at each window.
        control = next
        followRegime(at: receiveNs)
        return
      }
      do throws(ParameterRefusal) {
        try obeyControl(next)
      } catch {
        control.state.refused(error.module)
        throw ControlError("\(error)")
      }
    } catch {
      if case .parameters = intervention.action { control.state.parameterFailures += 1 }
      throw error
    }
  }

  /// Makes a control, and all that is derived of it, that in force; or changes nothing.
  mutating func obeyControl(_ next: StrategyControl) throws(ParameterRefusal) {
    let began = monotonicNs?()
    let wanted = next.parameters(configuration.strategy, lanes)
    try ParameterSwitch.perform(wanted, on: &self, SignalPipeline.switched)
    control = next
    parameters = wanted
    if let began, let ended = monotonicNs?(), parameterUpdateNs.count < SignalPipeline.parameterUpdatesMax {
      parameterUpdateNs.append(ended - began)
    }
  }

  /// Durations of the switches since the last call, ns; none without ``monotonicNs``.
  public mutating func takeParameterUpdateNs() -> [Int64] {
    guard !parameterUpdateNs.isEmpty else { return [] }
    defer { parameterUpdateNs.removeAll() }
    return parameterUpdateNs
  }

  /// Whether a grid point has rows.
  func hasRows(at gridNs: Int64) -> Bool {
    var index = gridNs / self.gridNs
    if control.degradation.lightRows {
      guard index % SignalPipeline.lightRowsStride == 0 else { return false }
      // The share is one of the points that are left; of all points it might take none of these.
      index /= SignalPipeline.lightRowsStride
    }
    return parameters.rows.takes(index)
  }
}
