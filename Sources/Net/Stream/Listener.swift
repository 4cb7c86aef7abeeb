import CSystem
import Core
import Glibc

/// Accepts TCP connections.
public final class Listener: EventSource {
  /// Where it listens; the port is the real one when 0 was asked for.
  public let address: SocketAddress
  private weak var loop: EventLoop?
  private let tls: TLSContext?
  private let accepted: (Connection) -> Void
  /// Given up for a moment when the process has run out of descriptors, so that a waiting peer can be turned
  /// away instead of waking the loop for ever.
  private var reserve: Int32
  /// Peers turned away because the process had no descriptor left.
  public private(set) var refused = 0

  /// - Parameters:
  ///   - port: 0 for a free one.
  ///   - accepted: sets the connection's delegate; it is started afterwards.
  public init(
    on loop: EventLoop, host: String = "127.0.0.1", port: UInt16, tls: TLSContext? = nil,
    accepted: @escaping (Connection) -> Void
  ) throws(NetError) {
    guard let wanted = SocketAddress(numeric: host == "localhost" ? "127.0.0.1" : host, port: port) else {
      throw .unknownHost(host)
    }
    let family = wanted.isIPv6 ? AF_INET6 : AF_INET
    let socket = Glibc.socket(family, Int32(weir_socket_stream), 0)
    guard socket >= 0 else { throw .system("make a socket", errno) }
    var one: Int32 = 1
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    let bound = wanted.withPointer { bind(socket, $0, $1) }
    guard bound == 0, listen(socket, 1024) == 0, let address = SocketAddress(of: socket, peer: false) else {
      let code = errno
      close(socket)
      throw .listen("\(wanted)", code)
    }
    self.address = address
    self.loop = loop
    self.tls = tls
    self.accepted = accepted
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC)
    super.init(descriptor: socket)
    try loop.add(self, interest: [.read])
  }

  deinit { release() }

  /// Accepts no more; connections that are open stay.
  public func stop() {
    loop?.remove(self)
    release()
  }

  public override func loopEnded() { release() }

  private func release() {
    if descriptor >= 0 { close(descriptor) }
    if reserve >= 0 { close(reserve) }
    descriptor = -1
    reserve = -1
  }

  public override func ready(_ events: Interest) {
    // A bounded number a turn, so that a storm of connections doesn't starve the open ones.
    for _ in 0..<64 {
      guard descriptor >= 0, let loop else { return }
      let peer = accept4(descriptor, nil, nil, Int32(weir_accept_flags))
      if peer < 0 {
        if errno == EINTR || errno == ECONNABORTED { continue }
        if errno == EMFILE || errno == ENFILE { turnAway() }
        return
      }
      let name = SocketAddress(of: peer, peer: true).map { "\($0)" } ?? "a peer"
      let connection = Connection(
        descriptor: peer, loop: loop, tls: tls, host: "", peer: name, isConnected: true)
      connection.deadlineNs = EventLoop.monotonicNow() + 10 * Nanoseconds.second
      accepted(connection)
      do throws(NetError) { try connection.start() } catch { connection.abort(error) }
    }
  }

  private func turnAway() {
    refused += 1
    guard reserve >= 0 else { return }
    close(reserve)
    let peer = accept4(descriptor, nil, nil, Int32(weir_accept_flags))
    if peer >= 0 { close(peer) }
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC)
  }
}
