import ClickHouse
import Core
import Glibc
import Net
import Tables
import Tape

/// What a loader is asked to do.
public struct ClickHouseLoadOptions: Sendable {
  public var tape: String
  /// Folder of `position.json`; nil for `clickhouse` beside the tape.
  public var state: String?
  /// Goes on while the tape grows.
  public var follows: Bool
  public var follower: TapeFollower.Options
  public var metricsPort: UInt16?
  public var isSupervised: Bool
  public var settings: ClickHouseSettings
  public var server: ClickHouseServer
  /// Of the chance in the waiting times.
  public var seed: UInt64

  public init(
    tape: String, state: String? = nil, follows: Bool = false, follower: TapeFollower.Options = .init(),
    metricsPort: UInt16? = nil, isSupervised: Bool = false, settings: ClickHouseSettings,
    server: ClickHouseServer, seed: UInt64
  ) {
    self.tape = tape
    self.state = state
    self.follows = follows
    self.follower = follower
    self.metricsPort = metricsPort
    self.isSupervised = isSupervised
    self.settings = settings
    self.server = server
    self.seed = seed
  }

  public var stateFolder: String { state ?? ClickHouseLoadOptions.stateFolder(ofTape: tape) }

  /// `clickhouse` beside the tape.
  public static func stateFolder(ofTape tape: String) -> String {
    var tape = tape
    while tape.count > 1, tape.hasSuffix("/") { tape.removeLast() }
    guard let slash = tape.lastIndex(of: "/") else { return "clickhouse" }
    return tape[..<slash] + "/clickhouse"
  }
}

/// Loads a tape into ClickHouse, each row exactly once, however often loader, server or network die.
///
/// **Problem.** An insert whose answer is lost may be in the tables or not; a database that is away for an
/// hour must not stop the harvest, nor lose or double a row of that hour.
///
/// **Why the obvious answer fails.** A queue in memory is lost with the process; a spool file is a second
/// copy of the tape with its own crashes; "insert, then note the position" doubles what was inserted and not
/// noted.
///
/// **Algorithm.** The tape is the spool: while the server is away nothing is read, and nothing is copied.
/// ``InsertCutter`` cuts the same inserts at every reading, each a single part of a table. After each
/// acknowledged one `position.json` is replaced. A start reads the tape again from the beginning of the
/// segment that was being loaded, which restores what depends on the rows before (backfill, quotes), and
/// skips what the position says is there. An insert of unknown fate is
/// - *modern*: sent again under the same deduplication token. The server drops what it has, in the
///   table and in each materialized view separately;
/// - *legacy*: asked for once no insert of its id runs any more; only rows that are missing are sent. (A body
///   that was cut off may leave an insert's first rows.) At a start the tables themselves are asked where
///   they end.
///
/// Without a position the tables say where they end, too; with one, tables that end before it are an error:
/// somebody has dropped rows.
///
/// **Bounds.** An open insert a table, one waiting, one under way. Failures that pass are tried for ever,
/// with doubling waits; a refusal that would stay ends the loader with its reason.
public final class ClickHouseLoader {
  /// The loader was told to end before the server had everything.
  struct Stopped: Error {}

  let options: ClickHouseLoadOptions
  let follower: TapeFollower
  let client: ClickHouseClient
  var schema: ClickHouseSchema
  var random: SeededRandom
  var position: LoadPosition?
  var inFlight: InFlight?
  var result = ClickHouseLoadResult()
  var isUp = false
  var note: (String) -> Void = { _ in }
  /// Every record up to here has gone through the cutter.
  private var cutSequence: Int64 = 0
  private var openSequence: Int64?
  private(set) var backlogBytes = 0
  private(set) var lastReceiveNs: Int64 = 0
  private(set) var loadedReceiveNs: Int64 = 0
  private(set) var isFollowing = false
  private var endpoint: ServiceEndpoint?
  private var link: SupervisorLink?
  private let metrics = ClickHouseLoadMetrics()
  private var stopDeadlineNs: Int64?
  private var lock: FolderLock?

  struct InFlight {
    var batch: InsertBatch
    var present = 0
    var attempts = 0
    var answer: Result<HTTPResponse, ClickHouseError>?
  }

  public init(_ options: ClickHouseLoadOptions) throws {
    self.options = options
    follower = try TapeFollower(folder: options.tape, options: options.follower)
    client = ClickHouseClient(on: follower.loop, server: options.server)
    schema = try options.settings.schema(.modern)
    random = SeededRandom(seed: options.seed)
  }

  /// Loads what is on the tape and, when following, what comes, until it is told to stop.
  ///
  /// - Parameters:
  ///   - ready: the tape's end has been reached and following has begun; a supervisor hears it at the start,
  ///     and from `/readyz` whether the server answers.
  ///   - note: what an operator should know, one line each.
  ///   - progress: called with the records read, about once a block.
  public func run(
    ready: (JSONValue) -> Void = { _ in }, note: @escaping (String) -> Void = { _ in },
    progress: (Int64) -> Void = { _ in }
  ) throws -> ClickHouseLoadResult {
    self.note = note
    let began = EventLoop.monotonicNow()
    try Files.makeFolder(options.stateFolder)
    lock = try FolderLock(options.stateFolder)
    if let port = options.metricsPort {
      endpoint = try ServiceEndpoint(on: follower.loop, port: port) { [unowned self] text in
        metrics.write(self, into: &text)
      } isReady: { [unowned self] in
        isFollowing && isUp
      }
    }
    if options.isSupervised {
      try linkToSupervisor()
      // Before the server is asked anything: waiting for it is no failed start.
      sayReady(ready)
    }
    do {
      try load(ready, progress)
      result.isComplete = true
    } catch is Stopped {
      note("stopped before the server had everything; the same command goes on from there")
    }
    result.seconds = Double(EventLoop.monotonicNow() - began) / 1e9
    result.sequence = position?.sequence ?? 0
    result.lagRecords = max(0, cutSequence - result.sequence)
    return result
  }

  private func load(_ ready: (JSONValue) -> Void, _ progress: (Int64) -> Void) throws {
    if options.follows {
      guard follower.waitForFolder() else { return }
      try follower.beginWatching()
    }
    guard let first = try firstRecord(ready) else {
      if options.follows { return }
      throw ReplayError.emptyTape(options.tape)
    }
    try connect()
    var reader = try resume(first)
    var projection = TapeProjection(grouping: .together)
    var cutter = try makeCutter()
    var segments = 0
    var isLast = !options.follows
    // Told to stop at the tape's end: what is on it by then is still loaded.
    var isEnding = false
    while true {
      guard let block = try reader.nextBlock() else {
        if isLast { break }
        backlogBytes = 0
        sayReady(ready)
        isLast = try !follower.waitForGrowth()
        isEnding = isLast
        try reader.refresh()
        continue
      }
      if reader.report.segments != segments {
        segments = reader.report.segments
        try begin(block, &cutter, &projection)
      }
      for batch in projection.batches { batch.removeAll() }
      projection.take(block)
      for batch in projection.batches {
        try cutter.add(batch) { (insert) in try submit(insert) }
        openSequence = cutter.oldestOpenSequence
      }
      try cutter.endSlices(at: projection.lastReceiveNs) { (insert) in try submit(insert) }
      openSequence = cutter.oldestOpenSequence
      cutSequence = projection.lastSequence
      lastReceiveNs = projection.lastReceiveNs
      backlogBytes = reader.backlogBytes()
      result.unreadableLines = projection.unreadableLines
      progress(projection.lastSequence)
      follower.turnIfDue()
      if follower.isAskedToStop, !isEnding {
        try finish(&cutter)
        throw Stopped()
      }
    }
    try finish(&cutter)
  }

  /// What is left is sent although more rows may follow it; so where it ends is written down first.
  private func finish(_ cutter: inout InsertCutter) throws {
    try settle()
    position?.promises = cutter.tails
    try writePosition(durable: false)
    try cutter.end { (insert) in try submit(insert) }
    openSequence = nil
    try settle()
    position?.sequence = cutSequence
    try writePosition(durable: true)
  }

  /// A segment begins: all before it is loaded, and a start would begin here.
  private func begin(
    _ block: UnsafeRawBufferPointer, _ cutter: inout InsertCutter, _ projection: inout TapeProjection
  ) throws {
    try cutter.end { (insert) in try submit(insert) }
    openSequence = nil
    try settle()
    projection.beginSegment()
    guard let first = FirstRecord(of: block), var position else { return }
    // At a start the position is in this segment already.
    guard first.sequence != position.segmentFirstSequence else { return }
    position.segment = first.segment
    position.segmentFirstSequence = first.sequence
    position.segmentFirstReceiveNs = first.receiveNs
    position.quotes = cutter.newestQuotes
    position.promises = [:]
    position.bounds = options.settings.bounds
    cutter.bounds = position.bounds
    self.position = position
    try writePosition(durable: true)
  }

  private func makeCutter() throws -> InsertCutter {
    guard let position else { preconditionFailure("a position is there after resuming") }
    return InsertCutter(
      schema: schema, tape: position.tape, bounds: position.bounds, places: position.places,
      promises: position.promises, quotes: position.quotes)
  }

  /// The tape's first record, waited for when following; nil when it is time to stop.
  private func firstRecord(_ ready: (JSONValue) -> Void) throws -> FirstRecord? {
    var reader = try TapeReader(folder: options.tape)
    var isLast = !options.follows
    while true {
      if let block = try reader.nextBlock() {
        if let first = FirstRecord(of: block) { return first }
        continue
      }
      if isLast { return nil }
      isLast = try !follower.waitForGrowth()
      try reader.refresh()
    }
  }

  private func sayReady(_ ready: (JSONValue) -> Void) {
    guard !isFollowing else { return }
    isFollowing = true
    var line: JSONValue = .object([
      "ready": .bool(true), "tape": .string(options.tape), "seq": .integer(position?.sequence ?? 0),
    ])
    if let endpoint, case .object(let members) = line {
      line = .object(
        members + [
          .init("metrics_port", .integer(endpoint.port)),
          .init("metrics", .string("http://\(endpoint.address)/metrics")),
        ])
    }
    if let link { link.say(line) } else { ready(line) }
  }

  // MARK: Sending

  /// Takes the next insert, once the one before it is acknowledged.
  private func submit(_ batch: InsertBatch) throws {
    openSequence = min(openSequence ?? .max, batch.firstSequence)
    try settle()
    inFlight = InFlight(batch: batch)
    transmit()
  }

  private func transmit() {
    guard var sending = inFlight, let position else { return }
    sending.answer = nil
    sending.attempts += 1
    inFlight = sending
    // A connection that the server has closed meanwhile is noticed before it is used.
    follower.loop.turn(waitNs: 0)
    result.bytesSent += client.send(
      sending.batch, schema, tape: position.tape, present: sending.present
    ) { [weak self] in self?.inFlight?.answer = $0 }
  }

  /// Waits until the insert under way is in the tables.
  private func settle() throws {
    while let sending = inFlight {
      guard let answer = sending.answer else {
        try turn()
        continue
      }
      switch answer {
      case .success: try acknowledge(sending)
      case .failure(let error):
        guard error.isTransient else { throw error }
        try again(sending, error)
      }
    }
  }

  /// One turn of the loop; gives an insert under way five seconds once the loader is to end.
  private func turn() throws {
    follower.loop.turn(waitNs: 50 * Nanoseconds.millisecond)
    guard follower.isAskedToStop else { return }
    let now = EventLoop.monotonicNow()
    let deadline = stopDeadlineNs ?? now + 5 * Nanoseconds.second
    stopDeadlineNs = deadline
    if now > deadline { throw Stopped() }
  }

  /// An insert of unknown fate: waits, asks what of it is there, and sends it again.
  private func again(_ failed: InFlight, _ error: ClickHouseError) throws {
    isUp = false
    result.retried += 1
    if failed.attempts == 1 || failed.attempts % 20 == 0 { note("\(error); the tape keeps what is to come") }
    var sending = failed
    while true {
      try pause(attempt: sending.attempts - 1)
      do throws(ClickHouseError) {
        guard let position else { return }
        if schema.dialect == .legacy, try client.runningInserts(tape: position.tape) > 0 { continue }
        let present = try client.presentRows(of: sending.batch, tape: position.tape)
        guard present >= 0, present <= sending.batch.rowCount else {
          throw .position(
            "\(options.server.database).\(sending.batch.kind.name) has \(present) rows of an insert of "
              + "\(sending.batch.rowCount); is a second loader at work on this tape?")
        }
        isUp = true
        note("ClickHouse answers again after \(sending.attempts) attempts")
        if present == sending.batch.rowCount {
          result.deduplicated += 1
          // A modern server's views may still lack it.
          if schema.dialect == .legacy { return try acknowledgeAll(sending) }
        } else {
          sending.present = present
        }
        break
      } catch {
        guard error.isTransient else { throw error }
        sending.attempts += 1
        inFlight = sending
        if sending.attempts % 20 == 0 { note("\(error); still trying") }
      }
    }
    inFlight = sending
    transmit()
  }

  private func acknowledgeAll(_ sending: InFlight) throws(ClickHouseError) {
    do { try acknowledge(sending) } catch {
      throw .position("the position cannot be written: \(error)")
    }
  }

  func pause(attempt: Int) throws {
    let backoff = Backoff(
      minNs: Int64(options.settings.backoffMsMin) * Nanoseconds.millisecond,
      maxNs: Int64(options.settings.backoffMsMax) * Nanoseconds.millisecond)
    let until = EventLoop.monotonicNow() + backoff.delayNs(attempt, &random)
    while EventLoop.monotonicNow() < until {
      if follower.isAskedToStop { throw Stopped() }
      follower.loop.turn(waitNs: min(50 * Nanoseconds.millisecond, until - EventLoop.monotonicNow()))
    }
  }

  private func acknowledge(_ sending: InFlight) throws {
    inFlight = nil
    isUp = true
    result.batches += 1
    result.rows[sending.batch.kind, default: 0] += Int64(sending.batch.rowCount)
    loadedReceiveNs = sending.batch.receiveNs
    position?.places[sending.batch.kind] = sending.batch.upTo
    let complete = openSequence.map { min($0 - 1, cutSequence) } ?? cutSequence
    if let sequence = position?.sequence { position?.sequence = max(sequence, complete) }
    try writePosition(durable: false)
  }

  func writePosition(durable: Bool) throws {
    try position?.write(options.stateFolder, durable: durable)
  }

  // MARK: Watching

  private func linkToSupervisor() throws {
    link = try SupervisorLink(on: follower.loop) { [unowned self] in
      .object([
        "seq": .integer(position?.sequence ?? 0), "time_ns": .integer(loadedReceiveNs),
        "rows": .integer(result.rows.values.reduce(0, +)), "backlog_bytes": .integer(backlogBytes),
        "is_up": .bool(isUp), "lag_records": .integer(lagRecords),
      ])
    } command: { name, _ in
      .refused("the ClickHouse loader knows no command \(name)")
    } ended: { [unowned self] in
      follower.stop()
    }
  }

  /// Records that were read and are not in all tables.
  var lagRecords: Int64 { max(0, cutSequence - (position?.sequence ?? 0)) }

  /// Between the newest record that was read and the newest that is loaded, in the tape's time.
  var lagSeconds: Double { lagRecords == 0 ? 0 : Double(max(0, lastReceiveNs - loadedReceiveNs)) / 1e9 }

  /// Says the last line to the supervisor.
  public func say(summary: JSONValue) {
    link?.say(.object(["summary": summary]))
    link?.drain()
  }
}
