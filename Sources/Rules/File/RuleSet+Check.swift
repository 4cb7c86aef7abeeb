import Core

extension RuleSet {
  /// What a rule's proof showed.
  public struct Verdict: Equatable, Sendable, CustomStringConvertible {
    public var rule: String
    public var result: RuleProof.Result?
    /// `nil` when the rule fired and recovered.
    public var problem: String?

    public var description: String {
      guard let result else { return "\(rule): \(problem ?? "")" }
      return "\(rule): fires after \(TimeSpan.text(milliseconds: result.firedMs)), "
        + "recovers after \(TimeSpan.text(milliseconds: result.recoveredMs))"
    }

    public var json: JSONValue {
      .object([
        "rule": .string(rule), "fired_ms": result.map { .integer($0.firedMs) } ?? .null,
        "recovered_ms": result.map { .integer($0.recoveredMs) } ?? .null,
        "problem": problem.map { .string($0) } ?? .null,
      ])
    }
  }

  /// Runs the proof of every alert, in order of the file.
  public func runProofs() -> [Verdict] {
    alerts.map { rule in
      guard let proof = rule.proof else {
        return Verdict(rule: rule.name, problem: "no proof; add series that make it fire and recover")
      }
      do throws(RuleError) {
        return Verdict(rule: rule.name, result: try proof.run(rule))
      } catch {
        return Verdict(rule: rule.name, problem: error.message)
      }
    }
  }

  /// The rules as one document.
  public var json: JSONValue {
    .object([
      "interval_s": .rounded(Double(intervalNs) / 1e9, 3),
      "suppress_s": .rounded(Double(suppressNs) / 1e9, 3),
      "alerts": .array(
        alerts.map { rule in
          .object([
            "name": .string(rule.name), "expression": .string(rule.condition.promQL),
            "for": .string(TimeSpan.text(milliseconds: rule.condition.forNs / Nanoseconds.millisecond)),
            "level": .string(rule.level.rawValue), "severity": .string(rule.severity.rawValue),
            "action": .string(rule.action.rawValue), "runbook": .string(rule.runbook),
            "summary": .string(rule.summary),
          ])
        }),
      "degrade": .array(
        degrade.map { step in
          .object([
            "name": .string(step.name), "expression": .string(step.condition.promQL),
            "for": .string(TimeSpan.text(milliseconds: step.condition.forNs / Nanoseconds.millisecond)),
            "recover_for": .string(TimeSpan.text(milliseconds: step.recoverForNs / Nanoseconds.millisecond)),
            "effects": .array(step.effects.map { .string($0.rawValue) }), "summary": .string(step.summary),
          ])
        }),
    ])
  }
}
