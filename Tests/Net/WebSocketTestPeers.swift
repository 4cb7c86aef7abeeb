import Core
import NetTestSupport
import Testing

@testable import Net

extension EventLoop {
  /// Turns until the condition holds.
  ///
  /// - Returns: whether it held in time.
  @discardableResult
  func turn(until condition: () -> Bool, milliseconds: Int64 = 5000) -> Bool {
    let end = EventLoop.monotonicNow() + milliseconds * Nanoseconds.millisecond
    while !condition() {
      if EventLoop.monotonicNow() > end { return false }
      turn(waitNs: 5 * Nanoseconds.millisecond)
    }
    return true
  }

  func turn(milliseconds: Int64) { turn(until: { false }, milliseconds: milliseconds) }
}

/// Notes what a socket says.
final class Recorder: WebSocketDelegate {
  struct Message: Equatable, CustomStringConvertible {
    var isText: Bool
    var bytes: [UInt8]

    static func text(_ text: String) -> Message { Message(isText: true, bytes: Array(text.utf8)) }
    static func binary(_ bytes: [UInt8]) -> Message { Message(isText: false, bytes: bytes) }
    var description: String {
      isText ? "text \"\(String(decoding: bytes.prefix(40), as: UTF8.self))\"" : "\(bytes.count) bytes"
    }
  }

  struct Closing: Equatable {
    var code: UInt16
    var reason: String
    var error: NetError?
  }

  var messages: [Message] = []
  var pings = 0
  var pongs = 0
  var drains = 0
  var closings: [Closing] = []
  var closing: Closing? { closings.first }
  var received: (WebSocket) -> Void = { _ in }
  var closed: (WebSocket) -> Void = { _ in }
  /// Sums of what lies behind the messages: the padding must be readable.
  var behind = 0

  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer) { take(socket, true, text) }
  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer) { take(socket, false, binary) }

  private func take(_ socket: WebSocket, _ isText: Bool, _ bytes: UnsafeRawBufferPointer) {
    #expect(closings.isEmpty, "a message after the end")
    let padding = UnsafeRawBufferPointer(
      start: bytes.baseAddress! + bytes.count, count: ByteQueue.padding)
    behind += padding.reduce(0) { $0 + Int($1) }
    messages.append(Message(isText: isText, bytes: Array(bytes)))
    received(socket)
  }

  func webSocketPonged(_ socket: WebSocket) { pongs += 1 }
  func webSocketPinged(_ socket: WebSocket) { pings += 1 }
  func webSocketDrained(_ socket: WebSocket) { drains += 1 }

  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?) {
    closings.append(Closing(code: code, reason: reason, error: error))
    closed(socket)
  }
}

/// A client and a server of ours on one loop.
final class SocketPair {
  let loop: EventLoop
  let server: UpgradeServer
  let near = Recorder()
  let far = Recorder()
  private(set) var client: WebSocket!
  private(set) weak var accepted: WebSocket?

  init(
    _ loop: EventLoop, client options: WebSocketOptions = WebSocketOptions(),
    server serverOptions: WebSocketOptions = WebSocketOptions(), certificates: TestCertificates? = nil
  ) throws {
    self.loop = loop
    let far = far
    var accepted: WebSocket?
    var tls: TLSContext?
    if let pair = certificates?.pair() { tls = try TLSContext(certificate: pair.certificate, key: pair.key) }
    server = try UpgradeServer(on: loop, tls: tls, options: serverOptions) {
      $0.delegate = far
      accepted = $0
    }
    var result: Result<WebSocket, NetError>?
    let near = near
    WebSocket.connect(
      "\(tls == nil ? "ws" : "wss")://localhost:\(server.address.port)/feed?x=1", options: options,
      tls: try certificates.map { try TLSContext(trusting: $0.authority) }, on: loop
    ) {
      if case .success(let socket) = $0 { socket.delegate = near }
      result = $0
    }
    loop.turn(until: { result != nil && accepted != nil })
    client = try #require(try result?.get())
    self.accepted = accepted
    try #require(accepted != nil)
  }

  func dropClient() { client = nil }
}

/// Bytes on a plain connection, for saying what no library would.
final class RawWebSocketPeer: Peer {
  var received: [UInt8] = []

  override func connectionReceived(_ connection: Connection) {
    received += connection.input.bytes
    connection.input.consume(connection.input.count)
  }

  func send(_ bytes: [UInt8]) { bytes.withUnsafeBytes { _ = connection?.write($0) } }

  /// What came behind the head.
  var frames: [RawFrame] {
    guard let end = received.indices.first(where: { received[$0...].starts(with: Array("\r\n\r\n".utf8)) })
    else { return [] }
    return RawFrame.parse(Array(received[(end + 4)...]))
  }

  var closeCode: Int? {
    guard let close = frames.first(where: { $0.first & 0x0F == 8 }) else { return nil }
    return close.payload.count < 2 ? 1005 : Int(close.payload[0]) << 8 | Int(close.payload[1])
  }

  static let key = "dGhlIHNhbXBsZSBub25jZQ=="

  static func request(_ extra: String = "") -> [UInt8] {
    Array(
      ("GET /raw HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n\(extra)\r\n").utf8)
  }

  /// A raw client of a server of ours, its upgrade granted.
  static func client(
    of server: UpgradeServer, on loop: EventLoop, extra: String = ""
  ) throws -> RawWebSocketPeer {
    let peer = RawWebSocketPeer()
    Connector.connect(
      host: "127.0.0.1", port: server.address.port, tls: nil, on: loop, timeoutNs: Nanoseconds.second
    ) { if case .success(let connection) = $0 { peer.adopt(connection) } }
    try #require(loop.turn(until: { peer.connection != nil }))
    peer.send(request(extra))
    try #require(loop.turn(until: { peer.received.contains(0x0A) && peer.hasHead }))
    return peer
  }

  var hasHead: Bool {
    received.indices.contains { received[$0...].starts(with: Array("\r\n\r\n".utf8)) }
  }
}

/// A raw server for clients of ours.
final class RawServer {
  let listener: Listener
  let peer = RawWebSocketPeer()

  /// - Parameter answer: from the request's head to what is sent back.
  init(on loop: EventLoop, answer: @escaping (String) -> [UInt8]) throws {
    let peer = peer
    var isAnswered = false
    listener = try Listener(on: loop, port: 0) { peer.adopt($0) }
    loop.atTurnEnd { [weak peer] in
      guard let peer, peer.hasHead, !isAnswered else { return }
      isAnswered = true
      peer.send(answer(String(decoding: peer.received, as: UTF8.self)))
    }
  }

  static func key(in head: String) -> String {
    String(head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }!.dropFirst(19))
  }

  static func grant(_ head: String, extra: String = "") -> [UInt8] {
    Array(
      ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Accept: \(WebSocketKey.accept(key(in: head)))\r\n\(extra)\r\n").utf8)
  }
}

/// A frame byte by byte.
struct RawFrame: Equatable {
  var first: UInt8
  var payload: [UInt8]
  var isMasked = false

  /// - Parameter lengthBytes: 0, 2 or 8 to force a form; nil for the shortest.
  static func bytes(
    _ first: UInt8, _ payload: [UInt8] = [], mask: [UInt8]? = nil, lengthBytes: Int? = nil
  ) -> [UInt8] {
    let count = payload.count
    let form = lengthBytes ?? (count < 126 ? 0 : count < 65_536 ? 2 : 8)
    let bit: UInt8 = mask == nil ? 0 : 0x80
    var bytes = [first]
    switch form {
    case 0: bytes.append(UInt8(count) | bit)
    case 2: bytes += [126 | bit, UInt8(count >> 8), UInt8(count & 255)]
    default: bytes += [127 | bit] + (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
    }
    guard let mask else { return bytes + payload }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
  }

  static func bytes(_ first: UInt8, text: String, mask: [UInt8]? = nil) -> [UInt8] {
    bytes(first, Array(text.utf8), mask: mask)
  }

  /// The whole frames at the start.
  static func parse(_ bytes: [UInt8]) -> [RawFrame] {
    var frames: [RawFrame] = []
    var at = 0
    while at + 2 <= bytes.count {
      let isMasked = bytes[at + 1] & 0x80 != 0
      var count = Int(bytes[at + 1] & 0x7F)
      var start = at + 2
      let wide = count == 126 ? 2 : count == 127 ? 8 : 0
      guard start + wide + (isMasked ? 4 : 0) <= bytes.count else { break }
      if wide > 0 { count = bytes[start..<(start + wide)].reduce(0) { $0 << 8 | Int($1) } }
      start += wide
      let mask = isMasked ? Array(bytes[start..<(start + 4)]) : [0, 0, 0, 0]
      start += isMasked ? 4 : 0
      guard start + count <= bytes.count else { break }
      let payload = bytes[start..<(start + count)].enumerated().map { $1 ^ mask[$0 % 4] }
      frames.append(RawFrame(first: bytes[at], payload: payload, isMasked: isMasked))
      at = start + count
    }
    return frames
  }
}

extension WebSocket {
  func send(_ message: Recorder.Message) -> Bool {
    message.bytes.withUnsafeBytes { message.isText ? send(text: $0) : send(binary: $0) }
  }
}
