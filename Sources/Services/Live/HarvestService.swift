import Binance
import Core
import Glibc
import Net
import Report
import Tape

/// What a harvest is asked to do.
public struct HarvestOptions: Sendable {
  public var endpoints: VenueEndpoints
  public var symbols: [String]
  public var out: String
  public var minutes: Double?
  /// Port of `/metrics`, `/healthz` and `/readyz` on loopback; 0 for a free one, nil for none.
  public var metricsPort: UInt16?
  /// Standard input and output are the line to a supervisor.
  public var isSupervised: Bool
  public var configuration: WeirConfiguration
  public var seed: UInt64

  public init(
    endpoints: VenueEndpoints, symbols: [String], out: String, minutes: Double? = nil,
    metricsPort: UInt16? = nil, isSupervised: Bool = false, configuration: WeirConfiguration, seed: UInt64
  ) {
    self.endpoints = endpoints
    self.symbols = symbols
    self.out = out
    self.minutes = minutes
    self.metricsPort = metricsPort
    self.isSupervised = isSupervised
    self.configuration = configuration
    self.seed = seed
  }
}

/// The shell around ``Harvester``: its sockets, requests, timers, and the tape's disk.
///
/// **A frame's way.** A read of a socket hands over its messages one by one; each is stamped, given to the
/// harvester, and lies in the tape's buffer. At the end of the loop's turn, and not later, the buffer is
/// written: from then on every reader sees the records and a kill loses none of them. There is no queue in
/// between, so none can overflow: when this process is too slow, TCP holds the venue back.
///
/// **Durability.** Every micro-batch (20 ms, tuned to 10–25 by the disk's own speed) what was written since is
/// synced by a thread that may block, so that the disk's milliseconds are not the feed's. A sync that fails
/// ends the harvest: the kernel tells of a lost write once, and never again.
///
/// **Supervised** it takes commands over its ``SupervisorLink`` (``HarvestService+Supervised``). Drained by command it
/// stays, with a finished tape and its last numbers, until it is told to end: consumers read to the end meanwhile.
public final class HarvestService {
  let loop: EventLoop
  let options: HarvestOptions
  var harvester: Harvester<TapeWriter>
  private let tls: TLSContext?
  private let rest: HTTPClient
  private let syncer: LoopThread?
  private(set) var endpoint: ServiceEndpoint?
  var link: SupervisorLink?
  private var sockets: [SocketID: HarvestSocket] = [:]
  private var pendingActions: [HarvestAction] = []
  private var isPerforming = false
  private var armedForNs: Int64 = .max
  private var armed: TimerID?
  private var tuner: BatchTuner
  private var syncIsUnderWay = false
  private var syncedSequence: Int64 = 0
  private(set) var timings = TaskTimings()
  private(set) var failure: (any Error)?
  private(set) var drainBeganNs: Int64?
  /// Nothing is to be waited for once the harvester is drained.
  private var mustEnd = false
  private var isSettled = false
  private var isReady = false
  private var timeIsOver = false
  private var lastRefusal = (text: "", ns: Int64.min / 2)
  private var ready: ((JSONValue) -> Void)?
  private var note: (String) -> Void

  /// A drain that takes longer is cut short.
  private static let drainNsMax = 5 * Nanoseconds.second
  /// The same complaint is not made more often.
  private static let repeatNs = 10 * Nanoseconds.second
  private static let messageBytesMax = Tape.recordBytesMax - 4096

  /// Opens the tape and prepares; ``run(ready:note:)`` connects.
  public init(_ options: HarvestOptions) throws {
    self.options = options
    let loop = try EventLoop()
    self.loop = loop
    let authorities = options.configuration.venues.authorities
    tls =
      options.endpoints.isSecure ? try TLSContext(trusting: authorities.isEmpty ? nil : authorities) : nil
    rest = HTTPClient(on: loop, tls: tls)
    var tape = options.configuration.tapeOptions
    // A little at a time: compressing a megabyte takes longer than the path of a frame may.
    tape.compressionBytesPerFlush = 128 << 10
    try Files.makeFolder(options.out)
    var resume = try HarvestResume(tapeFolder: options.out, symbols: options.symbols)
    let writer = try TapeWriter(folder: options.out, options: tape)
    if writer.totals.lastSequence > 0 { resume.lastReceiveTime = writer.lastTime }
    syncer = tape.fsync == .none ? nil : try LoopThread()
    tuner = BatchTuner(options.configuration.harvest)
    note = { _ in }
    harvester = try Harvester(
      options.configuration.harvestConfiguration, symbols: options.symbols, seed: options.seed,
      resume: resume,
      log: writer, now: HarvestService.now())
  }

  /// Jitter that differs from run to run, so that harvesters that failed together don't come back together.
  public static func seedFromClock() -> UInt64 { UInt64(bitPattern: EventLoop.wallNow().rawValue) }

  static func now() -> Moment {
    Moment(wall: EventLoop.wallNow(), monotonicNs: EventLoop.monotonicNow())
  }

  /// Harvests until the time is over or a signal comes, then drains.
  ///
  /// - Parameters:
  ///   - ready: every connection of the plan is open; the line that says so.
  ///   - note: what an operator should know, one line each.
  /// - Returns: the summary.
  /// - Throws: what made going on impossible: the disk, an unknown symbol, a venue that never was one. The tape
  ///   is whole then, too.
  public func run(ready: @escaping (JSONValue) -> Void, note: @escaping (String) -> Void) throws -> JSONValue
  {
    self.ready = ready
    self.note = note
    try loop.onSignals([SIGINT, SIGTERM]) { [unowned self] _ in end() }
    if let minutes = options.minutes {
      loop.after(Int64(minutes * Double(Nanoseconds.minute))) { [unowned self] in
        timeIsOver = true
        end()
      }
    }
    if let port = options.metricsPort { try serveMetrics(port) }
    if options.isSupervised { try linkToSupervisor() }
    loop.atTurnEnd { [unowned self] in finishTurn() }
    scheduleBatch()
    harvester.start(HarvestService.now())
    loop.run()
    rest.close()
    // What is said from here on is said to the end.
    if options.isSupervised { _ = fcntl(1, F_SETFL, fcntl(1, F_GETFL) & ~O_NONBLOCK) }
    var totals: TapeTotals?
    do { totals = try harvester.log.finish() } catch { failure = failure ?? error }
    if let failure { throw failure }
    if !isReady, harvester.counters.frames == 0, timeIsOver {
      throw NeverConnected(venue: options.endpoints.name)
    }
    return summary(totals)
  }

  private func summary(_ totals: TapeTotals?) -> JSONValue {
    guard case .object(var members) = harvester.summary else { return harvester.summary }
    let usage = ProcessUsage.now()
    members.append(.init("records", .integer(Int64(totals?.records ?? 0))))
    members.append(.init("tape", .string(options.out)))
    members.append(.init("cpu_s", .double(usage.cpuSeconds)))
    members.append(.init("max_rss_mb", .double(usage.maxRSSMiB)))
    return .object(members)
  }

  // MARK: The turn

  /// Runs a step of the harvester; what it throws ends the harvest.
  func step(_ body: (inout Harvester<TapeWriter>) throws -> Void) {
    guard failure == nil else { return }
    do { try body(&harvester) } catch { fail(error) }
  }

  private func fail(_ error: any Error) {
    guard failure == nil else { return }
    failure = error
    loop.stop()
  }

  private func finishTurn() {
    performActions()
    step { harvester in
      if harvester.log.waitingBytes > 0 { try harvester.log.publish() }
    }
    if let fatal = harvester.fatal { return fail(fatal) }
    if harvester.isDrained {
      if mustEnd { return loop.stop() }
      if !isSettled { settle() }
    }
    arm()
  }

  /// Everything is on the tape; on the disk, too, before anyone is told.
  private func settle() {
    isSettled = true
    step { harvester in
      if harvester.log.syncsToDisk, let sync = try harvester.log.beginSync() { try sync.perform() }
    }
  }

  /// The tape is finished, whether or not this process goes on.
  var isSettledOnDisk: Bool { isSettled && failure == nil }

  private func arm() {
    let deadline = harvester.deadline
    guard deadline != armedForNs else { return }
    if let armed { loop.cancel(armed) }
    armedForNs = deadline
    guard deadline != .max else { return }
    armed = loop.at(deadline) { [unowned self] in
      armedForNs = .max
      step { try $0.tick(HarvestService.now()) }
    }
  }

  /// Actions are collected first and performed outside the harvester, because performing one may call back.
  private func performActions() {
    guard !isPerforming else { return }
    isPerforming = true
    defer { isPerforming = false }
    while true {
      harvester.takeActions { pendingActions.append($0) }
      if pendingActions.isEmpty { return }
      let actions = pendingActions
      pendingActions.removeAll(keepingCapacity: true)
      for action in actions { perform(action) }
    }
  }

  private func perform(_ action: HarvestAction) {
    switch action {
    case .connect(let id, let target): connect(id, target)
    case .send(let id, let text): sockets[id]?.socket?.send(text: text)
    case .ping(let id): sockets[id]?.socket?.ping()
    case .close(let id, let code): sockets[id]?.close(code)
    case .abort(let id): sockets.removeValue(forKey: id)?.abort()
    case .request(let id, let method, let target, let timeoutNs): request(id, method, target, timeoutNs)
    }
  }

  // MARK: Sockets

  private func connect(_ id: SocketID, _ target: String) {
    let holder = HarvestSocket(id, self)
    sockets[id] = holder
    var socketOptions = WebSocketOptions()
    socketOptions.messageBytesMax = HarvestService.messageBytesMax
    WebSocket.connect(
      options.endpoints.webSocket + target, options: socketOptions, tls: tls, headers: [:], on: loop
    ) { [weak self, weak holder] result in
      guard let self, let holder else { return }
      guard sockets[id] === holder else {
        if case .success(let socket) = result { socket.abort() }
        return
      }
      switch result {
      case .success(let socket):
        holder.adopt(socket)
        step { try $0.opened(id, HarvestService.now()) }
        announceReadiness()
      case .failure(let error):
        sockets[id] = nil
        refuse(error)
        step { try $0.closed(id, reason: "\(error)", HarvestService.now()) }
      }
    }
  }

  /// A peer that never was this venue will not become it by trying again.
  private func refuse(_ error: NetError) {
    // The venue's own words may be a whole page.
    let text = "\(error)".split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    let now = EventLoop.monotonicNow()
    if text != lastRefusal.text || now - lastRefusal.ns > HarvestService.repeatNs { note(text) }
    lastRefusal = (text, now)
    guard !isReady else { return }
    switch error {
    case .tls, .protocol, .certificate, .badURL: fail(error)
    case .upgradeRefused(let url, let status, _)
    where (400..<500).contains(status) && ![408, 418, 429].contains(status):
      fail(NetError.upgradeRefused(url, status: status, "is this the venue's address?"))
    default: break
    }
  }

  private func announceReadiness() {
    guard !isReady, harvester.isEveryConnectionOpen else { return }
    isReady = true
    var members: [JSONValue.Member] = [
      .init("ready", .bool(true)), .init("venue", .string(options.endpoints.rest)),
      .init("tape", .string(options.out)), .init("symbols", .array(options.symbols.map { .string($0) })),
    ]
    if let endpoint { members.append(.init("metrics_port", .integer(Int(endpoint.port)))) }
    if let link { link.say(.object(members)) } else { ready?(.object(members)) }
  }

  fileprivate func received(_ id: SocketID, _ text: UnsafeRawBufferPointer) {
    step { try $0.received(text, on: id, HarvestService.now()) }
  }

  fileprivate func ponged(_ id: SocketID) { step { $0.ponged(id, HarvestService.now()) } }

  fileprivate func closed(_ id: SocketID, _ reason: String) {
    sockets[id] = nil
    step { try $0.closed(id, reason: reason, HarvestService.now()) }
  }

  // MARK: Requests

  private func request(_ id: RequestID, _ method: String, _ target: String, _ timeoutNs: Int64) {
    rest.request(method, options.endpoints.rest + target, timeoutNs: timeoutNs) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success(let response):
        response.withBody { body in
          let reply = RESTReply(
            status: response.status,
            retryAfterSeconds: response.headers["Retry-After"].flatMap { Int($0) },
            usedWeight: response.headers["X-MBX-USED-WEIGHT-1M"].flatMap { Int($0) }, body: body)
          step { try $0.replied(id, reply, HarvestService.now()) }
        }
      case .failure(let error):
        step { try $0.failed(id, reason: "\(error)", HarvestService.now()) }
      }
    }
  }

  // MARK: Draining

  /// Drains, and ends once that is done.
  func end() {
    mustEnd = true
    if harvester.isDrained { return loop.stop() }
    beginDraining()
  }

  func beginDraining() {
    guard drainBeganNs == nil else { return }
    drainBeganNs = EventLoop.monotonicNow()
    step { try $0.drain(HarvestService.now()) }
    loop.after(HarvestService.drainNsMax) { [unowned self] in
      guard !harvester.isDrained else { return }
      note("not everything closed in time; the rest is cut")
      for (id, socket) in sockets {
        socket.abort()
        step { try $0.closed(id, reason: "cut", HarvestService.now()) }
      }
      sockets.removeAll()
      if mustEnd { loop.stop() }
    }
  }

  // MARK: Durability

  private typealias SyncAnswer = (TapeError?) -> Void

  private func scheduleBatch() {
    let dueNs = EventLoop.monotonicNow() + tuner.intervalNs
    loop.after(tuner.intervalNs) { [unowned self] in
      timings.turned(lateNs: EventLoop.monotonicNow() - dueNs)
      syncBatch()
      scheduleBatch()
    }
  }

  private func syncBatch() {
    step { $0.log.compressABit(isUrgent: $0.compressesAtOnce) }
    guard let syncer, !syncIsUnderWay, failure == nil else { return }
    var sync: TapeSync?
    step { sync = try $0.log.beginSync() }
    guard let sync else { return }
    syncIsUnderWay = true
    let own = loop.handle
    let began = EventLoop.monotonicNow()
    let records = Int(sync.sequence - syncedSequence)
    syncedSequence = sync.sequence
    let answer: SyncAnswer = { [weak self] error in self?.synced(error, since: began, records: records) }
    let ticket = loop.keep(answer)
    syncer.post { _ in
      var error: TapeError?
      do throws(TapeError) { try sync.perform() } catch let failure { error = failure }
      let outcome = error
      own.post { loop in loop.takeKept(ticket, as: SyncAnswer.self)?(outcome) }
    }
  }

  private func synced(_ error: TapeError?, since beganNs: Int64, records: Int) {
    syncIsUnderWay = false
    if let error { return fail(error) }
    let durationNs = EventLoop.monotonicNow() - beganNs
    timings.synced(ns: durationNs)
    tuner.flushed(durationNs: durationNs, records: records)
  }

  // MARK: Metrics

  private func serveMetrics(_ port: UInt16) throws {
    endpoint = try ServiceEndpoint(on: loop, port: port) { [unowned self] in
      harvester.exposition(into: &$0)
      timings.exposition(into: &$0)
      tapeExposition(into: &$0)
    } isReady: { [unowned self] in
      harvester.isEveryConnectionOpen && drainBeganNs == nil
    }
    note("metrics: http://\(endpoint!.address)/metrics")
  }
}

/// The time was over and the venue had never been reached.
public struct NeverConnected: Error, CustomStringConvertible {
  public var venue: String
  public var description: String {
    "no connection to \(venue) came up in the time given; check --venue and the network (what was tried is above)"
  }
}

/// One of the harvester's sockets, from the request to connect until it is closed.
private final class HarvestSocket: WebSocketDelegate {
  private let id: SocketID
  private weak var service: HarvestService?
  private(set) var socket: WebSocket?

  init(_ id: SocketID, _ service: HarvestService) {
    self.id = id
    self.service = service
  }

  func adopt(_ socket: WebSocket) {
    self.socket = socket
    socket.delegate = self
  }

  /// A connection that is still being made is only forgotten here; it is dropped once it is up.
  func close(_ code: UInt16) {
    if let socket { socket.close(code: code) } else { service?.closed(id, "given up while connecting") }
  }

  /// Nothing more is wanted of it, not even its end.
  func abort() {
    service = nil
    socket?.abort()
  }

  func webSocketReceived(_ socket: WebSocket, text: UnsafeRawBufferPointer) { service?.received(id, text) }
  func webSocketReceived(_ socket: WebSocket, binary: UnsafeRawBufferPointer) {
    service?.received(id, binary)
  }
  func webSocketPonged(_ socket: WebSocket) { service?.ponged(id) }
  func webSocketDrained(_ socket: WebSocket) {}
  func webSocketClosed(_ socket: WebSocket, code: UInt16, reason: String, error: NetError?) {
    let why = error.map { "\($0)" } ?? (reason.isEmpty ? "close \(code)" : "close \(code): \(reason)")
    service?.closed(id, why)
  }
}
