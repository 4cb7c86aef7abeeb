import Core
import Flow
import Strategy
import Testing

@testable import Services

/// A generated market as tape lines, with interventions put between them.
struct ControlledTape {
  var lines: [[UInt8]]

  init(_ folder: String) throws {
    lines = try tapeBytes(folder).split(separator: 0x0A).map { Array($0) + [0x0A] }
  }

  /// Puts a control behind the record at a share of the tape; its receive time.
  mutating func insert(_ data: String, at share: Double) -> Int64 {
    let index = Int(Double(lines.count) * share)
    let time = lines[index].withUnsafeBytes { try! JSONValue(parsing: $0)["recv_ns"]!.integer! }
    let line =
      "{\"seq\":0,\"recv_ns\":\(time),\"conn\":-1,\"kind\":\"note\",\"stream\":\"weir@control\",\"data\":\(data)}\n"
    lines.insert(Array(line.utf8), at: index + 1)
    return time
  }

  func run(blockBytes: Int = .max) -> PipelineRun {
    runPipeline(lines.flatMap { $0 }, blockBytes: blockBytes, configuration: ControlledTape.configuration)
  }

  static var configuration: SignalConfiguration {
    var configuration = SignalConfiguration()
    configuration.flow.warmupMs = 5000
    configuration.flow.historyMs = 60_000
    // Not a multiple of four row intervals: light rows must sample where they make no row.
    configuration.flow.historyStrideMs = 250
    configuration.flow.ofiWindowMs = 500
    configuration.flow.cvdWindowMs = 1000
    configuration.flow.fusion.base = .init(signal: 0.5, strong: 1.5)
    configuration.flow.fusion.quiet = .init(signal: 0.9, strong: 2.0)
    configuration.flow.fusion.active = .init(signal: 0.3, strong: 1.1)
    configuration.gates.reverseCooldownMs = 0
    configuration.gates.spreadBpsMax = 10_000
    return configuration
  }
}

@Suite("Control records")
struct ControlTests {
  private static let shared = {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try! makeMarket(folder, seed: 5, minutes: 0.7)
    return try! ControlledTape(folder)
  }()

  private var tape: ControlledTape { ControlTests.shared }

  private func parse(_ text: String) throws -> Control { try Control(JSONValue(parsing: text)) }

  @Test func everyControlIsRead() throws {
    #expect(
      try parse(#"{"control":"mode","value":"quiet","by":"ctl"}"#)
        == Control(action: .mode(.quiet), reason: "ctl"))
    #expect(
      try parse(#"{"control":"mode","value":"auto","by":"ctl","reason":"rollback-2"}"#).reason == "rollback-2"
    )
    #expect(try parse(#"{"control":"shadow","value":"pause"}"#).action == .shadow(isPaused: true))
    #expect(try parse(#"{"control":"time_sync","value":"normal"}"#).action == .timeSync(isDegraded: false))
    var degradation = Degradation()
    degradation.lightRows = true
    degradation.thresholdScale = 1.25
    #expect(try parse(degrade("true", "false", "1.25", "false")).action == .degrade(degradation))
    #expect(
      try parse(#"{"control":"params","version":"0123456789ab","values":{"gates.lag_ms_max":500}}"#).action
        == .parameters(
          ParameterVersion(rawValue: 0x0123_4567_89AB), [.init(key: "gates.lag_ms_max", text: "500")]))
  }

  private func degrade(_ light: String, _ strong: String, _ scale: String, _ cost: String) -> String {
    #"{"control":"degrade","light_rows":\#(light),"strong_only":\#(strong),"threshold_scale":\#(scale),"#
      + #""conservative_cost":\#(cost)}"#
  }

  /// What is not exactly a control changes no row and is counted.
  @Test(arguments: [
    #"[]"#, #""mode""#, #"{}"#, #"{"control":"modes","value":"quiet"}"#,
    #"{"control":"mode","value":"loud"}"#,
    #"{"control":"mode"}"#, #"{"control":"mode","value":"quiet","valeu":1}"#,
    #"{"control":"mode","value":"quiet","value":"active"}"#, #"{"control":"mode","value":true}"#,
    #"{"control":"mode","value":"quiet","by":"a b"}"#, #"{"control":"shadow","value":"on"}"#,
    #"{"control":"degrade","light_rows":true}"#,
    #"{"control":"degrade","light_rows":true,"strong_only":true,"threshold_scale":0,"conservative_cost":true}"#,
    #"{"control":"degrade","light_rows":1,"strong_only":true,"threshold_scale":1,"conservative_cost":true}"#,
    #"{"control":"params","version":"0123456789AB","values":{}}"#,
    #"{"control":"params","version":"0123456789ab","values":{"flow.levels":3}}"#,
    #"{"control":"params","version":"0123456789ab","values":{"gates.lag_ms_max":"500"}}"#,
    #"{"control":"params","version":"0123456789ab","values":{"gates.lag_ms":500}}"#,
    #"{"control":"params","version":"0123456789ab","values":{"gates.score_min":9,"gates.lag_ms_max":-1}}"#,
    #"{"control":"params","version":"0123456789ab","values":{"fusion.base.signal":9}}"#,
  ])
  func badControlsAreIgnoredWhole(_ data: String) throws {
    var changed = tape
    _ = changed.insert(data, at: 0.5)
    var pipeline = SignalPipeline(ControlledTape.configuration)
    let rows = feed(&pipeline, changed)
    #expect(pipeline.strategyState.controlErrors == 1 && pipeline.strategyState.controlsApplied == 0)
    #expect(rows == tape.run().rows)
  }

  private func feed(_ pipeline: inout SignalPipeline, _ tape: ControlledTape) -> [Signal] {
    var rows: [Signal] = []
    for line in tape.lines {
      (line + [UInt8](repeating: 0, count: 256)).withUnsafeBytes { bytes in
        var offset = 0
        while offset < line.count {
          offset = pipeline.process(UnsafeRawBufferPointer(rebasing: bytes[..<line.count]), from: offset)
          rows += pipeline.rows
          pipeline.removeRows()
        }
      }
    }
    return rows
  }

  /// Rows before the record are those of the tape without it; those behind obey.
  private func split(_ data: String, at share: Double = 0.6) -> (before: [Signal], after: [Signal]) {
    var changed = tape
    let time = changed.insert(data, at: share)
    let (plain, rows) = (tape.run().rows, changed.run().rows)
    func isBefore(_ row: Signal) -> Bool {
      // A grid point at the record's own time is made before it; a strong row there, by the frame before it.
      row.receiveTime.rawValue <= time
    }
    let before = rows.filter(isBefore)
    #expect(before == plain.filter(isBefore))
    #expect(before.count > 100)
    return (plain.filter { !isBefore($0) }, rows.filter { !isBefore($0) })
  }

  @Test func forcedModesChooseTheThresholds() throws {
    for (mode, thresholds) in [
      (Signal.Mode.quiet, ControlledTape.configuration.flow.fusion.quiet),
      (.active, ControlledTape.configuration.flow.fusion.active),
    ] {
      let (plain, rows) = split(#"{"control":"mode","value":"\#(mode.name)"}"#)
      #expect(rows.allSatisfy { $0.mode == mode && $0.regime.rawValue == (mode == .quiet ? 2 : 1) })
      #expect(rows.map(\.kind) != plain.map(\.kind))
      // A type that has just been reached is at or beyond its threshold.
      for (earlier, row) in zip(rows, rows.dropFirst(2)) where row.symbol == earlier.symbol {
        guard row.kind.isStrong, !earlier.kind.isStrong, let score = row.score.double else { continue }
        #expect(abs(score) >= thresholds.strong - 1e-6)
      }
    }
  }

  @Test func lightRowsKeepTheHistories() throws {
    let (plain, rows) = split(degrade("true", "false", "1", "false"))
    let grid = rows.filter { $0.trigger == .grid }
    #expect(grid.allSatisfy { $0.receiveTime.rawValue % 1_000_000_000 == 0 })
    let same = plain.filter { $0.trigger == .grid && $0.receiveTime.rawValue % 1_000_000_000 == 0 }
    #expect(grid.count == same.count && grid.count > 10)
    for (light, full) in zip(grid, same) {
      #expect(light.symbol == full.symbol && light.zOFI == full.zOFI && light.zCVD == full.zCVD)
      #expect(light.cvd == full.cvd && light.ofi == full.ofi)
    }
    #expect(grid.contains { !$0.zOFI.isAbsent && $0.zOFI.rawValue != 0 })
  }

  @Test func onlyStrongTypesAreConfirmed() throws {
    let (plain, rows) = split(degrade("false", "true", "1", "true"))
    #expect(plain.contains { $0.confirmed && !$0.kind.isStrong })
    #expect(rows.allSatisfy { !$0.confirmed || $0.kind.isStrong })
    #expect(rows.contains { $0.guardReason == .degraded })
    #expect(rows.allSatisfy { $0.guardReason != .degraded || ($0.kind != .neutral && !$0.kind.isStrong) })
    #expect(rows.allSatisfy { $0.qualityFlags.contains(.conservativeCost) })
    #expect(zip(rows, plain).allSatisfy { $0.zOFI == $1.zOFI && $0.kind == $1.kind })
  }

  @Test func thresholdsAreScaled() throws {
    let (plain, rows) = split(degrade("false", "false", "10", "false"))
    #expect(plain.contains { $0.kind.isStrong })
    // What was held before may be held on for the hysteresis' time.
    #expect(rows.dropFirst(40).allSatisfy { $0.kind == .neutral })
  }

  @Test func timeSyncIsForced() throws {
    let (plain, rows) = split(#"{"control":"time_sync","value":"degraded","by":"watch"}"#)
    #expect(plain.contains { $0.confirmed } && !plain.contains { $0.guardReason == .degradedTimeSync })
    #expect(!rows.contains { $0.confirmed } && rows.contains { $0.guardReason == .degradedTimeSync })
    var changed = tape
    _ = changed.insert(#"{"control":"time_sync","value":"degraded"}"#, at: 0.5)
    _ = changed.insert(#"{"control":"time_sync","value":"normal"}"#, at: 0.5)
    // The later one stands before the earlier one on the tape.
    changed.lines.swapAt(
      changed.lines.firstIndex { String(decoding: $0, as: UTF8.self).contains("normal") }!,
      changed.lines.firstIndex { String(decoding: $0, as: UTF8.self).contains("value\":\"degraded") }!)
    #expect(changed.run().rows == tape.run().rows)
  }

  @Test func parametersChangeTogether() throws {
    let (plain, rows) = split(
      #"{"control":"params","version":"00c0ffee0001","values":{"gates.score_min":2.5,"fusion.weight_cvd":0}}"#
    )
    let version = ParameterVersion("00c0ffee0001")!
    #expect(plain.allSatisfy { $0.version == .configured } && rows.allSatisfy { $0.version == version })
    let confirmed = rows.filter(\.confirmed)
    #expect(confirmed.allSatisfy { abs($0.score.double!) >= 2.5 })
    #expect(rows.contains { $0.guardReason == .weak })
    #expect(
      rows.filter { !$0.score.isAbsent && $0.qualityFlags.isEmpty }.allSatisfy {
        abs($0.score.rawValue - $0.zOFI.rawValue) <= 1
      })
  }

  /// Rows depend on the tape alone, however it is cut into blocks.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func blocksOfAnySizeGiveTheSameRows(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var changed = tape
    for _ in 0..<12 {
      let control =
        switch random.below(6) {
        case 0: #"{"control":"mode","value":"\#(Signal.Mode.allCases[random.below(3)].name)"}"#
        case 1: degrade("\(random.bernoulli(0.5))", "\(random.bernoulli(0.5))", "1.5", "true")
        case 2: degrade("false", "false", "1", "false")
        case 3: #"{"control":"time_sync","value":"\#(random.bernoulli(0.5) ? "degraded" : "normal")"}"#
        case 4:
          #"{"control":"params","version":"0123456789ab","values":{"gates.score_min":0.\#(random.below(9))}}"#
        default: #"{"control":"shadow","value":"loud"}"#
        }
      _ = changed.insert(control, at: random.uniform() * 0.99)
    }
    let whole = changed.run()
    #expect(whole.rows != tape.run().rows, "seed \(seed)")
    for _ in 0..<4 {
      let pieces = changed.run(blockBytes: 200 + random.below(200_000))
      #expect(pieces.rows == whole.rows && pieces.books == whole.books, "seed \(seed)")
    }
  }

  @Test func transitionsAndTimesAreCounted() throws {
    var changed = tape
    let first = changed.insert(#"{"control":"mode","value":"quiet","by":"ctl"}"#, at: 0.25)
    _ = changed.insert(#"{"control":"mode","value":"quiet","by":"ctl"}"#, at: 0.3)
    let second = changed.insert(#"{"control":"mode","value":"active","reason":"drill"}"#, at: 0.5)
    let third = changed.insert(#"{"control":"mode","value":"auto"}"#, at: 0.75)
    var pipeline = SignalPipeline(ControlledTape.configuration)
    var ticks: Int64 = 0
    pipeline.monotonicNs = {
      ticks += 7
      return ticks
    }
    _ = changed.insert(#"{"control":"params","version":"0123456789ab","values":{}}"#, at: 0.8)
    _ = feed(&pipeline, changed)
    let state = pipeline.strategyState
    #expect(
      state.transitions.map { "\($0.from.name) \($0.to.name) \($0.reason) \($0.count)" } == [
        "normal quiet ctl 1", "quiet active drill 1", "active normal control 1",
      ])
    #expect(state.lastChangeNs == third && state.controlsApplied == 5 && state.parameterUpdates == 1)
    #expect(state.nsInRegime[1] == third - second && state.nsInRegime[2] == second - first)
    let all = pipeline.receiveNs - pipeline.totals.firstReceiveNs
    #expect(state.nsInRegime.reduce(0, +) == all)
    // Three changes of regime and the parameters.
    #expect(pipeline.takeParameterUpdateNs() == [7, 7, 7, 7])
    #expect(pipeline.takeParameterUpdateNs().isEmpty)
  }

  /// What a checkpoint keeps is in force again in a new pipeline.
  @Test func stateCanBeRestored() throws {
    var changed = tape
    _ = changed.insert(#"{"control":"mode","value":"active"}"#, at: 0.01)
    _ = changed.insert(degrade("true", "true", "1.25", "true"), at: 0.01)
    _ = changed.insert(
      #"{"control":"params","version":"0123456789ab","values":{"fusion.weight_ofi":0.1}}"#, at: 0.01)
    var first = SignalPipeline(ControlledTape.configuration)
    _ = feed(&first, changed)
    var second = SignalPipeline(ControlledTape.configuration)
    second.restore(control: first.control)
    #expect(second.control == first.control && second.parameters == first.parameters)
    let rows = feed(&second, tape)
    #expect(rows.count > 50 && rows.allSatisfy { $0.mode == .active && $0.version != .configured })
    #expect(rows.allSatisfy { !$0.confirmed || $0.kind.isStrong })
  }

  /// A tape whose clock was set forward by an hour: rows go on, with ordinary latencies, and few fill the gap.
  @Test func receiveTimesMayJump() throws {
    var changed = tape
    let half = changed.lines.count / 2
    for index in half..<changed.lines.count {
      let line = String(decoding: changed.lines[index], as: UTF8.self)
      let time = try JSONValue(parsing: line)["recv_ns"]!.integer!
      // Twenty characters at most before it, and it stands once.
      let mark = line.firstRange(of: "\(time)")!
      changed.lines[index] = Array(
        line.replacingCharacters(mark, with: "\(time + 3_600_000_000_000)").utf8)
    }
    let (plain, run) = (tape.run(), changed.run())
    let lastBefore = try JSONValue(parsing: String(decoding: tape.lines[half - 1], as: UTF8.self))
    let jumpNs = lastBefore["recv_ns"]!.integer!
    let isSameBefore =
      run.rows.prefix { $0.receiveTime.rawValue <= jumpNs }
      == plain.rows.prefix { $0.receiveTime.rawValue <= jumpNs }
    #expect(isSameBefore)
    // A minute of the gap has rows.
    let pointsSkipped = run.totals.gridPointsSkipped
    #expect(pointsSkipped > 3500 * 4 && run.rows.count < plain.rows.count + 2 * 4 * 100)
    #expect(run.rows.allSatisfy { ($0.lagMs.double ?? 0) < 1000 })
    let lateRows = run.rows.suffix(plain.rows.count / 4)
    #expect(lateRows.contains(where: \.confirmed) && !lateRows.contains { $0.guardReason == .lag })
  }
}

extension String {
  fileprivate func firstRange(of text: String) -> Range<Index>? {
    indices.first { self[$0...].hasPrefix(text) }.map { $0..<index($0, offsetBy: text.count) }
  }

  fileprivate func replacingCharacters(_ range: Range<Index>, with text: String) -> String {
    self[..<range.lowerBound] + text + self[range.upperBound...]
  }
}
