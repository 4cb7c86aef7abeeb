import Core
import Glibc
import Net
import Venue

/// How the simulated exchange is served.
public struct VenueOptions {
  public var exchange: ExchangeOptions
  public var host: String
  public var port: UInt16
  public var minutes: Double?
  public var certificate: String?
  public var key: String?

  public init(
    exchange: ExchangeOptions, host: String = "127.0.0.1", port: UInt16, minutes: Double? = nil,
    certificate: String? = nil, key: String? = nil
  ) {
    self.exchange = exchange
    self.host = host
    self.port = port
    self.minutes = minutes
    self.certificate = certificate
    self.key = key
  }
}

/// The shell around ``Exchange``: one port for REST and all websocket roots, and the clock.
///
/// The exchange's clock is the wall clock of the start plus monotonic time since, so that a step of this
/// machine's clock is no step of the exchange's. After whatever reaches the exchange, and whenever it has
/// something to do, it is advanced and what it says is handed to the sockets; they write at the end of the turn.
///
/// A client that reads too slowly is disconnected once ``WebSocketOptions/outputBytesMax`` wait for it, as the
/// real exchange does; ``slowConsumers`` counts them.
public final class VenueService {
  public private(set) var slowConsumers = 0
  /// Messages that a stalled (half-open) session was not sent.
  public private(set) var messagesStalled = 0

  private let loop: EventLoop
  private let options: VenueOptions
  private let exchange: Exchange
  private var server: HTTPServer?
  private var link: SupervisorLink?
  private var sessions: [VenueSession?] = []
  private var freeSessions: [Int32] = []
  private let startWallNs: Int64
  private let startMonotonicNs: Int64
  private var armed: TimerID?
  private var armedFor = UnixNanos(.max)
  private var isStopping = false

  /// Two publications closer together than this are sent in one turn.
  private static let resolutionNs: Int64 = 200_000
  private static let stopNsMax = 3 * Nanoseconds.second

  /// Listens; ``run()`` serves.
  public init(_ options: VenueOptions) throws {
    self.options = options
    let loop = try EventLoop()
    self.loop = loop
    startWallNs = EventLoop.wallNow().rawValue
    startMonotonicNs = EventLoop.monotonicNow()
    exchange = try Exchange(options.exchange, now: UnixNanos(startWallNs))
    var tls: TLSContext?
    if let certificate = options.certificate {
      tls = try TLSContext(certificate: certificate, key: options.key ?? certificate)
    }
    var serverOptions = HTTPServerOptions()
    serverOptions.host = options.host
    serverOptions.port = options.port
    server = try HTTPServer(on: loop, options: serverOptions, tls: tls) { [unowned self] request, responder in
      handle(request, responder)
    }
  }

  /// What a client is to be given, e.g. `http://127.0.0.1:9001`.
  public var restAddress: String { "\(options.certificate == nil ? "http" : "https")://\(server!.address)" }
  public var webSocketAddress: String { "\(options.certificate == nil ? "ws" : "wss")://\(server!.address)" }

  /// Answers to a supervisor on the standard streams, and ends with it.
  public func supervise() throws {
    let link = try SupervisorLink(on: loop) { [unowned self] in
      .object(["seq": .integer(Int64(loop.turns)), "time_ns": .integer(now.rawValue)])
    } command: { _, _ in
      .refused("a venue takes no commands here")
    } ended: { [unowned self] in
      beginStopping()
    }
    self.link = link
    link.say(
      .object([
        "ready": .bool(true), "rest": .string(restAddress), "ws": .string(webSocketAddress),
      ]))
  }

  /// Serves until the time is over or a signal comes.
  ///
  /// - Returns: the truth.
  public func run() throws -> JSONValue {
    try loop.onSignals([SIGINT, SIGTERM]) { [unowned self] _ in beginStopping() }
    if let minutes = options.minutes {
      loop.after(Int64(minutes * Double(Nanoseconds.minute))) { [unowned self] in beginStopping() }
    }
    loop.atTurnEnd { [unowned self] in arm() }
    loop.run()
    server = nil
    return exchange.truth
  }

  private var now: UnixNanos {
    UnixNanos(startWallNs + EventLoop.monotonicNow() - startMonotonicNs)
  }

  // MARK: The exchange's time

  private func arm() {
    let next = exchange.nextTime
    guard next != armedFor else { return }
    if let armed { loop.cancel(armed) }
    armedFor = next
    guard next.rawValue != .max, !isStopping else { return }
    let due = startMonotonicNs + (next.rawValue - startWallNs)
    armed = loop.at(max(due, EventLoop.monotonicNow() + VenueService.resolutionNs)) { [unowned self] in
      armedFor = UnixNanos(.max)
      advance()
    }
  }

  private func advance() {
    guard !isStopping else { return }
    exchange.advance(to: now)
    drain()
  }

  private func drain() {
    exchange.drain(
      message: { [unowned self] id, bytes in
        guard let session = sessions[Int(id.rawValue)] else { return }
        if session.isStalled {
          messagesStalled += 1
        } else if !session.send(bytes) {
          dropSlow(session)
        }
      },
      ping: { [unowned self] id in
        if let session = sessions[Int(id.rawValue)], !session.isStalled { session.socket?.ping() }
      },
      close: { [unowned self] id, manner in
        guard let session = sessions[Int(id.rawValue)] else { return }
        switch manner {
        case .code(let code, let reason): session.socket?.close(code: code, reason: reason)
        case .abort: session.toBeReset = true
        case .stall: session.stall()
        }
        if session.toBeReset { resets.append(session) }
      })
    // A reset calls back, which must not happen inside the exchange.
    let waiting = resets
    resets.removeAll(keepingCapacity: true)
    for session in waiting { session.socket?.reset() }
  }

  private var resets: [VenueSession] = []

  private func dropSlow(_ session: VenueSession) {
    guard !session.toBeReset else { return }
    slowConsumers += 1
    session.toBeReset = true
    resets.append(session)
  }

  // MARK: Requests

  private func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
    guard !isStopping else {
      responder.respond(503, json: .object(["code": .integer(-1016), "msg": .string("Shutting down.")]))
      return
    }
    exchange.advance(to: now)
    if request.headers.contains("Upgrade", token: "websocket") {
      upgrade(request, responder)
    } else {
      let answer = exchange.respond(
        to: VenueRequest(
          method: request.method, target: request.target, apiKey: request.headers["X-MBX-APIKEY"],
          body: Array(request.body), authorization: request.headers["Authorization"]),
        now: now)
      if answer.delayNs > 0 {
        loop.after(answer.delayNs) { VenueService.give(answer, responder) }
      } else {
        VenueService.give(answer, responder)
      }
    }
    drain()
  }

  private static func give(_ answer: VenueResponse, _ responder: HTTPResponder) {
    if answer.isDropped { return responder.reset() }
    var headers = HTTPHeaders()
    for header in answer.headers { headers.add(header.name, header.value) }
    if headers["Content-Type"] == nil { headers.add("Content-Type", "application/json;charset=UTF-8") }
    answer.body.withUnsafeBytes { _ = responder.respond(answer.status, headers: headers, body: $0) }
  }

  private func upgrade(_ request: HTTPRequest, _ responder: HTTPResponder) {
    let id = freeSessions.popLast() ?? Int32(sessions.count)
    switch exchange.open(SessionID(rawValue: id), target: request.target, now: now) {
    case .refused(let answer):
      freeSessions.append(id)
      if Int(id) == sessions.count { sessions.append(nil) }
      VenueService.give(answer, responder)
    case .accepted:
      if Int(id) == sessions.count { sessions.append(nil) }
      let method = request.method
      let target = request.target
      let headers = request.headers
      guard let connection = responder.takeConnection(),
        let socket = WebSocket.accept(
          method: method, target: target, headers: headers, connection: connection,
          options: WebSocketOptions(), on: loop)
      else {
        exchange.closed(SessionID(rawValue: id))
        return freeSessions.append(id)
      }
      sessions[Int(id)] = VenueSession(id, socket, self)
    }
  }

  fileprivate func received(_ id: Int32, _ text: UnsafeRawBufferPointer) {
    exchange.advance(to: now)
    exchange.receive(text, from: SessionID(rawValue: id), now: now)
    drain()
  }

  fileprivate func ponged(_ id: Int32) { exchange.ponged(SessionID(rawValue: id), now: now) }

  fileprivate func closed(_ id: Int32) {
    exchange.closed(SessionID(rawValue: id))
    sessions[Int(id)] = nil
    freeSessions.append(id)
    if isStopping, freeSessions.count == sessions.count { loop.stop() }
  }

  // MARK: The end

  /// The market stands still from here on; what was published reaches the clients before they are told goodbye.
  private func beginStopping() {
    guard !isStopping else { return }
    exchange.advance(to: now)
    drain()
    isStopping = true
    for session in sessions.compactMap({ $0 }) {
      if session.isStalled { session.socket?.reset() } else { session.socket?.close(code: 1001, reason: "") }
    }
    if freeSessions.count == sessions.count { return loop.stop() }
    loop.after(VenueService.stopNsMax) { [unowned self] in loop.stop() }
  }
}

/// One client's websocket.
private final class VenueSession: WebSocketDelegate {
  let id: Int32
  private(set) var socket: WebSocket?
  private(set) var isStalled = false
  var toBeReset = false
  private weak var service: VenueService?

  init(_ id: Int32, _ socket: WebSocket, _ service: VenueService) {
    self.id = id
    self.socket = socket
    self.service = service
    socket.delegate = self
  }

  func send(_ bytes: UnsafeRawBufferPointer) -> Bool { socket?.send(text: bytes) ?? false }

  /// Half-open: the connection stands, and nothing moves on it any more.
  func stall() {
    isStalled = true
    socket?.pauseReading()
  }

  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer) { service?.received(id, text) }
  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer) {
    service?.received(id, binary)
  }
  func webSocketPonged(_ socket: WebSocket) { service?.ponged(id) }
  func webSocketDrained(_ socket: WebSocket) {}
  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?) {
    self.socket = nil
    service?.closed(id)
  }
}
