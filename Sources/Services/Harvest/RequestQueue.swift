import Core

/// All REST work of a harvester, in one queue by urgency and weight.
///
/// The exchange counts weight per address over its own clock minute, and a full snapshot costs 20 of 2400:
/// after an outage of 200 symbols the minute's budget is gone in a second, and whoever asks on regardless is
/// banned. So every request goes through this queue. The most urgent job goes first; a job that does not fit
/// the rest of the minute waits for the next one, and so does everything behind it, except the requests of
/// weight 1 (``smallReserve`` of the budget is theirs), without which the clock would be unknown for minutes.
/// The weight used is what was sent, or what the exchange reports, whichever is more. Weight sent in the last
/// two seconds of a minute is counted in the next one too, because the exchange's minute may begin a little
/// later than ours.
///
/// Bound: a job is added once for its purpose and symbol, so there are at most six a symbol and two others.
struct RequestQueue: Sendable {
  /// In order of urgency.
  enum Purpose: UInt8, CaseIterable, Sendable {
    case instruments, resync, backfill, initial, time, pollBook, pollTrades, check

    var weight: Int {
      switch self {
      case .instruments, .time: 1
      case .resync, .initial, .backfill, .pollTrades: 20
      // depth with limit=100
      case .pollBook: 5
      // depth with limit=50
      case .check: 2
      }
    }

    var name: StaticString {
      switch self {
      case .instruments: "instruments"
      case .resync: "resync"
      case .backfill: "backfill"
      case .initial: "initial"
      case .time: "time"
      case .pollBook: "poll_book"
      case .pollTrades: "poll_trades"
      case .check: "check"
      }
    }
  }

  struct Job: Sendable {
    var purpose: Purpose
    /// −1 for none.
    var symbol: Int
    var attempt: Int
    var notBeforeNs: Int64
    fileprivate var order: Int
  }

  struct Flight: Sendable {
    var id: RequestID
    var job: Job
    var sent: Moment
    /// Given up by ourselves if the shell has not answered by then.
    var giveUpNs: Int64
    /// For a backfill: the first id asked for and how many.
    var range: ClosedRange<Int64>?
    fileprivate var minute: Int64
  }

  static let smallReserve = 20
  private static let carryNs = 2 * Nanoseconds.second

  /// Weight a minute.
  let budget: Int
  private let checkBudget: Int
  private let inFlightMax: Int
  private let beforeFirstAnswerMax: Int
  private(set) var jobs: [Job] = []
  private(set) var flights: [Flight] = []
  private(set) var pausedUntilNs = Int64.min
  private(set) var usedThisMinute = 0
  /// The exchange has answered. Before, hardly anything is asked: a harvester that was killed while the exchange
  /// limits it must not come back with a volley.
  private var isIntroduced = false
  /// Requests sent, by purpose.
  private(set) var sentCounts = [Int](repeating: 0, count: Purpose.allCases.count)
  private(set) var weightSent = 0
  private var usedByChecks = 0
  private var minute = Int64.min
  private var recent: [(ns: Int64, weight: Int)] = []
  private var nextOrder = 0
  private var nextID: Int64 = 1

  init(_ configuration: HarvestConfiguration) {
    budget = Int(Double(configuration.requestWeightMax) * configuration.weightShare)
    checkBudget = Int(Double(configuration.requestWeightMax) * configuration.checkWeightShare)
    inFlightMax = configuration.requestsInFlightMax
    beforeFirstAnswerMax = configuration.requestsBeforeFirstAnswerMax
  }

  /// Adds a job unless one of this purpose waits for the symbol; then the earlier of the two times stands.
  mutating func add(_ purpose: Purpose, symbol: Int = -1, attempt: Int = 0, notBeforeNs: Int64) {
    if let index = jobs.firstIndex(where: { $0.purpose == purpose && $0.symbol == symbol }) {
      jobs[index].notBeforeNs = min(jobs[index].notBeforeNs, notBeforeNs)
      return
    }
    jobs.append(
      Job(purpose: purpose, symbol: symbol, attempt: attempt, notBeforeNs: notBeforeNs, order: nextOrder))
    nextOrder += 1
  }

  /// Whether a job of one of the purposes waits or is under way for a symbol.
  func has(_ purposes: [Purpose], symbol: Int) -> Bool {
    jobs.contains { $0.symbol == symbol && purposes.contains($0.purpose) }
      || flights.contains { $0.job.symbol == symbol && purposes.contains($0.job.purpose) }
  }

  /// Whether a job waits that has not been sent.
  func waits(_ purpose: Purpose, _ symbol: Int) -> Bool {
    jobs.contains { $0.purpose == purpose && $0.symbol == symbol }
  }

  mutating func removeJobs() { jobs.removeAll() }

  /// The whole queue waits.
  mutating func pause(untilNs: Int64) { pausedUntilNs = max(pausedUntilNs, untilNs) }

  private func isBusy(_ symbol: Int) -> Bool {
    symbol >= 0 && flights.contains { $0.job.symbol == symbol }
  }

  /// Takes the next job that may be sent now, out of the queue.
  ///
  /// - Parameter exchangeNs: now by the exchange's clock, as far as it is known.
  mutating func next(_ now: Moment, exchangeNs: Int64) -> Job? {
    enterMinute(exchangeNs / Nanoseconds.minute, now)
    guard now.monotonicNs >= pausedUntilNs,
      flights.count < (isIntroduced ? inFlightMax : beforeFirstAnswerMax)
    else {
      return nil
    }
    var best = -1
    var bestSmall = -1
    for (index, job) in jobs.enumerated() where job.notBeforeNs <= now.monotonicNs && !isBusy(job.symbol) {
      if job.purpose == .check, usedByChecks + job.purpose.weight > checkBudget { continue }
      if best < 0 || precedes(job, jobs[best]) { best = index }
      if job.purpose.weight == 1, bestSmall < 0 || precedes(job, jobs[bestSmall]) { bestSmall = index }
    }
    guard best >= 0 else { return nil }
    if jobs[best].purpose.weight == 1 || usedThisMinute + jobs[best].purpose.weight > budget {
      guard bestSmall >= 0, usedThisMinute < budget + RequestQueue.smallReserve else { return nil }
      best = bestSmall
    }
    return jobs.remove(at: best)
  }

  private func precedes(_ a: Job, _ b: Job) -> Bool {
    (a.purpose.rawValue, a.order) < (b.purpose.rawValue, b.order)
  }

  /// Notes a job as sent.
  mutating func launch(_ job: Job, range: ClosedRange<Int64>?, timeoutNs: Int64, _ now: Moment) -> RequestID {
    let id = RequestID(rawValue: nextID)
    nextID += 1
    flights.append(
      Flight(
        id: id, job: job, sent: now, giveUpNs: now.monotonicNs + 2 * timeoutNs, range: range, minute: minute))
    let weight = job.purpose.weight
    usedThisMinute += weight
    weightSent += weight
    sentCounts[Int(job.purpose.rawValue)] += 1
    if job.purpose == .check { usedByChecks += weight }
    recent.append((now.monotonicNs, weight))
    return id
  }

  /// Takes a request out that was answered or has failed; nil when it is not under way (any more).
  mutating func land(_ id: RequestID) -> Flight? {
    guard let index = flights.firstIndex(where: { $0.id == id }) else { return nil }
    return flights.remove(at: index)
  }

  /// The first request that the shell has not answered for too long.
  func overdue(_ now: Moment) -> Flight? { flights.first { $0.giveUpNs <= now.monotonicNs } }

  /// Takes the weight that the exchange reports with an answer.
  mutating func learn(usedWeight: Int, _ flight: Flight) {
    // An answer to a request of the last minute tells the last minute's weight.
    if flight.minute == minute { usedThisMinute = max(usedThisMinute, usedWeight) }
  }

  /// A request has ended in another way than by being limited.
  mutating func introduce() { isIntroduced = true }

  private mutating func enterMinute(_ current: Int64, _ now: Moment) {
    recent.removeAll { $0.ns < now.monotonicNs - RequestQueue.carryNs }
    guard current != minute else { return }
    minute = current
    usedThisMinute = recent.reduce(0) { $0 + $1.weight }
    usedByChecks = 0
  }

  /// When something may be sent, or given up, at the latest known now.
  func deadline(_ now: Moment, exchangeNs: Int64) -> Int64 {
    var earliest = flights.map(\.giveUpNs).min() ?? .max
    guard flights.count < inFlightMax else { return earliest }
    let intoMinute = exchangeNs % Nanoseconds.minute
    let nextMinute =
      now.monotonicNs + Nanoseconds.minute - (intoMinute < 0 ? intoMinute + Nanoseconds.minute : intoMinute)
    for job in jobs where !isBusy(job.symbol) {
      let due = max(job.notBeforeNs, pausedUntilNs)
      earliest = min(earliest, due > now.monotonicNs ? due : nextMinute)
    }
    return earliest
  }
}
