import Core
import Glibc

@testable import Net

/// A loop with a server on it, and raw sockets that talk to it: all on the test's own thread, turn by turn.
final class HTTPBench {
  let loop: EventLoop
  var server: HTTPServer?
  private(set) var options: HTTPServerOptions

  init(
    _ options: HTTPServerOptions = HTTPServerOptions(), tls: TLSContext? = nil,
    handler: @escaping (HTTPRequest, HTTPResponder) -> Void
  ) throws {
    loop = try EventLoop()
    self.options = options
    server = try HTTPServer(on: loop, options: options, tls: tls, handler: handler)
  }

  var port: UInt16 { server!.address.port }
  var base: String { "http://127.0.0.1:\(port)" }

  /// Turns the loop until the condition holds.
  ///
  /// - Returns: whether it did in time.
  @discardableResult
  func wait(_ seconds: Double = 60, until holds: () -> Bool) -> Bool {
    let end = EventLoop.monotonicNow() + Int64(seconds * 1e9)
    while !holds() {
      if EventLoop.monotonicNow() > end { return false }
      loop.turn(waitNs: Nanoseconds.millisecond)
    }
    return true
  }

  func turns(_ count: Int) { for _ in 0..<count { loop.turn(waitNs: 0) } }

  func connect(receiveBuffer: Int32? = nil) -> RawPeer {
    RawPeer(port: port, bench: self, receiveBuffer: receiveBuffer)
  }

  /// Sends bytes on a fresh connection and collects what comes until the server closes.
  func exchange(_ request: String, closing: Bool = true) -> String {
    let peer = connect()
    peer.send(request)
    return peer.readToEnd()
  }
}

/// One end of a socket, without any protocol.
final class RawPeer {
  private(set) var descriptor: Int32
  private unowned let bench: HTTPBench
  private(set) var received: [UInt8] = []
  private(set) var isEnded = false
  private(set) var wasReset = false

  init(port: UInt16, bench: HTTPBench, receiveBuffer: Int32? = nil) {
    self.bench = bench
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var size = receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    // The kernel completes the handshake before anybody accepts.
    let code = SocketAddress(numeric: "127.0.0.1", port: port)!.withPointer {
      Glibc.connect(descriptor, $0, $1)
    }
    precondition(code == 0)
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  deinit { close() }

  func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  var text: String { String(decoding: received, as: UTF8.self) }

  func send(_ text: String) { send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL))
      }
      if count > 0 { done += count } else if errno != EAGAIN { return }
      bench.loop.turn(waitNs: 0)
    }
  }

  func halfClose() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Takes what has arrived.
  func poll() {
    guard descriptor >= 0 else { return }
    withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
      while true {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 {
          received += buffer[0..<count]
          continue
        }
        if count == 0 { isEnded = true }
        if count < 0, errno == ECONNRESET {
          isEnded = true
          wasReset = true
        }
        return
      }
    }
  }

  @discardableResult
  func read(_ seconds: Double = 60, until holds: (String) -> Bool) -> Bool {
    bench.wait(seconds) {
      poll()
      return holds(text) || isEnded
    }
    return holds(text)
  }

  func readToEnd(_ seconds: Double = 60) -> String {
    bench.wait(seconds) {
      poll()
      return isEnded
    }
    close()
    return text
  }

  func forget() { received = [] }
}

/// The status of an answer's first line, 0 where there is none.
func statusOf(_ answer: String) -> Int {
  answer.hasPrefix("HTTP/1.1 ") ? Int(answer.dropFirst(9).prefix(3)) ?? 0 : 0
}

func bodyOf(_ answer: String) -> String {
  guard let range = answer.firstRange(of: "\r\n\r\n") else { return "" }
  return String(answer[range.upperBound...])
}

func fieldOf(_ answer: String, _ name: String) -> String? {
  let head = answer.prefix(answer.count - bodyOf(answer).count)
  for line in head.split(separator: "\r\n").dropFirst() {
    let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2, HTTPHeaders.same(parts[0], name) { return HTTPHeaders.trim(parts[1]) }
  }
  return nil
}

/// Answers that come back to back with known lengths.
func splitAnswers(_ text: String) -> [String] {
  var answers: [String] = []
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let current = String(decoding: rest, as: UTF8.self)
    guard let length = fieldOf(current, "Content-Length").flatMap({ Int($0) }) else { break }
    let headCount = current.utf8.count - bodyOf(current).utf8.count
    answers.append(String(decoding: rest.prefix(headCount + length), as: UTF8.self))
    rest = rest.dropFirst(headCount + length)
  }
  return answers
}

/// A folder of its own for a test, removed with it.
final class TemporaryFolder {
  let path: String

  init() {
    var template = Array("/tmp/weir-http-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template)!)
  }

  deinit { remove(path) }

  func write(_ name: String, _ content: [UInt8]) throws {
    let parts = name.split(separator: "/")
    if parts.count > 1 { try Files.makeFolder(path + "/" + parts.dropLast().joined(separator: "/")) }
    let file = try File(path + "/" + name, .write)
    var failure: FileError?
    content.withUnsafeBytes { bytes in
      do throws(FileError) { try file.write(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in (try? Files.list(path)) ?? [] { remove(path + "/" + name) }
      rmdir(path)
    } else {
      unlink(path)
    }
  }
}
