/// Where a configuration value comes from, weakest first.
public enum ConfigOrigin: Sendable, Equatable, CustomStringConvertible {
  case builtIn
  case file(path: String, position: YAMLNode.Position?)
  case environment(variable: String)
  case commandLine

  /// `config/x.yaml:12`, `WEIR__flow__ofi_window_ms`, `command line`.
  public var description: String {
    switch self {
    case .builtIn: "default"
    case .file(let path, let position):
      printable(path, charactersMax: 400) + (position.map { ":\($0.line)" } ?? "")
    case .environment(let variable): printable(variable, charactersMax: 200)
    case .commandLine: "command line"
    }
  }
}

/// One thing that is wrong with a configuration: where, which key, what, and what to do.
public struct ConfigIssue: Error, Sendable, Equatable, CustomStringConvertible {
  /// `nil` in an issue made by a cross-field check; the loader then fills in where the key's value came from.
  public var origin: ConfigOrigin?
  public var key: String?
  public var message: String

  /// For cross-field checks: `ConfigIssue("flow.decay_per_level", "must be below …")`.
  public init(_ key: String, _ message: String) { self.init(origin: nil, key: key, message) }

  public init(origin: ConfigOrigin?, key: String?, _ message: String) {
    self.origin = origin
    self.key = key
    self.message = message
  }

  /// `config/x.yaml:12:5: flow.ofi_window_ms: found …`
  public var description: String {
    var text = ""
    if case .file(let path, let position?) = origin {
      text = "\(printable(path, charactersMax: 400)):\(position.line):\(position.column): "
    } else if let origin {
      text = "\(origin): "
    }
    if let key { text += "\(printable(key, charactersMax: 200)): " }
    return text + message
  }
}

/// Everything that is wrong with a configuration, in the order file, environment, command line.
public struct ConfigError: Error, Sendable, Equatable, CustomStringConvertible {
  public var issues: [ConfigIssue]

  /// How many issues ``description`` prints.
  public static let printedMax = 50

  public init(_ issues: [ConfigIssue]) { self.issues = issues }

  /// One issue a line.
  public var description: String {
    var lines = issues.prefix(ConfigError.printedMax).map(\.description)
    if issues.count > lines.count { lines.append("and \(issues.count - lines.count) more") }
    return lines.joined(separator: "\n")
  }
}
