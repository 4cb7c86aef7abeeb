import Core
import Testing

@testable import Net

/// Answers with what the request said.
private func mirror(_ request: HTTPRequest, _ responder: HTTPResponder) {
  responder.respond(
    200, headers: ["X-Method": request.method, "X-Path": request.path],
    body: String(decoding: request.body, as: UTF8.self))
}

@Suite("HTTP server")
struct HTTPServerTests {
  @Test func aRequestReachesItsHandlerWhole() throws {
    var seen: (String, String, String?, String?, String?, Int)?
    let bench = try HTTPBench { request, responder in
      seen = (
        request.target, request.path, request.query, request.queryValue("b c"), request.value("x-note"),
        request.headers.fields.count
      )
      responder.respond(200, body: "seen by \(request.method)")
    }
    let answer = bench.exchange(
      "GET /a%20b/%C3%A9?x=1&b+c=%2Fd+e HTTP/1.1\r\nHost: h\r\nX-Note:  spaced out \t\r\n"
        + "Connection: close\r\n\r\n")
    #expect(statusOf(answer) == 200)
    #expect(bodyOf(answer) == "seen by GET")
    #expect(fieldOf(answer, "Content-Length") == "11")
    #expect(fieldOf(answer, "Connection") == "close")
    #expect(fieldOf(answer, "Content-Type") == "text/plain; charset=utf-8")
    #expect(fieldOf(answer, "Date")?.hasSuffix(" GMT") == true)
    #expect(seen?.0 == "/a%20b/%C3%A9?x=1&b+c=%2Fd+e")
    #expect(seen?.1 == "/a b/é")
    #expect(seen?.2 == "x=1&b+c=%2Fd+e")
    #expect(seen?.3 == "/d e")
    #expect(seen?.4 == "spaced out")
    #expect(seen?.5 == 3)
  }

  static let messages: [String] = [
    "GET /one HTTP/1.1\r\nHost: h\r\n\r\n",
    "\r\n\r\nPOST /two?q HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
    "POST /three HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: h\r\n\r\n5;a=\"b c\";d\r\nhello\r\n"
      + "00006\r\n world\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
    "PUT http://host:80/four HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
    "HEAD /five HTTP/1.1\r\nHost:\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n",
  ]

  /// All messages in one stream, cut in two at every place: the same answers each time.
  @Test func aStreamMayBeCutAnywhere() throws {
    let bench = try HTTPBench(handler: mirror)
    let stream = Array(HTTPServerTests.messages.joined().utf8)
    let paths = ["/one", "/two", "/three", "/four", "/five", "*"]
    let bodies = ["", "hello world", "hello world", "", "", ""]
    for cut in 0...stream.count {
      let peer = bench.connect()
      peer.send(Array(stream[..<cut]))
      bench.turns(2)
      peer.send(Array(stream[cut...]))
      peer.read { $0.components("HTTP/1.1 200 OK") == paths.count && $0.hasSuffix("\r\n\r\n") }
      let answers = splitAnswers(peer.text)
      #expect(answers.map { fieldOf($0, "X-Path") } == paths, "cut at \(cut)")
      #expect(answers.map { bodyOf($0) } == bodies, "cut at \(cut)")
    }
  }

  @Test func aStreamMayComeByteByByte() throws {
    let bench = try HTTPBench(handler: mirror)
    let peer = bench.connect()
    for byte in HTTPServerTests.messages.joined().utf8 {
      peer.send([byte])
      bench.turns(1)
    }
    peer.read { $0.components("HTTP/1.1 200 OK") == 6 && $0.hasSuffix("\r\n\r\n") }
    #expect(
      splitAnswers(peer.text).map { fieldOf($0, "X-Method") } == [
        "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS",
      ])
    #expect(bench.server?.requestCount == 6)
  }

  @Test func lateAnswersKeepTheOrderOfTheRequests() throws {
    var responders: [HTTPResponder] = []
    let bench = try HTTPBench { _, responder in responders.append(responder) }
    let peer = bench.connect()
    peer.send((0..<5).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }.joined())
    bench.wait { responders.count == 5 }
    for index in [3, 1, 4, 0, 2] {
      responders[index].respond(200, body: "answer \(index)")
      bench.turns(2)
    }
    peer.read { $0.hasSuffix("answer 4") }
    #expect(splitAnswers(peer.text).map { bodyOf($0) } == (0..<5).map { "answer \($0)" })
  }

  @Test func noMoreIsReadWhileTooManyRequestsAreOpen() throws {
    var responders: [HTTPResponder] = []
    var options = HTTPServerOptions()
    options.pipelineMax = 4
    let bench = try HTTPBench(options) { _, responder in responders.append(responder) }
    let peer = bench.connect()
    peer.send((0..<10).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }.joined())
    bench.turns(20)
    #expect(responders.count == 4)
    responders[1].respond(200, body: "1")
    bench.turns(5)
    // The first still holds the line.
    #expect(responders.count == 4)
    responders[0].respond(200, body: "0")
    bench.wait { responders.count == 6 }
    for index in 2..<6 { responders[index].respond(200, body: "\(index)") }
    bench.wait { responders.count == 10 }
    for index in 6..<10 { responders[index].respond(200, body: "\(index)") }
    peer.read { $0.hasSuffix("\r\n\r\n9") }
    #expect(splitAnswers(peer.text).map { bodyOf($0) } == (0..<10).map { "\($0)" })
  }

  @Test func aClientThatDoesNotReadIsNotServedFurther() throws {
    var options = HTTPServerOptions()
    options.outputBytesMax = 64 << 10
    let content = [UInt8](repeating: 0x78, count: 32 << 10)
    let bench = try HTTPBench(options) { _, responder in responder.respond(200, body: content) }
    let peer = bench.connect(receiveBuffer: 8 << 10)
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    let count = 500
    peer.send(String(repeating: request, count: count))
    bench.turns(100)
    let before = bench.server!.requestCount
    // What the sockets' buffers take, and little more.
    #expect(before < count / 2)
    bench.turns(100)
    #expect(bench.server!.requestCount == before)
    bench.wait(60) {
      peer.poll()
      return peer.received.count > count * content.count
    }
    #expect(bench.server!.requestCount == count)
  }

  @Test func oldClientsGetOneAnswerUnlessTheyAskForMore() throws {
    let bench = try HTTPBench(handler: mirror)
    let one = bench.exchange("GET / HTTP/1.0\r\n\r\nGET /more HTTP/1.0\r\n\r\n")
    #expect(one.components("HTTP/1.1 200") == 1)
    #expect(fieldOf(one, "Connection") == "close")
    let two = bench.exchange("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n")
    #expect(splitAnswers(two).map { fieldOf($0, "Connection") } == ["keep-alive", "close"])
  }

  @Test func aBodyIsAskedForOnce() throws {
    let bench = try HTTPBench(handler: mirror)
    let peer = bench.connect()
    peer.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    #expect(peer.read { $0 == "HTTP/1.1 100 Continue\r\n\r\n" })
    peer.forget()
    peer.send("o")
    bench.turns(3)
    peer.send("k")
    #expect(peer.read { statusOf($0) == 200 && $0.hasSuffix("ok") })
    #expect(!peer.text.contains("100 Continue"))
    #expect(
      statusOf(
        bench.exchange("POST / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\nContent-Length: 2\r\n\r\n")) == 417)
    // Too large: refused instead of asked for.
    #expect(
      statusOf(
        bench.exchange(
          "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")) == 413)
  }

  @Test func aBodyIsAskedForOnlyAfterTheAnswersBefore() throws {
    var first: HTTPResponder?
    let bench = try HTTPBench { request, responder in
      if request.path == "/first" { first = responder } else { mirror(request, responder) }
    }
    let peer = bench.connect()
    peer.send(
      "GET /first HTTP/1.1\r\nHost: h\r\n\r\n"
        + "POST /second HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    bench.wait { first != nil }
    bench.turns(5)
    peer.poll()
    #expect(peer.text == "")
    first?.respond(200, body: "first")
    #expect(peer.read { $0.hasSuffix("firstHTTP/1.1 100 Continue\r\n\r\n") })
    peer.send("ok")
    #expect(peer.read { $0.hasSuffix("\r\n\r\nok") })
  }

  @Test func contentIsLeftOutWhereThereIsNone() throws {
    let bench = try HTTPBench { request, responder in
      switch request.path {
      case "/204": responder.respond(204, body: "nothing")
      case "/304": responder.respond(304, headers: ["ETag": "\"1\""])
      case "/closure": responder.respond(200, type: .json) { $0.append("{\"a\":1}") }
      default: responder.respond(200, body: "content")
      }
    }
    let head = bench.exchange("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(fieldOf(head, "Content-Length") == "7" && bodyOf(head) == "")
    let headOfClosure = bench.exchange("HEAD /closure HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(fieldOf(headOfClosure, "Content-Length") == "7" && bodyOf(headOfClosure) == "")
    let closure = bench.exchange("GET /closure HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(fieldOf(closure, "Content-Length") == "7" && bodyOf(closure) == "{\"a\":1}")
    for status in [204, 304] {
      let answer = bench.exchange("GET /\(status) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
      #expect(statusOf(answer) == status && bodyOf(answer) == "" && fieldOf(answer, "Content-Length") == nil)
    }
  }

  @Test func fieldsThatWouldSplitTheAnswerAreNotSent() throws {
    let evil = ["a\r\nSet-Cookie: x", "a\nb", "a\u{0}b", "a\rb"]
    let bench = try HTTPBench { request, responder in
      let value = evil[Int(request.path.dropFirst())!]
      #expect(!responder.respond(200, headers: ["X-Echo": value], body: "fine"))
    }
    for index in evil.indices {
      let answer = bench.exchange("GET /\(index) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
      #expect(statusOf(answer) == 500)
      #expect(!answer.contains("Set-Cookie"))
    }
  }

  @Test func framingIsTheServersToWrite() throws {
    let bench = try HTTPBench { _, responder in
      responder.respond(
        200, headers: ["Content-Length": "999", "Transfer-Encoding": "chunked", "Connection": "close"],
        body: "four")
    }
    let answer = bench.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(fieldOf(answer, "Content-Length") == "4")
    #expect(fieldOf(answer, "Transfer-Encoding") == nil)
    #expect(fieldOf(answer, "Connection") == "close")
  }

  @Test func aConnectionCanBeDroppedOrReset() throws {
    let bench = try HTTPBench { request, responder in
      if request.path == "/abort" { responder.abort() } else { responder.reset() }
    }
    let one = bench.connect()
    one.send("GET /abort HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(one.readToEnd() == "" && !one.wasReset)
    let two = bench.connect()
    two.send("GET /reset HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(two.readToEnd() == "" && two.wasReset)
    #expect(bench.server?.connectionCount == 0)
  }

  @Test func aConnectionCanBeTakenWithWhatFollows() throws {
    var taken: Connection?
    let bench = try HTTPBench { request, responder in
      guard request.path == "/upgrade" else { return mirror(request, responder) }
      taken = responder.takeConnection()
      #expect(taken != nil)
    }
    let peer = bench.connect()
    peer.send(
      "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /upgrade HTTP/1.1\r\nHost: h\r\nUpgrade: other\r\n"
        + "Connection: Upgrade\r\n\r\nbytes of the other protocol")
    bench.wait { taken != nil }
    let connection = try #require(taken)
    #expect(String(decoding: connection.input.bytes, as: UTF8.self) == "bytes of the other protocol")
    #expect(bench.server?.connectionCount == 0)
    let echo = Echo()
    echo.adopt(connection)
    echo.connectionReceived(connection)
    #expect(peer.read { $0.hasSuffix("bytes of the other protocol") })
    bench.server = nil
    peer.send(" and more")
    #expect(peer.read { $0.hasSuffix("protocol and more") })
  }

  @Test func anUpgradeWaitsForTheAnswersBefore() throws {
    var first: HTTPResponder?
    var taken: Connection?
    let bench = try HTTPBench { request, responder in
      if request.path == "/first" { first = responder } else { taken = responder.takeConnection() }
    }
    let peer = bench.connect()
    peer.send(
      "GET /first HTTP/1.1\r\nHost: h\r\n\r\n"
        + "GET /up HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nrest")
    bench.wait { first != nil }
    bench.turns(5)
    #expect(bench.server?.requestCount == 1)
    first?.respond(200)
    #expect(bench.wait { taken != nil })
    #expect(taken.map { String(decoding: $0.input.bytes, as: UTF8.self) } == "rest")
  }

  @Test func aRequestIsValidAfterItsHandler() throws {
    var kept: [(HTTPRequest, HTTPResponder)] = []
    let bench = try HTTPBench { kept.append(($0, $1)) }
    let peer = bench.connect()
    peer.send("GET /1?a=b HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n")
    bench.wait { kept.count == 2 }
    #expect(kept[0].0.path == "/1" && kept[0].0.queryValue("a") == "b" && kept[0].0.headers["x"] == nil)
    #expect(kept[1].0.path == "/2" && kept[1].0.headers["x"] == "y")
  }
}

extension String {
  /// How often a text occurs.
  func components(_ part: String) -> Int {
    var count = 0
    var rest = self[...]
    while let range = rest.firstRange(of: part) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
