import Configuration
import Core
import Tape

/// Under which configuration, and of which tape, a run folder's rows were made.
struct RunSource {
  /// The configuration the rows are recomputed with.
  private(set) var configuration: WeirConfiguration
  /// Whether it is the one the run was made with.
  private(set) var isTheRuns = false
  /// Of `replay.json`; nil where there is none.
  private(set) var configurationVersion: String?
  /// What a reader of the audit should know of the configuration.
  private(set) var note: String?
  private var firstSequence: Int64?
  private var firstReceiveNs: Int64?
  private let runFolder: String

  /// Reads `replay.json` and `config.yaml`; without the latter the given configuration serves.
  ///
  /// - Throws: `ConfigError` where `config.yaml` is none.
  init(runFolder: String, otherwise given: WeirConfiguration) throws {
    self.runFolder = runFolder
    configuration = given
    let identity = try? Files.read(RunIdentity.path(runFolder), bytesMax: 1 << 16).withUnsafeBytes {
      try JSONValue(parsing: $0)
    }
    configurationVersion = identity?["config_version"]?.text
    firstSequence = identity?["first_seq"]?.integer
    firstReceiveNs = identity?["first_recv_ns"]?.integer
    let path = ReplayOptions.configurationPath(runFolder)
    guard Files.exists(path) else {
      note = "the run's folder has no config.yaml, so the rows are recomputed with the given configuration"
      return
    }
    let loaded = try ConfigLoader(WeirConfiguration.schema).load(file: path)
    configuration = loaded.value
    if let version = configurationVersion, loaded.version != version {
      note = "config.yaml is version \(loaded.version), but the run was made with \(version)"
    } else {
      isTheRuns = true
    }
  }

  /// Compares the tape's first record with the one the run began with.
  ///
  /// - Throws: ``EvaluationError/otherTape(run:tape:)``
  func check(tape: String, firstBlock block: UnsafeRawBufferPointer) throws(EvaluationError) {
    guard let firstSequence, let firstReceiveNs else { return }
    let first = TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: block.prefix { $0 != 0x0A }))
    guard first?.sequence ?? 0 == firstSequence, first?.receiveTime.rawValue ?? 0 == firstReceiveNs else {
      throw .otherTape(run: runFolder, tape: tape)
    }
  }

  var json: JSONValue {
    .object([
      "config_version": configurationVersion.map { .string($0) } ?? .null,
      "configuration_is_the_runs": .bool(isTheRuns), "note": note.map { .string($0) } ?? .null,
    ])
  }
}
