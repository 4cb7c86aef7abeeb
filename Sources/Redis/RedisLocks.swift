import Core

/// Locks that end by themselves, such as a symbol's cooldown over all hosts.
///
/// `SET key token NX PX ms` takes one; it is given back or extended only by whoever holds its token, compared and
/// deleted by the server in one step, because between a client's own look and its delete the lock may have
/// expired and become another's. Source: "Distributed Locks with Redis", single instance.
///
/// **When the server is down** nobody gets a lock: ``Outcome/unknown(_:)`` must be treated as "not held" (fail
/// closed). A lock that is held then runs out by itself. A server that loses its memory forgets its locks, so
/// a lock here keeps two from doing the same, and never protects what must not happen twice.
public struct RedisLocks {
  public enum Outcome: Equatable {
    case held
    /// Another token's.
    case taken
    /// The server could not be asked: no lock.
    case unknown(RedisError)
  }

  private let connection: RedisConnection
  private let keys: RedisKeys

  public init(_ connection: RedisConnection, keys: RedisKeys = RedisKeys()) {
    self.connection = connection
    self.keys = keys
  }

  /// - Parameter token: the holder's own; no two holders may use the same.
  public func acquire(_ name: String, symbol: String, token: String, lifeMs: Int) -> Outcome {
    outcome { () throws(RedisError) in
      try connection.call(
        "SET", keys.lock(name, symbol: symbol), token, "NX", "PX", String(lifeMs)) != .null
    }
  }

  /// Gives a lock more time, from now.
  public func extend(_ name: String, symbol: String, token: String, lifeMs: Int) -> Outcome {
    let script =
      "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
    return outcome { () throws(RedisError) in
      try connection.call(
        "EVAL", script, "1", keys.lock(name, symbol: symbol), token, String(lifeMs)) == .integer(1)
    }
  }

  /// - Returns: ``Outcome/held`` when it was ours until now, ``Outcome/taken`` when it had run out before.
  public func release(_ name: String, symbol: String, token: String) -> Outcome {
    let script =
      "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
    return outcome { () throws(RedisError) in
      try connection.call("EVAL", script, "1", keys.lock(name, symbol: symbol), token) == .integer(1)
    }
  }

  private func outcome(_ body: () throws(RedisError) -> Bool) -> Outcome {
    do throws(RedisError) { return try body() ? .held : .taken } catch { return .unknown(error) }
  }
}
