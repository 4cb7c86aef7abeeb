import CHTTP
import CSystem
import Core
import Glibc

/// Why a message was refused, as the status a server answers with.
struct HTTPFailure: Error, Equatable {
  var status: Int
  var message: String
}

/// Splits a stream of bytes into HTTP/1.1 messages.
///
/// **Problem.** Two parties that disagree where a message ends can be played against each other: one's body
/// is the other's next request (request smuggling). Every byte that decides about the end must have one
/// meaning.
///
/// **Why the obvious answer fails.** A lenient parser is what smuggling lives on, and even llhttp in its
/// strict mode takes more than RFC 9112 allows: a line feed alone after the request line and at the end of a
/// head, folded fields, fields without a name, two spaces in the request line, requests without a version or
/// of another protocol, an empty Transfer-Encoding, codings that nobody decodes.
///
/// **Algorithm.** The head is first cut into lines that end in CR LF; whole lines go to llhttp, which checks
/// the characters and the framing fields; what it lets pass is refused by the rules in
/// `HTTPParser+Rules.swift`. A body of known length stays in the input, where the reader finds it in one
/// piece; a chunked one is gathered. The trailer section is cut into lines, too, and dropped.
///
/// Bounds: head and trailer section ``headBytesMax`` each, ``HTTPHead/fieldsMax`` fields, body
/// ``bodyBytesMax``, extensions of chunks ``extensionBytesMax`` a message.
final class HTTPParser {
  enum Kind { case request, response }

  enum Step: Equatable {
    case needMore
    /// ``head`` and ``body(in:)`` are complete; ``finishMessage(_:)`` goes on to the next one.
    case message
    case failed(HTTPFailure)
  }

  enum Phase { case start, head, body }

  enum Framing: Equatable {
    case none
    case length(Int)
    case chunked
    /// A response that ends with its connection.
    case untilEnd
  }

  static let extensionBytesMax = 1024
  static let emptyLinesMax = 8
  static let targetBytesMax = 8 << 10

  let kind: Kind
  let headBytesMax: Int
  let bodyBytesMax: Int
  private(set) var head = HTTPHead()
  private(set) var phase = Phase.start
  private(set) var framing = Framing.none
  private(set) var expectsContinue = false
  /// The answer to a HEAD request has no body, whatever its head says.
  var answersHead = false

  let parser: UnsafeMutablePointer<llhttp_t>
  let state: UnsafeMutablePointer<HTTPParserState>
  private let settings: UnsafeMutablePointer<llhttp_settings_t>
  private let gathered = ByteQueue(capacity: 0)
  /// Of the head: where the search for its next line goes on, and what llhttp has seen.
  private var lineStart = 0
  private var scanned = 0
  private var fed = 0
  private var emptyLines = 0
  /// Of a chunked body: bytes that were not content.
  private var overhead = 0
  private var inTrailer = false

  init(_ kind: Kind, headBytesMax: Int, bodyBytesMax: Int) {
    self.kind = kind
    self.headBytesMax = headBytesMax
    self.bodyBytesMax = bodyBytesMax
    parser = .allocate(capacity: 1)
    state = .allocate(capacity: 1)
    state.initialize(to: HTTPParserState(fields: head.fields))
    settings = HTTPParserState.settings
  }

  deinit {
    parser.deallocate()
    state.deallocate()
  }

  var method: String { HTTPParserState.methods[Int(state.pointee.method)] }
  var isHead: Bool { state.pointee.method == UInt8(HTTP_HEAD.rawValue) }
  var status: Int { Int(state.pointee.status) }
  var keepsAlive: Bool { state.pointee.keepsAlive }
  var isVersion10: Bool { state.pointee.minor == 0 }
  var wantsUpgrade: Bool { state.pointee.upgrade }

  /// The complete body, valid until the input changes or ``finishMessage(_:)``.
  func body(in input: ByteQueue) -> UnsafeRawBufferPointer {
    switch framing {
    case .none: input.bytes(from: 0, count: 0)
    case .length(let length): input.bytes(from: 0, count: length)
    case .chunked, .untilEnd: UnsafeRawBufferPointer(gathered.bytes)
    }
  }

  /// Takes the message off the input and begins the next one.
  func finishMessage(_ input: ByteQueue) {
    if case .length(let length) = framing { input.consume(length) }
    gathered.consume(gathered.count)
    framing = .none
    phase = .start
    emptyLines = 0
  }

  /// Goes on with what the input holds. After a failure the parser is of no more use.
  func step(_ input: ByteQueue) -> Step {
    do throws(HTTPFailure) {
      if phase == .start { try begin(input) }
      if phase == .head, try !readHead(input) { return .needMore }
      guard phase == .body else { return .needMore }
      switch framing {
      case .none: return .message
      case .length(let length): return input.count >= length ? .message : .needMore
      case .chunked: return try readChunks(input) ? .message : .needMore
      case .untilEnd:
        guard gathered.count + input.count <= bodyBytesMax else { throw HTTPFailure.bodyTooLarge }
        gathered.append(UnsafeRawBufferPointer(input.bytes))
        input.consume(input.count)
        return .needMore
      }
    } catch {
      return .failed(error)
    }
  }

  // MARK: Head

  private func begin(_ input: ByteQueue) throws(HTTPFailure) {
    // RFC 9112, 2.2: an empty line before the request line is ignored.
    while let first = input.bytes.first, first == 0x0D || first == 0x0A {
      guard first == 0x0D, input.count < 2 || input.bytes[1] == 0x0A else { throw .bareLineEnd }
      if input.count < 2 { return }
      input.consume(2)
      emptyLines += 1
      guard emptyLines <= HTTPParser.emptyLinesMax else { throw HTTPFailure(400, "too many empty lines") }
    }
    guard let first = input.bytes.first else { return }
    guard kind == .request ? HTTPText.isToken(first) : first == 0x48 else {
      throw HTTPFailure(400, "not HTTP")
    }
    if !isKnownUniquelyReferenced(&head) { head = HTTPHead() }
    llhttp_init(parser, kind == .request ? HTTP_REQUEST : HTTP_RESPONSE, settings)
    state.pointee = HTTPParserState(fields: head.fields)
    parser.pointee.data = UnsafeMutableRawPointer(state)
    lineStart = 0
    scanned = 0
    fed = 0
    overhead = 0
    inTrailer = false
    expectsContinue = false
    phase = .head
  }

  /// - Returns: whether the head is complete; it is then off the input.
  private func readHead(_ input: ByteQueue) throws(HTTPFailure) -> Bool {
    let bytes = UnsafeRawBufferPointer(input.bytes)
    let base = bytes.baseAddress!
    let bound = min(bytes.count, headBytesMax)
    var end: Int?
    while end == nil, scanned < bound, let found = memchr(base + scanned, 0x0A, bound - scanned) {
      let lineEnd = UnsafeRawPointer(found) - base
      guard lineEnd > 0, bytes[lineEnd - 1] == 0x0D else { throw .bareLineEnd }
      if lineStart == 0 {
        try checkStartLine(UnsafeRawBufferPointer(rebasing: bytes[0..<lineEnd - 1]))
      } else if lineEnd - 1 == lineStart {
        end = lineEnd + 1
      } else if bytes[lineStart] == 0x20 || bytes[lineStart] == 0x09 {
        throw .foldedField
      }
      lineStart = lineEnd + 1
      scanned = lineStart
    }
    if end == nil { scanned = bound }
    if lineStart > fed {
      let start = base.assumingMemoryBound(to: CChar.self)
      state.pointee.base = start
      let code = llhttp_execute(parser, start + fed, lineStart - fed)
      fed = lineStart
      try checkHeadResult(code)
    }
    guard let end else {
      if bytes.count >= headBytesMax { throw lineStart == 0 ? .targetTooLong : .headTooLarge }
      return false
    }
    guard state.pointee.isHeadComplete else { throw HTTPFailure(400, "the head is broken") }
    head.fieldCount = state.pointee.fieldCount
    head.target = state.pointee.target
    head.keep(UnsafeRawBufferPointer(rebasing: bytes[0..<end]))
    framing = try checkHead(&expectsContinue)
    input.consume(end)
    phase = .body
    return true
  }

  // MARK: Chunked body

  /// - Returns: whether the body is complete; it is off the input then.
  private func readChunks(_ input: ByteQueue) throws(HTTPFailure) -> Bool {
    while !input.isEmpty {
      if inTrailer { return try readTrailer(input) }
      let start = UnsafeMutableRawPointer(input.bytes.baseAddress!).assumingMemoryBound(to: CChar.self)
      // What the chunks hold is moved together at the front of the input, then appended in one go.
      state.pointee.body = start
      state.pointee.bodyRoom = bodyBytesMax - gathered.count
      let code = llhttp_execute(parser, start, input.count)
      let content = state.pointee.body - start
      var taken = input.count
      if code == HPE_PAUSED {
        taken = llhttp_get_error_pos(parser) - UnsafePointer(start)
        inTrailer = true
        llhttp_resume(parser)
      } else if code != HPE_OK {
        throw chunkFailure(code)
      }
      gathered.append(UnsafeRawBufferPointer(start: start, count: content))
      input.consume(taken)
      overhead += taken - content
      // Zeros before a chunk's size cost the sender nothing else; one byte of content a chunk costs five.
      guard overhead <= headBytesMax + 8 * gathered.count else {
        throw HTTPFailure(400, "the chunks hold next to nothing")
      }
    }
    return false
  }

  /// The last chunk is read; fields may follow, and an empty line ends the message.
  private func readTrailer(_ input: ByteQueue) throws(HTTPFailure) -> Bool {
    let bytes = UnsafeRawBufferPointer(input.bytes)
    let base = bytes.baseAddress!
    var place = 0
    while let found = memchr(base + place, 0x0A, min(bytes.count, headBytesMax) - place) {
      let lineEnd = UnsafeRawPointer(found) - base
      guard lineEnd > place, bytes[lineEnd - 1] == 0x0D else { throw .bareLineEnd }
      guard bytes[place] != 0x20, bytes[place] != 0x09 else { throw .foldedField }
      let isLast = lineEnd - 1 == place
      place = lineEnd + 1
      guard isLast else { continue }
      let start = base.assumingMemoryBound(to: CChar.self)
      state.pointee.base = start
      state.pointee.isTrailer = true
      let code = llhttp_execute(parser, start, place)
      guard code == HPE_PAUSED, llhttp_get_error_pos(parser) == start + place else {
        throw chunkFailure(code)
      }
      input.consume(place)
      return true
    }
    guard bytes.count < headBytesMax else { throw .headTooLarge }
    return false
  }
}
