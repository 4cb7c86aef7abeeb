import CTLS
import Core
import Glibc

/// An HTTP/1.1 server on a loop.
///
/// **Problem.** Predictions, metrics, the page and the simulated exchange are asked over HTTP: small requests
/// in great number, a few long streams, and now and then somebody who sends nonsense or nothing at all.
///
/// **Why the obvious answer fails.** A thread or task per request costs more than the request (FastAPI 115
/// µs, the budget is 6 µs). Answers that are written when they are ready mix up pipelined requests. Queues
/// without a bound turn one slow reader into everybody's outage; timeouts per read keep a slow sender alive
/// for ever.
///
/// **Algorithm.** Requests are read in place by ``HTTPParser`` and handed to the handler at once, also
/// several of one connection; each holds a place in the connection's line of exchanges. The first in line
/// writes straight into the connection's output, others into buffers of their own that follow when their turn
/// comes. Deadlines run from the first byte of a head and the end of a head, not from the last byte received.
///
/// **Bounds.** See ``HTTPServerOptions``: past ``HTTPServerOptions/pipelineMax`` open requests, or with
/// ``HTTPServerOptions/outputBytesMax`` waiting, a connection isn't read, and TCP holds the client back.
///
/// **Life.** The server must be held; released, it cuts its connections. Responders and streams may outlive
/// connection, server and loop: they do nothing then. A client that closes its sending half counts as gone.
///
/// Source: RFC 9110 and 9112; server-sent events: the HTML standard, 9.2.
public final class HTTPServer {
  let core: HTTPServerCore
  private let listener: Listener

  /// Listens at once.
  ///
  /// - Parameter handler: called for each request on the loop's thread; answers now or later through the
  ///   responder. A responder that is dropped unanswered answers 500.
  /// - Throws: ``NetError/listen(_:_:)`` when the address is taken.
  public init(
    on loop: EventLoop, options: HTTPServerOptions, tls: TLSContext? = nil,
    handler: @escaping (HTTPRequest, HTTPResponder) -> Void
  ) throws(NetError) {
    let core = HTTPServerCore(loop, options, handler)
    self.core = core
    listener = try Listener(on: loop, host: options.host, port: options.port, tls: tls) { [weak core] in
      core?.accept($0)
    }
  }

  deinit {
    listener.stop()
    core.cut()
  }

  /// Where it listens, with the real port.
  public var address: SocketAddress { listener.address }
  /// Open connections, those in refusal not counted.
  public var connectionCount: Int { core.connections.count }
  /// Requests handed to the handler.
  public var requestCount: Int { core.requests }
  /// Messages that were refused before any handler saw them.
  public var refusedRequestCount: Int { core.refusedRequests }
  /// Connections turned away for want of room.
  public var refusedConnectionCount: Int { core.refusedConnections + listener.refused }

  /// Ends orderly: accepts no more, closes idle connections, finishes event streams, lets requests that are
  /// running be answered; after `graceNs` what is left is cut.
  ///
  /// - Parameter done: called once, in a later turn, when no connection is left.
  public func stop(graceNs: Int64, done: @escaping () -> Void) {
    listener.stop()
    core.stop(graceNs: graceNs, done)
  }
}

/// What the connections of a server share. It is reached from them only while they are open.
final class HTTPServerCore {
  static let refusalsMax = 64

  let options: HTTPServerOptions
  let handler: (HTTPRequest, HTTPResponder) -> Void
  weak var loop: EventLoop?
  private(set) var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
  private var refusals: [ObjectIdentifier: HTTPRefusal] = [:]
  var requests = 0
  var refusedRequests = 0
  private(set) var refusedConnections = 0
  private(set) var isStopping = false
  private var stopped: (() -> Void)?
  private var graceTimer: TimerID?
  /// `Date: …` with its line end, good until the second is over.
  private var date: [UInt8] = []
  private var dateEndsNs = Int64.min

  init(
    _ loop: EventLoop, _ options: HTTPServerOptions,
    _ handler: @escaping (HTTPRequest, HTTPResponder) -> Void
  ) {
    self.loop = loop
    self.options = options
    self.handler = handler
  }

  func accept(_ connection: Connection) {
    guard connections.count < options.connectionsMax else {
      refusedConnections += 1
      // Those being told so are bounded as well; beyond that they only see the end.
      guard refusals.count < HTTPServerCore.refusalsMax else { return connection.abort() }
      let refusal = HTTPRefusal(self)
      refusals[ObjectIdentifier(refusal)] = refusal
      connection.delegate = refusal
      return
    }
    let served = HTTPServerConnection(connection, self)
    connections[ObjectIdentifier(served)] = served
    connection.delegate = served
    connection.outputBytesMax = options.outputBytesMax
    connection.outputLowBytes = min(connection.outputLowBytes, options.outputBytesMax / 2)
    connection.deadlineNs = EventLoop.monotonicNow() + options.headTimeoutNs
  }

  func forget(_ connection: HTTPServerConnection) {
    connections[ObjectIdentifier(connection)] = nil
    finishStopping()
  }

  func forget(_ refusal: HTTPRefusal) { refusals[ObjectIdentifier(refusal)] = nil }

  func stop(graceNs: Int64, _ done: @escaping () -> Void) {
    precondition(!isStopping, "a server stops once")
    isStopping = true
    stopped = done
    graceTimer = loop?.after(graceNs) { [weak self] in self?.cut() }
    for connection in Array(connections.values) { connection.stop() }
    finishStopping()
  }

  private func finishStopping() {
    guard connections.isEmpty, let done = stopped else { return }
    stopped = nil
    if let graceTimer { loop?.cancel(graceTimer) }
    loop?.soon(done)
  }

  func cut() {
    for connection in Array(connections.values) { connection.abort() }
    for refusal in Array(refusals.values) { refusal.connection?.abort() }
  }

  /// The current `Date` field; `now` is monotonic.
  func appendDate(_ now: Int64, to output: ByteQueue) {
    if now >= dateEndsNs {
      let wall = EventLoop.wallNow()
      date = Array("Date: \(HTTPDate.text(wall))\r\n".utf8)
      dateEndsNs = EventLoop.monotonicNow() + Nanoseconds.second - wall.rawValue % Nanoseconds.second
    }
    date.withUnsafeBytes { output.append($0) }
  }
}

/// Tells one peer that there is no room for it.
final class HTTPRefusal: ConnectionDelegate {
  private weak var core: HTTPServerCore?
  private(set) weak var connection: Connection?

  init(_ core: HTTPServerCore) { self.core = core }

  func connectionOpened(_ connection: Connection) {
    self.connection = connection
    connection.output.append("HTTP/1.1 503 Service Unavailable\r\n")
    core?.appendDate(EventLoop.monotonicNow(), to: connection.output)
    connection.output.append(
      "Content-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 33\r\n\r\n")
    connection.output.append("{\"error\":\"too many connections\"}\n")
    connection.close()
  }

  func connectionReceived(_ connection: Connection) { connection.input.consume(connection.input.count) }
  func connectionDrained(_ connection: Connection) {}
  func connectionClosed(_ connection: Connection, _ reason: NetError) { core?.forget(self) }
  func connectionTimedOut(_ connection: Connection) { connection.abort() }
}
