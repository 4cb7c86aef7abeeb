import Core
import Flow
import Strategy
import Tape

extension SignalPipeline {
  /// With light rows, every so-many-th grid point has rows.
  public static let lightRowsStride: Int64 = 4

  /// Switches so far; ``StrategyState/nsInRegime`` up to the newest record.
  public var strategyState: StrategyState {
    var state = control.state
    if let since = state.sinceNs { state.nsInRegime[Int(control.regime.rawValue)] += receiveNs - since }
    return state
  }

  /// A checkpoint's state of the interventions, in force again. Before the first record after it.
  public mutating func restore(control: StrategyControl) {
    self.control = control
    obeyControl()
  }

  /// A `note` of ``Control/stream``: obeyed whole, or counted and ignored.
  mutating func takeControl(_ record: TapeRecord) {
    let began = monotonicNs?()
    do throws(ControlError) {
      guard record.data.count <= Control.bytesMax, let json = try? JSONValue(parsing: record.data) else {
        throw ControlError("not a JSON object of at most \(Control.bytesMax) bytes")
      }
      let intervention = try Control(json)
      try control.apply(intervention, at: receiveNs)
      control.state.controlsApplied += 1
      obeyControl()
      if case .parameters = intervention.action, let began, let ended = monotonicNs?(),
        parameterUpdateNs.count < SignalPipeline.parameterUpdatesMax
      {
        parameterUpdateNs.append(ended - began)
      }
    } catch {
      control.state.controlErrors += 1
    }
  }

  /// Makes what is derived of ``control``.
  private mutating func obeyControl() {
    thresholds = control.thresholds
    for state in states {
      state.pointee.flow.change(fusion: control.fusion)
      state.pointee.flow.select(lane: lanes[control.regime])
      state.pointee.gates.configuration = control.gates
    }
  }

  /// Durations of the parameter updates since the last call, ns; none without ``monotonicNs``.
  public mutating func takeParameterUpdateNs() -> [Int64] {
    guard !parameterUpdateNs.isEmpty else { return [] }
    defer { parameterUpdateNs.removeAll() }
    return parameterUpdateNs
  }

  /// Whether a grid point has rows.
  func hasRows(at gridNs: Int64) -> Bool {
    !control.degradation.lightRows || gridNs % (SignalPipeline.lightRowsStride * self.gridNs) == 0
  }
}
