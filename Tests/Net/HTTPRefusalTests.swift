import Core
import Testing

@testable import Net

/// What a server must not take, because somebody else would read it otherwise: RFC 9112, 11.2.
@Suite("HTTP refusals")
struct HTTPRefusalTests {
  struct Attack: CustomTestStringConvertible, Sendable {
    var name: String
    var bytes: String
    var status: Int
    var testDescription: String { name }

    init(_ name: String, _ status: Int, _ bytes: String) {
      self.name = name
      self.status = status
      self.bytes = bytes
    }
  }

  private static func post(_ fields: String, _ body: String) -> String {
    "POST / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n\r\n" + body
  }

  private static func get(_ line: String, _ fields: String = "Host: h") -> String {
    line + "\r\n" + fields + "\r\n\r\n"
  }

  private static func chunked(_ body: String) -> String { post("Transfer-Encoding: chunked", body) }

  static let smuggling: [Attack] = [
    Attack("both framings", 400, post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
    Attack(
      "both framings, turned", 400, post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n")),
    Attack("both framings, empty coding", 400, post("Content-Length: 1\r\nTransfer-Encoding:", "a")),
    Attack("two lengths", 400, post("Content-Length: 5\r\nContent-Length: 6", "hello!")),
    Attack("the same length twice", 400, post("Content-Length: 5\r\nContent-Length: 5", "hello")),
    Attack("a list of lengths", 400, post("Content-Length: 5, 5", "hello")),
    Attack("a signed length", 400, post("Content-Length: +5", "hello")),
    Attack("a negative length", 400, post("Content-Length: -5", "hello")),
    Attack("a hexadecimal length", 400, post("Content-Length: 0x5", "hello")),
    Attack("an empty length", 400, post("Content-Length: ", "hello")),
    Attack("a length with a space", 400, post("Content-Length: 5 5", "hello")),
    Attack("a length beyond 64 bits", 413, post("Content-Length: 18446744073709551617", "h")),
    Attack("space before the colon", 400, post("Content-Length : 5", "hello")),
    Attack("tab before the colon", 400, post("Transfer-Encoding\t: chunked", "0\r\n\r\n")),
    Attack("space before the first field", 400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
    Attack("a folded field", 400, post("X: a\r\n b", "")),
    Attack("a folded coding", 400, post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n")),
    Attack("a field without a name", 400, post(": chunked", "")),
    Attack("a field without a colon", 400, post("chunked", "")),
    Attack("a name with a bracket", 400, post("X(: a", "")),
    Attack("a name with a space", 400, post("Content Length: 5", "hello")),
    Attack("a zero in a value", 400, post("X: a\u{0}b", "")),
    Attack("a CR in a value", 400, post("X: a\rb", "")),
    Attack("a control character in a value", 400, post("X: a\u{1}b", "")),
    Attack("vertical tab before the coding", 400, post("Transfer-Encoding: \u{b}chunked", "0\r\n\r\n")),
    Attack("an unknown coding", 400, post("Transfer-Encoding: xchunked", "0\r\n\r\n")),
    Attack("a coding after chunked", 400, post("Transfer-Encoding: chunked, identity", "0\r\n\r\n")),
    Attack("identity before chunked", 400, post("Transfer-Encoding: identity, chunked", "0\r\n\r\n")),
    Attack(
      "two codings in two fields", 400,
      post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
    Attack("chunked twice", 400, post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n")),
    Attack("quoted coding", 400, post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n")),
    Attack("a coding nobody decodes", 501, post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n")),
    Attack("a coding in 1.0", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Attack("LF after the request line", 400, "GET / HTTP/1.1\nHost: h\r\n\r\n"),
    Attack("LF after a field", 400, "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
    Attack("LF at the head's end", 400, "GET / HTTP/1.1\r\nHost: h\r\n\n"),
    Attack("LF before the request", 400, "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    Attack("LF after a chunk's size", 400, chunked("5\nhello\r\n0\r\n\r\n")),
    Attack("LF after a chunk", 400, chunked("5\r\nhello\n0\r\n\r\n")),
    Attack("no end of a chunk", 400, chunked("5\r\nhello0\r\n\r\n")),
    Attack("more than a chunk's size", 400, chunked("3\r\nhello\r\n0\r\n\r\n")),
    Attack("space after a chunk's size", 400, chunked("5 \r\nhello\r\n0\r\n\r\n")),
    Attack("a hexadecimal prefix", 400, chunked("0x5\r\nhello\r\n0\r\n\r\n")),
    Attack("a negative chunk", 400, chunked("-5\r\nhello\r\n0\r\n\r\n")),
    Attack("an empty chunk's size", 400, chunked("\r\nhello\r\n0\r\n\r\n")),
    Attack("a chunk beyond 64 bits", 400, chunked("fffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
    Attack("a chunk beyond the limit", 413, chunked("7fffffff\r\nhello")),
    Attack("LF in an extension", 400, chunked("5;a=b\nhello\r\n0\r\n\r\n")),
    Attack("LF in a quoted extension", 400, chunked("5;a=\"b\n\"\r\nhello\r\n0\r\n\r\n")),
    Attack("LF after the last chunk", 400, chunked("0\r\n\n")),
    Attack("LF in the trailer", 400, chunked("0\r\nX: y\nZ: w\r\n\r\n")),
    Attack("a folded trailer", 400, chunked("0\r\nX: y\r\n z\r\n\r\n")),
    Attack("a broken trailer", 400, chunked("0\r\nX y\r\n\r\n")),
    Attack("no name in the trailer", 400, chunked("0\r\n: y\r\n\r\n")),
    Attack(
      "long extensions", 400, chunked("5;" + String(repeating: "a", count: 2000) + "\r\nhello\r\n0\r\n\r\n")),
    Attack(
      "many extensions", 400,
      chunked(String(repeating: "1;abcdefghijkl=mnopqrst\r\nx\r\n", count: 100) + "0\r\n\r\n")),
    Attack("zeros before a chunk's size", 400, chunked(String(repeating: "0", count: 40_000) + "1\r\nx\r\n")),
    Attack("two spaces before the target", 400, get("GET  / HTTP/1.1")),
    Attack("two spaces after the target", 400, get("GET /  HTTP/1.1")),
    Attack("a space in the target", 400, get("GET /a b HTTP/1.1")),
    Attack("a tab in the request line", 400, get("GET\t/ HTTP/1.1")),
    Attack("a space after the version", 400, get("GET / HTTP/1.1 ")),
    Attack("a control character in the target", 400, get("GET /\u{1} HTTP/1.1")),
    Attack("a byte above ASCII in the target", 400, get("GET /é HTTP/1.1")),
    Attack("a fragment", 400, get("GET /#a HTTP/1.1")),
    Attack("a broken escape", 400, get("GET /%zz HTTP/1.1")),
    Attack("half an escape", 400, get("GET /%4 HTTP/1.1")),
    Attack("an escaped zero", 400, get("GET /%00 HTTP/1.1")),
    Attack("an escape that is no UTF-8", 400, get("GET /%ff HTTP/1.1")),
    Attack("a relative target", 400, get("GET foo HTTP/1.1")),
    Attack("another scheme", 400, get("GET ftp://a/ HTTP/1.1")),
    Attack("a user in the target", 400, get("GET http://a@b/ HTTP/1.1")),
    Attack("* for GET", 400, get("GET * HTTP/1.1")),
    Attack("a tunnel", 501, get("CONNECT a:80 HTTP/1.1")),
    Attack("no Host", 400, get("GET / HTTP/1.1", "X: y")),
    Attack("two Hosts", 400, get("GET / HTTP/1.1", "Host: a\r\nHost: b")),
    Attack("two Hosts in 1.0", 400, get("GET / HTTP/1.0", "Host: a\r\nHost: a")),
    Attack("a Host with a path", 400, get("GET / HTTP/1.1", "Host: a/b")),
    Attack("a Host with a user", 400, get("GET / HTTP/1.1", "Host: a@b")),
    Attack("a list of Hosts", 400, get("GET / HTTP/1.1", "Host: a, b")),
    Attack("HTTP/0.9", 400, "GET /\r\n"),
    Attack("HTTP/0.9 by name", 505, get("GET / HTTP/0.9")),
    Attack("HTTP/1.2", 505, get("GET / HTTP/1.2")),
    Attack("HTTP/2.0", 505, get("GET / HTTP/2.0")),
    Attack("the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Attack("RTSP", 400, get("GET / RTSP/1.0")),
    Attack("ICE", 400, get("SOURCE / ICE/1.0")),
    Attack("http in small letters", 400, get("GET / http/1.1")),
    Attack("a broken version", 400, get("GET / HTTP/1")),
    Attack("an unknown method", 501, get("FROB / HTTP/1.1")),
    Attack("a method in small letters", 501, get("get / HTTP/1.1")),
    Attack("a method that is no token", 400, get("G(T / HTTP/1.1")),
    Attack("TLS on a plain port", 400, "\u{16}\u{3}\u{1}\u{2}"),
    Attack("an answer instead of a request", 400, "HTTP/1.1 200 OK\r\n\r\n"),
    Attack("many empty lines", 400, String(repeating: "\r\n", count: 20)),
  ]

  @Test(arguments: smuggling)
  func isRefused(_ attack: Attack) throws {
    var handled = 0
    let bench = try HTTPBench { _, responder in
      handled += 1
      responder.respond(200)
    }
    // What is refused must not leave a second request behind it.
    let answer = bench.exchange(attack.bytes + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(statusOf(answer) == attack.status)
    #expect(answer.components("HTTP/1.1 ") == 1)
    #expect(fieldOf(answer, "Connection") == "close")
    #expect(try JSONValue(parsing: bodyOf(answer))["error"]?.text?.isEmpty == false)
    #expect(handled == 0)
    #expect(bench.server?.refusedRequestCount == 1)
  }

  /// Byte by byte, no rule may depend on what lies together in the input.
  @Test(arguments: smuggling)
  func isRefusedByteByByte(_ attack: Attack) throws {
    guard attack.bytes.utf8.count < 1000 else { return }
    let bench = try HTTPBench { _, responder in responder.respond(200) }
    let peer = bench.connect()
    for byte in attack.bytes.utf8 { peer.send([byte]) }
    peer.send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
    let answer = peer.readToEnd()
    #expect(statusOf(answer) == attack.status)
    #expect(answer.components("HTTP/1.1 ") == 1)
  }

  @Test func limitsAreWhereTheyAreSaidToBe() throws {
    var options = HTTPServerOptions()
    options.headBytesMax = 1000
    options.bodyBytesMax = 100
    let bench = try HTTPBench(options) { _, responder in responder.respond(200) }
    func head(_ count: Int) -> String {
      let empty = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: \r\n\r\n"
      return "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: "
        + String(repeating: "x", count: count - empty.utf8.count) + "\r\n\r\n"
    }
    #expect(statusOf(bench.exchange(head(1000))) == 200)
    #expect(statusOf(bench.exchange(head(1001))) == 431)
    #expect(
      statusOf(bench.exchange("GET /" + String(repeating: "x", count: 2000) + " HTTP/1.1\r\n\r\n")) == 414)
    let fields = (0..<101).map { "A\($0): \r\n" }.joined()
    options.headBytesMax = 16 << 10
    let roomy = try HTTPBench(options) { _, responder in responder.respond(200) }
    #expect(statusOf(roomy.exchange("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")) == 431)
    let long = String(repeating: "x", count: 9000)
    #expect(statusOf(roomy.exchange("GET /\(long) HTTP/1.1\r\nHost: h\r\n\r\n")) == 414)
    for (count, status) in [(100, 200), (101, 413)] {
      let body = String(repeating: "b", count: count)
      let plain = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: \(count)\r\n\r\n" + body
      #expect(statusOf(bench.exchange(plain)) == status)
      let half = String(count / 2, radix: 16)
      let rest = String(count - count / 2, radix: 16)
      let chunked =
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "\(half)\r\n\(body.prefix(count / 2))\r\n\(rest)\r\n\(body.dropFirst(count / 2))\r\n0\r\n\r\n"
      #expect(statusOf(bench.exchange(chunked)) == status)
    }
    let trailer = String(repeating: "T: 1\r\n", count: 200)
    #expect(
      statusOf(
        bench.exchange(
          "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\(trailer)\r\n")) == 431)
  }

  @Test func requestsBeforeARefusedOneAreAnswered() throws {
    var late: HTTPResponder?
    let bench = try HTTPBench { _, responder in late = responder }
    let peer = bench.connect()
    peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n")
    bench.wait { late != nil }
    bench.turns(3)
    peer.poll()
    #expect(peer.text == "")
    late?.respond(200, body: "late")
    #expect(splitAnswers(peer.readToEnd()).map(statusOf) == [200, 400])
  }

  /// Whatever arrives, the server neither traps nor hangs, and it still serves others.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func nonsenseDoesNoHarm(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let bench = try HTTPBench { _, responder in responder.respond(200) }
    let seeds = HTTPRefusalTests.smuggling.map { Array($0.bytes.utf8) }
    for _ in 0..<150 {
      var bytes = seeds[random.below(seeds.count)].prefix(300) + seeds[random.below(seeds.count)].prefix(300)
      for _ in 0..<random.below(6) where !bytes.isEmpty {
        bytes[random.below(bytes.count)] = UInt8(random.below(256))
      }
      let peer = bench.connect()
      peer.send(Array(bytes))
      bench.turns(2)
      peer.close()
    }
    bench.turns(20)
    let answer = bench.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(statusOf(answer) == 200, "seed \(seed)")
    #expect(bench.wait { bench.server?.connectionCount == 0 }, "seed \(seed)")
  }
}
