import Core
import Glibc
import Net

/// One server for all cases: websocket echo by upgrade, and a few HTTP routes.
final class PeerServer {
  private let loop: EventLoop
  private let arguments: PeerArguments
  private var server: HTTPServer?
  private let files: StaticFiles?
  private let token: BearerToken?
  private var options = WebSocketOptions()
  private var sockets: [ObjectIdentifier: EchoSocket] = [:]
  private var streams: [ObjectIdentifier: AnyObject] = [:]

  init(_ arguments: PeerArguments, on loop: EventLoop) throws {
    self.loop = loop
    self.arguments = arguments
    files = try arguments.text("--static").map { try StaticFiles(folder: $0) }
    token = arguments.text("--token").map { BearerToken($0) }
    options.deflate = arguments.has("--deflate")
    options.messageBytesMax = arguments.integer("--message-bytes-max") ?? options.messageBytesMax
    if let interval = milliseconds("--ping-ms") { options.pingIntervalNs = interval }
    if let timeout = milliseconds("--pong-ms") { options.pongTimeoutNs = timeout }

    var http = HTTPServerOptions()
    http.headTimeoutNs = milliseconds("--head-ms") ?? http.headTimeoutNs
    http.bodyTimeoutNs = milliseconds("--body-ms") ?? http.bodyTimeoutNs
    http.idleNs = milliseconds("--idle-ms") ?? http.idleNs
    http.connectionsMax = arguments.integer("--connections-max") ?? http.connectionsMax
    let tls = try arguments.text("--tls").map {
      try TLSContext(certificate: $0, key: arguments.text("--key") ?? $0)
    }
    server = try HTTPServer(on: loop, options: http, tls: tls) { [unowned self] request, responder in
      handle(request, responder)
    }
  }

  private func milliseconds(_ name: String) -> Int64? {
    arguments.integer(name).map { Int64($0) * Nanoseconds.millisecond }
  }

  func run() throws {
    try loop.onSignals([SIGTERM, SIGINT]) { [unowned self] _ in
      server?.stop(graceNs: 200 * Nanoseconds.millisecond) { [unowned self] in loop.stop() }
    }
    PeerProgram.print(.object(["ready": .bool(true), "port": .integer(Int(server!.address.port))]))
    loop.run()
  }

  private func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
    if request.headers.contains("Upgrade", token: "websocket") { return upgrade(request, responder) }
    let isRead = request.method == "GET" || request.method == "HEAD"
    let path = request.path
    if path.hasPrefix("/static/"), let files {
      return files.respond(request, responder, path: String(path.dropFirst("/static".count)))
    }
    switch path {
    case "*" where request.method == "OPTIONS": responder.respond(204)
    case "/echo" where request.method == "POST": responder.respond(200, type: .bytes, body: request.body)
    case "/echo": responder.fail(405, "post something", headers: ["Allow": "POST"])
    case "/" where isRead: responder.respond(200, body: "a peer for conformance tests\n")
    case "/slow" where isRead: slow(request, responder)
    case "/stream" where isRead: stream(request, responder)
    case "/events" where isRead: events(request, responder)
    case "/token" where isRead:
      if token?.check(request, responder) == true { responder.respond(200, body: "let in\n") }
    case "/websocket": responder.fail(426, "this is a websocket", headers: ["Upgrade": "websocket"])
    case "/", "/slow", "/stream", "/events", "/token":
      responder.fail(405, "this can only be read", headers: ["Allow": "GET, HEAD"])
    default: responder.fail(404, "there is nothing here")
    }
  }

  private func number(_ request: HTTPRequest, _ name: String, _ range: ClosedRange<Int>) -> Int {
    let value = request.queryValue(name).flatMap { Int($0) } ?? range.lowerBound
    return min(max(value, range.lowerBound), range.upperBound)
  }

  // MARK: Websocket

  private func upgrade(_ request: HTTPRequest, _ responder: HTTPResponder) {
    let (method, target, headers) = (request.method, request.target, request.headers)
    guard let connection = responder.takeConnection() else {
      responder.fail(400, "an upgrade must be the only request")
      return
    }
    guard
      let socket = WebSocket.accept(
        method: method, target: target, headers: headers, connection: connection, options: options, on: loop)
    else { return }
    let echo = EchoSocket(socket) { [weak self] in self?.sockets[$0] = nil }
    sockets[ObjectIdentifier(echo)] = echo
  }

  // MARK: HTTP

  private func slow(_ request: HTTPRequest, _ responder: HTTPResponder) {
    let delayMs = number(request, "ms", 0...10_000)
    loop.after(Int64(delayMs) * Nanoseconds.millisecond) { responder.respond(200, body: "\(delayMs)") }
  }

  private func stream(_ request: HTTPRequest, _ responder: HTTPResponder) {
    let chunk = [UInt8](repeating: 0x78, count: number(request, "bytes", 1...1_000_000))
    let source = ChunkSource(
      responder.stream(200, type: .bytes), chunk, count: number(request, "chunks", 0...100_000))
    source.whenOver = { [weak self] in self?.streams[$0] = nil }
    streams[ObjectIdentifier(source)] = source
    source.write()
  }

  private func events(_ request: HTTPRequest, _ responder: HTTPResponder) {
    var options = EventStreamOptions()
    options.retryMs = 100
    let source = EventSeries(
      responder.events(options), count: number(request, "count", 1...1_000_000),
      intervalNs: Int64(number(request, "interval_ms", 1...10_000)) * Nanoseconds.millisecond, on: loop)
    source.whenOver = { [weak self] in self?.streams[$0] = nil }
    streams[ObjectIdentifier(source)] = source
    source.start()
  }
}

/// Writes a chunk so often, as fast as the client reads.
private final class ChunkSource {
  var whenOver: ((ObjectIdentifier) -> Void)?
  private let stream: HTTPBodyStream
  private let chunk: [UInt8]
  private var count: Int

  init(_ stream: HTTPBodyStream, _ chunk: [UInt8], count: Int) {
    self.stream = stream
    self.chunk = chunk
    self.count = count
    stream.onDrained = { [unowned self] in write() }
    stream.onClosed = { [unowned self] in whenOver?(ObjectIdentifier(self)) }
  }

  func write() {
    while count > 0 {
      guard chunk.withUnsafeBytes({ stream.write($0) }) else {
        if !stream.isOpen { whenOver?(ObjectIdentifier(self)) }
        return
      }
      count -= 1
    }
    stream.finish()
    whenOver?(ObjectIdentifier(self))
  }
}

/// Sends numbered events at an interval, going on behind what the client had.
private final class EventSeries {
  var whenOver: ((ObjectIdentifier) -> Void)?
  private let stream: EventStream
  private var next: Int
  private let end: Int
  private let intervalNs: Int64
  private let loop: EventLoop

  init(_ stream: EventStream, count: Int, intervalNs: Int64, on loop: EventLoop) {
    self.stream = stream
    next = stream.lastEventID.flatMap { Int($0) }.map { $0 + 1 } ?? 0
    end = next + count
    self.intervalNs = intervalNs
    self.loop = loop
    stream.onClosed = { [unowned self] in whenOver?(ObjectIdentifier(self)) }
  }

  func start() {
    loop.after(intervalNs) { [weak self] in self?.send() }
  }

  private func send() {
    guard stream.isOpen else { return }
    if next == end {
      stream.finish()
      whenOver?(ObjectIdentifier(self))
    } else if stream.send(id: String(next), event: "count", data: "{\"count\":\(next)}\nsecond line é") {
      next += 1
      start()
    }
  }
}
