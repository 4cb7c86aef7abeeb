import Core
import Net
import Redis
import Tape
import Telemetry

/// What a receiver is asked to do.
public struct TapeReceiverOptions: Sendable {
  public var stream: String
  public var group: String
  public var out: String
  /// A new tape may begin with the first record that the stream still has.
  public var mayBeginAnywhere: Bool
  public var relay: RelayOptions
  public var settings: RedisSettings
  public var connector: RedisConnector
  public var tape: TapeWriter.Options

  public init(
    stream: String, group: String, out: String, mayBeginAnywhere: Bool = false, relay: RelayOptions,
    settings: RedisSettings, connector: RedisConnector, tape: TapeWriter.Options
  ) {
    self.stream = stream
    self.group = group
    self.out = out
    self.mayBeginAnywhere = mayBeginAnywhere
    self.relay = relay
    self.settings = settings
    self.connector = connector
    self.tape = tape
  }
}

/// Writes a stream's records to a tape of its own, which becomes the publisher's tape byte for byte.
///
/// Its position is the tape's last record (`CopyPosition`); the stream's group is told, not asked. Entries are
/// acknowledged when the tape's flush has returned, so a crash in between has them delivered once more, known,
/// and acknowledged without being written.
public final class TapeReceiver: RelayService {
  private final class Output {
    var writer: TapeWriter
    init(_ writer: consuming TapeWriter) { self.writer = writer }
  }

  private let options: TapeReceiverOptions
  private let shell: RelayShell
  private let link: RelayLink
  private let note: (String) -> Void
  private let output: Output
  private var position: CopyPosition
  /// The tape's last record; nil for an empty tape.
  private var lastLine: [UInt8]?
  private var hasBegun = false
  private var isDone = false
  private var isWaitingForStream = false
  private var written: Int64 = 0
  private var known: Int64 = 0
  private let registry = MetricRegistry()
  private var progress: (Int64) -> Void = { _ in }
  private static let entriesMax = 1000
  private static let waitMs = 100
  /// One receiver a group, so one consumer; its name says nothing.
  private static let consumer = "tape"

  /// Opens or makes the tape.
  ///
  /// - Parameter note: what an operator should know, one line each.
  /// - Throws: `TapeError`
  public init(_ options: TapeReceiverOptions, note: @escaping (String) -> Void) throws {
    self.options = options
    self.note = note
    shell = try RelayShell(options.relay)
    link = RelayLink(options.settings, options.connector, name: options.stream, note: note)
    let writer = try TapeWriter(folder: options.out, options: options.tape)
    let last = writer.totals.lastSequence
    if let repair = writer.repair, repair.bytesCut > 0 {
      note("cut \(repair.bytesCut) bytes of a record that was written in part")
    }
    output = Output(writer)
    position = CopyPosition(lastSequence: last, mayBeginAnywhere: options.mayBeginAnywhere)
    if last > 0 { lastLine = try TapeReceiver.line(last, options.out) }
  }

  private static func line(_ sequence: Int64, _ folder: String) throws -> [UInt8]? {
    var reader = try TapeReader(folder: folder, from: .sequence(sequence))
    guard let block = try reader.nextBlock() else { return nil }
    return block.prefix { $0 != 0x0A }
  }

  /// Receives until it is told to stop, then finishes the tape.
  ///
  /// - Parameters:
  ///   - print: says a line of JSON where there is no supervisor.
  ///   - progress: called with the records written.
  /// - Returns: what was done.
  /// - Throws: `RedisError`, ``RelayError``, `TapeCopyError`, `TapeError`
  public func run(
    print: @escaping (JSONValue) -> Void, progress: @escaping (Int64) -> Void = { _ in }
  ) throws -> JSONValue {
    self.progress = progress
    try shell.run(
      self,
      ready: [
        .init("stream", .string(options.stream)), .init("group", .string(options.group)),
        .init("last_seq", .integer(position.lastSequence)),
      ], print: print)
    _ = try output.writer.finish()
    if options.relay.isSupervised {
      shell.say(.object(["summary": summary]), print)
      shell.finish()
    }
    return summary
  }

  func step() throws -> Int64? {
    if isDone { return nil }
    return try link.use(opened: { _ in hasBegun = false }) { stream in
      if !hasBegun {
        guard try begin(stream) else { return 100 * Nanoseconds.millisecond }
      }
      guard
        let entries = try stream.read(
          group: options.group, consumer: TapeReceiver.consumer, entriesMax: TapeReceiver.entriesMax,
          waitMs: TapeReceiver.waitMs)
      else {
        note("the group or the stream is gone; begins again behind record \(position.lastSequence)")
        hasBegun = false
        return 0
      }
      if entries.isEmpty { return 0 }
      try write(entries, stream)
      try stream.acknowledge(options.group, entries.map(\.id))
      return 0
    }
  }

  /// Makes sure that it is the same tape, and sets the group behind its last record.
  private func begin(_ stream: RecordStream) throws -> Bool {
    let last = position.lastSequence
    // The stream may end before the tape, when the server has lost something.
    let shared = min(last, try stream.facts().last.sequence)
    if shared > 0, let there = try stream.record(shared) {
      let here = shared == last ? lastLine : try TapeReceiver.line(shared, options.out)
      if let here, here != there {
        throw RelayError.anotherTape(stream: options.stream, sequence: shared, folder: options.out)
      }
    }
    guard try stream.beginGroup(options.group, after: last) else {
      if !isWaitingForStream { note("there is no stream \(options.stream) yet; waits for its publisher") }
      isWaitingForStream = true
      return false
    }
    isWaitingForStream = false
    hasBegun = true
    return true
  }

  private func write(_ entries: [RecordStream.Entry], _ stream: RecordStream) throws {
    var newest: [UInt8]?
    for entry in entries {
      switch position.take(entry.id) {
      case .write:
        let line = entry.line ?? []
        try line.withUnsafeBytes { bytes in
          _ = try output.writer.append(copyOf: bytes, mayBeginAnywhere: options.mayBeginAnywhere)
        }
        newest = line
      case .known: known += 1
      case .end: isDone = options.relay.isUntilFinished
      case .hole(let expected, let found):
        if try stream.record(expected) != nil {
          throw RelayError.sharedGroup(stream: options.stream, group: options.group, sequence: expected)
        }
        throw RelayError.streamHole(
          stream: options.stream, folder: options.out, expected: expected, found: found)
      }
    }
    try output.writer.flush()
    guard let newest else { return }
    lastLine = newest
    written = Int64(output.writer.totals.records)
    shell.hasWorked()
    progress(written)
  }

  // MARK: Telling

  var isReady: Bool { link.stream != nil && hasBegun }

  var beat: JSONValue {
    .object([
      "seq": .integer(position.lastSequence), "time_ns": .integer(output.writer.lastTime.rawValue),
      "is_connected": .bool(link.stream != nil),
    ])
  }

  func writeMetrics(into writer: inout ByteWriter) {
    func total(_ name: String, _ help: String, _ value: Int64) {
      registry.counter(name, help).set(total: Double(value))
    }
    func gauge(_ name: String, _ help: String, _ value: Double) { registry.gauge(name, help).set(value) }
    total("weir_redis_receive_records_total", "Records written to the tape.", written)
    total("weir_redis_receive_known_total", "Records that came again and were not written.", known)
    total("weir_redis_receive_failures_total", "Connections lost or not made.", Int64(link.failures))
    gauge("weir_redis_receive_connected", "1 while there is a connection.", link.stream == nil ? 0 : 1)
    gauge("weir_redis_receive_sequence", "The tape's last record.", Double(position.lastSequence))
    registry.write(into: &writer)
  }

  private var summary: JSONValue {
    .object([
      "stream": .string(options.stream), "group": .string(options.group), "tape": .string(options.out),
      "records": .integer(written), "last_seq": .integer(position.lastSequence), "known": .integer(known),
      "connections": .integer(link.connections), "failures": .integer(link.failures),
      "is_finished": .bool(isDone),
    ])
  }
}
