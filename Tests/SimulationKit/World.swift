import Binance
import Core
import Services
import Tape
import Venue

/// One seed's world: exchange, network, harvester and the clock that they share.
final class World {
  enum Event {
    case advanceExchange
    case tick(Int)
    case reachVenue(Int, ToVenue)
    case reachHarvester(Int, ToHarvester)
    case request(RequestID, method: String, target: String, timeoutNs: Int64, process: Int)
    case reply(RequestID, Reply, process: Int)
    case fault
    case kill
    case check
  }

  enum ToVenue { case connect(String), text(String), ping, close, gone }
  enum ToHarvester { case opened, message([UInt8]), pong, closed(String) }
  enum Reply { case answer(status: Int, retryAfter: Int?, weight: Int?, body: [UInt8]), failure(String) }

  /// A socket of the harvester and, once the venue has accepted it, the session at its other end.
  struct Link {
    var socket: SocketID
    var process: Int
    var session: SessionID?
    var harvesterKnows = true
    /// Nothing passes any more, and nobody is told.
    var isHalfOpen = false
    /// In-order delivery: nothing overtakes what was sent before.
    var lastToHarvester: Int64 = 0
    var lastToVenue: Int64 = 0
  }

  let options: SimulationOptions
  var outcome: SimulationOutcome
  var random: SeededRandom
  var queue = EventQueue<Event>()
  var now: Int64
  let start: Int64
  let faultsEnd: Int64
  let end: Int64
  let exchange: Exchange
  let observer = Observer()
  let tape = MemoryTape()
  var harvester: Harvester<MemoryLog>
  var links: [Link] = []
  var linkOfSocket: [SocketID: Int] = [:]
  var linkOfSession: [Int: Int] = [:]
  /// Counts kills; what was under way to an earlier process is lost.
  var process = 0
  var network = NetworkState()
  var nextExchangeTime: Int64 = .max
  var armedTick: Int64 = .max
  /// Hashes of the frames handed to the harvester and not lost with a kill, in order.
  var delivered: [UInt64] = []
  var deliveredPublished = 0
  var dedupedBefore = 0
  var counted = HarvestTally()
  let harvestConfiguration: HarvestConfiguration
  /// The harvester's wall clock against the exchange's, ns.
  var skewNs: Int64
  var requestsUnderWay = 0
  var padded = PaddedBytes()
  /// Frames that the next one of their stream overtakes.
  var heldFrames: [String: [UInt8]] = [:]
  var sessionCount: Int32 = 0
  var isHealed = false
  var lastVenueClose: Int64 = .min / 2

  init(_ options: SimulationOptions) {
    self.options = options
    outcome = SimulationOutcome(seed: options.seed)
    var random = SeededRandom(seed: options.seed)
    start = 1_767_571_200_000_000_000 + Int64(random.below(3000)) * Nanoseconds.second
    now = start
    faultsEnd = start + Int64(options.faultSeconds) * Nanoseconds.second
    end = faultsEnd + Int64(options.recoverySecondsMax) * Nanoseconds.second
    skewNs = Int64(random.below(400) - 200) * Nanoseconds.millisecond
    var exchangeOptions = ExchangeOptions(
      source: .market(
        seed: options.seed, symbols: options.symbols,
        framesPerSecond: options.framesPerSecond ?? Double(20 * options.symbols.count)))
    let drawnSeconds = 15 + random.below(60)
    exchangeOptions.sessionLifeNs = Int64(options.sessionSeconds ?? drawnSeconds) * Nanoseconds.second
    exchange = try! Exchange(exchangeOptions, now: UnixNanos(start))
    let drawn = World.draw(&random)
    harvestConfiguration = options.harvest ?? drawn
    self.random = random.stream(7)
    harvester = try! Harvester(
      harvestConfiguration, symbols: options.symbols, seed: options.seed, resume: HarvestResume(),
      log: MemoryLog(tape, defect: options.defect),
      now: Moment(wall: UnixNanos(start + skewNs), monotonicNs: 0))
  }

  /// The configuration is drawn as well: short deadlines meet long ones.
  private static func draw(_ random: inout SeededRandom) -> HarvestConfiguration {
    var configuration = HarvestConfiguration()
    configuration.symbolsPerConnection = 1 + random.below(2)
    configuration.rotateAfterSeconds = 8 + random.below(30)
    configuration.snapshotCheckMs = 2000 + random.below(6000)
    configuration.silencePublicMs = 1500 + random.below(2000)
    configuration.silenceMarketMs = 2500 + random.below(3000)
    configuration.firstFrameMs = 2500 + random.below(3000)
    configuration.clockIntervalMs = 3000 + random.below(5000)
    return configuration
  }

  func run() {
    openObserver()
    begin()
    scheduleFaults()
    queue.add(at: start + Nanoseconds.second, .check)
    advance(to: end)
    finish()
  }

  func begin() {
    exchangeChanged()
    queue.add(at: start, .advanceExchange)
    harvester.start(moment)
    afterHarvester()
  }

  /// Handles the events up to a time; the clock stands at the last one.
  func advance(to end: Int64) {
    while queue.nextTime <= end, let (time, event) = queue.next() {
      now = time
      outcome.events += 1
      if !isHealed, now >= faultsEnd {
        isHealed = true
        healNetwork()
      }
      handle(event)
    }
  }

  var moment: Moment { Moment(wall: UnixNanos(now + skewNs), monotonicNs: now - start) }

  func trace(_ text: @autoclosure () -> String) {
    if let trace = options.trace { trace("\((now - start) / 1_000_000) ms  \(text())") }
  }

  func handle(_ event: Event) {
    switch event {
    case .advanceExchange:
      guard now >= nextExchangeTime else { return }
      exchange.advance(to: UnixNanos(now))
      exchangeChanged()
    case .tick(let process):
      guard process == self.process, harvester.deadline <= now - start else { return rearm() }
      step { try $0.tick(moment) }
    case .reachVenue(let link, let what): reachVenue(link, what)
    case .reachHarvester(let link, let what): reachHarvester(link, what)
    case .request(let id, let method, let target, let timeoutNs, let process):
      answer(id, method, target, timeoutNs, process)
    case .reply(let id, let reply, let process): receive(id, reply, process)
    case .fault: makeFault()
    case .kill: kill()
    case .check:
      checkBooks()
      checkBounds()
      if now + Nanoseconds.second <= end { queue.add(at: now + Nanoseconds.second, .check) }
    }
  }

  // MARK: Harvester

  /// Runs a step of the harvester, publishes what it wrote, and performs what it asks for.
  func step(_ body: (inout Harvester<MemoryLog>) throws -> Void) {
    do { try body(&harvester) } catch { outcome.violate("the harvester threw \(error) at \(now - start)") }
    afterHarvester()
  }

  func afterHarvester() {
    // Mostly each step is a turn of its own; now and then a kill comes before the write.
    if !random.bernoulli(0.02) {
      tape.publish()
      deliveredPublished = delivered.count
    }
    var actions: [HarvestAction] = []
    harvester.takeActions { actions.append($0) }
    for action in actions { perform(action) }
    rearm()
    if let fatal = harvester.fatal { outcome.violate("fatal: \(fatal)") }
  }

  private func rearm() {
    let deadline = harvester.deadline
    guard deadline != .max, start + deadline < armedTick || armedTick <= now else { return }
    armedTick = max(now, start + deadline)
    queue.add(at: armedTick, .tick(process))
  }

  private func perform(_ action: HarvestAction) {
    switch action {
    case .connect(let socket, let target):
      trace("connect \(socket.rawValue) \(target.prefix(60))")
      linkOfSocket[socket] = links.count
      links.append(Link(socket: socket, process: process))
      toVenue(links.count - 1, .connect(target))
    case .send(let socket, let text): if let link = linkOfSocket[socket] { toVenue(link, .text(text)) }
    case .ping(let socket): if let link = linkOfSocket[socket] { toVenue(link, .ping) }
    case .close(let socket, _): if let link = linkOfSocket[socket] { toVenue(link, .close) }
    case .abort(let socket):
      trace("abort \(socket.rawValue)")
      guard let link = linkOfSocket[socket] else { return }
      links[link].harvesterKnows = false
      linkOfSocket[socket] = nil
      toVenue(link, .gone)
    case .request(let id, let method, let target, let timeoutNs):
      trace("request \(id.rawValue) \(target)")
      requestsUnderWay += 1
      queue.add(
        at: now + network.latency(&random),
        .request(id, method: method, target: target, timeoutNs: timeoutNs, process: process))
    }
  }

  // MARK: Kill

  private func kill() {
    guard now < faultsEnd else { return }
    trace("kill -9")
    outcome.kills += 1
    counted.add(harvester.counters)
    tape.kill(losingAcknowledged: options.defect == .killsLoseAcknowledged ? 3 : 0)
    delivered.removeLast(delivered.count - deliveredPublished)
    process += 1
    requestsUnderWay = 0
    for index in links.indices where links[index].process < process { closeSession(index) }
    linkOfSocket.removeAll()
    armedTick = .max
    var resume = padded.with(tape.bytes()) { HarvestResume(lines: $0) }
    resume.lastReceiveTime = UnixNanos(tape.lastReceiveNs)
    harvester = try! Harvester(
      harvestConfiguration, symbols: options.symbols, seed: options.seed &+ UInt64(process), resume: resume,
      log: MemoryLog(tape, defect: options.defect), now: moment)
    harvester.start(moment)
    afterHarvester()
  }
}

/// What harvesters that were killed had counted.
struct HarvestTally {
  var deduplicated = 0
  var gaps = 0
  var resyncs = 0
  var reconnects = 0
  var rotations = 0
  var backfilled = 0
  var restarts = 0
  var polled = 0

  mutating func add(_ counters: HarvestCounters) {
    deduplicated += Int(counters.deduplicated)
    gaps += Int(counters.gaps)
    resyncs += Int(counters.resyncs)
    reconnects += Int(counters.reconnects)
    rotations += Int(counters.rotations)
    backfilled += Int(counters.backfilled)
    restarts += Int(counters.restarts)
    polled += Int(counters.booksPolled + counters.tradesPolled)
  }
}

/// Bytes with the readable padding that scanners ask for, in reused memory.
struct PaddedBytes {
  private var storage: [UInt8] = []

  mutating func with<Result>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
    -> Result
  {
    storage.removeAll(keepingCapacity: true)
    storage.append(contentsOf: bytes)
    storage.append(contentsOf: repeatElement(0, count: FrameDecoder.paddingBytes))
    return try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<bytes.count])) }
  }
}
