import Core
import Glibc
import Net

/// A client that goes through a fixed series of messages with an echo server and says whether all came back.
final class WebSocketScript: WebSocketDelegate {
  private struct Message: Equatable {
    var isText: Bool
    var bytes: [UInt8]
  }

  private let loop: EventLoop
  private let arguments: PeerArguments
  private let messages: [Message]
  private var socket: WebSocket?
  private var sent = 0
  private var received = 0
  private var pongs = 0
  private var failure: String?
  private var ending: (code: UInt16, reason: String)?
  /// Messages under way at once, in the second half of the series.
  private static let windowMax = 32
  private static let timeoutNs = 30 * Nanoseconds.second

  init(_ arguments: PeerArguments, on loop: EventLoop) {
    self.loop = loop
    self.arguments = arguments
    var messages: [Message] = []
    var random = SeededRandom(seed: 11)
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
      let letters = Array("{\"p\":\"é😀1.5\"}".utf8)
      var text = (0..<size / letters.count).flatMap { _ in letters }
      text += [UInt8](repeating: 0x61, count: size - text.count)
      messages.append(Message(isText: true, bytes: text))
      let bytes = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      messages.append(Message(isText: false, bytes: bytes))
    }
    for index in 0..<300 {
      messages.append(Message(isText: index % 3 > 0, bytes: Array("message \(index)".utf8)))
    }
    self.messages = messages
  }

  func run() throws {
    var options = WebSocketOptions()
    options.deflate = arguments.has("--deflate")
    loop.after(WebSocketScript.timeoutNs) { [unowned self] in fail("no end after 30 s") }
    let url = arguments.rest.first ?? ""
    WebSocket.connect(
      url, options: options, tls: try PeerProgram.trust(arguments), headers: ["X-Peer": "weir"], on: loop
    ) { [unowned self] answer in
      switch answer {
      case .failure(let error): fail("\(error)")
      case .success(let socket):
        self.socket = socket
        socket.delegate = self
        withUnsafeBytes(of: UInt32(7)) { _ = socket.ping($0) }
        proceed()
      }
    }
    loop.run()
    let passed = failure == nil && received == messages.count && pongs == 1 && ending?.code == 1000
    PeerProgram.print(
      .object([
        "passed": .bool(passed), "messages": .integer(received), "pongs": .integer(pongs),
        "deflated": .bool(socket?.isDeflated ?? false), "code": .integer(ending?.code ?? 0),
        "error": failure.map { .string($0) } ?? .null,
      ]))
    exit(passed ? 0 : 1)
  }

  private func fail(_ reason: String) {
    failure = failure ?? reason
    loop.stop()
  }

  private func proceed() {
    guard let socket else { return }
    if received == messages.count { return socket.close(code: 1000, reason: "done") }
    let window = received < 16 ? 1 : WebSocketScript.windowMax
    while sent < messages.count, sent - received < window {
      let message = messages[sent]
      let isTaken = message.bytes.withUnsafeBytes {
        message.isText ? socket.send(text: $0) : socket.send(binary: $0)
      }
      guard isTaken else { return }
      sent += 1
    }
  }

  private func compare(_ isText: Bool, _ bytes: UnsafeRawBufferPointer) {
    guard received < sent else { return fail("a message that was not asked for") }
    let wanted = messages[received]
    guard wanted.isText == isText, wanted.bytes.elementsEqual(bytes) else {
      return fail("message \(received) of \(wanted.bytes.count) bytes came back as other \(bytes.count)")
    }
    received += 1
    proceed()
  }

  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer) { compare(true, text) }
  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer) { compare(false, binary) }
  func webSocketPonged(_ socket: WebSocket) { pongs += 1 }
  func webSocketDrained(_ socket: WebSocket) { proceed() }

  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?) {
    ending = (code, reason)
    if received < messages.count {
      failure = failure ?? "closed early: \(code) \(reason) \(error.map { "\($0)" } ?? "")"
    }
    loop.stop()
  }
}
