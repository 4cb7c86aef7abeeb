import Configuration

extension WeirConfiguration {
  static let retentionKeys: [ConfigKey<WeirConfiguration>] =
    RetainedKind.allCases.map { kind in
      .integer(
        "storage.retention_days.\(kind.rawValue)", \.retention[kind], 0...36_500, documentation(of: kind))
    } + [
      .integer(
        "storage.disk_high_pct", \.retention.diskHighPercent, 0...100,
        "share of the disk in use from which weir gc removes the oldest data; 0: never"),
      .integer("storage.disk_low_pct", \.retention.diskLowPercent, 0...100, "share at which that ends"),
      .integer(
        "storage.disk_minimum_age_h", \.retention.diskMinimumAgeHours, 0...876_000,
        "what is younger does not go for want of space"),
      .integer(
        "storage.compact_after_days", \.retention.compactAfterDays, 0...36_500,
        "days after which a day's hourly Parquet files become one; 0: never"),
      .boolean(
        "storage.keep_until_converted", \.retention.keepsUntilConverted,
        "a segment of the tape stays until its rows are in Parquet"),
    ]

  private static func documentation(of kind: RetainedKind) -> String {
    switch kind {
    case .tape: "days after which weir gc removes segments of the tape; 0: never"
    case .runSignals: "the same for a run's hourly signal lines"
    case .runReports: "the same for a run's reports, by their last change"
    case .runLogs: "the same for a run's logs, by their last change"
    default: "the same for Parquet of this kind"
    }
  }

  var retentionChecks: [ConfigIssue] {
    guard retention.diskLowPercent > retention.diskHighPercent else { return [] }
    return [
      ConfigIssue(
        "storage.disk_low_pct", "must not exceed storage.disk_high_pct = \(retention.diskHighPercent)")
    ]
  }

  /// What `weir gc` goes by.
  public var retentionPolicy: RetentionPolicy {
    var policy = retention
    policy.segmentsAreCompressed = tape.compressesClosedSegments
    return policy
  }
}
