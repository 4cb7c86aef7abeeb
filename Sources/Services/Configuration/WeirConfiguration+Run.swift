import Configuration

extension WeirConfiguration {
  static let runKeys: [ConfigKey<WeirConfiguration>] = [
    .text("run.venue", \.run.venue, "whose market: embedded, live, testnet or an address"),
    .texts("run.symbols", \.run.symbols, count: 1...1024, "instruments of the run"),
    .text("run.rules", \.run.rules, "file of alert rules; empty for the one that comes with Weir"),
    .choice("run.log_format", \.run.logFormat, "of the supervisor's log; auto: JSON unless on a terminal"),
    .integer("run.backoff_ms_min", \.run.backoffMsMin, 1...60_000, "wait before a service's first restart"),
    .integer("run.backoff_ms_max", \.run.backoffMsMax, 1...600_000, "it doubles up to this"),
    .integer(
      "run.restarts_max", \.run.restartsMax, 0...1000,
      "restarts of a service that never became stable in between; then it is given up"),
    .integer(
      "run.stable_s", \.run.stableSeconds, 1...86_400,
      "a service that ran for so long is stable: its restarts count from nothing again"),
    .integer("run.health_s", \.run.healthSeconds, 1...3600, "between two examinations of health"),
    .integer(
      "run.heartbeat_timeout_s", \.run.heartbeatTimeoutSeconds, 2...3600,
      "without a beat a service hangs: it is killed and restarted"),
    .integer("run.stop_grace_s", \.run.stopGraceSeconds, 1...3600, "to drain after SIGTERM; then SIGKILL"),
    .integer(
      "run.ready_timeout_s", \.run.readyTimeoutSeconds, 1...3600, "from a service's start to its work"),
    .integer("run.rss_mb_max", \.run.rssMiBMax, 1...1_048_576, "memory of all processes together, MiB"),
    .integer(
      "run.open_files_max", \.run.openFilesMax, 16...1_048_576, "open files of all processes together"),
    .integer(
      "run.freshness_ms_max", \.run.freshnessMsMax, 100...3_600_000,
      "age of the newest record a live service has done"),
    .integer(
      "run.metrics_port", \.run.metricsPort, 0...65_535,
      "loopback port of the run's /metrics; 0 for a free one"),
    .integer("run.scrape_s", \.run.scrapeSeconds, 1...3600, "between two readings of the services' metrics"),
  ]
}
