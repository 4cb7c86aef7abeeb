import Configuration
import Core
import Flow
@testable import Strategy
import Tape
import Testing

@testable import Services

/// One parameter that is changed, and what must be seen of it.
struct ParameterChange: Sendable, CustomStringConvertible {
  var key: String
  var value: String
  var mode: Signal.Mode
  /// What holds of every row under the changed value.
  var holds: @Sendable (Signal) -> Bool
  /// Rows under the old value of which that does not hold, or that are otherwise only possible under it.
  var isOfTheOld: @Sendable (Signal) -> Bool

  var description: String { "\(key)=\(value)" }

  static func score(_ row: Signal) -> Double { abs(row.score.double ?? 0) }

  static let all: [ParameterChange] = [
    ParameterChange(
      key: "strategy.scenarios.a_h.entry_buy", value: "9", mode: .active,
      holds: { row in !(row.confirmed && row.kind.direction > 0) },
      isOfTheOld: { row in row.confirmed && row.kind.direction > 0 }),
    ParameterChange(
      key: "strategy.scenarios.a_h.entry_sell", value: "9", mode: .active,
      holds: { row in !(row.confirmed && row.kind.direction < 0) },
      isOfTheOld: { row in row.confirmed && row.kind.direction < 0 }),
    ParameterChange(
      key: "strategy.scenarios.q_h.discount", value: "0.5", mode: .quiet,
      holds: { row in row.guardReason != .belowEntry || score(row) < 0.6 },
      isOfTheOld: { row in row.guardReason == .belowEntry && score(row) > 0.6 }),
    ParameterChange(
      key: "fusion.active.signal", value: "1.0", mode: .active,
      holds: { row in row.kind == .neutral || score(row) >= 1.0 - 1e-6 },
      isOfTheOld: { row in row.kind != .neutral && score(row) < 1.0 - 1e-6 }),
    ParameterChange(
      key: "fusion.quiet.strong", value: "1.3", mode: .quiet,
      holds: { row in row.kind == .neutral || row.kind.isStrong || score(row) < 1.3 + 1e-6 },
      isOfTheOld: { row in row.kind != .neutral && !row.kind.isStrong && score(row) > 1.4 }),
    ParameterChange(
      key: "gates.score_min", value: "1.4", mode: .active,
      holds: { row in !row.confirmed || score(row) >= 1.4 - 1e-6 },
      isOfTheOld: { row in row.confirmed && score(row) < 1.4 - 1e-6 }),
  ]
}

/// Parameters take effect in the stages: each of six keys, as a configuration and as a record of the tape.
@Suite("Scenario parameters in the stages")
struct ScenarioControlTests {
  private static let shared = {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try! makeMarket(folder, seed: 9, minutes: 0.7)
    return try! ControlledTape(folder)
  }()

  /// Every symbol's volatility counts as high; entries at 1.2, without discount.
  private static func configuration(_ mode: Signal.Mode) -> SignalConfiguration {
    var configuration = ControlledTape.configuration
    configuration.strategy.mode = mode
    configuration.strategy.throttlesInQuiet = false
    configuration.flow.fusion.cooldownMs = 0
    configuration.flow.fusion.cooldownStrongMs = 0
    // A type is what its score says at the row's time.
    configuration.flow.fusion.hysteresisRatio = 1
    configuration.gates.consistencyMin = 0
    for path in [\ScenarioTable.activeHigh, \ScenarioTable.quietHigh] {
      configuration.strategy.scenarios[keyPath: path].entryBuy = 1.2
      configuration.strategy.scenarios[keyPath: path].entrySell = 1.2
      configuration.strategy.scenarios[keyPath: path].discount = 1
    }
    return configuration
  }

  /// - Parameter restartAt: the pipeline is saved and made anew before this line.
  private func rows(
    _ tape: ControlledTape, _ configuration: SignalConfiguration, restartAt: Int? = nil
  ) throws -> [Signal] {
    var pipeline = SignalPipeline(configuration)
    var rows: [Signal] = []
    for (index, line) in tape.lines.enumerated() {
      if index == restartAt {
        var writer = CheckpointWriter()
        pipeline.save(to: &writer)
        let bytes = [UInt8](writer.bytes)
        pipeline = SignalPipeline(configuration)
        try bytes.withUnsafeBytes { saved in
          var reader = CheckpointReader(saved)
          try pipeline.restore(from: &reader)
        }
      }
      for state in pipeline.states { state.pointee.volatility.isHigh = true }
      (line + [UInt8](repeating: 0, count: Tape.blockPaddingBytes)).withUnsafeBytes { bytes in
        let block = UnsafeRawBufferPointer(rebasing: bytes[..<line.count])
        var offset = 0
        while offset < line.count {
          offset = pipeline.process(block, from: offset)
          rows += pipeline.rows
          pipeline.removeRows()
        }
      }
    }
    return rows.filter { !$0.trigger.isShadow }
  }

  @Test(arguments: ParameterChange.all) func theKeyTakesEffect(_ change: ParameterChange) throws {
    let configuration = ScenarioControlTests.configuration(change.mode)
    let tape = ScenarioControlTests.shared
    let plain = try rows(tape, configuration)
    #expect(
      plain.allSatisfy {
        $0.scenario == (change.mode == .active ? .activeHigh : .quietHigh) || $0.scenario == .none
      })

    // As a record of the tape, in its middle.
    var changed = tape
    let time = changed.insert(
      #"{"control":"params","version":"0123456789ab","values":{"\#(change.key)":\#(change.value)}}"#, at: 0.5)
    let live = try rows(changed, configuration)
    func isBefore(_ row: Signal) -> Bool { row.receiveTime.rawValue <= time }
    #expect(live.filter(isBefore) == plain.filter(isBefore))
    let after = live.filter { !isBefore($0) }
    #expect(after.allSatisfy { $0.version == ParameterVersion("0123456789ab") })
    // A type held by the former thresholds may stay for the hysteresis' time.
    let settled = after.filter { $0.receiveTime.rawValue > time + 2_000_000_000 }
    for row in settled { #expect(change.holds(row), "\(change): \(row)") }
    let old = plain.filter { $0.receiveTime.rawValue > time + 2_000_000_000 }
    #expect(old.contains(where: change.isOfTheOld), "the old value would have shown itself")

    // As a configuration, from the start.
    var root = WeirConfiguration()
    root.signal = configuration
    let loader = ConfigLoader(WeirConfiguration.schema)
    let set = try loader.change(root, [(key: change.key, value: change.value)]).signal
    let configured = try rows(tape, set)
    #expect(configured.allSatisfy(change.holds))
    #expect(configured != plain)

    // A replay, and a process that was killed behind the record, give the same.
    #expect(try rows(changed, configuration) == live)
    #expect(try rows(changed, configuration, restartAt: changed.lines.count * 3 / 4) == live)
  }

  /// A value out of range changes nothing of a record, not even its good values.
  @Test func badValuesAreRefusedWhole() throws {
    var changed = ScenarioControlTests.shared
    _ = changed.insert(
      #"{"control":"params","version":"0123456789ab","values":{"strategy.scenarios.a_h.entry_buy":9,"#
        + #""strategy.scenarios.a_h.discount":3}}"#, at: 0.5)
    _ = changed.insert(
      #"{"control":"params","version":"0123456789ab","values":{"strategy.scenarios.b_h.entry_buy":9}}"#,
      at: 0.5)
    _ = changed.insert(
      #"{"control":"params","version":"0123456789ab","values":{"strategy.window_s":60}}"#, at: 0.5)
    let configuration = ScenarioControlTests.configuration(.active)
    #expect(
      try rows(changed, configuration) == rows(ScenarioControlTests.shared, configuration))
  }

  @Test func theHarvesterRefusesBadScenarios() throws {
    let control = try Control(
      JSONValue(
        parsing:
          #"{"control":"params","version":"0123456789ab","values":{"strategy.scenarios.q_l.hold_s_max":0}}"#))
    #expect(throws: ControlError.self) { try control.validate(against: SignalConfiguration()) }
  }
}
