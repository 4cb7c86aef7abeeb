import Core

extension WebSocket {
  /// Opens a connection as a client. Set the delegate within `answer`: messages may follow at once.
  ///
  /// - Parameters:
  ///   - url: `ws://HOST[:PORT]/PATH?QUERY` or `wss://…`.
  ///   - tls: for `wss`; nil for the system's authorities.
  ///   - headers: sent along; none of those the handshake itself makes.
  ///   - answer: the open socket, or why there is none: ``NetError/upgradeRefused(_:status:_:)`` where the server
  ///     answered with another status, redirects included. On the loop's thread, in a later turn. A loop that
  ///     ends before answers ``NetError/cancelled``, or not at all.
  public static func connect(
    _ url: String, options: WebSocketOptions = WebSocketOptions(), tls: TLSContext? = nil,
    headers: HTTPHeaders = [:], on loop: EventLoop,
    answer: @escaping (Result<WebSocket, NetError>) -> Void
  ) {
    do throws(NetError) {
      guard let address = WebSocketURL(url) else { throw .badURL(url) }
      try checkSendable(headers)
      for name in options.subprotocols where !HTTPHeaders.isToken(name) {
        throw .badHeader("Sec-WebSocket-Protocol")
      }
      var context: TLSContext?
      if address.isSecure {
        context = tls
        if context == nil { context = try TLSContext() }
      }
      let handshake = ClientHandshake(
        url: url, address: address, options: options, headers: headers, loop: loop, answer)
      Connector.connect(
        host: address.host, port: address.port, tls: context, on: loop, timeoutNs: options.handshakeTimeoutNs
      ) { handshake.connected($0) }
    } catch {
      loop.soon { answer(.failure(error)) }
    }
  }

  private static func checkSendable(_ headers: HTTPHeaders) throws(NetError) {
    let own = [
      "Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding", "Sec-WebSocket-Key",
      "Sec-WebSocket-Version", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol",
    ]
    for field in headers.fields {
      guard HTTPHeaders.isToken(field.name), HTTPHeaders.isValue(field.value),
        !own.contains(where: { HTTPHeaders.same($0, field.name) })
      else { throw .badHeader(field.name) }
    }
  }
}
