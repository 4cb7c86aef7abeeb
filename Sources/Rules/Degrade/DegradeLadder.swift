import Core

/// What the pipeline gives up to stay right.
public enum DegradeEffect: String, CaseIterable, Sendable {
  /// Rows without the expensive columns.
  case lightRows = "light_rows"
  /// Only strong signals are confirmed.
  case strongOnly = "strong_only"
  /// Higher entry thresholds.
  case thresholdsUp = "thresholds_up"
  /// The cost model's conservative branch.
  case conservativeCost = "conservative_cost"
  /// Books and trades by REST instead of the websocket.
  case restFallback = "rest_fallback"
  /// Raw data is compressed at once.
  case compressNow = "compress_now"
}

/// One rung: when it is entered, what it does, when it is left.
public struct DegradeStep: Sendable {
  public var name: String
  public var condition: Condition
  /// How long the condition must be measured as false before an effect is taken back.
  public var recoverForNs: Int64
  /// At least one.
  public var effects: [DegradeEffect]
  public var summary: String

  public init(
    name: String, condition: Condition, recoverForNs: Int64, effects: [DegradeEffect], summary: String
  ) {
    self.name = name
    self.condition = condition
    self.recoverForNs = recoverForNs
    self.effects = effects
    self.summary = summary
  }
}

/// An effect that began or was taken back, and why.
public struct DegradeTransition: Equatable, Sendable {
  public enum Kind: String, Sendable { case entered, returned }

  public var kind: Kind
  public var at: UnixNanos
  public var step: String
  public var effect: DegradeEffect
  /// The worst value measured; on a return the one that is good again.
  public var value: Double
  public var reason: String

  public var json: JSONValue {
    .object([
      "event": .string("degrade_" + kind.rawValue), "at": .string(UTCDate(at).isoText),
      "step": .string(step), "effect": .string(effect.rawValue),
      "value": value.isFinite ? .double(value) : .string(numberText(value)), "reason": .string(reason),
    ])
  }
}

/// Degrading and recovering as one pure state machine.
///
/// Steps stand in order of severity and are entered on their own, each as soon as its condition has held for
/// its `for`, with all its effects at once: falling has to be fast. The way back is slow and one effect at a
/// time, the most severe step's last effect first, each only after its condition has been *measured* as false
/// for `recoverForNs`, and as long again after the return before it: what comes back adds load, and the
/// measurement has to answer to it before the next follows. A condition without any series is unknown: it
/// neither enters nor leaves a step, since a dead service's silence is no recovery. An effect that several
/// steps ask for lasts until the last of them has let it go.
///
/// Bounds: the newest ``historyMax`` transitions are kept.
public struct DegradeLadder: Sendable {
  private struct State {
    var holdsSince: UnixNanos?
    var clearSince: UnixNanos?
    /// Effects not yet taken back, in the order of the step.
    var effects: [DegradeEffect] = []
  }

  public static let historyMax = 256

  public let steps: [DegradeStep]
  /// Oldest first.
  public private(set) var history: [DegradeTransition] = []
  /// Why steps cannot be evaluated now, by name; they keep their state.
  public private(set) var failures: [String: String] = [:]
  private var states: [State]
  private var returnedAt: UnixNanos?

  public init(_ rules: RuleSet) { self.init(rules.degrade) }

  /// - Parameter steps: the mildest first.
  public init(_ steps: [DegradeStep]) {
    self.steps = steps
    states = Array(repeating: State(), count: steps.count)
  }

  public var activeEffects: Set<DegradeEffect> { Set(states.flatMap(\.effects)) }

  /// Names of the steps with an effect left, the mildest first.
  public var activeSteps: [String] {
    steps.indices.filter { !states[$0].effects.isEmpty }.map { steps[$0].name }
  }

  /// Judges all steps at a time.
  ///
  /// - Parameter now: not before the step before, on the clock of the store's scrapes.
  /// - Returns: what began or ended now; the effects in force are in ``activeEffects``.
  public mutating func step(now: UnixNanos, _ store: MetricStore) -> [DegradeTransition] {
    var transitions: [DegradeTransition] = []
    var values: [Double?] = []
    for index in steps.indices {
      let value = measure(index, now, store)
      values.append(value)
      if let value { transitions += enter(index, value, now) }
    }
    if let index = nextReturn(now), let transition = giveBack(index, values[index]!, now) {
      transitions.append(transition)
    }
    history += transitions
    history.removeFirst(max(0, history.count - DegradeLadder.historyMax))
    return transitions
  }

  /// Updates since when the condition holds or is clear.
  ///
  /// - Returns: the worst value; `nil` when nothing is measured.
  private mutating func measure(_ index: Int, _ now: UnixNanos, _ store: MetricStore) -> Double? {
    let condition = steps[index].condition
    let measured: Condition.Measurement
    do throws(RuleError) {
      measured = try condition.measure(in: store, at: now)
      failures[steps[index].name] = nil
    } catch {
      failures[steps[index].name] = error.message
      states[index].holdsSince = nil
      states[index].clearSince = nil
      return nil
    }
    let wantsLess = condition.comparison == .less || condition.comparison == .atMost
    let judged = measured.holding.isEmpty ? measured.values : measured.holding
    let worst = wantsLess ? judged.values.min() : judged.values.max()
    let holds = !measured.holding.isEmpty
    states[index].holdsSince = holds ? states[index].holdsSince ?? now : nil
    states[index].clearSince = holds || worst == nil ? nil : states[index].clearSince ?? now
    return worst
  }

  private mutating func enter(_ index: Int, _ value: Double, _ now: UnixNanos) -> [DegradeTransition] {
    let step = steps[index]
    guard let since = states[index].holdsSince, now.rawValue - since.rawValue >= step.condition.forNs else {
      return []
    }
    let before = activeEffects
    states[index].effects = step.effects
    return step.effects.filter { !before.contains($0) }.map {
      DegradeTransition(
        kind: .entered, at: now, step: step.name, effect: $0, value: value,
        reason: "\(step.summary); \(step.condition.description(of: value))")
    }
  }

  /// The most severe step that may take an effect back now.
  private func nextReturn(_ now: UnixNanos) -> Int? {
    steps.indices.last { index in
      guard !states[index].effects.isEmpty, let clear = states[index].clearSince else { return false }
      let from = max(clear, returnedAt ?? clear)
      return now.rawValue - from.rawValue >= steps[index].recoverForNs
    }
  }

  private mutating func giveBack(_ index: Int, _ value: Double, _ now: UnixNanos) -> DegradeTransition? {
    let step = steps[index]
    let effect = states[index].effects.removeLast()
    // Nothing came back while another step keeps the effect, so nothing has to be waited for.
    if activeEffects.contains(effect) { return nil }
    returnedAt = now
    let clear = TimeSpan.text(milliseconds: step.recoverForNs / Nanoseconds.millisecond)
    return DegradeTransition(
      kind: .returned, at: now, step: step.name, effect: effect, value: value,
      reason: "\(numberText(value)), within \(numberText(step.condition.threshold)) for \(clear)")
  }
}
