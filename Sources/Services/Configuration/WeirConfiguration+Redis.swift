import Configuration

extension WeirConfiguration {
  static let redisKeys: [ConfigKey<WeirConfiguration>] = [
    .text("redis.url", \.redis.url, "redis://HOST:PORT[/DB] or unix:///PATH[?db=DB]"),
    .text(
      "redis.password_file", \.redis.passwordFile,
      "file of mode 0600 with the password; REDIS_PASSWORD (and REDIS_USER) stand above it"),
    .text("redis.prefix", \.redis.prefix, "what all keys but streams begin with"),
    .text(
      "redis.stream", \.redis.stream, "key of the stream to which a run's service publish sends its tape"),
    .integer("redis.timeout_ms", \.redis.timeoutMs, 200...5000, "of connecting, and of each answer"),
    .integer("redis.backoff_ms_min", \.redis.backoffMsMin, 1...60_000, "wait after the first failure"),
    .integer("redis.backoff_ms_max", \.redis.backoffMsMax, 1...600_000, "it doubles up to this"),
    .integer("redis.pipeline_commands_max", \.redis.pipelineCommandsMax, 4...1000, "sent at once"),
    .integer("redis.ttl_s", \.redis.lifeSeconds, 3...10, "life of a signal's key without a new row"),
    .integer("redis.cost_ttl_s", \.redis.costLifeSeconds, 300...900, "life of a cost's key"),
    .integer("redis.l1_ms", \.redis.localMs, 0...10_000, "how long a process's own copy answers"),
    .integer(
      "redis.l1_symbols_max", \.redis.localSymbolsMax, 1...4096,
      "values a process keeps: the most active ones"),
    .integer(
      "redis.stream_records_max", \.redis.streamRecordsMax, 1000...1_000_000_000,
      "records of a tape's stream that are not acknowledged; then its publisher waits"),
  ]
}
