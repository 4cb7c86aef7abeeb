/// Why a rule cannot be judged on the series, the values or the lines it was given.
public struct RuleError: Error, Equatable, Sendable, CustomStringConvertible {
  public var message: String
  public var description: String { message }
}
