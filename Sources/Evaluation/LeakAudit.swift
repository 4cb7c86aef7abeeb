import Core

/// Whether the rows of a run could have known what they say, and how that was found out.
public struct LeakAudit: Equatable, Sendable {
  public enum Verdict: String, CaseIterable, Sendable {
    /// Every row is what a causal replay of the tape gives at its time.
    case clean
    /// Features come from the future.
    case leak = "leak detected"
    /// Features come from the past: no leak, but not what the rows claim either.
    case stale
    /// Neither; nothing says that the rows are causal.
    case unverifiable
  }

  public var verdict: Verdict
  /// The verdict with its reason, one sentence or two.
  public var text: String
  public var rowsCompared: Int
  public var rowsEqual: Int
  /// How many rows of the symbol ahead the features were taken from; negative: behind. nil where none was
  /// found.
  public var offsetSteps: Int?
  /// What each check found; see ``json``.
  public var details: JSONValue

  public init(
    verdict: Verdict, text: String, rowsCompared: Int, rowsEqual: Int, offsetSteps: Int? = nil,
    details: JSONValue = .object([])
  ) {
    self.verdict = verdict
    self.text = text
    self.rowsCompared = rowsCompared
    self.rowsEqual = rowsEqual
    self.offsetSteps = offsetSteps
    self.details = details
  }

  /// `{"verdict", "text", "rows_compared", "rows_equal", "offset_steps", "details"}`
  public var json: JSONValue {
    .object([
      "verdict": .string(verdict.rawValue), "text": .string(text), "rows_compared": .integer(rowsCompared),
      "rows_equal": .integer(rowsEqual), "offset_steps": offsetSteps.map { .integer($0) } ?? .null,
      "details": details,
    ])
  }
}
