import CSystem
import Core
import Glibc
import Net
import NetTestSupport
import Synchronization

/// Websocket messages of 390 bytes, the size of a busy feed's, from one loop's thread to another's over
/// loopback: processor time of each thread, kernel included, so that both sides are told apart.
///
/// The sender fills its output up to a bound and waits for it to drain, as a feed in a burst does.
enum WebSocketBenchmark {
  static let messageBytes = 390
  static let passes = 5

  static func run(_ arguments: [String]) throws {
    let messages = arguments.first.flatMap { Int($0) } ?? 2_000_000
    let certificates = TestCertificates()
    var rows: [JSONValue.Member] = [.init("message_bytes", .integer(Int64(messageBytes)))]
    for (name, isSecure, deflates) in [
      ("plain", false, false), ("tls", true, false), ("plain_deflate", false, true),
    ] {
      for fromServer in [true, false] {
        var best: [Side: Double] = [.sender: .infinity, .receiver: .infinity]
        for _ in 0..<passes {
          let count = deflates ? messages / 10 : messages
          let run = try Transfer(
            messages: count, fromServer: fromServer, deflates: deflates,
            certificates: isSecure ? certificates : nil
          ).run()
          best[.sender] = min(best[.sender]!, run.sender / Double(count))
          best[.receiver] = min(best[.receiver]!, run.receiver / Double(count))
        }
        let key = "\(name)_\(fromServer ? "server_to_client" : "client_to_server")"
        rows.append(.init(key + "_send_ns", .rounded(best[.sender]! * 1e9, 1)))
        rows.append(.init(key + "_receive_ns", .rounded(best[.receiver]! * 1e9, 1)))
        rows.append(.init(key + "_receive_messages_per_cpu_s", .rounded(1 / best[.receiver]!, 0)))
      }
    }
    print(JSONValue.object(rows).text())
  }

  static func options(deflates: Bool) -> WebSocketOptions {
    var options = WebSocketOptions(deflate: deflates)
    options.outputBytesMax = 512 << 10
    return options
  }

  enum Side { case sender, receiver }

  static func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// One transfer: the server's loop on a thread of its own, the client's on this one.
private final class Transfer {
  let messages: Int
  let fromServer: Bool
  let deflates: Bool
  let certificates: TestCertificates?

  init(messages: Int, fromServer: Bool, deflates: Bool, certificates: TestCertificates?) {
    self.messages = messages
    self.fromServer = fromServer
    self.deflates = deflates
    self.certificates = certificates
  }

  func run() throws -> (sender: Double, receiver: Double) {
    let pair = certificates?.pair()
    let server = ServerThread(
      messages: messages, sends: fromServer, deflates: deflates, certificate: pair?.certificate,
      key: pair?.key)
    let port = server.start()
    let loop = try EventLoop()
    let client = End(messages: messages, sends: !fromServer) { loop.stop() }
    let tls = try certificates.map { try TLSContext(trusting: $0.authority) }
    WebSocket.connect(
      "\(tls == nil ? "ws" : "wss")://127.0.0.1:\(port)/",
      options: WebSocketBenchmark.options(deflates: deflates), tls: tls, on: loop
    ) {
      do {
        client.begin(try $0.get())
      } catch {
        print(error)
        exit(1)
      }
    }
    loop.run()
    let seconds = server.join()
    return fromServer ? (seconds, client.seconds) : (client.seconds, seconds)
  }
}

/// Sends so many messages, or receives them and closes.
private final class End: WebSocketDelegate {
  let messages: Int
  let sends: Bool
  let done: () -> Void
  var count = 0
  var started = 0.0
  var seconds = 0.0
  private var socket: WebSocket?
  private let text: [UInt8] = {
    // As compressible as a depth frame: names repeat, digits don't.
    var random = SeededRandom(seed: 1)
    var text = Array(#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","b":["#.utf8)
    while text.count < WebSocketBenchmark.messageBytes - 3 {
      text += Array(
        "[\"6\(random.below(10_000)).\(random.below(10))\",\"\(random.below(100)).\(random.below(1000))\"],"
          .utf8)
    }
    return Array(text[..<(WebSocketBenchmark.messageBytes - 3)]) + Array("]}}".utf8)
  }()

  init(messages: Int, sends: Bool, done: @escaping () -> Void) {
    self.messages = messages
    self.sends = sends
    self.done = done
  }

  func begin(_ socket: WebSocket) {
    self.socket = socket
    socket.delegate = self
    started = WebSocketBenchmark.threadSeconds()
    if sends { fill(socket) }
  }

  private func fill(_ socket: WebSocket) {
    var sent = count
    text.withUnsafeBytes { while sent < messages, socket.send(text: $0) { sent += 1 } }
    count = sent
  }

  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer) {
    count += 1
    if count == messages { socket.close() }
  }

  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer) {}
  func webSocketDrained(_ socket: WebSocket) { if sends { fill(socket) } }

  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?) {
    seconds = WebSocketBenchmark.threadSeconds() - started
    if count != messages || error != nil {
      print(
        "the transfer broke off after \(count) messages: \(code) \(reason) \(error.map { "\($0)" } ?? "")")
      exit(1)
    }
    self.socket = nil
    done()
  }
}

private final class ServerThread: Sendable {
  private struct State {
    var port: UInt16 = 0
    var seconds = -1.0
  }

  private let messages: Int
  private let sends: Bool
  private let deflates: Bool
  private let certificate: String?
  private let key: String?
  private let state = Mutex(State())

  init(messages: Int, sends: Bool, deflates: Bool, certificate: String?, key: String?) {
    self.messages = messages
    self.sends = sends
    self.deflates = deflates
    self.certificate = certificate
    self.key = key
  }

  func start() -> UInt16 {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        do {
          try Unmanaged<ServerThread>.fromOpaque(context!).takeRetainedValue().run()
        } catch {
          print(error)
          exit(1)
        }
        return nil
      }, context)
    pthread_detach(thread)
    return wait { $0.port > 0 ? $0.port : nil }
  }

  func join() -> Double { wait { $0.seconds >= 0 ? $0.seconds : nil } }

  private func wait<Value>(_ ready: (State) -> Value?) -> Value {
    while true {
      if let value = state.withLock({ ready($0) }) { return value }
      usleep(200)
    }
  }

  private func run() throws {
    let loop = try EventLoop()
    let end = End(messages: messages, sends: sends) { loop.stop() }
    var tls: TLSContext?
    if let certificate, let key { tls = try TLSContext(certificate: certificate, key: key) }
    let server = try UpgradeServer(
      on: loop, tls: tls, options: WebSocketBenchmark.options(deflates: deflates)
    ) { end.begin($0) }
    state.withLock { $0.port = server.address.port }
    loop.run()
    state.withLock { $0.seconds = end.seconds }
  }
}
