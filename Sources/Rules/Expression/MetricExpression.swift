import Core
import Telemetry

/// # Rules: conditions over measured values
///
/// Alerts, the degrade ladder and rollout gates all ask the same question: is a value that was measured on
/// the wrong side of a threshold, and for how long? Asking it in code, once per subsystem, ends with rules
/// that nobody can read, export or replay; asking it in a language of our own ends with two rule files, one
/// here and one in Prometheus, that drift apart.
///
/// So the language is a strict subset of PromQL, and the same text gives the same result here and in
/// Prometheus 2.42: instant selectors look back five minutes and end at a staleness mark, `rate` and
/// `increase` correct counter resets and extrapolate to the range's ends but not below zero,
/// `histogram_quantile` interpolates within a bucket, operators match series by equal labels. What is outside
/// of the subset (offset, subqueries, group_left, general regular expressions, …) is refused by name when the
/// text is parsed, never read as something else. A differential test runs both on the same random series.
///
/// The evaluator is a pure function of a ``MetricStore`` and a time. Above it, ``Condition`` adds comparison,
/// threshold and duration, ``AlertEngine`` and ``DegradeLadder`` are state machines over conditions, and
/// ``RuleSet`` is the file that declares them all.
///
/// Bounds: a text of 4096 bytes, nesting of 32, ranges of 7 days.
///
/// Source: Prometheus 2.42, `promql/engine.go`, `promql/functions.go`, `promql/quantile.go`.
public struct MetricExpression: Sendable, Equatable, CustomStringConvertible {
  /// As written.
  public let text: String
  let root: Node

  public static let bytesMax = 4096
  static let depthMax = 32
  static let rangeMsMax: Int64 = 7 * 86_400_000

  /// - Throws: ``ExpressionError`` with the column and, for a misspelt name, the nearest known one.
  public init(parsing text: String) throws(ExpressionError) {
    self.text = text
    root = try ExpressionParser.parse(text)
  }

  public var description: String { text }
  public static func == (a: MetricExpression, b: MetricExpression) -> Bool { a.text == b.text }

  /// True when the value is one number without labels, such as `time() / 2`; such a one cannot be compared
  /// by a rule.
  public var isScalar: Bool { root.kind == .scalar }

  /// The metrics that are read, each with the longest range applied to it in milliseconds (0: none).
  public var rangesMs: [String: Int64] {
    var ranges: [String: Int64] = [:]
    root.visitSelectors { selector, rangeMs in
      ranges[selector.name] = max(ranges[selector.name] ?? 0, rangeMs)
    }
    return ranges
  }
}

/// What is wrong with an expression, and at which column (counted from 1, in characters).
public struct ExpressionError: Error, Equatable, Sendable, CustomStringConvertible {
  public var column: Int
  public var message: String

  public init(column: Int, _ message: String) {
    self.column = column
    self.message = message
  }

  public var description: String { "column \(column): \(message)" }
}

extension MetricExpression {
  enum Kind: String { case scalar, vector, range }

  struct Matcher: Sendable, Equatable {
    var label: String
    var isNegated: Bool
    /// The value equals one of these; the empty one stands for an absent label.
    var values: [String]
    /// Written `=` and not `=~`: `absent` gives such a label to its result.
    var isEquality: Bool

    func matches(_ labels: LabelSet) -> Bool { values.contains(labels[label] ?? "") != isNegated }
  }

  struct Selector: Sendable, Equatable {
    var name: String
    var matchers: [Matcher]

    func matches(_ labels: LabelSet) -> Bool { matchers.allSatisfy { $0.matches(labels) } }
  }

  enum Function: String, CaseIterable {
    case rate, increase, delta
    case avg_over_time, max_over_time, min_over_time, sum_over_time, count_over_time, last_over_time
    case quantile_over_time
    case absent, histogram_quantile, clamp_max, clamp_min, abs, time

    /// The kinds of its arguments.
    var parameters: [Kind] {
      switch self {
      case .rate, .increase, .delta, .avg_over_time, .max_over_time, .min_over_time, .sum_over_time,
        .count_over_time, .last_over_time:
        [.range]
      case .quantile_over_time: [.scalar, .range]
      case .histogram_quantile: [.scalar, .vector]
      case .clamp_max, .clamp_min: [.vector, .scalar]
      case .absent, .abs: [.vector]
      case .time: []
      }
    }
  }

  enum Aggregation: String, CaseIterable { case sum, max, min, avg, count }

  enum Grouping: Sendable, Equatable {
    case by([String])
    case without([String])
  }

  enum Operator: String, CaseIterable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case equal = "=="
    case unequal = "!="
    case atLeast = ">="
    case atMost = "<="
    case greater = ">"
    case less = "<"
    case and, unless, or

    var comparison: Comparison? { Comparison(rawValue: rawValue) }
    var isSet: Bool { self == .and || self == .unless || self == .or }

    /// Higher binds closer; all associate to the left.
    var precedence: Int {
      switch self {
      case .or: 1
      case .and, .unless: 2
      case .equal, .unequal, .atLeast, .atMost, .greater, .less: 3
      case .add, .subtract: 4
      case .multiply, .divide: 5
      }
    }
  }

  enum Matching: Sendable, Equatable {
    case on([String])
    case ignoring([String])
  }

  indirect enum Node: Sendable {
    case number(Double)
    case select(Selector)
    case range(Selector, milliseconds: Int64)
    case call(Function, [Node])
    case aggregate(Aggregation, Grouping, Node)
    case negate(Node)
    case binary(Operator, Node, Node, Matching)

    var kind: Kind {
      switch self {
      case .number: .scalar
      case .select, .aggregate: .vector
      case .range: .range
      case .call(let function, _): function == .time ? .scalar : .vector
      case .negate(let node): node.kind
      case .binary(_, let left, let right, _):
        left.kind == .scalar && right.kind == .scalar ? .scalar : .vector
      }
    }

    func visitSelectors(_ visit: (Selector, Int64) -> Void) {
      switch self {
      case .number: break
      case .select(let selector): visit(selector, 0)
      case .range(let selector, let milliseconds): visit(selector, milliseconds)
      case .call(_, let arguments): for argument in arguments { argument.visitSelectors(visit) }
      case .aggregate(_, _, let node), .negate(let node): node.visitSelectors(visit)
      case .binary(_, let left, let right, _):
        left.visitSelectors(visit)
        right.visitSelectors(visit)
      }
    }
  }
}
