import Core
import Rules
import Telemetry

@testable import Services
@testable import SimulationKit

/// The shipped alert rules over the real stages, in tape time.
///
/// A rule's proof in its file shows that the rule fires on some series; not that any fault makes the stages give such a
/// series. Here a ``World`` (the real harvester and exchange under a virtual clock) suffers the fault itself, a real
/// ``SignalPipeline`` reads its tape, and every five seconds of virtual time the metrics of both, as `/metrics` has
/// them, are judged by the rules of `config/alerts.yaml`. Actions are performed on the harvester, as `weir run` does.
/// Its configuration is the shipped one.
final class AlertWorld {
  /// An alert's life, in virtual seconds since the start.
  struct Life: CustomStringConvertible {
    var rule: String
    var fired: Int
    var recovered: Int?

    var description: String { "\(rule) \(fired)–\(recovered.map { "\($0)" } ?? "")" }
  }

  static let scrapeSeconds = 5
  /// Between two looks at the metrics; more than ``scrapeSeconds`` for days in which little happens.
  var everySeconds = AlertWorld.scrapeSeconds
  let world: World
  private(set) var lives: [Life] = []
  /// Actions that were performed, in order.
  private(set) var actions: [AlertAction] = []
  /// How fast the harvester's wall clock runs away from the exchange's, ns a second.
  var clockErrorNs: Int64 = 0
  private var pipeline: SignalPipeline
  private let metrics = SignalMetrics()
  private var store: MetricStore
  private var engine: AlertEngine
  private var entriesRead = 0
  private var padded = PaddedBytes()

  /// - Parameter backoffMsMax: the harvester's longest wait before it tries to connect again.
  init(seed: UInt64, backoffMsMax: Int? = nil) throws {
    var options = SimulationOptions(seed: seed)
    options.symbols = ["BTCUSDT"]
    // The slowest market there is.
    options.framesPerSecond = 16
    options.faultSeconds = 1_000_000
    options.sessionSeconds = 86_400
    var harvest = HarvestConfiguration()
    if let backoffMsMax { harvest.backoffMsMax = backoffMsMax }
    options.harvest = harvest
    world = World(options)
    pipeline = SignalPipeline(AlertWorld.signals)
    let rules = try RuleSet(loading: AlertWorld.rulesPath)
    store = MetricStore(for: rules)
    engine = AlertEngine(rules)
    world.begin()
  }

  private static let rulesPath =
    #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/config/alerts.yaml"

  /// Short histories and low thresholds, so that a minute has confirmed signals and strong ones.
  private static var signals: SignalConfiguration {
    var configuration = SignalConfiguration()
    configuration.flow.rowIntervalMs = 1000
    configuration.flow.warmupMs = 30_000
    configuration.flow.historyMs = 120_000
    configuration.flow.fusion.base = .init(signal: 0.5, strong: 1)
    configuration.gates.consistencyMin = 0
    configuration.gates.missingRatioMax = 1
    configuration.gates.resyncCooldownMs = 0
    configuration.gates.reconnectCooldownMs = 0
    return configuration
  }

  /// Virtual seconds since the start.
  var seconds: Int { Int((world.now - world.start) / Nanoseconds.second) }

  func life(_ rule: String) -> Life? { lives.first { $0.rule == rule } }

  // MARK: Time

  /// Goes on for so long, a whole number of scrapes.
  func run(seconds: Int) {
    for second in 1...seconds {
      let time = world.now + Nanoseconds.second
      world.advance(to: time)
      world.now = time
      world.skewNs += clockErrorNs
      if second % everySeconds == 0 { scrape() }
    }
  }

  /// Until an alert has recovered, at most so long.
  func run(untilRecovered rule: String, secondsMax: Int) {
    let limit = seconds + secondsMax
    while seconds < limit, life(rule)?.recovered == nil { run(seconds: everySeconds) }
  }

  private func scrape() {
    readTape()
    var text = ByteWriter(capacity: 1 << 14)
    world.harvester.exposition(into: &text)
    let now = UnixNanos(world.now)
    let harvest = try! Exposition(parsing: text.bytes).samples
    store.append(harvest, target: [.init("job", "harvest")], at: now)
    metrics.refresh(pipeline, backlogBytes: 0)
    store.append(metrics.registry.samples(), target: [.init("job", "signal")], at: now)
    for event in engine.step(now: now, store).events { take(event) }
  }

  private func readTape() {
    let end = world.tape.publishedCount
    guard entriesRead < end else { return }
    padded.with(world.tape.bytes(entriesRead..<end)) { block in
      var offset = 0
      while offset < block.count {
        offset = pipeline.process(block, from: offset)
        metrics.count(pipeline.rows)
        pipeline.removeRows()
      }
    }
    entriesRead = end
    for tookNs in pipeline.takeParameterUpdateNs() { metrics.observe(parameterUpdateNs: tookNs) }
  }

  private func take(_ event: AlertEvent) {
    switch event.kind {
    case .fired:
      lives.append(Life(rule: event.rule, fired: seconds))
      if event.action != .none { actions.append(event.action) }
      switch event.action {
      case .restartWebSocket: world.step { try $0.restartSockets(world.moment) }
      case .rebuildSnapshot: world.step { try $0.rebuildSnapshots(world.moment) }
      case .degradedTimeSync: control(#"{"control":"time_sync","value":"degraded"}"#)
      default: break
      }
    case .recovered:
      let place = lives.lastIndex { $0.rule == event.rule && $0.recovered == nil }!
      lives[place].recovered = seconds
      if event.action == .degradedTimeSync { control(#"{"control":"time_sync","value":"normal"}"#) }
    }
  }

  /// Puts an intervention on the tape.
  func control(_ text: String) {
    world.step { harvester in
      if let error = try harvester.appendControl(try JSONValue(parsing: text), world.moment) {
        world.outcome.violate("\(text) is refused: \(error)")
      }
    }
  }

  // MARK: Causes

  /// Modules take so long for new parameters.
  func slowDownParameters(milliseconds: Int64) {
    var clockNs: Int64 = 0
    pipeline.monotonicNs = {
      clockNs += milliseconds * Nanoseconds.millisecond
      return clockNs
    }
  }

  /// Every so-many-th frame of a stream is lost; nil for none.
  func lose(every count: Int?, of stream: String) {
    world.network.losses["btcusdt@" + stream] = count.map { ($0, 0) }
  }

  /// Nothing comes, and nothing can be asked, for so long from now.
  func cutOff(seconds: Int) {
    let until = world.now + Int64(seconds) * Nanoseconds.second
    world.network.refusesConnectionsUntil = until
    world.network.restFailsUntil = until
    for index in world.links.indices where world.links[index].session != nil {
      world.closeSession(index)
      world.toHarvester(index, .closed("reset by peer"))
    }
    world.exchangeChanged()
  }

  /// As ``cutOff(seconds:)`` for days, and the exchange itself stands still: a day costs little then.
  func closeExchange() {
    cutOff(seconds: 30 * 86_400)
    world.nextExchangeTime = .max
  }

  /// Nothing passes on the connections that are open, and nobody is told.
  func halfOpen() {
    for index in world.links.indices where world.links[index].session != nil {
      world.links[index].isHalfOpen = true
    }
  }

  var timeSyncIsForced: Bool { pipeline.control.timeSyncIsForced }
  var counters: HarvestCounters { world.harvester.counters }
  var isConnected: Bool { world.harvester.isEveryConnectionOpen }
  var bookIsSynchronized: Bool { world.harvester.bookState("BTCUSDT")?.isSynchronized ?? false }
  var rows: (rows: Int64, confirmed: Int64, strong: Int64) { pipeline.rowCounts }
}
