import Binance
import Core
import Flow
import Tape

/// The harvester: everything between the exchange's sockets and the tape, as one synchronous state machine.
///
/// **Problem.** Hundreds of streams come over a dozen connections, and each part fails in its own way: a
/// socket dies without a word, a subscription is acknowledged and never delivers, an event is lost or comes
/// twice, a snapshot is too old, the exchange bans whoever asks too often, a clock jumps. The tape must hold
/// every frame that arrived, once, and say exactly what did not arrive; and it must be so after a year, not
/// after a good day.
///
/// **Why the obvious answer fails.** A task per socket with a retry loop around it hides the state in call
/// stacks: who asks for the snapshot, how often was it retried, which of two overlapping sockets delivered
/// this frame? Retries that end silently, counters that never reset and one socket's failure closing all
/// are the result, and none of it can be tested but by waiting for it.
///
/// **What is done.** The harvester does no I/O and reads no clock. The shell tells it what happened
/// (``opened(_:_:)``, ``received(_:on:_:)``, ``replied(_:_:_:)``, …), each time with the ``Moment``, and does
/// what it asks for (``takeActions(_:)``). So one and the same machine runs on sockets and, under virtual
/// time, against a simulated exchange with thousands of seeded faults.
///
/// - *Connections* (``HarvestPlan``): each planned connection is a slot with its own backoff, watchdogs and
///   rotation; a failure touches its streams only. A slot's old socket is replaced before the exchange closes
///   it, while both deliver; what both deliver is stored once (``DuplicateFilter``).
/// - *Frames* are appended verbatim, then looked at. The harvester keeps the same ``SynchronizedBook`` and
///   ``TradeSequence`` a symbol as the signal stage, fed with the same bytes in the same order, and so knows
///   what every reader of the tape thinks. When a reader must think "out of sync", the range is recorded as a
///   `gap`, and a snapshot or the missing trades are asked for.
/// - *Requests* go through one queue by urgency and weight (``RequestQueue``), and end in success or in a
///   record that says what is missing for good. A book in sync is compared with the exchange's now and then.
/// - *Time*: receive time is the wall clock's without its steps (``ReceiveClock``); its offset and drift against the
///   exchange's are measured (``ClockFilter``), latencies are corrected.
/// - *Interventions* (``appendControl(_:_:)``, ``restartSockets(_:)``, ``restFallback(_:_:)``, …) are methods, too, and
///   leave a record.
///
/// **Promises to the shell.** Sockets and requests that are unknown or gone are ignored, so late events do no
/// harm. ``tick(_:)`` may come early or late; ``deadline`` never lies in the past after it. Errors of the
/// tape pass through; after one the harvester is not to be used on.
///
/// Sources: the exchange's documents (connection rules, "How to manage a local order book correctly"); the
/// shape, TigerBeetle's and FoundationDB's deterministic simulation.
public struct Harvester<Log: RecordLog & ~Copyable>: ~Copyable {
  public let configuration: HarvestConfiguration
  public let plan: HarvestPlan
  /// The shell flushes it.
  public var log: Log
  /// Set when the harvest is senseless; the shell drains and exits with it.
  public internal(set) var fatal: HarvestFailure?

  let symbolCount: Int
  let states: UnsafeMutablePointer<HarvestedSymbol>
  let links: UnsafeMutablePointer<HarvestLink>
  /// A power of two above twice the number of slots: a socket's id is generation × this + place.
  let placeCapacity: Int
  let placeCount: Int
  /// For each place and position of a stream: the check interval in which it was last heard, 0 for never.
  let heard: UnsafeMutablePointer<UInt32>
  let positionsMax: Int
  /// For each symbol and kind of stream, the slot and position; −1 for none.
  let streamPlaces: UnsafeMutablePointer<StreamPlace>
  let streamNames: StreamNames
  var decoder: FrameDecoder
  var slots: [HarvestSlot]
  /// Times in a row that a stream's first frame did not come in time.
  var lateFirstFrames: [Int]
  var overlap: HarvestOverlap?
  /// The overlapping slot; −1 for none.
  var overlapSlot: Int32 = -1
  var queue: RequestQueue
  var backoff: Backoff
  var random: SeededRandom
  var actions: [HarvestAction] = []
  var scratch = ByteWriter(capacity: 1 << 12)
  var answeredTrades: [AnsweredTrade] = []
  var probes: [BookProbe] = []
  var checkCursor = 0
  var nextCheckNs = Int64.max
  /// Check intervals since the start, from 1.
  var epoch: UInt32 = 1
  var deferredHoles = 0
  var clock = ClockFilter()
  var recordedOffsetNs: Int64?
  var isTimeDegraded = false
  var driftAboveSinceNs: Int64?
  var nextTimeNs = Int64.max
  /// Our clock was set, or the machine slept: the next sample tells which.
  var clockIsInDoubt = false
  var receiveClock: ReceiveClock
  var fallback = HarvestFallback()
  /// Closed segments are to be compressed at once; the shell does it.
  public internal(set) var compressesAtOnce = false
  /// Exchange − receive clock, when known.
  var offsetNs: Int64 = 0
  var offsetIsKnown = false
  var latency = LatencyHistogram()
  var recentLatency = LatencyHistogram()
  var formerLatency = LatencyHistogram()
  var recentSinceNs: Int64
  var rates: [RateSample] = []
  var nextMessageID = 1
  var isDraining = false
  var hasFinished = false
  /// A caller's slow path has changed something that actions or deadlines follow from.
  var mustSettle = false
  var totals = HarvestCounters()
  /// Monotonic time of the next ``tick(_:)``, nanoseconds; `.max` for none. It may turn out to be early.
  public internal(set) var deadline = Int64.max

  /// - Parameters:
  ///   - symbols: each once, in any case.
  ///   - seed: of the jitter.
  ///   - resume: where the tape that `log` continues ended.
  /// - Throws: ``HarvestFailure``.
  public init(
    _ configuration: HarvestConfiguration, symbols: [String], seed: UInt64, resume: HarvestResume,
    log: consuming Log, now: Moment
  ) throws(HarvestFailure) {
    let plan = try HarvestPlan(symbols: symbols, configuration)
    self.configuration = configuration
    self.plan = plan
    self.log = log
    symbolCount = plan.symbols.count
    placeCount = 2 * plan.slots.count
    var capacity = 2
    while capacity < placeCount { capacity *= 2 }
    placeCapacity = capacity
    positionsMax = plan.slots.map(\.streams.count).max() ?? 1

    var instruments = InstrumentTable(configured: configuration.instruments)
    // In order, so that a symbol's id is its place in the plan.
    for name in plan.symbols { _ = instruments.intern(name) }
    decoder = FrameDecoder(instruments: instruments)
    states = .allocate(capacity: plan.symbols.count)
    for (index, name) in plan.symbols.enumerated() {
      (states + index).initialize(to: HarvestedSymbol(name: name))
      if let position = resume.symbols[name] {
        if let id = position.lastTradeID {
          states[index].trades = TradeSequence(after: id, holes: position.tradeHoles)
          states[index].holes = position.tradeHoles.suffix(TradeHole.holesMax).map {
            TradeHole(from: $0.lowerBound, to: $0.upperBound, reason: "restart", isRecorded: true, dueNs: 0)
          }
        }
        states[index].lastFinal = position.lastFinalUpdateID ?? -1
      }
    }
    links = .allocate(capacity: placeCapacity)
    for place in 0..<placeCapacity { (links + place).initialize(to: HarvestLink(slot: place / 2)) }
    heard = .allocate(capacity: placeCapacity * positionsMax)
    heard.initialize(repeating: 0, count: placeCapacity * positionsMax)
    let kinds = StreamKind.allCases.count
    streamPlaces = .allocate(capacity: plan.symbols.count * kinds)
    streamPlaces.initialize(repeating: StreamPlace(), count: plan.symbols.count * kinds)
    for stream in plan.streams {
      streamPlaces[stream.symbol * kinds + Int(stream.kind.rawValue)] =
        StreamPlace(slot: Int32(stream.slot), position: Int32(stream.position))
    }
    streamNames = StreamNames(plan.streams.map(\.name))
    slots = Array(repeating: HarvestSlot(), count: plan.slots.count)
    lateFirstFrames = Array(repeating: 0, count: plan.streams.count)
    queue = RequestQueue(configuration)
    backoff = Backoff(configuration)
    random = SeededRandom(seed: seed)
    receiveClock = ReceiveClock(now, notBefore: resume.lastReceiveTime)
    recentSinceNs = now.monotonicNs
  }

  deinit {
    states.deinitialize(count: symbolCount)
    states.deallocate()
    links.deallocate()
    heard.deallocate()
    streamPlaces.deallocate()
  }
}

/// Where a stream's frames are due.
struct StreamPlace {
  var slot: Int32 = -1
  var position: Int32 = -1
}

extension Harvester where Log: ~Copyable {
  /// Opens all connections and begins to ask. Once, before anything else.
  public mutating func start(_ given: Moment) {
    let now = receiveClock.moment(given)
    for slot in slots.indices { connect(slot, side: 0, .start, now) }
    nextCheckNs = now.monotonicNs + Int64(configuration.snapshotCheckMs) * Nanoseconds.millisecond
    queue.add(.instruments, notBeforeNs: now.monotonicNs)
    queue.add(.time, notBeforeNs: now.monotonicNs)
    for symbol in 0..<symbolCount { askForTrades(symbol, now) }
    settle(now)
  }

  /// Does what is due.
  public mutating func tick(_ given: Moment) throws(TapeError) {
    let now = try enter(given)
    for slot in slots.indices { try tickSlot(slot, now) }
    tickOverlap(now)
    rotateNext(now)
    try tickHoles(now)
    endOverdueProbes(now)
    if now.monotonicNs >= nextCheckNs, !isDraining { try check(now) }
    if now.monotonicNs >= nextTimeNs, !isDraining {
      nextTimeNs = .max
      queue.add(.time, notBeforeNs: now.monotonicNs)
    }
    if now.monotonicNs >= fallback.nextLookNs { try lookAtFallback(now) }
    while let flight = queue.overdue(now) {
      try land(flight.id, .failed("no answer from the shell"), now)
    }
    settle(now)
    // A timer that is due and has not been handled would make the shell spin.
    assert(deadline > now.monotonicNs)
    deadline = max(deadline, now.monotonicNs + 1)
  }

  /// Ends the harvest: no new connections or requests; closes all sockets in order and records that. What
  /// still arrives on them is kept. Done when ``isDrained``; keep calling ``tick(_:)`` until then.
  public mutating func drain(_ given: Moment) throws(TapeError) {
    guard !isDraining else { return }
    let now = try enter(given)
    try endFallback("drain", now)
    isDraining = true
    queue.removeJobs()
    for place in 0..<placeCount {
      slots[place / 2].reconnectAtNs = .max
      slots[place / 2].rotateAtNs = .max
      switch links[place].phase {
      case .idle, .closing: break
      case .connecting: try abort(place, .drain, now)
      case .open: close(place, .drain, now)
      }
    }
    try finishIfDrained(now)
    settle(now)
  }

  /// All sockets are closed and all records appended; the shell flushes the log and is done.
  public var isDrained: Bool { hasFinished }

  /// Hands out what is to be done, in order. To be called after every other call.
  public mutating func takeActions(_ body: (HarvestAction) -> Void) {
    if actions.isEmpty { return }
    for action in actions { body(action) }
    actions.removeAll(keepingCapacity: true)
  }

  /// The last record of a drained harvest: what was not filled in time is lost.
  mutating func finishIfDrained(_ now: Moment) throws(TapeError) {
    guard isDraining, !hasFinished, (0..<placeCount).allSatisfy({ links[$0].phase == .idle }) else { return }
    try tickHoles(now, all: true)
    for symbol in 0..<symbolCount {
      while let hole = states[symbol].holes.first {
        states[symbol].holes.removeFirst()
        try giveUp(symbol, hole.from, hole.to, "stopped", now)
      }
    }
    try record(
      .note, connection: Self.noConnection,
      [.init("harvest", .string("ended")), .init("frames", .integer(totals.frames))], now)
    hasFinished = true
  }

  /// Sends what may be sent and finds the next deadline.
  mutating func settle(_ now: Moment) {
    mustSettle = false
    if hasFinished {
      deadline = .max
      return
    }
    pump(now)
    var earliest = queue.deadline(now, exchangeNs: exchangeNs(now))
    if isDraining { earliest = queue.flights.map(\.giveUpNs).min() ?? .max }
    for slot in slots.indices { earliest = min(earliest, slotDeadline(slot)) }
    if let overlap, !isDraining {
      switch overlap.phase {
      case .connecting, .closing: break
      case .both: earliest = min(earliest, overlap.openedNs + rotationTimeoutNs)
      case .trailing(let until): earliest = min(earliest, until)
      }
    }
    if deferredHoles > 0 { earliest = min(earliest, deferredDeadline()) }
    if !isDraining { earliest = min(earliest, nextCheckNs, nextTimeNs, fallback.nextLookNs) }
    deadline = earliest
  }

  /// Notes the clocks; a wall clock that was set is recorded.
  ///
  /// - Returns: the moment with its receive time in the place of the wall clock's.
  @inline(__always)
  mutating func enter(_ given: Moment) throws(TapeError) -> Moment {
    let jumpNs = receiveClock.follow(given)
    let now = receiveClock.moment(given)
    if jumpNs != 0 { try clockJumped(jumpNs, now) }
    return now
  }
}
