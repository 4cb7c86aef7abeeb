import Configuration

/// The time-series export as it is configured: `export.…`, `TIMESERIES_TYPE` and `TIMESERIES_URL`.
public struct ExportSettings: Equatable, Sendable {
  public enum Kind: String, CaseIterable, Sendable {
    case none, prometheus, influxdb
  }

  public var type = Kind.none
  /// `http://HOST:PORT`, with a path where the server stands behind one.
  public var url = ""
  public var intervalSeconds = 60
  /// Of one request, connecting included.
  public var timeoutMs = 5000
  /// After these the next batch brings the next try.
  public var retriesMax = 5
  public var backoffMsMin = 1000
  public var backoffMsMax = 30_000
  /// InfluxDB only: batches that are kept to be delivered late. A Pushgateway gets the latest only.
  public var batchesMax = 120
  /// `/api/v2/write`, or `/write` of version 1.
  public var influxVersion = 2
  public var organization = ""
  public var bucket = ""
  public var database = ""
  public var tokenFile = ""

  public init() {}

  /// What must hold before an export starts; file and environment together decide it.
  public var issues: [ConfigIssue] {
    var issues = valueIssues
    func demand(_ holds: Bool, _ key: String, _ message: String) {
      if !holds { issues.append(ConfigIssue(key, message)) }
    }
    guard type != .none else { return issues }
    demand(
      !url.isEmpty, "export.url", "is needed for export.type \(type.rawValue); TIMESERIES_URL sets it too")
    if type == .influxdb {
      if influxVersion == 2 {
        demand(!organization.isEmpty, "export.org", "is needed for InfluxDB version 2")
        demand(!bucket.isEmpty, "export.bucket", "is needed for InfluxDB version 2")
      } else {
        demand(!database.isEmpty, "export.database", "is needed for InfluxDB version 1")
      }
    }
    return issues
  }

  /// What is wrong with single values.
  var valueIssues: [ConfigIssue] {
    var issues: [ConfigIssue] = []
    if let problem = ServerAddress.problem(url, credentials: "TIMESERIES_TOKEN or export.token_file") {
      issues.append(ConfigIssue("export.url", problem))
    } else if url.contains("?") {
      issues.append(ConfigIssue("export.url", "must end with its path: what follows a ? is written by us"))
    }
    if backoffMsMax < backoffMsMin {
      issues.append(ConfigIssue("export.backoff_ms_max", "must be at least export.backoff_ms_min"))
    }
    return issues
  }
}

/// Where alerts are delivered: `alerts.webhook_…`.
public struct AlertDeliverySettings: Equatable, Sendable {
  /// A secret: many receivers know their callers by the address alone.
  public var webhookURL: String?
  /// Of one request, connecting included.
  public var timeoutMs = 5000
  /// Then a notification is given up: half a second, doubled up to a minute, 20 times is 13 minutes.
  public var attemptsMax = 20
  public var backoffMsMin = 500
  public var backoffMsMax = 60_000

  public init() {}

  var valueIssues: [ConfigIssue] {
    var issues: [ConfigIssue] = []
    if let problem = ServerAddress.problem(webhookURL ?? "", credentials: "WEIR_ALERT_TOKEN") {
      issues.append(ConfigIssue("alerts.webhook_url", problem))
    }
    if backoffMsMax < backoffMsMin {
      issues.append(
        ConfigIssue("alerts.webhook_backoff_ms_max", "must be at least alerts.webhook_backoff_ms_min"))
    }
    return issues
  }
}

/// Addresses of servers that are not the exchange's.
enum ServerAddress {
  /// What is wrong with an address, without showing it: it may hold a password. Nil for a good or empty one.
  ///
  /// - Parameter credentials: where they belong instead.
  static func problem(_ url: String, credentials: String) -> String? {
    if url.isEmpty { return nil }
    let lower = url.lowercased()
    guard let scheme = ["http://", "https://"].first(where: { lower.hasPrefix($0) }) else {
      return "must begin with http:// or https://"
    }
    let rest = url.dropFirst(scheme.count)
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    if authority.contains("@") {
      return "must not hold credentials; give them by \(credentials)"
    }
    if authority.isEmpty || authority.hasPrefix(":") { return "names no host; write \(scheme)HOST:PORT" }
    if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]"),
      UInt16(authority[authority.index(after: colon)...]) ?? 0 == 0
    {
      return "names no port between 1 and 65535"
    }
    if rest.contains("#") { return "must not hold a #" }
    guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      return "must be ASCII without spaces; encode others as %XX"
    }
    return nil
  }

  /// Without slashes at the end, so that a path can follow.
  static func base(_ url: String) -> String {
    var url = url
    while url.hasSuffix("/") { url.removeLast() }
    return url
  }
}
