/// # Configuration
///
/// The problem: one set of values comes from four places (built-in defaults, a YAML file, the environment,
/// the command line), is edited by people under pressure, and decides what a run does. A misspelt key that
/// is ignored, a repeated key that erases a block, an environment `1` that turns into `true`: each looks
/// like a working configuration and is another one.
///
/// Decoding a YAML tree into a `Codable` struct, the obvious answer, cannot help: by the time the decoder
/// asks for a key it no longer knows the line, keys nobody asks for vanish, a range has no place to be
/// written down, and the environment and the command line need a second description of the same fields.
///
/// So a ``ConfigSchema`` is a table: each ``ConfigKey`` binds a dotted path to a field of a plain struct and
/// says what it accepts and means. Everything else follows from the table: reading with line and column,
/// suggestions for unknown names, the names of environment variables, the merged text with the origin of
/// each value, the reference, the version hash. ``ConfigLoader`` applies the sources weakest first and
/// reports all issues at once. Reasons and alternatives: docs/decisions/0002-configuration-schema.md.
public struct ConfigSchema<Root: Sendable>: Sendable {
  public let defaults: Root
  /// In the order they are shown.
  public let keys: [ConfigKey<Root>]
  public let maps: [ConfigMap<Root>]
  private(set) var checks: [@Sendable (Root) -> [ConfigIssue]] = []
  private let keysByPath: [String: ConfigKey<Root>]
  /// Every proper prefix of a key's path.
  let sections: Set<String>

  /// - Precondition: paths are made of lower-case names, none is repeated or also a section, and each default
  ///   is a value that its key accepts. A table that breaks this is our own bug.
  public init(defaults: Root, keys: [ConfigKey<Root>], maps: [ConfigMap<Root>] = []) {
    self.defaults = defaults
    self.keys = keys
    self.maps = maps
    var byPath: [String: ConfigKey<Root>] = [:]
    var sections: Set<String> = []
    for key in keys {
      precondition(key.type.accepts(key.get(defaults)), "the default of \(key.path) is not a valid value")
      precondition(byPath.updateValue(key, forKey: key.path) == nil, "\(key.path) is declared twice")
      sections.formUnion(ConfigSchema.parents(of: key.path))
    }
    for map in maps {
      precondition(byPath[map.path] == nil && !sections.contains(map.path), "\(map.path) is declared twice")
      sections.formUnion(ConfigSchema.parents(of: map.path))
      for field in map.fields {
        precondition(
          field.type.accepts(field.standard), "the default of \(map.path).*.\(field.path) is not valid")
        _ = ConfigSchema.parents(of: field.path)
      }
    }
    for path in byPath.keys { precondition(!sections.contains(path), "\(path) is a key and a section") }
    for map in maps { precondition(!sections.contains(map.path), "\(map.path) is a map and a section") }
    keysByPath = byPath
    self.sections = sections
  }

  /// Adds a check over several fields. Checks run only when every single value is valid.
  public func validate(_ check: @escaping @Sendable (Root) -> [ConfigIssue]) -> ConfigSchema {
    var schema = self
    schema.checks.append(check)
    return schema
  }

  private static func parents(of path: String) -> [String] {
    let parts = path.split(separator: ".", omittingEmptySubsequences: false)
    precondition(parts.allSatisfy { isConfigName($0) }, "\(path) is not made of lower-case names")
    return (1..<max(1, parts.count)).map { parts[..<$0].joined(separator: ".") }
  }

  /// What a path stands for.
  enum Resolution {
    case key(ConfigKey<Root>)
    case section
    case map(ConfigMap<Root>)
    /// An element of a map; its name is not checked yet.
    case element(ConfigMap<Root>, name: String)
    case unknown
  }

  func resolve(_ path: [String]) -> Resolution {
    let dotted = path.joined(separator: ".")
    if let key = keysByPath[dotted] { return .key(key) }
    if sections.contains(dotted) { return .section }
    for map in maps {
      if map.path == dotted { return .map(map) }
      let depth = map.path.split(separator: ".").count
      guard path.count > depth, path[..<depth].joined(separator: ".") == map.path else { continue }
      if path.count == depth + 1 { return .element(map, name: path[depth]) }
      let inner = path[(depth + 1)...].joined(separator: ".")
      if let index = map.fields.firstIndex(where: { $0.path == inner }) {
        return .key(map.keys(of: path[depth])[index])
      }
      if map.fields.contains(where: { $0.path.hasPrefix(inner + ".") }) { return .section }
    }
    return .unknown
  }

  /// All keys, those of the maps' elements present in `root` included, in the order they are shown.
  func allKeys(in root: Root) -> [ConfigKey<Root>] {
    keys + maps.flatMap { map in map.list(root).flatMap { map.keys(of: $0) } }
  }

  /// The known paths that a misspelt one could stand for.
  func candidates(for path: [String], isSection: Bool) -> [String] {
    var names = isSection ? sections.sorted() + maps.map(\.path) : keys.map(\.path)
    for map in maps {
      let depth = map.path.split(separator: ".").count
      guard path.count > depth else { continue }
      let prefix = "\(map.path).\(path[depth])."
      names += map.fields.map { prefix + $0.path }
    }
    return names
  }
}
