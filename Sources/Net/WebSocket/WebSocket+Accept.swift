import Core

extension WebSocket {
  /// Answers a client's upgrade request (RFC 6455, 4.2), whose head an HTTP server has read and taken off the
  /// connection's input; what is left in the input belongs to the websocket. Set the delegate at once: messages
  /// come from the next turn on.
  ///
  /// - Returns: nil when the request is no valid upgrade (or the connection is gone): it has been answered with
  ///   400, 405 or 426 then, and the connection closes.
  public static func accept(
    method: String, target: String, headers: HTTPHeaders, connection: Connection,
    options: WebSocketOptions = WebSocketOptions(), on loop: EventLoop
  ) -> WebSocket? {
    guard connection.isOpen else { return nil }
    if let refusal = UpgradeRefusal(method: method, headers: headers) {
      refusal.write(to: connection)
      return nil
    }
    guard let offers = WebSocketExtension.parse(headers), let key = headers["Sec-WebSocket-Key"] else {
      UpgradeRefusal.malformed("Sec-WebSocket-Extensions cannot be read").write(to: connection)
      return nil
    }
    var deflate: DeflateAgreement?
    if options.deflate {
      deflate = offers.lazy.compactMap { DeflateAgreement(offer: $0, options: options) }.first
    }
    let wanted = headers.list("Sec-WebSocket-Protocol")
    let subprotocol = options.subprotocols.first { wanted.contains($0) }

    let output = connection.output
    output.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    output.append("Sec-WebSocket-Accept: ")
    output.append(WebSocketKey.accept(key))
    if let deflate {
      output.append("\r\nSec-WebSocket-Extensions: ")
      output.append(deflate.answer)
    }
    if let subprotocol {
      output.append("\r\nSec-WebSocket-Protocol: ")
      output.append(subprotocol)
    }
    output.append("\r\n\r\n")
    connection.wrote()
    let socket = WebSocket(
      connection, isServer: true, target: target, headers: headers, subprotocol: subprotocol,
      deflate: deflate, options: options, loop: loop)
    socket.deliverSoon()
    return socket
  }
}

/// Why an upgrade request is turned down, as an HTTP answer.
private struct UpgradeRefusal {
  var status: StaticString
  var field: StaticString = ""
  var reason: StaticString

  static func malformed(_ reason: StaticString) -> UpgradeRefusal {
    UpgradeRefusal(status: "400 Bad Request", reason: reason)
  }

  private init(status: StaticString, field: StaticString = "", reason: StaticString) {
    self.status = status
    self.field = field
    self.reason = reason
  }

  /// nil for a request that can be granted.
  init?(method: String, headers: HTTPHeaders) {
    if method != "GET" {
      self.init(
        status: "405 Method Not Allowed", field: "Allow: GET\r\n", reason: "a websocket begins with GET")
    } else if !headers.contains("Upgrade", token: "websocket")
      || !headers.contains("Connection", token: "Upgrade")
    {
      self.init(
        status: "426 Upgrade Required", field: "Upgrade: websocket\r\n", reason: "this is a websocket")
    } else if headers.list("Sec-WebSocket-Version") != ["13"] {
      self.init(
        status: "426 Upgrade Required", field: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        reason: "Sec-WebSocket-Version must be 13")
    } else if headers.count(of: "Sec-WebSocket-Key") != 1
      || !WebSocketKey.isValid(headers["Sec-WebSocket-Key"] ?? "")
    {
      self = .malformed("Sec-WebSocket-Key must be 16 bytes in base64, once")
    } else if headers.count(of: "Transfer-Encoding") > 0
      || !headers.list("Content-Length").allSatisfy({ $0 == "0" })
    {
      self = .malformed("an upgrade request has no body")
    } else {
      return nil
    }
  }

  /// Answers and closes; what else lies in the input is not looked at.
  func write(to connection: Connection) {
    let output = connection.output
    output.append("HTTP/1.1 ")
    output.append(status)
    output.append("\r\n")
    output.append(field)
    output.append("Connection: close\r\nContent-Type: application/json\r\nContent-Length: ")
    output.append(integer: reason.utf8CodeUnitCount + 12)
    output.append("\r\n\r\n{\"error\":\"")
    output.append(reason)
    output.append("\"}")
    connection.close()
  }
}
