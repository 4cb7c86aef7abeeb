import Core
import NetTestSupport
import Testing

@testable import Net

@Suite("Websocket: permessage-deflate")
struct WebSocketDeflateTests {
  // MARK: Negotiation

  struct Offer: Sendable, CustomTestStringConvertible {
    var offer: String
    /// nil: declined.
    var answer: String?
    var bits = 15
    var keepsContext = true
    var testDescription: String { offer }
  }

  static let name = "permessage-deflate"

  @Test(arguments: [
    Offer(offer: "", answer: nil), Offer(offer: name, answer: name),
    Offer(offer: "x-webkit-deflate-frame", answer: nil),
    Offer(offer: "\(name); server_no_context_takeover", answer: "\(name); server_no_context_takeover"),
    Offer(offer: "\(name); client_no_context_takeover", answer: "\(name); client_no_context_takeover"),
    Offer(offer: "\(name); client_max_window_bits", answer: name),
    Offer(offer: "\(name); client_max_window_bits=10", answer: "\(name); client_max_window_bits=10"),
    Offer(offer: "\(name); client_max_window_bits=8", answer: "\(name); client_max_window_bits=8"),
    Offer(offer: "\(name); server_max_window_bits=10", answer: "\(name); server_max_window_bits=10"),
    Offer(offer: "\(name); server_max_window_bits=\"12\"", answer: "\(name); server_max_window_bits=12"),
    Offer(offer: "\(name);server_max_window_bits = 15", answer: "\(name); server_max_window_bits=15"),
    // zlib cannot make a raw window of 256 bytes: the next offer is taken.
    Offer(offer: "\(name); server_max_window_bits=8", answer: nil),
    Offer(offer: "\(name); server_max_window_bits=8, \(name)", answer: name),
    Offer(offer: "\(name); server_max_window_bits=16", answer: nil),
    Offer(offer: "\(name); server_max_window_bits=7", answer: nil),
    Offer(offer: "\(name); server_max_window_bits=010", answer: nil),
    Offer(offer: "\(name); server_max_window_bits", answer: nil),
    Offer(offer: "\(name); server_max_window_bits=+9", answer: nil),
    Offer(offer: "\(name); client_max_window_bits=x", answer: nil),
    Offer(offer: "\(name); server_no_context_takeover=1", answer: nil),
    Offer(offer: "\(name); unknown", answer: nil), Offer(offer: "\(name); unknown, \(name)", answer: name),
    Offer(offer: "\(name); client_max_window_bits; client_max_window_bits", answer: nil),
    // The server's own wishes.
    Offer(offer: name, answer: "\(name); server_max_window_bits=10", bits: 10),
    Offer(
      offer: "\(name); client_max_window_bits",
      answer: "\(name); server_max_window_bits=10; client_max_window_bits=10", bits: 10),
    Offer(
      offer: "\(name); client_max_window_bits=9; server_max_window_bits=9",
      answer: "\(name); server_max_window_bits=9; client_max_window_bits=9", bits: 10),
    Offer(
      offer: name, answer: "\(name); server_no_context_takeover; client_no_context_takeover",
      keepsContext: false),
  ])
  func aServerAnswersAnOffer(_ test: Offer) throws {
    let loop = try EventLoop()
    var options = WebSocketOptions(deflate: true)
    options.deflateWindowBits = test.bits
    options.deflateKeepsContext = test.keepsContext
    var isDeflated: Bool?
    let server = try UpgradeServer(on: loop, options: options) { isDeflated = $0.isDeflated }
    let peer = try RawWebSocketPeer.client(
      of: server, on: loop, extra: test.offer.isEmpty ? "" : "Sec-WebSocket-Extensions: \(test.offer)\r\n")
    let head = String(decoding: peer.received, as: UTF8.self)
    let answer = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Extensions: ") }
    #expect(answer.map { String($0.dropFirst(26)) } == test.answer)
    #expect(isDeflated == (test.answer != nil))
  }

  struct Answer: Sendable, CustomTestStringConvertible {
    var answer: String
    var isTaken: Bool
    var bits = 15
    var keepsContext = true
    var testDescription: String { answer }
  }

  @Test(arguments: [
    Answer(answer: name, isTaken: true), Answer(answer: "", isTaken: true),
    Answer(answer: "\(name); server_no_context_takeover; client_no_context_takeover", isTaken: true),
    Answer(answer: "\(name); server_max_window_bits=8; client_max_window_bits=8", isTaken: true),
    Answer(answer: "\(name); server_max_window_bits=15; client_max_window_bits=9", isTaken: true),
    Answer(answer: "\(name), \(name)", isTaken: false), Answer(answer: "other", isTaken: false),
    Answer(answer: "\(name), other", isTaken: false), Answer(answer: "\(name); other", isTaken: false),
    Answer(answer: "\(name); client_max_window_bits", isTaken: false),
    Answer(answer: "\(name); server_max_window_bits", isTaken: false),
    Answer(answer: "\(name); server_max_window_bits=16", isTaken: false),
    Answer(answer: "\(name); client_max_window_bits=7", isTaken: false),
    Answer(answer: "\(name); server_no_context_takeover=true", isTaken: false),
    Answer(answer: "\(name); server_no_context_takeover; server_no_context_takeover", isTaken: false),
    Answer(answer: "\(name);;", isTaken: false),
    // What was asked for must be granted.
    Answer(answer: name, isTaken: false, bits: 10),
    Answer(answer: "\(name); server_max_window_bits=11", isTaken: false, bits: 10),
    Answer(answer: "\(name); server_max_window_bits=10", isTaken: true, bits: 10),
    Answer(answer: name, isTaken: false, keepsContext: false),
    Answer(answer: "\(name); server_no_context_takeover", isTaken: true, keepsContext: false),
  ])
  func aClientChecksTheAnswer(_ test: Answer) throws {
    let loop = try EventLoop()
    let server = try RawServer(on: loop) {
      RawServer.grant($0, extra: test.answer.isEmpty ? "" : "Sec-WebSocket-Extensions: \(test.answer)\r\n")
    }
    var options = WebSocketOptions(deflate: true)
    options.deflateWindowBits = test.bits
    options.deflateKeepsContext = test.keepsContext
    var result: Result<WebSocket, NetError>?
    WebSocket.connect("ws://127.0.0.1:\(server.listener.address.port)/", options: options, on: loop) {
      result = $0
    }
    loop.turn(until: { result != nil })
    switch result {
    case .success(let socket):
      #expect(test.isTaken)
      #expect(socket.isDeflated == !test.answer.isEmpty)
    case .failure(.protocol): #expect(!test.isTaken)
    default: Issue.record("\(String(describing: result))")
    }
  }

  // MARK: The standard's examples (RFC 7692, 7.2.3)

  struct Example: Sendable, CustomTestStringConvertible {
    var name: String
    var frames: [(UInt8, [UInt8])]
    var messages: [String]
    var testDescription: String { name }
  }

  @Test(arguments: [
    Example(
      name: "one block", frames: [(0xC1, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])], messages: ["Hello"]),
    Example(
      name: "fragments", frames: [(0x41, [0xF2, 0x48, 0xCD]), (0x80, [0xC9, 0xC9, 0x07, 0x00])],
      messages: ["Hello"]),
    Example(
      name: "shared window",
      frames: [
        (0xC1, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]), (0xC1, [0xF2, 0x00, 0x11, 0x00, 0x00]),
      ], messages: ["Hello", "Hello"]),
    Example(
      name: "stored block",
      frames: [(0xC1, [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00])],
      messages: ["Hello"]),
    Example(
      name: "final block", frames: [(0xC1, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00])],
      messages: ["Hello"]),
    Example(
      name: "final block, then the shared window",
      frames: [
        (0xC1, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]), (0xC1, [0xF2, 0x00, 0x11, 0x00, 0x00]),
      ], messages: ["Hello", "Hello"]),
    Example(
      name: "two blocks",
      frames: [(0xC1, [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00])],
      messages: ["Hello"]),
    Example(name: "empty", frames: [(0xC1, [0x00])], messages: [""]),
    Example(name: "empty, no bytes at all", frames: [(0xC1, [])], messages: [""]),
    Example(
      name: "compressed and not",
      frames: [
        (0xC1, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]), (0x81, Array("plain".utf8)),
        (0xC1, [0xF2, 0x00, 0x11, 0x00, 0x00]),
      ], messages: ["Hello", "plain", "Hello"]),
  ])
  func theStandardsExamples(_ example: Example) throws {
    let (loop, recorder, peer, server) = try deflatingServer()
    for (first, payload) in example.frames { peer.send(RawFrame.bytes(first, payload, mask: [1, 2, 3, 4])) }
    loop.turn(until: { recorder.messages.count == example.messages.count })
    #expect(recorder.messages == example.messages.map { .text($0) })
    #expect(recorder.closings.isEmpty)
    server.listener.stop()
  }

  @Test(
    arguments: [
      ([(0xC1, [0xFF, 0xFF, 0xFF, 0xFF])], 1007), ([(0x41, [0x07]), (0x80, [0xFF])], 1007),
      // A text whose content is no UTF-8: a stored block of FF.
      ([(0xC1, [0x00, 0x01, 0x00, 0xFE, 0xFF, 0xFF, 0x00])], 1007),
      // The bit belongs to a message's first frame only.
      ([(0x41, [0xF2, 0x48]), (0xC0, [0xCD])], 1002), ([(0xC9, [])], 1002),
    ] as [([(UInt8, [UInt8])], Int)])
  func damageIsRefused(_ frames: [(UInt8, [UInt8])], _ code: Int) throws {
    let (loop, recorder, peer, server) = try deflatingServer()
    for (first, payload) in frames { peer.send(RawFrame.bytes(first, payload, mask: [1, 2, 3, 4])) }
    loop.turn(until: { peer.closeCode != nil })
    #expect(peer.closeCode == code)
    #expect(recorder.messages.isEmpty)
    server.listener.stop()
  }

  /// 16 MiB of zeros in 16 KiB: stops at the bound, in one frame and in many.
  @Test(arguments: [1, 50])
  func aBombStopsAtTheBound(_ pieces: Int) throws {
    var options = WebSocketOptions(deflate: true)
    options.messageBytesMax = 1 << 20
    let (loop, recorder, peer, server) = try deflatingServer(options)
    let bomb = ByteQueue()
    let deflater = MessageDeflater(level: 9, windowBits: 15, keepsContext: true)
    [UInt8](repeating: 0, count: 16 << 20).withUnsafeBytes { deflater.append($0, to: bomb) }
    let bytes = Array(bomb.bytes)
    #expect(bytes.count < 100_000)
    let step = bytes.count / pieces + 1
    for start in stride(from: 0, to: bytes.count, by: step) {
      let isLast = start + step >= bytes.count
      peer.send(
        RawFrame.bytes(
          (start == 0 ? 0x42 : 0) | (isLast ? 0x80 : 0), Array(bytes[start..<min(start + step, bytes.count)]),
          mask: [1, 2, 3, 4]))
    }
    loop.turn(until: { peer.closeCode != nil })
    #expect(peer.closeCode == 1009)
    #expect(recorder.messages.isEmpty)
    server.listener.stop()
  }

  @Test func aMessageOfExactlyTheBoundPasses() {
    let text = [UInt8](repeating: 7, count: 100_000)
    for bytesMax in [99_999, 100_000, 100_001] {
      let compressed = ByteQueue()
      let deflater = MessageDeflater(level: 1, windowBits: 15, keepsContext: true)
      text.withUnsafeBytes { deflater.append($0, to: compressed) }
      let inflater = MessageInflater(windowBits: 15, keepsContext: true)
      let result = ByteQueue()
      let outcome = inflater.append(
        UnsafeRawBufferPointer(compressed.bytes), isLast: true, to: result, bytesMax: bytesMax)
      #expect(outcome == (bytesMax < text.count ? .tooLarge : .complete))
      #expect(result.count <= bytesMax + 1)
    }
  }

  // MARK: Both ends ours

  struct Setting: Sendable, CustomTestStringConvertible {
    var clientBits = 15
    var serverBits = 15
    var clientKeeps = true
    var serverKeeps = true
    var level: Int32 = 1
    var testDescription: String {
      "client \(clientBits) \(clientKeeps), server \(serverBits) \(serverKeeps), level \(level)"
    }
  }

  @Test(arguments: [
    Setting(), Setting(level: 9), Setting(clientBits: 9), Setting(serverBits: 9),
    Setting(clientBits: 9, serverBits: 12),
    Setting(clientKeeps: false), Setting(serverKeeps: false),
    Setting(clientBits: 10, serverKeeps: false, level: 6),
  ])
  func messagesSurviveTheWay(_ setting: Setting) throws {
    let loop = try EventLoop()
    var client = WebSocketOptions(deflate: true)
    client.deflateWindowBits = setting.clientBits
    client.deflateKeepsContext = setting.clientKeeps
    client.deflateLevel = setting.level
    var server = client
    server.deflateWindowBits = setting.serverBits
    server.deflateKeepsContext = setting.serverKeeps
    let pair = try SocketPair(loop, client: client, server: server)
    #expect(pair.client.isDeflated)
    #expect(pair.accepted?.isDeflated == true)
    let seed: UInt64 = 11
    var random = SeededRandom(seed: seed)
    var sent: [Recorder.Message] = []
    for index in 0..<80 {
      let length = [0, 1, 63, 64, 65, 390, 4000, 70_000][random.below(8)]
      // From all the same byte to noise; longer than any window.
      let mask: UInt64 = ((1 << UInt64(random.below(8))) - 1) * 0x0101_0101_0101_0101
      var bytes: [UInt8] = []
      while bytes.count < length {
        withUnsafeBytes(of: random.next() & mask) { bytes.append(contentsOf: $0) }
      }
      bytes.removeLast(bytes.count - length)
      let message = Recorder.Message(isText: index % 2 == 0, bytes: bytes)
      sent.append(message)
      #expect(pair.client.send(message))
      #expect(pair.accepted?.send(message) == true)
    }
    loop.turn(until: { pair.near.messages.count == sent.count && pair.far.messages.count == sent.count })
    #expect(pair.near.messages == sent, "seed \(seed)")
    #expect(pair.far.messages == sent, "seed \(seed)")
    #expect(pair.near.closings.isEmpty)
    #expect(pair.far.closings.isEmpty)
  }

  /// RFC 7692 asks for a smaller window than zlib has: messages go uncompressed, as they may.
  @Test func aClientThatCannotMakeTheWindowSendsPlainly() throws {
    let loop = try EventLoop()
    let server = try RawServer(on: loop) {
      RawServer.grant($0, extra: "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=8\r\n")
    }
    let text = String(repeating: "again ", count: 100)
    WebSocket.connect(
      "ws://127.0.0.1:\(server.listener.address.port)/", options: WebSocketOptions(deflate: true), on: loop
    ) { if case .success(let socket) = $0 { socket.send(text: text) } }
    loop.turn(until: { server.peer.received.count > 600 + 150 })
    let head = String(decoding: server.peer.received, as: UTF8.self).components(after: "\r\n\r\n")
    #expect(!head.isEmpty)
    let end = server.peer.received.indices.first {
      server.peer.received[$0...].starts(with: Array("\r\n\r\n".utf8))
    }!
    let frames = RawFrame.parse(Array(server.peer.received[(end + 4)...]))
    #expect(frames == [RawFrame(first: 0x81, payload: Array(text.utf8), isMasked: true)])
  }

  private func deflatingServer(
    _ options: WebSocketOptions = WebSocketOptions(deflate: true)
  ) throws -> (EventLoop, Recorder, RawWebSocketPeer, UpgradeServer) {
    let loop = try EventLoop()
    let recorder = Recorder()
    let server = try UpgradeServer(on: loop, options: options) { $0.delegate = recorder }
    let peer = try RawWebSocketPeer.client(
      of: server, on: loop, extra: "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    return (loop, recorder, peer, server)
  }
}
