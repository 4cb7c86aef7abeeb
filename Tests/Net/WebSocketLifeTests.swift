import Core
import Glibc
import NetTestSupport
import Testing

@testable import Net

@Suite("Websocket: life")
struct WebSocketLifeTests {
  // MARK: Messages both ways

  @Test(arguments: [false, true])
  func bothSidesTalk(_ isSecure: Bool) throws {
    let loop = try EventLoop()
    let pair = try SocketPair(loop, certificates: isSecure ? TestCertificates() : nil)
    #expect(pair.client.isSecure == isSecure)
    pair.far.received = { $0.send(text: "answer") }
    #expect(pair.client.send(text: "question κόσμε"))
    loop.turn(until: { pair.near.messages.count == 1 })
    #expect(pair.far.messages == [.text("question κόσμε")])
    #expect(pair.near.messages == [.text("answer")])
    pair.client.ping()
    loop.turn(until: { pair.near.pongs == 1 })
    #expect(pair.near.pongs == 1)
    #expect(pair.far.pings == 1)
    pair.client.close(code: 4001, reason: "done")
    loop.turn(until: { pair.near.closing != nil && pair.far.closing != nil })
    #expect(pair.far.closings == [.init(code: 4001, reason: "done", error: nil)])
    #expect(pair.near.closings == [.init(code: 4001, reason: "", error: nil)])
    #expect(!pair.client.isOpen)
    #expect(!pair.client.send(text: "late"))
    #expect(!pair.client.ping())
  }

  /// A message of the largest size, compressed and not.
  @Test(arguments: [false, true])
  func largeMessages(_ deflates: Bool) throws {
    let loop = try EventLoop()
    let options = WebSocketOptions(deflate: deflates)
    let pair = try SocketPair(loop, client: options, server: options)
    let large = [UInt8](repeating: 0x7A, count: options.messageBytesMax)
    var lengths: [Int] = []
    pair.far.received = { _ in
      lengths.append(pair.far.messages[0].bytes.count)
      #expect(pair.far.messages[0].bytes.withUnsafeBytes { memcmp($0.baseAddress!, large, large.count) } == 0)
      pair.far.messages = []
    }
    #expect(large.withUnsafeBytes { pair.client.send(text: $0) })
    if !deflates {
      #expect(!pair.client.send(text: "no room for more"))
      loop.turn(until: { pair.near.drains == 1 })
      #expect(pair.near.drains == 1)
    }
    loop.turn(until: { lengths.count == 1 })
    #expect(lengths == [large.count])
    #expect(large.withUnsafeBytes { pair.client.send(binary: $0) })
    loop.turn(until: { lengths.count == 2 })
    #expect(lengths == [large.count, large.count])
    // The memory is given back.
    loop.turn(until: { pair.client.bufferedBytes == 0 })
    #expect(pair.accepted?.connection.input.roomLeft ?? .max <= 1 << 20)
  }

  // MARK: Backpressure

  @Test func aFullOutputTakesNothingAndSaysWhenThereIsRoom() throws {
    let loop = try EventLoop()
    var options = WebSocketOptions()
    options.outputBytesMax = 1 << 20
    let pair = try SocketPair(loop, server: options)
    pair.client.pauseReading()
    let socket = try #require(pair.accepted)
    let message = Recorder.Message(isText: false, bytes: [UInt8](repeating: 1, count: 64 << 10))
    let taken = stall(socket, loop, message)
    #expect(socket.bufferedBytes <= (1 << 20) + 5000)
    #expect(socket.bufferedBytes > (1 << 20) - (64 << 10))
    #expect(pair.near.messages.isEmpty)
    let drains = pair.far.drains
    pair.client.resumeReading()
    loop.turn(until: { pair.near.messages.count == taken })
    #expect(pair.far.drains == drains + 1)
    #expect(pair.near.messages.count == taken, "nothing is lost")
  }

  /// Sends until neither the socket nor the kernel takes any more.
  private func stall(_ socket: WebSocket, _ loop: EventLoop, _ message: Recorder.Message) -> Int {
    var taken = 0
    var idleTurns = 0
    while idleTurns < 20 {
      idleTurns += 1
      while socket.send(message) {
        taken += 1
        idleTurns = 0
      }
      loop.turn(waitNs: 5 * Nanoseconds.millisecond)
    }
    return taken
  }

  /// Pings of a peer that doesn't read: the pong that finds no room is kept, the latest one only.
  @Test func pongsThatFindNoRoomWait() throws {
    let loop = try EventLoop()
    var options = WebSocketOptions()
    options.outputBytesMax = 1 << 20
    let pair = try SocketPair(loop, server: options)
    let socket = try #require(pair.accepted)
    pair.client.pauseReading()
    for length in [300 << 10, 1000, 0] {
      let message = Recorder.Message(isText: false, bytes: [UInt8](repeating: 1, count: length))
      _ = stall(socket, loop, message)
    }
    for _ in 0..<100 { [1, 2, 3].withUnsafeBytes { _ = pair.client.ping($0) } }
    loop.turn(until: { pair.far.pings == 100 })
    pair.client.resumeReading()
    // Behind all that waited.
    loop.turn(until: { pair.near.pongs == 1 })
    socket.send(text: "after")
    loop.turn(until: { pair.near.messages.last == .text("after") })
    #expect(pair.near.pongs == 1)
  }

  // MARK: Pausing

  /// A batch of ten messages in one segment: the delegate takes one at a time.
  @Test(arguments: [false, true])
  func aPauseWithinABatchHoldsTheRest(_ isSecure: Bool) throws {
    let loop = try EventLoop()
    let pair = try SocketPair(loop, certificates: isSecure ? TestCertificates() : nil)
    pair.near.received = { $0.pauseReading() }
    let socket = try #require(pair.accepted)
    for index in 0..<10 { socket.send(text: "\(index)") }
    // The end comes along with the messages, and must not overtake them.
    socket.close()
    for count in 1...10 {
      loop.turn(until: { pair.near.messages.count == count })
      loop.turn(milliseconds: 10)
      #expect(pair.near.messages.count == count)
      #expect(pair.near.closings.isEmpty)
      pair.client.resumeReading()
    }
    loop.turn(until: { pair.near.closing != nil })
    #expect(pair.near.messages == (0..<10).map { .text("\($0)") })
    #expect(pair.near.closings == [.init(code: 1000, reason: "", error: nil)])
  }

  @Test func closingAPausedSocketStillEndsInOrder() throws {
    let loop = try EventLoop()
    let pair = try SocketPair(loop)
    pair.near.received = { $0.pauseReading() }
    let socket = try #require(pair.accepted)
    for index in 0..<100 { socket.send(text: "\(index)") }
    loop.turn(until: { !pair.near.messages.isEmpty })
    pair.client.close()
    loop.turn(until: { pair.near.closing != nil && pair.far.closing != nil })
    #expect(pair.near.messages.count == 1, "nothing is delivered after close()")
    #expect(pair.near.closing == .init(code: 1000, reason: "", error: nil))
    #expect(pair.far.closing == .init(code: 1000, reason: "", error: nil))
  }

  // MARK: Ending in the middle

  enum Ending: CaseIterable, Sendable { case close, abort, reset, forget }

  /// The delegate ends the socket while it is handed the second of ten messages.
  @Test(arguments: Ending.allCases, [false, true])
  func aDelegateMayEndTheSocketInACall(_ ending: Ending, _ isSecure: Bool) throws {
    let loop = try EventLoop()
    let pair = try SocketPair(loop, certificates: isSecure ? TestCertificates() : nil)
    let server = try #require(pair.accepted)
    weak let client = pair.client
    pair.near.received = { socket in
      guard pair.near.messages.count == 2 else { return }
      pair.dropClient()
      switch ending {
      case .close: socket.close()
      case .abort: socket.abort()
      case .reset: socket.reset()
      case .forget: socket.delegate = nil
      }
    }
    for index in 0..<10 { server.send(text: "\(index)") }
    if ending == .forget {
      loop.turn(milliseconds: 50)
      #expect(client?.isOpen == true, "an open socket keeps itself")
      client?.abort()
    }
    loop.turn(until: { pair.far.closing != nil })
    #expect(pair.near.messages.count == 2)
    switch ending {
    case .close:
      loop.turn(until: { pair.near.closing != nil })
      #expect(pair.near.closings == [.init(code: 1000, reason: "", error: nil)])
      #expect(pair.far.closings == [.init(code: 1000, reason: "", error: nil)])
    case .abort, .reset:
      #expect(pair.near.closings == [.init(code: 1006, reason: "", error: .cancelled)])
      #expect(pair.far.closing?.code == 1006)
      #expect(pair.far.closing?.error != nil)
    case .forget: #expect(pair.near.closings.isEmpty)
    }
    #expect(client == nil)
  }

  @Test func aChangedDelegateGetsTheRestOfTheBatch() throws {
    let loop = try EventLoop()
    let pair = try SocketPair(loop)
    let other = Recorder()
    pair.near.received = { if pair.near.messages.count == 3 { $0.delegate = other } }
    let server = try #require(pair.accepted)
    for index in 0..<10 { server.send(text: "\(index)") }
    loop.turn(until: { other.messages.count == 7 })
    #expect(pair.near.messages.count == 3)
    #expect(other.messages == (3..<10).map { .text("\($0)") })
  }

  // MARK: Closing

  @Test func aPeerThatNeverAnswersACloseIsGivenUp() throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    var options = WebSocketOptions()
    options.closeTimeoutNs = 100 * Nanoseconds.millisecond
    var socket: WebSocket?
    let server = try UpgradeServer(on: loop, options: options) {
      $0.delegate = recorder
      socket = $0
    }
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    socket?.close(reason: "enough")
    loop.turn(until: { recorder.closing != nil })
    guard case .timeout = recorder.closing?.error else {
      Issue.record("\(recorder.closings)")
      return
    }
    #expect(recorder.closing?.code == 1006)
    #expect(peer.frames.last == RawFrame(first: 0x88, payload: [3, 232] + Array("enough".utf8)))
  }

  @Test func aReasonIsCutBetweenScalars() throws {
    let loop = try EventLoop()
    let pair = try SocketPair(loop)
    pair.client.close(code: 3000, reason: String(repeating: "€", count: 100))
    loop.turn(until: { pair.far.closing != nil })
    #expect(pair.far.closing == .init(code: 3000, reason: String(repeating: "€", count: 41), error: nil))
  }

  @Test func bothSidesMayCloseAtOnce() throws {
    let loop = try EventLoop()
    let pair = try SocketPair(loop)
    pair.client.close(code: 4001)
    pair.accepted?.close(code: 4002)
    loop.turn(until: { pair.near.closing != nil && pair.far.closing != nil })
    #expect(pair.near.closings == [.init(code: 4002, reason: "", error: nil)])
    #expect(pair.far.closings == [.init(code: 4001, reason: "", error: nil)])
  }

  @Test func anEndWithoutACloseFrameIsAbnormal() throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    let server = try UpgradeServer(on: loop) { $0.delegate = recorder }
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    peer.send(RawFrame.bytes(0x01, text: "half a mess", mask: [1, 2, 3, 4]))
    peer.connection?.close()
    loop.turn(until: { recorder.closing != nil })
    #expect(recorder.closings == [.init(code: 1006, reason: "", error: .closed)])
    #expect(recorder.messages.isEmpty)
  }

  // MARK: Pings

  @Test func aSilentPeerIsGivenUp() throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    var options = WebSocketOptions()
    options.pingIntervalNs = 50 * Nanoseconds.millisecond
    options.pongTimeoutNs = 100 * Nanoseconds.millisecond
    let server = try UpgradeServer(on: loop, options: options) { $0.delegate = recorder }
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    loop.turn(until: { recorder.closing != nil })
    guard case .timeout = recorder.closing?.error else {
      Issue.record("\(recorder.closings)")
      return
    }
    #expect(peer.frames.contains(RawFrame(first: 0x89, payload: [])))
  }

  @Test func aPeerThatAnswersStays() throws {
    let loop = try EventLoop()
    var options = WebSocketOptions()
    options.pingIntervalNs = 50 * Nanoseconds.millisecond
    options.pongTimeoutNs = 100 * Nanoseconds.millisecond
    let pair = try SocketPair(loop, server: options)
    loop.turn(until: { pair.far.pongs >= 4 })
    #expect(pair.far.pongs >= 4)
    #expect(pair.near.pings >= 4)
    #expect(pair.far.closings.isEmpty)
    // A pause is no silence of the peer's.
    pair.accepted?.pauseReading()
    loop.turn(milliseconds: 600)
    #expect(pair.far.closings.isEmpty)
    pair.accepted?.resumeReading()
    let pongs = pair.far.pongs
    loop.turn(until: { pair.far.pongs > pongs })
    #expect(pair.far.pongs > pongs)
  }

  // MARK: Lifetimes

  @Test func nothingOutlivesItsLoop() throws {
    weak var client: WebSocket?
    weak var server: WebSocket?
    weak var connection: Connection?
    let near: Recorder
    let far: Recorder
    do {
      let loop = try EventLoop()
      let pair = try SocketPair(loop)
      client = pair.client
      server = pair.accepted
      connection = pair.client.connection
      near = pair.near
      far = pair.far
      #expect(client != nil && server != nil && connection != nil)
    }
    #expect(client == nil)
    #expect(server == nil)
    #expect(connection == nil)
    #expect(near.closings == [.init(code: 1006, reason: "", error: .cancelled)])
    #expect(far.closings == [.init(code: 1006, reason: "", error: .cancelled)])
  }

  @Test func aSocketThatIsHeldIsHarmlessAfterItsLoop() throws {
    var socket: WebSocket?
    do {
      let loop = try EventLoop()
      socket = try SocketPair(loop).client
    }
    let held = try #require(socket)
    #expect(!held.isOpen)
    #expect(!held.send(text: "x"))
    #expect(!held.ping())
    held.pauseReading()
    held.resumeReading()
    held.close()
    held.abort()
    held.reset()
  }

  @Test func aHandshakeUnderWayEndsWithItsLoop() throws {
    var answers: [NetError] = []
    do {
      let loop = try EventLoop()
      let server = try RawServer(on: loop) { _ in [] }
      WebSocket.connect("ws://127.0.0.1:\(server.listener.address.port)/", on: loop) {
        if case .failure(let error) = $0 { answers.append(error) }
      }
      loop.turn(until: { server.peer.hasHead })
    }
    #expect(answers == [.cancelled])
  }

  // MARK: TLS

  @Test func aCertificateForAnotherNameIsRefused() throws {
    try expectRefusal(of: TestCertificates().tls(names: "DNS:elsewhere.example"), saying: "hostname mismatch")
    try expectRefusal(
      of: TestCertificates().tls(names: "DNS:localhost"), host: "127.0.0.1", saying: "IP address mismatch")
  }

  @Test func anExpiredCertificateIsRefused() throws {
    try expectRefusal(of: TestCertificates().tls(seconds: -7200 ... -60), saying: "expired")
    try expectRefusal(of: TestCertificates().tls(seconds: 3600...7200), saying: "not yet valid")
  }

  @Test func anUnknownAuthorityIsRefused() throws {
    let (server, _) = try TestCertificates().tls()
    let (_, client) = try TestCertificates().tls()
    try expectRefusal(of: (server, client), saying: "certificate")
    try expectRefusal(of: (server, nil), saying: "certificate")
  }

  /// - Parameter client: nil for the system's authorities.
  private func expectRefusal(
    of tls: (server: TLSContext, client: TLSContext?), host: String = "localhost", saying words: String
  ) throws {
    let loop = try EventLoop()
    let server = try UpgradeServer(on: loop, tls: tls.server) { _ in Issue.record("accepted") }
    var result: Result<WebSocket, NetError>?
    WebSocket.connect("wss://\(host):\(server.address.port)/", tls: tls.client, on: loop) { result = $0 }
    loop.turn(until: { result != nil })
    guard case .failure(.tls(_, let reason)) = result else {
      Issue.record("\(String(describing: result))")
      return
    }
    #expect(reason.contains(words))
  }
}

extension TestCertificates {
  /// Both sides' contexts; they need the files no more.
  func tls(
    names: String = "DNS:localhost,IP:127.0.0.1", seconds: ClosedRange<Int> = -3600...86_400
  ) throws -> (server: TLSContext, client: TLSContext?) {
    let pair = pair(names: names, seconds: seconds)
    return (
      try TLSContext(certificate: pair.certificate, key: pair.key), try TLSContext(trusting: authority)
    )
  }
}
