import CSystem
import Core
import Glibc
import Net
import Store

/// How long a service follows a run's signals, and who watches it.
public struct FollowOptions: Sendable {
  /// What is there now is all there will be: nothing is waited for, nobody served.
  public var isOnce = false
  public var minutes: Double?
  /// Ends after so many seconds without a new row. The sink is then taken to be complete.
  public var idleSecondsMax: Double?
  /// Standard input and output belong to a supervisor.
  public var isSupervised = false
  /// Port of `/metrics`, `/healthz` and `/readyz` on loopback; 0 for a free one, nil for none.
  public var metricsPort: UInt16?

  public init(
    isOnce: Bool = false, minutes: Double? = nil, idleSecondsMax: Double? = nil,
    isSupervised: Bool = false, metricsPort: UInt16? = nil
  ) {
    self.isOnce = isOnce
    self.minutes = minutes
    self.idleSecondsMax = idleSecondsMax
    self.isSupervised = isSupervised
    self.metricsPort = metricsPort
  }
}

/// A service that is fed by a run's signals, as its shell sees it.
protocol SignalConsumer: AnyObject {
  /// Takes about so many rows.
  ///
  /// - Parameter isLast: what is there now is all there will be.
  /// - Returns: how many rows were taken; fewer than asked for when there are no more now.
  func consume(rowsMax: Int, isLast: Bool) throws -> Int
  /// Members of the heartbeat.
  var beat: JSONValue { get }
  func writeMetrics(into writer: inout ByteWriter)
}

/// The shell of the services that follow a run's signals: waking, slices, heartbeat, end.
///
/// One thread. Rows are taken in slices between which the loop serves its timers, its supervisor and
/// `/metrics`. SIGTERM, SIGINT, the supervisor's end, `--minutes` and `--idle-s` end it: then what is there
/// is read once more.
final class SignalFollower {
  /// A slice takes some milliseconds.
  private static let sliceRowsMax = 4096
  private static let tickNs = 100 * Nanoseconds.millisecond

  let loop: EventLoop
  private let options: FollowOptions
  private weak var consumer: (any SignalConsumer)?
  private var link: SupervisorLink?
  private var endpoint: ServiceEndpoint?
  private var failure: (any Error)?
  private var isScheduled = false
  private var isStopping = false
  private var lastRowNs: Int64

  /// From here on SIGTERM and SIGINT wait for ``run(_:runFolder:sources:ready:print:)``: make it first, so
  /// that a service that is still starting ends in order, too.
  init(_ options: FollowOptions) throws {
    self.options = options
    loop = try EventLoop()
    lastRowNs = EventLoop.monotonicNow()
    if !options.isOnce { try loop.onSignals([SIGINT, SIGTERM]) { [unowned self] _ in stop() } }
  }

  /// Follows until it is told to stop, and has then consumed what is there.
  ///
  /// - Parameters:
  ///   - ready: members of the ready line.
  ///   - print: says a line where there is no supervisor.
  func run(
    _ consumer: any SignalConsumer, runFolder: String, sources: [SignalFeed.Source],
    ready: [JSONValue.Member],
    print: @escaping (JSONValue) -> Void
  ) throws {
    self.consumer = consumer
    if !options.isOnce { try follow(runFolder, sources, ready, print) }
    while try consumer.consume(rowsMax: SignalFollower.sliceRowsMax, isLast: true) > 0 {}
  }

  private func follow(
    _ runFolder: String, _ sources: [SignalFeed.Source], _ ready: [JSONValue.Member],
    _ print: @escaping (JSONValue) -> Void
  ) throws {
    if let port = options.metricsPort {
      endpoint = try ServiceEndpoint(
        on: loop, port: port, metrics: { [unowned self] in consumer?.writeMetrics(into: &$0) },
        isReady: { [unowned self] in !isStopping })
    }
    if options.isSupervised {
      link = try SupervisorLink(
        on: loop, beat: { [unowned self] in consumer?.beat ?? .null },
        command: { [unowned self] name, _ in
          guard name == "drain" else { return .refused("this service knows only drain") }
          stop()
          return .done("reads what is there and ends")
        }, ended: { [unowned self] in stop() })
    }
    var line: [JSONValue.Member] = [.init("ready", .bool(true))]
    if let endpoint { line.append(.init("metrics_port", .integer(endpoint.port))) }
    say(.object(line + ready), print)

    let endNs = options.minutes.map { EventLoop.monotonicNow() + Int64($0 * Double(Nanoseconds.minute)) }
    watchTime(endNs ?? .max)
    for source in Set(sources) {
      SignalWatch.start(on: loop, runFolder: runFolder, source: source) { [unowned self] in wake() }
    }
    wake()
    loop.run()
    if let failure { throw failure }
  }

  /// The service's last words.
  func say(_ json: JSONValue, _ print: (JSONValue) -> Void) {
    if let link { link.say(json) } else { print(json) }
  }

  /// Runs a job again and again; what it throws ends the service.
  func every(_ intervalNs: Int64, _ job: @escaping () throws -> Void) {
    loop.after(intervalNs) { [weak self] in
      guard let self, !isStopping else { return }
      attempt(job)
      every(intervalNs, job)
    }
  }

  private func stop() {
    isStopping = true
    loop.stop()
  }

  private func attempt(_ job: () throws -> Void) {
    do { try job() } catch {
      failure = failure ?? error
      stop()
    }
  }

  private func wake() {
    guard !isScheduled, !isStopping else { return }
    isScheduled = true
    loop.after(0) { [unowned self] in
      isScheduled = false
      guard !isStopping else { return }
      attempt {
        let rows = try consumer?.consume(rowsMax: SignalFollower.sliceRowsMax, isLast: false) ?? 0
        if rows > 0 { lastRowNs = EventLoop.monotonicNow() }
        if rows >= SignalFollower.sliceRowsMax { wake() }
      }
    }
  }

  private func watchTime(_ endNs: Int64) {
    loop.after(SignalFollower.tickNs) { [unowned self] in
      let now = EventLoop.monotonicNow()
      let idleNsMax = options.idleSecondsMax.map { Int64($0 * 1e9) } ?? .max
      if now >= endNs || now - lastRowNs >= idleNsMax { return stop() }
      watchTime(endNs)
    }
  }
}
