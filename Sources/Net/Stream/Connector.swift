import CSystem
import Core
import Glibc

/// Opens client connections: resolves the name, tries its addresses in turn.
public enum Connector {
  /// - Parameters:
  ///   - timeoutNs: for each address, TCP and TLS together.
  ///   - answer: the open connection, or the failure of TLS or of the last address. On this loop's thread, in a
  ///     later turn.
  public static func connect(
    host: String, port: UInt16, tls: TLSContext?, on loop: EventLoop, timeoutNs: Int64,
    answer: @escaping (Result<Connection, NetError>) -> Void
  ) {
    let peer = "\(host):\(port)"
    Resolver.resolve(host, port: port, on: loop) { [weak loop] addresses in
      guard let loop else { return }
      guard !addresses.isEmpty else { return answer(.failure(.unknownHost(host))) }
      let attempt = Attempt(
        addresses, host: host, peer: peer, tls: tls, loop: loop, timeoutNs: timeoutNs, answer)
      attempt.tryNext(after: .unknownHost(host))
    }
  }
}

/// One connection in the making. It keeps itself alive as the delegate's owner until it has answered.
private final class Attempt: ConnectionDelegate {
  private var addresses: [SocketAddress]
  private let host: String
  private let peer: String
  private let tls: TLSContext?
  private weak var loop: EventLoop?
  private let timeoutNs: Int64
  private var answer: ((Result<Connection, NetError>) -> Void)?
  private var keeper: Attempt?
  /// Says more than that another address of the same server doesn't answer.
  private var tlsFailure: NetError?

  init(
    _ addresses: [SocketAddress], host: String, peer: String, tls: TLSContext?, loop: EventLoop,
    timeoutNs: Int64, _ answer: @escaping (Result<Connection, NetError>) -> Void
  ) {
    self.addresses = addresses
    self.host = host
    self.peer = peer
    self.tls = tls
    self.loop = loop
    self.timeoutNs = timeoutNs
    self.answer = answer
  }

  func tryNext(after failure: NetError) {
    keeper = nil
    if case .tls = failure, tlsFailure == nil { tlsFailure = failure }
    guard let loop, !addresses.isEmpty else { return finish(.failure(tlsFailure ?? failure)) }
    let address = addresses.removeFirst()
    let socket = Glibc.socket(
      address.isIPv6 ? AF_INET6 : AF_INET, Int32(weir_socket_stream), 0)
    guard socket >= 0 else { return finish(.failure(.system("make a socket", errno))) }
    let result = address.withPointer { Glibc.connect(socket, $0, $1) }
    guard result == 0 || errno == EINPROGRESS else {
      let code = errno
      close(socket)
      return tryNext(after: .connect(peer, code))
    }
    let connection = Connection(
      descriptor: socket, loop: loop, tls: tls, host: host, peer: peer, isConnected: false)
    connection.delegate = self
    connection.deadlineNs = EventLoop.monotonicNow() + timeoutNs
    keeper = self
    do throws(NetError) { try connection.start() } catch { connection.abort(error) }
  }

  private func finish(_ result: Result<Connection, NetError>) {
    keeper = nil
    guard let answer else { return }
    self.answer = nil
    answer(result)
  }

  func connectionOpened(_ connection: Connection) {
    connection.delegate = nil
    connection.deadlineNs = .max
    finish(.success(connection))
  }

  func connectionClosed(_ connection: Connection, _ reason: NetError) { tryNext(after: reason) }
  func connectionReceived(_ connection: Connection) {}
  func connectionDrained(_ connection: Connection) {}
  func connectionTimedOut(_ connection: Connection) { connection.abort(.timeout("connecting to \(peer)")) }
}
