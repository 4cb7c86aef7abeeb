import Core
import Glibc

/// Bounds of an ``HTTPClient``. Times in nanoseconds.
public struct HTTPClientOptions: Sendable {
  /// What addresses that begin with `/` are completed with, as `http://host:port` or with a path.
  public var baseURL: String?
  /// More requests than so many at once to one server wait for their turn.
  public var connectionsPerHostMax = 8
  /// More than so many waiting requests are refused.
  public var waitingMax = 1024
  /// For each address of a server, TCP and TLS together.
  public var connectTimeoutNs = 10 * Nanoseconds.second
  /// For a whole request, waiting and connecting included, where the request names no other.
  public var requestTimeoutNs = 30 * Nanoseconds.second
  /// Unused connections are closed after so long.
  public var idleNs = 30 * Nanoseconds.second
  public var headBytesMax = 64 << 10
  public var bodyBytesMax = 64 << 20
  /// Sent with each request, unless it has fields of the same name.
  public var headers: HTTPHeaders = ["User-Agent": "weir"]

  public init() {}
}

/// An HTTP/1.1 client on a loop, with a pool of connections for each server.
///
/// One request at a time on a connection (pipelining makes one slow answer everybody's). A connection is used
/// again where both sides allow it. Such a connection may be closed by the server at the moment it is used:
/// an idempotent request (GET, HEAD, OPTIONS, PUT, DELETE) whose connection dies before a byte of the answer
/// is sent once more on a new one; nothing else is ever sent twice. Redirects are not followed and answers
/// are not decompressed: what arrives is what the caller gets.
///
/// The client must be held; released or closed, it answers what is open with ``NetError/cancelled``.
public final class HTTPClient {
  public typealias Answer = (Result<HTTPResponse, NetError>) -> Void
  private let core: HTTPClientCore

  /// - Parameter tls: for `https`; nil for the system's authorities.
  public init(on loop: EventLoop, options: HTTPClientOptions = HTTPClientOptions(), tls: TLSContext? = nil) {
    core = HTTPClientCore(loop, options, tls)
  }

  deinit { core.close() }

  /// Sends a request.
  ///
  /// `Host`, `Content-Length` and connection handling are the client's to write; fields of those names are
  /// dropped.
  ///
  /// - Parameters:
  ///   - url: `http://host:port/path?query`, already percent-encoded, or a path after the base URL.
  ///   - timeoutNs: for the whole request; nil for the options' default.
  ///   - answer: called once, in a later turn. Any status is a success: only the transport can fail.
  public func request(
    _ method: String, _ url: String, headers: HTTPHeaders = [:], body: [UInt8] = [],
    timeoutNs: Int64? = nil, answer: @escaping Answer
  ) {
    core.request(method, url, headers, body, timeoutNs, answer)
  }

  /// Ends all requests with ``NetError/cancelled`` and all connections. Later requests are refused the same
  /// way.
  public func close() { core.close() }

  /// Open connections, used and unused.
  public var connectionCount: Int { core.connectionCount }
  /// Requests that wait for a connection.
  public var waitingCount: Int { core.waitingCount }
}

/// A request on its way.
final class HTTPJob {
  let origin: HTTPURL.Origin
  let method: String
  /// Method and address, for messages.
  let name: String
  /// Head and body as they are sent.
  let bytes: [UInt8]
  var answer: HTTPClient.Answer?
  var timer: TimerID?
  /// It has been sent once before, on a connection that was dead.
  var isSecondTry = false
  weak var connection: HTTPClientConnection?

  init(_ origin: HTTPURL.Origin, _ method: String, _ name: String, _ bytes: [UInt8]) {
    self.origin = origin
    self.method = method
    self.name = name
    self.bytes = bytes
  }

  var isIdempotent: Bool { ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"].contains(method) }
}

/// The pools. Connections and timers reach it while it lives.
final class HTTPClientCore {
  struct Pool {
    var open: [ObjectIdentifier: HTTPClientConnection] = [:]
    /// Unused ones, the last used at the end.
    var idle: [HTTPClientConnection] = []
    var connecting = 0
    var waiting: [HTTPJob] = []
  }

  let options: HTTPClientOptions
  weak var loop: EventLoop?
  private var tls: TLSContext?
  private var pools: [HTTPURL.Origin: Pool] = [:]
  private(set) var waitingCount = 0
  private var isClosed = false

  init(_ loop: EventLoop, _ options: HTTPClientOptions, _ tls: TLSContext?) {
    self.loop = loop
    self.options = options
    self.tls = tls
  }

  var connectionCount: Int { pools.values.reduce(0) { $0 + $1.open.count } }

  func request(
    _ method: String, _ url: String, _ headers: HTTPHeaders, _ body: [UInt8], _ timeoutNs: Int64?,
    _ answer: @escaping HTTPClient.Answer
  ) {
    guard let loop else { return }
    let timeoutNs = timeoutNs ?? options.requestTimeoutNs
    do throws(NetError) {
      let url = try HTTPURL(url, base: options.baseURL)
      let bytes = try HTTPClientCore.write(method, url, headers, options.headers, body)
      if isClosed { throw .cancelled }
      guard waitingCount < options.waitingMax else {
        throw .system("queue more than \(options.waitingMax) requests", EAGAIN)
      }
      let job = HTTPJob(url.origin, method, "\(method) \(url.origin)\(url.target)", bytes)
      job.answer = answer
      job.timer = loop.after(timeoutNs) { [weak self, weak job] in
        guard let self, let job else { return }
        job.timer = nil
        self.fail(job, .timeout(job.name))
      }
      enqueue(job)
    } catch {
      loop.soon { answer(.failure(error)) }
    }
  }

  static func write(
    _ method: String, _ url: HTTPURL, _ headers: HTTPHeaders, _ defaults: HTTPHeaders, _ body: [UInt8]
  ) throws(NetError) -> [UInt8] {
    guard HTTPText.isToken(method.utf8) else { throw .badHeader(method) }
    var text = "\(method) \(url.target) HTTP/1.1\r\nHost: \(url.origin.authority)\r\n"
    let ours = ["host", "content-length", "transfer-encoding", "connection"]
    let all = headers.fields + defaults.fields.filter { headers[$0.name] == nil }
    for field in all where !ours.contains(where: { HTTPHeaders.same($0, field.name) }) {
      guard HTTPText.isSendable(field) else { throw .badHeader(field.name) }
      text += "\(field.name): \(field.value)\r\n"
    }
    if !body.isEmpty || ["POST", "PUT", "PATCH"].contains(method) {
      text += "Content-Length: \(body.count)\r\n"
    }
    return Array((text + "\r\n").utf8) + body
  }

  // MARK: Pool

  private func enqueue(_ job: HTTPJob, first: Bool = false) {
    pools[job.origin, default: Pool()].waiting.insert(
      job, at: first ? 0 : pools[job.origin]?.waiting.count ?? 0)
    waitingCount += 1
    pump(job.origin)
  }

  /// Gives waiting requests to unused connections, and opens new ones as far as allowed.
  private func pump(_ origin: HTTPURL.Origin) {
    while let pool = pools[origin], let job = pool.waiting.first {
      guard loop != nil else { return fail(job, .cancelled) }
      if !job.isSecondTry, let connection = pool.idle.last {
        pools[origin]!.idle.removeLast()
        takeFirst(origin)
        connection.send(job)
      } else if pool.open.count + pool.connecting < options.connectionsPerHostMax {
        guard pool.connecting < pool.waiting.count else { return }
        connect(origin)
      } else if job.isSecondTry, let stale = pool.idle.first {
        stale.close()
      } else {
        return
      }
    }
    tidy(origin)
  }

  @discardableResult
  private func takeFirst(_ origin: HTTPURL.Origin) -> HTTPJob {
    waitingCount -= 1
    return pools[origin]!.waiting.removeFirst()
  }

  private func tidy(_ origin: HTTPURL.Origin) {
    guard let pool = pools[origin] else { return }
    if pool.open.isEmpty, pool.connecting == 0, pool.waiting.isEmpty { pools[origin] = nil }
  }

  private func connect(_ origin: HTTPURL.Origin) {
    guard let loop else { return }
    pools[origin]!.connecting += 1
    do throws(NetError) {
      if origin.isSecure, tls == nil { tls = try TLSContext() }
    } catch {
      return loop.soon { [weak self] in self?.connected(origin, .failure(error)) }
    }
    Connector.connect(
      host: origin.host, port: origin.port, tls: origin.isSecure ? tls : nil, on: loop,
      timeoutNs: options.connectTimeoutNs
    ) { [weak self] result in
      guard let self else {
        if case .success(let connection) = result { connection.abort() }
        return
      }
      connected(origin, result)
    }
  }

  private func connected(_ origin: HTTPURL.Origin, _ result: Result<Connection, NetError>) {
    pools[origin]?.connecting -= 1
    switch result {
    case .failure(let error):
      // One attempt, one request: others may have a connection of their own coming.
      if let job = pools[origin]?.waiting.first { fail(job, error) }
    case .success(let connection):
      guard !isClosed, let waiting = pools[origin]?.waiting else { return connection.abort() }
      let served = HTTPClientConnection(connection, origin, self)
      pools[origin]!.open[ObjectIdentifier(served)] = served
      if waiting.isEmpty {
        served.rest()
        pools[origin]!.idle.append(served)
      } else {
        served.send(takeFirst(origin))
      }
    }
    pump(origin)
    tidy(origin)
  }

  /// A connection has delivered its answer and can be used again.
  func isFree(_ connection: HTTPClientConnection) {
    pools[connection.origin]?.idle.append(connection)
    pump(connection.origin)
  }

  func isGone(_ connection: HTTPClientConnection) {
    let origin = connection.origin
    pools[origin]?.open[ObjectIdentifier(connection)] = nil
    pools[origin]?.idle.removeAll { $0 === connection }
    pump(origin)
    tidy(origin)
  }

  func again(_ job: HTTPJob) {
    job.isSecondTry = true
    job.connection = nil
    enqueue(job, first: true)
  }

  // MARK: Answers

  func finish(_ job: HTTPJob, _ result: Result<HTTPResponse, NetError>) {
    if let timer = job.timer { loop?.cancel(timer) }
    job.timer = nil
    guard let answer = job.answer else { return }
    job.answer = nil
    answer(result)
  }

  private func fail(_ job: HTTPJob, _ error: NetError) {
    if let connection = job.connection {
      connection.giveUp()
    } else if let index = pools[job.origin]?.waiting.firstIndex(where: { $0 === job }) {
      pools[job.origin]!.waiting.remove(at: index)
      waitingCount -= 1
    }
    tidy(job.origin)
    finish(job, .failure(error))
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    let all = pools
    pools = [:]
    waitingCount = 0
    // Answers come in a later turn, also here.
    var jobs = all.values.flatMap { $0.waiting }
    for connection in all.values.flatMap({ $0.open.values }) {
      if let job = connection.job { jobs.append(job) }
      connection.giveUp()
    }
    for job in jobs {
      if let timer = job.timer { loop?.cancel(timer) }
      guard let answer = job.answer else { continue }
      job.answer = nil
      loop?.soon { answer(.failure(.cancelled)) }
    }
  }
}
