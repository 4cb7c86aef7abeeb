import Core

/// A measured value on the wrong side of a threshold, for a time: what alerts, the degrade ladder and
/// rollout gates have in common.
public struct Condition: Equatable, Sendable {
  public var expression: MetricExpression
  public var comparison: Comparison
  public var threshold: Double
  /// How long it must hold without a break before it counts.
  public var forNs: Int64

  /// - Precondition: the expression gives series, not a bare number (``MetricExpression/isScalar``), and
  ///   `forNs` is not negative.
  public init(_ expression: MetricExpression, _ comparison: Comparison, _ threshold: Double, forNs: Int64) {
    precondition(!expression.isScalar && forNs >= 0)
    self.expression = expression
    self.comparison = comparison
    self.threshold = threshold
    self.forNs = forNs
  }

  /// What was measured, by labels; names are dropped as in an alert.
  ///
  /// - Throws: ``RuleError``, also when it holds for two series that differ by name only.
  public func measure(in store: MetricStore, at now: UnixNanos) throws(RuleError) -> Measurement {
    var values: [LabelSet: Double] = [:]
    for element in try expression.evaluate(in: store, at: now).elements {
      if let other = values[element.labels], holds(other) {
        if !holds(element.value) { continue }
        throw RuleError(message: "several metrics carry the labels \(element.labels); aggregate them")
      }
      values[element.labels] = element.value
    }
    return Measurement(values: values, holding: values.filter { holds($0.value) })
  }

  /// The values of all series, and of those for which the condition holds.
  public struct Measurement: Equatable, Sendable {
    public var values: [LabelSet: Double]
    public var holding: [LabelSet: Double]
  }

  public func holds(_ value: Double) -> Bool { comparison.holds(value, threshold) }

  /// The condition as one PromQL expression: `(<expression>) > 0.2`.
  public var promQL: String { "(\(expression.text)) \(comparison.rawValue) \(numberText(threshold))" }

  /// `0.31 > 0.2 for 3m`
  func description(of value: Double) -> String {
    var text = "\(numberText(value)) \(comparison.rawValue) \(numberText(threshold))"
    if forNs > 0 { text += " for \(TimeSpan.text(milliseconds: forNs / Nanoseconds.millisecond))" }
    return text
  }
}

/// A number as PromQL reads it, at most six decimals from 0.001 on.
func numberText(_ value: Double) -> String {
  if value.isNaN { return "NaN" }
  if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
  let micro = (value * 1e6).rounded() / 1e6
  let shown =
    abs(value) >= 1e-3 && abs(value) < 1e9 && abs(micro - value) <= abs(value) * 1e-4 ? micro : value
  if shown == shown.rounded(), abs(shown) < 1e15 { return String(Int64(shown)) }
  return shown.description
}
