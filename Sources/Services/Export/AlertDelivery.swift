import Core
import Net

/// Tells people about alerts: a line in the log, and a notification to a webhook.
///
/// Alerts fire when things break, and what breaks may well be the way to the receiver. So a notification is
/// tried again for some 13 minutes, in order, by ``OrderedDelivery``; a receiver that got one whose
/// answer was lost knows the repeat by its `Idempotency-Key`, which is the digest of the body.
///
/// Bounds: ``notificationsMax`` notifications wait. Of more one of the least urgent goes, the oldest of them:
/// while one without a P0 waits, no P0 goes. What is not delivered after the last attempt, or is refused, is
/// counted as dropped; the log has it all the same.
public final class AlertDelivery {
  public static let notificationsMax = 256

  private struct Notification {
    var level: AlertNotice.Level
    var body: [UInt8]
    var key: String
  }

  private let loop: EventLoop
  private let run: String
  private let delivery: OrderedDelivery<Notification>?
  private let log: (String) -> Void

  /// - Parameters:
  ///   - settings: without issues. Without an address there is the log alone.
  ///   - token: sent as `Authorization: Bearer …`; `WEIR_ALERT_TOKEN` by custom.
  ///   - seed: of the chance in the waiting times.
  ///   - log: gets each alert, and a line about failures at most twice a minute, without any secret.
  public init(
    on loop: EventLoop, settings: AlertDeliverySettings, run: String, token: ExportCredentials = .none,
    seed: UInt64, tls: TLSContext? = nil, log: @escaping (String) -> Void
  ) {
    precondition(settings.valueIssues.isEmpty, "settings are checked before")
    self.loop = loop
    self.run = run
    self.log = log
    guard let url = settings.webhookURL, !url.isEmpty else {
      delivery = nil
      return
    }
    let (origin, target) = AlertDelivery.parts(url)
    delivery = OrderedDelivery(
      on: loop, "alerts to \(origin)",
      bounds: .init(
        capacity: AlertDelivery.notificationsMax, retriesMax: settings.attemptsMax - 1,
        timeoutNs: Int64(settings.timeoutMs) * Nanoseconds.millisecond,
        backoff: Backoff(
          minNs: Int64(settings.backoffMsMin) * Nanoseconds.millisecond,
          maxNs: Int64(settings.backoffMsMax) * Nanoseconds.millisecond),
        givesUp: true),
      seed: seed, tls: tls,
      request: { notification in
        var headers: HTTPHeaders = [
          "User-Agent": "weir", "Content-Type": "application/json",
          "Idempotency-Key": notification.key,
        ]
        if let value = token.authorization(scheme: "Bearer") { headers.add("Authorization", value) }
        return DeliveryRequest(method: "POST", url: url, headers: headers, body: notification.body)
      },
      expendability: { notification in AlertNotice.Level.allCases.firstIndex(of: notification.level)! },
      redact: { text in
        let text = token.redact(text)
        return target.count > 1 ? text.replacing(target, with: "/***") : text
      },
      report: log)
  }

  /// Logs alerts and sends them as one notification: those that changed at one moment belong together.
  public func deliver(_ notices: [AlertNotice]) {
    guard let level = notices.map(\.level).min() else { return }
    for notice in notices { log(notice.logLine) }
    guard let delivery else { return }
    let content: JSONValue = .object([
      "run_id": .string(run), "alerts": .array(notices.map(\.json)),
    ])
    let body = Array(content.text().utf8)
    let key = body.withUnsafeBytes { ETag.of($0) }
    delivery.submit(Notification(level: level, body: body, key: key))
  }

  /// Sends what waits, once, and ends.
  ///
  /// - Parameter done: called once, in a later turn and at most so late.
  public func finish(withinMs: Int = 2000, done: @escaping () -> Void) {
    guard let delivery else { return loop.soon(done) }
    delivery.finish(withinNs: Int64(withinMs) * Nanoseconds.millisecond, done: done)
  }

  /// Notifications the receiver took.
  public var deliveredCount: Int { delivery?.delivered ?? 0 }
  /// Requests that failed or were refused.
  public var errorCount: Int { delivery?.errors ?? 0 }
  /// Notifications that will never be delivered.
  public var dropped: Int { delivery?.dropped ?? 0 }
  /// Notifications that wait or are under way.
  public var pending: Int { delivery?.pending ?? 0 }
  public var lastError: String? { delivery?.lastError }

  /// `http://host:port`, and path and query.
  private static func parts(_ url: String) -> (origin: String, target: String) {
    let slashes = url.firstRange(of: "://")!.upperBound
    let end = url[slashes...].firstIndex { $0 == "/" || $0 == "?" } ?? url.endIndex
    return (String(url[..<end]), String(url[end...]))
  }
}
