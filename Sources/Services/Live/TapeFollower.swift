import Core
import Glibc
import Net
import Report
import Tape

/// Waits for a tape to grow, until it is told to stop: what makes a replay live.
///
/// The waiting is inotify's and signalfd's, on one event loop; nothing is polled while the tape is there.
public final class TapeFollower {
  public struct Options: Sendable {
    /// Ends after so many seconds without growth.
    public var idleSecondsMax: Double?
    /// Ends after so many minutes.
    public var minutes: Double?

    public init(idleSecondsMax: Double? = nil, minutes: Double? = nil) {
      self.idleSecondsMax = idleSecondsMax
      self.minutes = minutes
    }
  }

  /// From a record's receive time to its signals being written, ns, of the oldest record of each wake-up.
  public private(set) var latencyNs = LogHistogram()
  /// From a record's receive time to its being read here, ns, of the oldest record of each wake-up.
  public private(set) var readLatencyNs = LogHistogram()
  public private(set) var wakeUps = 0

  /// Where the latencies are to be exposed, too; set once the tape's end has been reached.
  var metrics: SignalMetrics?
  let loop: EventLoop
  private let options: Options
  private let folder: String
  private var watch: TapeWatch?
  private var mustStop = false
  private var lastGrowthNs: Int64
  private let endNs: Int64
  private var pendingReceiveNs: [Int64] = []
  private var lastTurnNs: Int64 = 0
  private static let turnNs = 10 * Nanoseconds.millisecond

  /// - Parameter folder: may be made later by the harvester.
  public init(folder: String, options: Options) throws(NetError) {
    self.folder = folder
    self.options = options
    loop = try EventLoop()
    let now = EventLoop.monotonicNow()
    lastGrowthNs = now
    endNs = options.minutes.map { now + Int64($0 * Double(Nanoseconds.minute)) } ?? .max
    try loop.onSignals([SIGINT, SIGTERM]) { [unowned self] _ in mustStop = true }
  }

  /// Waits until the folder exists. False when it is time to stop.
  func waitForFolder() -> Bool {
    while !Files.exists(folder) {
      if isOver { return false }
      loop.turn(waitNs: 50 * Nanoseconds.millisecond)
    }
    return true
  }

  /// Has the waiting end, as a signal does.
  func stop() { mustStop = true }

  /// Whether a signal came or the time is over.
  var isAskedToStop: Bool { mustStop || EventLoop.monotonicNow() >= endNs }

  /// Lets the loop's other sources have their turn while blocks keep coming, at most every 10 ms.
  func turnIfDue() {
    let now = EventLoop.monotonicNow()
    guard now - lastTurnNs >= TapeFollower.turnNs else { return }
    lastTurnNs = now
    loop.turn(waitNs: 0)
  }

  /// Begins to watch; before the reader's first block, so that no growth is missed.
  func beginWatching() throws {
    let watch = try TapeWatch(folder)
    try loop.add(watch, interest: .read)
    self.watch = watch
  }

  /// Waits for growth. False when it is time to stop: then read what is there once more, and end.
  func waitForGrowth() throws -> Bool {
    guard let watch else { preconditionFailure("watching has not begun") }
    while true {
      if mustStop { return false }
      if watch.takeGrowth() {
        lastGrowthNs = EventLoop.monotonicNow()
        wakeUps += 1
        return true
      }
      if let failure = watch.failure { throw failure }
      if isOver { return false }
      loop.turn(waitNs: 100 * Nanoseconds.millisecond)
    }
  }

  private var isOver: Bool {
    let now = EventLoop.monotonicNow()
    if mustStop || now >= endNs { return true }
    guard let seconds = options.idleSecondsMax else { return false }
    return now - lastGrowthNs >= Int64(seconds * 1e9)
  }

  /// A block is about to be processed.
  func hasRead(_ block: UnsafeRawBufferPointer) {
    guard let header = RecordHeader(scanning: block.baseAddress!, 0) else { return }
    let latencyNs = EventLoop.wallNow().rawValue - header.receiveNs
    readLatencyNs.add(latencyNs)
    metrics?.observe(readLatencyNs: latencyNs)
    if pendingReceiveNs.count < 64 { pendingReceiveNs.append(header.receiveNs) }
  }

  /// All signals of the blocks read so far are written.
  func hasWritten() {
    let now = EventLoop.wallNow().rawValue
    for receiveNs in pendingReceiveNs {
      latencyNs.add(now - receiveNs)
      metrics?.observe(latencyNs: now - receiveNs)
    }
    pendingReceiveNs.removeAll(keepingCapacity: true)
  }

  /// What `--json` adds: the latencies of this run, which no output file depends on.
  public var members: [JSONValue.Member] {
    func milliseconds(_ histogram: LogHistogram) -> JSONValue {
      func value(_ share: Double) -> JSONValue {
        histogram.quantile(share).map { .double(Double($0) / 1e6) } ?? .null
      }
      return .object([
        "p50": value(0.5), "p99": value(0.99), "p999": value(0.999), "n": .integer(Int64(histogram.count)),
      ])
    }
    return [
      .init("wake_ups", .integer(Int64(wakeUps))), .init("read_latency_ms", milliseconds(readLatencyNs)),
      .init("signal_latency_ms", milliseconds(latencyNs)),
    ]
  }
}

/// The tape's inotify descriptor on the loop.
final class TapeWatch: EventSource {
  private var tailer: TapeTailer
  private var hasGrown = false
  private(set) var failure: TapeError?

  init(_ folder: String) throws(TapeError) {
    tailer = try TapeTailer(folder: folder)
    super.init(descriptor: tailer.descriptor)
  }

  override func ready(_ events: Interest) {
    do throws(TapeError) {
      if try tailer.waitForGrowth(timeoutMs: 0) { hasGrown = true }
    } catch {
      failure = error
    }
  }

  func takeGrowth() -> Bool {
    defer { hasGrown = false }
    return hasGrown
  }
}
