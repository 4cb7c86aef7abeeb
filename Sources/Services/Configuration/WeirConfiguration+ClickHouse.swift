import Configuration

extension WeirConfiguration {
  static let clickHouseKeys: [ConfigKey<WeirConfiguration>] =
    [
      .text("clickhouse.url", \.clickHouse.url, "http://HOST:PORT of the server's HTTP interface"),
      .text("clickhouse.user", \.clickHouse.user, "who asks"),
      .text(
        "clickhouse.password_file", \.clickHouse.passwordFile,
        "file of mode 0600 with the password; CLICKHOUSE_PASSWORD stands above it"),
      .text("clickhouse.database", \.clickHouse.database, "where the tables are"),
      .text("clickhouse.cluster", \.clickHouse.cluster, "replicated and distributed tables on this cluster"),
      .integer("clickhouse.batch_rows", \.clickHouse.batchRows, 1...1_000_000, "rows of an insert"),
      .integer(
        "clickhouse.batch_s", \.clickHouse.batchSeconds, 1...3600,
        "an insert ends after so much of the tape's time, however few rows it has"),
      .integer("clickhouse.timeout_ms", \.clickHouse.timeoutMs, 100...600_000, "of one request"),
      .integer(
        "clickhouse.backoff_ms_min", \.clickHouse.backoffMsMin, 1...60_000, "wait after the first failure"),
      .integer("clickhouse.backoff_ms_max", \.clickHouse.backoffMsMax, 1...600_000, "it doubles up to this"),
    ] + ConfigKey.section("clickhouse.ttl_days", \.clickHouse.daysKept, daysKeptKeys)

  private static let daysKeptKeys: [ConfigKey<ClickHouseSettings.DaysKept>] = [
    days("depth", \.depth), days("trade", \.trade), days("book_ticker", \.bookTicker),
    days("mark_price", \.markPrice), days("kline", \.kline), days("liquidation", \.liquidation),
    days("snapshot", \.snapshot), days("feed", \.feed), days("other", \.other),
  ]

  /// 10,000 days from any time near ours is before 2106, where ClickHouse's `DateTime` ends and a TTL wraps around.
  private static func days(
    _ kind: String, _ field: WritableKeyPath<ClickHouseSettings.DaysKept, Int> & Sendable
  ) -> ConfigKey<ClickHouseSettings.DaysKept> {
    .integer(kind, field, 0...10_000, "days its rows are kept by their own time; 0 for ever")
  }
}
