import Core
import NetTestSupport
import Testing

@testable import Net

/// Frames as bytes against both ends, in the manner of the Autobahn suite: what goes in, what is delivered, and
/// the close code that comes back.
@Suite("Websocket: frames")
struct WebSocketFrameTests {
  struct Frame: Sendable {
    var first: UInt8
    var payload: [UInt8] = []
    var lengthBytes: Int?
    /// Masked although it must not be, or the other way round.
    var isMaskWrong = false

    init(_ first: UInt8, _ payload: [UInt8] = [], lengthBytes: Int? = nil, isMaskWrong: Bool = false) {
      self.first = first
      self.payload = payload
      self.lengthBytes = lengthBytes
      self.isMaskWrong = isMaskWrong
    }

    init(_ first: UInt8, _ text: String) { self.init(first, Array(text.utf8)) }

    func bytes(toServer: Bool) -> [UInt8] {
      let isMasked = toServer != isMaskWrong
      return RawFrame.bytes(
        first, payload, mask: isMasked ? [0x37, 0xFA, 0x21, 0x3D] : nil, lengthBytes: lengthBytes)
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var frames: [Frame]
    /// nil: the connection stays open.
    var code: Int?
    var messages: [String] = []
    var pongs: [String] = []
    var testDescription: String { name }
  }

  static let long = String(repeating: "*", count: 125)
  static let kosme: [UInt8] = Array("κόσμε".utf8)
  static let surrogate: [UInt8] = [0xCE, 0xBA, 0xED, 0xA0, 0x80, 0x65]

  static let cases: [Case] =
    [
      // RFC 6455, 5.7 and its relatives.
      Case(name: "hello", frames: [Frame(0x81, "Hello")], messages: ["Hello"]),
      Case(name: "fragments", frames: [Frame(0x01, "Hel"), Frame(0x80, "lo")], messages: ["Hello"]),
      Case(name: "empty text", frames: [Frame(0x81, "")], messages: [""]),
      Case(name: "three empty fragments", frames: [Frame(0x01), Frame(0x00), Frame(0x80)], messages: [""]),
      Case(
        name: "empty fragments around a word", frames: [Frame(0x01), Frame(0x00, "word"), Frame(0x80)],
        messages: ["word"]),
      Case(name: "binary", frames: [Frame(0x82, "\u{1}\u{2}")], messages: ["\u{1}\u{2}"]),
      Case(name: "length 126", frames: [Frame(0x81, long + "+")], messages: [long + "+"]),
      // Pings.
      Case(name: "empty ping", frames: [Frame(0x89)], pongs: [""]),
      Case(name: "longest ping", frames: [Frame(0x89, long)], pongs: [long]),
      Case(
        name: "ping within a message", frames: [Frame(0x01, "a"), Frame(0x89, "p"), Frame(0x80, "b")],
        messages: ["ab"], pongs: ["p"]),
      Case(
        name: "ten pings", frames: (0..<10).map { Frame(0x89, "\($0)") }, pongs: (0..<10).map { "\($0)" }),
      Case(
        name: "unsolicited pongs", frames: [Frame(0x8A), Frame(0x8A, "x"), Frame(0x81, "y")], messages: ["y"]),
      Case(name: "ping of 126", frames: [Frame(0x89, long + "+")], code: 1002),
      Case(name: "pong of 126", frames: [Frame(0x8A, long + "+")], code: 1002),
      Case(name: "fragmented ping", frames: [Frame(0x09, "a"), Frame(0x80, "b")], code: 1002),
      Case(name: "fragmented pong", frames: [Frame(0x0A, "a")], code: 1002),
      Case(name: "fragmented close", frames: [Frame(0x08)], code: 1002),
      // Reserved bits and opcodes; what came before is delivered.
      Case(
        name: "reserved bit 1", frames: [Frame(0x81, "ok"), Frame(0xC1, "x")], code: 1002, messages: ["ok"]),
      Case(name: "reserved bit 2", frames: [Frame(0xA1, "x")], code: 1002),
      Case(name: "reserved bit 3", frames: [Frame(0x91, "x")], code: 1002),
      Case(name: "all reserved bits", frames: [Frame(0xF1, "x")], code: 1002),
      Case(name: "reserved bit of a ping", frames: [Frame(0xC9, "x")], code: 1002),
      Case(name: "reserved bit of a close", frames: [Frame(0xE8, [3, 232])], code: 1002),
    ]
    + [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map {
      Case(name: "opcode \($0)", frames: [Frame(0x80 | $0, "x")], code: 1002)
    }
    + [
      // Continuation rules.
      Case(name: "continuation first", frames: [Frame(0x80, "x")], code: 1002),
      Case(name: "open continuation first", frames: [Frame(0x00, "x")], code: 1002),
      Case(
        name: "continuation after a message", frames: [Frame(0x81, "a"), Frame(0x80, "x")], code: 1002,
        messages: ["a"]),
      Case(name: "text within a text", frames: [Frame(0x01, "a"), Frame(0x81, "b")], code: 1002),
      Case(name: "binary within a text", frames: [Frame(0x01, "a"), Frame(0x02, "b")], code: 1002),
      Case(
        name: "reserved bit of a continuation", frames: [Frame(0x01, "a"), Frame(0xC0, "b")], code: 1002),
      // Masks and lengths.
      Case(name: "wrong mask", frames: [Frame(0x81, Array("x".utf8), isMaskWrong: true)], code: 1002),
      Case(name: "wrong mask of a ping", frames: [Frame(0x89, isMaskWrong: true)], code: 1002),
      Case(name: "16 bits for 5", frames: [Frame(0x81, [1, 2, 3, 4, 5], lengthBytes: 2)], code: 1002),
      Case(name: "64 bits for 5", frames: [Frame(0x81, [1, 2, 3, 4, 5], lengthBytes: 8)], code: 1002),
      Case(
        name: "64 bits for 126", frames: [Frame(0x82, [UInt8](repeating: 0, count: 126), lengthBytes: 8)],
        code: 1002),
      // UTF-8.
      Case(name: "utf-8", frames: [Frame(0x81, kosme)], messages: ["κόσμε"]),
      Case(
        name: "utf-8 cut by frames",
        frames: kosme.enumerated().map {
          Frame(($0 == 0 ? 1 : 0) | ($0 == kosme.count - 1 ? 0x80 : 0), [$1])
        }, messages: ["κόσμε"]),
      Case(
        name: "surrogate", frames: [Frame(0x81, "ok"), Frame(0x81, surrogate)], code: 1007, messages: ["ok"]),
      Case(name: "surrogate in a fragment, at once", frames: [Frame(0x01, surrogate)], code: 1007),
      Case(name: "above U+10FFFF", frames: [Frame(0x81, [0xF4, 0x90, 0x80, 0x80])], code: 1007),
      Case(name: "cut scalar at the end", frames: [Frame(0x81, [0x61, 0xE2, 0x82])], code: 1007),
      Case(
        name: "cut scalar at the end of fragments", frames: [Frame(0x01, [0xE2]), Frame(0x80, [0x82])],
        code: 1007),
      Case(name: "any bytes in binary", frames: [Frame(0x82, [0x7F])], messages: ["\u{7F}"]),
      // Close.
      Case(name: "close", frames: [Frame(0x88, [3, 232])], code: 1000),
      Case(name: "close with reason", frames: [Frame(0x88, [3, 232] + Array("bye".utf8))], code: 1000),
      Case(name: "close without code", frames: [Frame(0x88)], code: 1005),
      Case(name: "close of one byte", frames: [Frame(0x88, [3])], code: 1002),
      Case(
        name: "longest close", frames: [Frame(0x88, [3, 232] + [UInt8](repeating: 0x2A, count: 123))],
        code: 1000),
      Case(
        name: "close of 126", frames: [Frame(0x88, [3, 232] + [UInt8](repeating: 0x2A, count: 124))],
        code: 1002),
      Case(name: "close reason not utf-8", frames: [Frame(0x88, [3, 232] + surrogate)], code: 1007),
      Case(
        name: "nothing after close",
        frames: [Frame(0x88, [3, 232]), Frame(0x81, "late"), Frame(0x89, "late")],
        code: 1000),
      Case(
        name: "close within a message", frames: [Frame(0x01, "a"), Frame(0x88, [3, 233])], code: 1001),
    ]
    + [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999].map {
      Case(name: "close \($0)", frames: [Frame(0x88, [UInt8($0 >> 8), UInt8($0 & 255)])], code: $0)
    }
    + [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map {
      Case(name: "close \($0)", frames: [Frame(0x88, [UInt8($0 >> 8), UInt8($0 & 255)])], code: 1002)
    }

  @Test(arguments: cases)
  func aServerFollowsTheStandard(_ test: Case) throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    let server = try UpgradeServer(on: loop) { $0.delegate = recorder }
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    peer.send(test.frames.flatMap { $0.bytes(toServer: true) })
    if test.code != nil {
      // The server ends TCP, without waiting for the client to.
      #expect(loop.turn(until: { peer.end != nil }, milliseconds: 1500))
    }
    check(test, loop, recorder, peer)
  }

  @Test(arguments: cases)
  func aClientFollowsTheStandard(_ test: Case) throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    let server = try RawServer(on: loop) {
      // In the same segment as the head.
      RawServer.grant($0) + test.frames.flatMap { $0.bytes(toServer: false) }
    }
    WebSocket.connect("ws://127.0.0.1:\(server.listener.address.port)/", on: loop) {
      if case .success(let socket) = $0 { socket.delegate = recorder }
    }
    loop.turn(until: { server.peer.hasHead })
    check(test, loop, recorder, server.peer)
  }

  private func check(_ test: Case, _ loop: EventLoop, _ recorder: Recorder, _ peer: RawWebSocketPeer) {
    loop.turn(until: {
      recorder.messages.count >= test.messages.count && peer.frames.count >= test.pongs.count
        && (test.code == nil || peer.closeCode != nil)
    })
    #expect(recorder.messages.map { String(decoding: $0.bytes, as: UTF8.self) } == test.messages)
    let pongs = peer.frames.filter { $0.first == 0x8A }.map { String(decoding: $0.payload, as: UTF8.self) }
    #expect(pongs == test.pongs)
    #expect(recorder.pings == test.pongs.count)
    #expect(peer.closeCode == test.code)
    guard test.code != nil else { return #expect(recorder.closings.isEmpty) }
    peer.connection?.close()
    loop.turn(until: { recorder.closing != nil })
    #expect(recorder.closings.count == 1)
    #expect(recorder.closing.map { Int($0.code) } == test.code)
  }

  /// RFC 6455, 5.7: the standard's own bytes.
  @Test func theStandardsExamples() {
    #expect(RawFrame.bytes(0x81, text: "Hello") == [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
    #expect(
      RawFrame.bytes(0x81, text: "Hello", mask: [0x37, 0xFA, 0x21, 0x3D])
        == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
    #expect(RawFrame.bytes(0x82, [UInt8](repeating: 0, count: 256)).prefix(4) == [0x82, 0x7E, 0x01, 0x00])
    #expect(
      RawFrame.bytes(0x82, [UInt8](repeating: 0, count: 65_536)).prefix(10)
        == [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])
  }

  /// A whole conversation in two pieces, cut at every byte.
  @Test func inputMayBeCutAnywhere() throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    let server = try UpgradeServer(on: loop) { $0.delegate = recorder }
    let mask: [UInt8] = [1, 0x80, 3, 0xFF]
    let long = String(repeating: "é", count: 80)
    let stream =
      RawFrame.bytes(0x81, text: "one", mask: mask) + RawFrame.bytes(0x01, text: "tw", mask: mask)
      + RawFrame.bytes(0x89, text: "ping", mask: mask) + RawFrame.bytes(0x80, text: "o", mask: mask)
      + RawFrame.bytes(0x82, Array(long.utf8), mask: mask) + RawFrame.bytes(0x81, text: long, mask: mask)
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    for cut in 0...stream.count {
      recorder.messages = []
      peer.send(Array(stream[..<cut]))
      loop.turn(waitNs: 0)
      loop.turn(waitNs: 0)
      peer.send(Array(stream[cut...]))
      loop.turn(until: { recorder.messages.count == 4 })
      #expect(
        recorder.messages == [.text("one"), .text("two"), .binary(Array(long.utf8)), .text(long)],
        "cut at \(cut)")
    }
    #expect(recorder.pings == stream.count + 1)
  }

  /// Every split of a message into three fragments, with a ping between them.
  @Test func aMessageMayBeFragmentedAnywhere() throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    let server = try UpgradeServer(on: loop) { $0.delegate = recorder }
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    let text = Array("aé€🦀z".utf8)
    let mask: [UInt8] = [9, 8, 7, 6]
    var sent = 0
    for one in 0...text.count {
      for two in one...text.count {
        peer.send(RawFrame.bytes(0x01, Array(text[..<one]), mask: mask))
        peer.send(RawFrame.bytes(0x89, [], mask: mask))
        peer.send(RawFrame.bytes(0x00, Array(text[one..<two]), mask: mask))
        peer.send(RawFrame.bytes(0x80, Array(text[two...]), mask: mask))
        sent += 1
      }
    }
    loop.turn(until: { recorder.messages.count == sent })
    #expect(recorder.messages.count == sent)
    #expect(recorder.messages.allSatisfy { $0 == .text("aé€🦀z") })
    #expect(recorder.closings.isEmpty)
  }

  // MARK: Sizes

  @Test func aMessageThatIsTooLargeIsRefusedByItsHeader() throws {
    try expectTooLarge { options in
      options.messageBytesMax = 1000
      return [RawFrame.bytes(0x82, [UInt8](repeating: 0, count: 1001), mask: [0, 0, 0, 0])[..<8]]
    }
    // Fragments count together.
    try expectTooLarge { options in
      options.messageBytesMax = 1000
      let half = RawFrame.bytes(0x02, [UInt8](repeating: 0, count: 600), mask: [0, 0, 0, 0])
      let rest = RawFrame.bytes(0x80, [UInt8](repeating: 0, count: 401), mask: [0, 0, 0, 0])
      return [half[...], rest[..<8]]
    }
    try expectTooLarge { options in
      options.frameBytesMax = 99
      return [RawFrame.bytes(0x82, [UInt8](repeating: 0, count: 100), mask: [0, 0, 0, 0])[..<6]]
    }
    // 2^62 bytes.
    try expectTooLarge { _ in [[0x82, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]] }
  }

  private func expectTooLarge(_ make: (inout WebSocketOptions) -> [ArraySlice<UInt8>]) throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    var options = WebSocketOptions()
    let pieces = make(&options)
    let server = try UpgradeServer(on: loop, options: options) { $0.delegate = recorder }
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    for piece in pieces { peer.send(Array(piece)) }
    loop.turn(until: { peer.closeCode != nil })
    #expect(peer.closeCode == 1009)
    loop.turn(until: { recorder.closing != nil })
    guard case .tooLarge = recorder.closing?.error else {
      Issue.record("\(recorder.closings)")
      return
    }
  }

  /// 2^63: no length at all.
  @Test func aNegativeLengthIsAProtocolError() throws {
    let loop = try EventLoop()
    let server = try UpgradeServer(on: loop) { _ in }
    let peer = try RawWebSocketPeer.client(of: server, on: loop)
    peer.send([0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])
    loop.turn(until: { peer.closeCode != nil })
    #expect(peer.closeCode == 1002)
  }

  /// Random bytes never trap or hang, and never make a socket that is neither open nor closed.
  @Test(arguments: 0..<40)
  func noise(_ seed: Int) throws {
    let loop = try EventLoop()
    var random = SeededRandom(seed: UInt64(seed))
    let recorder = Recorder()
    let server = try UpgradeServer(on: loop, options: WebSocketOptions(deflate: true)) {
      $0.delegate = recorder
    }
    let peer = try RawWebSocketPeer.client(
      of: server, on: loop, extra: "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    for _ in 0..<50 {
      // Mostly possible frames, with a byte changed here and there.
      var bytes = RawFrame.bytes(
        [0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8A, 0xC1, 0x41, 0x88][random.below(10)],
        (0..<random.below(300)).map { _ in UInt8(random.below(128)) }, mask: [1, 2, 3, 4])
      if random.bernoulli(0.1) { bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
      peer.send(bytes)
    }
    peer.connection?.close()
    #expect(loop.turn(until: { recorder.closing != nil }), "seed \(seed)")
  }
}
