import Core
import Tape

/// What the rows of a run folder are made of: only the same may continue them.
struct RunIdentity: Equatable {
  var configurationVersion: String
  var sink: String
  /// Of the tape's first record.
  var firstSequence: Int64
  var firstReceiveNs: Int64

  /// - Parameter block: the tape's first.
  init(_ options: ReplayOptions, _ block: UnsafeRawBufferPointer) {
    let line = block.prefix { $0 != 0x0A }
    let first = TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: line))
    configurationVersion = options.configurationVersion
    sink = options.sink.rawValue
    firstSequence = first?.sequence ?? 0
    firstReceiveNs = first?.receiveTime.rawValue ?? 0
    // Retention may have removed that record; the tape is the same one.
    if let trim = try? TapeTrim.read(options.tape) {
      firstSequence = trim.firstSequence
      firstReceiveNs = trim.firstReceiveTime.rawValue
    }
  }

  static func path(_ runFolder: String) -> String { runFolder + "/replay.json" }

  private var json: JSONValue {
    .object([
      "config_version": .string(configurationVersion), "sink": .string(sink),
      "first_seq": .integer(firstSequence), "first_recv_ns": .integer(firstReceiveNs),
    ])
  }

  /// Notes itself in a run folder, made if absent.
  ///
  /// - Throws: ``ReplayError/otherRun(_:)`` where another is noted.
  func claim(_ runFolder: String) throws {
    try Files.makeFolder(runFolder)
    let path = RunIdentity.path(runFolder)
    if Files.exists(path) {
      let found = try Files.read(path).withUnsafeBytes { try? JSONValue(parsing: $0) }
      guard found == json else { throw ReplayError.otherRun(runFolder) }
    } else {
      try Files.writeAtomically(path, json.text() + "\n")
    }
  }
}

extension ReplayOptions {
  /// Where a run's folder keeps the configuration that made its rows.
  static func configurationPath(_ runFolder: String) -> String { runFolder + "/config.yaml" }

  /// Puts the configuration into the run's folder, once the folder is claimed. One that is there is of the same
  /// version, or belongs to the supervisor, and stays.
  func keepConfiguration() throws {
    let path = ReplayOptions.configurationPath(out)
    guard let configurationText, !Files.exists(path) else { return }
    try Files.writeAtomically(path, configurationText)
  }
}

extension RunIdentity {
  func save(to writer: inout CheckpointWriter) {
    writer.append(configurationVersion)
    writer.append(sink)
    writer.append(firstSequence)
    writer.append(firstReceiveNs)
  }

  init(from reader: inout CheckpointReader) throws(CheckpointError) {
    configurationVersion = try reader.text()
    sink = try reader.text()
    firstSequence = try reader.integer()
    firstReceiveNs = try reader.integer()
  }
}
