import Core
import Glibc
import Net
import Redis
import Tape
import Telemetry

/// What a publisher is asked to do.
public struct TapePublisherOptions: Sendable {
  public var tape: String
  public var stream: String
  public var relay: RelayOptions
  public var settings: RedisSettings
  public var connector: RedisConnector

  public init(
    tape: String, stream: String, relay: RelayOptions, settings: RedisSettings, connector: RedisConnector
  ) {
    self.tape = tape
    self.stream = stream
    self.relay = relay
    self.settings = settings
    self.connector = connector
  }
}

/// Why a tape cannot be published, and what to do.
public enum RelayError: Error, Equatable, CustomStringConvertible {
  case anotherTape(stream: String, sequence: Int64, folder: String)
  case tapeHole(folder: String, stream: String, expected: Int64, found: Int64)
  case streamHole(stream: String, folder: String, expected: Int64, found: Int64)
  case sharedGroup(stream: String, group: String, sequence: Int64)

  public var description: String {
    switch self {
    case .anotherTape(let stream, let sequence, let folder):
      "the stream \(stream) holds another tape than \(folder): their records \(sequence) differ; "
        + "choose another --stream, or another folder"
    case .tapeHole(let folder, let stream, let expected, let found):
      "the tape \(folder) goes on with record \(found), and the stream \(stream) needs \(expected): the tape was "
        + "cut or damaged (weir tape verify); restore it, or choose another --stream"
    case .streamHole(let stream, let folder, let expected, let found):
      "the stream \(stream) goes on with record \(found), and the tape \(folder) needs \(expected): what lies "
        + "between was dropped; copy the missing segments from the publisher's host and start again, or begin a "
        + "new tape in an empty folder with --from-gap"
    case .sharedGroup(let stream, let group, let sequence):
      "record \(sequence) of the stream \(stream) was given to another receiver of the group \(group); "
        + "use a --group of its own for each tape"
    }
  }
}

/// Puts a growing tape into a stream; see `RecordStream` for the algorithm.
///
/// It keeps nothing of its own: where to go on is asked from the server after each connection. While the server
/// is down or the stream is full the tape is the spool; the harvester notices nothing.
public final class TapePublisher: RelayService {
  private final class Source {
    var reader: TapeReader
    var block = UnsafeRawBufferPointer(start: nil, count: 0)
    var offset = 0
    /// The last record in the stream as the stream has it; compared when the tape comes to it.
    var known: (sequence: Int64, line: [UInt8])?

    init(_ reader: consuming TapeReader) { self.reader = reader }
  }

  private let options: TapePublisherOptions
  private let shell: RelayShell
  private let link: RelayLink
  private let note: (String) -> Void
  private var source: Source?
  private var watch: TapeWatch?
  private var window: PublisherWindow
  private var makesStream = false
  private var pipeline: RedisPipeline
  private var markedSequence: Int64?
  private var isDone = false
  private var isCaughtUp = false
  private var isWaitingForRoom = false
  private var isWaitingForTape = false
  private var askedNs = EventLoop.monotonicNow()
  private var newestTime = UnixNanos(0)
  private var published: Int64 = 0
  private var trimmed: Int64 = 0
  private var waits: Int64 = 0
  private var moves: Int64 = 0
  private var unreadableLines: Int64 = 0
  private var progress: (Int64) -> Void = { _ in }
  private let registry = MetricRegistry()
  /// A transaction is sent early when it has become so large.
  private static let transactionBytesMax = 4 << 20
  private static let askNs = Nanoseconds.second
  private static let idleNs = 100 * Nanoseconds.millisecond

  /// - Parameter note: what an operator should know, one line each.
  public init(_ options: TapePublisherOptions, note: @escaping (String) -> Void) throws {
    self.options = options
    self.note = note
    shell = try RelayShell(options.relay)
    link = RelayLink(options.settings, options.connector, name: options.stream, note: note)
    // MULTI and EXEC are commands, too.
    pipeline = RedisPipeline(commandsMax: options.settings.pipelineCommandsMax + 2)
    window = PublisherWindow(
      recordsMax: options.settings.streamRecordsMax, batchMax: options.settings.pipelineCommandsMax,
      length: 0, lastSequence: 0)
  }

  /// Publishes until it is told to stop; the tape keeps what is left.
  ///
  /// - Parameters:
  ///   - print: says a line of JSON where there is no supervisor.
  ///   - progress: called with the records published.
  /// - Returns: what was done.
  /// - Throws: `RedisError`, ``RelayError``, `TapeError`
  public func run(
    print: @escaping (JSONValue) -> Void, progress: @escaping (Int64) -> Void = { _ in }
  ) throws -> JSONValue {
    self.progress = progress
    try shell.run(
      self, ready: [.init("tape", .string(options.tape)), .init("stream", .string(options.stream))],
      print: print)
    if options.relay.isSupervised {
      shell.say(.object(["summary": summary]), print)
      shell.finish()
    }
    return summary
  }

  func step() throws -> Int64? {
    if isDone { return nil }
    if watch == nil {
      guard Files.isFolder(options.tape) else { return 50 * Nanoseconds.millisecond }
      let watch = try TapeWatch(options.tape)
      try shell.loop.add(watch, interest: .read)
      self.watch = watch
    }
    if let failure = watch?.failure { throw failure }
    return try link.use(opened: { try resume($0) }) { stream in
      switch window.next {
      case .look:
        window.looked(acknowledgedSequence: try stream.groups().map(\.acknowledgedSequence).min())
        return 0
      case .trim(let sequence):
        let dropped = try stream.trim(below: sequence)
        trimmed += Int64(dropped)
        window.trimmed(dropped)
        return 0
      case .wait:
        waitForRoom()
        return TapePublisher.idleNs
      case .publish(let recordsMax):
        isWaitingForRoom = false
        return try publish(recordsMax, stream)
      }
    }
  }

  // MARK: Where to go on

  /// Finds the stream's last record, and opens the tape there.
  private func resume(_ stream: RecordStream) throws {
    let facts = try stream.facts()
    makesStream = !facts.exists
    let last = facts.last.sequence
    window = PublisherWindow(
      recordsMax: options.settings.streamRecordsMax, batchMax: options.settings.pipelineCommandsMax,
      length: facts.length, lastSequence: last)
    markedSequence = facts.last.isEndMark ? last : nil
    let source = Source(
      try TapeReader(folder: options.tape, from: last > 0 ? .sequence(last) : .start))
    if last > 0, let line = try stream.record(last) { source.known = (last, line) }
    self.source = source
    if facts.length > 0, link.connections == 0 { note("goes on behind record \(last) of the stream") }
  }

  // MARK: Publishing

  private func publish(_ recordsMax: Int, _ stream: RecordStream) throws -> Int64 {
    stream.begin(&pipeline)
    let last = try fill(recordsMax, stream)
    let records = pipeline.count - 1
    guard records > 0 else { return try caughtUp(stream) }
    switch try stream.commit(&pipeline) {
    case .added:
      makesStream = false
      published += Int64(records)
      window.added(records, lastSequence: last)
      shell.hasWorked()
      progress(published)
    case .moved:
      moves += 1
      try resume(stream)
    }
    return 0
  }

  /// Adds the next records to the transaction.
  ///
  /// - Returns: the last one's number.
  private func fill(_ recordsMax: Int, _ stream: RecordStream) throws -> Int64 {
    var last = window.lastSequence
    while pipeline.count <= recordsMax, pipeline.bytes < TapePublisher.transactionBytesMax {
      guard let line = try nextLine() else { break }
      guard let head = Tape.head(ofRecord: line) else {
        unreadableLines += 1
        continue
      }
      if head.sequence <= last {
        try compare(head.sequence, line)
        continue
      }
      guard head.sequence == last + 1 || last == 0 else {
        throw RelayError.tapeHole(
          folder: options.tape, stream: options.stream, expected: last + 1, found: head.sequence)
      }
      stream.add(line, sequence: head.sequence, makesStream: makesStream, to: &pipeline)
      last = head.sequence
      newestTime = head.receiveTime
    }
    return last
  }

  private func compare(_ sequence: Int64, _ line: UnsafeRawBufferPointer) throws {
    guard let known = source?.known, known.sequence == sequence else { return }
    guard known.line.elementsEqual(line) else {
      throw RelayError.anotherTape(stream: options.stream, sequence: sequence, folder: options.tape)
    }
    source?.known = nil
  }

  private func nextLine() throws -> UnsafeRawBufferPointer? {
    guard let source else { return nil }
    if source.offset >= source.block.count {
      if let block = try source.reader.nextBlock() {
        source.block = block
      } else {
        source.block = UnsafeRawBufferPointer(start: nil, count: 0)
        source.offset = 0
        return nil
      }
      source.offset = 0
    }
    let rest = UnsafeRawBufferPointer(rebasing: source.block[source.offset...])
    let length = memchr(rest.baseAddress!, 0x0A, rest.count).map { UnsafeRawPointer($0) - rest.baseAddress! }
    source.offset += (length ?? rest.count) + 1
    return UnsafeRawBufferPointer(rebasing: rest[..<(length ?? rest.count)])
  }

  /// All that is on the tape is in the stream, or was a moment ago.
  private func caughtUp(_ stream: RecordStream) throws -> Int64 {
    guard let source else { return TapePublisher.idleNs }
    // Asked before the last look: what was written until the end is then seen by it.
    let isFinished = options.relay.isUntilFinished ? try Tape.isFinished(options.tape) : false
    try source.reader.refresh()
    if let block = try source.reader.nextBlock() {
      source.block = block
      source.offset = 0
      return 0
    }
    isCaughtUp = true
    if let known = source.known, !isWaitingForTape {
      note(
        "the tape ends before record \(known.sequence), which the stream holds; waits until it comes there")
      isWaitingForTape = true
    }
    guard isFinished else {
      _ = watch?.takeGrowth()
      askAgain()
      return TapePublisher.idleNs
    }
    if let known = source.known {
      throw RelayError.anotherTape(stream: options.stream, sequence: known.sequence, folder: options.tape)
    }
    if markedSequence != window.lastSequence { try stream.addEndMark(after: window.lastSequence) }
    isDone = true
    return 0
  }

  /// A server that came back without its last second is noticed though there is nothing to publish.
  private func askAgain() {
    let now = EventLoop.monotonicNow()
    guard now - askedNs >= TapePublisher.askNs else { return }
    askedNs = now
    window.waited()
  }

  private func waitForRoom() {
    if !isWaitingForRoom {
      waits += 1
      note(
        "the stream holds \(window.length) records that not every group has acknowledged; waits, and the tape "
          + "keeps the rest (weir redis status shows the groups)")
    }
    isWaitingForRoom = true
    window.waited()
  }

  // MARK: Telling

  var isReady: Bool { link.stream != nil && isCaughtUp }

  private var backlogBytes: Int {
    guard let source else { return 0 }
    return source.reader.backlogBytes() + max(0, source.block.count - source.offset)
  }

  var beat: JSONValue {
    .object([
      "seq": .integer(window.lastSequence), "time_ns": .integer(newestTime.rawValue),
      "backlog_bytes": .integer(backlogBytes), "is_connected": .bool(link.stream != nil),
    ])
  }

  func writeMetrics(into writer: inout ByteWriter) {
    func total(_ name: String, _ help: String, _ value: Int64) {
      registry.counter(name, help).set(total: Double(value))
    }
    func gauge(_ name: String, _ help: String, _ value: Double) { registry.gauge(name, help).set(value) }
    total("weir_redis_publish_records_total", "Records put into the stream.", published)
    total("weir_redis_publish_trimmed_total", "Entries dropped that every group had acknowledged.", trimmed)
    total("weir_redis_publish_waits_total", "Times the stream was full.", waits)
    total("weir_redis_publish_failures_total", "Connections lost or not made.", Int64(link.failures))
    total("weir_redis_publish_moves_total", "Times the stream was not where it was thought to be.", moves)
    gauge("weir_redis_publish_connected", "1 while there is a connection.", link.stream == nil ? 0 : 1)
    gauge("weir_redis_publish_sequence", "The stream's last record.", Double(window.lastSequence))
    gauge("weir_redis_publish_stream_records", "Entries in the stream.", Double(window.length))
    gauge("weir_redis_publish_backlog_bytes", "Of the tape, not in the stream yet.", Double(backlogBytes))
    registry.write(into: &writer)
  }

  private var summary: JSONValue {
    .object([
      "tape": .string(options.tape), "stream": .string(options.stream), "records": .integer(published),
      "last_seq": .integer(window.lastSequence), "stream_records": .integer(window.length),
      "trimmed": .integer(trimmed), "waits": .integer(waits), "connections": .integer(link.connections),
      "failures": .integer(link.failures), "unreadable_lines": .integer(unreadableLines),
      "is_finished": .bool(isDone),
    ])
  }
}
