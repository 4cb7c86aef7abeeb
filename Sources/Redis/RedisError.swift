/// Why a server did not do what it was asked.
public enum RedisError: Error, Equatable, Sendable, CustomStringConvertible {
  /// No connection could be made.
  case unreachable(endpoint: String, reason: String)
  /// A connection broke; what was under way may or may not have been done.
  case lost(endpoint: String, reason: String)
  /// The server lets us not in, or not do this.
  case notAllowed(endpoint: String, reason: String)
  /// The server cannot do it now: it loads its data, has no memory left, or is a replica.
  case unavailable(command: String, reason: String)
  /// The server refuses the command.
  case refused(command: String, reason: String)
  /// An answer, or what lies under a key, is not what it should be.
  case foreign(what: String, reason: String)

  /// Whether the same may work a little later, on a new connection. The others need somebody to act.
  public var isPassing: Bool {
    switch self {
    case .unreachable, .lost, .unavailable: true
    case .notAllowed, .refused, .foreign: false
    }
  }

  public var description: String {
    switch self {
    case .unreachable(let endpoint, let reason):
      "cannot connect to \(endpoint): \(reason); start the server or set redis.url"
    case .lost(let endpoint, let reason): "the connection to \(endpoint) was lost: \(reason)"
    case .notAllowed(let endpoint, let reason):
      "\(endpoint) refuses us: \(reason); check REDIS_PASSWORD (and REDIS_USER), or redis.password_file"
    case .unavailable(let command, let reason):
      "the server cannot do \(command) now: \(reason)"
        + (reason.hasPrefix("OOM")
          ? "; raise its maxmemory (with policy noeviction) or lower redis.stream_records_max" : "")
    case .refused(let command, let reason):
      "the server refuses \(command): \(reason)"
        + (reason.hasPrefix("WRONGTYPE") ? "; the key holds other data: choose another name" : "")
    case .foreign(let what, let reason): "\(what): \(reason)"
    }
  }

  private static let passingCodes: Set<String> = [
    "LOADING", "BUSY", "OOM", "MASTERDOWN", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS", "MISCONF",
  ]
  private static let accessCodes: Set<String> = ["NOAUTH", "WRONGPASS", "NOPERM"]

  /// What an error reply means: its first word is its code.
  static func reply(_ text: String, to command: String, at endpoint: RedisEndpoint) -> RedisError {
    let code = text.prefix { $0 != " " }
    if accessCodes.contains(String(code)) || (command == "AUTH") {
      return .notAllowed(endpoint: "\(endpoint)", reason: text)
    }
    // DENIED: protected mode.
    if code == "DENIED" || code == "-DENIED" { return .notAllowed(endpoint: "\(endpoint)", reason: text) }
    return passingCodes.contains(String(code))
      ? .unavailable(command: command, reason: text) : .refused(command: command, reason: text)
  }
}
