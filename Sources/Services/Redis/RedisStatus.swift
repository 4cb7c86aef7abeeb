import Core
import Redis

/// What an operator wants to know of a server and of a stream.
public enum RedisStatus {
  private static let fields = [
    "redis_version", "uptime_in_seconds", "connected_clients", "used_memory", "maxmemory", "maxmemory_policy",
    "loading", "aof_enabled", "evicted_keys",
  ]

  /// Version, memory, and whether what it is given survives its end.
  ///
  /// - Throws: `RedisError`
  public static func server(_ connection: RedisConnection) throws(RedisError) -> [JSONValue.Member] {
    let lines = (try connection.call("INFO").text ?? "").split { $0.isNewline }
    var values: [Substring: Substring] = [:]
    for line in lines {
      guard let colon = line.firstIndex(of: ":") else { continue }
      values[line[..<colon]] = line[line.index(after: colon)...]
    }
    return [.init("redis", .string("\(connection.endpoint)"))]
      + fields.map { field in
        let value = values[Substring(field)].map { String($0) }
        return .init(field, value.map { Int64($0) == nil ? .string($0) : .number($0) } ?? .null)
      }
  }

  /// - Throws: `RedisError`; `foreign` when the key is no tape's stream
  public static func stream(_ stream: RecordStream) throws(RedisError) -> JSONValue {
    let facts = try stream.facts()
    let groups = facts.exists ? try stream.groups() : []
    return .object([
      "name": .string(stream.name), "exists": .bool(facts.exists), "entries": .integer(facts.length),
      "first_seq": facts.first.map { .integer($0.sequence) } ?? .null,
      "last_seq": .integer(facts.last.sequence), "is_finished": .bool(facts.last.isEndMark),
      "groups": .array(
        groups.map { group in
          .object([
            "name": .string(group.name), "delivered_seq": .integer(group.delivered.sequence),
            "acknowledged_seq": .integer(group.acknowledgedSequence), "pending": .integer(group.pending),
            "behind": .integer(facts.last.sequence - group.acknowledgedSequence),
          ])
        }),
    ])
  }
}
