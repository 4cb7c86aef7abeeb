import Core
import Net

/// Where a server is and who asks it. The password shows itself nowhere: not in descriptions, not in mirrors.
public struct ClickHouseServer: Sendable, CustomStringConvertible, CustomReflectable {
  /// `http://host:port` or `https://…`, without a slash at the end.
  public var url: String
  public var user: String
  private let password: String
  public var database: String
  /// Of one request, connecting included.
  public var timeoutNs: Int64

  /// - Throws: ``ClickHouseError/setting(_:)`` for a password that a header cannot carry, or a database whose
  ///   name is not of letters, digits and `_`.
  public init(
    url: String, user: String = "default", password: String = "", database: String = "weir",
    timeoutNs: Int64 = 30 * Nanoseconds.second
  ) throws(ClickHouseError) {
    guard password.utf8.count <= 4096, password.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
      throw .setting("ClickHouse's password must be of printable ASCII characters, at most 4096")
    }
    guard ClickHouseServer.isName(database) else {
      throw .setting("\"\(database)\" cannot be a database here: use letters, digits and _")
    }
    var url = url
    while url.hasSuffix("/") { url.removeLast() }
    self.url = url
    self.user = user
    self.password = password
    self.database = database
    self.timeoutNs = timeoutNs
  }

  /// Names that need no quoting and no escaping anywhere.
  public static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 64, !(0x30...0x39).contains(first) else {
      return false
    }
    return text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: true
      default: false
      }
    }
  }

  var headers: HTTPHeaders {
    var headers: HTTPHeaders = ["User-Agent": "weir", "X-ClickHouse-User": user]
    if !password.isEmpty { headers.add("X-ClickHouse-Key", password) }
    return headers
  }

  func redact(_ text: String) -> String { password.isEmpty ? text : text.replacing(password, with: "***") }

  public var description: String { "\(url) as \(user), database \(database)" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// ClickHouse's HTTP interface on a loop: statements, and inserts of RowBinary.
///
/// A statement travels as the request's body, an insert's statement in the address and its rows as the body.
/// Whether a failed request did its work is unknown unless the server itself refused; this client never sends
/// anything twice.
public final class ClickHouseClient {
  public typealias Answer = (Result<HTTPResponse, ClickHouseError>) -> Void

  public let server: ClickHouseServer
  private let loop: EventLoop
  private let http: HTTPClient

  public init(on loop: EventLoop, server: ClickHouseServer, tls: TLSContext? = nil) {
    self.loop = loop
    self.server = server
    var options = HTTPClientOptions()
    options.connectionsPerHostMax = 2
    options.connectTimeoutNs = server.timeoutNs
    options.requestTimeoutNs = server.timeoutNs
    options.bodyBytesMax = 256 << 20
    // ClickHouse closes its side after 3 to 10 s.
    options.idleNs = 2 * Nanoseconds.second
    http = HTTPClient(on: loop, options: options, tls: tls)
  }

  /// Runs a statement.
  ///
  /// - Parameters:
  ///   - inDatabase: false for statements about databases themselves.
  ///   - answer: called once, in a later turn.
  public func execute(
    _ sql: String, settings: KeyValuePairs<String, String> = [:], inDatabase: Bool = true,
    timeoutNs: Int64? = nil, answer: @escaping Answer
  ) {
    send(settings.map { ($0.key, $0.value) }, inDatabase, [:], Array(sql.utf8), timeoutNs, answer)
  }

  /// Sends rows.
  ///
  /// - Parameters:
  ///   - sql: `INSERT INTO … FORMAT RowBinary`
  ///   - encoding: of the body, as `Content-Encoding` says it.
  ///   - queryID: two requests of one id never run at the same time.
  public func insert(
    _ sql: String, settings: [(String, String)], queryID: String, body: [UInt8], encoding: String,
    answer: @escaping Answer
  ) {
    let parameters = [("query", sql), ("query_id", queryID)] + settings
    send(parameters, true, ["Content-Encoding": encoding], body, nil, answer)
  }

  private func send(
    _ parameters: [(String, String)], _ inDatabase: Bool, _ headers: HTTPHeaders, _ body: [UInt8],
    _ timeoutNs: Int64?, _ answer: @escaping Answer
  ) {
    let all = (inDatabase ? [("database", server.database)] : []) + parameters
    let query = all.map { $0.0 + "=" + ClickHouseClient.percentEncoded($0.1) }.joined(separator: "&")
    var fields = server.headers
    for field in headers.fields { fields.add(field.name, field.value) }
    http.request(
      "POST", server.url + "/" + (query.isEmpty ? "" : "?" + query), headers: fields, body: body,
      timeoutNs: timeoutNs
    ) { [server] result in
      switch result {
      case .failure(let error): answer(.failure(.transport(server.redact("\(error)"))))
      case .success(let response):
        guard let error = ClickHouseError.found(in: response) else { return answer(.success(response)) }
        if case .server(let code, let status, let message) = error {
          answer(.failure(.server(code: code, status: status, server.redact(message))))
        } else {
          answer(.failure(error))
        }
      }
    }
  }

  /// Runs a statement and turns the loop until its answer is there.
  ///
  /// - Returns: the answer's text.
  public func run(
    _ sql: String, settings: KeyValuePairs<String, String> = [:], inDatabase: Bool = true,
    timeoutNs: Int64? = nil
  ) throws(ClickHouseError) -> String {
    // A connection that the server has closed meanwhile is noticed before it is used.
    loop.turn(waitNs: 0)
    var result: Result<HTTPResponse, ClickHouseError>?
    execute(sql, settings: settings, inDatabase: inDatabase, timeoutNs: timeoutNs) { result = $0 }
    while result == nil { loop.turn(waitNs: 100 * Nanoseconds.millisecond) }
    return try result!.get().text
  }

  /// One turn of its loop, for callers that wait for an answer.
  func turn() { loop.turn(waitNs: 50 * Nanoseconds.millisecond) }

  /// Runs a statement and gives its rows, each as its fields; `nil` for NULL.
  ///
  /// - Parameter sql: without `FORMAT`.
  public func rows(_ sql: String, timeoutNs: Int64? = nil) throws(ClickHouseError) -> [[String?]] {
    let text = try run(sql + " FORMAT TabSeparated", timeoutNs: timeoutNs)
    return text.split(separator: "\n").map { line in
      line.split(separator: "\t", omittingEmptySubsequences: false).map { field in
        field == "\\N" ? nil : field.contains("\\") ? TabSeparated.unescaped(field) : String(field)
      }
    }
  }

  public func dialect() throws(ClickHouseError) -> ClickHouseDialect {
    let version = try run("SELECT version()", inDatabase: false)
    return ClickHouseDialect(version: String(version.prefix { $0 != "\n" }.filter { $0 != "\"" }))
  }

  /// RFC 3986, 2.3.
  static func percentEncoded(_ text: String) -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
      default:
        let digits = Array("0123456789ABCDEF".utf8)
        bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// ClickHouse's TabSeparated format.
enum TabSeparated {
  static func unescaped(_ field: Substring) -> String {
    var bytes: [UInt8] = []
    var isEscape = false
    for byte in field.utf8 {
      guard isEscape else {
        if byte == 0x5C { isEscape = true } else { bytes.append(byte) }
        continue
      }
      isEscape = false
      switch byte {
      case 0x6E: bytes.append(0x0A)
      case 0x74: bytes.append(0x09)
      case 0x72: bytes.append(0x0D)
      case 0x30: bytes.append(0)
      case 0x62: bytes.append(8)
      case 0x66: bytes.append(12)
      default: bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
