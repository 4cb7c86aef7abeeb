import CRedis
import Core
import Glibc

/// Redis as Weir uses it: a cache that may vanish, a lock that fails closed, and a queue between hosts.
///
/// **Problem.** Other processes want the latest signals within a millisecond; two hosts want one tape. Redis
/// does both, and it is a server: it is slow, full, restarted, misconfigured, and sometimes somebody else's.
///
/// **Why the obvious answer fails.** A client that reconnects by itself hides that a command may have run or
/// not, and repeats it. One command a round trip reaches 19 thousand a second where pipelines reach 570. A
/// cache that is asked for every value costs more than what it saves, and one that isn't invalidated lies.
///
/// **What is done.** ``RedisConnection`` is one blocking socket with timeouts; when anything is wrong with it,
/// it is over, and its owner decides what was done (``RedisBackoff`` says when to come back). Commands go out
/// in pipelines of 100. ``HotCache`` answers from the process's own memory for 200 ms and is told by the
/// server's client-side tracking when a value was replaced. ``RedisLocks`` knows a third outcome beside "held"
/// and "taken": "unknown", which is no lock. ``RecordStream`` carries a tape so that its copy is the same bytes.
///
/// **Bounds.** One command waits at most the timeout; a pipeline holds 100 commands; the process's own cache
/// holds a stated number of symbols.
///
/// Client: hiredis. It is used for connecting and for reading answers; commands are written by
/// ``RedisPipeline``. Not thread-safe: one owner.
public final class RedisConnection {
  public let endpoint: RedisEndpoint
  private var context: UnsafeMutablePointer<redisContext>?
  private let timeoutMs: Int

  /// Connects, authenticates, selects the database, and makes sure that the server answers.
  ///
  /// - Parameter timeoutMs: of connecting, and of each answer.
  /// - Throws: ``RedisError``
  public init(
    _ endpoint: RedisEndpoint, credentials: RedisCredentials = .none, timeoutMs: Int = 1000
  ) throws(RedisError) {
    self.endpoint = endpoint
    self.timeoutMs = timeoutMs
    // The library writes by write(2): to a server that has gone it would end the process.
    signal(SIGPIPE, SIG_IGN)
    let limit = timeval(tv_sec: timeoutMs / 1000, tv_usec: timeoutMs % 1000 * 1000)
    let made: UnsafeMutablePointer<redisContext>? =
      switch endpoint.place {
      case .host(let host, let port): redisConnectWithTimeout(host, Int32(port), limit)
      case .socket(let path): redisConnectUnixWithTimeout(path, limit)
      }
    guard let made else { throw .unreachable(endpoint: "\(endpoint)", reason: "out of memory") }
    context = made
    if made.pointee.err != 0 {
      let reason = RedisConnection.reason(made)
      close()
      throw .unreachable(endpoint: "\(endpoint)", reason: reason)
    }
    redisSetTimeout(made, limit)
    _ = fcntl(made.pointee.fd, F_SETFD, FD_CLOEXEC)
    if let password = credentials.password {
      _ = try call(["AUTH"] + (credentials.user.map { [$0] } ?? []) + [password])
    }
    if endpoint.database != 0 { _ = try call("SELECT", String(endpoint.database)) }
    _ = try call("PING")
  }

  deinit { close() }

  public var isOpen: Bool { context != nil }

  public func close() {
    if let context { redisFree(context) }
    context = nil
  }

  /// Asks one thing. An error reply is thrown.
  @discardableResult
  public func call(_ words: String...) throws(RedisError) -> RedisReply { try call(words) }

  /// See ``call(_:)-swift.method``.
  @discardableResult
  public func call(_ words: [String]) throws(RedisError) -> RedisReply {
    var pipeline = RedisPipeline(commandsMax: 1)
    pipeline.add(words)
    let reply = try send(&pipeline)[0]
    if case .error(let text) = reply { throw .reply(text, to: words[0], at: endpoint) }
    return reply
  }

  /// Sends the pipeline, empties it, and gives the answers in order, error replies among them.
  ///
  /// - Throws: ``RedisError/lost(endpoint:reason:)``; the connection is over then, and what was done is unknown.
  public func send(_ pipeline: inout RedisPipeline) throws(RedisError) -> [RedisReply] {
    let context = try open()
    let count = pipeline.count
    defer { pipeline.removeAll() }
    let bytes = pipeline.wire.bytes
    let appended = redisAppendFormattedCommand(
      context, bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
    if appended != REDIS_OK { throw failure(context) }
    var replies: [RedisReply] = []
    replies.reserveCapacity(count)
    for _ in 0..<count {
      var raw: UnsafeMutableRawPointer?
      guard redisGetReply(context, &raw) == REDIS_OK, let raw else { throw failure(context) }
      replies.append(RedisConnection.take(raw))
    }
    return replies
  }

  /// A message the server sent unasked, to a connection that is subscribed; nil when none came in time.
  public func nextMessage(timeoutMs: Int = 0) throws(RedisError) -> RedisReply? {
    let context = try open()
    var raw: UnsafeMutableRawPointer?
    while true {
      guard redisGetReplyFromReader(context, &raw) == REDIS_OK else { throw failure(context) }
      if let raw { return RedisConnection.take(raw) }
      var waiting = pollfd(fd: context.pointee.fd, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, Int32(clamping: timeoutMs)) > 0 else { return nil }
      guard redisBufferRead(context) == REDIS_OK else { throw failure(context) }
    }
  }

  private func open() throws(RedisError) -> UnsafeMutablePointer<redisContext> {
    guard let context else { throw .lost(endpoint: "\(endpoint)", reason: "it is closed") }
    return context
  }

  /// The connection is over: an answer that comes late would be taken for the next one's.
  private func failure(_ context: UnsafeMutablePointer<redisContext>) -> RedisError {
    let isLate = context.pointee.err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK)
    let reason = isLate ? "no answer within \(timeoutMs) ms" : RedisConnection.reason(context)
    close()
    return .lost(endpoint: "\(endpoint)", reason: reason)
  }

  private static func take(_ raw: UnsafeMutableRawPointer) -> RedisReply {
    let reply = RedisReply(UnsafePointer(raw.assumingMemoryBound(to: redisReply.self)))
    freeReplyObject(raw)
    return reply
  }

  private static func reason(_ context: UnsafeMutablePointer<redisContext>) -> String {
    withUnsafeBytes(of: &context.pointee.errstr) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
