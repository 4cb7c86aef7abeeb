/// One alert: a condition, how bad it is, what is done about it, and where that is explained.
///
/// Each label set of the condition's result is an alert of its own, so `by (symbol)` in the expression
/// decides that symbols alert one by one.
public struct AlertRule: Sendable {
  /// A letter, then letters, digits and `_`.
  public var name: String
  public var condition: Condition
  public var level: AlertLevel
  public var severity: AlertSeverity
  public var action: AlertAction
  /// A path in this repository, `docs/runbooks/alerts.md#export-failing`.
  public var runbook: String
  /// One sentence: what is wrong.
  public var summary: String
  /// Series that make it fire and recover; `nil` when the file has none for this rule.
  public var proof: RuleProof?

  public init(
    name: String, condition: Condition, level: AlertLevel, severity: AlertSeverity, action: AlertAction,
    runbook: String, summary: String, proof: RuleProof? = nil
  ) {
    self.name = name
    self.condition = condition
    self.level = level
    self.severity = severity
    self.action = action
    self.runbook = runbook
    self.summary = summary
    self.proof = proof
  }
}

/// Who has to act: P0 now, P1 within the hour, P2 within the day.
public enum AlertLevel: String, CaseIterable, Sendable { case P0, P1, P2 }

public enum AlertSeverity: String, CaseIterable, Sendable { case critical, warning, info }

/// What is done when an alert fires. Actions are idempotent and exist as commands of the same meaning.
public enum AlertAction: String, CaseIterable, Sendable {
  case none
  case restartWebSocket = "restart_ws"
  case fallbackREST = "fallback_rest"
  case rebuildSnapshot = "rebuild_snapshot"
  case degradedTimeSync = "degraded_time_sync"
  case slowFeature = "slow_feature"
  case scaleOut = "scale_out"
  case addReplica = "add_replica"
  case recalibrate
  case refitCost = "refit_cost"
  case rollbackModel = "rollback_model"
  case modeQuiet = "mode_quiet"
  case pauseShadow = "pause_shadow"
  case compress
}
