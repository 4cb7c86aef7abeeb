import Core
import Glibc

/// Part of a configuration that is kept in a file of its own, as the tree that the configuration's own file would
/// hold; its positions are those of its file.
public struct ConfigLayer: Sendable {
  public var file: String
  /// A mapping.
  public var root: YAMLNode

  public init(file: String, root: YAMLNode) {
    self.file = file
    self.root = root
  }
}

/// Merges the sources of a configuration, weakest first: defaults, file, layer, environment, command line.
public struct ConfigLoader<Root: Sendable>: Sendable {
  public let schema: ConfigSchema<Root>

  /// Variables that begin so are configuration, in any letter case; unknown ones are errors.
  public static var environmentPrefix: String { "WEIR__" }

  public init(_ schema: ConfigSchema<Root>) { self.schema = schema }

  /// A variable without the prefix that sets a key, for operators and scripts that know it by that name.
  public struct Alias: Sendable {
    public let variable: String
    public let key: String
    /// Other words for a value: `1` for `true`.
    public let words: [String: String]

    public init(_ variable: String, key: String, words: [String: String] = [:]) {
      self.variable = variable
      self.key = key
      self.words = words
    }
  }

  /// Reads and merges all sources; a source that loses is checked all the same.
  ///
  /// - Parameters:
  ///   - file: a YAML file of at most 1 MiB, or none. An empty file changes nothing.
  ///   - layer: stands above the file.
  ///   - environment: all variables; `WEIR__flow__ofi_window_ms` sets `flow.ofi_window_ms`. Texts are taken
  ///     literally; lists are written `a,b` or `[a, b]`.
  ///   - aliases: other names of variables; one that is empty sets nothing, one that contradicts the
  ///     prefixed name of its key is an error.
  ///   - overrides: dotted paths with values written as in the environment; the last of a path wins.
  /// - Throws: ``ConfigError`` with every issue found.
  public func load(
    file: String? = nil, layer: ConfigLayer? = nil, environment: [String: String] = [:],
    aliases: [Alias] = [],
    overrides: [(key: String, value: String)] = []
  ) throws(ConfigError) -> LoadedConfig<Root> {
    var merge = Merge(schema)
    if let file { merge.apply(file: file) }
    if let layer { merge.walk(layer.root, path: [], file: layer.file) }
    merge.apply(environment: environment, aliases)
    for (key, value) in overrides { merge.apply(key: key, value: value, origin: .commandLine) }
    if merge.issues.isEmpty { merge.check() }
    guard merge.issues.isEmpty else { throw ConfigError(merge.issues) }
    return LoadedConfig(schema: schema, value: merge.value, origins: merge.origins)
  }

  /// Changes values of a configuration that is in use, by the rules of ``load(file:environment:overrides:)``.
  ///
  /// - Returns: the changed configuration; `root` is not touched when anything is wrong.
  /// - Throws: ``ConfigError`` with every issue that the changes bring; one that `root` had before is not theirs.
  public func change(_ root: Root, _ changes: [(key: String, value: String)]) throws(ConfigError) -> Root {
    var merge = Merge(schema)
    merge.value = root
    for (key, value) in changes { merge.apply(key: key, value: value, origin: .commandLine) }
    if merge.issues.isEmpty {
      let before = schema.checks.flatMap { $0(root) }
      merge.issues = schema.checks.flatMap { $0(merge.value) }.filter { !before.contains($0) }
    }
    guard merge.issues.isEmpty else { throw ConfigError(merge.issues) }
    return merge.value
  }

  /// Splits `flow.ofi_window_ms=250`, as given to `--set`.
  public static func parseOverride(_ text: String) throws(ConfigError) -> (key: String, value: String) {
    guard let mark = text.firstIndex(of: "="), mark != text.startIndex else {
      throw ConfigError([
        ConfigIssue(
          origin: .commandLine, key: nil,
          "\"\(printable(text))\" sets nothing; write key=value, such as flow.ofi_window_ms=5000")
      ])
    }
    return (String(text[..<mark]), String(text[text.index(after: mark)...]))
  }
}

/// The state of one merge.
private struct Merge<Root: Sendable> {
  let schema: ConfigSchema<Root>
  var value: Root
  var origins: [String: ConfigOrigin] = [:]
  var issues: [ConfigIssue] = []

  init(_ schema: ConfigSchema<Root>) {
    self.schema = schema
    value = schema.defaults
  }

  mutating func check() {
    for check in schema.checks {
      for var issue in check(value) {
        if issue.origin == nil, let key = issue.key { issue.origin = origins[key] }
        issues.append(issue)
      }
    }
  }

  // MARK: File

  mutating func apply(file: String) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try Files.read(file, bytesMax: YAMLDocument.bytesMax)
    } catch {
      let reason =
        error.code == EFBIG
        ? "larger than 1 MiB, which no configuration is; check the path" : error.description
      issues.append(ConfigIssue(origin: .file(path: file, position: nil), key: nil, reason))
      return
    }
    let document = YAMLDocument(parsing: bytes)
    for problem in document.problems { report(file, problem.position, nil, problem.message) }
    guard let root = document.root else { return }
    if root.isNull { return }
    guard case .mapping = root.content else {
      report(file, root.position, nil, "found \(summary(of: root)); expected keys and values, such as flow:")
      return
    }
    walk(root, path: [], file: file)
    issues.sort { first, second in
      guard case .file(_, let a?) = first.origin, case .file(_, let b?) = second.origin else { return false }
      return (a.line, a.column) < (b.line, b.column)
    }
  }

  private mutating func report(
    _ file: String, _ position: YAMLNode.Position, _ key: String?, _ message: String
  ) {
    issues.append(ConfigIssue(origin: .file(path: file, position: position), key: key, message))
  }

  mutating func walk(_ node: YAMLNode, path: [String], file: String) {
    guard case .mapping(let entries) = node.content else { preconditionFailure("only mappings are walked") }
    for entry in entries {
      let inner = path + [entry.key]
      let dotted = inner.joined(separator: ".")
      if entry.key.contains(".") {
        let parts = entry.key.split(separator: ".").joined(separator: ": { ")
        report(
          file, entry.position, nil,
          "the key \"\(printable(dotted))\" is written with a dot; nest it, as in \(printable(parts)): … }")
        continue
      }
      switch schema.resolve(inner) {
      case .key(let key):
        assign(key, entry.value, origin: .file(path: file, position: entry.position))
      case .section, .map:
        descend(entry, inner, file)
      case .element(let map, let name):
        guard map.names.accepts(name) else {
          let suggestion = map.names.canonical(name)
          let hint = map.names.accepts(suggestion) ? "; write \(suggestion)" : ""
          report(file, entry.position, dotted, "the name must be \(map.names.description)\(hint)")
          continue
        }
        map.create(&value, name)
        descend(entry, inner, file)
      case .unknown:
        var isSection = false
        if case .mapping = entry.value.content { isSection = true }
        report(file, entry.position, nil, unknown(inner, isSection: isSection))
      }
    }
  }

  private mutating func descend(_ entry: YAMLNode.Entry, _ path: [String], _ file: String) {
    if case .mapping = entry.value.content {
      walk(entry.value, path: path, file: file)
    } else {
      let found = entry.value.isNull ? "is empty" : "found \(summary(of: entry.value))"
      report(
        file, entry.value.position, path.joined(separator: "."),
        "\(found); it is a section, give it keys or remove it")
    }
  }

  /// `unknown key "flow.ofi_windw_ms"; did you mean "flow.ofi_window_ms"?`
  private func unknown(_ path: [String], isSection: Bool) -> String {
    let dotted = path.joined(separator: ".")
    let candidates = schema.candidates(for: path, isSection: isSection)
    let leaf = "." + (path.last ?? "")
    let nearest =
      NearestName.find(dotted, among: candidates) ?? candidates.first { $0.hasSuffix(leaf) }
    let noun = isSection ? "section" : "key"
    let hint = nearest.map { "; did you mean \"\($0)\"?" } ?? "; `weir config` prints the known ones"
    return "unknown \(noun) \"\(printable(dotted, charactersMax: 200))\"\(hint)"
  }

  // MARK: Environment and command line

  mutating func apply(environment: [String: String], _ aliases: [ConfigLoader<Root>.Alias]) {
    let prefix = ConfigLoader<Root>.environmentPrefix
    var seen: [String: String] = [:]
    let variables = environment.keys.filter { $0.uppercased().hasPrefix(prefix) }
    for variable in variables.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
      let parts = parts(of: String(variable.dropFirst(prefix.count)))
      let path = parts.joined(separator: ".")
      if let other = seen.updateValue(variable, forKey: path) {
        issues.append(
          ConfigIssue(
            origin: .environment(variable: variable), key: path, "also set by \(printable(other)); unset one")
        )
        continue
      }
      apply(key: path, value: environment[variable] ?? "", origin: .environment(variable: variable))
    }
    for alias in aliases {
      guard let text = environment[alias.variable], !text.isEmpty else { continue }
      let value = alias.words[text] ?? text
      let origin = ConfigOrigin.environment(variable: alias.variable)
      if let other = seen[alias.key], environment[other] != value {
        issues.append(
          ConfigIssue(
            origin: origin, key: alias.key,
            "is \"\(printable(text))\", and \(printable(other)) is "
              + "\"\(printable(environment[other] ?? ""))\"; unset one"
          ))
        continue
      }
      apply(key: alias.key, value: value, origin: origin)
    }
  }

  /// The path behind a variable's name, in the letter case of the schema.
  private func parts(of name: String) -> [String] {
    var parts: [String] = []
    var rest = Substring(name)
    while let separator = rest.utf8.indices.first(where: { rest[$0...].hasPrefix("__") }) {
      parts.append(String(rest[..<separator]))
      rest = rest[separator...].dropFirst(2)
    }
    parts.append(String(rest))
    let lowered = parts.map { $0.lowercased() }
    for map in schema.maps {
      let depth = map.path.split(separator: ".").count
      guard parts.count > depth, lowered[..<depth].joined(separator: ".") == map.path else { continue }
      return Array(lowered[..<depth]) + [map.names.canonical(parts[depth])] + Array(lowered[(depth + 1)...])
    }
    return lowered
  }

  mutating func apply(key path: String, value text: String, origin: ConfigOrigin) {
    let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    switch schema.resolve(parts) {
    case .key(let key):
      for map in schema.maps where key.path.hasPrefix(map.path + ".") {
        let name = parts[map.path.split(separator: ".").count]
        guard map.names.accepts(name) else {
          issues.append(
            ConfigIssue(origin: origin, key: path, "the name must be \(map.names.description)"))
          return
        }
        map.create(&value, name)
      }
      switch key.type.node(fromText: text) {
      case .success(let node): assign(key, node, origin: origin)
      case .failure(let problem):
        issues.append(ConfigIssue(origin: origin, key: path, problem.message))
      }
    case .section, .map, .element:
      issues.append(ConfigIssue(origin: origin, key: path, "is a section; set one of its keys"))
    case .unknown:
      issues.append(ConfigIssue(origin: origin, key: nil, unknown(parts, isSection: false)))
    }
  }

  private mutating func assign(_ key: ConfigKey<Root>, _ node: YAMLNode, origin: ConfigOrigin) {
    var problems: [YAMLProblem] = []
    let standard = key.get(schema.defaults)
    let hasExample = standard != .absent && standard != .string("") && standard != .strings([])
    let example = hasExample && !key.isSecret ? standard.text : key.type.example
    let read = key.type.read(node, example: example, &problems)
    if key.isSecret, read == .string(redacted) {
      problems.append(
        YAMLProblem(node.position, "is the mark that stands for a hidden secret; give the secret itself"))
    }
    for problem in problems {
      var place = origin
      if case .file(let path, _) = origin { place = .file(path: path, position: problem.position) }
      issues.append(ConfigIssue(origin: place, key: key.path, problem.message))
    }
    guard problems.isEmpty, let read else { return }
    key.set(&value, read)
    origins[key.path] = origin
  }
}

/// What is shown for a secret that has a value.
let redacted = "<redacted>"
