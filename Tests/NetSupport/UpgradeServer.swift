import CSystem
import Core
import Net

/// The least an HTTP server does before a websocket: reads one request's head and hands the connection over.
public final class UpgradeServer {
  public var address: SocketAddress { listener.address }
  public private(set) var listener: Listener!
  private var waiting: [ObjectIdentifier: Doorman] = [:]

  /// - Parameter opened: sets the socket's delegate.
  public init(
    on loop: EventLoop, tls: TLSContext? = nil, options: WebSocketOptions = WebSocketOptions(),
    opened: @escaping (WebSocket) -> Void
  ) throws {
    listener = try Listener(on: loop, port: 0, tls: tls) { [weak self, unowned loop] connection in
      let doorman = Doorman { connection, method, target, headers in
        self?.waiting[ObjectIdentifier(connection)] = nil
        let socket = WebSocket.accept(
          method: method, target: target, headers: headers, connection: connection, options: options, on: loop
        )
        if let socket { opened(socket) }
      } gone: {
        self?.waiting[ObjectIdentifier($0)] = nil
      }
      self?.waiting[ObjectIdentifier(connection)] = doorman
      connection.delegate = doorman
    }
  }
}

private final class Doorman: ConnectionDelegate {
  typealias Request = (Connection, _ method: String, _ target: String, HTTPHeaders) -> Void
  private let request: Request
  private let gone: (Connection) -> Void

  init(request: @escaping Request, gone: @escaping (Connection) -> Void) {
    self.request = request
    self.gone = gone
  }

  func connectionOpened(_ connection: Connection) { connection.deadlineNs = .max }

  func connectionReceived(_ connection: Connection) {
    let bytes = connection.input.bytes
    guard let found = memmem(bytes.baseAddress!, bytes.count, "\r\n\r\n", 4) else { return }
    let length = found - bytes.baseAddress!
    let text = String(decoding: bytes[..<length], as: UTF8.self)
    connection.input.consume(length + 4)
    var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
    let words = lines.removeFirst().split(separator: " ")
    guard words.count == 3 else { return connection.abort() }
    var headers = HTTPHeaders()
    for line in lines {
      guard let colon = line.firstIndex(of: ":") else { return connection.abort() }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      headers.add(String(line[..<colon]), String(value))
    }
    request(connection, String(words[0]), String(words[1]), headers)
  }

  func connectionDrained(_ connection: Connection) {}
  func connectionClosed(_ connection: Connection, _ reason: NetError) { gone(connection) }
  func connectionTimedOut(_ connection: Connection) {}
}
