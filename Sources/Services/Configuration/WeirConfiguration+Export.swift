import Configuration

extension WeirConfiguration {
  static let exportKeys: [ConfigKey<WeirConfiguration>] = [
    .choice("export.type", \.export.type, "where series are pushed to; also TIMESERIES_TYPE"),
    .text("export.url", \.export.url, "http://HOST:PORT of that server; also TIMESERIES_URL"),
    .integer("export.interval_s", \.export.intervalSeconds, 1...3600, "between two pushes"),
    .integer("export.timeout_ms", \.export.timeoutMs, 10...60_000, "of one request"),
    .integer(
      "export.retries_max", \.export.retriesMax, 0...100, "of one batch; the next batch brings the next try"),
    .integer("export.backoff_ms_min", \.export.backoffMsMin, 1...60_000, "wait after the first failure"),
    .integer("export.backoff_ms_max", \.export.backoffMsMax, 1...600_000, "it doubles up to this"),
    .integer(
      "export.batches_max", \.export.batchesMax, 1...10_000,
      "InfluxDB: batches kept to be delivered late; the oldest go first"),
    .integer("export.influx_version", \.export.influxVersion, 1...2, "2 for /api/v2/write, 1 for /write"),
    .text("export.org", \.export.organization, "InfluxDB 2: organization"),
    .text("export.bucket", \.export.bucket, "InfluxDB 2: bucket"),
    .text("export.database", \.export.database, "InfluxDB 1: database"),
    .text(
      "export.token_file", \.export.tokenFile,
      "file of mode 0600 with the token; TIMESERIES_TOKEN or TIMESERIES_USER and _PASSWORD stand above it"),
    .secret(
      "alerts.webhook_url", \.alertDelivery.webhookURL,
      "http or https address that alerts are posted to; its token is WEIR_ALERT_TOKEN"),
    .integer("alerts.webhook_timeout_ms", \.alertDelivery.timeoutMs, 10...60_000, "of one request"),
    .integer(
      "alerts.webhook_attempts_max", \.alertDelivery.attemptsMax, 1...1000,
      "then a notification is given up"),
    .integer(
      "alerts.webhook_backoff_ms_min", \.alertDelivery.backoffMsMin, 1...60_000,
      "wait after the first failure"),
    .integer(
      "alerts.webhook_backoff_ms_max", \.alertDelivery.backoffMsMax, 1...600_000, "it doubles up to this"),
  ]

  var exportChecks: [ConfigIssue] { export.valueIssues + alertDelivery.valueIssues }

  /// `TIMESERIES_TYPE` and `TIMESERIES_URL` stand above the file and below the command line; then the export
  /// must be whole.
  ///
  /// - Parameter isFixed: whether the command line has set this key.
  /// - Throws: ``ConfigError`` with everything that is wrong with the export.
  public mutating func applyTimeSeriesEnvironment(
    _ environment: [String: String], isFixed: (String) -> Bool
  ) throws(ConfigError) {
    var issues: [ConfigIssue] = []
    if let name = environment["TIMESERIES_TYPE"], !name.isEmpty, !isFixed("export.type") {
      if let type = ExportSettings.Kind(rawValue: name) {
        export.type = type
      } else {
        let known = ExportSettings.Kind.allCases.map(\.rawValue).joined(separator: ", ")
        issues.append(
          ConfigIssue(
            origin: .environment(variable: "TIMESERIES_TYPE"), key: nil,
            "found \"\(name.prefix(40))\"; must be one of \(known)"))
      }
    }
    if let url = environment["TIMESERIES_URL"], !url.isEmpty, !isFixed("export.url") {
      export.url = url
      for issue in export.valueIssues {
        issues.append(
          ConfigIssue(origin: .environment(variable: "TIMESERIES_URL"), key: nil, issue.message))
      }
      if !issues.isEmpty { throw ConfigError(issues) }
    }
    issues += export.issues
    if !issues.isEmpty { throw ConfigError(issues) }
  }
}
