import Core
import Strategy

/// What is switched off or raised while the system cannot keep up, or does not trust its data.
public struct Degradation: Equatable, Sendable {
  /// Grid rows only at every ``SignalPipeline/lightRowsStride``-th point.
  public var lightRows = false
  /// Only strong types are confirmed.
  public var strongOnly = false
  /// The thresholds of all types, times this.
  public var thresholdScale = 1.0
  /// Rows say that whoever trades is to reckon with the higher cost.
  public var conservativeCost = false

  public init() {}

  public static let thresholdScaleRange = 0.1...10.0
}

/// An intervention in the running signal stage.
///
/// **Problem.** Operators and the supervisor change what signals come out while the stage runs: they force a mode,
/// raise thresholds, swap parameters. A replay of the tape must give the same signals.
///
/// **Why the obvious answer fails.** A command sent to the signal process takes effect at some record that nobody
/// knows afterwards, and is lost when the process is killed.
///
/// **Algorithm.** The harvester puts the intervention on the tape, as a `note` of the stream ``stream``, and the stage
/// obeys the record where it stands: rows for points of time up to the record are made before it, everything
/// behind it is under its effect. So live, replay and every restart agree, and the tape says who did what when.
///
/// `{"control":"mode","value":"quiet","by":"ctl"}`, in full:
///
/// | control | members |
/// |---|---|
/// | `mode` | `value`: `auto`, `quiet`, `active` |
/// | `shadow` | `value`: `pause`, `resume` |
/// | `time_sync` | `value`: `degraded`, `normal` |
/// | `degrade` | `light_rows`, `strong_only`, `conservative_cost`: booleans, `threshold_scale`: 0.1 to 10; all of them |
/// | `params` | `version`: 12 hexadecimal digits, `values`: keys of ``parameterSections`` with numbers |
///
/// Each may have `by` and `reason`: names of at most ``nameBytesMax`` letters, digits, `_`, `-`, `.`. Anything else
/// is no control.
public struct Control: Equatable, Sendable {
  public enum Action: Equatable, Sendable {
    case mode(Signal.Mode)
    case shadow(isPaused: Bool)
    /// Forced on top of what the clock records say.
    case timeSync(isDegraded: Bool)
    case degrade(Degradation)
    /// These keys get these values, the others keep theirs.
    case parameters(ParameterVersion, [ParameterValue])
  }

  public struct ParameterValue: Equatable, Sendable {
    /// `gates.lag_ms_max`
    public var key: String
    /// The number as it is written.
    public var text: String
  }

  public var action: Action
  /// Why, or else by whom.
  public var reason: String

  public static let stream = "weir@control"
  /// Of the JSON.
  public static let bytesMax = 16 << 10
  public static let nameBytesMax = 32
  /// What `params` may change.
  public static let parameterSections = ["fusion.", "gates.", "strategy.scenarios."]

  /// The word behind `control`.
  public var name: StaticString {
    switch action {
    case .mode: "mode"
    case .shadow: "shadow"
    case .timeSync: "time_sync"
    case .degrade: "degrade"
    case .parameters: "params"
    }
  }
  public static let names: [StaticString] = ["mode", "shadow", "time_sync", "degrade", "params"]
}

/// Why something is no control.
public struct ControlError: Error, Equatable, CustomStringConvertible {
  public var description: String

  init(_ description: String) { self.description = description }
}

extension Control {
  /// - Throws: ``ControlError``
  public init(_ json: JSONValue) throws(ControlError) {
    var members = try Members(json)
    let kind = try members.text("control")
    switch kind {
    case "mode":
      action = .mode(
        try members.choice("value", Signal.Mode.allCases.map { ("\($0.name)", $0) }))
    case "shadow":
      action = .shadow(isPaused: try members.choice("value", [("pause", true), ("resume", false)]))
    case "time_sync":
      action = .timeSync(isDegraded: try members.choice("value", [("degraded", true), ("normal", false)]))
    case "degrade":
      var degradation = Degradation()
      degradation.lightRows = try members.boolean("light_rows")
      degradation.strongOnly = try members.boolean("strong_only")
      degradation.conservativeCost = try members.boolean("conservative_cost")
      degradation.thresholdScale = try members.number("threshold_scale", Degradation.thresholdScaleRange)
      action = .degrade(degradation)
    case "params":
      guard let version = ParameterVersion(try members.text("version")) else {
        throw ControlError("version must be \(ParameterVersion.digits) lower-case hexadecimal digits")
      }
      action = .parameters(version, try members.parameters("values"))
    default:
      throw ControlError("unknown control \"\(kind)\"; known are mode, shadow, time_sync, degrade, params")
    }
    let author = try members.name("by")
    let reason = try members.name("reason")
    self.reason = reason ?? author ?? "control"
    try members.finish()
  }
}

/// An object's members, each taken once.
private struct Members {
  private var left: [String: JSONValue] = [:]

  init(_ json: JSONValue) throws(ControlError) {
    guard let members = json.members else { throw ControlError("a control is a JSON object") }
    guard members.count <= 64 else { throw ControlError("a control has at most 64 members") }
    for member in members where left.updateValue(member.value, forKey: member.key) != nil {
      throw ControlError("\"\(member.key)\" stands twice")
    }
  }

  private mutating func take(_ key: String) throws(ControlError) -> JSONValue {
    guard let value = left.removeValue(forKey: key) else { throw ControlError("\"\(key)\" is missing") }
    return value
  }

  mutating func text(_ key: String) throws(ControlError) -> String {
    guard case .string(let text) = try take(key) else { throw ControlError("\"\(key)\" must be a text") }
    return text
  }

  mutating func choice<Value>(_ key: String, _ choices: [(String, Value)]) throws(ControlError) -> Value {
    let text = try text(key)
    guard let chosen = choices.first(where: { $0.0 == text }) else {
      throw ControlError("\"\(key)\" must be one of " + choices.map(\.0).joined(separator: ", "))
    }
    return chosen.1
  }

  mutating func boolean(_ key: String) throws(ControlError) -> Bool {
    guard case .bool(let value) = try take(key) else {
      throw ControlError("\"\(key)\" must be true or false")
    }
    return value
  }

  mutating func number(_ key: String, _ range: ClosedRange<Double>) throws(ControlError) -> Double {
    guard case .number(let text) = try take(key), let value = Double(text), range.contains(value) else {
      throw ControlError("\"\(key)\" must be a number, \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  mutating func name(_ key: String) throws(ControlError) -> String? {
    guard left[key] != nil else { return nil }
    let text = try text(key)
    let isName = text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
      default: false
      }
    }
    guard isName, (1...Control.nameBytesMax).contains(text.utf8.count) else {
      throw ControlError(
        "\"\(key)\" must be 1 to \(Control.nameBytesMax) letters, digits, dots, dashes or underscores")
    }
    return text
  }

  mutating func parameters(_ key: String) throws(ControlError) -> [Control.ParameterValue] {
    guard let members = try take(key).members else { throw ControlError("\"\(key)\" must be an object") }
    var values: [Control.ParameterValue] = []
    for member in members {
      guard Control.parameterSections.contains(where: { member.key.hasPrefix($0) }) else {
        throw ControlError(
          "\"\(member.key)\" cannot be changed while running; keys of "
            + Control.parameterSections.joined(separator: ", ") + " can")
      }
      guard case .number(let text) = member.value else {
        throw ControlError("\"\(member.key)\" must be a number")
      }
      guard !values.contains(where: { $0.key == member.key }) else {
        throw ControlError("\"\(member.key)\" stands twice")
      }
      values.append(Control.ParameterValue(key: member.key, text: text))
    }
    return values
  }

  func finish() throws(ControlError) {
    if let key = left.keys.sorted().first { throw ControlError("unknown member \"\(key)\"") }
  }
}
