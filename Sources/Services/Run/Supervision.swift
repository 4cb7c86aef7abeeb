import Core

/// The services of a run, in the order in which they are started.
public enum ServiceName: String, CaseIterable, Sendable {
  /// The embedded exchange; only when none is configured.
  case venue
  /// What keeps the tape beyond this machine or day: Parquet, ClickHouse, a Redis stream.
  case convert, clickhouse, publish
  case harvest, signal, broker, report
  /// The latest signals in Redis.
  case cache

  /// Which services' records it reads.
  var upstream: ServiceName? {
    switch self {
    case .venue: nil
    case .harvest: .venue
    case .signal: .harvest
    case .broker, .report, .cache: .signal
    case .convert, .clickhouse, .publish: nil
    }
  }

  /// It follows the tape at its own pace and can be continued by a later run. The run's end doesn't wait for
  /// it to catch up, but leaves it running until the harvester has sealed the tape.
  var isArchive: Bool {
    switch self {
    case .convert, .clickhouse, .publish: true
    default: false
    }
  }

  /// It may be behind when the others are even: it reads on when it is told to end.
  var readsOnAtEnd: Bool { self == .report || self == .cache }
}

/// Who runs, who has died, who is started again and when, and in which order all of them end.
///
/// **Problem.** A desk leaves a run alone for days. A service that dies or hangs must be back before anyone
/// notices, one that cannot live must not be started for ever, and at the end every record that was taken in
/// must have gone all the way through before the first process is stopped.
///
/// **Why the obvious answer fails.** Stopping producers first leaves consumers to guess whether more will come;
/// stopping consumers first leaves records unread. A restart loop without a memory of waits hammers a full
/// disk; one that never forgets gives up after ten crashes in a month.
///
/// **Algorithm.** A synchronous state machine: it is told what happened and when (monotonic), and hands out
/// ``Action``s. Services start in order. A death is answered by ``RestartPolicy``: exponential waits with
/// jitter, a limit, both forgotten after a stable period. A service whose beat stays away is killed, and so
/// becomes a death. The end has two phases: *drain*, upstream first (the harvester closes its sockets and
/// stays; every consumer reads until its position meets its source's), then *stop*, downstream first: report,
/// broker, signal, harvest, archives, venue. A consumer that dies while draining is started again to finish.
///
/// **Bounds.** A drain lasts at most `stop_grace_s`, and each stop as long again; then what is left is killed,
/// and what was left unread is counted in ``unreadRecords``.
public struct Supervision: Sendable {
  public enum Action: Equatable, Sendable {
    case start(ServiceName)
    /// SIGTERM; the service drains and ends.
    case terminate(ServiceName)
    case kill(ServiceName)
    /// Ask the harvester to take in no more.
    case drain(ServiceName)
    /// All have ended.
    case finish
  }

  public enum State: String, Sendable {
    case waiting, starting, healthy, degraded, restarting, unhealthy, stopping, stopped
  }

  public enum Phase: String, Sendable {
    case running, draining, stopping, done
  }

  /// A death that was answered by a new start.
  public struct Restart: Sendable {
    public var service: ServiceName
    public var reason: String
    public var endedNs: Int64
    public var backoffMs: Double
    public var startedNs: Int64?
    public var readyNs: Int64?
  }

  struct Member: Sendable {
    let service: ServiceName
    var policy: RestartPolicy
    var state = State.waiting
    var pid: Int32 = 0
    var startedNs: Int64 = 0
    var isReady = false
    var hasBeenReady = false
    var lastBeatNs: Int64 = 0
    var restartAtNs: Int64?
    var killAtNs: Int64?
    var restartCount = 0
    var beatsMissed = 0
    var isRestartWanted = false
    /// Records done, of the newest beat.
    var sequence: Int64 = 0
    /// Receive time of the newest record done.
    var timeNs: Int64 = 0
    /// Position that consumers have to reach; rows for the signal stage's readers.
    var rows: Int64 = 0
    var bytesBehind: Int64 = 0
    var isDrained = false
    var isRunning: Bool { pid != 0 }
  }

  public private(set) var phase = Phase.running
  public private(set) var restarts: [Restart] = []
  public private(set) var restartsForgotten = 0
  /// Services in the order in which they ended for good.
  public private(set) var shutdownOrder: [ServiceName] = []
  /// What the consumers had not read when the drain ended; 0 after an orderly end.
  public private(set) var unreadRecords: Int64 = 0
  /// Why the run ends, once it does.
  public private(set) var stopReason: String?
  public private(set) var isDrainComplete = false

  private(set) var members: [Member]
  /// May be changed at any time.
  var configuration: RunConfiguration
  private let startsAtOnce: Bool
  private var actions: [Action] = []
  private var drainEndsNs: Int64 = .max
  private var quietSinceNs: Int64 = 0
  private var drainPosition: [Int64] = []

  private static let restartsKeptMax = 1000
  /// Tries of a service that never became ready.
  static let startsMax = 3
  /// Consumers count as caught up when nothing has moved for so long and no position contradicts it.
  private static let quietNs = Nanoseconds.second

  /// - Parameter services: in order of start.
  public init(_ services: [ServiceName], configuration: RunConfiguration, seed: UInt64) {
    self.configuration = configuration
    members = services.enumerated().map { index, service in
      Member(service: service, policy: RestartPolicy(configuration, seed: seed &+ UInt64(index)))
    }
    startsAtOnce = !services.contains(.venue)
  }

  // MARK: What is told

  /// Begins: the embedded venue first, the others once its address is known.
  public mutating func start(_ nowNs: Int64) {
    if startsAtOnce { for member in members { launch(member.service) } } else { launch(.venue) }
  }

  public mutating func started(_ service: ServiceName, pid: Int32, _ nowNs: Int64) {
    update(service) {
      $0.pid = pid
      $0.startedNs = nowNs
      $0.lastBeatNs = nowNs
      $0.isReady = false
      $0.isDrained = false
      $0.killAtNs = nil
      if $0.state != .stopping { $0.state = .starting }
    }
    if let index = restarts.lastIndex(where: { $0.service == service && $0.startedNs == nil }) {
      restarts[index].startedNs = nowNs
    }
    if phase == .stopping { stopNext(nowNs) }
  }

  public mutating func ready(_ service: ServiceName, _ nowNs: Int64) {
    update(service) {
      $0.isReady = true
      $0.hasBeenReady = true
      $0.lastBeatNs = nowNs
      if $0.state == .starting { $0.state = .healthy }
    }
    if let index = restarts.lastIndex(where: { $0.service == service && $0.readyNs == nil }) {
      restarts[index].readyNs = nowNs
    }
    if service == .venue, phase == .running {
      for member in members where member.state == .waiting { launch(member.service) }
    }
  }

  public mutating func beat(_ service: ServiceName, _ beat: JSONValue, _ nowNs: Int64) {
    update(service) {
      $0.lastBeatNs = nowNs
      $0.sequence = beat["seq"]?.integer ?? $0.sequence
      $0.timeNs = beat["time_ns"]?.integer ?? $0.timeNs
      $0.rows = beat["rows"]?.integer ?? $0.rows
      $0.bytesBehind = beat["bytes_behind"]?.integer ?? 0
      $0.isDrained = beat["is_drained"]?.boolean ?? false
    }
    if phase == .draining { checkDrain(nowNs) }
  }

  /// The operator wants this service started anew; it does not count as a failure.
  public mutating func restart(_ service: ServiceName, _ nowNs: Int64) -> Bool {
    guard phase == .running, let member = self[service], member.isRunning else { return false }
    update(service) { $0.isRestartWanted = true }
    terminate(service, nowNs)
    return true
  }

  public mutating func ended(_ service: ServiceName, reason: String, isOrderly: Bool, _ nowNs: Int64) {
    guard let member = self[service] else { return }
    update(service) {
      $0.pid = 0
      $0.isReady = false
      $0.killAtNs = nil
    }
    if phase == .stopping || phase == .done || member.state == .stopping && !member.isRestartWanted {
      finish(service, nowNs)
      return
    }
    if member.isRestartWanted {
      update(service) { $0.isRestartWanted = false }
      schedule(service, reason: "asked for", backoffNs: 0, nowNs)
      return
    }
    switch service {
    case .venue:
      // Its market cannot be continued, and everything behind it would be built on another one.
      update(service) { $0.state = .unhealthy }
      if phase == .running { stop(nowNs, reason: "the embedded venue ended: \(reason)") }
      return
    case .harvest where phase == .draining:
      // It takes in nothing any more; what it wrote is there to be read.
      update(service) {
        $0.isDrained = true
        $0.state = .stopped
      }
      shutdownOrder.append(service)
      return
    default: break
    }
    let decision = update(service) { $0.policy.ended(atNs: nowNs, startedNs: member.startedNs) }!
    // What has never worked is no service that died: a wrong symbol or folder does not become right by waiting.
    if !member.hasBeenReady, member.restartCount >= Supervision.startsMax - 1 {
      update(service) { $0.state = .unhealthy }
      stop(nowNs, reason: "\(service.rawValue) does not start: \(reason)")
      return
    }
    switch decision {
    case .restart(let afterNs): schedule(service, reason: reason, backoffNs: afterNs, nowNs)
    case .giveUp:
      update(service) { $0.state = .unhealthy }
      // A run without its harvester or signal stage is no run; one without reports still records.
      if service == .harvest, phase == .running {
        stop(nowNs, reason: "harvest cannot be kept alive: \(reason)")
      }
    }
  }

  /// A service that could not even be started.
  public mutating func failedToStart(_ service: ServiceName, reason: String, _ nowNs: Int64) {
    update(service) { $0.startedNs = nowNs }
    ended(service, reason: reason, isOrderly: false, nowNs)
  }

  /// Begins the end: drain, then stop. Once more has no effect.
  public mutating func stop(_ nowNs: Int64, reason: String) {
    guard phase == .running else { return }
    stopReason = reason
    phase = .draining
    drainEndsNs = nowNs + Int64(configuration.stopGraceSeconds) * Nanoseconds.second
    quietSinceNs = nowNs
    for index in members.indices where members[index].state == .waiting { members[index].state = .stopped }
    if let harvest = self[.harvest], harvest.isRunning, harvest.isReady {
      actions.append(.drain(.harvest))
    } else {
      update(.harvest) { $0.isDrained = true }
    }
    checkDrain(nowNs)
  }

  /// Deadlines: restarts, missing beats, graces.
  public mutating func tick(_ nowNs: Int64) {
    for index in members.indices {
      let member = members[index]
      if let at = member.restartAtNs, nowNs >= at {
        members[index].restartAtNs = nil
        if phase == .running || phase == .draining { launch(member.service) }
      }
      if let at = member.killAtNs, nowNs >= at, member.isRunning {
        members[index].killAtNs = nil
        actions.append(.kill(member.service))
      }
      if member.isRunning, member.service != .venue, phase == .running, member.killAtNs == nil {
        let limit = member.isReady ? configuration.heartbeatTimeoutSeconds : configuration.readyTimeoutSeconds
        // Before it is ready a service may be busy reading; afterwards its loop must turn.
        if nowNs - member.lastBeatNs > Int64(limit) * Nanoseconds.second {
          members[index].beatsMissed += 1
          members[index].lastBeatNs = nowNs
          actions.append(.kill(member.service))
        }
      }
    }
    if phase == .draining { checkDrain(nowNs) }
  }

  /// When ``tick(_:)`` has something to do next, at the latest.
  public func deadline(_ nowNs: Int64) -> Int64 {
    var next = nowNs + Nanoseconds.second
    for member in members {
      next = min(next, member.restartAtNs ?? .max, member.killAtNs ?? .max)
    }
    if phase == .draining { next = min(next, drainEndsNs, nowNs + 100 * Nanoseconds.millisecond) }
    return next
  }

  public mutating func takeActions() -> [Action] {
    defer { actions.removeAll(keepingCapacity: true) }
    return actions
  }

  // MARK: What is asked

  subscript(service: ServiceName) -> Member? { members.first { $0.service == service } }

  public mutating func mark(_ service: ServiceName, isDegraded: Bool) {
    update(service) {
      if $0.state == .healthy, isDegraded { $0.state = .degraded }
      if $0.state == .degraded, !isDegraded { $0.state = .healthy }
    }
  }

  /// How far behind its source a service is: the signal stage in records, its readers in bytes; nil without a
  /// source.
  public func backlog(_ service: ServiceName) -> Int64? {
    guard let member = self[service], let upstream = service.upstream, let source = self[upstream],
      upstream != .venue
    else { return nil }
    return service == .signal ? max(0, source.sequence - member.sequence) : member.bytesBehind
  }

  // MARK: Steps

  @discardableResult
  private mutating func update<Result>(_ service: ServiceName, _ body: (inout Member) -> Result) -> Result? {
    guard let index = members.firstIndex(where: { $0.service == service }) else { return nil }
    return body(&members[index])
  }

  private mutating func launch(_ service: ServiceName) {
    update(service) { $0.state = .starting }
    actions.append(.start(service))
  }

  private mutating func schedule(_ service: ServiceName, reason: String, backoffNs: Int64, _ nowNs: Int64) {
    update(service) {
      $0.state = .restarting
      $0.restartCount += 1
      $0.restartAtNs = nowNs + backoffNs
    }
    if restarts.count == Supervision.restartsKeptMax {
      restarts.removeFirst()
      restartsForgotten += 1
    }
    restarts.append(
      Restart(service: service, reason: reason, endedNs: nowNs, backoffMs: Double(backoffNs) / 1e6))
  }

  private mutating func terminate(_ service: ServiceName, _ nowNs: Int64) {
    let graceEndsNs = nowNs + Int64(configuration.stopGraceSeconds) * Nanoseconds.second
    update(service) {
      $0.state = .stopping
      $0.killAtNs = graceEndsNs
    }
    actions.append(.terminate(service))
  }

  /// The drain is over when every consumer stands where its source stands, or nothing moves any more.
  private mutating func checkDrain(_ nowNs: Int64) {
    // The embedded venue goes on until it is stopped, as an exchange does.
    let positions = members.filter { $0.service != .venue && !$0.service.isArchive }.flatMap {
      [$0.sequence, $0.rows, $0.bytesBehind, $0.isRunning ? 1 : 0] as [Int64]
    }
    if positions != drainPosition {
      drainPosition = positions
      quietSinceNs = nowNs
    }
    let harvest = self[.harvest]
    let isSourceDone = harvest == nil || harvest!.isDrained || !harvest!.isRunning
    let consumers = members.filter {
      $0.service != .venue && $0.service != .harvest && !$0.service.isArchive && $0.state != .unhealthy
    }
    let areUp = consumers.allSatisfy { $0.isReady || $0.state == .stopped }
    // A beat tells of a second ago: positions count once each consumer has been heard after the last change.
    let isQuiet = nowNs - quietSinceNs >= Supervision.quietNs
    let areEven = consumers.allSatisfy { $0.service.readsOnAtEnd || (backlog($0.service) ?? 0) == 0 }
    isDrainComplete = isSourceDone && areUp && areEven && isQuiet
    guard isDrainComplete || nowNs >= drainEndsNs else { return }
    unreadRecords = backlog(.signal) ?? 0
    phase = .stopping
    for index in members.indices { members[index].restartAtNs = nil }
    stopNext(nowNs)
  }

  /// Stops the last service in the order that still runs; the next follows when it has ended.
  private mutating func stopNext(_ nowNs: Int64) {
    for member in members.reversed() {
      if member.isRunning {
        if member.state != .stopping { terminate(member.service, nowNs) }
        return
      }
      if member.state == .restarting || member.state == .starting || member.state == .waiting {
        update(member.service) { $0.state = .stopped }
      }
    }
    phase = .done
    actions.append(.finish)
  }

  private mutating func finish(_ service: ServiceName, _ nowNs: Int64) {
    update(service) { if $0.state != .unhealthy { $0.state = .stopped } }
    if !shutdownOrder.contains(service) { shutdownOrder.append(service) }
    if phase == .stopping { stopNext(nowNs) }
  }
}
