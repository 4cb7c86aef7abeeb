import Core

/// The simulated exchange as one state machine: websocket roots, REST, matching, accounts, injected faults.
///
/// **Problem.** A capture and trading system must be shown to survive what an exchange does to it: a hole in
/// a stream, a snapshot that is too old, a ban, a connection that is open and dead, a clock that is off. The
/// real exchange does these things rarely, never on request, and nobody can ask it afterwards what the book
/// was.
///
/// **Why the obvious answer fails.** A mock that plays canned answers proves that a client agrees with the
/// mock. Its book does not react to orders, its ids form no chain, its snapshot is of no moment, so every
/// error of timing passes. And a server with threads and a clock of its own never fails twice in the same
/// way.
///
/// **What is done.** One market of integer ticks per symbol (``SymbolMarket``) is the only state behind
/// everything: frames, REST answers, fills and the truth are projections of it. The machine does no I/O, has
/// no clock and no thread: whoever holds the sockets hands in bytes and the time, and drains what is to be
/// sent. Same options, same seed and same calls give the same bytes, under a real clock or a simulated one.
/// Alternatively the frames come from a recorded tape, verbatim.
///
/// ```
/// while running {
///   wait until a socket is ready or it is exchange.nextTime
///   exchange.advance(to: now)            // pauses at a bound of pending bytes: drain, and call again
///   exchange.open / receive / respond …  // these advance to their own `now` first
///   exchange.drain(message:ping:close:)  // after every call
/// }
/// ```
/// A time earlier than one already seen counts as that one.
///
/// Bounds: sessions, streams a session, streams in all, orders, trades, minutes, delayed frames, injected
/// faults and pending bytes each have one, named where they are kept. Rules of the queue, of the tape's clock
/// and of what is not modelled: docs/decisions/0008.
public final class Exchange {
  public let options: ExchangeOptions
  let start: Int64
  /// Wall time of what is being done.
  var now: Int64
  /// The exchange's clock less the right time, an injected fault.
  var skewMs: Int64 = 0
  var outbox = Outbox()
  var table = StreamTable()

  // The seeded market; no symbols while a tape is served.
  let symbols: UnsafeMutablePointer<LiveSymbol>
  let symbolNames: [String]
  private(set) var symbolIndices: [String: Int] = [:]
  private var agenda = TimeHeap()
  private let end: Int64
  /// By symbol, then kind: place in the stream table, −1 while nobody has asked.
  var streamIndices: [Int32]
  var allBookTickers = -1
  var allForceOrders = -1
  /// Those asked for, one of a kind at most.
  var symbolLists: [SymbolList] = []
  let tape: TapeSource?

  // Sessions in order of opening.
  var sessions: [Session] = []
  var sessionsByID: [SessionID: Session] = [:]
  var sessionsOpened: Int64 = 0

  // REST and accounts.
  var limiter: RateLimiter
  var accounts: [VenueAccount] = []
  var accountIndices: [String: Int] = [:]
  var listenKeys: [String: Int] = [:]
  var openOrders: [Int64: VenueOrder] = [:]
  var lastOrderID: Int64
  var listenKeyRandom: SeededRandom
  /// When the first good-till-date order ends.
  var orderExpiry = Int64.max

  // Faults.
  static let faultsMax = 10_000
  static let delayedFramesMax = 100_000
  /// Faults are set for the next 34 years at most.
  static let delayMsMax: Int64 = 1 << 40
  var injected: [InjectedFault] = []
  var timedFaults = TimeHeap()
  /// Numbers of the injected faults that may still strike, in order of injection.
  var activeFaults: [Int] = []
  var delayed = TimeHeap()
  var delayedFrames: [Int: DelayedFrame] = [:]
  var delayedNumber = 0

  /// A market that waits for its first clients stands still, so that they hear of it from its first event on.
  private(set) var isMarketOpen: Bool
  private var opensAt = Int64.max
  /// From the last change of subscriptions: a client with several connections gets the whole.
  static let settlingNs = Nanoseconds.second
  static let waitingNsMax = 10 * Nanoseconds.second

  private var timersAreKnown = false
  private var timerTime = Int64.max

  /// - Throws: ``ExchangeOptionsError``.
  /// - Complexity: O(symbols); about 150 KB a symbol.
  public init(_ options: ExchangeOptions, now: UnixNanos) throws(ExchangeOptionsError) {
    try options.check()
    self.options = options
    start = now.rawValue
    self.now = now.rawValue
    limiter = RateLimiter(options)
    isMarketOpen = !options.opensWithFirstClient
    if options.opensWithFirstClient { opensAt = now.rawValue + Exchange.waitingNsMax }
    var seed: UInt64 = 0
    switch options.source {
    case .market(let value, let names, let rate):
      seed = value
      let source = SeededRandom(seed: value)
      let scale = rate.map { MarketRates.flowScale(symbolFramesPerSecond: $0 / Double(names.count)) } ?? 1
      symbolNames = names
      symbols = .allocate(capacity: names.count)
      let kept = min(options.tradesKeptMax, ExchangeOptions.tradesKeptTotalMax / names.count)
      for (index, name) in names.enumerated() {
        symbols.advanced(by: index).initialize(
          to: LiveSymbol(
            instrument: Instrument(symbol: name), random: source.stream(Instrument.hash(name)), start: now,
            flowScale: scale, tradesKeptMax: kept))
        symbolIndices[name] = index
        agenda.insert(
          TimeHeap.Entry(time: symbols[index].market.nextTime, tie: Int64(index), value: index))
      }
      tape = nil
    case .tape(let folder, let speed):
      symbolNames = []
      symbols = .allocate(capacity: 1)
      tape = try TapeSource(folder: folder, speed: speed, tradesKeptMax: options.tradesKeptMax)
    }
    end = options.minutes.map { now.rawValue + Int64($0 * Double(Nanoseconds.minute)) } ?? .max
    streamIndices = [Int32](repeating: -1, count: symbolNames.count * VenueStreamKind.allCases.count)
    listenKeyRandom = SeededRandom(seed: seed).stream(0x11)
    lastOrderID = 8_000_000_000 + Int64(seed & 0xFFFF) * 1_000_000
    for user in options.users {
      accountIndices[user.apiKey] = accounts.count
      accounts.append(VenueAccount(user: user, symbolCount: symbolNames.count))
    }
    for timed in options.faults {
      do throws(FaultError) {
        try schedule(
          timed.fault, at: start + min(max(0, timed.atMs), Exchange.delayMsMax) * Nanoseconds.millisecond)
      } catch {
        throw .fault(error)
      }
    }
  }

  deinit {
    symbols.deinitialize(count: symbolNames.count)
    symbols.deallocate()
  }

  // MARK: Time

  /// The earliest time at which ``advance(to:)`` has work; `.max` when none.
  public var nextTime: UnixNanos { UnixNanos(min(sourceTime, dueTime())) }

  /// The market has reached its end, or the tape has.
  public var isOver: Bool { tape.map { $0.isOver } ?? (now >= end) }

  /// The exchange's clock in milliseconds: the wall's, as a fault has set it, or the tape's.
  var timeMs: Int64 { (tape.map { $0.time(at: now) } ?? now) / Nanoseconds.millisecond + skewMs }

  /// Does everything due up to a moment: market events, publications, pings, ends of sessions and keys,
  /// delayed frames, timed faults.
  ///
  /// It pauses when ``ExchangeOptions/pendingBytesMax`` bytes wait to be drained; ``nextTime`` is then not
  /// after `now`.
  public func advance(to now: UnixNanos) { run(to: now.rawValue, pausing: true) }

  func run(to target: Int64, pausing: Bool = false) {
    while true {
      let source = sourceTime
      let timer = dueTime()
      let due = min(source, timer)
      if due > target { break }
      if pausing, outbox.pendingBytes >= options.pendingBytesMax { return }
      now = max(now, due)
      if timer <= source { runTimers() } else { stepSource() }
    }
    now = max(now, target)
  }

  private var sourceTime: Int64 {
    if let tape { return tape.dueTime }
    if !isMarketOpen { return opensAt }
    guard let first = agenda.first, first.time < end else { return .max }
    return first.time
  }

  private func stepSource() {
    if let tape {
      stepTape(tape)
      return
    }
    if !isMarketOpen { return openMarket() }
    guard let index = agenda.first?.value else { return }
    let step = symbols[index].market.step()
    agenda.postponeFirst(to: symbols[index].market.nextTime)
    publish(step, index)
  }

  // MARK: Opening

  /// Subscriptions have changed: a market or tape that waits for its first clients starts soon.
  func subscriptionsChanged() {
    tape?.subscriptionsChanged(at: now)
    if !isMarketOpen { opensAt = min(now + Exchange.settlingNs, start + Exchange.waitingNsMax) }
  }

  /// The market begins: the same one, whenever that is, but for its times.
  func openMarket() {
    guard !isMarketOpen, case .market(let seed, let names, let rate) = options.source else { return }
    isMarketOpen = true
    let source = SeededRandom(seed: seed)
    let scale = rate.map { MarketRates.flowScale(symbolFramesPerSecond: $0 / Double(names.count)) } ?? 1
    agenda = TimeHeap()
    for index in names.indices {
      let kept = symbols[index].history.countMax
      let derived = symbols[index].derived
      let skewMs = symbols[index].encoder.skewMs
      symbols[index] = LiveSymbol(
        instrument: Instrument(symbol: names[index]),
        random: source.stream(Instrument.hash(names[index])), start: UnixNanos(now), flowScale: scale,
        tradesKeptMax: kept)
      symbols[index].derived = derived
      symbols[index].encoder.skewMs = skewMs
      agenda.insert(
        TimeHeap.Entry(time: symbols[index].market.nextTime, tie: Int64(index), value: index))
    }
  }

  // MARK: Timers

  /// Something with a time of its own has changed.
  func timersChanged() { timersAreKnown = false }

  private func dueTime() -> Int64 {
    if timersAreKnown { return timerTime }
    var time = min(timedFaults.first?.time ?? .max, delayed.first?.time ?? .max, orderExpiry)
    for session in sessions {
      time = min(time, session.nextPing, session.pongDue, session.openedAt + options.sessionLifeNs)
    }
    for account in accounts { time = min(time, account.listenKeyExpiry) }
    timerTime = time
    timersAreKnown = true
    return time
  }

  private func runTimers() {
    while let first = timedFaults.first, first.time <= now { start(fault: timedFaults.removeFirst().value) }
    while let first = delayed.first, first.time <= now { release(delayed.removeFirst().value) }
    if orderExpiry <= now { expireOrders() }
    for session in sessions {
      if session.openedAt + options.sessionLifeNs <= now {
        end(session, .code(1001, "connection lifetime reached"))
      } else if session.pongDue <= now {
        end(session, .code(1008, "Pong timeout"))
      } else if session.nextPing <= now {
        outbox.ping(session.id.rawValue)
        session.nextPing = now + options.pingIntervalNs
        session.pongDue = min(session.pongDue, now + options.pongDeadlineNs)
      }
    }
    for index in accounts.indices where accounts[index].listenKeyExpiry <= now { expireListenKey(index) }
    timersChanged()
  }

  // MARK: Output

  /// Hands out what is to be sent, in order; the bytes are valid during the call.
  ///
  /// The closures must not call the exchange.
  public func drain(
    message: (SessionID, UnsafeRawBufferPointer) -> Void, ping: (SessionID) -> Void,
    close: (SessionID, CloseManner) -> Void
  ) {
    outbox.drain(message: message, ping: ping, close: close)
  }
}
