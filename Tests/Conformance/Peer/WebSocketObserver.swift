import CZlib
import Core
import Glibc
import Net

/// Connects to one URL after the other and writes down what comes and how it ends.
final class WebSocketObserver: WebSocketDelegate {
  private let loop: EventLoop
  private let arguments: PeerArguments
  private var waiting: [String]
  private let trust: TLSContext?
  private var url = ""
  private var socket: WebSocket?
  private var timer: TimerID?
  private var messages: [JSONValue] = []
  private var messageCount = 0
  private var pings = 0
  private var pongs = 0
  /// Of the messages of a URL, so many are described.
  private static let describedMax = 64

  init(_ arguments: PeerArguments, on loop: EventLoop) throws {
    self.loop = loop
    self.arguments = arguments
    waiting = arguments.rest.reversed()
    trust = try PeerProgram.trust(arguments)
  }

  func run() {
    next()
    loop.run()
  }

  private func next() {
    guard let url = waiting.popLast() else { return loop.stop() }
    self.url = url
    (socket, messages, messageCount, pings, pongs) = (nil, [], 0, 0, 0)
    var options = WebSocketOptions()
    options.deflate = arguments.has("--deflate")
    options.messageBytesMax = arguments.integer("--message-bytes-max") ?? options.messageBytesMax
    let timeoutNs = Int64(arguments.integer("--timeout-ms") ?? 5000) * Nanoseconds.millisecond
    options.handshakeTimeoutNs = timeoutNs
    timer = loop.after(2 * timeoutNs) { [unowned self] in socket?.abort() }
    WebSocket.connect(url, options: options, tls: trust, headers: [:], on: loop) { [unowned self] answer in
      switch answer {
      case .failure(let error): report(isOpened: false, code: 0, reason: "", error: error)
      case .success(let socket):
        self.socket = socket
        socket.delegate = self
        if let text = arguments.text("--send") { socket.send(text: text) }
      }
    }
  }

  private func report(isOpened: Bool, code: UInt16, reason: String, error: NetError?) {
    if let timer { loop.cancel(timer) }
    PeerProgram.print(
      .object([
        "url": .string(url), "opened": .bool(isOpened), "deflated": .bool(socket?.isDeflated ?? false),
        "messages": .array(messages), "count": .integer(messageCount), "pings": .integer(pings),
        "pongs": .integer(pongs), "code": .integer(code), "reason": .string(reason),
        "error": error.map { .string("\($0)") } ?? .null,
      ]))
    loop.soon { [unowned self] in next() }
  }

  private func note(_ kind: String, _ bytes: UnsafeRawBufferPointer) {
    messageCount += 1
    guard messages.count < WebSocketObserver.describedMax else { return }
    let start = bytes.bindMemory(to: UInt8.self).baseAddress
    let sum = start.map { crc32(0, $0, UInt32(bytes.count)) } ?? 0
    messages.append(
      .object(["kind": .string(kind), "bytes": .integer(bytes.count), "crc": .integer(UInt64(sum))]))
  }

  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer) { note("text", text) }
  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer) { note("binary", binary) }
  func webSocketPonged(_ socket: WebSocket) { pongs += 1 }
  func webSocketPinged(_ socket: WebSocket) { pings += 1 }

  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?) {
    report(isOpened: true, code: code, reason: reason, error: error)
  }
}
