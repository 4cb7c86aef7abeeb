import Core
import Store
import Tape

/// `checkpoint.bin` of a run folder: everything from which a killed signal stage goes on as if it had not
/// been.
///
/// **Problem.** The signal stage is a function of the whole tape; a tape of days takes minutes to read again,
/// and a restart must take less than a second and change no byte.
///
/// **Why the obvious answer fails.** Noting the position alone loses windows, histories and books. Waiting
/// until the windows have filled again changes rows. Committing state and two sinks in one transaction is not
/// to be had.
///
/// **Algorithm.** Between two blocks of the tape the sinks are flushed, and then the pipeline's whole state,
/// how far the sinks have come, and the place on the tape are written to a new file that replaces the old one
/// in one step. So the sinks always reach at least to the checkpoint. A restart loads it and reads the tape
/// from its place on; rows that are behind the checkpoint in the sinks already come again, are known by their
/// keys and dropped (``SignalSinkSet``). The running hash over all rows is part of the state, so that it
/// counts each row once.
///
/// **Bounds.** A checkpoint is used only when its own SHA-256 holds, its version and the run's identity are
/// the same, the tape has the place, and every sink reaches it; else the tape is replayed from its beginning,
/// which gives the same bytes later. Its size is that of the state: some 60 KB a symbol.
struct SignalCheckpoint: ~Copyable {
  static let version: UInt32 = 2
  static let magic: StaticString = "WEIRCKPT"
  private static let digestBytes = 32
  /// 4096 symbols with full windows and waiting events; a larger file is not one of ours.
  private static let bytesMax = 1 << 31 - 1

  var place: TapePlace
  var pipeline: SignalPipeline
  var sinks: SignalSinkState
  /// nil when shadow signals are switched off.
  var shadowSinks: SignalSinkState?

  static func path(_ runFolder: String) -> String { runFolder + "/checkpoint.bin" }

  /// Writes a run's checkpoint into a buffer that is emptied first.
  ///
  /// - Precondition: the sinks are flushed, and `place` is where the pipeline stands.
  static func encode(
    _ run: borrowing SignalRun, _ identity: RunIdentity, _ place: TapePlace,
    into writer: inout CheckpointWriter
  ) throws(SignalStoreError) {
    writer.removeAll()
    for index in 0..<magic.utf8CodeUnitCount { writer.append(magic.utf8Start[index]) }
    writer.append(version)
    writer.section("IDEN") { identity.save(to: &$0) }
    writer.section("PLAC") { place.save(to: &$0) }
    writer.append("PIPE", run.pipeline)
    try run.sinks.save(to: &writer)
    try run.shadowSinks?.save(to: &writer)
    var hash = RowHash()
    hash.append(writer.bytes)
    for byte in hash.digest() { writer.append(byte) }
  }

  /// Reads a checkpoint.
  ///
  /// - Throws: ``SignalCheckpointError``, or `CheckpointError` for bytes whose hash holds and that are none of
  ///   ours.
  static func decode(
    _ bytes: UnsafeRawBufferPointer, _ identity: RunIdentity, _ options: ReplayOptions
  ) throws -> SignalCheckpoint {
    let bodyBytes = bytes.count - digestBytes
    guard bodyBytes >= 0 else { throw SignalCheckpointError.damaged }
    let body = UnsafeRawBufferPointer(rebasing: bytes[..<bodyBytes])
    var hash = RowHash()
    hash.append(body)
    guard hash.digest().elementsEqual(bytes[bodyBytes...]) else { throw SignalCheckpointError.damaged }
    var reader = CheckpointReader(body)
    for index in 0..<magic.utf8CodeUnitCount {
      guard try reader.integer() == magic.utf8Start[index] else { throw SignalCheckpointError.damaged }
    }
    let found: UInt32 = try reader.integer()
    guard found == version else { throw SignalCheckpointError.otherVersion(found) }
    var owner: RunIdentity?
    try reader.section("IDEN") { (reader) throws(CheckpointError) in owner = try RunIdentity(from: &reader) }
    guard owner == identity else { throw SignalCheckpointError.otherRun }
    var place: TapePlace?
    try reader.section("PLAC") { (reader) throws(CheckpointError) in place = try TapePlace(from: &reader) }
    var pipeline = SignalRun.newPipeline(options)
    try reader.restore("PIPE", &pipeline)
    var sinks = SignalSinkState()
    try reader.restore("SINK", &sinks)
    var shadowSinks: SignalSinkState?
    if options.configuration.signal.shadow.isEnabled {
      var state = SignalSinkState()
      try reader.restore("SINK", &state)
      shadowSinks = consume state
    }
    try reader.finish()
    return SignalCheckpoint(place: place!, pipeline: pipeline, sinks: sinks, shadowSinks: shadowSinks)
  }

  /// Loads a run folder's checkpoint; nil when there is none.
  ///
  /// - Throws: as ``decode(_:_:_:)``, or `FileError`
  static func load(_ options: ReplayOptions, _ identity: RunIdentity) throws -> SignalCheckpoint? {
    let path = path(options.out)
    guard Files.exists(path) else { return nil }
    let bytes = try Files.read(path, bytesMax: bytesMax)
    // A checkpoint cannot be copied out of a closure's generic result.
    var checkpoint: SignalCheckpoint?
    try bytes.withUnsafeBytes { checkpoint = try decode($0, identity, options) }
    return checkpoint
  }
}

/// Why a checkpoint is not used.
enum SignalCheckpointError: Error, Equatable, CustomStringConvertible {
  /// Not the bytes that were written.
  case damaged
  case otherVersion(UInt32)
  /// Of another tape, configuration or sink.
  case otherRun

  var description: String {
    switch self {
    case .damaged: "the checkpoint is damaged: its SHA-256 does not hold"
    case .otherVersion(let version):
      "the checkpoint is of version \(version), this program writes \(SignalCheckpoint.version)"
    case .otherRun: "the checkpoint is of another tape, configuration or sink"
    }
  }
}

extension TapePlace {
  func save(to writer: inout CheckpointWriter) {
    writer.append(segment)
    writer.append(Int64(offset))
    writer.append(fingerprint.map { Int64(bitPattern: $0) })
    writer.append(Int64(report.segments))
    writer.append(Int64(report.bytes))
    writer.append(Int64(report.tornTailBytes))
    writer.append(Int64(report.overlongLines))
    writer.append(UInt32(report.damagedSegments.count))
    for name in report.damagedSegments { writer.append(name) }
  }

  init(from reader: inout CheckpointReader) throws(CheckpointError) {
    func natural() throws(CheckpointError) -> Int { Int(try reader.integer(in: 0...Int64.max)) }
    let segment = try reader.text()
    let offset = try natural()
    let fingerprint = try reader.optionalInteger().map { UInt64(bitPattern: $0) }
    var report = TapeReadReport()
    report.segments = try natural()
    report.bytes = try natural()
    report.tornTailBytes = try natural()
    report.overlongLines = try natural()
    for _ in 0..<(try reader.count(bytesEach: 4)) { report.damagedSegments.append(try reader.text()) }
    self.init(segment: segment, offset: offset, fingerprint: fingerprint, report: report)
  }
}
