import Core
import Evaluation

extension LeakAudit {
  /// One verdict of both checks over all symbols: a leak anywhere is a leak, and only what is equal everywhere is
  /// clean.
  init(
    _ audits: [RowAudit], _ profiles: [LookAheadProfile], firstDifference: FirstDifference?,
    source: RunSource,
    stepNs: Int64
  ) {
    let compared = audits.reduce(0) { $0 + $1.compared }
    let equal = audits.reduce(0) { $0 + $1.equal }
    let members = zip(audits, profiles).map { audit, profile in
      JSONValue.Member(audit.name, .object(["replay": audit.json, "profile": profile.json]))
    }
    let stepMs = stepNs / Nanoseconds.millisecond
    let found = Finding(audits, profiles, stepMs: stepMs)
    var text = found.text
    if found.verdict == .unverifiable {
      text = LeakAudit.doubt(audits, compared, equal, firstDifference)
      if let note = source.note { text += "; " + note }
    } else if found.verdict == .clean {
      text = "clean: all \(compared) rows have exactly the features that a causal replay of the tape gives"
    }
    self.init(
      verdict: found.verdict, text: text, rowsCompared: compared, rowsEqual: equal, offsetSteps: found.offset,
      details: .object(members))
  }

  /// What stands out among the symbols.
  private struct Finding {
    var verdict: Verdict
    var text = ""
    var offset: Int?

    init(_ audits: [RowAudit], _ profiles: [LookAheadProfile], stepMs: Int64) {
      verdict = .unverifiable
      if let audit = audits.first(where: { $0.offset ?? 0 > 0 }), let offset = audit.offset {
        verdict = .leak
        self.offset = offset
        text =
          "leak detected: features come from \(Finding.rows(offset, stepMs)) in the future, in "
          + "\(Finding.percent(audit.share)) of the \(audit.compared - audit.equal) rows of \(audit.name) that differ "
          + "from a causal replay of the tape"
        return
      }
      for (audit, profile) in zip(audits, profiles) {
        if let leak = profile.leak {
          verdict = .leak
          offset = leak
          text =
            "leak detected: changes of \(audit.name)'s score go with the returns \(Finding.rows(leak, stepMs)) later as "
            + "no causal score of this tape does"
          return
        }
        if let horizon = profile.knownHorizon {
          verdict = .leak
          text =
            "leak detected: \(audit.name)'s score goes with the return of the next \(Int64(horizon) * stepMs) ms as no "
            + "causal score of this tape does"
          return
        }
      }
      if let audit = audits.first(where: { $0.offset != nil }), let offset = audit.offset,
        audits.allSatisfy({ $0.offset != nil || $0.isClean })
      {
        verdict = .stale
        self.offset = offset
        text =
          "stale features: those of \(audit.name) come from \(Finding.rows(-offset, stepMs)) in the past, in "
          + "\(Finding.percent(audit.share)) of the rows that differ from a causal replay of the tape"
      } else if audits.allSatisfy(\.isClean), audits.contains(where: { $0.compared > 0 }) {
        verdict = .clean
      }
    }

    private static func rows(_ count: Int, _ stepMs: Int64) -> String {
      let noun = count == 1 ? "row" : "rows"
      return "\(count) \(noun) (\(stepMs * Int64(count)) ms)"
    }

    private static func percent(_ share: Double) -> String { JSONValue.rounded(100 * share, 1).text() + " %" }
  }

  /// Why nothing can be said.
  private static func doubt(
    _ audits: [RowAudit], _ compared: Int, _ equal: Int, _ firstDifference: FirstDifference?
  ) -> String {
    let unknown = audits.reduce(0) { $0 + $1.unknown }
    let missing = audits.reduce(0) { $0 + $1.missing }
    var reasons: [String] = []
    if let firstDifference {
      reasons.append(
        "\(compared - equal) of \(compared) rows differ from a causal replay of the tape, and no offset explains it; "
          + "the first is \(firstDifference.text)")
    }
    if unknown > 0 { reasons.append("\(unknown) rows are none that the replay makes") }
    if missing > 0 {
      reasons.append("\(missing) rows that the replay makes between the run's first and last are missing")
    }
    if reasons.isEmpty { reasons.append("no row could be compared with a replay of the tape") }
    return "unverifiable: " + reasons.joined(separator: "; ")
  }
}
