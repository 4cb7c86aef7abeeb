import Core
import Flow
import Glibc
import Strategy
import Telemetry

/// The signal service's numbers for `/metrics`.
///
/// Totals are the pipeline's own, since the beginning of the tape, and copied when somebody asks; a restart
/// from a checkpoint does not set them back. Latencies are of this process, once it has reached the end of
/// the tape: how old a record is that was read after an hour's standstill says nothing of how fast it was
/// processed.
final class SignalMetrics {
  let registry = MetricRegistry()

  private struct Symbol {
    var rows: Counter
    var confirmed: Counter
    var strong: Counter
    var gaps: Counter
    var resyncs: Counter
    var volatility: Gauge
  }

  /// Over a minute of tape time: rows, and how many of them are without z_ofi, z_cvd, score.
  private var missing = SlidingSum(windowMs: 60, width: 4)
  private var isWarm: [Bool] = []
  private var symbols: [Symbol] = []
  private var volatilities: [MidVolatility] = []
  private let gated: [Counter]
  private let frames: Counter
  private let sequence: Gauge
  private let decodeErrors: Counter
  private let backlog: Gauge
  private let latency: Histogram
  private let readLatency: Histogram
  private let computing: Histogram
  private let missingRates: [Gauge]
  private let checkpoints: Counter
  private let checkpointDuration: Histogram
  private let checkpointSize: Gauge
  private let batches: Histogram
  private let overruns: Counter
  /// By regime.
  private let modeInfo: [Gauge]
  private let timeInMode: [Counter]
  private let modeIsActive: Gauge
  private let lastModeChange: Gauge
  private let parameterUpdates: Histogram
  /// Of the whole stage: parameters that a note brought.
  private let parameterFailures: Counter
  private let moduleRefusals: [(module: String, Counter)]
  private let triggers: TriggerMetrics
  private let controls: Counter
  private let controlErrors: Counter

  private var shadow: ShadowMetrics

  private static let regimes: [Signal.Regime] = [.normal, .active, .quiet]
  private static let reasons = [StrategyMode.Reason.schedule, .market, .both].map(\.name)

  private static let perSymbol: [(name: String, type: MetricType, help: String)] = [
    ("weir_signal_rows_total", .counter, "Signal rows since the beginning of the tape."),
    ("weir_signal_confirmed_total", .counter, "Confirmed signal rows since the beginning of the tape."),
    (
      "weir_signal_strong_total", .counter, "Confirmed rows of a strong type since the beginning of the tape."
    ),
    ("weir_signal_gaps_total", .counter, "Holes of the book's event chain that needed a snapshot."),
    ("weir_signal_resyncs_total", .counter, "Times the book was made again from a snapshot."),
    (
      "weir_signal_volatility_bps", .gauge,
      "Realised volatility of the mid over the last minute of rows, basis points per square root of a minute."
    ),
  ]

  init() {
    shadow = ShadowMetrics(registry)
    for metric in SignalMetrics.perSymbol { registry.declare(metric.name, metric.type, metric.help) }
    let registry = registry
    gated = Signal.GuardReason.allCases.dropFirst().map {
      registry.counter(
        "weir_signal_rows_gated_total", "Rows that were not confirmed, by the first reason that applied.",
        labels: ["reason": "\($0.name)"])
    }
    frames = registry.counter("weir_signal_frames_total", "Frames of the tape processed.")
    sequence = registry.gauge("weir_signal_tape_sequence", "Number of the last tape record processed.")
    decodeErrors = registry.counter("weir_signal_decode_errors_total", "Frames that could not be decoded.")
    backlog = registry.gauge("weir_signal_backlog_bytes", "Bytes of the tape that are not read yet.")
    latency = registry.histogram(
      "weir_signal_latency_seconds", "Receive time to signals written, oldest record of each wake-up.",
      buckets: MetricBuckets.latencySeconds)
    readLatency = registry.histogram(
      "weir_signal_read_latency_seconds",
      "Receive time to read from the tape, oldest record of each wake-up.",
      buckets: MetricBuckets.latencySeconds)
    computing = registry.histogram(MetricCatalog.featureCompute, labels: ["name": "row"])
    missingRates = ["z_ofi", "z_cvd", "score"].map {
      registry.gauge(MetricCatalog.featureNotANumber, labels: ["name": $0])
    }
    checkpoints = registry.counter("weir_signal_checkpoints_total", "Checkpoints written by this process.")
    checkpointDuration = registry.histogram(
      "weir_signal_checkpoint_duration_ms", "Time to flush the sinks and write a checkpoint.",
      buckets: MetricBuckets.milliseconds)
    checkpointSize = registry.gauge("weir_signal_checkpoint_bytes", "Size of the last checkpoint.")
    batches = registry.histogram(MetricCatalog.taskLatency, labels: ["task_type": "signal_batch"])
    overruns = registry.counter(
      "weir_task_overruns_total", "Times a task took longer than it may.",
      labels: ["task_type": "signal_batch"])
    modeInfo = SignalMetrics.regimes.map {
      registry.gauge(MetricCatalog.strategyModeInfo, labels: ["mode": "\($0.name)"])
    }
    timeInMode = SignalMetrics.regimes.map {
      registry.counter(MetricCatalog.strategyTimeInMode, labels: ["mode": "\($0.name)"])
    }
    modeIsActive = registry.gauge(MetricCatalog.strategyModeActive)
    lastModeChange = registry.gauge(MetricCatalog.strategyModeLastChange)
    parameterUpdates = registry.histogram(MetricCatalog.strategyParametersUpdate)
    parameterFailures = registry.counter(
      MetricCatalog.strategyParametersUpdateFailures, labels: ["module": "signal"])
    moduleRefusals = SignalPipeline.modules.map {
      ($0.name, registry.counter(MetricCatalog.strategyParametersUpdateFailures, labels: ["module": $0.name]))
    }
    triggers = TriggerMetrics(registry)
    controls = registry.counter("weir_signal_controls_total", "Interventions on the tape that were obeyed.")
    controlErrors = registry.counter(
      "weir_signal_control_errors_total", "Interventions on the tape that are none, or were refused.")
    // From the start, so that the first change is a rise.
    for from in SignalMetrics.regimes {
      for to in SignalMetrics.regimes where to != from {
        for reason in ["ctl"] + SignalMetrics.reasons { _ = transitions(from, to, reason) }
      }
    }
  }

  private func transitions(_ from: Signal.Regime, _ to: Signal.Regime, _ reason: String) -> Counter {
    registry.counter(
      MetricCatalog.strategyModeTransitions,
      labels: ["from": "\(from.name)", "to": "\(to.name)", "reason": reason])
  }

  // MARK: As it happens

  func observe(parameterUpdateNs: Int64) { parameterUpdates.observe(Double(parameterUpdateNs) / 1e6) }

  /// Takes a batch of rows. Until a symbol's histories are long enough its rows have no z by design; they are
  /// left out of the share of values that are missing.
  func count(_ rows: [Signal]) {
    for row in rows {
      let index = row.symbol.index
      while volatilities.count <= index {
        volatilities.append(MidVolatility())
        isWarm.append(false)
      }
      if row.trigger == .grid { volatilities[index].add(row.doubledMid, at: row.receiveTime.rawValue) }
      if !row.zOFI.isAbsent, !row.zCVD.isAbsent { isWarm[index] = true }
      guard isWarm[index] else { continue }
      let absent = [row.zOFI, row.zCVD, row.score].map { $0.isAbsent ? Int64(1) : 0 }
      withUnsafePointer(to: (1, absent[0], absent[1], absent[2]) as (Int64, Int64, Int64, Int64)) { values in
        values.withMemoryRebound(to: Int64.self, capacity: 4) {
          missing.add($0, at: row.receiveTime.rawValue / Nanoseconds.second)
        }
      }
    }
  }

  func observe(latencyNs: Int64) { latency.observe(Double(latencyNs) / 1e9) }
  func observe(readLatencyNs: Int64) { readLatency.observe(Double(readLatencyNs) / 1e9) }

  func observe(batchNs: Int64, hasRows: Bool) {
    batches.observe(Double(batchNs) / 1e9)
    if hasRows { computing.observe(Double(batchNs) / 1e6) }
  }

  func countOverrun() { overruns.add() }

  func countCheckpoint(tookNs: Int64, bytes: Int) {
    checkpoints.add()
    checkpointDuration.observe(Double(tookNs) / 1e6)
    checkpointSize.set(Double(bytes))
  }

  // MARK: When asked

  /// Copies what the pipeline counts.
  func refresh(_ pipeline: borrowing SignalPipeline, backlogBytes: Int) {
    let totals = pipeline.totals
    frames.set(total: Double(totals.frames))
    sequence.set(Double(totals.lastSequence))
    decodeErrors.set(total: Double(totals.decodeErrors.reduce(0, +)))
    backlog.set(Double(backlogBytes))
    var reasons = [Int64](repeating: 0, count: Signal.GuardReason.allCases.count)
    for index in 0..<pipeline.states.count {
      if index == symbols.count { symbols.append(newSymbol(pipeline.symbols.names[index])) }
      let counts = pipeline.states[index].pointee.counts
      symbols[index].rows.set(total: Double(counts.signals))
      symbols[index].confirmed.set(total: Double(counts.confirmed))
      symbols[index].strong.set(total: Double(counts.strong))
      symbols[index].gaps.set(total: Double(pipeline.states[index].pointee.book.holes))
      symbols[index].resyncs.set(total: Double(pipeline.states[index].pointee.book.resyncs))
      let volatility = index < volatilities.count ? volatilities[index].basisPoints : nil
      symbols[index].volatility.set(volatility ?? .nan)
      for reason in reasons.indices { reasons[reason] += counts.guardReasons[reason] }
    }
    for (counter, total) in zip(gated, reasons.dropFirst()) { counter.set(total: Double(total)) }
    refresh(pipeline.strategyState, pipeline.control.regime)
    shadow.refresh(pipeline)
    triggers.refresh(pipeline.mode.newest)
    missing.expire(before: max(0, pipeline.receiveNs) / Nanoseconds.second - 60)
    for (index, gauge) in missingRates.enumerated() {
      gauge.set(missing.sums[0] == 0 ? .nan : Double(missing.sums[1 + index]) / Double(missing.sums[0]))
    }
  }

  private func refresh(_ state: StrategyState, _ regime: Signal.Regime) {
    for (index, name) in SignalMetrics.regimes.enumerated() {
      modeInfo[index].set(name == regime ? 1 : 0)
      timeInMode[index].set(total: Double(state.nsInRegime[Int(name.rawValue)]) / 1e9)
    }
    modeIsActive.set(regime == .active ? 1 : 0)
    // A regime that is in force from the start began with the tape, not in 1970.
    lastModeChange.set(state.sinceNs.map { Double($0) / 1e9 } ?? .nan)
    for transition in state.transitions {
      transitions(transition.from, transition.to, transition.reason).set(total: Double(transition.count))
    }
    parameterFailures.set(total: Double(state.parameterFailures))
    for (module, counter) in moduleRefusals {
      counter.set(total: Double(state.refusals.first { $0.module == module }?.count ?? 0))
    }
    controls.set(total: Double(state.controlsApplied))
    controlErrors.set(total: Double(state.controlErrors))
  }

  private func newSymbol(_ name: String) -> Symbol {
    func counter(_ index: Int) -> Counter {
      let metric = SignalMetrics.perSymbol[index]
      return registry.counter(metric.name, metric.help, labels: ["symbol": name])
    }
    let volatility = SignalMetrics.perSymbol[5]
    return Symbol(
      rows: counter(0), confirmed: counter(1), strong: counter(2), gaps: counter(3), resyncs: counter(4),
      volatility: registry.gauge(volatility.name, volatility.help, labels: ["symbol": name]))
  }
}

/// What the triggers saw in the newest window that counted; each figure the median over the symbols.
private struct TriggerMetrics {
  private let schedule: Gauge
  private let market: Gauge
  private let trades: Gauge
  private let quotes: Gauge
  private let spread: Gauge
  private let volatility: Gauge
  private let volume: Gauge

  init(_ registry: MetricRegistry) {
    schedule = registry.gauge(MetricCatalog.strategyTriggerSchedule)
    market = registry.gauge(MetricCatalog.strategyTriggerMarket)
    trades = registry.gauge(MetricCatalog.strategyTriggerTrades)
    quotes = registry.gauge(MetricCatalog.strategyTriggerQuotes)
    spread = registry.gauge(MetricCatalog.strategyTriggerSpread)
    volatility = registry.gauge(MetricCatalog.strategyTriggerVolatility)
    volume = registry.gauge(MetricCatalog.strategyTriggerVolume)
  }

  /// A trigger that is off asks for nothing: its gauge is 0. A figure that is not known is no number.
  func refresh(_ window: StrategyMode.Window?) {
    schedule.set(window?.schedule == true ? 1 : 0)
    market.set(window?.market == true ? 1 : 0)
    let figures = window?.verdict?.figures
    trades.set(figures?.tradesPerMinute ?? .nan)
    quotes.set(figures?.quotesPerSecond ?? .nan)
    spread.set(figures?.spreadBps ?? .nan)
    volatility.set(figures?.volatilityBps ?? .nan)
    volume.set(figures?.volumeUSD ?? .nan)
  }
}

/// Realised volatility of a mid over the last minute of tape time, per square root of a minute.
///
/// σ = √(Σ r² / T), r the log return between two rows and T the minutes they span: normalised by the time
/// that was measured, so that a window that is not full yet, or has a hole, is comparable with one that is. A
/// row without a mid breaks the chain of returns. One entry a row of the last minute.
struct MidVolatility {
  private static let windowNs = Nanoseconds.minute
  private var steps: [(timeNs: Int64, minutes: Double, squared: Double)] = []
  private var head = 0
  private var last: (timeNs: Int64, doubledMid: Int64)?

  mutating func add(_ doubledMid: Int64?, at timeNs: Int64) {
    while head < steps.count, steps[head].timeNs <= timeNs - MidVolatility.windowNs { head += 1 }
    if head > 64, head * 2 > steps.count {
      steps.removeFirst(head)
      head = 0
    }
    guard let doubledMid, doubledMid > 0 else {
      last = nil
      return
    }
    if let last, timeNs > last.timeNs, timeNs - last.timeNs <= MidVolatility.windowNs {
      let step = doubledMid == last.doubledMid ? 0 : log(Double(doubledMid) / Double(last.doubledMid))
      steps.append((timeNs, Double(timeNs - last.timeNs) / Double(Nanoseconds.minute), step * step))
    }
    last = (timeNs, doubledMid)
  }

  /// nil before the second mid.
  var basisPoints: Double? {
    guard head < steps.count else { return nil }
    let sums = steps[head...].reduce((minutes: 0.0, squared: 0.0)) {
      ($0.minutes + $1.minutes, $0.squared + $1.squared)
    }
    return 1e4 * (sums.squared / sums.minutes).squareRoot()
  }
}
