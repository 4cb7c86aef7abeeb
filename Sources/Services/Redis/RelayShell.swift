import Core
import Glibc
import Net

/// How long a service that carries a tape runs, and who watches it.
public struct RelayOptions: Sendable {
  /// Ends when the publisher's tape was finished and all of it has arrived.
  public var isUntilFinished = false
  public var minutes: Double?
  /// Ends after so many seconds without a record.
  public var idleSecondsMax: Double?
  /// Standard input and output belong to a supervisor.
  public var isSupervised = false
  /// Port of `/metrics`, `/healthz` and `/readyz` on loopback; 0 for a free one, nil for none.
  public var metricsPort: UInt16?

  public init(
    isUntilFinished: Bool = false, minutes: Double? = nil, idleSecondsMax: Double? = nil,
    isSupervised: Bool = false, metricsPort: UInt16? = nil
  ) {
    self.isUntilFinished = isUntilFinished
    self.minutes = minutes
    self.idleSecondsMax = idleSecondsMax
    self.isSupervised = isSupervised
    self.metricsPort = metricsPort
  }
}

/// What the shell asks the service it carries.
protocol RelayService: AnyObject {
  /// Does a little work.
  ///
  /// - Returns: how long nothing need be done unless something wakes the loop, ns; nil when all is done.
  func step() throws -> Int64?
  var isReady: Bool { get }
  /// Members of the heartbeat.
  var beat: JSONValue { get }
  func writeMetrics(into writer: inout ByteWriter)
}

/// The shell of the services that carry a tape: one thread with a loop that serves signals, the supervisor and
/// `/metrics` between the service's steps.
final class RelayShell {
  let loop: EventLoop
  private let options: RelayOptions
  private var link: SupervisorLink?
  private var endpoint: ServiceEndpoint?
  private var mustStop = false
  private var lastWorkNs: Int64
  private let endNs: Int64

  init(_ options: RelayOptions) throws {
    self.options = options
    loop = try EventLoop()
    lastWorkNs = EventLoop.monotonicNow()
    endNs = options.minutes.map { EventLoop.monotonicNow() + Int64($0 * Double(Nanoseconds.minute)) } ?? .max
    try loop.onSignals([SIGINT, SIGTERM]) { [unowned self] _ in mustStop = true }
  }

  /// Steps until the service has done all, or it is told to stop.
  ///
  /// - Parameters:
  ///   - ready: members of the ready line.
  ///   - print: says a line where there is no supervisor.
  func run(
    _ service: any RelayService, ready: [JSONValue.Member], print: @escaping (JSONValue) -> Void
  ) throws {
    if let port = options.metricsPort {
      endpoint = try ServiceEndpoint(
        on: loop, port: port, metrics: { [unowned service] in service.writeMetrics(into: &$0) },
        isReady: { [unowned service] in service.isReady })
    }
    if options.isSupervised {
      link = try SupervisorLink(
        on: loop, beat: { [unowned service] in service.beat },
        command: { [unowned self] name, _ in
          guard name == "drain" else { return .refused("this service knows only drain") }
          mustStop = true
          return .done("ends after what is under way; the tape keeps the rest")
        }, ended: { [unowned self] in mustStop = true })
    }
    var line: [JSONValue.Member] = [.init("ready", .bool(true))]
    if let endpoint { line.append(.init("metrics_port", .integer(endpoint.port))) }
    say(.object(line + ready), print)
    while !isOver, let waitNs = try service.step() {
      loop.turn(waitNs: min(waitNs, 100 * Nanoseconds.millisecond))
    }
  }

  /// A record came through.
  func hasWorked() { lastWorkNs = EventLoop.monotonicNow() }

  /// The service's last words.
  func say(_ json: JSONValue, _ print: (JSONValue) -> Void) {
    if let link { link.say(json) } else { print(json) }
  }

  func finish() { link?.drain() }

  private var isOver: Bool {
    let now = EventLoop.monotonicNow()
    let idleNsMax = options.idleSecondsMax.map { Int64($0 * 1e9) } ?? .max
    return mustStop || now >= endNs || now - lastWorkNs >= idleNsMax
  }
}
