import Core
import Net
import Redis
import Store
import Telemetry

/// What a cache service is asked to do.
public struct HotCacheOptions: Sendable {
  public var runFolder: String
  public var source: SignalFeed.Source
  public var follow: FollowOptions
  public var settings: RedisSettings
  public var connector: RedisConnector

  public init(
    runFolder: String, source: SignalFeed.Source, follow: FollowOptions = FollowOptions(),
    settings: RedisSettings, connector: RedisConnector
  ) {
    self.runFolder = runFolder
    self.source = source
    self.follow = follow
    self.settings = settings
    self.connector = connector
  }
}

/// Follows a run's signals and keeps each symbol's latest row and features in Redis.
///
/// Of the rows that come in one slice, or while the server is down, a symbol's last one is written: readers want
/// the latest. Nothing is kept on disk: a start begins with the newest hour of the rows, since older ones
/// would have expired.
public final class HotCacheService: SignalConsumer {
  private let options: HotCacheOptions
  private let follower: SignalFollower
  private let feed: SignalFeed
  private var writer: HotCacheWriter
  private var pipeline: RedisPipeline
  private var backoff: RedisBackoff
  private var connection: RedisConnection?
  private var failures = 0
  private var lastError: RedisError?
  private let note: (String) -> Void
  private let registry = MetricRegistry()
  private static let retryNs = 100 * Nanoseconds.millisecond

  public init(_ options: HotCacheOptions, note: @escaping (String) -> Void) throws {
    self.options = options
    self.note = note
    follower = try SignalFollower(options.follow)
    feed = SignalFeed(
      runFolder: options.runFolder, source: options.source, confirmedOnly: false,
      from: HotCacheService.newestHour(options.runFolder, options.source))
    writer = HotCacheWriter(lifeSeconds: options.settings.lifeSeconds, keys: options.settings.keys)
    pipeline = RedisPipeline(commandsMax: options.settings.pipelineCommandsMax)
    backoff = options.settings.backoff(seed: HarvestService.seedFromClock())
  }

  private static func newestHour(_ runFolder: String, _ source: SignalFeed.Source) -> SignalPosition {
    let names = (try? Files.list(SignalFiles.jsonlFolder(runFolder))) ?? []
    let hours = names.compactMap { name -> String? in
      guard name.hasPrefix("signals-") else { return nil }
      return [SignalFiles.openSuffix, SignalFiles.finishedSuffix].first { name.hasSuffix($0) }.map {
        String(name.dropLast($0.utf8.count))
      }
    }
    guard source == .jsonl, let newest = hours.max() else { return SignalPosition() }
    return SignalPosition(.line(file: newest, offset: 0), rows: 0)
  }

  /// Writes until it is told to stop.
  ///
  /// - Parameter print: says a line of JSON where there is no supervisor.
  /// - Throws: `RedisError` for what will not pass, such as a wrong password
  public func run(print: @escaping (JSONValue) -> Void) throws {
    follower.every(HotCacheService.retryNs) { [unowned self] in try write() }
    try follower.run(
      self, runFolder: options.runFolder, sources: [options.source],
      ready: [.init("redis", .string("\(options.connector.endpoint)"))], print: print)
    if options.follow.isOnce, writer.waitingSymbols > 0, let lastError { throw lastError }
    follower.say(options.follow.isSupervised ? .object(["summary": summary]) : summary, print)
  }

  func consume(rowsMax: Int, isLast: Bool) throws -> Int {
    var taken = 0
    loop: while taken < rowsMax {
      switch try feed.step(isLast: isLast) {
      case .idle: break loop
      case .passed: continue
      case .row(let row):
        taken += 1
        writer.add(
          symbol: row.symbolName, signal: Array(row.json.text().utf8),
          features: Array(row.features.text().utf8))
      }
    }
    try write()
    return taken
  }

  /// Writes what waits, if there is a connection or it is time to try one.
  private func write() throws {
    let now = EventLoop.monotonicNow()
    guard writer.waitingSymbols > 0, connection != nil || backoff.isDue(now) else { return }
    do {
      let open = try connection ?? options.connector.connect()
      connection = open
      try writer.write(to: open, pipeline: &pipeline)
      if backoff.failures > 0 { note("works again after \(backoff.failures) failures") }
      backoff.succeeded()
    } catch let error as RedisError where error.isPassing {
      if backoff.failures == 0 { note("\(error); each symbol's latest row waits, and it is tried again") }
      connection = nil
      lastError = error
      failures += 1
      backoff.failed(EventLoop.monotonicNow())
    }
  }

  // MARK: Telling

  var beat: JSONValue {
    .object([
      "seq": .integer(feed.rowsRead), "time_ns": .integer(feed.newestTime?.rawValue ?? 0),
      "bytes_behind": .integer(feed.bytesBehind), "is_connected": .bool(connection != nil),
    ])
  }

  func writeMetrics(into writer: inout ByteWriter) {
    func total(_ name: String, _ help: String, _ value: Int64) {
      registry.counter(name, help).set(total: Double(value))
    }
    total("weir_redis_cache_rows_total", "Signal rows read.", feed.rowsRead)
    total("weir_redis_cache_written_total", "Symbols' latest rows written.", Int64(self.writer.written))
    total(
      "weir_redis_cache_superseded_total", "Rows replaced before they were written.",
      Int64(self.writer.superseded))
    total("weir_redis_cache_failures_total", "Connections lost or not made.", Int64(failures))
    registry.gauge("weir_redis_cache_connected", "1 while there is a connection.").set(
      connection == nil ? 0 : 1)
    registry.gauge("weir_redis_cache_waiting_symbols", "Symbols whose latest row is not written.").set(
      Double(self.writer.waitingSymbols))
    registry.write(into: &writer)
  }

  private var summary: JSONValue {
    .object([
      "rows": .integer(feed.rowsRead), "written": .integer(writer.written),
      "superseded": .integer(writer.superseded), "waiting": .integer(writer.waitingSymbols),
      "failures": .integer(failures),
    ])
  }
}

extension StoredRow {
  /// The row as its line in a sink.
  var json: JSONValue {
    .object(SignalColumn.allCases.map { .init("\($0.name)", self[$0].json) })
  }

  private static let featureColumns: [SignalColumn] = [
    .symbol, .recvNs, .score, .zOFI, .zCVD, .ofi, .cvd, .consistency, .dispersion, .price, .spreadBps, .lagMs,
    .stalenessMs, .regime, .mode, .qualityFlags,
  ]

  /// What the row was decided by, with the tape's `seq`.
  var features: JSONValue {
    let sequence = text(.traceID).flatMap { Int64($0, radix: 16) }
    return .object(
      [.init("seq", sequence.map { .integer($0) } ?? .null)]
        + StoredRow.featureColumns.map { .init("\($0.name)", self[$0].json) })
  }
}
