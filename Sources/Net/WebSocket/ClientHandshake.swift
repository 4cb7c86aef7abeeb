import Core

/// A client's upgrade under way (RFC 6455, 4.1). The connector's answer keeps it alive, then it does itself,
/// until it has answered.
final class ClientHandshake: ConnectionDelegate {
  private let url: String
  private let address: WebSocketURL
  private let options: WebSocketOptions
  private let headers: HTTPHeaders
  private weak var loop: EventLoop?
  private var answer: ((Result<WebSocket, NetError>) -> Void)?
  private let key = WebSocketKey.random()
  private let response = UpgradeResponse()
  private var connection: Connection?
  private var keeper: ClientHandshake?
  private var deadline: TimerID?

  init(
    url: String, address: WebSocketURL, options: WebSocketOptions, headers: HTTPHeaders, loop: EventLoop,
    _ answer: @escaping (Result<WebSocket, NetError>) -> Void
  ) {
    self.url = url
    self.address = address
    self.options = options
    self.headers = headers
    self.loop = loop
    self.answer = answer
    deadline = loop.after(options.handshakeTimeoutNs) { [weak self] in self?.expire() }
  }

  func connected(_ result: Result<Connection, NetError>) {
    switch result {
    case .failure(let error): finish(.failure(error))
    case .success(let connection):
      // The deadline may have passed first.
      guard answer != nil else { return connection.abort(.cancelled) }
      self.connection = connection
      keeper = self
      connection.delegate = self
      writeRequest(connection)
    }
  }

  private func writeRequest(_ connection: Connection) {
    var text = "GET \(address.target) HTTP/1.1\r\nHost: \(address.authority)\r\n"
    text += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    text += "Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n"
    if options.deflate { text += "Sec-WebSocket-Extensions: \(DeflateAgreement.offer(options))\r\n" }
    if !options.subprotocols.isEmpty {
      text += "Sec-WebSocket-Protocol: \(options.subprotocols.joined(separator: ", "))\r\n"
    }
    for field in headers.fields { text += "\(field.name): \(field.value)\r\n" }
    connection.output.append(text + "\r\n")
    connection.wrote()
  }

  // MARK: The answer

  func connectionReceived(_ connection: Connection) {
    let outcome = response.read(UnsafeRawBufferPointer(connection.input.bytes))
    if case .switched(let end) = outcome {
      connection.input.consume(end)
      return begin(connection)
    }
    connection.input.consume(connection.input.count)
    switch outcome {
    case .incomplete, .switched: break
    case .refused: finish(.failure(refusal()))
    case .tooLarge:
      finish(.failure(.tooLarge("the head of the answer of \(url)", bytesMax: UpgradeResponse.headBytesMax)))
    case .malformed(let reason): finish(.failure(.protocol("the answer of \(url) is not HTTP: \(reason)")))
    }
  }

  private func begin(_ connection: Connection) {
    do throws(NetError) {
      guard let loop else { throw .cancelled }
      let subprotocol = try checkAnswer()
      let deflate = try agreement()
      connection.deadlineNs = .max
      let socket = WebSocket(
        connection, isServer: false, target: address.target, headers: response.headers,
        subprotocol: subprotocol, deflate: deflate, options: options, loop: loop)
      self.connection = nil
      finish(.success(socket))
      // Messages may have come in the same segment as the head.
      socket.deliver()
    } catch {
      finish(.failure(error))
    }
  }

  /// - Returns: the subprotocol, if any.
  private func checkAnswer() throws(NetError) -> String? {
    guard response.isVersion11 else { throw .protocol("\(url) answers in another version than HTTP/1.1") }
    let headers = response.headers
    guard headers.contains("Upgrade", token: "websocket"), headers.contains("Connection", token: "Upgrade")
    else { throw .protocol("\(url) switches to something else than websocket") }
    guard headers.count(of: "Sec-WebSocket-Accept") == 1,
      headers["Sec-WebSocket-Accept"] == WebSocketKey.accept(key)
    else { throw .protocol("Sec-WebSocket-Accept of \(url) is not the answer to this request's key") }
    guard headers.count(of: "Sec-WebSocket-Protocol") > 0 else { return nil }
    guard headers.count(of: "Sec-WebSocket-Protocol") == 1, let name = headers["Sec-WebSocket-Protocol"],
      options.subprotocols.contains(name)
    else { throw .protocol("\(url) chose a subprotocol that was not offered") }
    return name
  }

  private func agreement() throws(NetError) -> DeflateAgreement? {
    guard let extensions = WebSocketExtension.parse(response.headers) else {
      throw .protocol("Sec-WebSocket-Extensions of \(url) cannot be read")
    }
    guard let first = extensions.first else { return nil }
    guard options.deflate, extensions.count == 1, first.name == DeflateAgreement.name else {
      throw .protocol("\(url) uses an extension that was not offered")
    }
    guard let agreement = DeflateAgreement(answer: first, to: options) else {
      throw .protocol("\(url) answers permessage-deflate with parameters that don't fit the offer")
    }
    return agreement
  }

  private func refusal() -> NetError {
    var text = String(decoding: response.body, as: UTF8.self)
    if (300..<400).contains(response.status), let place = response.headers["Location"] {
      text = "it redirects to \(place); connect there if you trust it"
    }
    return .upgradeRefused(url, status: response.status, text)
  }

  private func expire() {
    finish(.failure(response.hasStatus ? refusal() : .timeout("the websocket handshake with \(url)")))
  }

  private func finish(_ result: Result<WebSocket, NetError>) {
    guard let answer else { return }
    self.answer = nil
    if let deadline { loop?.cancel(deadline) }
    let connection = connection
    self.connection = nil
    keeper = nil
    // Gone before the answer, so that the caller finds nothing half open.
    connection?.delegate = nil
    connection?.abort(.cancelled)
    answer(result)
  }

  // MARK: The rest of the connection's events

  func connectionClosed(_ connection: Connection, _ reason: NetError) {
    finish(.failure(response.hasStatus ? refusal() : reason))
  }

  func connectionOpened(_ connection: Connection) {}
  func connectionDrained(_ connection: Connection) {}
  func connectionTimedOut(_ connection: Connection) {}
}
