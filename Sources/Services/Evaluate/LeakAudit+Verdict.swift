import Core
import Evaluation

extension LeakAudit {
  /// One verdict of both checks over all symbols: a leak anywhere is a leak, and only what is equal
  /// everywhere is clean.
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
    var verdict = Verdict.unverifiable
    var text = ""
    var offset: Int?
    if let found = LeakAudit.leak(audits, profiles, stepMs) {
      (verdict, text, offset) = (.leak, found.text, found.offset)
    } else if let found = LeakAudit.delay(audits, stepMs) {
      (verdict, text, offset) = (.stale, found.text, found.offset)
    } else if compared > 0, audits.allSatisfy(\.isClean) {
      verdict = .clean
      text = "clean: all \(compared) rows have exactly the features that a causal replay of the tape gives"
    } else {
      text = LeakAudit.doubt(audits, compared, equal, firstDifference)
      if let note = source.note { text += "; " + note }
    }
    self.init(
      verdict: verdict, text: text, rowsCompared: compared, rowsEqual: equal, offsetSteps: offset,
      details: .object(members))
  }

  /// What comes from the future, by the replay or else by the profiles.
  private static func leak(_ audits: [RowAudit], _ profiles: [LookAheadProfile], _ stepMs: Int64) -> (
    text: String, offset: Int?
  )? {
    for audit in audits {
      guard let found = audit.leak, let offset = found.offset else { continue }
      return (
        "leak detected: features come from \(rows(offset, stepMs)) in the future (\(found.column) of \(audit.name), in "
          + "\(percent(found.share)) of the \(found.rows) rows in which it is not what a causal replay gives)",
        offset
      )
    }
    for (audit, profile) in zip(audits, profiles) {
      if let offset = profile.leak {
        return (
          "leak detected: features come from \(rows(offset, stepMs)) in the future (changes of \(audit.name)'s score go "
            + "with returns so much later as no causal score of this tape does)", offset
        )
      }
      if let horizon = profile.knownHorizon {
        return (
          "leak detected: the score of \(audit.name) goes with the return of the \(Int64(horizon) * stepMs) ms after it "
            + "as no causal score of this tape does", nil
        )
      }
    }
    return nil
  }

  /// What comes from the past, where nothing else is wrong.
  private static func delay(_ audits: [RowAudit], _ stepMs: Int64) -> (text: String, offset: Int)? {
    guard audits.allSatisfy({ $0.isClean || $0.delay != nil }) else { return nil }
    for audit in audits {
      guard let found = audit.delay, let offset = found.offset else { continue }
      return (
        "stale features: they come from \(rows(-offset, stepMs)) in the past (\(found.column) of \(audit.name), in "
          + "\(percent(found.share)) of the \(found.rows) rows in which it is not what a causal replay gives)",
        offset
      )
    }
    return nil
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

  private static func rows(_ count: Int, _ stepMs: Int64) -> String {
    "\(count) \(count == 1 ? "row" : "rows") (\(stepMs * Int64(count)) ms)"
  }

  private static func percent(_ share: Double) -> String { JSONValue.rounded(100 * share, 1).text() + " %" }
}
