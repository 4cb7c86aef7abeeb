import Core
import Flow
import Strategy

// A stored property added to one of these types belongs into its extension here, or into the sentence that says why
// not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension StrategyControl: Checkpointed {
  /// With the parameters themselves: a control may have changed them.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(mode)
    writer.append(regime)
    writer.append(regimeReason)
    writer.append(shadowIsPaused)
    writer.append(timeSyncIsForced)
    writer.append(degradation.lightRows)
    writer.append(degradation.strongOnly)
    writer.append(degradation.thresholdScale)
    writer.append(degradation.conservativeCost)
    for value in numbers { writer.append(value) }
    for value in durations { writer.append(Int64(value)) }
    writer.append("SCEN", scenarios)
    writer.append(version.rawValue)
    writer.append("STRA", state)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    mode = try reader.value()
    regime = try reader.value()
    regimeReason = try reader.text()
    shadowIsPaused = try reader.boolean()
    timeSyncIsForced = try reader.boolean()
    degradation.lightRows = try reader.boolean()
    degradation.strongOnly = try reader.boolean()
    degradation.thresholdScale = try reader.double()
    degradation.conservativeCost = try reader.boolean()
    guard Degradation.thresholdScaleRange.contains(degradation.thresholdScale) else {
      throw reader.failure("a threshold scale of \(degradation.thresholdScale)")
    }
    var values: [Double] = []
    for _ in numbers {
      let value = try reader.double()
      guard value.isFinite, value >= 0 else { throw reader.failure("a parameter of \(value)") }
      values.append(value)
    }
    var times: [Int] = []
    for _ in durations { times.append(Int(try reader.integer(in: 0...Int64(1) << 40))) }
    numbers = values
    durations = times
    try reader.restore("SCEN", &scenarios)
    version = ParameterVersion(rawValue: try reader.integer())
    try reader.restore("STRA", &state)
  }

  private var numbers: [Double] {
    get {
      [
        fusion.weightOFI, fusion.weightCVD, fusion.lagMaxMs, fusion.staleMs, fusion.base.signal,
        fusion.base.strong,
        fusion.active.signal, fusion.active.strong, fusion.quiet.signal, fusion.quiet.strong,
        fusion.hysteresisRatio, fusion.flipMargin, gates.missingRatioMax, gates.lagMsMax,
        gates.stalenessMsMax,
        gates.spreadBpsMax, gates.consistencyMin, gates.scoreMin,
      ]
    }
    set {
      (fusion.weightOFI, fusion.weightCVD, fusion.lagMaxMs, fusion.staleMs) =
        (newValue[0], newValue[1], newValue[2], newValue[3])
      fusion.base = .init(signal: newValue[4], strong: newValue[5])
      fusion.active = .init(signal: newValue[6], strong: newValue[7])
      fusion.quiet = .init(signal: newValue[8], strong: newValue[9])
      (fusion.hysteresisRatio, fusion.flipMargin) = (newValue[10], newValue[11])
      (gates.missingRatioMax, gates.lagMsMax, gates.stalenessMsMax) = (
        newValue[12], newValue[13], newValue[14]
      )
      (gates.spreadBpsMax, gates.consistencyMin, gates.scoreMin) = (newValue[15], newValue[16], newValue[17])
    }
  }

  private var durations: [Int] {
    get {
      [
        fusion.hysteresisExpiryMs, fusion.cooldownMs, fusion.cooldownStrongMs, gates.resyncCooldownMs,
        gates.reconnectCooldownMs, gates.reverseCooldownMs, gates.dedupeMs,
      ]
    }
    set {
      (fusion.hysteresisExpiryMs, fusion.cooldownMs, fusion.cooldownStrongMs) =
        (newValue[0], newValue[1], newValue[2])
      (gates.resyncCooldownMs, gates.reconnectCooldownMs) = (newValue[3], newValue[4])
      (gates.reverseCooldownMs, gates.dedupeMs) = (newValue[5], newValue[6])
    }
  }
}

extension StrategyState: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(nsInRegime)
    writer.append([lastChangeNs, controlsApplied, controlErrors, parameterUpdates, parameterFailures])
    writer.append(sinceNs)
    writer.append(UInt32(transitions.count))
    for transition in transitions {
      writer.append(transition.from)
      writer.append(transition.to)
      writer.append(transition.reason)
      writer.append(transition.count)
    }
    writer.append(UInt32(changes.count))
    for change in changes {
      writer.append(change.timeNs)
      writer.append(change.from)
      writer.append(change.to)
      writer.append(change.reason)
      writer.append(change.window != nil)
      change.window?.save(to: &writer)
    }
    writer.append(UInt32(refusals.count))
    for refusal in refusals {
      writer.append(refusal.module)
      writer.append(refusal.count)
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    nsInRegime = try reader.words(max: 3)
    let counts = try reader.words(max: 5)
    guard nsInRegime.count == 3, counts.count == 5 else {
      throw reader.failure("too few counts of the strategy")
    }
    (lastChangeNs, controlsApplied, controlErrors) = (counts[0], counts[1], counts[2])
    (parameterUpdates, parameterFailures) = (counts[3], counts[4])
    sinceNs = try reader.optionalInteger()
    transitions = []
    for _ in 0..<(try reader.count(bytesEach: 14, max: StrategyState.transitionsMax)) {
      transitions.append(
        Transition(
          from: try reader.value(), to: try reader.value(), reason: try reader.text(),
          count: try reader.integer()))
    }
    changes = []
    for _ in 0..<(try reader.count(bytesEach: 15, max: StrategyState.changesMax)) {
      changes.append(
        Change(
          timeNs: try reader.integer(), from: try reader.value(), to: try reader.value(),
          reason: try reader.text(),
          window: try reader.boolean() ? try StrategyMode.Window(from: &reader) : nil))
    }
    refusals = []
    for _ in 0..<(try reader.count(bytesEach: 12, max: StrategyState.modulesMax)) {
      refusals.append(Refusals(module: try reader.text(), count: try reader.integer()))
    }
  }
}
