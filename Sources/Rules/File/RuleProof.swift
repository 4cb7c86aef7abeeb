import Core

/// Series that make a rule fire and recover: the evidence that it can, here and in Prometheus.
public struct RuleProof: Equatable, Sendable {
  public struct Series: Equatable, Sendable {
    /// As written, `up{job="signal"}`.
    public var text: String
    public var name: String
    public var labels: LabelSet
    public var values: SeriesNotation
  }

  /// What happens in the series, in words.
  public var cause: String
  /// Between two values of a series.
  public var everyMs: Int64
  public var series: [Series]

  /// How often the rule is judged while it is proven.
  public static let evaluationMs: Int64 = 60_000

  /// When the rule fired and recovered, in milliseconds from the start of the series.
  public struct Result: Equatable, Sendable {
    /// The first evaluation at which the condition holds.
    public var holdsMs: Int64
    public var firedMs: Int64
    /// Of the alerts that fire at `firedMs`.
    public var labels: [LabelSet]
    /// The first evaluation after which nothing fires.
    public var recoveredMs: Int64
  }

  /// Judges the rule over the series in their own time.
  ///
  /// - Throws: a message when the rule doesn't fire, doesn't recover or cannot be evaluated.
  public func run(_ rule: AlertRule) throws(RuleError) -> Result {
    var store = MetricStore(keeping: rule.condition.expression.rangesMs)
    var engine = AlertEngine([rule], suppressNs: 0, stormCountMax: .max - 1, stormWindowNs: 1)
    var holdsMs: Int64?
    var result: Result?
    let endMs = Int64(series.map(\.values.steps.count).max() ?? 0) * everyMs
    for (ms, isScrape, isEvaluation) in instants(through: endMs) {
      if isScrape { append(Int(ms / everyMs), &store) }
      guard isEvaluation else { continue }
      let now = UnixNanos(milliseconds: ms)
      let isFiring = !engine.firing.isEmpty
      let step = engine.step(now: now, store)
      if let failure = engine.failures[rule.name] { throw RuleError(message: failure) }
      if result == nil, holdsMs == nil || !isFiring {
        let holds = try !rule.condition.measure(in: store, at: now).holding.isEmpty
        holdsMs = holds ? holdsMs ?? ms : nil
      }
      if result == nil, !engine.firing.isEmpty {
        result = Result(
          holdsMs: holdsMs ?? ms, firedMs: ms, labels: engine.firing.map(\.labels), recoveredMs: -1)
      }
      if !step.events.isEmpty, engine.firing.isEmpty, result != nil { result!.recoveredMs = ms }
    }
    guard let result else { throw RuleError(message: "the proof's series never make it fire") }
    guard result.recoveredMs >= 0, engine.firing.isEmpty else {
      throw RuleError(message: "it fires, but the proof's series don't let it recover")
    }
    return result
  }

  private func instants(through endMs: Int64) -> [(ms: Int64, isScrape: Bool, isEvaluation: Bool)] {
    let scrapes = Set(stride(from: 0, through: endMs, by: Int64.Stride(everyMs)))
    let evaluations = Set(stride(from: 0, through: endMs, by: Int64.Stride(RuleProof.evaluationMs)))
    return scrapes.union(evaluations).sorted().map { ($0, scrapes.contains($0), evaluations.contains($0)) }
  }

  private func append(_ index: Int, _ store: inout MetricStore) {
    let time = UnixNanos(milliseconds: Int64(index) * everyMs)
    for series in series where index < series.values.steps.count {
      switch series.values.steps[index] {
      case .none: break
      case .stale: store.append(series.name, series.labels, nil, at: time)
      case .value(let value): store.append(series.name, series.labels, value, at: time)
      }
    }
  }
}
