/// What a server's SQL can do.
public enum ClickHouseDialect: String, Sendable, CaseIterable {
  /// From 22 on: codecs, TTL, `DateTime64`, `LowCardinality`, insert deduplication by token.
  case modern
  /// Before: plain tables and views; what has arrived is asked before anything is sent again. Known to work
  /// with 18.16.
  case legacy

  /// - Parameter version: what `SELECT version()` says, `26.9.2.1`. One that is no version counts as new.
  public init(version: String) {
    let major = version.split(separator: ".").first.flatMap { Int($0) }
    self = (major ?? .max) >= 22 ? .modern : .legacy
  }
}
