import Configuration
import Redis

/// Redis as it is configured: `redis.…`; the password comes by `REDIS_PASSWORD` or a file.
public struct RedisSettings: Equatable, Sendable {
  public var url = "redis://127.0.0.1:6379"
  public var passwordFile = ""
  /// What all keys but streams begin with.
  public var prefix = "weir:"
  /// The key to which a run publishes its tape.
  public var stream = "weir:tape"
  /// Of connecting, and of each answer.
  public var timeoutMs = 1000
  public var backoffMsMin = 100
  public var backoffMsMax = 5000
  public var pipelineCommandsMax = 100
  /// A signal's key is gone after so long without a new row.
  public var lifeSeconds = 5
  public var costLifeSeconds = 600
  /// How long a process's own copy of a value answers.
  public var localMs = 200
  public var localSymbolsMax = 64
  /// Records in a stream; a publisher waits when so many are not acknowledged.
  public var streamRecordsMax = 1_000_000

  public init() {}

  public var keys: RedisKeys { RedisKeys(prefix: prefix) }

  /// What is wrong with single values.
  var issues: [ConfigIssue] {
    var issues: [ConfigIssue] = []
    do { _ = try RedisEndpoint(url) } catch { issues.append(ConfigIssue("redis.url", error.description)) }
    if backoffMsMax < backoffMsMin {
      issues.append(ConfigIssue("redis.backoff_ms_max", "must be at least redis.backoff_ms_min"))
    }
    if prefix.contains("{") || prefix.contains("}") {
      issues.append(ConfigIssue("redis.prefix", "must not hold braces: they mark what a cluster hashes"))
    }
    return issues
  }

  /// Makes connections with the password of the environment or the file.
  ///
  /// - Throws: `RedisCredentials.Problem`, `RedisEndpoint.Problem`
  public func connector(environment: [String: String]) throws -> RedisConnector {
    RedisConnector(
      endpoint: try RedisEndpoint(url),
      credentials: try RedisCredentials.load(environment: environment, passwordFile: passwordFile),
      timeoutMs: timeoutMs)
  }

  /// - Parameter seed: of the jitter.
  func backoff(seed: UInt64) -> RedisBackoff {
    RedisBackoff(msMin: backoffMsMin, msMax: backoffMsMax, seed: seed)
  }
}

/// How a server is reached.
public struct RedisConnector: Sendable {
  public var endpoint: RedisEndpoint
  var credentials: RedisCredentials
  var timeoutMs: Int

  /// - Throws: `RedisError`
  public func connect() throws(RedisError) -> RedisConnection {
    try RedisConnection(endpoint, credentials: credentials, timeoutMs: timeoutMs)
  }
}
