import Core
import Testing

@testable import Net

@Suite("HTTP client")
struct HTTPClientTests {
  typealias Answer = Result<HTTPResponse, NetError>

  private static func mirror(_ request: HTTPRequest, _ responder: HTTPResponder) {
    responder.respond(
      200, headers: ["X-Target": request.target, "X-Agent": request.value("user-agent") ?? ""],
      body: request.method + " " + String(decoding: request.body, as: UTF8.self))
  }

  private func ask(
    _ bench: HTTPBench, _ client: HTTPClient, _ method: String, _ url: String, body: String = ""
  )
    -> Answer?
  {
    var result: Answer?
    client.request(method, url, body: Array(body.utf8)) { result = $0 }
    bench.wait { result != nil }
    return result
  }

  @Test func requestsAndAnswersArriveWhole() throws {
    let bench = try HTTPBench(handler: HTTPClientTests.mirror)
    let client = HTTPClient(on: bench.loop)
    let answer = try ask(bench, client, "POST", bench.base + "/a?b=c", body: "content")!.get()
    #expect(answer.status == 200 && answer.text == "POST content")
    #expect(answer.headers["x-target"] == "/a?b=c" && answer.headers["x-agent"] == "weir")
    answer.withBody { bytes in
      #expect(bytes.count == 12)
      // Readable, not trusted.
      _ = bytes.baseAddress!.load(fromByteOffset: bytes.count + 120, as: UInt8.self)
    }
    let again = try ask(bench, client, "GET", bench.base)!.get()
    #expect(again.headers["X-Target"] == "/" && again.text == "GET ")
    #expect(client.connectionCount == 1)
    let large = String(repeating: "0123456789", count: 100_000)
    #expect(try ask(bench, client, "PUT", bench.base + "/l", body: large)!.get().bodyCount == 1_000_004)
  }

  @Test func connectionsAreSharedUpToTheirNumber() throws {
    var open: [HTTPResponder] = []
    var options = HTTPClientOptions()
    options.connectionsPerHostMax = 3
    options.waitingMax = 5
    let bench = try HTTPBench { open.append($1) }
    options.baseURL = bench.base + "/base"
    let client = HTTPClient(on: bench.loop, options: options)
    var answers: [Answer] = []
    for index in 0..<6 { client.request("GET", "/\(index)") { answers.append($0) } }
    bench.wait { open.count == 3 }
    #expect(client.connectionCount == 3 && client.waitingCount == 2)
    #expect(answers.count == 1, "one too many to wait")
    while answers.count < 6, !open.isEmpty {
      open.removeFirst().respond(200, body: "x")
      bench.wait(0.5) { !open.isEmpty || answers.count == 6 }
    }
    #expect(answers.count { (try? $0.get()) != nil } == 5)
    #expect(client.connectionCount == 3)
    #expect(bench.server?.requestCount == 5)
  }

  /// Raw servers that answer each connection with the given bytes, and then close or not.
  private final class Script: Peer {
    let answer: String
    let closes: Bool
    var requests = 0
    init(_ answer: String, closes: Bool) {
      self.answer = answer
      self.closes = closes
    }
    override func connectionReceived(_ connection: Connection) {
      connection.input.consume(connection.input.count)
      requests += 1
      connection.output.append(answer)
      connection.wrote()
      if closes { connection.close() }
    }
  }

  private func scripted(_ answer: String, closes: Bool, method: String = "GET") throws -> Answer? {
    let bench = try HTTPBench { _, _ in }
    var scripts: [Script] = []
    let listener = try Listener(on: bench.loop, port: 0) {
      let script = Script(answer, closes: closes)
      scripts.append(script)
      script.adopt($0)
    }
    var options = HTTPClientOptions()
    options.requestTimeoutNs = Nanoseconds.second
    options.bodyBytesMax = 1000
    options.headBytesMax = 1000
    let client = HTTPClient(on: bench.loop, options: options)
    return ask(bench, client, method, "http://127.0.0.1:\(listener.address.port)/")
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x\r\nk\r\n0\r\nA: b\r\n\r\n", false),
    ("HTTP/1.1 200 OK\r\n\r\nok", true), ("HTTP/1.0 200 OK\r\n\r\nok", true),
    (
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false
    ),
    ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", false),
  ])
  func allFramingsAreUnderstood(_ bytes: String, _ closes: Bool) throws {
    #expect(try scripted(bytes, closes: closes)?.get().text == "ok")
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", true, "ended early"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", true, "ended early"),
    ("HTTP/1.1 200 OK\r\nContent-", true, "ended early"),
    ("", true, "closed the connection"),
    (
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, "protocol"
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", false, "protocol"),
    ("HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", false, "protocol"),
    ("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, "protocol"),
    ("SSH-2.0-OpenSSH\r\n", false, "protocol"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", false, "larger than 1000"),
    ("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 1001), true, "larger than 1000"),
    ("HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 1001), false, "larger than 1000"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", false, "took too long"),
  ])
  func brokenAnswersAreErrors(_ bytes: String, _ closes: Bool, _ reason: String) throws {
    guard case .failure(let error)? = try scripted(bytes, closes: closes) else {
      Issue.record("no error")
      return
    }
    #expect("\(error)".contains(reason))
  }

  @Test func anAnswerWithoutContentEndsWithItsHead() throws {
    for (bytes, method) in [
      ("HTTP/1.1 204 No Content\r\n\r\n", "GET"),
      ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD"),
    ] {
      let answer = try scripted(bytes, closes: false, method: method)?.get()
      #expect(answer?.bodyCount == 0)
    }
  }

  @Test func onlyHarmlessRequestsAreSentTwice() throws {
    for (method, succeeds) in [("GET", true), ("PUT", true), ("POST", false), ("PATCH", false)] {
      // The server drops the second request it gets on a connection.
      var perPeer: [String: Int] = [:]
      let bench = try HTTPBench { request, responder in
        perPeer[request.peer, default: 0] += 1
        if perPeer[request.peer] == 2 { responder.abort() } else { responder.respond(200, body: "ok") }
      }
      let client = HTTPClient(on: bench.loop)
      #expect(try ask(bench, client, "GET", bench.base)?.get().status == 200)
      let second = ask(bench, client, method, bench.base)
      #expect((try? second?.get().text == "ok") == (succeeds ? true : nil), "\(method)")
      if !succeeds { #expect(throws: NetError.closed) { _ = try second?.get() } }
      #expect(bench.server?.requestCount == (succeeds ? 3 : 2))
    }
  }

  @Test func aFreshConnectionThatDiesIsNoReasonToTryAgain() throws {
    let bench = try HTTPBench { $1.abort() }
    let client = HTTPClient(on: bench.loop)
    #expect(throws: NetError.closed) { try ask(bench, client, "GET", bench.base)?.get() }
    #expect(bench.server?.requestCount == 1)
  }

  @Test func bytesNobodyAskedForEndTheConnection() throws {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    let bench = try HTTPBench { _, _ in }
    var connections = 0
    var scripts: [Script] = []
    let listener = try Listener(on: bench.loop, port: 0) {
      connections += 1
      scripts.append(Script(answer + answer, closes: false))
      scripts.last!.adopt($0)
    }
    let client = HTTPClient(on: bench.loop)
    for _ in 0..<2 {
      let url = "http://127.0.0.1:\(listener.address.port)/"
      #expect(try ask(bench, client, "GET", url)?.get().text == "ok")
    }
    #expect(connections == 2)
  }

  @Test func closingAnswersWhatIsOpen() throws {
    var open: [HTTPResponder] = []
    let bench = try HTTPBench { open.append($1) }
    var options = HTTPClientOptions()
    options.connectionsPerHostMax = 1
    let client = HTTPClient(on: bench.loop, options: options)
    var answers: [Answer] = []
    for _ in 0..<3 { client.request("GET", bench.base) { answers.append($0) } }
    bench.wait { open.count == 1 }
    client.close()
    #expect(answers.isEmpty, "answers come in a later turn")
    client.request("GET", bench.base) { answers.append($0) }
    bench.wait { answers.count == 4 }
    for answer in answers { #expect(throws: NetError.cancelled) { try answer.get() } }
    #expect(bench.wait { bench.server?.connectionCount == 0 })
  }

  @Test func nothingIsKeptAliveByARequest() throws {
    final class Token {}
    weak var token: Token?
    weak var loopReference: EventLoop?
    do {
      let bench = try HTTPBench { _, _ in }
      loopReference = bench.loop
      let kept = Token()
      token = kept
      let client = HTTPClient(on: bench.loop)
      client.request("GET", bench.base) { _ in _ = kept }
      client.request("GET", "http://127.0.0.1:1/") { _ in _ = kept }
      bench.turns(3)
    }
    #expect(loopReference == nil)
    #expect(token == nil)
  }

  @Test func whatCannotBeSentIsRefused() throws {
    let bench = try HTTPBench(handler: HTTPClientTests.mirror)
    let client = HTTPClient(on: bench.loop)
    var results: [NetError] = []
    func refused(_ method: String, _ url: String, _ headers: HTTPHeaders = [:]) {
      client.request(method, url, headers: headers) {
        if case .failure(let error) = $0 { results.append(error) }
      }
    }
    refused("GET", bench.base, ["X": "a\r\nY: b"])
    refused("GET", bench.base, ["X\r\n": "a"])
    refused("GET / HTTP/1.1\r\nX:", bench.base)
    for url in [
      "/relative", "ftp://a/", "http://", "http://a b/", "http://a:0/", "http://a:99999/", "http://u@h/",
      "http://h/#f", "http://[::1/", "http://[x]/", "http://h/\r\nX: y", "h", "",
    ] { refused("GET", url) }
    bench.wait { results.count == 16 }
    #expect(results.count == 16)
    #expect(results.prefix(3) == [.badHeader("X"), .badHeader("X\r\n"), .badHeader("GET / HTTP/1.1\r\nX:")])
    #expect(results.dropFirst(3).allSatisfy { if case .badURL = $0 { true } else { false } })
    #expect(bench.server?.requestCount == 0)
  }

  @Test(
    arguments: [
      ("http://h", "h", 80, "/"), ("HTTP://H.example:8080/a?b", "h.example", 8080, "/a?b"),
      ("https://h?x=1", "h", 443, "/?x=1"), ("http://[::1]:81/", "::1", 81, "/"),
      ("/p?q", "base", 80, "/v1/p?q"),
    ] as [(String, String, UInt16, String)])
  func addressesAreTakenApart(_ text: String, _ host: String, _ port: UInt16, _ target: String) throws {
    let url = try HTTPURL(text, base: "http://base/v1")
    #expect(url.origin.host == host && url.origin.port == port && url.target == target)
  }

  @Test func refusedAndUnknownServersAreErrors() throws {
    let bench = try HTTPBench { _, _ in }
    let client = HTTPClient(on: bench.loop)
    let port = bench.port
    bench.server = nil
    #expect(throws: NetError.connect("127.0.0.1:\(port)", 111)) {
      try ask(bench, client, "GET", "http://127.0.0.1:\(port)/")?.get()
    }
    #expect(client.connectionCount == 0 && client.waitingCount == 0)
  }

  @Test func overTLSTheServerIsVerified() throws {
    let folder = TemporaryFolder()
    let files = HTTPTestCertificate(in: folder)
    let context = try TLSContext(certificate: files.certificate, key: files.key)
    let bench = try HTTPBench(tls: context) { request, responder in
      responder.respond(200, body: request.isSecure ? String(repeating: "s", count: 200_000) : "open")
    }
    let url = "https://127.0.0.1:\(bench.port)/"
    let trusting = HTTPClient(on: bench.loop, tls: try TLSContext(trusting: files.authority))
    for _ in 0..<3 {
      #expect(try ask(bench, trusting, "POST", url, body: "x")?.get().bodyCount == 200_000)
    }
    #expect(trusting.connectionCount == 1)
    let strangers = TemporaryFolder()
    let others = HTTPTestCertificate(in: strangers)
    let distrusting = HTTPClient(on: bench.loop, tls: try TLSContext(trusting: others.authority))
    guard case .failure(.tls(_, let reason))? = ask(bench, distrusting, "GET", url) else {
      Issue.record("an unknown authority was believed")
      return
    }
    #expect(reason.contains("certificate"))
    guard case .failure(.tls)? = ask(bench, trusting, "GET", "https://localhost:\(bench.port)/") else {
      Issue.record("a certificate for another name was believed")
      return
    }
  }
}
