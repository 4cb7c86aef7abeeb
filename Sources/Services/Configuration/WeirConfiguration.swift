import Binance
import Broker
import Configuration
import Core
import Flow
import Report
import Store
import Strategy
import Tape

/// Everything a user can configure, with its defaults.
public struct WeirConfiguration: Sendable {
  /// An instrument's decimals, where they should not be learnt from its first frame.
  public struct InstrumentDecimals: Equatable, Sendable {
    public var price = 2
    public var quantity = 3
  }

  public struct TapeSettings: Equatable, Sendable {
    public enum Sync: String, CaseIterable, Sendable {
      case none, interval, batch
    }

    public var sync = Sync.batch
    public var syncIntervalMs = 1000
    public var compressesClosedSegments = true
    public var diskFreeMiBMin = 64
  }

  public struct SinkSettings: Equatable, Sendable {
    public enum JSONLSync: String, CaseIterable, Sendable {
      case none, batch
    }

    public enum SQLiteSync: String, CaseIterable, Sendable {
      case normal, full
    }

    public var jsonlSync = JSONLSync.none
    public var sqliteSync = SQLiteSync.normal
    public var sqliteBatchRowsMax = 1000
  }

  public var signal = SignalConfiguration()
  /// Between two checkpoints of the live signal stage.
  public var checkpointSeconds = 10
  public var venues = Venues()
  public var harvest = HarvestConfiguration()
  public var run = RunConfiguration()
  public var tape = TapeSettings()
  public var sink = SinkSettings()
  public var parquet = ParquetSettings()
  public var export = ExportSettings()
  public var alertDelivery = AlertDeliverySettings()
  public var broker = BrokerConfiguration()
  public var retention = RetentionPolicy()
  /// Days of reports are cut at midnight of this zone: an IANA name or an offset such as +08:00.
  public var reportTimeZone = "UTC"
  public var reportIntervalSeconds = 60
  public var instruments: [String: InstrumentDecimals] = [:]
  /// Where the parameter file is, as it was written.
  public var parametersPath: String?
  /// What the parameter file is; its values are in ``signal``.
  public var parameters: ScenarioFile.Facts?

  public init() {}

  /// What a harvester is told, with the decimals that are configured.
  public var harvestConfiguration: HarvestConfiguration {
    var configuration = harvest
    configuration.instruments = instruments.mapValues {
      Instrument(priceScale: DecimalScale($0.price), quantityScale: DecimalScale($0.quantity))
    }
    return configuration
  }

  /// The instruments given by name; others are learnt.
  public var instrumentTable: InstrumentTable {
    InstrumentTable(
      configured: instruments.mapValues {
        Instrument(priceScale: DecimalScale($0.price), quantityScale: DecimalScale($0.quantity))
      })
  }
}

extension WeirConfiguration {
  var sinkOptions: SignalSinkSet.Options {
    var options = SignalSinkSet.Options()
    options.syncPolicy = sink.jsonlSync == .batch ? .batch : .none
    options.synchronous = sink.sqliteSync == .full ? .full : .normal
    options.sqliteBatchRowsMax = sink.sqliteBatchRowsMax
    return options
  }

  /// Written rows survive a power cut, and so should what says how far they reach.
  var sinksAreDurable: Bool { sink.jsonlSync == .batch || sink.sqliteSync == .full }

  func reportOptions() throws -> ReportOptions {
    var options = ReportOptions(utcOffsetSeconds: try ReportTimeZone.utcOffsetSeconds(reportTimeZone))
    options.rowStrideMs = signal.flow.rowIntervalMs
    options.ofiWindowMs = signal.flow.ofiWindowMs
    options.cvdWindowMs = signal.flow.cvdWindowMs
    options.divergenceStrideMs = signal.divergence.strideMs
    options.scoreThresholds = [signal.flow.fusion.base.signal, signal.flow.fusion.base.strong]
    return options
  }

  public var tapeOptions: TapeWriter.Options {
    var options = TapeWriter.Options()
    switch tape.sync {
    case .none: options.fsync = .none
    case .batch: options.fsync = .batch
    case .interval: options.fsync = .interval(milliseconds: tape.syncIntervalMs)
    }
    options.compressClosedSegments = tape.compressesClosedSegments
    options.diskFreeMinBytes = Int64(tape.diskFreeMiBMin) << 20
    return options
  }
}

extension WeirConfiguration {
  /// The key table: what `config/defaults.yaml`, `WEIR__…` variables and `--set` may say.
  public static let schema = ConfigSchema(
    defaults: WeirConfiguration(),
    keys: runKeys + venueKeys + harvestKeys + flowKeys + fusionKeys + gateKeys + strategyKeys
      + parameterKeys + scenarioKeys + divergenceKeys + brokerKeys + storageKeys
      + exportKeys + parquetKeys + retentionKeys,
    maps: [
      ConfigMap(
        "instruments", \.instruments, names: .symbol, element: InstrumentDecimals(),
        fields: [
          .integer("price_decimals", \.price, 0...12, "decimals of its prices"),
          .integer("quantity_decimals", \.quantity, 0...12, "decimals of its quantities"),
        ], "decimals of instruments whose first frame should not decide them")
    ]
  ).validate(checks)

  private static let flowKeys: [ConfigKey<WeirConfiguration>] = [
    .integer("flow.row_interval_ms", \.signal.flow.rowIntervalMs, 10...60_000, "tape time between two rows"),
    .integer("flow.ofi_window_ms", \.signal.flow.ofiWindowMs, 100...600_000, "OFI window"),
    .integer("flow.cvd_window_ms", \.signal.flow.cvdWindowMs, 100...600_000, "CVD delta window"),
    .integer("flow.history_ms", \.signal.flow.historyMs, 10_000...86_400_000, "history a value is judged by"),
    .integer("flow.history_stride_ms", \.signal.flow.historyStrideMs, 10...60_000, "distance of its samples"),
    .integer(
      "flow.warmup_ms", \.signal.flow.warmupMs, 1000...86_400_000, "history needed before the first z"),
    .choice(
      "flow.ofi_method", \.signal.flow.ofiMethod,
      "levels by flow.weights, the best one alone, or along their first principal component"),
    .integer("flow.levels", \.signal.flow.levels, 1...FlowConfiguration.levelsMax, "book levels in the OFI"),
    .doubles(
      "flow.weights", \.signal.flow.weights, 0...1, count: 1...FlowConfiguration.levelsMax,
      "weight of each level, best first; normalised"),
    .choice("flow.standardization", \.signal.flow.standardization, "how a value is judged"),
    .double("flow.z_clip", \.signal.flow.zClip, 1...100, "bound of z in the output"),
    .double(
      "flow.scale_floor_ratio", \.signal.flow.scaleFloorRatio, 0...1, "floor of the scale for sd and mad"),
    .choice("flow.cvd_reset", \.signal.flow.cvdReset, "when the running CVD returns to zero"),
    .integer(
      "signal.idle_rows_s_max", \.signal.idleRowsSecondsMax, 1...86_400,
      "longer silences of the whole tape are not filled with rows"),
    .integer(
      "signal.checkpoint_s", \.checkpointSeconds, 1...3600,
      "between two checkpoints, from which a killed signal stage goes on"),
  ]

  private static let fusionKeys: [ConfigKey<WeirConfiguration>] = [
    .double("fusion.weight_ofi", \.signal.flow.fusion.weightOFI, 0...1, "weight of OFI in the score"),
    .double("fusion.weight_cvd", \.signal.flow.fusion.weightCVD, 0...1, "weight of CVD in the score"),
    .double(
      "fusion.lag_ms_max", \.signal.flow.fusion.lagMaxMs, 0...60_000, "a factor later by more stands aside"),
    .double(
      "fusion.stale_ms", \.signal.flow.fusion.staleMs, 0...600_000, "a factor silent for longer stands aside"),
    .double("fusion.base.signal", \.signal.flow.fusion.base.signal, 0...10, "|score| of a signal"),
    .double("fusion.base.strong", \.signal.flow.fusion.base.strong, 0...10, "|score| of a strong signal"),
    .double(
      "fusion.active.signal", \.signal.flow.fusion.active.signal, 0...10, "the same in an active market"),
    .double(
      "fusion.active.strong", \.signal.flow.fusion.active.strong, 0...10, "the same in an active market"),
    .double("fusion.quiet.signal", \.signal.flow.fusion.quiet.signal, 0...10, "the same in a quiet market"),
    .double("fusion.quiet.strong", \.signal.flow.fusion.quiet.strong, 0...10, "the same in a quiet market"),
    .double(
      "fusion.hysteresis_ratio", \.signal.flow.fusion.hysteresisRatio, 0...1,
      "a type is kept down to this share of its threshold"),
    .integer(
      "fusion.hysteresis_expiry_ms", \.signal.flow.fusion.hysteresisExpiryMs, 0...600_000,
      "and for at most this long below it"),
    .integer(
      "fusion.cooldown_ms", \.signal.flow.fusion.cooldownMs, 0...60_000, "between two changes of type"),
    .integer(
      "fusion.cooldown_strong_ms", \.signal.flow.fusion.cooldownStrongMs, 0...60_000,
      "the same at the strong threshold"),
    .double(
      "fusion.flip_margin", \.signal.flow.fusion.flipMargin, 0...10,
      "a reversal this far beyond the threshold does not wait"),
  ]

  private static let gateKeys: [ConfigKey<WeirConfiguration>] = [
    .double(
      "gates.missing_ratio_max", \.signal.gates.missingRatioMax, 0...1, "missing messages over a minute"),
    .double("gates.lag_ms_max", \.signal.gates.lagMsMax, 0...60_000, "event latency"),
    .double(
      "gates.staleness_ms_max", \.signal.gates.stalenessMsMax, 0...600_000, "silence of the connection"),
    .double("gates.spread_bps_max", \.signal.gates.spreadBpsMax, 0...10_000, "spread in basis points"),
    .double("gates.consistency_min", \.signal.gates.consistencyMin, 0...1, "agreement of OFI and CVD"),
    .double("gates.score_min", \.signal.gates.scoreMin, 0...10, "|score| below which a row is weak"),
    .integer("gates.resync_cooldown_ms", \.signal.gates.resyncCooldownMs, 0...3_600_000, "after a resync"),
    .integer(
      "gates.reconnect_cooldown_ms", \.signal.gates.reconnectCooldownMs, 0...3_600_000, "after a reconnect"),
    .integer(
      "gates.reverse_cooldown_ms", \.signal.gates.reverseCooldownMs, 0...3_600_000,
      "between confirmed signals of opposite direction"),
    .integer(
      "gates.dedupe_ms", \.signal.gates.dedupeMs, 0...3_600_000, "between confirmed signals of one type"),
  ]

  private static let storageKeys: [ConfigKey<WeirConfiguration>] = [
    .choice("tape.fsync", \.tape.sync, "when appended records are made durable"),
    .integer("tape.fsync_interval_ms", \.tape.syncIntervalMs, 1...60_000, "for fsync: interval"),
    .boolean("tape.compress", \.tape.compressesClosedSegments, "closed segments become zstd"),
    .integer("tape.disk_free_mib_min", \.tape.diskFreeMiBMin, 0...1_048_576, "writing stops below this"),
    .text("report.time_zone", \.reportTimeZone, "zone whose midnight cuts the daily reports; also REPORT_TZ"),
    .choice("sink.jsonl_fsync", \.sink.jsonlSync, "when JSONL rows are made durable"),
    .choice("sink.sqlite_synchronous", \.sink.sqliteSync, "SQLite's synchronous pragma"),
    .integer("sink.sqlite_batch_rows_max", \.sink.sqliteBatchRowsMax, 1...100_000, "rows a transaction"),
  ]

  /// What single ranges cannot say.
  @Sendable
  private static func checks(_ root: WeirConfiguration) -> [ConfigIssue] {
    var issues: [ConfigIssue] = []
    let flow = root.signal.flow
    func demand(_ holds: Bool, _ key: String, _ message: String) {
      if !holds { issues.append(ConfigIssue(key, message)) }
    }
    demand(
      flow.weights.count >= flow.levels, "flow.weights",
      "needs a weight for each of flow.levels = \(flow.levels)")
    demand(flow.weights.prefix(flow.levels).reduce(0, +) > 0, "flow.weights", "must not all be 0")
    demand(flow.weights[0] > 0, "flow.weights", "must give level 1 a weight above 0")
    demand(
      flow.historyStrideMs % flow.rowIntervalMs == 0, "flow.history_stride_ms",
      "must be a multiple of flow.row_interval_ms = \(flow.rowIntervalMs)")
    demand(
      flow.historyMs / flow.historyStrideMs <= FlowConfiguration.historySamplesMax, "flow.history_ms",
      "holds more than \(FlowConfiguration.historySamplesMax) samples; raise flow.history_stride_ms")
    demand(
      flow.historyMs / flow.historyStrideMs >= 10, "flow.history_ms", "holds fewer than 10 samples")
    demand(
      flow.warmupMs <= flow.historyMs, "flow.warmup_ms", "must not exceed flow.history_ms = \(flow.historyMs)"
    )
    demand(
      flow.historyMs >= 60 * max(flow.ofiWindowMs, flow.cvdWindowMs), "flow.history_ms",
      "must span at least 60 aggregation windows, or z values judge a window by a handful of independent ones"
    )
    demand(
      flow.fusion.weightOFI + flow.fusion.weightCVD > 0, "fusion.weight_ofi",
      "and fusion.weight_cvd must not both be 0")
    for (name, thresholds) in [
      ("base", flow.fusion.base), ("active", flow.fusion.active), ("quiet", flow.fusion.quiet),
    ] {
      demand(
        thresholds.strong >= thresholds.signal, "fusion.\(name).strong",
        "must be at least fusion.\(name).signal")
    }
    demand(
      flow.fusion.cooldownStrongMs <= flow.fusion.cooldownMs, "fusion.cooldown_strong_ms",
      "must not exceed fusion.cooldown_ms")
    for issue in root.harvest.issues { demand(false, "harvest." + issue.key, issue.message) }
    for issue in root.run.issues { demand(false, "run." + issue.key, issue.message) }
    return issues + root.strategyChecks + root.exportChecks + root.retentionChecks
  }
}
