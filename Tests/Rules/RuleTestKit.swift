import Configuration
import Core
import Glibc
import Rules
import Telemetry

/// The repository's root, for the files that ship with it.
let repositoryRoot = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

func seconds(_ count: Int) -> UnixNanos { UnixNanos(Int64(count) * Nanoseconds.second) }

func shippedRules() throws -> RuleSet { try RuleSet(loading: repositoryRoot + "/config/alerts.yaml") }

/// A rule without a file.
func rule(
  _ name: String, _ expression: String, _ comparison: Comparison, _ threshold: Double, forSeconds: Int = 0,
  action: AlertAction = .none
) throws -> AlertRule {
  let yaml = """
    alerts:
      - name: \(name)
        expression: '\(expression)'
        comparison: "\(comparison.rawValue)"
        threshold: \(threshold)
        for: \(forSeconds)s
        level: P1
        severity: warning
        action: \(action.rawValue)
        runbook: docs/runbooks/alerts.md#\(name)
        summary: something is wrong
    """
  return try RuleSet(parsing: yaml, path: "test.yaml").alerts[0]
}

/// A store that keeps what the expressions read.
func store(for expressions: [String]) throws -> MetricStore {
  var ranges: [String: Int64] = [:]
  for text in expressions {
    ranges.merge(try MetricExpression(parsing: text).rangesMs, uniquingKeysWith: max)
  }
  return MetricStore(keeping: ranges)
}

/// A folder of a test's own, removed with it.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = "/tmp/weir-rules-\(getpid())-\(UInt64.random(in: 0..<(1 << 40)))"
    try Files.makeFolder(path)
  }

  deinit {
    for name in (try? Files.list(path)) ?? [] { try? Files.remove("\(path)/\(name)") }
    rmdir(path)
  }
}

/// Prometheus' own tool, the judge of what our expressions mean.
enum Promtool {
  static let isThere = access("/usr/bin/promtool", X_OK) == 0
  static let missing = "promtool is not installed: scripts/peers.sh installs it"

  static func run(_ words: String) -> (status: Int32, output: String) {
    guard let pipe = popen("/usr/bin/promtool \(words) 2>&1", "r") else {
      return (-1, "cannot start promtool")
    }
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 14)
    while true {
      let count = fread(&chunk, 1, chunk.count, pipe)
      if count == 0 { break }
      output += chunk[..<count]
    }
    return (pclose(pipe), String(decoding: output, as: UTF8.self))
  }
}
