import CZlib
import Core
import Glibc
import Net

/// Requests one URL after the other (or all at once) with one client and writes down the answers.
final class HTTPFetch {
  private let loop: EventLoop
  private let arguments: PeerArguments
  private let client: HTTPClient
  private let body: [UInt8]
  private var waiting: [String]
  private var open = 0

  init(_ arguments: PeerArguments, on loop: EventLoop) throws {
    self.loop = loop
    self.arguments = arguments
    var options = HTTPClientOptions()
    options.bodyBytesMax = arguments.integer("--body-bytes-max") ?? options.bodyBytesMax
    options.connectionsPerHostMax = arguments.integer("--connections") ?? options.connectionsPerHostMax
    if let timeoutMs = arguments.integer("--timeout-ms") {
      options.requestTimeoutNs = Int64(timeoutMs) * Nanoseconds.millisecond
    }
    client = HTTPClient(on: loop, options: options, tls: try PeerProgram.trust(arguments))
    let text = Array((arguments.text("--body") ?? "").utf8)
    body = arguments.integer("--body-bytes").map { [UInt8](repeating: 0x62, count: $0) } ?? text
    waiting = arguments.rest.reversed()
  }

  func run() {
    repeat { next() } while arguments.has("--together") && !waiting.isEmpty
    loop.run()
  }

  private func next() {
    guard let url = waiting.popLast() else {
      if open == 0 { loop.stop() }
      return
    }
    open += 1
    let method = arguments.text("--method") ?? (body.isEmpty ? "GET" : "POST")
    client.request(method, url, headers: ["X-Peer": "weir"], body: body) { [unowned self] answer in
      open -= 1
      switch answer {
      case .failure(let error):
        PeerProgram.print(.object(["url": .string(url), "error": .string("\(error)")]))
      case .success(let response):
        let sum = response.withBody { bytes in
          bytes.bindMemory(to: UInt8.self).baseAddress.map { crc32(0, $0, UInt32(bytes.count)) } ?? 0
        }
        PeerProgram.print(
          .object([
            "url": .string(url), "status": .integer(response.status), "bytes": .integer(response.bodyCount),
            "crc": .integer(UInt64(sum)), "text": .string(String(response.text.prefix(200))),
            "connections": .integer(client.connectionCount),
          ]))
      }
      loop.soon { [unowned self] in next() }
    }
  }
}
