import Binance
import Core
import Tape

/// REST: what is asked, and what becomes of the answers.
extension Harvester where Log: ~Copyable {
  private static var retryAfterSecondsMax: Int { 3 * 86_400 }
  private static var banSecondsDefault: Int { 120 }

  /// A request was answered, whatever the status.
  public mutating func replied(_ request: RequestID, _ reply: RESTReply, _ given: Moment) throws(TapeError) {
    let now = try enter(given)
    try land(request, .answered(reply), now)
    settle(now)
  }

  /// A request was not answered: refused, timed out, cut off.
  public mutating func failed(_ request: RequestID, reason: String, _ given: Moment) throws(TapeError) {
    let now = try enter(given)
    try land(request, .failed(reason), now)
    settle(now)
  }

  enum Landing {
    case answered(RESTReply)
    case failed(String)
  }

  mutating func land(_ request: RequestID, _ landing: Landing, _ now: Moment) throws(TapeError) {
    // The log is finished; what comes now is too late.
    guard let flight = queue.land(request), !hasFinished else { return }
    guard case .answered(let reply) = landing else {
      queue.introduce()
      totals.requestFailures += 1
      return retry(flight, now)
    }
    if let used = reply.usedWeight { queue.learn(usedWeight: used, flight) }
    if reply.status != 429, reply.status != 418 { queue.introduce() }
    switch reply.status {
    case 200..<300: try take(flight, reply.body, now)
    case 429:
      totals.rateLimited += 1
      try pause(reply, flight, now)
    case 418:
      totals.bans += 1
      try pause(reply, flight, now)
    case 400, 404:
      totals.requestFailures += 1
      if flight.job.purpose == .backfill, let range = flight.range {
        try refuseTrades(flight.job.symbol, range, now)
      } else {
        retry(flight, now)
      }
    default:
      totals.requestFailures += 1
      retry(flight, now)
    }
  }

  /// The exchange wants to be left alone: the whole queue waits.
  private mutating func pause(_ reply: RESTReply, _ flight: RequestQueue.Flight, _ now: Moment)
    throws(TapeError)
  {
    let waitNs: Int64
    if let seconds = reply.retryAfterSeconds {
      waitNs = Int64(min(max(1, seconds), Self.retryAfterSecondsMax)) * Nanoseconds.second
    } else if reply.status == 418 {
      waitNs = Int64(Self.banSecondsDefault) * Nanoseconds.second
    } else {
      waitNs = Nanoseconds.minute - exchangeNs(now) % Nanoseconds.minute
    }
    queue.pause(untilNs: now.monotonicNs + waitNs)
    try record(
      .note, connection: Self.noConnection,
      [
        .init("rest", .string(reply.status == 418 ? "banned" : "rate_limited")),
        .init("status", .integer(reply.status)), .init("wait_ms", .integer(waitNs / 1_000_000)),
        .init("request", .string("\(flight.job.purpose.name)")),
      ], now)
    retry(flight, now)
  }

  private mutating func take(
    _ flight: RequestQueue.Flight, _ body: UnsafeRawBufferPointer, _ now: Moment
  ) throws(TapeError) {
    switch flight.job.purpose {
    case .resync, .initial: try takeSnapshot(flight.job.symbol, body, now)
    case .backfill: try takeTrades(flight.job.symbol, flight.range!, body, now)
    case .time: try takeTime(flight, body, now)
    case .check: try takeCheck(flight.job.symbol, body, now)
    case .pollBook: try takePolledBook(flight.job.symbol, body, now)
    case .pollTrades: try takePolledTrades(flight.job.symbol, body, now)
    case .instruments: try takeInstruments(flight, body, now)
    }
  }

  private mutating func retry(_ flight: RequestQueue.Flight, _ now: Moment) {
    let job = flight.job
    guard !isDraining else { return }
    switch job.purpose {
    case .resync, .initial: askForSnapshot(job.symbol, now)
    case .backfill: retryTrades(job.symbol, now)
    case .time: scheduleTime(now, isRetry: true)
    case .check: endProbe(job.symbol)
    // The next look asks again.
    case .pollBook, .pollTrades: break
    case .instruments:
      queue.add(
        .instruments, attempt: job.attempt + 1,
        notBeforeNs: now.monotonicNs + backoff.delayNs(job.attempt, &random))
    }
  }

  /// Sends the requests that may be sent now.
  mutating func pump(_ now: Moment) {
    guard !isDraining else { return }
    while let job = queue.next(now, exchangeNs: exchangeNs(now)) {
      guard let (target, range) = target(of: job, now) else { continue }
      let timeoutNs = Int64(configuration.requestTimeoutMs) * Nanoseconds.millisecond
      let id = queue.launch(job, range: range, timeoutNs: timeoutNs, now)
      totals.requests += 1
      totals.weightUsed += Int64(job.purpose.weight)
      actions.append(.request(id, method: "GET", target: target, timeoutNs: timeoutNs))
    }
  }

  /// Path and query of a job; nil when nothing needs it any more.
  private mutating func target(of job: RequestQueue.Job, _ now: Moment) -> (String, ClosedRange<Int64>?)? {
    switch job.purpose {
    case .instruments: return ("/fapi/v1/exchangeInfo", nil)
    case .time: return ("/fapi/v1/time", nil)
    case .resync, .initial:
      guard !states[job.symbol].book.isSynchronized, !states[job.symbol].pollsBook else { return nil }
      states[job.symbol].snapshotAttempt += 1
      return ("/fapi/v1/depth?symbol=\(states[job.symbol].name)&limit=1000", nil)
    case .check:
      guard beginProbe(job.symbol, now) else { return nil }
      return ("/fapi/v1/depth?symbol=\(states[job.symbol].name)&limit=\(BookProbe.levels)", nil)
    case .pollBook: return pollBookTarget(job.symbol, now).map { ($0, nil) }
    case .pollTrades: return pollTradesTarget(job.symbol, now).map { ($0, nil) }
    case .backfill:
      guard let range = nextBackfill(job.symbol) else { return nil }
      return (
        "/fapi/v1/aggTrades?symbol=\(states[job.symbol].name)&fromId=\(range.lowerBound)"
          + "&limit=\(range.count)", range
      )
    }
  }

  // MARK: Instruments

  /// The list of instruments: our symbols must be in it.
  private mutating func takeInstruments(
    _ flight: RequestQueue.Flight, _ body: UnsafeRawBufferPointer, _ now: Moment
  ) throws(TapeError) {
    guard let listed = listedSymbols(body) else {
      try noteBadAnswer("exchangeInfo", body, Self.noConnection, now)
      return retry(flight, now)
    }
    let names = Set(listed)
    let unknown = plan.symbols.filter { !names.contains($0) }
    guard !unknown.isEmpty else { return }
    fatal = .unknownSymbols(
      unknown.map { .init(name: $0, nearest: NearestName.find($0, among: listed)) })
    try record(
      .note, connection: Self.noConnection,
      [.init("unknown_symbols", .array(unknown.map { .string($0) }))], now)
  }
}
