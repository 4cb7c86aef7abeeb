import Configuration
import Core
import Glibc
import Net
import Report
import Telemetry

/// `weir run`: the shell around ``Supervision``: processes, clocks, sockets and the run's folder.
///
/// **Problem.** One command that a desk can leave running: it starts every service, watches and heals them,
/// judges what they measure, passes it on, stops cleanly, and leaves evidence.
///
/// **Algorithm.** Services are children of the same binary, joined by files (the tape, the signals, the orders)
/// and by their standard streams (``SupervisorLink``). Everything runs on one event loop; decisions are made by
/// pure state machines (``Supervision``, the rules), and this class performs them. A supervisor that is killed
/// ends its children by the end of their standard input; the same command then continues the run in its folder.
///
/// **Bounds.** Requests to services time out after two seconds. Nothing that only watches (metrics, export,
/// alert delivery, status file) can stop what works; its failures are counted and told.
public final class RunService {
  let loop: EventLoop
  let options: RunOptions
  let log: Log
  var run: RunConfiguration
  var supervision: Supervision
  var record: RunRecord
  var children: [ServiceName: ChildProcess] = [:]
  var ports: [ServiceName: UInt16] = [:]
  var client: HTTPClient
  var watch: RunWatch!
  var control: ControlSocket?
  /// Loads the configuration again, for SIGHUP.
  var reloadConfiguration: (() throws -> ReloadedConfiguration)?
  var current: ReloadedConfiguration
  var parameters: StageParameters
  var venueAddress: String
  private var lock: RunLock?
  private var armed: TimerID?
  private var sequences: [ServiceName: Int64] = [:]
  private var beatsHeard: [ServiceName: Int] = [:]
  private var lastResourcesNs: Int64?
  private var failure: (any Error)?
  private var idleLooks = 0
  private var show: (RunService) -> Void = { _ in }
  static let requestNs = 2 * Nanoseconds.second

  /// Prepares the folder; ``run(show:reload:)`` starts the services.
  ///
  /// - Throws: ``RunError`` when the folder is in use, holds a finished run, or another run's beginnings.
  public init(_ options: RunOptions, log: Log) throws {
    self.log = log
    run = options.configuration.run
    let loop = try EventLoop()
    self.loop = loop
    client = HTTPClient(on: loop)
    try Files.makeFolder(options.folder)
    lock = try RunLock(folder: options.folder)
    let now = EventLoop.wallNow()
    current = ReloadedConfiguration(configuration: options.configuration, loaded: options.loaded)
    var options = options
    let former = try RunService.formerRun(&options)
    self.options = options
    parameters = StageParameters(former == nil ? options.loaded : nil)
    let runID = former ?? RunService.runID(now)
    record = RunRecord(runID: runID, startedAt: now, startedNs: EventLoop.monotonicNow())
    if former != nil { record.notes.append("continues an interrupted run") }
    supervision = Supervision(options.plan, configuration: run, seed: UInt64(bitPattern: now.rawValue))
    if case .venue(let name) = options.source { venueAddress = name } else { venueAddress = "" }
    try Files.makeFolder(options.paths.logs)
    try Files.writeAtomically(options.paths.configuration, options.configurationText)
    watch = try RunWatch(self)
  }

  /// The id of the interrupted run that the folder holds; nil for an empty folder.
  ///
  /// It goes on with the configuration that it was started with. Where another is given since, and only parameters
  /// of the stages differ, those are put on the tape; anything else would mix two runs.
  ///
  /// - Parameter options: gets the configuration of the start.
  private static func formerRun(_ options: inout RunOptions) throws -> String? {
    guard Files.exists(options.paths.manifest) else { return nil }
    let manifest = try Files.read(options.paths.manifest).withUnsafeBytes { try? JSONValue(parsing: $0) }
    guard let manifest, manifest["state"]?.text == "running" else {
      throw RunFolderError.finishedRun(options.folder)
    }
    let version = manifest["config_version"]?.text
    if version != options.configurationVersion {
      let start = try? ConfigLoader(WeirConfiguration.schema).load(file: options.paths.configuration)
      guard let start, start.version == version,
        flat(start.json["values"]).filter({ !StageParameters.holds($0.key) })
          == flat(options.configurationJSON["values"]).filter({ !StageParameters.holds($0.key) })
      else {
        throw RunFolderError.otherConfiguration(
          options.folder, theirs: version ?? "?", ours: options.configurationVersion)
      }
      options.loaded = start
    }
    return manifest["run_id"]?.text
  }

  /// `20261121T123456Z-3f2a`: sorts by time, and differs between runs of one second.
  private static func runID(_ now: UnixNanos) -> String {
    let date = UTCDate(now)
    var writer = ByteWriter(capacity: 32)
    writer.append(date.dayText.filter { $0 != "-" } + "T" + date.timeText.filter { $0 != ":" } + "Z-")
    writer.append(hex: UInt64(bitPattern: now.rawValue) ^ UInt64(getpid()), digits: 4)
    return writer.string()
  }

  /// Runs until the time is over, a signal or `weir ctl drain` comes, or going on makes no sense.
  ///
  /// - Parameters:
  ///   - show: called after each look at the services, for a person who watches.
  ///   - reload: loads the configuration again.
  /// - Returns: the manifest, and whether every condition held.
  public func run(
    show: @escaping (RunService) -> Void = { _ in }, reload: (() throws -> ReloadedConfiguration)? = nil
  ) throws -> (manifest: JSONValue, holds: Bool) {
    self.show = show
    reloadConfiguration = reload
    try loop.onSignals([SIGINT, SIGTERM, SIGHUP]) { [unowned self] number in
      if number == SIGHUP { self.reload() } else { stop(reason: number == SIGINT ? "SIGINT" : "SIGTERM") }
    }
    control = try ControlSocket(on: loop, folder: options.folder) { [unowned self] name, arguments, answer in
      perform(name, arguments, answer)
    }
    try writeManifest(state: "running")
    try watch.begin()
    if let minutes = options.minutes {
      loop.after(Int64(minutes * Double(Nanoseconds.minute))) { [unowned self] in stop(reason: "time is over")
      }
    }
    // Off the full second: what cron or a script does on it would be seen half done each time.
    let firstPeriod = EventLoop.monotonicNow() + 600 * Nanoseconds.millisecond
    every({ $0.healthSeconds }, since: firstPeriod) { [unowned self] in checkHealth() }
    every({ $0.scrapeSeconds }) { [unowned self] in
      sampleResources()
      watch.scrape()
    }
    log.info("run_started", ["run_id": .text(record.runID), "folder": .text(options.folder)])
    noteParameters()
    supervision.start(EventLoop.monotonicNow())
    step()
    loop.run()
    client.close()
    children.removeAll()
    control = nil
    if let failure { throw failure }
    return try conclude()
  }

  /// From deadline to deadline, so that a late turn moves no later one.
  private func every(
    _ seconds: @escaping (RunConfiguration) -> Int, since: Int64 = EventLoop.monotonicNow(),
    _ job: @escaping () -> Void
  ) {
    let due = max(since + Int64(seconds(run)) * Nanoseconds.second, EventLoop.monotonicNow())
    loop.at(due) { [weak self] in
      guard let self, supervision.phase != .done else { return }
      job()
      every(seconds, since: due, job)
    }
  }

  public func stop(reason: String) {
    log.info("run_stopping", ["reason": .text(reason)])
    supervision.stop(EventLoop.monotonicNow(), reason: reason)
    step()
  }

  /// The wall clock of the start plus time since: what rules and alerts are timed by, so that a step of this
  /// machine's clock is none of theirs.
  var steadyNow: UnixNanos {
    UnixNanos(record.startedAt.rawValue + EventLoop.monotonicNow() - record.startedNs)
  }

  // MARK: Supervision's actions

  /// Performs what the supervision wants now, and wakes it when it next has something to do.
  func step() {
    // Each step puts the deadline off by up to a second: frequent ones would keep beats from ever being heard.
    hearBeats(EventLoop.monotonicNow())
    while true {
      let actions = supervision.takeActions()
      if actions.isEmpty { break }
      for action in actions { perform(action) }
    }
    if let armed { loop.cancel(armed) }
    guard supervision.phase != .done else { return }
    armed = loop.at(supervision.deadline(EventLoop.monotonicNow())) { [unowned self] in
      let now = EventLoop.monotonicNow()
      hearBeats(now)
      supervision.tick(now)
      step()
    }
  }

  private func hearBeats(_ nowNs: Int64) {
    for (service, child) in children where child.beats != beatsHeard[service] {
      beatsHeard[service] = child.beats
      guard let beat = child.lastBeat else { continue }
      if service == .harvest { record.harvester.update(beat) }
      supervision.beat(service, beat, nowNs)
    }
  }

  private func perform(_ action: Supervision.Action) {
    switch action {
    case .start(let service): start(service)
    case .terminate(let service): children[service]?.terminate()
    case .kill(let service):
      log.warning("killed", ["process": .text(service.rawValue)])
      children[service]?.kill()
    case .drain(let service):
      children[service]?.request("drain", .object([]), timeoutNs: 5 * Nanoseconds.second) {
        [weak self] result in
        if case .failure(let error) = result {
          self?.log.warning(
            "drain_refused", ["process": .text(service.rawValue), "reason": .text("\(error)")])
        }
      }
    case .finish:
      watch.finish { [weak self] in self?.loop.stop() }
    }
  }

  private func start(_ service: ServiceName) {
    ports[service] = nil
    beatsHeard[service] = 0
    do {
      let child = try ChildProcess(
        on: loop, name: service.rawValue,
        arguments: options.arguments(service, venueAddress: venueAddress),
        environment: options.serviceEnvironment, errorLog: options.paths.log(service),
        line: { [weak self] line in self?.heard(service, line) },
        noise: { [weak self] text in
          self?.log.warning("stray_output", ["process": .text(service.rawValue), "text": .text(text)])
        },
        ended: { [weak self] exit in self?.ended(service, exit) })
      children[service] = child
      record.pids[service] = child.pid
      log.info("service_started", ["process": .text(service.rawValue), "pid": .text("\(child.pid)")])
      supervision.started(service, pid: child.pid, EventLoop.monotonicNow())
    } catch {
      log.error("start_failed", ["process": .text(service.rawValue), "reason": .text("\(error)")])
      supervision.failedToStart(service, reason: "\(error)", EventLoop.monotonicNow())
    }
  }

  private func heard(_ service: ServiceName, _ line: JSONValue) {
    let now = EventLoop.monotonicNow()
    if line["ready"]?.boolean == true {
      ports[service] = line["metrics_port"]?.integer.flatMap { UInt16(exactly: $0) }
      if service == .venue { venueAddress = line["rest"]?.text ?? "" }
      log.info("service_ready", ["process": .text(service.rawValue)])
      supervision.ready(service, now)
      writeTargets()
      if service == .harvest { watch.harvesterIsBack() }
    } else if let summary = line["summary"] {
      record.summaries[service] = summary
      if service == .harvest { record.harvester.update(summary) }
    }
    step()
  }

  private func ended(_ service: ServiceName, _ exit: ChildProcess.Exit) {
    hearBeats(EventLoop.monotonicNow())
    let isOrderly = exit.code == 0
    let reason = isOrderly ? "\(exit)" : "\(exit)" + (lastWords(service).map { ": \($0)" } ?? "")
    if service == .harvest { record.harvester.ended() }
    ports[service] = nil
    children[service] = nil
    let fields: KeyValuePairs<String, LogValue> = [
      "process": .text(service.rawValue), "exit": .text(reason),
    ]
    if isOrderly { log.info("service_ended", fields) } else { log.warning("service_ended", fields) }
    supervision.ended(service, reason: reason, isOrderly: isOrderly, EventLoop.monotonicNow())
    step()
  }

  /// The last line of a service's log.
  private func lastWords(_ service: ServiceName) -> String? {
    let path = options.paths.log(service)
    let bytes = withUnsafeTemporaryAllocation(byteCount: 2048, alignment: 1) { buffer -> [UInt8]? in
      guard let file = try? File(path, .read), let size = try? file.size() else { return nil }
      try? file.seek(to: max(0, size - buffer.count))
      guard let count = try? file.read(into: buffer) else { return nil }
      return Array(buffer[..<count])
    }
    let lines = String(decoding: bytes ?? [], as: UTF8.self).split(whereSeparator: \.isNewline)
    return lines.last.map { String($0.prefix(300)) }
  }

  // MARK: Looks

  private func checkHealth() {
    guard supervision.phase == .running else { return }
    let asked = ports
    // Whoever becomes ready while the others answer has not been asked; its ready line is a moment old.
    var answers = Dictionary(
      uniqueKeysWithValues: ServiceName.allCases.filter { asked[$0] == nil }.map { ($0, true) })
    guard !asked.isEmpty else { return concludeLook(answers) }
    var waiting = asked.count
    for (service, port) in asked {
      client.request("GET", "http://127.0.0.1:\(port)/readyz", timeoutNs: RunService.requestNs) {
        [weak self] in
        if case .success(let response) = $0 { answers[service] = response.status == 200 }
        waiting -= 1
        if waiting == 0 { self?.concludeLook(answers) }
      }
    }
  }

  private func concludeLook(_ answers: [ServiceName: Bool]) {
    guard supervision.phase == .running else { return }
    hearBeats(EventLoop.monotonicNow())
    let sample = supervision.look(
      EventLoop.monotonicNow(), wall: steadyNow, window: options.isReplay ? .replay : .live,
      isReady: answers, formerSequences: sequences,
      freshnessNsMax: Int64(run.freshnessMsMax) * Nanoseconds.millisecond)
    record.add(sample)
    for service in sample.services {
      if let problem = service.problem {
        log.warning("not_healthy", ["process": .text(service.name.rawValue), "problem": .text(problem)])
      }
    }
    endReplay()
    lookAtParameters()
    for member in supervision.members { sequences[member.service] = member.sequence }
    writeStatus()
    show(self)
    step()
  }

  /// A tape that nobody writes is done when nothing of it is left to read.
  private func endReplay() {
    guard case .tape = options.source, let signal = supervision[.signal], signal.isReady else { return }
    idleLooks = signal.sequence > 0 && signal.sequence == sequences[.signal] ? idleLooks + 1 : 0
    if idleLooks >= 2 { stop(reason: "the tape has been read") }
  }

  private func sampleResources() {
    let now = EventLoop.monotonicNow()
    for service in options.plan {
      record.add(
        supervision[service].flatMap { $0.isRunning ? ProcessSample(pid: $0.pid) : nil },
        for: service.rawValue, atNs: now, sinceNs: lastResourcesNs)
    }
    record.add(ProcessSample(pid: getpid()), for: "run", atNs: now, sinceNs: lastResourcesNs)
    record.addTotal(now)
    lastResourcesNs = now
  }

  /// Failing to write the status is told once and stops nothing.
  private func writeStatus() {
    do throws(FileError) {
      try Files.writeAtomically(options.paths.status, statusJSON.text(pretty: true) + "\n")
    } catch {
      log.warning("status_not_written", ["reason": .text("\(error)")])
    }
  }

  /// Where metrics are served now, for Prometheus' file discovery: ports are free ones, new at each start.
  private func writeTargets() {
    var places = [("run", watch.metricsPort)]
    for service in options.plan { if let port = ports[service] { places.append((service.rawValue, port)) } }
    let targets: [JSONValue] = places.filter { $0.1 != 0 }.map { name, port in
      .object([
        "targets": .array([.string("127.0.0.1:\(port)")]), "labels": .object(["job": .string(name)]),
      ])
    }
    do throws(FileError) {
      try Files.writeAtomically(options.paths.targets, JSONValue.array(targets).text(pretty: true) + "\n")
    } catch {
      log.warning("targets_not_written", ["reason": .text("\(error)")])
    }
  }

  // MARK: The end

  /// After the last service: the comparison of the sinks, the manifests, the verdict.
  private func conclude() throws -> (manifest: JSONValue, holds: Bool) {
    record.endedAt = EventLoop.wallNow()
    let parity = try RunConclusion.parity(options)
    try RunConclusion.writeSourceManifest(self)
    writeStatus()
    let conditions = RunConclusion.conditions(self, parity)
    let holds = conditions.allSatisfy(\.holds)
    let manifest = try RunConclusion.manifest(self, state: "finished", conditions: conditions)
    try Files.writeAtomically(options.paths.manifest, manifest.text(pretty: true) + "\n")
    log.info("run_ended", ["holds": .text("\(holds)")])
    return (manifest, holds)
  }

  private func writeManifest(state: String) throws {
    try RunConclusion.writeSourceManifest(self)
    let manifest = try RunConclusion.manifest(self, state: state, conditions: [])
    try Files.writeAtomically(options.paths.manifest, manifest.text(pretty: true) + "\n")
  }
}

/// A configuration as it was loaded again.
public struct ReloadedConfiguration: Sendable {
  public var configuration: WeirConfiguration
  /// It without what variables of their own name change in it.
  public var loaded: LoadedConfig<WeirConfiguration>

  public init(configuration: WeirConfiguration, loaded: LoadedConfig<WeirConfiguration>) {
    self.configuration = configuration
    self.loaded = loaded
  }

  public var version: String { loaded.version }
}
