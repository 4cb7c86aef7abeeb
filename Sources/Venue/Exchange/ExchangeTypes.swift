import Core

/// A websocket connection's number, given by whoever holds the socket.
public struct SessionID: Hashable, Sendable {
  public var rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }
}

/// A REST request as far as the exchange looks at it.
public struct VenueRequest: Sendable {
  /// `GET`, `POST`, `PUT` or `DELETE`.
  public var method: String
  /// Path and query, as in the request line.
  public var target: String
  /// The header `X-MBX-APIKEY`.
  public var apiKey: String?
  /// A form (`a=1&b=2`), or JSON for the control paths.
  public var body: [UInt8]
  /// The header `Authorization`.
  public var authorization: String?

  public init(
    method: String, target: String, apiKey: String? = nil, body: [UInt8] = [], authorization: String? = nil
  ) {
    self.method = method
    self.target = target
    self.apiKey = apiKey
    self.body = body
    self.authorization = authorization
  }
}

/// What to answer a REST request with, and when.
public struct VenueResponse: Sendable {
  public var status: Int
  public var headers: [(name: String, value: String)]
  public var body: [UInt8]
  /// The answer is held back for so long (an injected fault).
  public var delayNs: Int64 = 0
  /// The connection is dropped without an answer (an injected fault).
  public var isDropped = false

  init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8]) {
    self.status = status
    self.headers = [("Content-Type", "application/json")] + headers
    self.body = body
  }

  init(status: Int = 200, _ json: JSONValue) {
    var writer = ByteWriter()
    json.write(to: &writer)
    self.init(status: status, body: Array(writer.bytes))
  }
}

/// Whether a websocket handshake succeeds.
public enum SessionOpening: Sendable {
  case accepted
  case refused(VenueResponse)
}

/// How a connection ends.
public enum CloseManner: Equatable, Sendable {
  /// A websocket close frame with this code and reason.
  case code(UInt16, String)
  /// The TCP connection is reset.
  case abort
  /// Half-open: the socket stays, nothing is read from it or written to it any more.
  case stall
}

/// An error as the exchange's REST interface reports it.
struct VenueError: Error {
  var status = 400
  var code: Int
  var message: String

  init(_ code: Int, _ message: String, status: Int = 400) {
    self.code = code
    self.message = message
    self.status = status
  }

  var response: VenueResponse {
    VenueResponse(status: status, .object(["code": .integer(code), "msg": .string(message)]))
  }

  static let invalidSymbol = VenueError(-1121, "Invalid symbol.")
  static func missing(_ name: String) -> VenueError {
    VenueError(-1102, "Mandatory parameter '\(name)' was not sent, was empty/null, or malformed.")
  }
}
