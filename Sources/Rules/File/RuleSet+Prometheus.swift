import Core

extension RuleSet {
  /// The alerts as a rule file of Prometheus, fit for `promtool check rules`.
  public func prometheusRules() -> String {
    var text = "# Written by weir alerts export from \(Files.name(path)); change that file instead.\n"
    text += "groups:\n"
    text += "  - name: weir\n"
    text += "    interval: \(TimeSpan.text(milliseconds: intervalNs / Nanoseconds.millisecond))\n"
    text += "    rules:\n"
    for rule in alerts {
      text += "      - alert: \(rule.name)\n"
      text += "        expr: \(quoted(rule.condition.promQL))\n"
      text += "        for: \(TimeSpan.text(milliseconds: rule.condition.forNs / Nanoseconds.millisecond))\n"
      text += "        labels:\n"
      for (name, value) in rule.exportedLabels { text += "          \(name): \(quoted(value))\n" }
      text += "        annotations:\n"
      for (name, value) in rule.exportedAnnotations { text += "          \(name): \(quoted(value))\n" }
    }
    return text
  }

  /// The rules' proofs as a file for `promtool test rules`: each alert is silent at the evaluation before it
  /// fires, fires with exactly the labels it has here, and is silent again once it has recovered here.
  ///
  /// - Parameter rulesPath: where ``prometheusRules()`` will be, seen from the test file.
  /// - Throws: ``RuleError`` naming the rule whose proof fails or is missing.
  public func prometheusTests(rulesPath: String = "weir.rules.yaml") throws(RuleError) -> String {
    var text = "# Written by weir alerts export from \(Files.name(path)); change that file instead.\n"
    text += "rule_files:\n  - \(quoted(rulesPath))\n"
    text += "evaluation_interval: \(TimeSpan.text(milliseconds: RuleProof.evaluationMs))\n"
    text += "tests:\n"
    for rule in alerts {
      guard let proof = rule.proof else {
        throw RuleError(message: "\(rule.name) has no proof; add series that make it fire and recover")
      }
      let result: RuleProof.Result
      do throws(RuleError) { result = try proof.run(rule) } catch {
        throw RuleError(message: "\(rule.name): \(error.message)")
      }
      text += "  - name: \(quoted("\(rule.name): \(proof.cause)"))\n"
      text += "    interval: \(TimeSpan.text(milliseconds: proof.everyMs))\n"
      text += "    input_series:\n"
      for series in proof.series {
        text += "      - series: \(quoted(series.text))\n"
        text += "        values: \(quoted(series.values.text))\n"
      }
      text += "    alert_rule_test:\n"
      if result.firedMs >= RuleProof.evaluationMs {
        text += check(rule, result.firedMs - RuleProof.evaluationMs, [])
      }
      text += check(rule, result.firedMs, result.labels)
      text += check(rule, result.recoveredMs, [])
    }
    return text
  }

  private func check(_ rule: AlertRule, _ ms: Int64, _ alerts: [LabelSet]) -> String {
    var text = "      - eval_time: \(TimeSpan.text(milliseconds: ms))\n"
    text += "        alertname: \(rule.name)\n"
    if alerts.isEmpty { return text + "        exp_alerts: []\n" }
    text += "        exp_alerts:\n"
    for labels in alerts {
      let all = labels.labels.map { ($0.name, $0.value) } + rule.exportedLabels
      let pairs = all.map { "\($0.0): \(quoted($0.1))" }
      let notes = rule.exportedAnnotations.map { "\($0.0): \(quoted($0.1))" }
      text += "          - exp_labels: {\(pairs.joined(separator: ", "))}\n"
      text += "            exp_annotations: {\(notes.joined(separator: ", "))}\n"
    }
    return text
  }
}

extension AlertRule {
  fileprivate var exportedLabels: [(String, String)] {
    [("severity", severity.rawValue), ("level", level.rawValue), ("action", action.rawValue)]
  }

  fileprivate var exportedAnnotations: [(String, String)] { [("summary", summary), ("runbook", runbook)] }
}
