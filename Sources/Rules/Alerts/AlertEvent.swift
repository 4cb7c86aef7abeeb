import Core

/// An alert that fired or recovered.
public struct AlertEvent: Equatable, Sendable {
  public enum Kind: String, Sendable { case fired, recovered }

  public var kind: Kind
  public var rule: String
  public var level: AlertLevel
  public var severity: AlertSeverity
  /// To be performed when the alert fires.
  public var action: AlertAction
  public var runbook: String
  /// Of the alert; with the rule's name its identity.
  public var labels: LabelSet
  /// The last one for which the condition held.
  public var value: Double
  public var firedAt: UnixNanos
  public var recoveredAt: UnixNanos?
  /// `queue_dropped {job="harvest"}: frames were dropped; 3 > 0`
  public var detail: String

  /// One object with the manifest's `rule`, `level`, `fired_at`, `recovered_at`, `detail` and the rest.
  public var json: JSONValue {
    .object([
      "event": .string(kind.rawValue), "rule": .string(rule), "level": .string(level.rawValue),
      "severity": .string(severity.rawValue),
      "labels": .object(labels.labels.map { .init($0.name, .string($0.value)) }),
      "value": value.isFinite ? .double(value) : .string(numberText(value)),
      "fired_at": .string(UTCDate(firedAt).isoText),
      "recovered_at": recoveredAt.map { .string(UTCDate($0).isoText) } ?? .null,
      "detail": .string(detail), "action": .string(action.rawValue), "runbook": .string(runbook),
    ])
  }
}

/// One message to people: the events of one step of one rule and kind, or the begin or end of a storm.
public struct AlertNotification: Equatable, Sendable {
  public enum Kind: String, Sendable {
    case fired, recovered
    case stormBegan = "storm_began"
    case stormEnded = "storm_ended"
  }

  public var kind: Kind
  public var at: UnixNanos
  /// Empty for a storm, as are the labels.
  public var rule: String
  public var level: AlertLevel
  public var severity: AlertSeverity
  public var labels: [LabelSet]
  public var runbook: String
  public var text: String

  public var json: JSONValue {
    .object([
      "event": .string(kind.rawValue), "at": .string(UTCDate(at).isoText), "rule": .string(rule),
      "level": .string(level.rawValue), "severity": .string(severity.rawValue),
      "labels": .array(labels.map { .object($0.labels.map { .init($0.name, .string($0.value)) }) }),
      "text": .string(text), "runbook": .string(runbook),
    ])
  }
}
