import Core
import Flow
import Strategy
import Testing

@testable import Services

@Suite("Regime lanes")
struct RegimeLaneTests {
  private func lanes(_ change: (inout SignalConfiguration) -> Void) -> RegimeLanes {
    var configuration = SignalConfiguration()
    change(&configuration)
    return RegimeLanes(configuration)
  }

  @Test func equalSetsAreOneLane() {
    #expect(lanes { _ in }.parameters == [FlowConfiguration().parameters()])
    // Its own values, said again.
    let same = lanes {
      $0.strategy.quiet.ofiWindowMs = $0.flow.ofiWindowMs
      $0.strategy.active.levels = $0.flow.levels
    }
    #expect(same.parameters.count == 1)
    let quiet = lanes { $0.strategy.quiet.cvdWindowMs = 20_000 }
    #expect(quiet.parameters.map(\.cvdWindowMs) == [10_000, 20_000])
    #expect([quiet[.normal], quiet[.active], quiet[.quiet]] == [0, 0, 1])
    let both = lanes {
      $0.strategy.active.ofiWindowMs = 2000
      $0.strategy.quiet.ofiWindowMs = 2000
    }
    #expect([both[.normal], both[.active], both[.quiet]] == [0, 1, 1])
    let three = lanes {
      $0.strategy.active.levels = 3
      $0.strategy.quiet.levels = 4
    }
    #expect([three[.normal], three[.active], three[.quiet]] == [0, 1, 2])
    let best = lanes {
      $0.flow.ofiMethod = .best
      $0.strategy.active.levels = 3
    }
    #expect(best.parameters.count == 1)
  }

  private static let market = {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try! makeMarket(folder, seed: 8, minutes: 1.2)
    return try! tapeBytes(folder).split(separator: 0x0A).map { Array($0) + [0x0A] }
  }()

  /// The market with controls behind the records at shares of it.
  private func run(_ configuration: SignalConfiguration, _ controls: [(String, Double)] = []) -> PipelineRun {
    var lines = RegimeLaneTests.market
    for (data, share) in controls.reversed() {
      let index = Int(Double(lines.count) * share)
      let time = lines[index].withUnsafeBytes { try! JSONValue(parsing: $0)["recv_ns"]!.integer! }
      let line =
        "{\"seq\":0,\"recv_ns\":\(time),\"conn\":-1,\"kind\":\"note\",\"stream\":\"weir@control\",\"data\":\(data)}\n"
      lines.insert(Array(line.utf8), at: index + 1)
    }
    return runPipeline(lines.flatMap { $0 }, configuration: configuration)
  }

  private var configuration: SignalConfiguration {
    var configuration = quickConfiguration
    configuration.divergence.pivotSamples = 2
    configuration.divergence.separationSamples = 1
    configuration.divergence.cooldownMs = 0
    configuration.strategy.throttlesInQuiet = false
    return configuration
  }

  /// A mode's windows and levels act from its beginning on, and their histories are as long as if they always
  /// had: the rows are those of a run that has never known another set.
  @Test func aModeSpeaksByItsOwnParametersAtOnce() throws {
    var configuration = self.configuration
    configuration.strategy.quiet.levels = 2
    configuration.strategy.quiet.ofiWindowMs = 300
    configuration.strategy.active.cvdWindowMs = 300
    let run = run(
      configuration,
      [
        (#"{"control":"mode","value":"quiet"}"#, 0.4), (#"{"control":"mode","value":"active"}"#, 0.6),
        (#"{"control":"mode","value":"auto"}"#, 0.8),
      ])
    for regime in [Signal.Regime.normal, .active, .quiet] {
      var alone = self.configuration
      if regime == .quiet {
        alone.flow.levels = 2
        alone.flow.ofiWindowMs = 300
      }
      if regime == .active { alone.flow.cvdWindowMs = 300 }
      let rows = run.rows.filter { $0.regime == regime && $0.trigger == .grid }
      let expected = self.run(alone).rows.filter { $0.trigger == .grid }
      #expect(rows.count > 60)
      #expect(rows.contains { !$0.zOFI.isAbsent && $0.zOFI.rawValue != 0 })
      for row in rows {
        let other = try #require(
          expected.first { $0.receiveTime == row.receiveTime && $0.symbol == row.symbol })
        #expect(row.ofi == other.ofi && row.zOFI == other.zOFI && row.zCVD == other.zCVD)
      }
    }
  }

  @Test(arguments: FlowConfiguration.OFIMethod.allCases)
  func everyMethodSpeaksAndSaysItsUnit(_ method: FlowConfiguration.OFIMethod) throws {
    var configuration = self.configuration
    configuration.flow.ofiMethod = method
    let rows = run(configuration).rows.filter { !$0.zOFI.isAbsent }
    #expect(rows.count > 100)
    if method == .integrated {
      let largest = rows.compactMap { $0.ofi.double.map(abs) }.max()
      #expect(try #require(largest) > 0.5, "in depths, not in lots")
    }
    if method == .best {
      var oneLevel = self.configuration
      oneLevel.flow.levels = 1
      #expect(rows.map(\.ofi) == run(oneLevel).rows.filter { !$0.zOFI.isAbsent }.map(\.ofi))
    }
  }

  /// The same events whether grid points have rows or not; each is in one row, the one of its time or the next.
  @Test func divergencesAreTheSameWithFewerRows() {
    let plain = run(configuration)
    let light = run(
      configuration,
      [
        (
          #"{"control":"degrade","light_rows":true,"strong_only":false,"threshold_scale":1,"conservative_cost":false}"#,
          0.2
        )
      ])
    var configuration = configuration
    configuration.divergence.isEnabled = false
    let without = run(configuration)
    for (index, symbol) in plain.symbols.enumerated() {
      let events = symbol.divergence.events.reduce(0, +)
      #expect(events > 2)
      #expect(symbol.divergence == light.symbols[index].divergence)
      func told(_ run: PipelineRun) -> [DivergenceKind] {
        run.rows.filter { $0.symbol.index == index && $0.divergence != .none }.map(\.divergence)
      }
      #expect(told(plain).count == Int(events))
      #expect(told(light) == told(plain))
      #expect(without.symbols[index].divergence == DivergenceCounts())
      #expect(told(without).isEmpty)
    }
    // Nothing else of a row depends on it.
    let blank = plain.rows.map {
      var row = $0
      row.divergence = .none
      return row
    }
    #expect(blank == without.rows)
  }
}
