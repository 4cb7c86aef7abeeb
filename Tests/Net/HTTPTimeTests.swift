import Core
import Testing

@testable import Net

/// Deadlines have the loop's sweep as their resolution: a tenth of a second.
@Suite("HTTP time")
struct HTTPTimeTests {
  private static func options() -> HTTPServerOptions {
    var options = HTTPServerOptions()
    options.headTimeoutNs = 300 * Nanoseconds.millisecond
    options.bodyTimeoutNs = 300 * Nanoseconds.millisecond
    options.idleNs = 300 * Nanoseconds.millisecond
    options.writeStallNs = 200 * Nanoseconds.millisecond
    return options
  }

  /// A byte now and then must not keep a request alive.
  @Test(arguments: [
    "GET / HTTP/1.1\r\nX: ", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1ff\r\n",
  ])
  func slowSendersAreCutOff(start: String) throws {
    let bench = try HTTPBench(HTTPTimeTests.options()) { _, responder in responder.respond(200) }
    let peer = bench.connect()
    peer.send(start)
    let begun = EventLoop.monotonicNow()
    while !peer.isEnded, EventLoop.monotonicNow() - begun < 3 * Nanoseconds.second {
      bench.wait(0.03) { false }
      peer.send("x")
      peer.poll()
    }
    let took = EventLoop.monotonicNow() - begun
    #expect(statusOf(peer.text) == 408)
    #expect(took > 200 * Nanoseconds.millisecond && took < 2 * Nanoseconds.second)
  }

  @Test func silentAndIdleConnectionsAreClosed() throws {
    let bench = try HTTPBench(HTTPTimeTests.options()) { _, responder in responder.respond(200) }
    let silent = bench.connect()
    let idle = bench.connect()
    idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    idle.read { $0.hasSuffix("\r\n\r\n") }
    #expect(statusOf(idle.text) == 200 && !idle.isEnded)
    #expect(silent.readToEnd() == "" && silent.isEnded)
    #expect(idle.readToEnd().components("HTTP/1.1") == 1 && idle.isEnded)
    #expect(bench.wait { bench.server?.connectionCount == 0 })
  }

  @Test func aSlowHandlerHasAllTheTimeItNeeds() throws {
    var late: HTTPResponder?
    let bench = try HTTPBench(HTTPTimeTests.options()) { _, responder in late = responder }
    let peer = bench.connect()
    peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    bench.wait(1) { false }
    peer.poll()
    #expect(!peer.isEnded)
    late?.respond(200, body: "late")
    #expect(peer.read { $0.hasSuffix("late") })
  }

  @Test func aReaderThatStandsStillIsCutOff() throws {
    let content = [UInt8](repeating: 1, count: 16 << 20)
    let bench = try HTTPBench(HTTPTimeTests.options()) { _, responder in responder.respond(200, body: content)
    }
    let peer = bench.connect(receiveBuffer: 8 << 10)
    peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    bench.wait { bench.server!.requestCount == 1 }
    #expect(bench.wait(3) { bench.server!.connectionCount == 0 })
    peer.close()
  }

  @Test func tooManyConnectionsAreTurnedAway() throws {
    var options = HTTPServerOptions()
    options.connectionsMax = 2
    let bench = try HTTPBench(options) { _, responder in responder.respond(200) }
    let first = bench.connect()
    let second = bench.connect()
    bench.wait { bench.server!.connectionCount == 2 }
    let third = bench.connect()
    let answer = third.readToEnd()
    #expect(statusOf(answer) == 503 && fieldOf(answer, "Retry-After") == "1")
    #expect(bodyOf(answer).utf8.count == Int(fieldOf(answer, "Content-Length")!))
    #expect(bench.server!.refusedConnectionCount == 1)
    first.close()
    second.close()
    bench.wait { bench.server!.connectionCount == 0 }
    #expect(
      statusOf(bench.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")) == 200)
  }

  @Test func stoppingLetsRunningRequestsFinish() throws {
    var late: HTTPResponder?
    var events: EventStream?
    var eventsClosed = 0
    let bench = try HTTPBench { request, responder in
      switch request.path {
      case "/late": late = responder
      case "/events":
        events = responder.events()
        events?.onClosed = { eventsClosed += 1 }
      default: responder.respond(200)
      }
    }
    let idle = bench.connect()
    idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    let running = bench.connect()
    running.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n")
    let streaming = bench.connect()
    streaming.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
    bench.wait { late != nil && events != nil && bench.server!.requestCount == 3 }
    var isDone = false
    bench.server?.stop(graceNs: 10 * Nanoseconds.second) { isDone = true }
    #expect(idle.readToEnd().components("HTTP/1.1") == 1)
    #expect(streaming.readToEnd().hasSuffix("0\r\n\r\n"))
    #expect(eventsClosed == 1)
    #expect(!isDone)
    late?.respond(200, body: "in time")
    let answer = running.readToEnd()
    #expect(bodyOf(answer) == "in time" && fieldOf(answer, "Connection") == "close")
    #expect(bench.wait { isDone })
    #expect(bench.server!.connectionCount == 0)
  }

  @Test func whatOutlivesTheGraceIsCut() throws {
    var kept: [HTTPResponder] = []
    let bench = try HTTPBench { kept.append($1) }
    let peer = bench.connect()
    peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    bench.wait { kept.count == 1 }
    var calls = 0
    bench.server?.stop(graceNs: 50 * Nanoseconds.millisecond) { calls += 1 }
    #expect(peer.readToEnd() == "")
    #expect(bench.wait { calls == 1 })
    #expect(!kept[0].isOpen)
    kept[0].respond(200)
    bench.turns(3)
    #expect(calls == 1)
  }

  @Test func stoppingDoesNotWaitForAHandshake() throws {
    let folder = TemporaryFolder()
    let files = HTTPTestCertificate(in: folder)
    let context = try TLSContext(certificate: files.certificate, key: files.key)
    let bench = try HTTPBench(tls: context) { _, responder in responder.respond(200) }
    let peer = bench.connect()
    bench.wait { bench.server?.connectionCount == 1 }
    var isDone = false
    bench.server?.stop(graceNs: 10 * Nanoseconds.second) { isDone = true }
    #expect(bench.wait(1) { isDone })
    #expect(peer.readToEnd() == "")
  }

  @Test func nothingOutlivesItsOwner() throws {
    var kept: [HTTPResponder] = []
    var streams: [HTTPBodyStream] = []
    var closed = 0
    weak var loopReference: EventLoop?
    weak var coreReference: HTTPServerCore?
    weak var connectionReference: HTTPServerConnection?
    var peer: RawPeer?
    do {
      let bench = try HTTPBench { request, responder in
        if request.path == "/stream" {
          let stream = responder.stream(200)
          stream.onClosed = { closed += 1 }
          streams.append(stream)
        } else {
          kept.append(responder)
        }
      }
      loopReference = bench.loop
      coreReference = bench.server?.core
      peer = bench.connect()
      peer?.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\nGET /late HTTP/1.1\r\nHost: h\r\n\r\n")
      bench.wait { streams.count == 1 && kept.count == 1 }
      connectionReference = bench.server?.core.connections.values.first
      #expect(connectionReference != nil)
      peer?.close()
      peer = nil
      if let handle = connectionReference?.connection?.descriptor { #expect(handle >= 0) }
    }
    #expect(closed == 1)
    #expect(loopReference == nil)
    #expect(coreReference == nil)
    // All of it is harmless now.
    kept[0].respond(200, body: "to nobody")
    #expect(!streams[0].write("to nobody"))
    streams[0].finish()
    kept = []
    streams = []
    #expect(connectionReference == nil)
  }

  @Test func anUnansweredRequestIsAnsweredForItsHandler() throws {
    let bench = try HTTPBench { _, _ in }
    let answer = bench.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(statusOf(answer) == 500)
  }
}
