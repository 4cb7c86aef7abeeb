import Core
import Net

/// Pushes a run's series to a Prometheus Pushgateway or an InfluxDB, once every interval.
///
/// **Problem.** A desk watches runs in its own time-series database. That database is somebody else's
/// machine: it may be gone for an hour, hang, or refuse; the run must not notice, and the desk should miss
/// nothing that can still be told.
///
/// **Why the obvious answer fails.** Both receivers are pushed to, but they keep different things. InfluxDB
/// keeps points with their own times, so a batch that comes late is as good as one in time. A Pushgateway
/// keeps the last push and gives it the time of the scrape, so a late batch would be shown as the present.
///
/// **Algorithm.** One ``OrderedDelivery`` with the receiver's own bound: up to ``ExportSettings/batchesMax``
/// batches wait for InfluxDB and go out in order when it is back; one waits for the Pushgateway, always the
/// latest. The gateway gets PUT, which replaces the whole group, so that a series that ended is gone.
///
/// **Bounds.** One request at a time of at most ``ExportSettings/timeoutMs``;
/// ``finish(_:withinMs:done:)`` ends in the time it is given. Failures are counted, reported once a minute, and stop nothing.
///
/// Sources: the Pushgateway's README; InfluxDB's API, `/api/v2/write` and `/write`.
public final class TimeSeriesExporter {
  public let settings: ExportSettings
  /// The series' own names and identity.
  public let series: ExportSeries
  private let loop: EventLoop
  /// Of encoded batches: in line protocol a batch takes half the memory of its points.
  private let delivery: OrderedDelivery<[UInt8]>
  private let credentials: ExportCredentials
  private var lastBatch: [ExportPoint] = []
  private var timer: TimerID?

  /// - Parameters:
  ///   - settings: without issues, and not of type none.
  ///   - seed: of the chance in the waiting times.
  ///   - report: gets a line about failures, at most twice a minute, without any secret.
  public init(
    on loop: EventLoop, settings: ExportSettings, series: ExportSeries, credentials: ExportCredentials,
    seed: UInt64, tls: TLSContext? = nil, report: @escaping (String) -> Void
  ) {
    precondition(settings.type != .none && settings.issues.isEmpty, "settings are checked before")
    self.loop = loop
    self.settings = settings
    self.series = series
    self.credentials = credentials
    let headers = TimeSeriesExporter.headers(settings, credentials)
    let url = TimeSeriesExporter.url(settings, series)
    let isPrometheus = settings.type == .prometheus
    delivery = OrderedDelivery(
      on: loop, "time-series export to \(settings.url)",
      bounds: .init(
        capacity: isPrometheus ? 1 : settings.batchesMax, retriesMax: settings.retriesMax,
        timeoutNs: Int64(settings.timeoutMs) * Nanoseconds.millisecond,
        backoff: Backoff(
          minNs: Int64(settings.backoffMsMin) * Nanoseconds.millisecond,
          maxNs: Int64(settings.backoffMsMax) * Nanoseconds.millisecond),
        givesUp: false),
      seed: seed, tls: tls,
      request: { body in
        DeliveryRequest(method: isPrometheus ? "PUT" : "POST", url: url, headers: headers, body: body)
      },
      redact: credentials.redact, report: report)
  }

  // MARK: Pushing

  /// Asks for a batch and pushes it, every interval from now on; the first time after one interval.
  ///
  /// - Parameter collect: the points of this moment, on the loop's thread.
  public func start(collect: @escaping () -> [ExportPoint]) {
    precondition(timer == nil, "an exporter is started once")
    schedule(EventLoop.monotonicNow(), collect)
  }

  /// From deadline to deadline, so that a late turn moves no later one.
  private func schedule(_ lastNs: Int64, _ collect: @escaping () -> [ExportPoint]) {
    let intervalNs = Int64(settings.intervalSeconds) * Nanoseconds.second
    let missed = max(0, (EventLoop.monotonicNow() - lastNs) / intervalNs)
    let next = lastNs + (missed + 1) * intervalNs
    timer = loop.at(next) { [weak self] in
      guard let self else { return }
      push(collect())
      schedule(next, collect)
    }
  }

  /// Takes one batch; one in which the format has nothing to write is none.
  public func push(_ points: [ExportPoint]) {
    let body =
      settings.type == .prometheus
      ? PushgatewayEncoder.encode(points, grouping: TimeSeriesExporter.grouping(series))
      : InfluxLineEncoder.encode(points)
    if body.isEmpty { return }
    lastBatch = points
    delivery.submit(body)
  }

  /// Pushes a last batch and what still waits, without retries, and ends.
  ///
  /// - Parameter done: called once, in a later turn and at most so late.
  public func finish(_ points: [ExportPoint] = [], withinMs: Int = 2000, done: @escaping () -> Void) {
    if let timer { loop.cancel(timer) }
    push(points)
    delivery.finish(withinNs: Int64(withinMs) * Nanoseconds.millisecond, done: done)
  }

  /// Asks the server whether it is there, before a run starts.
  ///
  /// - Parameter done: gets a warning, or nil when all is well; called once, in a later turn.
  public func checkReachability(done: @escaping (String?) -> Void) {
    let path = settings.type == .prometheus ? "/-/ready" : "/ping"
    let url = ServerAddress.base(settings.url) + path
    let headers = TimeSeriesExporter.headers(settings, credentials)
    let redact = credentials.redact
    let hint = "; the run goes on and tries again every \(settings.intervalSeconds) s"
    delivery.ask(url, headers: headers) { result in
      switch result {
      case .success(let response) where (200..<300).contains(response.status): done(nil)
      case .success(let response):
        done(redact("the time-series server answers \(response.status) to GET \(url)") + hint)
      case .failure(let error): done(redact("the time-series server cannot be reached: \(error)") + hint)
      }
    }
  }

  // MARK: State

  /// Batches delivered.
  public var exportCount: Int { delivery.delivered }
  /// Requests that failed or were refused.
  public var errorCount: Int { delivery.errors }
  public var retryCount: Int { delivery.retries }
  public var consecutiveFailures: Int { delivery.consecutiveFailures }
  /// Batches that will never be delivered: refused, or pushed out by newer ones.
  public var dropped: Int { delivery.dropped }
  /// Batches that wait or are under way.
  public var pending: Int { delivery.pending }
  public var lastSuccess: UnixNanos? { delivery.lastSuccess }
  public var lastError: String? { delivery.lastError }

  /// For the manifest: `{"type", "url", "export_count", "error_count", "retries", "dropped", "last_error"}`.
  public var timeseriesExport: JSONValue {
    .object([
      "type": .string(settings.type.rawValue), "url": .string(settings.url),
      "export_count": .integer(exportCount), "error_count": .integer(errorCount),
      "retries": .integer(retryCount), "dropped": .integer(dropped),
      "last_error": lastError.map { .string($0) } ?? .null,
    ])
  }

  /// The last batch, for the manifest.
  public var timeseriesData: JSONValue { .array(lastBatch.map(\.json)) }

  // MARK: Addresses

  static func grouping(_ series: ExportSeries) -> [ExportPoint.Label] {
    [.init("job", "weir")] + series.identity
  }

  static func url(_ settings: ExportSettings, _ series: ExportSeries) -> String {
    let base = ServerAddress.base(settings.url)
    let encoded = ExportText.percentEncoded
    if settings.type == .prometheus { return base + PushgatewayEncoder.path(grouping(series)) }
    if settings.influxVersion == 1 {
      return "\(base)/write?db=\(encoded(settings.database))&precision=ns"
    }
    return "\(base)/api/v2/write?org=\(encoded(settings.organization))"
      + "&bucket=\(encoded(settings.bucket))&precision=ns"
  }

  private static func headers(_ settings: ExportSettings, _ credentials: ExportCredentials) -> HTTPHeaders {
    let isPrometheus = settings.type == .prometheus
    var headers: HTTPHeaders = [
      "User-Agent": "weir",
      "Content-Type": isPrometheus
        ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8",
    ]
    if let value = credentials.authorization(scheme: isPrometheus ? "Bearer" : "Token") {
      headers.add("Authorization", value)
    }
    return headers
  }
}
