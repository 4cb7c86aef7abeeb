import Binance
import Core
import Flow
import Glibc
import Store
import Strategy
import Tape
import Testing

@testable import Services

/// Windows of five seconds over a generated market whose figures lie around the limits, so that a minute has
/// several changes of regime.
let restlessConfiguration: SignalConfiguration = {
  var configuration = quickConfiguration
  configuration.strategy.windowSeconds = 5
  configuration.strategy.activeWindowsMin = 1
  configuration.strategy.quietWindowsMin = 1
  configuration.strategy.market.tradesPerMinuteMin = 0
  configuration.strategy.market.quotesPerSecondMin = 0
  configuration.strategy.market.spreadBpsMax = 10_000
  configuration.strategy.market.volumeUSDMin = 0
  configuration.strategy.market.volatilityBpsMin = 1.2
  configuration.strategy.market.symbolsShareMin = 1
  configuration.strategy.volatility.windowSeconds = 10
  configuration.strategy.volatility.strideSeconds = 2
  configuration.strategy.volatility.historySeconds = 60
  configuration.strategy.volatility.samplesMin = 3
  configuration.strategy.throttlesInQuiet = false
  for cell in [\ScenarioTable.activeHigh, \.activeLow, \.quietHigh, \.quietLow] {
    configuration.strategy.scenarios[keyPath: cell].entryBuy = 0.6
    configuration.strategy.scenarios[keyPath: cell].entrySell = 0.6
  }
  configuration.flow.fusion.active = .init(signal: 0.5, strong: 1.0)
  configuration.flow.fusion.quiet = .init(signal: 0.7, strong: 1.3)
  return configuration
}()

/// Feeds lines one by one, with a look at the pipeline after each.
@discardableResult
func feed(
  _ pipeline: inout SignalPipeline, _ lines: some Sequence<[UInt8]>,
  _ look: (inout SignalPipeline) -> Void = { _ in }
) -> [Signal] {
  var rows: [Signal] = []
  for line in lines {
    (line + [UInt8](repeating: 0, count: Tape.blockPaddingBytes)).withUnsafeBytes { bytes in
      var offset = 0
      while offset < line.count {
        offset = pipeline.process(UnsafeRawBufferPointer(rebasing: bytes[..<line.count]), from: offset)
        rows += pipeline.rows
        pipeline.removeRows()
      }
    }
    look(&pipeline)
  }
  return rows
}

@Suite("Modes in the signal stage")
struct ModeTests {
  private static let market: [[UInt8]] = {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try! makeMarket(folder, seed: 22, minutes: 1.5)
    return try! tapeBytes(folder).split(separator: 0x0A).map { Array($0) + [0x0A] }
  }()

  private var lines: [[UInt8]] { ModeTests.market }

  private func receiveNs(_ line: [UInt8]) -> Int64 {
    line.withUnsafeBytes { try! JSONValue(parsing: $0)["recv_ns"]!.integer! }
  }

  private func withControl(_ data: String, at share: Double) -> [[UInt8]] {
    var changed = lines
    let index = Int(Double(lines.count) * share)
    let line =
      "{\"seq\":0,\"recv_ns\":\(receiveNs(lines[index])),\"conn\":-1,\"kind\":\"note\",\"stream\":\"weir@control\",\"data\":\(data)}\n"
    changed.insert(Array(line.utf8), at: index + 1)
    return changed
  }

  @Test func aRegimeBeginsWithTheRowsOfAWindowsEnd() throws {
    var pipeline = SignalPipeline(restlessConfiguration)
    let rows = feed(&pipeline, lines)
    let changes = pipeline.strategyState.changes
    #expect(changes.count >= 4, "\(changes.count)")
    for (before, after) in zip(rows, rows.dropFirst()) where before.regime != after.regime {
      let change = changes.first { $0.timeNs == after.receiveTime.rawValue }
      #expect(change?.from == before.regime && change?.to == after.regime && after.trigger == .grid)
      #expect(after.receiveTime.rawValue % (5 * Nanoseconds.second) == 0)
    }
    for row in rows {
      let last = changes.last { $0.timeNs <= row.receiveTime.rawValue }
      #expect(row.regime == last?.to ?? .normal)
      #expect(row.mode == .auto && (row.regime != .normal || row.scenario == .none))
    }
    #expect(changes.allSatisfy { $0.reason == "market" && $0.window?.endNs == $0.timeNs })
    #expect(changes.allSatisfy { $0.window?.market == ($0.to == .active) && $0.window?.schedule == nil })
    // The first window is not whole.
    let first = receiveNs(lines[0])
    #expect(changes[0].timeNs >= (first / 5_000_000_000 + 2) * 5_000_000_000)
    // All four cells, with the thresholds of their regime.
    #expect(Set(rows.map(\.scenario)) == Set(Scenario.allCases))
    let counted = pipeline.symbolResults().map(\.counts.scenarios).reduce(
      into: [Int64](repeating: 0, count: 5)
    ) {
      for index in $1.indices { $0[index] += $1[index] }
    }
    #expect(counted.reduce(0, +) == Int64(rows.count))
    #expect(counted[3] == Int64(rows.count { $0.scenario == .quietHigh }))
    let (begin, end) = (pipeline.totals.firstReceiveNs, pipeline.receiveNs)
    #expect(pipeline.strategyState.nsInRegime.reduce(0, +) == end - begin)
    let windowNs = 5 * Nanoseconds.second
    #expect(pipeline.mode.windows.seen == end / windowNs - begin / windowNs)
    #expect(pipeline.mode.windows.quiet > 0 && pipeline.mode.windows.active > 0)
  }

  @Test func thresholdsAndEntriesFollowTheRegime() throws {
    var pipeline = SignalPipeline(restlessConfiguration)
    let fusion = restlessConfiguration.flow.fusion
    var seen: Set<UInt8> = []
    feed(&pipeline, lines) { pipeline in
      let regime = pipeline.control.regime
      seen.insert(regime.rawValue)
      let wanted = regime == .normal ? fusion.base : regime == .active ? fusion.active : fusion.quiet
      if pipeline.parameters.thresholds != wanted || pipeline.parameters.regime != regime {
        Issue.record("the parameters are not those of \(regime)")
      }
    }
    #expect(seen.count == 3)
    let rows = feed(&pipeline, [])
    #expect(rows.isEmpty)
  }

  /// A mode that is forced from the start has been in force since the tape began: alerts on its age count
  /// from there.
  @Test func aRegimeFromTheStartIsAsOldAsTheTape() throws {
    var configuration = restlessConfiguration
    configuration.strategy.mode = .quiet
    var pipeline = SignalPipeline(configuration)
    feed(&pipeline, lines[..<100])
    let metrics = SignalMetrics()
    metrics.refresh(pipeline, backlogBytes: 0)
    let sample = metrics.registry.samples().first { $0.name == "strategy_mode_last_change_timestamp" }
    #expect(sample?.value == Double(receiveNs(lines[0])) / 1e9)
  }

  // MARK: Who decides

  @Test func forcedModesActAtOnceAndTheWindowsCountOn() throws {
    var plain = SignalPipeline(restlessConfiguration)
    feed(&plain, lines)
    var pipeline = SignalPipeline(restlessConfiguration)
    let forced = withControl(#"{"control":"mode","value":"active","reason":"drill"}"#, at: 0.3)
    let rows = feed(&pipeline, forced)
    let time = receiveNs(lines[Int(Double(lines.count) * 0.3)])
    #expect(rows.allSatisfy { $0.receiveTime.rawValue <= time || $0.regime == .active && $0.mode == .active })
    // Underneath nothing has changed.
    #expect(pipeline.mode == plain.mode && pipeline.control.regime == .active)
    // `auto` goes back to what the windows say, at once.
    var back = SignalPipeline(restlessConfiguration)
    var both = forced
    let index = Int(Double(lines.count) * 0.6)
    let auto =
      "{\"seq\":0,\"recv_ns\":\(receiveNs(lines[index])),\"conn\":-1,\"kind\":\"note\",\"stream\":\"weir@control\",\"data\":{\"control\":\"mode\",\"value\":\"auto\"}}\n"
    both.insert(Array(auto.utf8), at: index + 2)
    let after = feed(&back, both).filter { $0.receiveTime.rawValue > receiveNs(lines[index]) }
    let reference = SignalPipelineRows.rows(lines, restlessConfiguration).filter {
      $0.receiveTime.rawValue > receiveNs(lines[index])
    }
    #expect(after.map(\.regime).filter { $0 != .normal }.count == after.count)
    #expect(
      after.filter { $0.trigger == .grid }.map(\.regime)
        == reference.filter { $0.trigger == .grid }.map(\.regime))
  }

  @Test func aConfiguredModeIsInForceFromTheStart() {
    var configuration = restlessConfiguration
    configuration.strategy.mode = .quiet
    var pipeline = SignalPipeline(configuration)
    let rows = feed(&pipeline, lines)
    #expect(rows.allSatisfy { $0.regime == .quiet && $0.mode == .quiet })
    #expect(
      pipeline.strategyState.changes.isEmpty
        && pipeline.parameters.thresholds == configuration.flow.fusion.quiet)
  }

  @Test func withoutDynamicsTheRegimeStaysNormal() {
    var configuration = restlessConfiguration
    configuration.strategy.isDynamic = false
    var pipeline = SignalPipeline(configuration)
    #expect(feed(&pipeline, lines).allSatisfy { $0.regime == .normal })
    #expect(pipeline.mode.windows.active > 0 && pipeline.mode.windows.quiet > 0)
  }

  // MARK: Refusals

  /// Whichever module refuses: no module changes, the old regime stays, and each window tries again.
  @Test(arguments: ["fusion", "gates", "flow", "scenario", "shell"])
  func aModuleThatRefusesHoldsAllBack(module: String) throws {
    #expect(SignalPipeline.modules.map(\.name).contains(module))
    var still = restlessConfiguration
    still.strategy.isDynamic = false
    let reference = SignalPipelineRows.rows(lines, still)
    var pipeline = SignalPipeline(restlessConfiguration)
    pipeline.refusingModule = module
    let rows = feed(&pipeline, lines[..<(lines.count * 2 / 3)])
    // Not only the regime: every value of every row is as if nobody had asked.
    #expect(zip(rows, reference).allSatisfy { $0 == $1 })
    #expect(pipeline.parameters.regime == .normal && pipeline.strategyState.changes.isEmpty)
    let refusals = pipeline.strategyState.refusals
    #expect(refusals.map(\.module) == [module])
    let decided = pipeline.mode.windows.active + pipeline.mode.windows.quiet
    #expect(refusals[0].count >= decided && refusals[0].count <= pipeline.mode.windows.seen)
    #expect(pipeline.strategyJSON["mode_change_failed"]?[module]?.integer == refusals[0].count)
    pipeline.refusingModule = nil
    feed(&pipeline, lines[(lines.count * 2 / 3)...])
    #expect(pipeline.strategyState.changes.first?.from == .normal && pipeline.control.regime != .normal)
    #expect(pipeline.strategyState.refusals == refusals)
  }

  /// A forced mode that is refused stays who decides, and is entered as soon as nobody refuses.
  @Test func aForcedModeIsTriedAgain() throws {
    var pipeline = SignalPipeline(restlessConfiguration)
    pipeline.refusingModule = "gates"
    let changed = withControl(#"{"control":"mode","value":"quiet","by":"ctl"}"#, at: 0.5)
    feed(&pipeline, changed[..<(changed.count * 3 / 4)])
    #expect(pipeline.control.mode == .quiet && pipeline.control.regime == .normal)
    #expect(pipeline.strategyState.controlErrors == 0)
    pipeline.refusingModule = nil
    feed(&pipeline, changed[(changed.count * 3 / 4)...])
    #expect(pipeline.control.regime == .quiet)
    #expect(pipeline.strategyState.changes.map(\.reason) == ["ctl"])
  }

  /// Parameters and degradations that a module refuses are no controls.
  @Test(arguments: [
    #"{"control":"params","version":"0123456789ab","values":{"gates.score_min":1.5}}"#,
    #"{"control":"degrade","light_rows":true,"strong_only":true,"threshold_scale":2,"conservative_cost":true}"#,
  ])
  func otherSwitchesAreRefusedWhole(_ data: String) throws {
    var configuration = restlessConfiguration
    configuration.strategy.isDynamic = false
    var pipeline = SignalPipeline(configuration)
    pipeline.refusingModule = "flow"
    let before = pipeline.control
    let rows = feed(&pipeline, withControl(data, at: 0.5))
    #expect(rows == SignalPipelineRows.rows(lines, configuration))
    #expect(pipeline.control.gates == before.gates && pipeline.control.degradation == before.degradation)
    let state = pipeline.strategyState
    #expect(state.controlErrors == 1 && state.controlsApplied == 0 && state.refusals.map(\.count) == [1])
    #expect(state.parameterFailures == (data.contains("params") ? 1 : 0))
  }

  /// How long a switch of 200 symbols takes; the limit is 100 ms.
  @Test func aSwitchOfManySymbolsIsQuick() {
    var pipeline = SignalPipeline(SignalConfiguration())
    for index in 0..<200 {
      let symbol = pipeline.decoder.instruments.intern("SYMBOL\(index)USDT")!
      _ = pipeline.state(of: symbol)
    }
    func now() -> Int64 {
      var time = timespec()
      clock_gettime(CLOCK_MONOTONIC, &time)
      return Int64(time.tv_sec) * Nanoseconds.second + Int64(time.tv_nsec)
    }
    pipeline.monotonicNs = now
    var took: [Int64] = []
    let modes: [Signal.Mode] = [.quiet, .active, .auto]
    for index in 0..<1000 {
      pipeline.control.mode = modes[index % 3]
      pipeline.followRegime(at: Int64(index))
      took += pipeline.takeParameterUpdateNs()
    }
    took.sort()
    #expect(took.count == 1000 && pipeline.strategyState.changes.count == StrategyState.changesMax)
    let p99 = took[989]
    print(
      "switch of 200 symbols: median \(took[500] / 1000) µs, p99 \(p99 / 1000) µs, longest \(took[999] / 1000) µs"
    )
    #expect(p99 < 100 * Nanoseconds.millisecond)
  }

  // MARK: Throttling

  @Test(arguments: [0.3, 0.01, 0.77])
  func quietRowsAreAShareOfTheGrid(ratio: Double) throws {
    var full = restlessConfiguration
    full.strategy.mode = .quiet
    var throttled = full
    throttled.strategy.throttlesInQuiet = true
    throttled.strategy.quietRowRatio = ratio
    let all = SignalPipelineRows.rows(lines, full)
    let rows = SignalPipelineRows.rows(lines, throttled)
    func index(_ row: Signal) -> Int64 { row.receiveTime.rawValue / (250 * Nanoseconds.millisecond) }
    let expected = all.filter { $0.trigger == .grid && RowRatio(ratio).takes(index($0)) }
    let grid = rows.filter { $0.trigger == .grid }
    #expect(grid.map(\.receiveTime) == expected.map(\.receiveTime) && grid.count > 5)
    // Histories, windows and exact sums are those of every point; what depends on the row before may differ.
    for (row, other) in zip(grid, expected) {
      #expect(
        row.zOFI == other.zOFI && row.zCVD == other.zCVD && row.ofi == other.ofi && row.cvd == other.cvd)
      #expect(row.score == other.score && row.scenario == other.scenario)
    }
    if ratio > 0.1 { #expect(rows.contains { $0.trigger == .strong }) }
  }

  /// Light rows leave every fourth point, and of those the share is taken: never none.
  @Test(arguments: [0.25, 0.3, 0.5])
  func lightRowsAreThrottledToo(ratio: Double) throws {
    var configuration = restlessConfiguration
    configuration.strategy.mode = .quiet
    configuration.strategy.throttlesInQuiet = true
    configuration.strategy.quietRowRatio = ratio
    let changed = withControl(
      #"{"control":"degrade","light_rows":true,"strong_only":false,"threshold_scale":1,"conservative_cost":false}"#,
      at: 0.2)
    let time = receiveNs(lines[Int(Double(lines.count) * 0.2)])
    let rows = SignalPipelineRows.rows(changed, configuration).filter {
      $0.trigger == .grid && $0.receiveTime.rawValue > time && $0.symbol.rawValue == 0
    }
    #expect(rows.allSatisfy { $0.receiveTime.rawValue % Nanoseconds.second == 0 })
    let last = receiveNs(lines[lines.count - 1])
    let points = Double(last / Nanoseconds.second - time / Nanoseconds.second)
    #expect(abs(Double(rows.count) - points * ratio) <= 1)
  }

  // MARK: Silence

  /// Windows of a silent tape count for nobody: what was counted before it counts on behind it.
  @Test func silenceIsNoEvidence() throws {
    var configuration = restlessConfiguration
    configuration.strategy.market.volatilityBpsMin = 0
    configuration.strategy.activeWindowsMin = 6
    configuration.idleRowsSecondsMax = 10
    var plain = SignalPipeline(configuration)
    feed(&plain, lines[..<(lines.count / 3)])
    let before = plain.mode
    #expect(before.windows.active >= 3 && before.regime == .normal)
    // An hour of silence, by receive times that jump.
    let jumped = lines[(lines.count / 3)...].map { line -> [UInt8] in
      let time = receiveNs(line)
      let text = String(decoding: line, as: UTF8.self)
      let mark = "\"recv_ns\":\(time)"
      let parts = text.components(around: mark)
      return Array((parts.0 + "\"recv_ns\":\(time + Nanoseconds.hour)" + parts.1).utf8)
    }
    feed(&plain, jumped[..<200])
    #expect(plain.totals.gridPointsSkipped > 10_000)
    // The window in which the silence began has frames and counts; those behind it do not.
    #expect(plain.mode.windows.active + plain.mode.windows.quiet <= before.windows.active + 1)
    #expect(plain.mode.windows.seen > plain.mode.windows.active + plain.mode.windows.quiet)
    feed(&plain, jumped[200...])
    #expect(plain.control.regime == .active)
  }

  // MARK: Figures

  /// A tape by hand: the figures of its one whole window are those of arithmetic.
  @Test func figuresOfATapeByHand() throws {
    var tape = TapeText()
    let start = 1_767_571_200 * Nanoseconds.second
    var update = 1
    var trade = 1
    func at(_ seconds: Double) -> Int64 { start + Int64(seconds * 1e9) }
    func ticker(_ seconds: Double, _ bid: String, _ ask: String) {
      update += 1
      tape.record(
        "frame", at(seconds), stream: "btcusdt@bookTicker",
        #"{"e":"bookTicker","u":\#(update),"s":"BTCUSDT","b":"\#(bid)","B":"1.000","a":"\#(ask)","A":"1.000","T":1,"E":1}"#
      )
    }
    func take(_ seconds: Double, _ price: String, _ quantity: String) {
      trade += 1
      tape.record(
        "frame", at(seconds), stream: "btcusdt@aggTrade",
        #"{"e":"aggTrade","E":1,"s":"BTCUSDT","a":\#(trade),"p":"\#(price)","q":"\#(quantity)","f":1,"l":1,"T":1,"m":true}"#
      )
    }
    // The first window is not whole: nothing of it counts.
    ticker(-3, "90.00", "91.00")
    take(-2, "90.00", "900.000")
    // Four updates a second, then the window's five seconds: mids 100.005, one cent more each second.
    for second in 0..<5 {
      for quarter in 0..<4 {
        ticker(Double(second) + 0.1 + 0.2 * Double(quarter), "100.0\(second)", "100.0\(second + 1)")
      }
      take(Double(second) + 0.5, "100.00", "2.500")
    }
    ticker(5.1, "100.04", "100.05")
    var configuration = restlessConfiguration
    configuration.strategy.market.volatilityBpsMin = 0
    var pipeline = SignalPipeline(configuration)
    feed(&pipeline, tape.bytes.split(separator: 0x0A).map { Array($0) + [0x0A] })
    #expect(pipeline.mode.windows == .init(seen: 2, active: 1, quiet: 0))
    let window = try #require(pipeline.mode.newest)
    #expect(window.endNs == at(5) && window.market == true)
    let figures = try #require(window.verdict?.figures)
    #expect(window.verdict?.symbols == 1 && figures.tradesPerMinute == 60 && figures.quotesPerSecond == 4)
    #expect(abs(figures.volumeUSD - 5 * 250 * 12) < 1e-6)
    #expect(abs(figures.spreadBps! - 1e4 * 0.01 / 100.025) < 1e-6)
    // From 90.50 before the window to its first mid, then four cents.
    let mids = [90.5, 100.005, 100.015, 100.025, 100.035, 100.045]
    let squares = zip(mids, mids.dropFirst()).map { 2 * ($1 - $0) / ($1 + $0) }.reduce(0) { $0 + $1 * $1 }
    #expect(abs(figures.volatilityBps! - 1e4 * (squares * 12).squareRoot()) < 1e-6)
  }
}

/// The rows of a whole tape.
enum SignalPipelineRows {
  static func rows(_ lines: [[UInt8]], _ configuration: SignalConfiguration) -> [Signal] {
    runPipeline(lines.flatMap { $0 }, configuration: configuration).rows
  }
}

extension String {
  fileprivate func components(around text: String) -> (String, String) {
    let start = indices.first { self[$0...].hasPrefix(text) }!
    return (String(self[..<start]), String(self[index(start, offsetBy: text.count)...]))
  }
}

/// Live, killed, replayed: a run whose regime changes is the same.
@Suite("Modes in the services", .serialized)
struct ModeServiceTests {
  private let folder = temporaryFolder()

  private func options(_ out: String) -> ReplayOptions {
    var configuration = WeirConfiguration()
    configuration.signal = restlessConfiguration
    configuration.signal.strategy.throttlesInQuiet = true
    return ReplayOptions(
      tape: folder + "/tape", out: folder + "/" + out, sink: .dual, configuration: configuration,
      configurationVersion: "000000000000")
  }

  @Test func liveIsReplay() throws {
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 22, minutes: 1.2, gaps: 2)
    let replay = try Replay.run(options("replay"))
    let service = try SignalService(
      SignalOptions(run: options("live"), follower: .init(idleSecondsMax: 0.05), metricsPort: 0))
    let live = try #require(try service.run())
    #expect(live.signalsSHA256 == replay.signalsSHA256)
    #expect(live.strategy == replay.strategy)
    #expect((live.strategy["changes"]?.elements?.count ?? 0) >= 3)
    let names = try Files.list(folder + "/live/signals/jsonl")
    for name in names {
      let path = "/signals/jsonl/" + name
      #expect(try Files.read(folder + "/live" + path) == Files.read(folder + "/replay" + path))
    }
    let summary = try Files.read(folder + "/replay/summary.json").withUnsafeBytes {
      try JSONValue(parsing: $0)
    }
    #expect(summary["strategy"]?["windows"]?["seen"]?.integer ?? 0 > 10)
    #expect(summary["symbols"]?["BTCUSDT"]?["scenarios"]?["Q_L"]?.integer != nil)
  }
}
