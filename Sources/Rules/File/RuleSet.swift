import Configuration
import Core

/// The rule file: alerts and the degrade ladder, with how often and how loudly they speak.
public struct RuleSet: Sendable {
  /// Where it was read from, for messages.
  public var path: String
  /// Between two evaluations.
  public var intervalNs: Int64
  /// An alert doesn't fire again this soon after its last firing.
  public var suppressNs: Int64
  /// More firings than this within the window are a storm.
  public var stormCountMax: Int
  public var stormWindowNs: Int64
  public var alerts: [AlertRule]
  /// The mildest step first.
  public var degrade: [DegradeStep]

  /// - Throws: `ConfigError` with every issue: file, line, key, what, and the nearest known name.
  public init(loading path: String) throws(ConfigError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try Files.read(path, bytesMax: YAMLDocument.bytesMax)
    } catch {
      throw ConfigError([ConfigIssue(origin: .file(path: path, position: nil), key: nil, error.description)])
    }
    self = try RuleFileReader.read(bytes, path: path)
  }

  /// - Throws: as ``init(loading:)``.
  public init(parsing text: String, path: String) throws(ConfigError) {
    self = try RuleFileReader.read(Array(text.utf8), path: path)
  }

  init(path: String) {
    self.path = path
    intervalNs = 5 * Nanoseconds.second
    suppressNs = 300 * Nanoseconds.second
    stormCountMax = 5
    stormWindowNs = 600 * Nanoseconds.second
    alerts = []
    degrade = []
  }

  private var conditions: [Condition] { alerts.map(\.condition) + degrade.map(\.condition) }

  /// Every metric that a rule reads, with the longest range asked of it: what a ``MetricStore`` keeps.
  public var rangesMs: [String: Int64] {
    var ranges: [String: Int64] = [:]
    for condition in conditions { ranges.merge(condition.expression.rangesMs, uniquingKeysWith: max) }
    return ranges
  }

  /// Every metric that a rule reads, sorted.
  public var metricNames: [String] { rangesMs.keys.sorted() }

  /// After so long without a sample nothing changes any more.
  var settleNs: Int64 {
    let range = (rangesMs.values.max() ?? 0) + MetricStore.lookbackMs
    let duration = conditions.map(\.forNs).max() ?? 0
    return range * Nanoseconds.millisecond + duration + suppressNs + stormWindowNs + intervalNs
  }
}

extension MetricStore {
  /// Keeps what the rules read.
  public init(for rules: RuleSet, limits: Limits = Limits()) {
    self.init(keeping: rules.rangesMs, limits: limits)
  }
}
