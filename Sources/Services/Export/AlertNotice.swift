import Core

/// One alert that fired or recovered, as it is delivered.
public struct AlertNotice: Equatable, Sendable {
  public enum State: String, Sendable {
    case firing, recovered
  }

  /// How soon somebody must act; P0 is now.
  public enum Level: String, CaseIterable, Comparable, Sendable {
    case p0 = "P0"
    case p1 = "P1"
    case p2 = "P2"

    private var rank: Int { self == .p0 ? 0 : self == .p1 ? 1 : 2 }
    public static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
  }

  public var rule: String
  public var level: Level
  /// `critical`, `warning` or `info`
  public var severity: String
  public var state: State
  public var labels: [ExportPoint.Label]
  /// What the rule measured; nil where it is not finite.
  public var value: Double?
  public var firedAt: UnixNanos
  public var recoveredAt: UnixNanos?
  public var detail: String
  /// Link or path of what to do.
  public var runbook: String

  public init(
    rule: String, level: Level, severity: String, state: State, labels: [ExportPoint.Label] = [],
    value: Double?, firedAt: UnixNanos, recoveredAt: UnixNanos? = nil, detail: String, runbook: String = ""
  ) {
    self.rule = rule
    self.level = level
    self.severity = severity
    self.state = state
    self.labels = labels
    self.value = value
    self.firedAt = firedAt
    self.recoveredAt = recoveredAt
    self.detail = detail
    self.runbook = runbook
  }

  /// Times as `2024-07-18T23:57:01.080Z`.
  public var json: JSONValue {
    .object([
      "rule": .string(rule), "level": .string(level.rawValue), "severity": .string(severity),
      "state": .string(state.rawValue),
      "labels": .object(labels.map { .init($0.name, .string($0.value)) }), "value": .double(value),
      "fired_at": .string(UTCDate(firedAt).isoText),
      "recovered_at": recoveredAt.map { .string(UTCDate($0).isoText) } ?? .null, "detail": .string(detail),
      "runbook": .string(runbook),
    ])
  }

  /// `alert firing P0 critical signals_zero{symbol="BTCUSDT"} value 0: no signal for 2 min; see …`
  public var logLine: String {
    let names = labels.map { "\($0.name)=\"\($0.value)\"" }.joined(separator: ",")
    return "alert \(state.rawValue) \(level.rawValue) \(severity) \(rule)"
      + (names.isEmpty ? "" : "{\(names)}") + (value.map { " value \($0)" } ?? "")
      + (detail.isEmpty ? "" : ": \(detail)") + (runbook.isEmpty ? "" : "; see \(runbook)")
  }
}
