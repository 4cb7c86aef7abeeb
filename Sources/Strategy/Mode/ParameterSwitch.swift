/// One of the parts of a stage that follow the same parameters.
public struct ParameterModule<Subject: ~Copyable, Parameters: Sendable>: Sendable {
  /// Part of metrics and reports.
  public let name: String
  /// Builds and validates what it would adopt, and changes nothing; a reason for which it cannot.
  let refusal: @Sendable (borrowing Subject, Parameters) -> String?
  /// Follows parameters that it has not refused; cannot fail.
  let adopt: @Sendable (inout Subject, Parameters) -> Void

  public init(
    _ name: String, refusal: @escaping @Sendable (borrowing Subject, Parameters) -> String?,
    adopt: @escaping @Sendable (inout Subject, Parameters) -> Void
  ) {
    self.name = name
    self.refusal = refusal
    self.adopt = adopt
  }
}

/// A module cannot work with parameters; none of them follows any of them.
public struct ParameterRefusal: Error, Equatable, CustomStringConvertible {
  public var module: String
  public var reason: String

  public init(module: String, reason: String) {
    self.module = module
    self.reason = reason
  }

  public var description: String { "\(module) refuses the parameters: \(reason)" }
}

/// Switches all parts of a stage to other parameters, or none of them.
///
/// **Problem.** A change of regime changes thresholds, windows, the share of rows, the cadence of the shell.
/// Half of that is a state which nobody has configured or tested.
///
/// **Why the obvious answer fails.** Changing one after the other and undoing on failure needs an undo that
/// cannot fail itself, for each part, and rows made in between.
///
/// **Algorithm.** Two phases, as a transaction prepares and commits: first every module is asked and changes
/// nothing; only when none refuses does every module adopt, which cannot fail. So there is nothing to roll
/// back, and a refusal by any of them leaves every one as it was.
public enum ParameterSwitch {
  /// - Throws: ``ParameterRefusal`` of the first module that refuses; `subject` is then as before.
  public static func perform<Subject: ~Copyable, Parameters: Sendable>(
    _ parameters: Parameters, on subject: inout Subject, _ modules: [ParameterModule<Subject, Parameters>]
  ) throws(ParameterRefusal) {
    for module in modules {
      if let reason = module.refusal(subject, parameters) {
        throw ParameterRefusal(module: module.name, reason: reason)
      }
    }
    adopt(parameters, on: &subject, modules)
  }

  /// Adopts what was in force already, for a stage that is made again.
  public static func adopt<Subject: ~Copyable, Parameters: Sendable>(
    _ parameters: Parameters, on subject: inout Subject, _ modules: [ParameterModule<Subject, Parameters>]
  ) {
    for module in modules { module.adopt(&subject, parameters) }
  }
}
