import Configuration
import Core
import Store
import Tape
import Venue

@testable import Services

/// A generated market, and runs of it, in a folder that goes with the value.
final class EvaluatedMarket: Sendable {
  let folder: String
  let loaded: LoadedConfig<WeirConfiguration>

  /// Short windows, so that half a minute warms up.
  static let overrides = [
    ("flow.ofi_window_ms", "500"), ("flow.cvd_window_ms", "500"), ("flow.history_ms", "30000"),
    ("flow.history_stride_ms", "250"), ("flow.warmup_ms", "5000"),
  ]

  init(seed: UInt64 = 1, minutes: Double = 1, gaps: Int = 0, overrides: [(String, String)] = []) throws {
    folder = temporaryFolder()
    loaded = try ConfigLoader(WeirConfiguration.schema).load(
      overrides: EvaluatedMarket.overrides.map { (key: $0.0, value: $0.1) }
        + overrides.map { (key: $0.0, value: $0.1) })
    try makeMarket(folder + "/tape", seed: seed, minutes: minutes, gaps: gaps)
  }

  deinit { removeFolder(folder) }

  var tape: String { folder + "/tape" }
  var run: String { folder + "/run" }

  func options(_ sink: SignalSinkSet.Choice = .jsonl, keepsConfiguration: Bool = true) -> ReplayOptions {
    ReplayOptions(
      tape: tape, out: run, sink: sink, configuration: loaded.value, configurationVersion: loaded.version,
      configurationText: keepsConfiguration
        ? loaded.render(omitsSecrets: true, showsOrigins: false) : nil)
  }

  @discardableResult
  func replay(_ sink: SignalSinkSet.Choice = .jsonl, keepsConfiguration: Bool = true) throws -> ReplayResult {
    try Replay.run(options(sink, keepsConfiguration: keepsConfiguration))
  }

  func load(shift: Int = 0, configuration: WeirConfiguration = WeirConfiguration()) throws -> EvaluationInput
  {
    try EvaluationInput.load(runFolder: run, tape: tape, configuration: configuration, shiftFeatures: shift)
  }

  /// The rows of the run's JSON lines, in the order of the file.
  func storedRows() throws -> [JSONValue] {
    try signalPaths().flatMap { path in
      try Files.read(path).split(separator: 0x0A).map { line in
        try line.withUnsafeBytes { try JSONValue(parsing: $0) }
      }
    }
  }

  /// Puts other rows into the run's only file.
  func rewrite(_ rows: [JSONValue]) throws {
    let text = rows.map { $0.text() + "\n" }.joined()
    try Files.writeAtomically(try signalPaths()[0], text)
  }

  private func signalPaths() throws -> [String] {
    try SignalFiles.list(jsonlFolder: SignalFiles.jsonlFolder(run))
  }
}

extension JSONValue {
  /// The same object with another value for a key.
  func with(_ key: String, _ value: JSONValue?) -> JSONValue {
    .object((members ?? []).map { .init($0.key, $0.key == key ? value ?? .null : $0.value) })
  }
}
