import ClickHouse
import Configuration
import Core
import Tables

/// A ClickHouse server and how tapes are loaded into it: `clickhouse.…`.
public struct ClickHouseSettings: Equatable, Sendable {
  public struct DaysKept: Equatable, Sendable {
    public var depth = 0
    public var trade = 0
    public var bookTicker = 0
    public var markPrice = 0
    public var kline = 0
    public var liquidation = 0
    public var snapshot = 0
    public var feed = 0
    public var other = 0

    public var byKind: [TableKind: Int] {
      let all: [TableKind: Int] = [
        .depth: depth, .trade: trade, .bookTicker: bookTicker, .markPrice: markPrice, .kline: kline,
        .liquidation: liquidation, .snapshot: snapshot, .feed: feed, .other: other,
      ]
      return all.filter { $0.value > 0 }
    }
  }

  public var url = "http://127.0.0.1:8123"
  public var user = "default"
  public var passwordFile = ""
  public var database = "weir"
  public var cluster = ""
  public var batchRows = 10_000
  public var batchSeconds = 60
  public var timeoutMs = 30_000
  public var backoffMsMin = 500
  public var backoffMsMax = 30_000
  public var daysKept = DaysKept()

  public init() {}

  var bounds: InsertCutter.Bounds {
    InsertCutter.Bounds(rowsMax: batchRows, sliceNs: Int64(batchSeconds) * Nanoseconds.second)
  }

  var valueIssues: [ConfigIssue] {
    var issues: [ConfigIssue] = []
    if let problem = ServerAddress.problem(
      url, credentials: "CLICKHOUSE_PASSWORD or clickhouse.password_file")
    {
      issues.append(ConfigIssue("clickhouse.url", problem))
    } else if url.contains("?") {
      issues.append(
        ConfigIssue("clickhouse.url", "must end with its path: what follows a ? is written by us"))
    }
    for (key, name) in [("database", database), ("cluster", cluster)]
    where !name.isEmpty && !ClickHouseServer.isName(name) {
      issues.append(ConfigIssue("clickhouse.\(key)", "must be of letters, digits and _"))
    }
    if backoffMsMax < backoffMsMin {
      issues.append(ConfigIssue("clickhouse.backoff_ms_max", "must be at least clickhouse.backoff_ms_min"))
    }
    return issues
  }

  /// The server, with `CLICKHOUSE_PASSWORD`, else the password file's first line.
  ///
  /// - Throws: ``ExportError`` for a file that others may read, ``ClickHouseError/setting(_:)``
  public func server(environment: [String: String]) throws -> ClickHouseServer {
    var password = environment["CLICKHOUSE_PASSWORD"] ?? ""
    if password.isEmpty, !passwordFile.isEmpty { password = try ExportCredentials.read(passwordFile) }
    return try ClickHouseServer(
      url: url, user: user, password: password, database: database,
      timeoutNs: Int64(timeoutMs) * Nanoseconds.millisecond)
  }

  public func schema(_ dialect: ClickHouseDialect) throws(ClickHouseError) -> ClickHouseSchema {
    try ClickHouseSchema(
      database: database, cluster: cluster.isEmpty ? nil : cluster, dialect: dialect,
      ttlDays: daysKept.byKind)
  }
}
