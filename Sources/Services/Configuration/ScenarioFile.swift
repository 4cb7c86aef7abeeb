import Configuration
import Core
import Store
import Strategy

/// The parameters of the scenarios in a file of their own, with a version.
///
/// **Problem.** Thresholds are fitted again and again while the rest of a configuration stays. They come from a
/// tool, are taken over by a running process, and each signal must tell which ones it was made with.
///
/// **Algorithm.** `strategy.parameters` names the file:
///
/// ```
/// version: tuned-20240718-20240719-3f2a9c01d7be
/// scenarios:
///   A_H: {entry_buy: 2.75, entry_sell: 2.5, exit: 0.75, take_profit_bps: 15, stop_loss_bps: 10, hold_s_max: 900, discount: 0.8}
/// ```
///
/// It is a layer of the configuration, above its file and below the environment: each value sets its key of
/// `strategy.scenarios.`, with that key's type and range. So what rows say of the version of their configuration
/// covers it, and the configuration that a run leaves behind is whole without it. A scenario, or a single
/// value, that the file does not give stays as the configuration says, and is reported as such (``Facts``). A relative
/// path is taken from the folder of the configuration file that names it, or from the working folder when the
/// environment or the command line does.
public struct ScenarioFile: Sendable {
  /// What was read, for logs and manifests.
  public struct Facts: Equatable, Sendable, CustomStringConvertible {
    public var path: String
    /// The file's own name for itself.
    public var version: String
    /// The first 12 hexadecimal digits of the SHA-256 of its values, whatever their order and spelling.
    public var hash: String
    /// What the file does not give: scenarios (`A_L`), or values of one (`Q_H.exit`).
    public var fallback: [String]

    public var json: JSONValue {
      .object([
        "file": .string(path), "version": .string(version), "hash": .string(hash),
        "fallback": .array(fallback.map { .string($0) }),
      ])
    }

    /// `params.yaml: version tuned-…, hash 3f2a9c01d7be; as configured: A_L, Q_H.exit`
    public var description: String {
      let rest = fallback.isEmpty ? "gives all values" : "as configured: " + fallback.joined(separator: ", ")
      return "\(path): version \(version), hash \(hash); \(rest)"
    }
  }

  public let path: String
  public let version: String
  /// Of a file, by the keys of the configuration.
  let layer: ConfigLayer
  private let given: [(scenario: String, key: String)]

  public static let versionBytesMax = 64
  static let names = Scenario.cells.map { "\($0.name)" }
  /// Of the configuration, whose keys the file sets.
  static let section = "strategy.scenarios"

  /// - Throws: ``ConfigError`` with everything that is wrong with the file's shape; values are checked when the
  ///   layer is applied.
  public init(path: String) throws(ConfigError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try Files.read(path, bytesMax: YAMLDocument.bytesMax)
    } catch {
      throw ConfigError([
        ConfigIssue(
          origin: .file(path: path, position: nil), key: nil,
          "the parameter file cannot be used: \(error.description)")
      ])
    }
    try self.init(path: path, bytes)
  }

  /// - Throws: as ``init(path:)``.
  init(path: String, _ bytes: [UInt8]) throws(ConfigError) {
    var reading = Reading(path: path)
    reading.read(YAMLDocument(parsing: bytes))
    guard reading.issues.isEmpty, let version = reading.version else { throw ConfigError(reading.issues) }
    self.path = path
    self.version = version
    given = reading.given
    let place = YAMLNode.Position(line: 1, column: 1)
    func wrap(_ key: String, _ inner: YAMLNode) -> YAMLNode {
      YAMLNode(.mapping([.init(key: key, position: place, value: inner)]), at: place)
    }
    let scenarios = YAMLNode(.mapping(reading.scenarios), at: place)
    layer = ConfigLayer(file: path, root: wrap("strategy", wrap("scenarios", scenarios)))
  }

  /// - Throws: ``ConfigError`` for values that the configuration may not have.
  func facts() throws(ConfigError) -> Facts {
    let keys = Set(given.map { "\(ScenarioFile.section).\($0.scenario.lowercased()).\($0.key)" })
    let lines = try ConfigLoader(WeirConfiguration.schema).load(layer: layer).canonicalText
      .split(separator: "\n").filter { line in keys.contains(String(line.prefix { $0 != ":" })) }
    var hash = RowHash()
    var text = lines.joined(separator: "\n")
    text.withUTF8 { hash.append(UnsafeRawBufferPointer($0)) }
    var fallback: [String] = []
    for name in ScenarioFile.names {
      let found = given.filter { $0.scenario == name }.map(\.key)
      let missing = WeirConfiguration.scenarioKeyNames.filter { !found.contains($0) }
      fallback += found.isEmpty ? [name] : missing.map { "\(name).\($0)" }
    }
    return Facts(
      path: path, version: version, hash: String(hash.hexadecimal().prefix(12)), fallback: fallback)
  }

  static func isVersion(_ text: String) -> Bool {
    (1...versionBytesMax).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
      }
  }
}

/// The shape of a parameter file, read with everything that is wrong with it.
private struct Reading {
  let path: String
  var issues: [ConfigIssue] = []
  var version: String?
  /// By the names of the configuration's sections.
  var scenarios: [YAMLNode.Entry] = []
  var given: [(scenario: String, key: String)] = []

  init(path: String) { self.path = path }

  private mutating func report(_ position: YAMLNode.Position, _ message: String) {
    issues.append(ConfigIssue(origin: .file(path: path, position: position), key: nil, message))
  }

  mutating func read(_ document: YAMLDocument) {
    for problem in document.problems { report(problem.position, problem.message) }
    guard issues.isEmpty else { return }
    let start = YAMLNode.Position(line: 1, column: 1)
    guard let root = document.root, case .mapping(let entries) = root.content else {
      return report(
        document.root?.position ?? start, "a parameter file has the keys version and scenarios")
    }
    for entry in entries {
      switch entry.key {
      case "version": readVersion(entry)
      case "scenarios": readScenarios(entry)
      default:
        report(entry.position, unknown("key", entry.key, among: ["version", "scenarios"]))
      }
    }
    for key in ["version", "scenarios"] where !entries.contains(where: { $0.key == key }) {
      report(root.position, "\(key) is missing")
    }
  }

  private func unknown(_ noun: String, _ name: String, among known: [String]) -> String {
    let hint =
      NearestName.find(name, among: known).map { "did you mean \($0)?" }
      ?? "there are " + known.joined(separator: ", ")
    return "unknown \(noun) \(JSONValue.string(String(name.prefix(60))).text()); \(hint)"
  }

  private mutating func readVersion(_ entry: YAMLNode.Entry) {
    guard case .scalar(let text, _) = entry.value.content, ScenarioFile.isVersion(text) else {
      return report(
        entry.value.position,
        "version must be 1 to \(ScenarioFile.versionBytesMax) letters, digits, dots, dashes or underscores, such as defaults-1"
      )
    }
    version = text
  }

  private mutating func readScenarios(_ entry: YAMLNode.Entry) {
    guard case .mapping(let cells) = entry.value.content else {
      return report(entry.value.position, "scenarios holds the scenarios by name, such as A_H: {exit: 0.75}")
    }
    for cell in cells {
      guard ScenarioFile.names.contains(cell.key) else {
        report(cell.position, unknown("scenario", cell.key, among: ScenarioFile.names))
        continue
      }
      guard case .mapping(let values) = cell.value.content else {
        report(cell.value.position, "\(cell.key) holds keys and values, such as {exit: 0.75}")
        continue
      }
      for value in values {
        let known = WeirConfiguration.scenarioKeyNames
        guard known.contains(value.key) else {
          report(value.position, unknown("key of \(cell.key)", value.key, among: known))
          continue
        }
        given.append((cell.key, value.key))
      }
      scenarios.append(.init(key: cell.key.lowercased(), position: cell.position, value: cell.value))
    }
  }
}

extension WeirConfiguration {
  static let parameterKeys: [ConfigKey<WeirConfiguration>] = [
    .source(
      "strategy.parameters", \.parametersPath,
      "file of scenario parameters, as weir tune writes it; above this file, below the environment")
  ]

  /// Names of a scenario's keys, in order.
  static let scenarioKeyNames: [String] = {
    let prefix = "strategy.scenarios.a_h."
    return scenarioKeys.map(\.path).filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
  }()

  /// Merges defaults, file, parameter file, environment and command line.
  ///
  /// - Throws: ``ConfigError`` with every issue found.
  public static func load(
    file: String? = nil, environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
  ) throws(ConfigError) -> LoadedConfig<WeirConfiguration> {
    let loader = ConfigLoader(schema)
    let plain = try loader.load(
      file: file, environment: environment, aliases: environmentAliases, overrides: overrides)
    guard var path = plain.value.parametersPath else { return plain }
    if case .file(let configuration, _) = plain.origin(of: "strategy.parameters"), !path.hasPrefix("/"),
      let slash = configuration.lastIndex(of: "/")
    {
      path = configuration[...slash] + path
    }
    let parameters = try ScenarioFile(path: path)
    var loaded = try loader.load(
      file: file, layer: parameters.layer, environment: environment, aliases: environmentAliases,
      overrides: overrides)
    loaded.value.parameters = try parameters.facts()
    return loaded
  }
}
