import Configuration
import Core
import Glibc
import Testing

enum SampleSink: String, CaseIterable, Sendable { case jsonl, sqlite, dual }

struct SampleConfig: Sendable, Equatable {
  struct Flow: Sendable, Equatable {
    var ofiWindowMs = 5000
    var weights = [1.0, 0.5, 0.25]
    var decayPerLevel = 0.5
  }

  struct Instrument: Sendable, Equatable {
    var priceDecimals = 2
    var note: String?
  }

  struct Secrets: Sendable, Equatable {
    var apiKey: String?
  }

  var flow = Flow()
  var symbols = ["BTCUSDT"]
  var isShadow = false
  var sink = SampleSink.jsonl
  var level = "info"
  var label = ""
  var epochNs: Int64 = 0
  var secrets = Secrets()
  var instruments: [String: Instrument] = [:]

  static let schema = ConfigSchema<SampleConfig>(
    defaults: SampleConfig(),
    keys: [
      .integer("flow.ofi_window_ms", \.flow.ofiWindowMs, 100...600_000, "OFI window, milliseconds"),
      .doubles("flow.weights", \.flow.weights, 0...10, count: 1...5, "Weight of each level"),
      .texts("run.symbols", \.symbols, count: 1...50, "Symbols to follow"),
      .boolean("run.shadow", \.isShadow, "Score without acting"),
      .choice("run.sink", \.sink, "Where rows go"),
      .oneOf("run.level", \.level, ["info", "debug"], "Log level"),
      .text("run.label", \.label, "Free text"),
      .integer64("run.epoch_ns", \.epochNs, Int64.min...Int64.max, "Start, nanoseconds since 1970"),
      .double("flow.decay_per_level", \.flow.decayPerLevel, 0...1, "Factor from level to level"),
      .secret("secrets.api_key", \.secrets.apiKey, "Key of the exchange account"),
    ],
    maps: [
      ConfigMap(
        "instruments", \.instruments, names: .symbol, element: Instrument(),
        fields: [
          .integer("price_decimals", \.priceDecimals, 0...12, "Decimals of a price"),
          .optionalText("note", \.note, "Free text"),
        ], "Exact scales")
    ]
  ).validate { root in
    root.flow.weights.count > 1 && root.flow.decayPerLevel == 0
      ? [ConfigIssue("flow.decay_per_level", "must be above 0 with more than one weight")] : []
  }

  static let loader = ConfigLoader(schema)
}

/// A file that is removed at the end of the closure.
func withFile<Result>(_ content: [UInt8], _ body: (String) throws -> Result) throws -> Result {
  var template = Array("/tmp/weir-configuration-XXXXXX".utf8CString)
  let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
  let path = folder + "/x.yaml"
  defer {
    unlink(path)
    rmdir(folder)
  }
  let file = try File(path, .write)
  try content.withUnsafeBytes { try file.write($0) }
  return try body(path)
}

func withFile<Result>(_ content: String, _ body: (String) throws -> Result) throws -> Result {
  try withFile(Array(content.utf8), body)
}

/// What loading a file reports, with the temporary path cut down to `x.yaml`.
func issues(
  _ content: String, environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
) throws -> [String] {
  try withFile(content) { path in
    do {
      _ = try SampleConfig.loader.load(file: path, environment: environment, overrides: overrides)
      return []
    } catch let error as ConfigError {
      return error.issues.map { issue in
        let text = issue.description
        return text.hasPrefix(path) ? "x.yaml" + text.dropFirst(path.count) : text
      }
    }
  }
}
