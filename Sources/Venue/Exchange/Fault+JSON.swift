import Core

extension Fault {
  static let kinds = [
    "drop", "duplicate", "reorder", "delay", "silence", "cut", "refuse_connections", "clock_skew",
    "slow_snapshot", "stale_snapshot", "wrong_snapshot", "rate_limit", "ban", "rest_error", "rest_drop",
  ]

  /// A fault from its JSON form, e.g. `{"fault":"drop","stream":"btcusdt@depth@100ms","count":3}`.
  ///
  /// `at_ms` is not part of the fault and is left to ``TimedFault``. `count` is 1 where it is left out.
  /// - Throws: ``FaultError`` that names the key and what would do.
  public init(json: JSONValue) throws(FaultError) {
    guard let members = json.members, let kind = json["fault"]?.text else { throw .notAnObject }
    var keys = Set(members.map(\.key)).subtracting(["fault", "at_ms"])
    func integer(_ key: String, default value: Int64? = nil) throws(FaultError) -> Int64 {
      keys.remove(key)
      guard let found = json[key] else {
        if let value { return value }
        throw .missing(key, in: kind)
      }
      guard let number = found.integer else { throw .missing("\(key)\" as a whole number", in: kind) }
      return number
    }
    func count() throws(FaultError) -> Int { Int(clamping: try integer("count", default: 1)) }
    func stream() throws(FaultError) -> String {
      keys.remove("stream")
      guard let name = json["stream"]?.text else { throw .missing("stream", in: kind) }
      return name
    }
    switch kind {
    case "drop": self = .drop(stream: try stream(), count: try count())
    case "duplicate": self = .duplicate(stream: try stream(), count: try count())
    case "reorder": self = .reorder(stream: try stream(), count: try count())
    case "delay":
      self = .delay(stream: try stream(), delayMs: try integer("ms"), durationMs: try integer("duration_ms"))
    case "silence": self = .silence(stream: try stream(), durationMs: try integer("duration_ms"))
    case "cut":
      keys.subtract(["sessions", "manner", "code", "reason"])
      self = .cut(try Fault.sessions(json["sessions"]), try Fault.manner(json))
    case "refuse_connections": self = .refuseConnections(durationMs: try integer("duration_ms"))
    case "clock_skew": self = .clockSkew(ms: try integer("ms"))
    case "slow_snapshot": self = .slowSnapshot(delayMs: try integer("delay_ms"), count: try count())
    case "stale_snapshot": self = .staleSnapshot(count: try count())
    case "wrong_snapshot": self = .wrongSnapshot(count: try count())
    case "rate_limit":
      self = .rateLimit(
        durationMs: try integer("duration_ms"), retryAfterS: try integer("retry_after_s", default: 1))
    case "ban": self = .ban(durationMs: try integer("duration_ms"))
    case "rest_error": self = .restError(count: try count())
    case "rest_drop": self = .restDrop(count: try count())
    default: throw .unknownKind(kind)
    }
    if let key = keys.sorted().first { throw .unknownKey(key, in: kind) }
    try check()
  }

  private static func sessions(_ value: JSONValue?) throws(FaultError) -> Sessions {
    guard let value else { return .all }
    if let index = value.integer { return .index(Int(clamping: index)) }
    guard let name = value.text else { throw .unknownSessions(value.text()) }
    return name == "all" ? .all : .root(name)
  }

  private static func manner(_ json: JSONValue) throws(FaultError) -> CloseManner {
    switch json["manner"]?.text ?? "close" {
    case "close":
      guard let code = UInt16(exactly: json["code"]?.integer ?? 1001) else {
        throw .outOfRange("code", json["code"]?.integer ?? 0, 1000...4999)
      }
      return .code(code, json["reason"]?.text ?? "")
    case "abort": return .abort
    case "stall": return .stall
    case let other: throw .unknownManner(other)
    }
  }

  /// The form that ``init(json:)`` reads.
  public var json: JSONValue { .object(members) }

  var members: [JSONValue.Member] {
    func make(_ kind: String, _ members: KeyValuePairs<String, JSONValue> = [:]) -> [JSONValue.Member] {
      [JSONValue.Member("fault", .string(kind))] + members.map { JSONValue.Member($0.key, $0.value) }
    }
    switch self {
    case .drop(let stream, let count):
      return make("drop", ["stream": .string(stream), "count": .integer(count)])
    case .duplicate(let stream, let count):
      return make("duplicate", ["stream": .string(stream), "count": .integer(count)])
    case .reorder(let stream, let count):
      return make("reorder", ["stream": .string(stream), "count": .integer(count)])
    case .delay(let stream, let delay, let duration):
      return make(
        "delay", ["stream": .string(stream), "ms": .integer(delay), "duration_ms": .integer(duration)])
    case .silence(let stream, let duration):
      return make("silence", ["stream": .string(stream), "duration_ms": .integer(duration)])
    case .cut(let sessions, let manner):
      let which: JSONValue =
        switch sessions {
        case .all: .string("all")
        case .index(let index): .integer(index)
        case .root(let name): .string(name)
        }
      switch manner {
      case .code(let code, let reason):
        return make(
          "cut",
          [
            "sessions": which, "manner": .string("close"), "code": .integer(code), "reason": .string(reason),
          ])
      case .abort: return make("cut", ["sessions": which, "manner": .string("abort")])
      case .stall: return make("cut", ["sessions": which, "manner": .string("stall")])
      }
    case .refuseConnections(let duration):
      return make("refuse_connections", ["duration_ms": .integer(duration)])
    case .clockSkew(let ms): return make("clock_skew", ["ms": .integer(ms)])
    case .slowSnapshot(let delay, let count):
      return make("slow_snapshot", ["delay_ms": .integer(delay), "count": .integer(count)])
    case .staleSnapshot(let count): return make("stale_snapshot", ["count": .integer(count)])
    case .wrongSnapshot(let count): return make("wrong_snapshot", ["count": .integer(count)])
    case .rateLimit(let duration, let retry):
      return make("rate_limit", ["duration_ms": .integer(duration), "retry_after_s": .integer(retry)])
    case .ban(let duration): return make("ban", ["duration_ms": .integer(duration)])
    case .restError(let count): return make("rest_error", ["count": .integer(count)])
    case .restDrop(let count): return make("rest_drop", ["count": .integer(count)])
    }
  }
}
