import Core

/// A user of the simulated exchange.
public struct VenueUser: Sendable, Equatable {
  public var apiKey: String
  public var secret: String
  /// USDT at the start.
  public var balance: Int64

  public init(apiKey: String, secret: String, balance: Int64 = 10_000) {
    self.apiKey = apiKey
    self.secret = secret
    self.balance = balance
  }

  /// The user that exists unless others are named. The pair is public: it opens nothing but a simulation.
  public static let demo = VenueUser(apiKey: "weir-demo-key", secret: "weir-demo-secret")
}

/// A fault and when it strikes.
public struct TimedFault: Sendable, Equatable {
  /// Milliseconds after the exchange's start.
  public var atMs: Int64
  public var fault: Fault

  public init(atMs: Int64, fault: Fault) {
    self.atMs = atMs
    self.fault = fault
  }
}

/// Where the simulated exchange's frames come from.
public enum VenueSource: Sendable, Equatable {
  /// A seeded market that trades with its clients.
  ///
  /// - Parameter framesPerSecond: over all symbols; nil for a liquid pair's rate per symbol, about 97.
  case market(seed: UInt64, symbols: [String], framesPerSecond: Double? = nil)
  /// A recorded tape, `speed` times as fast as it was recorded.
  case tape(folder: String, speed: Double = 1)
}

/// What a simulated exchange is asked to be.
public struct ExchangeOptions: Sendable {
  public var source: VenueSource
  /// Length of a market; nil for one without end. A tape ends where it ends.
  public var minutes: Double?
  public var pingIntervalNs = 3 * Nanoseconds.minute
  /// A connection that answers no ping for so long is closed.
  public var pongDeadlineNs = 10 * Nanoseconds.minute
  public var sessionLifeNs = 24 * Nanoseconds.hour
  public var sessionsMax = 1024
  public var streamsPerConnectionMax = 1024
  public var clientMessagesPerSecondMax = 10
  /// REST request weight in one minute of the UTC clock, all clients together.
  public var weightPerMinuteMax = 2400
  /// 429 answers in a row after which the client is banned (418).
  public var ignoredLimitsMax = 50
  /// The first ban; each further one is twice as long.
  public var banNs = 2 * Nanoseconds.minute
  public var listenKeyLifeNs = 60 * Nanoseconds.minute
  public var users = [VenueUser.demo]
  /// Fees in hundredths of a percent of the traded value.
  public var makerFeeBasisPoints: Int64 = 2
  public var takerFeeBasisPoints: Int64 = 5
  /// The market stands still until a second after the subscriptions of its first clients, ten seconds at the
  /// latest, or until the first order.
  public var opensWithFirstClient = false
  /// The retired roots `/stream` and `/ws` carry every stream.
  public var legacyRoot = true
  public var faults: [TimedFault] = []
  /// What `POST /venue/faults` must show; nil: faults cannot be injected by HTTP.
  public var adminToken: String?
  /// Aggregate trades kept for `aggTrades`, per symbol; fewer when there are many symbols.
  public var tradesKeptMax = 100_000
  /// ``Exchange/advance(to:)`` pauses when so many bytes wait to be drained.
  public var pendingBytesMax = 4 << 20

  public init(source: VenueSource, minutes: Double? = nil) {
    self.source = source
    self.minutes = minutes
  }

  static let tradesKeptTotalMax = 4_000_000

  /// - Throws: ``ExchangeOptionsError`` that names the option, the value and what would do.
  func check() throws(ExchangeOptionsError) {
    switch source {
    case .market(let seed, let symbols, let rate):
      do throws(MarketOptionsError) {
        _ = try MarketOptions(seed: seed, symbols: symbols, minutes: minutes ?? 1, framesPerSecond: rate)
      } catch {
        throw .market(error)
      }
    case .tape(_, let speed):
      guard speed > 0, speed <= ExchangeOptions.speedMax else { throw .speedOutOfRange(speed) }
    }
    func positive(_ value: some BinaryInteger, _ name: String) throws(ExchangeOptionsError) {
      guard value > 0 else { throw .notPositive(name, Int64(value)) }
    }
    try positive(pingIntervalNs, "pingIntervalNs")
    try positive(pongDeadlineNs, "pongDeadlineNs")
    try positive(sessionLifeNs, "sessionLifeNs")
    try positive(sessionsMax, "sessionsMax")
    try positive(streamsPerConnectionMax, "streamsPerConnectionMax")
    try positive(clientMessagesPerSecondMax, "clientMessagesPerSecondMax")
    try positive(weightPerMinuteMax, "weightPerMinuteMax")
    try positive(ignoredLimitsMax, "ignoredLimitsMax")
    try positive(banNs, "banNs")
    try positive(listenKeyLifeNs, "listenKeyLifeNs")
    try positive(tradesKeptMax, "tradesKeptMax")
    try positive(pendingBytesMax, "pendingBytesMax")
    guard faults.count <= Exchange.faultsMax else { throw .tooManyFaults(faults.count) }
    for (index, user) in users.enumerated() {
      guard !user.apiKey.isEmpty, !user.secret.isEmpty else { throw .emptyKey(position: index + 1) }
      guard !users[..<index].contains(where: { $0.apiKey == user.apiKey }) else {
        throw .duplicateKey(user.apiKey)
      }
      guard user.balance >= 0, user.balance <= ExchangeOptions.balanceMax else {
        throw .balanceOutOfRange(user.balance)
      }
    }
    guard (0...1000).contains(makerFeeBasisPoints), (0...1000).contains(takerFeeBasisPoints) else {
      throw .feeOutOfRange(max(makerFeeBasisPoints, takerFeeBasisPoints))
    }
  }

  static let speedMax = 1_000_000.0
  /// With the highest leverage, sums of notional values stay inside `Int64` at eight decimals.
  static let balanceMax: Int64 = 100_000_000
}

/// Why an exchange cannot be made as asked, and what would do.
public enum ExchangeOptionsError: Error, Equatable, CustomStringConvertible {
  case market(MarketOptionsError)
  case speedOutOfRange(Double)
  case notPositive(String, Int64)
  case emptyKey(position: Int)
  case duplicateKey(String)
  case balanceOutOfRange(Int64)
  case feeOutOfRange(Int64)
  case tooManyFaults(Int)
  case fault(FaultError)
  case tape(folder: String, reason: String)

  public var description: String {
    switch self {
    case .market(let error): error.description
    case .speedOutOfRange(let speed):
      "a tape cannot be served at \(speed) times its speed; give more than 0 and at most"
        + " \(Int(ExchangeOptions.speedMax))"
    case .notPositive(let name, let value): "\(name) is \(value); give a number above 0"
    case .emptyKey(let position): "user \(position) has an empty API key or secret; give both"
    case .duplicateKey(let key): "two users have the API key \(key); give each its own"
    case .balanceOutOfRange(let balance):
      "a balance of \(balance) USDT is out of range; give 0 to \(ExchangeOptions.balanceMax)"
    case .feeOutOfRange(let fee): "a fee of \(fee) basis points is out of range; give 0 to 1000"
    case .tooManyFaults(let count):
      "\(count) faults are too many for one run; give at most \(Exchange.faultsMax)"
    case .fault(let error): error.description
    case .tape(let folder, let reason): "cannot serve the tape \(folder): \(reason)"
    }
  }
}
