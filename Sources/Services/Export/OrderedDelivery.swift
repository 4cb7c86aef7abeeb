import Core
import Net

/// A request that delivers one item.
struct DeliveryRequest {
  var method: String
  var url: String
  var headers: HTTPHeaders
  var body: [UInt8]
}

/// Items on their way to one server, in order, one at a time, without anybody waiting for them.
///
/// **Problem.** What watches a run (series, alerts) goes to servers that are slow, gone, or wrong. None of
/// that may hold the run or grow in it, and what can still be delivered later must be.
///
/// **Why the obvious answer fails.** A push per tick piles up connections behind a server that hangs. A retry
/// loop per push delivers out of order and comes back at full strength at the moment the server recovers.
///
/// **Algorithm.** A queue with a bound and one request under way, which has a time limit as a whole. An
/// answer is one of three: *delivered* (2xx: the next at once); *refused* (any other status but 408, 429 and
/// 5xx: trying again cannot help, the item is dropped); *failed* (all else: the item goes back to its place
/// and the next try waits, doubling from `backoff.minNs` to `backoff.maxNs`, each ±20 % by chance). After
/// `retriesMax` retries the delivery rests until something new arrives, or gives the item up, as its owner
/// chose.
///
/// **Bounds.** `capacity` items wait; of more the most expendable goes, the oldest of equals, and is counted.
/// Reports come at most twice a minute. ``finish(withinNs:done:)`` ends everything in a stated time.
final class OrderedDelivery<Item> {
  struct Bounds {
    /// Items that wait, besides the one under way.
    var capacity: Int
    var retriesMax: Int
    /// Of one request, connecting included.
    var timeoutNs: Int64
    var backoff: Backoff
    /// What happens to an item after its last retry.
    var givesUp: Bool
  }

  private enum State {
    case idle
    /// After the last retry, until something arrives.
    case resting
    case waiting(TimerID)
    case sending
    case finished
  }

  private(set) var delivered = 0
  /// Requests that failed or were refused.
  private(set) var errors = 0
  private(set) var retries = 0
  /// Items that will never be delivered.
  private(set) var dropped = 0
  /// Since the last delivery.
  private(set) var consecutiveFailures = 0
  private(set) var lastSuccess: UnixNanos?
  private(set) var lastError: String?

  private let loop: EventLoop
  private let bounds: Bounds
  private let client: HTTPClient
  private let name: String
  private let request: (Item) -> DeliveryRequest
  private let expendability: (Item) -> Int
  private let redact: (String) -> String
  private let report: (String) -> Void
  private var random: SeededRandom
  private var queue: [Item] = []
  private var underWay: Item?
  private var state = State.idle
  private var attempt = 0
  private var lastReportNs: Int64 = .min
  private var isFailureReported = false
  private var finishing: (deadlineNs: Int64, timer: TimerID, done: () -> Void)?

  /// - Parameters:
  ///   - name: what is delivered where, for reports.
  ///   - expendability: of an item; the higher, the sooner it is dropped.
  ///   - redact: takes secrets out of a text.
  init(
    on loop: EventLoop, _ name: String, bounds: Bounds, seed: UInt64, tls: TLSContext? = nil,
    request: @escaping (Item) -> DeliveryRequest, expendability: @escaping (Item) -> Int = { _ in 0 },
    redact: @escaping (String) -> String, report: @escaping (String) -> Void
  ) {
    precondition(bounds.capacity > 0 && bounds.retriesMax >= 0 && bounds.timeoutNs > 0)
    self.loop = loop
    self.name = name
    self.bounds = bounds
    self.request = request
    self.expendability = expendability
    self.redact = redact
    self.report = report
    random = SeededRandom(seed: seed)
    var options = HTTPClientOptions()
    options.connectionsPerHostMax = 1
    options.connectTimeoutNs = bounds.timeoutNs
    options.requestTimeoutNs = bounds.timeoutNs
    options.bodyBytesMax = 1 << 20
    client = HTTPClient(on: loop, options: options, tls: tls)
  }

  /// Items that wait, the one under way included.
  var pending: Int { queue.count + (underWay == nil ? 0 : 1) }

  /// Takes an item for delivery; after the end it is dropped.
  func submit(_ item: Item) {
    if case .finished = state {
      dropped += 1
      return
    }
    queue.append(item)
    trim()
    switch state {
    case .idle, .resting:
      attempt = 0
      sendNext()
    case .waiting, .sending, .finished: break
    }
  }

  /// Delivers what waits, without retries, and ends; what is not delivered in time is dropped.
  ///
  /// - Parameter done: called once, in a later turn.
  func finish(withinNs limitNs: Int64, done: @escaping () -> Void) {
    if case .finished = state { return loop.soon(done) }
    precondition(finishing == nil, "a delivery is finished once")
    let timer = loop.after(limitNs) { [weak self] in self?.end() }
    finishing = (EventLoop.monotonicNow() + limitNs, timer, done)
    if case .sending = state { return }
    if case .waiting(let timer) = state { loop.cancel(timer) }
    sendNext()
  }

  /// A bare GET outside of the queue.
  func ask(_ url: String, headers: HTTPHeaders, answer: @escaping HTTPClient.Answer) {
    client.request("GET", url, headers: headers, answer: answer)
  }

  // MARK: Sending

  private func sendNext() {
    guard !queue.isEmpty else {
      state = .idle
      if finishing != nil { end() }
      return
    }
    let item = queue.removeFirst()
    underWay = item
    state = .sending
    let request = self.request(item)
    var timeoutNs = bounds.timeoutNs
    if let finishing { timeoutNs = max(1, min(timeoutNs, finishing.deadlineNs - EventLoop.monotonicNow())) }
    client.request(
      request.method, request.url, headers: request.headers, body: request.body, timeoutNs: timeoutNs
    ) { [weak self] in self?.answered($0) }
  }

  private func answered(_ result: Result<HTTPResponse, NetError>) {
    guard case .sending = state, let item = underWay else { return }
    underWay = nil
    switch result {
    case .success(let response) where (200..<300).contains(response.status): succeeded()
    case .success(let response):
      let line = ExportText.firstLine(response.text)
      failed("the server answered \(response.status)" + (line.isEmpty ? "" : ": \(line)"))
      if response.status >= 500 || response.status == 408 || response.status == 429 {
        retryLater(item)
      } else {
        refused()
      }
    case .failure(let error):
      failed("\(error)")
      retryLater(item)
    }
  }

  private func succeeded() {
    delivered += 1
    attempt = 0
    lastSuccess = EventLoop.wallNow()
    if isFailureReported { report("\(name): delivers again after \(consecutiveFailures) failures") }
    isFailureReported = false
    consecutiveFailures = 0
    sendNext()
  }

  private func failed(_ what: String) {
    errors += 1
    consecutiveFailures += 1
    let text = redact(what)
    lastError = text
    let now = EventLoop.monotonicNow()
    guard lastReportNs == .min || now - lastReportNs >= Nanoseconds.minute else { return }
    lastReportNs = now
    isFailureReported = true
    report("\(name): \(text)")
  }

  /// The same would be refused again; what comes after it may not be.
  private func refused() {
    dropped += 1
    attempt = 0
    if finishing != nil || queue.isEmpty { sendNext() } else { wait(bounds.backoff.minNs) }
  }

  private func retryLater(_ item: Item) {
    let isLast = attempt >= bounds.retriesMax
    if isLast, bounds.givesUp {
      dropped += 1
    } else {
      queue.insert(item, at: 0)
      trim()
    }
    if finishing != nil { return end() }
    if !isLast {
      attempt += 1
      wait(bounds.backoff.delayNs(attempt - 1, &random), isRetry: true)
    } else if bounds.givesUp, !queue.isEmpty {
      attempt = 0
      wait(bounds.backoff.maxNs)
    } else {
      state = bounds.givesUp ? .idle : .resting
    }
  }

  private func wait(_ delayNs: Int64, isRetry: Bool = false) {
    let timer = loop.after(delayNs) { [weak self] in
      guard let self, case .waiting = state else { return }
      if isRetry { retries += 1 }
      sendNext()
    }
    state = .waiting(timer)
  }

  private func trim() {
    while queue.count > bounds.capacity {
      let worst = queue.map(expendability).max()!
      queue.remove(at: queue.firstIndex { expendability($0) == worst }!)
      dropped += 1
    }
  }

  private func end() {
    if case .finished = state { return }
    state = .finished
    dropped += pending
    queue = []
    underWay = nil
    client.close()
    guard let finishing else { return }
    loop.cancel(finishing.timer)
    loop.soon(finishing.done)
  }
}

extension Backoff {
  init(minNs: Int64, maxNs: Int64) {
    self.minNs = minNs
    self.maxNs = maxNs
  }
}
