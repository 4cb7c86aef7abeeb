import CSystem
import Glibc

/// Names to addresses. `getaddrinfo` blocks, so it runs on a thread of its own and posts its answer.
enum Resolver {
  typealias Answer = ([SocketAddress]) -> Void

  /// Answers in a later turn, with an empty list where nothing is found.
  static func resolve(_ host: String, port: UInt16, on loop: EventLoop, _ answer: @escaping Answer) {
    // Loopback has no name service to ask; this also keeps tests off the network.
    let known = host == "localhost" ? ["127.0.0.1", "::1"] : [host]
    let numeric = known.compactMap { SocketAddress(numeric: $0, port: port) }
    if !numeric.isEmpty { return loop.soon { answer(numeric) } }

    let request = Request(host: host, port: port, loop: loop.handle, ticket: loop.keep(answer))
    var thread = pthread_t()
    let context = Unmanaged.passRetained(request).toOpaque()
    // Signals are the loop's: a thread that doesn't block them could be the one they are delivered to.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    let code = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Request>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    guard code == 0 else {
      Unmanaged<Request>.fromOpaque(context).release()
      _ = loop.takeKept(request.ticket, as: Answer.self)
      return loop.soon { answer([]) }
    }
    pthread_detach(thread)
  }

  private final class Request: Sendable {
    let host: String
    let port: UInt16
    let loop: LoopHandle
    let ticket: UInt64

    init(host: String, port: UInt16, loop: LoopHandle, ticket: UInt64) {
      self.host = host
      self.port = port
      self.loop = loop
      self.ticket = ticket
    }

    func run() {
      let found = lookUp()
      let ticket = ticket
      // Refused when the loop has ended meanwhile: nobody is left to be answered.
      loop.post { loop in loop.takeKept(ticket, as: Answer.self)?(found) }
    }

    private func lookUp() -> [SocketAddress] {
      var hints = addrinfo()
      hints.ai_family = AF_UNSPEC
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
      var list: UnsafeMutablePointer<addrinfo>?
      guard getaddrinfo(host, String(port), &hints, &list) == 0 else { return [] }
      defer { freeaddrinfo(list) }
      var found: [SocketAddress] = []
      var next = list
      while let entry = next {
        found.append(SocketAddress(entry.pointee))
        next = entry.pointee.ai_next
      }
      return found
    }
  }
}
