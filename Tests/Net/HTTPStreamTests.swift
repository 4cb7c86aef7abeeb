import Core
import Glibc
import Testing

@testable import Net

/// The content of a chunked answer; nil while it isn't whole.
private func chunkedContent(_ answer: String) -> String? {
  var rest = Array(bodyOf(answer).utf8)[...]
  var content: [UInt8] = []
  while let end = rest.firstIndex(of: 0x0D) {
    guard let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16),
      rest.endIndex >= end + 4 + size
    else { return nil }
    if size == 0 { return String(decoding: content, as: UTF8.self) }
    content += rest[(end + 2)..<(end + 2 + size)]
    rest = rest[(end + 4 + size)...]
  }
  return nil
}

@Suite("HTTP streams")
struct HTTPStreamTests {
  static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

  @Test func piecesArriveAsTheyAreWritten() throws {
    var stream: HTTPBodyStream?
    let bench = try HTTPBench { _, responder in stream = responder.stream(200, type: .text) }
    let peer = bench.connect()
    peer.send(HTTPStreamTests.get)
    bench.wait { stream != nil }
    stream?.write("first")
    #expect(peer.read { $0.hasSuffix("5\r\nfirst\r\n") })
    #expect(fieldOf(peer.text, "Transfer-Encoding") == "chunked")
    stream?.write("")
    stream?.write(String(repeating: "x", count: 300))
    stream?.finish()
    #expect(stream?.isOpen == false)
    #expect(peer.read { chunkedContent($0) != nil })
    #expect(chunkedContent(peer.text) == "first" + String(repeating: "x", count: 300))
    // The connection goes on.
    peer.forget()
    peer.send(HTTPStreamTests.get)
    #expect(peer.read { $0.hasPrefix("HTTP/1.1 200") })
    stream?.finish()
  }

  @Test func oldClientsAndHeadsGetNoChunks() throws {
    let bench = try HTTPBench { request, responder in
      let length = request.path == "/known" ? 7 : nil
      let stream = responder.stream(200, length: length)
      stream.write("content")
      stream.finish()
    }
    let old = bench.exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    #expect(bodyOf(old) == "content" && fieldOf(old, "Connection") == "close")
    #expect(fieldOf(old, "Transfer-Encoding") == nil)
    let head = bench.exchange("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(bodyOf(head) == "" && fieldOf(head, "Transfer-Encoding") == "chunked")
    let known = bench.exchange("GET /known HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(bodyOf(known) == "content" && fieldOf(known, "Content-Length") == "7")
  }

  @Test func aFullStreamSaysSoAndWhenToGoOn() throws {
    var options = HTTPServerOptions()
    options.outputBytesMax = 128 << 10
    var stream: HTTPBodyStream?
    var drained = 0
    let bench = try HTTPBench(options) { _, responder in stream = responder.stream(200) }
    let peer = bench.connect(receiveBuffer: 8 << 10)
    peer.send(HTTPStreamTests.get)
    bench.wait { stream != nil }
    stream?.onDrained = { drained += 1 }
    let piece = [UInt8](repeating: 0x61, count: 10_000)
    var taken = 0
    var refusals = 0
    for _ in 0..<4000 {
      if piece.withUnsafeBytes({ stream!.write($0) }) { taken += 1 } else { refusals += 1 }
      if refusals > 3 { break }
      bench.turns(1)
    }
    #expect(refusals > 0 && drained == 0)
    #expect(stream!.waitingBytes <= options.outputBytesMax)
    bench.wait {
      peer.poll()
      return drained == 1
    }
    #expect(drained == 1)
    stream?.finish()
    #expect(peer.read { $0.hasSuffix("0\r\n\r\n") })
    #expect(chunkedContent(peer.text)?.utf8.count == taken * piece.count)
  }

  @Test func aStreamBehindAnotherAnswerWaitsItsTurn() throws {
    var first: HTTPResponder?
    var stream: HTTPBodyStream?
    var options = HTTPServerOptions()
    options.outputBytesMax = 1000
    let bench = try HTTPBench(options) { _, responder in
      if first == nil { first = responder } else { stream = responder.stream(200) }
    }
    let peer = bench.connect()
    peer.send(HTTPStreamTests.get + HTTPStreamTests.get)
    bench.wait { stream != nil }
    var drained = 0
    stream?.onDrained = { drained += 1 }
    #expect(stream!.write(String(repeating: "a", count: 500)))
    #expect(!stream!.write(String(repeating: "b", count: 600)))
    first?.respond(200, body: "first")
    #expect(bench.wait { drained == 1 })
    #expect(stream!.write("end"))
    stream?.finish()
    #expect(peer.read { $0.hasSuffix("0\r\n\r\n") })
    let text = peer.text
    let second = text[text.firstRange(of: "firstHTTP/1.1")!.lowerBound...].dropFirst(5)
    #expect(chunkedContent(String(second)) == String(repeating: "a", count: 500) + "end")
  }

  @Test func theClientsEndIsToldOnce() throws {
    var stream: HTTPBodyStream?
    var closed = 0
    let bench = try HTTPBench { _, responder in
      stream = responder.stream(200)
      stream?.onClosed = { closed += 1 }
    }
    let peer = bench.connect()
    peer.send(HTTPStreamTests.get)
    bench.wait { stream != nil }
    peer.close()
    #expect(bench.wait { closed == 1 })
    #expect(stream?.isOpen == false)
    #expect(stream?.write("to nobody") == false)
    stream?.finish()
    stream?.abort()
    bench.turns(3)
    #expect(closed == 1)
  }

  @Test func aBodyThatIsNotWholeIsNotTakenForOne() throws {
    var kept: HTTPBodyStream?
    let bench = try HTTPBench { request, responder in
      switch request.path {
      case "/dropped": responder.stream(200).write("part")
      case "/short":
        let stream = responder.stream(200, length: 10)
        stream.write("part")
        stream.finish()
      default:
        kept = responder.stream(200)
        kept?.write("part")
        kept?.abort()
      }
    }
    for path in ["dropped", "short", "aborted"] {
      let answer = bench.exchange("GET /\(path) HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(!answer.hasSuffix("0\r\n\r\n") && bodyOf(answer).utf8.count < 10, "\(path)")
    }
    bench.wait { bench.server?.connectionCount == 0 }
    #expect(bench.server?.connectionCount == 0)
  }
}

@Suite("Server-sent events")
struct EventStreamTests {
  static let get = "GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 41\r\n\r\n"

  @Test func eventsAreWrittenAsBrowsersReadThem() throws {
    var events: EventStream?
    var options = EventStreamOptions()
    options.retryMs = 2000
    let bench = try HTTPBench { _, responder in events = responder.events(options) }
    let peer = bench.connect()
    peer.send(EventStreamTests.get)
    bench.wait { events != nil }
    #expect(events?.lastEventID == "41")
    #expect(events!.send(data: "plain"))
    #expect(events!.send(id: "42", event: "tick", data: "one\ntwo\r\nthree\rfour\n"))
    #expect(events!.send(data: ""))
    #expect(!events!.send(id: "4\n2", data: "x"))
    #expect(!events!.send(event: "a\rb", data: "x"))
    #expect(!events!.send(id: "4\u{0}", data: "x"))
    events?.finish()
    #expect(peer.read { chunkedContent($0) != nil })
    #expect(fieldOf(peer.text, "Content-Type") == "text/event-stream")
    #expect(fieldOf(peer.text, "Cache-Control") == "no-store")
    #expect(
      chunkedContent(peer.text) == "retry: 2000\n\ndata: plain\n\n"
        + "id: 42\nevent: tick\ndata: one\ndata: two\ndata: three\ndata: four\ndata: \n\ndata: \n\n")
    #expect(events?.sentCount == 3)
  }

  @Test func aSilentStreamIsKeptAlive() throws {
    var events: EventStream?
    var options = EventStreamOptions()
    options.heartbeatNs = 20 * Nanoseconds.millisecond
    let bench = try HTTPBench { _, responder in events = responder.events(options) }
    let peer = bench.connect()
    peer.send(EventStreamTests.get)
    #expect(peer.read { $0.components("3\r\n:\n\n\r\n") >= 3 })
    weak let reference = events
    events = nil
    #expect(reference == nil)
    #expect(bench.wait { bench.server?.connectionCount == 0 })
  }

  @Test(arguments: [true, false])
  func aSlowReaderIsTreatedByTheRule(skips: Bool) throws {
    var events: EventStream?
    var closed = 0
    var options = EventStreamOptions()
    options.waitingBytesMax = 20_000
    options.whenSlow = skips ? .skip : .close
    let bench = try HTTPBench { _, responder in
      events = responder.events(options)
      events?.onClosed = { closed += 1 }
    }
    let peer = bench.connect(receiveBuffer: 8 << 10)
    peer.send(EventStreamTests.get)
    bench.wait { events != nil }
    let data = String(repeating: "d", count: 5000)
    var sent = 0
    while sent < 4000, events!.send(id: "\(sent)", data: data) {
      sent += 1
      #expect(events!.waitingBytes <= options.waitingBytesMax)
      bench.turns(1)
    }
    #expect(sent < 4000)
    #expect(events!.isOpen == skips)
    #expect(closed == (skips ? 0 : 1))
    #expect(events!.skippedCount == (skips ? 1 : 0))
    guard skips else { return }
    bench.wait {
      peer.poll()
      return events!.waitingBytes == 0
    }
    #expect(events!.send(id: "last", data: "back again"))
    #expect(peer.read { $0.hasSuffix("id: last\ndata: back again\n\n\r\n") })
  }
}

@Suite("Static files")
struct StaticFilesTests {
  private func serve(_ folder: TemporaryFolder) throws -> HTTPBench {
    let files = try StaticFiles(folder: folder.path)
    return try HTTPBench { files.respond($0, $1) }
  }

  private func get(_ bench: HTTPBench, _ path: String, _ fields: String = "", method: String = "GET")
    -> String
  {
    bench.exchange("\(method) \(path) HTTP/1.1\r\nHost: h\r\n\(fields)Connection: close\r\n\r\n")
  }

  @Test func filesAreServedWithTheirTypesAndTags() throws {
    let folder = TemporaryFolder()
    try folder.write("index.html", Array("<p>hello".utf8))
    try folder.write("app.js", Array("1".utf8))
    try folder.write("sub/index.html", Array("sub".utf8))
    try folder.write("empty.css", [])
    try folder.write("a b.txt", Array("spaced".utf8))
    let bench = try serve(folder)
    let index = get(bench, "/")
    #expect(statusOf(index) == 200 && bodyOf(index) == "<p>hello")
    #expect(fieldOf(index, "Content-Type") == "text/html; charset=utf-8")
    #expect(fieldOf(index, "X-Content-Type-Options") == "nosniff")
    let tag = try #require(fieldOf(index, "ETag"))
    let same = get(bench, "/index.html", "If-None-Match: \"x\", W/\(tag)\r\n")
    #expect(statusOf(same) == 304 && bodyOf(same) == "" && fieldOf(same, "ETag") == tag)
    #expect(statusOf(get(bench, "/", "If-None-Match: *\r\n")) == 304)
    #expect(statusOf(get(bench, "/", "If-None-Match: \"x\"\r\n")) == 200)
    try folder.write("index.html", Array("<p>changed".utf8))
    #expect(statusOf(get(bench, "/", "If-None-Match: \(tag)\r\n")) == 200)
    #expect(fieldOf(get(bench, "/app.js"), "Content-Type") == "text/javascript; charset=utf-8")
    #expect(bodyOf(get(bench, "/empty.css")) == "" && statusOf(get(bench, "/empty.css")) == 200)
    #expect(bodyOf(get(bench, "/a%20b.txt")) == "spaced")
    let head = get(bench, "/app.js", method: "HEAD")
    #expect(fieldOf(head, "Content-Length") == "1" && bodyOf(head) == "")
    let moved = get(bench, "/sub?x=1")
    #expect(statusOf(moved) == 308 && fieldOf(moved, "Location") == "/sub/?x=1")
    #expect(bodyOf(get(bench, "/sub/")) == "sub")
    let post = get(bench, "/", method: "POST")
    #expect(statusOf(post) == 405 && fieldOf(post, "Allow") == "GET, HEAD")
  }

  @Test func nothingOutsideTheFolderIsServed() throws {
    let outside = TemporaryFolder()
    try outside.write("secret.txt", Array("secret".utf8))
    try outside.write("public-not/secret.txt", Array("secret".utf8))
    try outside.write("public/.hidden", Array("secret".utf8))
    try outside.write("public/inside.txt", Array("inside".utf8))
    let root = outside.path + "/public"
    #expect(symlink(outside.path + "/secret.txt", root + "/link.txt") == 0)
    #expect(symlink(outside.path, root + "/up") == 0)
    #expect(symlink(outside.path + "/public-not", root + "/beside") == 0)
    #expect(symlink("inside.txt", root + "/within.txt") == 0)
    let files = try StaticFiles(folder: root)
    let bench = try HTTPBench { files.respond($0, $1) }
    let paths = [
      "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/sub/../../secret.txt", "//etc/passwd",
      "/./inside.txt", "/.hidden", "/%2ehidden", "/link.txt", "/up/secret.txt", "/beside/secret.txt",
      "/..%5csecret.txt", "/absent.txt", "/inside.txt/more", "/inside.txt//", "*",
    ]
    for path in paths {
      let answer = get(bench, path, method: path == "*" ? "OPTIONS" : "GET")
      #expect(statusOf(answer) == (path == "*" ? 405 : 404), "\(path)")
      #expect(!answer.contains("secret\""), "\(path)")
    }
    #expect(bodyOf(get(bench, "/within.txt")) == "inside")
    #expect(throws: FileError.self) { _ = try StaticFiles(folder: outside.path + "/absent") }
  }

  @Test func aLargeFileArrivesWhole() throws {
    let folder = TemporaryFolder()
    let content = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
    try folder.write("large.bin", content)
    let bench = try serve(folder)
    let peer = bench.connect(receiveBuffer: 16 << 10)
    peer.send("GET /large.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    bench.wait(60) {
      peer.poll()
      return peer.isEnded
    }
    #expect(Array(peer.received.suffix(content.count)) == content)
    let head = get(bench, "/large.bin", method: "HEAD")
    #expect(fieldOf(head, "Content-Length") == "5000000" && bodyOf(head) == "")
  }
}

@Suite("HTTP helpers")
struct HTTPHelperTests {
  @Test(
    arguments: [
      (["Authorization": "Bearer s3cret"], true), (["authorization": "bearer  s3cret "], true),
      (["Authorization": "Bearer s3cre"], false), (["Authorization": "Bearer s3crett"], false),
      (["Authorization": "Bearer S3cret"], false), (["Authorization": "Basic s3cret"], false),
      (["Authorization": "Bearer"], false), (["Authorization": "Bearer "], false), ([:], false),
      (["Authorization": "Bearer s3cret", "authorization": "Bearer s3cret"], false),
    ] as [(HTTPHeaders, Bool)])
  func theTokenAdmits(_ headers: HTTPHeaders, _ admitted: Bool) {
    #expect(BearerToken("s3cret").admits(headers) == admitted)
  }

  @Test func withoutTheTokenTheAnswerIs401() throws {
    let token = BearerToken("s3cret")
    let bench = try HTTPBench { request, responder in
      if token.check(request, responder) { responder.respond(200) }
    }
    let no = bench.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(statusOf(no) == 401 && fieldOf(no, "WWW-Authenticate") == "Bearer")
    let yes = bench.exchange(
      "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret\r\nConnection: close\r\n\r\n")
    #expect(statusOf(yes) == 200)
  }

  @Test func tagsCompareWeakly() {
    let tag = "content".utf8.withContiguousStorageIfAvailable { ETag.of(UnsafeRawBufferPointer($0)) }!
    #expect(tag.count == 34 && tag.hasPrefix("\"") && tag.hasSuffix("\""))
    #expect(ETag.matches(tag, tag) && ETag.matches("W/" + tag, tag) && ETag.matches(" \"a\" , \(tag)", tag))
    #expect(ETag.matches("*", tag) && !ETag.matches("\"a\"", tag) && !ETag.matches(nil, tag))
  }

  @Test(arguments: [
    ("a b", "a%20b"), ("é/?&=+", "%C3%A9%2F%3F%26%3D%2B"), ("A-z0._~", "A-z0._~"), ("", ""),
  ])
  func escapesGoBothWays(_ plain: String, _ escaped: String) {
    #expect(PercentCoding.encode(plain) == escaped)
    #expect(PercentCoding.decode(escaped.utf8) == plain)
  }

  @Test func datesAreWrittenAsTheRFCDoes() {
    #expect(HTTPDate.text(UnixNanos(784_111_777 * Nanoseconds.second)) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(HTTPDate.text(UnixNanos(0)) == "Thu, 01 Jan 1970 00:00:00 GMT")
  }
}
