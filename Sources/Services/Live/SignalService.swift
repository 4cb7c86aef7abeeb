import Core
import Glibc
import Net
import Report
import Store
import Strategy
import Tape
import Telemetry

/// What a live signal stage is asked to do.
public struct SignalOptions: Sendable {
  /// Tape, run folder, sinks, configuration.
  public var run: ReplayOptions
  public var follower: TapeFollower.Options
  /// Port of `/metrics`, `/healthz` and `/readyz` on loopback; 0 for a free one, nil for none.
  public var metricsPort: UInt16?
  /// A supervisor holds the other ends of standard input and output; a report service makes the reports.
  public var isSupervised: Bool

  public init(
    run: ReplayOptions, follower: TapeFollower.Options = .init(), metricsPort: UInt16? = nil,
    isSupervised: Bool = false
  ) {
    self.run = run
    self.follower = follower
    self.metricsPort = metricsPort
    self.isSupervised = isSupervised
  }
}

/// The live shell around ``SignalPipeline``: the tape that grows, the sinks, the checkpoints, the supervisor.
///
/// **A record's way.** The growing tape wakes the loop; what is new is read in one block, its rows are
/// written and flushed, and the loop waits again. While there is more to read than a block (after a start, or
/// behind a burst), blocks follow each other and the loop's other sources get a turn every 10 ms.
///
/// **Crash equals no crash.** See ``SignalCheckpoint``. A start finds the newest checkpoint and goes on from
/// it, or says in a line why it cannot and begins with the tape; both end with the bytes of an undisturbed
/// run.
///
/// **Bounds.** Nothing grows with the run: no report is kept in memory, the reports are made of the stored
/// rows when the run ends in order.
public final class SignalService {
  private let options: SignalOptions
  private let follower: TapeFollower
  private let metrics = SignalMetrics()
  private let startedUsage = ProcessUsage.now()
  private var identity: RunIdentity?
  /// From the tape's first record on.
  private var stage: Stage?
  private var endpoint: ServiceEndpoint?
  private var link: SupervisorLink?
  private var checkpointBytes = CheckpointWriter()
  private var checkpointedSequence: Int64 = 0
  private var checkpointedRecords: Int64 = 0
  private var checkpoints = 0
  private var resumedFromSequence: Int64?
  /// Records of the tape that this process had not to read.
  private var recordsBefore: Int64 = 0
  private var restartSeconds: Double?
  /// The tape's end has been reached once.
  private var isFollowing = false
  private var note: (String) -> Void = { _ in }
  private var failure: (any Error)?
  private var flushIsScheduled = false
  private var lastStateLineNs: Int64 = 0
  private var refusalsNoted: Int64?

  private final class Stage {
    var run: SignalRun
    var reader: TapeReader

    init(_ run: consuming SignalRun, _ reader: consuming TapeReader) {
      self.run = run
      self.reader = reader
    }
  }

  /// A checkpoint is made after so many records, however little time they took.
  private static let checkpointRecordsMax: Int64 = 2_000_000
  /// A batch that takes longer while following is an overrun.
  private static let batchNsMax = 250 * Nanoseconds.millisecond

  public init(_ options: SignalOptions) throws {
    self.options = options
    follower = try TapeFollower(folder: options.run.tape, options: options.follower)
  }

  /// Follows the tape until it is told to stop, then ends the files in order.
  ///
  /// - Parameters:
  ///   - ready: the end of the tape has been reached, and following has begun.
  ///   - note: what an operator should know, one line each.
  ///   - progress: called with the records processed, about once a block.
  /// - Returns: what the run found; nil when a supervised one was stopped before the tape had a record.
  public func run(
    ready: (JSONValue) -> Void = { _ in }, note: @escaping (String) -> Void = { _ in },
    progress: (Int64) -> Void = { _ in }
  ) throws -> ReplayResult? {
    self.note = note
    if Files.exists(options.run.out + "/summary.json") {
      guard options.isSupervised else { throw ReplayError.outputInUse(options.run.out) }
      // Stopped in order and started again, a supervised run goes on: it has no summary until it ends again.
      try Files.remove(options.run.out + "/summary.json")
    }
    if let port = options.metricsPort { try serveMetrics(port) }
    if options.isSupervised { try linkToSupervisor() }
    guard follower.waitForFolder() else { return try endWithoutTape() }
    try follower.beginWatching()
    guard let stage = try begin(ready) else { return try endWithoutTape() }
    self.stage = stage
    stage.run.pipeline.monotonicNs = { EventLoop.monotonicNow() }
    scheduleCheckpoint()
    lastStateLineNs = EventLoop.monotonicNow()
    scheduleStateLine()
    while let block = try nextBlock(stage, ready) {
      try process(block, stage)
      progress(stage.run.pipeline.totals.lastSequence)
      let records = stage.run.recordsTotal - checkpointedRecords
      if records >= SignalService.checkpointRecordsMax { try checkpoint() }
      follower.turnIfDue()
      if let failure { throw failure }
    }
    return try finish(stage)
  }

  // MARK: Beginning

  /// Waits for the tape's first record, and goes on from the checkpoint or begins with the tape.
  ///
  /// - Returns: nil when it is time to stop before the tape has a record.
  private func begin(_ ready: (JSONValue) -> Void) throws -> Stage? {
    var reader = try TapeReader(folder: options.run.tape)
    var first = try reader.nextBlock()
    var isLast = false
    while first == nil {
      if isLast { return nil }
      try caughtUp(nil, ready)
      isLast = try !follower.waitForGrowth()
      try reader.refresh()
      first = try reader.nextBlock()
    }
    let began = EventLoop.monotonicNow()
    defer { restartSeconds = Double(EventLoop.monotonicNow() - began) / 1e9 }
    let identity = RunIdentity(options.run, first!)
    self.identity = identity
    let lock = try SignalLock(options.run.out)
    try identity.claim(options.run.out)
    try options.run.keepConfiguration()
    if let stage = try resume(identity, lock) { return stage }
    let stage = Stage(try SignalRun(options.run, lock), reader)
    follower.hasRead(first!)
    try process(first!, stage)
    return stage
  }

  /// Goes on from the checkpoint; nil, with a word on the reason, when there is none that can be used.
  private func resume(_ identity: RunIdentity, _ lock: SignalLock) throws -> Stage? {
    let problem: String
    do {
      guard let checkpoint = try SignalCheckpoint.load(options.run, identity) else { return nil }
      let sequence = checkpoint.pipeline.totals.lastSequence
      let place = checkpoint.place
      if let run = try reopen(checkpoint, lock) {
        if let reader = try TapeReader.resuming(folder: options.run.tape, at: place, after: sequence) {
          resumedFromSequence = sequence
          checkpointedSequence = sequence
          checkpointedRecords = run.recordsTotal
          recordsBefore = checkpointedRecords
          return Stage(run, reader)
        }
        problem = "the tape has no place any more where the checkpoint was made"
      } else {
        problem = "the sinks end before the checkpoint"
      }
    } catch let error as SignalCheckpointError {
      problem = "\(error)"
    } catch let error as CheckpointError {
      problem = "\(error)"
    } catch let error as FileError {
      problem = "\(error)"
    }
    note("\(problem); the tape is read from its beginning")
    return nil
  }

  /// nil when a sink does not reach the checkpoint.
  private func reopen(_ checkpoint: consuming SignalCheckpoint, _ lock: SignalLock) throws -> SignalRun? {
    let run = options.run
    func resuming(_ state: consuming SignalSinkState, _ folder: String) throws -> SignalSinkSet? {
      try SignalSinkSet.resuming(
        state, run.sink, runFolder: folder, context: SignalRun.context(run),
        options: run.configuration.sinkOptions)
    }
    guard let sinks = try resuming(checkpoint.sinks, run.out) else { return nil }
    var shadowSinks: SignalSinkSet?
    if let state = checkpoint.shadowSinks {
      shadowSinks = try resuming(state, ShadowFiles.folder(run.out))
      if shadowSinks == nil { return nil }
    }
    return SignalRun(pipeline: checkpoint.pipeline, sinks: sinks, shadowSinks: shadowSinks, lock)
  }

  private func endWithoutTape() throws -> ReplayResult? {
    if options.isSupervised { return nil }
    throw ReplayError.emptyTape(options.run.tape)
  }

  // MARK: Following

  /// The next block, waited for; nil when it is time to end and nothing is left.
  private func nextBlock(_ stage: Stage, _ ready: (JSONValue) -> Void) throws -> UnsafeRawBufferPointer? {
    var isLast = false
    while true {
      if let block = try stage.reader.nextBlock() {
        follower.hasRead(block)
        return block
      }
      if isLast { return nil }
      try caughtUp(stage, ready)
      isLast = try !follower.waitForGrowth()
      if let failure { throw failure }
      try stage.reader.refresh()
    }
  }

  private func process(_ block: UnsafeRawBufferPointer, _ stage: Stage) throws {
    let began = EventLoop.monotonicNow()
    var hasRows = false
    try stage.run.process(block) { rows, _ in
      hasRows = true
      metrics.count(rows)
    }
    for ns in stage.run.pipeline.takeParameterUpdateNs() { metrics.observe(parameterUpdateNs: ns) }
    noteRefusals(stage.run.pipeline.control.state)
    let tookNs = EventLoop.monotonicNow() - began
    metrics.observe(batchNs: tookNs, hasRows: hasRows)
    if isFollowing, tookNs > SignalService.batchNsMax { metrics.countOverrun() }
  }

  /// All that is on the tape has been processed.
  private func caughtUp(_ stage: Stage?, _ ready: (JSONValue) -> Void) throws {
    let flushMs = stage?.run.pipeline.parameters.mode.flushMs ?? 0
    if isFollowing, flushMs > 0 {
      flushLater(Int64(flushMs) * Nanoseconds.millisecond)
    } else {
      try stage?.run.flush()
      follower.hasWritten()
    }
    guard !isFollowing else { return }
    isFollowing = true
    follower.metrics = metrics
    let line: JSONValue = .object([
      "ready": .bool(true), "metrics_port": endpoint.map { .integer(Int64($0.port)) } ?? .null,
      "tape": .string(options.run.tape),
      "resumed_from_seq": resumedFromSequence.map { .integer($0) } ?? .null,
    ])
    if let link { link.say(line) } else { ready(line) }
  }

  /// Batches the rows of a regime that is in no hurry: they are flushed so long after the first of them at
  /// the latest, and before each checkpoint and the end.
  private func flushLater(_ delayNs: Int64) {
    guard !flushIsScheduled else { return }
    flushIsScheduled = true
    follower.loop.after(delayNs) { [weak self] in
      guard let self else { return }
      flushIsScheduled = false
      do { try stage?.run.flush() } catch { failure = error }
      follower.hasWritten()
    }
  }

  /// Those of this process; a checkpoint's have been told of.
  private func noteRefusals(_ state: StrategyState) {
    let count = state.refusals.reduce(0) { $0 + $1.count }
    if let noted = refusalsNoted, count > noted {
      let modules = state.refusals.map { "\($0.module) \($0.count)" }.joined(separator: ", ")
      note("mode_change_failed: everything stays as it was; refusals by module so far: \(modules)")
    }
    refusalsNoted = count
  }

  /// A line of the stage's state, as often as the regime in force wants it.
  private func scheduleStateLine() {
    follower.loop.after(Nanoseconds.second) { [weak self] in
      guard let self, let stage else { return }
      let now = EventLoop.monotonicNow()
      let seconds = stage.run.pipeline.parameters.mode.logSeconds
      if now - lastStateLineNs >= Int64(seconds) * Nanoseconds.second {
        lastStateLineNs = now
        note(stateLine(stage))
      }
      scheduleStateLine()
    }
  }

  private func stateLine(_ stage: Stage) -> String {
    let control = stage.run.pipeline.control
    let rows = stage.run.pipeline.rowCounts
    let failed = control.state.refusals.map { ", \($0.module) refused \($0.count) switches" }.joined()
    return "mode \(control.mode.name), regime \(control.regime.name), \(rows.rows) rows, "
      + "\(rows.confirmed) confirmed, record \(stage.run.pipeline.totals.lastSequence), "
      + "\(stage.reader.backlogBytes()) bytes behind" + failed
  }

  // MARK: Checkpoints

  private func scheduleCheckpoint() {
    follower.loop.after(Int64(options.run.configuration.checkpointSeconds) * Nanoseconds.second) {
      [weak self] in
      guard let self else { return }
      do { try checkpoint() } catch { failure = error }
      scheduleCheckpoint()
    }
  }

  /// Flushes the sinks and then says how far they have come.
  ///
  /// - Throws: what a sink throws. A checkpoint that cannot be written is only noted, because the one before it
  ///   still serves.
  private func checkpoint() throws {
    guard let identity, let stage else { return }
    let sequence = stage.run.pipeline.totals.lastSequence
    guard sequence != checkpointedSequence else { return }
    let began = EventLoop.monotonicNow()
    try stage.run.flush()
    guard let place = try stage.reader.place() else { return }
    try SignalCheckpoint.encode(stage.run, identity, place, into: &checkpointBytes)
    do throws(FileError) {
      try Files.replace(
        SignalCheckpoint.path(options.run.out), checkpointBytes.bytes,
        durable: options.run.configuration.sinksAreDurable)
    } catch {
      return note("\(error); the checkpoint before it is kept")
    }
    checkpointedSequence = sequence
    checkpointedRecords = stage.run.recordsTotal
    checkpoints += 1
    metrics.countCheckpoint(tookNs: EventLoop.monotonicNow() - began, bytes: checkpointBytes.count)
  }

  // MARK: The end

  private func finish(_ stage: Stage) throws -> ReplayResult {
    try checkpoint()
    follower.hasWritten()
    let usage = ProcessUsage.now() - startedUsage
    var result = try stage.run.finish(options.run, usage: usage, tape: stage.reader.report)
    if !options.isSupervised {
      try result.writeReports(of: try storedReport(stage), runFolder: options.run.out)
    }
    try result.summary.write(runFolder: options.run.out)
    if !options.isSupervised { try Files.remove(SignalCheckpoint.path(options.run.out)) }
    return result
  }

  /// The reports' input, from the rows that are stored.
  private func storedReport(_ stage: Stage) throws -> ReportAccumulator {
    var report = ReportAccumulator(
      symbols: stage.run.pipeline.symbols, options: try options.run.configuration.reportOptions())
    func add(_ row: StoredRow) throws {
      _ = report.add(row)
      try Replay.writeFinishedDays(of: &report, options.run)
    }
    if options.run.sink.hasJSONL {
      var rows = try JSONLReader(runFolder: options.run.out)
      while let row = try rows.next() { try add(row) }
    } else {
      var rows = try SQLiteReader(runFolder: options.run.out)
      while let row = try rows.next() { try add(row) }
    }
    return report
  }

  /// Says the last line to the supervisor.
  public func say(summary: JSONValue) {
    link?.say(.object(["summary": summary]))
    link?.drain()
  }

  /// What `--json` adds: of this process, which no output file depends on.
  public var live: JSONValue {
    .object(
      follower.members + [
        .init("resumed_from_seq", resumedFromSequence.map { .integer($0) } ?? .null),
        .init("records_read", .integer((stage?.run.recordsTotal ?? 0) - recordsBefore)),
        .init("restart_s", .rounded(restartSeconds, 6)), .init("checkpoints", .integer(checkpoints)),
        .init("checkpoint_bytes", .integer(checkpointBytes.count)),
      ])
  }

  // MARK: Watching

  private func serveMetrics(_ port: UInt16) throws {
    endpoint = try ServiceEndpoint(on: follower.loop, port: port) { [unowned self] text in
      if let stage { metrics.refresh(stage.run.pipeline, backlogBytes: stage.reader.backlogBytes()) }
      metrics.registry.write(into: &text)
    } isReady: { [unowned self] in
      isFollowing
    }
  }

  private func linkToSupervisor() throws {
    link = try SupervisorLink(on: follower.loop) { [unowned self] in
      beat
    } command: { name, _ in
      .refused("the signal service knows no command \(name)")
    } ended: { [unowned self] in
      follower.stop()
    }
  }

  private var beat: JSONValue {
    guard let stage else {
      return .object(["seq": .integer(0), "time_ns": .integer(0), "rows": .integer(0)])
    }
    let sums = stage.run.pipeline.rowCounts
    return .object([
      "seq": .integer(stage.run.pipeline.totals.lastSequence),
      "time_ns": .integer(max(0, stage.run.pipeline.receiveNs)),
      "rows": .integer(sums.rows), "confirmed": .integer(sums.confirmed), "strong": .integer(sums.strong),
      "backlog_bytes": .integer(stage.reader.backlogBytes()),
    ])
  }
}

extension SignalRun {
  var recordsTotal: Int64 { pipeline.totals.frames + pipeline.totals.otherRecords }
}

extension SignalPipeline {
  /// Rows of all symbols since the beginning of the tape.
  var rowCounts: (rows: Int64, confirmed: Int64, strong: Int64) {
    states.reduce(into: (0, 0, 0)) { sums, state in
      sums.0 += state.pointee.counts.signals
      sums.1 += state.pointee.counts.confirmed
      sums.2 += state.pointee.counts.strong
    }
  }
}
