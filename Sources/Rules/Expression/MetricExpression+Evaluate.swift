import Core
import Glibc

extension MetricExpression {
  /// One element of a result.
  public struct Element: Equatable, Sendable {
    /// The metric's name where the operations kept it, else empty.
    public var name: String
    public var labels: LabelSet
    public var value: Double

    public init(name: String = "", labels: LabelSet, value: Double) {
      self.name = name
      self.labels = labels
      self.value = value
    }

    /// `weir_signal_rows_total{symbol="BTCUSDT"}`
    public var series: String { name + (labels.labels.isEmpty && !name.isEmpty ? "" : labels.description) }
  }

  public enum Value: Equatable, Sendable {
    case scalar(Double)
    /// Names and labels are unique.
    case vector([Element])

    /// A scalar as one element without labels.
    public var elements: [Element] {
      switch self {
      case .scalar(let value): [Element(labels: .empty, value: value)]
      case .vector(let elements): elements
      }
    }
  }

  /// The value at a time, as Prometheus would give it for an instant query.
  ///
  /// - Throws: ``RuleError`` where Prometheus reports one: several series match one, or the result
  ///   would hold a label set twice.
  /// - Complexity: O(samples in range + series × log series) per selector.
  public func evaluate(in store: MetricStore, at time: UnixNanos) throws(RuleError) -> Value {
    try Evaluator(store: store, ms: time.milliseconds).evaluate(root)
  }
}

struct Evaluator {
  typealias Element = MetricExpression.Element
  typealias Node = MetricExpression.Node
  typealias Value = MetricExpression.Value

  let store: MetricStore
  let ms: Int64

  func evaluate(_ node: Node) throws(RuleError) -> Value {
    switch node {
    case .number(let value): return .scalar(value)
    case .select(let selector):
      var elements: [Element] = []
      for series in store.series(selector.name, where: selector.matches) {
        guard let value = series.value(atMs: ms) else { continue }
        elements.append(Element(name: selector.name, labels: series.labels, value: value))
      }
      return .vector(elements)
    case .range: preconditionFailure("the parser lets ranges through as arguments only")
    case .call(let function, let arguments): return try call(function, arguments)
    case .aggregate(let aggregation, let grouping, let node):
      return .vector(aggregate(aggregation, grouping, try vector(node)))
    case .negate(let node):
      switch try evaluate(node) {
      case .scalar(let value): return .scalar(-value)
      case .vector(let elements): return .vector(try unique(elements.map { nameless($0, -$0.value) }))
      }
    case .binary(let operation, let left, let right, let matching):
      return try binary(operation, try evaluate(left), try evaluate(right), matching)
    }
  }

  func vector(_ node: Node) throws(RuleError) -> [Element] {
    guard case .vector(let elements) = try evaluate(node) else {
      preconditionFailure("the parser checks kinds")
    }
    return elements
  }

  func scalar(_ node: Node) throws(RuleError) -> Double {
    guard case .scalar(let value) = try evaluate(node) else { preconditionFailure("the parser checks kinds") }
    return value
  }

  func nameless(_ element: Element, _ value: Double) -> Element {
    Element(labels: element.labels, value: value)
  }

  /// Two series may become one when their names are dropped.
  func unique(_ elements: [Element]) throws(RuleError) -> [Element] {
    var seen: Set<String> = []
    for element in elements where !seen.insert(element.series).inserted {
      throw RuleError(message: "the result holds \(element.series) twice; keep a label that differs")
    }
    return elements
  }

  // MARK: Functions

  private func call(_ function: MetricExpression.Function, _ arguments: [Node]) throws(RuleError)
    -> Value
  {
    switch function {
    case .time: return .scalar(Double(ms) / 1000)
    case .absent: return .vector(try absent(arguments[0]))
    case .histogram_quantile:
      let share = try scalar(arguments[0])
      return .vector(try unique(histogramQuantiles(share, try vector(arguments[1]))))
    case .clamp_max, .clamp_min:
      let bound = try scalar(arguments[1])
      let elements = try vector(arguments[0]).map {
        nameless($0, function == .clamp_max ? goMin(bound, $0.value) : goMax(bound, $0.value))
      }
      return .vector(try unique(elements))
    case .abs: return .vector(try unique(try vector(arguments[0]).map { nameless($0, Swift.abs($0.value)) }))
    default:
      let share = function == .quantile_over_time ? try scalar(arguments[0]) : 0
      guard case .range(let selector, let rangeMs) = arguments[arguments.count - 1] else {
        preconditionFailure("the parser checks kinds")
      }
      var elements: [Element] = []
      for series in store.series(selector.name, where: selector.matches) {
        let points = series.points(fromMs: ms - rangeMs, throughMs: ms)
        guard !points.isEmpty, let value = overTime(function, points, rangeMs, share) else { continue }
        let name = function == .last_over_time ? selector.name : ""
        elements.append(Element(name: name, labels: series.labels, value: value))
      }
      return .vector(elements)
    }
  }

  /// 1 without a sample, labelled by what the selector demands of a label once and by equality.
  private func absent(_ node: Node) throws(RuleError) -> [Element] {
    guard try vector(node).isEmpty else { return [] }
    guard case .select(let selector) = node else { return [Element(labels: .empty, value: 1)] }
    var values: [String: String] = [:]
    var seen: Set<String> = []
    for matcher in selector.matchers {
      if matcher.isEquality, seen.insert(matcher.label).inserted {
        values[matcher.label] = matcher.values[0]
      } else {
        values[matcher.label] = nil
      }
    }
    return [Element(labels: LabelSet(values.map { .init($0.key, $0.value) }), value: 1)]
  }

  // NaN wins on either side, unlike in C.
  private func goMin(_ a: Double, _ b: Double) -> Double { a.isNaN || b.isNaN ? .nan : Swift.min(a, b) }
  private func goMax(_ a: Double, _ b: Double) -> Double { a.isNaN || b.isNaN ? .nan : Swift.max(a, b) }

  private func overTime(
    _ function: MetricExpression.Function, _ points: [SampleRing.Point], _ rangeMs: Int64, _ share: Double
  ) -> Double? {
    switch function {
    case .rate, .increase, .delta: return extrapolated(function, points, rangeMs)
    case .avg_over_time: return compensatedMean(points)
    case .sum_over_time: return compensatedSum(points)
    case .count_over_time: return Double(points.count)
    case .last_over_time: return points[points.count - 1].value
    case .quantile_over_time: return quantile(share, points.map(\.value))
    case .max_over_time:
      return points.reduce(points[0].value) { $1.value > $0 || $0.isNaN ? $1.value : $0 }
    case .min_over_time:
      return points.reduce(points[0].value) { $1.value < $0 || $0.isNaN ? $1.value : $0 }
    default: preconditionFailure("\(function) takes no range")
    }
  }

  /// The increase over the whole range from the samples within it.
  ///
  /// The samples cover less than the range. Where the gap to an end is below 1.1 sample distances, the slope
  /// is continued to the end, else by half a distance; a counter is not continued below zero. Source:
  /// `extrapolatedRate` in Prometheus 2.42, of which the order of operations is kept so that the bits agree.
  private func extrapolated(
    _ function: MetricExpression.Function, _ points: [SampleRing.Point], _ rangeMs: Int64
  ) -> Double? {
    guard points.count >= 2 else { return nil }
    let first = points[0]
    let last = points[points.count - 1]
    var result = last.value - first.value
    if function != .delta {
      var previous = first.value
      for point in points.dropFirst() {
        if point.value < previous { result += previous }
        previous = point.value
      }
    }
    var toStart = Double(first.ms - (ms - rangeMs)) / 1000
    let toEnd = Double(ms - last.ms) / 1000
    let sampled = Double(last.ms - first.ms) / 1000
    let distance = sampled / Double(points.count - 1)
    if function != .delta, result > 0, first.value >= 0 {
      toStart = Swift.min(toStart, sampled * (first.value / result))
    }
    let threshold = distance * 1.1
    var extended = sampled
    extended += toStart < threshold ? toStart : distance / 2
    extended += toEnd < threshold ? toEnd : distance / 2
    var factor = extended / sampled
    if function == .rate { factor /= Double(rangeMs) / 1000 }
    return result * factor
  }

  /// Neumaier's summation: `sum` and `rest` together lose no low bits.
  private func add(_ value: Double, _ sum: inout Double, _ rest: inout Double) {
    let next = sum + value
    rest += Swift.abs(sum) >= Swift.abs(value) ? (sum - next) + value : (value - next) + sum
    sum = next
  }

  private func compensatedSum(_ points: [SampleRing.Point]) -> Double {
    var sum = 0.0
    var rest = 0.0
    for point in points { add(point.value, &sum, &rest) }
    return sum.isInfinite ? sum : sum + rest
  }

  private func compensatedMean(_ points: [SampleRing.Point]) -> Double {
    var mean = 0.0
    var rest = 0.0
    for (index, point) in points.enumerated() {
      // Nothing finite moves an infinite mean.
      if mean.isInfinite, point.value == mean || point.value.isFinite { continue }
      let count = Double(index + 1)
      add(point.value / count - mean / count, &mean, &rest)
    }
    return mean.isInfinite ? mean : mean + rest
  }

  private func quantile(_ share: Double, _ values: [Double]) -> Double {
    if share.isNaN || values.isEmpty { return .nan }
    if share < 0 { return -.infinity }
    if share > 1 { return .infinity }
    let sorted = values.sorted { $0.isNaN ? !$1.isNaN : $0 < $1 }
    let rank = share * Double(sorted.count - 1)
    let lower = Int(rank.rounded(.down))
    let upper = Swift.min(sorted.count - 1, lower + 1)
    let weight = rank - rank.rounded(.down)
    return sorted[lower] * (1 - weight) + sorted[upper] * weight
  }
}
