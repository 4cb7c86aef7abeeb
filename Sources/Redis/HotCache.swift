import Core

/// The latest signals, for readers that ask often: the process's own memory, then the server, then, while the
/// server is down, what the memory held last.
///
/// **Invalidation.** The server's client-side tracking in broadcasting mode: a second connection subscribes to
/// `__redis__:invalidate` and is told of every key under the prefix that was written, deleted or has expired.
/// What it was told is taken in before each answer, so a value is not used after the message that replaced it
/// has arrived, and never for longer than its 200 ms. A server without tracking (before 6.0) leaves the 200 ms
/// alone as the bound; ``isTracked`` tells. (The library speaks protocol 2, hence the second connection.)
///
/// Times are given by the caller: nanoseconds of any clock that doesn't go back.
public final class HotCache {
  public struct Found: Equatable {
    public enum Source: String, Sendable {
      /// The process's own memory.
      case local
      case server
      /// The process's own memory, beyond its time, because the server cannot be asked.
      case localWhileDown = "local_while_down"
    }

    /// The signal row as JSON.
    public var value: [UInt8]
    public var source: Source
    /// Since the server gave it; 0 when it just did.
    public var ageNs: Int64
  }

  public enum Lookup: Equatable {
    case found(Found)
    /// The server has none: it was never written, or has expired.
    case absent
    case unavailable(RedisError)
  }

  public struct Counts: Equatable, Sendable {
    public var local = 0
    public var server = 0
    public var absent = 0
    /// Answered from memory because the server could not be asked: misses.
    public var whileDown = 0
    public var unavailable = 0
    public var invalidations = 0
    public var connections = 0
  }

  public private(set) var counts = Counts()
  public private(set) var isTracked = false
  private let connect: () throws(RedisError) -> RedisConnection
  private let keys: RedisKeys
  private var cache: LocalCache
  private var backoff: RedisBackoff
  private var connection: RedisConnection?
  private var messages: RedisConnection?
  private var lastError = RedisError.unreachable(endpoint: "the server", reason: "it was not asked yet")
  private static let channel = "__redis__:invalidate"

  /// - Parameter connect: makes a connection; called again, with a backoff, after one is lost.
  public init(
    cache: LocalCache, backoff: RedisBackoff, keys: RedisKeys = RedisKeys(),
    connect: @escaping () throws(RedisError) -> RedisConnection
  ) {
    self.cache = cache
    self.backoff = backoff
    self.keys = keys
    self.connect = connect
  }

  /// The latest signal row of a symbol.
  ///
  /// - Complexity: from memory one `poll(2)`; else one round trip.
  public func signal(for symbol: String, nowNs: Int64) -> Lookup {
    takeInvalidations()
    let remembered = cache.value(symbol, nowNs)
    if case .fresh(let value, let ageNs) = remembered {
      counts.local += 1
      return .found(Found(value: value, source: .local, ageNs: ageNs))
    }
    do throws(RedisError) {
      guard let reply = try ask(symbol, nowNs).bytes else {
        counts.absent += 1
        return .absent
      }
      cache.store(symbol, reply, nowNs)
      counts.server += 1
      return .found(Found(value: reply, source: .server, ageNs: 0))
    } catch {
      lastError = error
      guard case .old(let value, let ageNs) = remembered else {
        counts.unavailable += 1
        return .unavailable(error)
      }
      counts.whileDown += 1
      return .found(Found(value: value, source: .localWhileDown, ageNs: ageNs))
    }
  }

  private func ask(_ symbol: String, _ nowNs: Int64) throws(RedisError) -> RedisReply {
    if connection == nil {
      guard backoff.isDue(nowNs) else { throw lastError }
      do throws(RedisError) {
        try open()
        backoff.succeeded()
      } catch {
        backoff.failed(nowNs)
        close()
        throw error
      }
    }
    do throws(RedisError) { return try connection!.call("GET", keys.signal(symbol)) } catch {
      // A refused command (a foreign type under the key) says nothing against the connection.
      if error.isPassing { close() }
      throw error
    }
  }

  private func open() throws(RedisError) {
    let connection = try connect()
    let messages = try connect()
    guard let id = try messages.call("CLIENT", "ID").integer else {
      throw .foreign(what: "CLIENT ID", reason: "the answer is no number")
    }
    try messages.call("SUBSCRIBE", HotCache.channel)
    do throws(RedisError) {
      try connection.call(
        "CLIENT", "TRACKING", "ON", "REDIRECT", String(id), "BCAST", "PREFIX", keys.signalPrefix)
      isTracked = true
    } catch {
      guard case .refused = error else { throw error }
      isTracked = false
    }
    self.connection = connection
    self.messages = messages
    counts.connections += 1
  }

  private func close() {
    connection = nil
    messages = nil
    isTracked = false
    cache.invalidateAll()
  }

  private func takeInvalidations() {
    while let messages {
      do throws(RedisError) {
        guard let message = try messages.nextMessage() else { return }
        take(message)
      } catch {
        lastError = error
        close()
      }
    }
  }

  /// `["message", "__redis__:invalidate", [keys]]`; no keys after FLUSHALL.
  private func take(_ message: RedisReply) {
    guard let elements = message.elements, elements.count == 3, elements[0].text == "message" else { return }
    guard let names = elements[2].elements else { return cache.invalidateAll() }
    for name in names {
      guard let symbol = name.text.flatMap({ keys.symbol(ofSignal: $0) }) else { continue }
      counts.invalidations += 1
      cache.invalidate(symbol)
    }
  }
}
