/// How a command ends, as the shell sees it.
public enum ExitCode: Int32, Sendable {
  case ok = 0
  /// A check the command was asked to make failed, or the outside world did.
  case failedCheck = 1
  /// The command line or the configuration is wrong, or the result is inconclusive.
  case usage = 2
  /// Our own mistake.
  case bug = 70
}

/// An error that decides its command's exit code; every other error means ``ExitCode/failedCheck``.
public protocol ExitCodeError: Error {
  var exitCode: ExitCode { get }
}

/// A command line that cannot be followed: what, and what to do.
public struct UsageError: ExitCodeError, Equatable, CustomStringConvertible {
  public var message: String

  public init(_ message: String) { self.message = message }

  public var exitCode: ExitCode { .usage }
  public var description: String { message }
}
