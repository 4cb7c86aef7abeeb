import Core
import NetTestSupport
import Testing

@testable import Net

@Suite("Websocket: handshake")
struct WebSocketHandshakeTests {
  /// RFC 6455, 1.3.
  @Test func theAcceptKeyIsTheStandards() {
    #expect(WebSocketKey.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    #expect(WebSocketKey.isValid(WebSocketKey.random()))
    #expect(WebSocketKey.random() != WebSocketKey.random())
  }

  @Test(arguments: [
    "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQAA",
    "not base64 at all!!!!!==",
    "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZSB0b28gbG9uZw==",
  ])
  func aBadKeyIsRefused(_ key: String) { #expect(!WebSocketKey.isValid(key)) }

  @Test(
    arguments: [
      ("ws://host", "host", 80, "/", "host"), ("WS://h:81/a?b=c", "h", 81, "/a?b=c", "h:81"),
      (
        "wss://fstream.example.com/ws?streams=a/b", "fstream.example.com", 443, "/ws?streams=a/b",
        "fstream.example.com"
      ),
      ("ws://h?q", "h", 80, "/?q", "h"), ("ws://[::1]:9/x", "::1", 9, "/x", "[::1]:9"),
      ("ws://[::1]", "::1", 80, "/", "[::1]"),
    ] as [(String, String, UInt16, String, String)])
  func addresses(_ text: String, _ host: String, _ port: UInt16, _ target: String, _ authority: String) {
    let url = WebSocketURL(text)
    #expect(url?.host == host)
    #expect(url?.port == port)
    #expect(url?.target == target)
    #expect(url?.authority == authority)
  }

  @Test(arguments: [
    "", "ws", "ws:", "ws:/", "ws://", "http://h", "ws://h:0", "ws://h:65536", "ws://h:+1", "ws://h:x",
    "ws://u@h/",
    "ws://h/#f", "ws://h/a b", "ws://h/\r\nX: y", "ws://[::1", "ws://[::1]x", "ws://hé/", "ws://:80/",
  ])
  func badAddressesAreRefused(_ text: String) throws {
    #expect(WebSocketURL(text) == nil)
    let loop = try EventLoop()
    var answers: [NetError] = []
    WebSocket.connect(text, on: loop) { if case .failure(let error) = $0 { answers.append(error) } }
    #expect(answers.isEmpty, "not before the next turn")
    loop.turn(until: { !answers.isEmpty })
    #expect(answers == [.badURL(text)])
  }

  // MARK: Server

  struct Refusal: Sendable, CustomTestStringConvertible {
    var request: String
    var status: Int
    var testDescription: String { "\(status): \(request.split(separator: "\r\n").joined(separator: "|"))" }
  }

  static let good =
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

  static func changed(_ from: String, _ to: String, _ status: Int) -> Refusal {
    var lines = good.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
    for index in lines.indices where lines[index].hasPrefix(from) { lines[index] = to }
    return Refusal(
      request: lines.dropLast(2).filter { !$0.isEmpty }.joined(separator: "\r\n") + "\r\n\r\n", status: status
    )
  }

  @Test(arguments: [
    changed("Nothing", "", 101), changed("GET", "POST / HTTP/1.1", 405),
    changed("Upgrade", "Upgrade: h2c", 426),
    changed("Upgrade", "", 426), changed("Connection", "Connection: keep-alive", 426),
    changed("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8", 426),
    changed("Sec-WebSocket-Version", "", 426),
    changed("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8", 426),
    changed("Sec-WebSocket-Key", "", 400),
    changed("Sec-WebSocket-Key", "Sec-WebSocket-Key: short", 400),
    changed("Host", "Host: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", 400),
    changed("Host", "Host: h\r\nContent-Length: 3", 400),
    changed("Host", "Host: h\r\nTransfer-Encoding: chunked", 400),
    changed("Host", "Host: h\r\nSec-WebSocket-Extensions: a;=b", 400),
    changed("Host", "Host: h\r\nSec-WebSocket-Extensions: ,, unknown; x=1 ,", 101),
    changed("Upgrade", "upgrade: WebSocket", 101),
  ])
  func aServerGrantsOrRefuses(_ refusal: Refusal) throws {
    let loop = try EventLoop()
    var opened = 0
    let server = try UpgradeServer(on: loop) { _ in opened += 1 }
    let peer = RawWebSocketPeer()
    Connector.connect(
      host: "127.0.0.1", port: server.address.port, tls: nil, on: loop, timeoutNs: Nanoseconds.second
    ) { if case .success(let connection) = $0 { peer.adopt(connection) } }
    loop.turn(until: { peer.connection != nil })
    peer.send(Array(refusal.request.utf8))
    loop.turn(until: { peer.hasHead && (refusal.status == 101 || peer.end != nil) })
    let head = String(decoding: peer.received, as: UTF8.self)
    #expect(head.hasPrefix("HTTP/1.1 \(refusal.status) "))
    #expect(opened == (refusal.status == 101 ? 1 : 0))
    if refusal.status == 426 { #expect(head.contains("Upgrade: websocket\r\n")) }
    if refusal.status != 101 {
      let body = head.components(after: "\r\n\r\n")
      #expect(head.contains("Content-Length: \(body.utf8.count)\r\n"))
      #expect(body.hasPrefix("{\"error\":\""))
    }
  }

  @Test func bothSidesSeeTheHandshake() throws {
    let loop = try EventLoop()
    var options = WebSocketOptions()
    options.subprotocols = ["v2", "v1"]
    let pair = try SocketPair(loop, client: options, server: options)
    #expect(pair.client.subprotocol == "v2")
    #expect(pair.accepted?.subprotocol == "v2")
    #expect(pair.accepted?.target == "/feed?x=1")
    #expect(pair.client.target == "/feed?x=1")
    #expect(pair.accepted?.handshakeHeaders["Host"] == "localhost:\(pair.server.address.port)")
    #expect(pair.client.handshakeHeaders["Upgrade"] == "websocket")
    #expect(pair.accepted?.isServer == true)
    #expect(!pair.client.isServer)
  }

  // MARK: Client

  struct Answer: Sendable, CustomTestStringConvertible {
    var name: String
    var fields: String
    var wrongAccept = false
    var testDescription: String { name }
  }

  @Test(arguments: [
    Answer(name: "no upgrade", fields: "Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"),
    Answer(
      name: "another upgrade",
      fields: "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"),
    Answer(name: "no connection", fields: "Upgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n"),
    Answer(name: "no accept", fields: "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
    Answer(
      name: "wrong accept",
      fields:
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
    Answer(
      name: "two accepts",
      fields:
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Accept: ACCEPT\r\n"
    ),
    Answer(
      name: "unexpected extension",
      fields: "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"
        + "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    Answer(
      name: "unexpected subprotocol",
      fields:
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: x\r\n"
    ),
    Answer(name: "obsolete folding", fields: "Upgrade: websocket\r\n  folded\r\nConnection: Upgrade\r\n"),
    Answer(name: "no header", fields: "nonsense\r\n"),
  ])
  func aClientRefusesWhatDoesNotFit(_ answer: Answer) throws {
    let error = try connect { head in
      let accept = WebSocketKey.accept(RawServer.key(in: head))
      let fields = answer.fields.split(separator: "ACCEPT", omittingEmptySubsequences: false).joined(
        separator: accept)
      return Array("HTTP/1.1 101 Switching Protocols\r\n\(fields)\r\n".utf8)
    }
    guard case .protocol = error else {
      Issue.record("\(error.map { "\($0)" } ?? "accepted")")
      return
    }
  }

  @Test(arguments: [
    ("HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\ngo away", 403, "go away"),
    (
      "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n4\r\n now\r\n0\r\n\r\n", 503,
      "not now"
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
    ("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 429 Slow\r\nContent-Length: 1\r\n\r\n!", 429, "!"),
    (
      "HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\nContent-Length: 0\r\n\r\n", 302,
      "it redirects to ws://elsewhere/; connect there if you trust it"
    ),
    (
      "HTTP/1.1 500 Broken\r\nContent-Length: 100000\r\n\r\n" + String(repeating: "x", count: 2000), 500,
      String(repeating: "x", count: 512)
    ),
  ])
  func aRefusalCarriesTheStatus(_ response: String, _ status: Int, _ text: String) throws {
    let error = try connect { _ in Array(response.utf8) }
    guard case .upgradeRefused(_, let found, let body) = error else {
      Issue.record("\(error.map { "\($0)" } ?? "accepted")")
      return
    }
    #expect(found == status)
    #expect(body == text)
  }

  @Test func anEndlessHeadIsCut() throws {
    let error = try connect { _ in
      Array(("HTTP/1.1 101 X\r\nA: " + String(repeating: "y", count: 40_000)).utf8)
    }
    guard case .tooLarge(_, UpgradeResponse.headBytesMax) = error else {
      Issue.record("\(error.map { "\($0)" } ?? "accepted")")
      return
    }
  }

  @Test(arguments: ["", "HTTP/1.1 101 Swit"])
  func aSlowServerIsGivenUp(_ beginning: String) throws {
    let error = try connect(timeoutMs: 150) { _ in Array(beginning.utf8) }
    guard case .timeout = error else {
      Issue.record("\(error.map { "\($0)" } ?? "accepted")")
      return
    }
  }

  @Test func notHTTPAtAll() throws {
    let error = try connect { _ in Array("SSH-2.0-OpenSSH\r\n\r\n".utf8) }
    guard case .protocol = error else {
      Issue.record("\(error.map { "\($0)" } ?? "accepted")")
      return
    }
  }

  @Test(arguments: [
    ("Bad Name", "x"), ("X", "a\r\nB: c"), ("X", "a\0"), ("", "x"), ("host", "x"), ("Upgrade", "x"),
  ])
  func aHeaderThatCannotBeSentIsRefused(_ name: String, _ value: String) throws {
    let loop = try EventLoop()
    var error: NetError?
    WebSocket.connect("ws://127.0.0.1:1/", headers: [name: value], on: loop) {
      if case .failure(let failure) = $0 { error = failure }
    }
    loop.turn(until: { error != nil })
    #expect(error == .badHeader(name))
  }

  /// The head of the answer and two messages in one stream, cut at every byte.
  @Test func theAnswerMayComeInTwoPiecesCutAnywhere() throws {
    let loop = try EventLoop()
    let frames = RawFrame.bytes(0x81, text: "first") + RawFrame.bytes(0x81, text: "second")
    var length = 0
    var cut = 0
    repeat {
      var rest: [UInt8] = []
      let server = try RawServer(on: loop) { head in
        let all = RawServer.grant(head, extra: "X-Token: 1\r\n") + frames
        length = all.count
        rest = Array(all[cut...])
        return Array(all[..<cut])
      }
      let recorder = Recorder()
      var socket: WebSocket?
      WebSocket.connect(
        "ws://127.0.0.1:\(server.listener.address.port)/", headers: ["X-Own": "yes"], on: loop
      ) {
        socket = try? $0.get()
        socket?.delegate = recorder
      }
      loop.turn(until: { length > 0 && server.peer.hasHead })
      loop.turn(waitNs: 0)
      loop.turn(waitNs: 0)
      server.peer.send(rest)
      loop.turn(until: { recorder.messages.count == 2 })
      #expect(recorder.messages == [.text("first"), .text("second")], "cut at \(cut)")
      #expect(String(decoding: server.peer.received, as: UTF8.self).contains("\r\nX-Own: yes\r\n"))
      socket?.abort()
      server.listener.stop()
      cut += 1
    } while cut < length
  }

  private func connect(
    timeoutMs: Int64 = 5000, answer: @escaping (String) -> [UInt8]
  ) throws -> NetError? {
    let loop = try EventLoop()
    let server = try RawServer(on: loop, answer: answer)
    var options = WebSocketOptions()
    options.handshakeTimeoutNs = timeoutMs * Nanoseconds.millisecond
    var result: Result<WebSocket, NetError>?
    WebSocket.connect("ws://127.0.0.1:\(server.listener.address.port)/", options: options, on: loop) {
      result = $0
    }
    loop.turn(until: { result != nil })
    loop.turn(until: { server.peer.end != nil })
    #expect(server.peer.end != nil, "the connection is ended")
    guard case .failure(let error) = result else { return nil }
    return error
  }
}

extension String {
  /// What comes behind the first occurrence.
  func components(after separator: String) -> String {
    var rest = self[...]
    while !rest.isEmpty, !rest.hasPrefix(separator) { rest.removeFirst() }
    return String(rest.dropFirst(separator.count))
  }
}
