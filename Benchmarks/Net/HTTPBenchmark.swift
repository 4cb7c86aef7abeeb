import Core
import Glibc
import Net
import Synchronization

/// Small POSTs, as predictions are asked for: the server's loop on a thread of its own, the load from this
/// one over loopback; processor time of each thread, kernel included.
enum HTTPBenchmark {
  static let passes = 5
  static let body =
    #"{"symbol":"BTCUSDT","features":[0.12,-1.5,0.003,2.25,-0.75,1.0],"horizon_s":60,"id":"benchmark-1"}"#

  static func run(_ arguments: [String]) throws {
    let requests = arguments.first.flatMap { Int($0) } ?? 400_000
    var rows: [JSONValue.Member] = []
    for connections in [1, 64, 256] {
      var server = Double.infinity
      var client = Double.infinity
      for _ in 0..<passes {
        let count = connections == 1 ? requests / 8 : requests
        let measured = try measure(connections: connections, requests: count)
        server = min(server, measured.server / Double(count))
        client = min(client, measured.client / Double(count))
      }
      rows.append(.init("connections_\(connections)_server_us", .rounded(server * 1e6, 2)))
      rows.append(.init("connections_\(connections)_client_us", .rounded(client * 1e6, 2)))
    }
    print(JSONValue.object(rows).text())
  }

  /// Serves until a signal; every two seconds that saw requests it says what they cost.
  static func serve(_ arguments: [String]) throws {
    guard let port = arguments.first.flatMap({ UInt16($0) }) else { exit(2) }
    let loop = try EventLoop()
    let tls = arguments.count == 3 ? try TLSContext(certificate: arguments[1], key: arguments[2]) : nil
    let server = try HTTPServer(
      on: loop, options: HTTPServerOptions(port: port), tls: tls, handler: answer)
    print("listening on \(server.address)")
    var before = (requests: 0, seconds: threadSeconds())
    func report() {
      let now = (requests: server.requestCount, seconds: threadSeconds())
      if now.requests > before.requests {
        let cost = (now.seconds - before.seconds) / Double(now.requests - before.requests)
        print(
          "\(now.requests - before.requests) requests, \(JSONValue.rounded(cost * 1e6, 2).text()) us each")
        fflush(nil)
      }
      before = now
      loop.after(2 * Nanoseconds.second, report)
    }
    report()
    try loop.onSignals([SIGINT, SIGTERM]) { _ in loop.stop() }
    loop.run()
  }

  static func answer(_ request: HTTPRequest, _ responder: HTTPResponder) {
    responder.respond(200, type: .json) { output in
      output.append("{\"probability\":0.5123,\"bytes\":")
      output.append(integer: request.body.count)
      output.append("}")
    }
  }

  static func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func measure(connections: Int, requests: Int) throws -> (server: Double, client: Double) {
    let side = ServerSide()
    side.start()
    let port = side.waitForPort()
    let loop = try EventLoop()
    let load = Load(requests: requests, loop)
    for _ in 0..<connections {
      Connector.connect(
        host: "127.0.0.1", port: port, tls: nil, on: loop, timeoutNs: 5 * Nanoseconds.second
      ) { load.adopt(try! $0.get()) }
    }
    let start = threadSeconds()
    loop.run()
    let client = threadSeconds() - start
    precondition(load.answered >= requests)
    return (side.stop(), client)
  }
}

/// A server on a thread of its own. What both threads touch is under the lock.
private final class ServerSide: Sendable {
  private struct State {
    var port: UInt16 = 0
    var handle: LoopHandle?
    var seconds: Double?
  }

  private let state = Mutex(State())

  func start() {
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<ServerSide>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    pthread_detach(thread)
  }

  private func run() {
    let loop = try! EventLoop()
    let server = try! HTTPServer(on: loop, options: HTTPServerOptions(port: 0), handler: HTTPBenchmark.answer)
    state.withLock {
      $0.port = server.address.port
      $0.handle = loop.handle
    }
    let start = HTTPBenchmark.threadSeconds()
    loop.run()
    let seconds = HTTPBenchmark.threadSeconds() - start
    state.withLock { $0.seconds = seconds }
  }

  func waitForPort() -> UInt16 {
    while true {
      let port = state.withLock { $0.port }
      if port > 0 { return port }
      usleep(100)
    }
  }

  /// - Returns: the processor time its loop has used.
  func stop() -> Double {
    state.withLock { $0.handle }?.post { $0.stop() }
    while true {
      if let seconds = state.withLock({ $0.seconds }) { return seconds }
      usleep(100)
    }
  }
}

/// One request after the other on each connection, until enough are answered.
private final class Load: ConnectionDelegate {
  let requests: Int
  private(set) var answered = 0
  private let loop: EventLoop
  private let request: [UInt8]
  private var connections: [Connection] = []
  private var answerBytes = 0

  init(requests: Int, _ loop: EventLoop) {
    self.requests = requests
    self.loop = loop
    request = Array(
      ("POST /predict HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
        + "Content-Length: \(HTTPBenchmark.body.utf8.count)\r\n\r\n" + HTTPBenchmark.body).utf8)
  }

  func adopt(_ connection: Connection) {
    connections.append(connection)
    connection.delegate = self
    send(connection)
  }

  private func send(_ connection: Connection) { request.withUnsafeBytes { _ = connection.write($0) } }

  func connectionReceived(_ connection: Connection) {
    let bytes = connection.input.bytes
    // All answers are of the same length.
    if answerBytes == 0, bytes.last == 0x7D { answerBytes = bytes.count }
    guard bytes.count == answerBytes else { return }
    connection.input.consume(bytes.count)
    answered += 1
    if answered >= requests { loop.stop() } else { send(connection) }
  }

  func connectionOpened(_ connection: Connection) {}
  func connectionDrained(_ connection: Connection) {}
  func connectionClosed(_ connection: Connection, _ reason: NetError) {}
  func connectionTimedOut(_ connection: Connection) {}
}
