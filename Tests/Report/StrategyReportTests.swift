import Core
import Flow
import Report
import Store
import Strategy
import Testing

/// Regimes, scenarios and divergences of a day's rows.
@Suite("Strategy in the daily report")
struct StrategyReportTests {
  private static let step: Int64 = 250_000_000

  /// A market whose rows have regimes that change at random, scenarios and divergences.
  private func rows(seed: UInt64, seconds: Int = 60, from: Int64 = ReportSamples.start) -> [Signal] {
    var random = SeededRandom(seed: seed)
    var regime = Signal.Regime.normal
    var rows = ReportSamples.market(seed: seed, seconds: seconds, from: from)
    for index in rows.indices {
      // One regime for both symbols of a moment.
      if index % 2 == 0, random.bernoulli(0.05) { regime = [.normal, .active, .quiet][random.below(3)] }
      rows[index].regime = regime
      rows[index].scenario = Scenario(
        regime, volatilityIsHigh: random.bernoulli(0.1) ? nil : random.bernoulli(0.4))
      if random.bernoulli(0.05) {
        rows[index].divergence = DivergenceKind.allCases[random.below(DivergenceKind.allCases.count)]
      }
    }
    return rows
  }

  private func json(_ rows: [Signal]) throws -> JSONValue {
    try #require(ReportSamples.report(rows).first).json
  }

  @Test func scenariosHaveTheirShares() throws {
    let rows = rows(seed: 91)
    let scenarios = try #require(json(rows)["scenarios"])
    #expect(scenarios.members?.map(\.key) == ["none", "A_H", "A_L", "Q_H", "Q_L"])
    for (scenario, name) in zip(Scenario.allCases, ["none", "A_H", "A_L", "Q_H", "Q_L"]) {
      let own = rows.filter { $0.scenario == scenario }
      #expect(!own.isEmpty && scenarios[name]?["rows"]?.integer == Int64(own.count))
      #expect(scenarios[name]?["confirmed"]?.integer == Int64(own.count(where: \.confirmed)))
      let share = try #require(scenarios[name]?["share_of_rows"]?.double)
      #expect(abs(share - Double(own.count) / Double(rows.count)) < 1e-6)
    }
  }

  /// A divergence lies in one row; its rate is of the seconds in which it could have.
  @Test func divergencesAreCounted() throws {
    var rows = rows(seed: 92)
    // The first ten seconds of one symbol have no score; rows between two grid points are no sample.
    for index in 0..<80 where index % 2 == 1 { rows[index].score = .absent }
    for index in rows.indices where index % 40 < 2 { rows[index].trigger = .strong }
    let divergence = try #require(json(rows)["divergence"])
    let events = rows.count { $0.divergence != .none }
    #expect(events > 10 && divergence["events"]?.integer == Int64(events))
    #expect(divergence["samples"]?.integer == 110)
    for kind in DivergenceKind.allCases.dropFirst() {
      let own = rows.count { $0.divergence == kind }
      let found = divergence["kinds"]?["\(kind.name)"]
      #expect(found?["events"]?.integer == Int64(own))
      #expect(abs(try #require(found?["rate"]?.double) - Double(own) / 110) < 1e-6)
    }
    #expect(try json([ReportSamples.signal()])["divergence"]?["rate"]?.text == "0")
  }

  @Test func changesOfRegimeAreListed() throws {
    let rows = rows(seed: 93)
    var expected: [String] = []
    for (before, row) in zip(rows, rows.dropFirst()) where before.regime != row.regime {
      let time = UTCDate(row.receiveTime).isoText
      expected.append(#"{"t":"\#(time)","from":"\#(before.regime.name)","to":"\#(row.regime.name)"}"#)
    }
    let json = try json(rows)
    #expect(expected.count > 4)
    #expect(json["mode_changes"]?.elements?.map { $0.text() } == expected)
    #expect(json["mode_changes_total"]?.integer == Int64(expected.count))
    let regimes = try #require(json["regimes"])
    var whole = 0.0
    for regime in [Signal.Regime.normal, .active, .quiet] {
      // All moments but the last have a quarter of a second.
      let own = rows.dropLast(2).count { $0.regime == regime } / 2
      #expect(regimes["\(regime.name)"]?["time_s"]?.double == Double(own) / 4)
      whole += regimes["\(regime.name)"]?["share_of_time"]?.double ?? 0
    }
    #expect(abs(whole - 1) < 1e-5)
  }

  /// Rows of one moment come in another order from another sink, also where the regime changed within it.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func theOrderWithinAMomentDoesNotShow(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var rows = rows(seed: seed, seconds: 40)
    for index in stride(from: 0, to: rows.count, by: 2) where random.bernoulli(0.1) {
      rows[index + 1].regime = [.normal, .active, .quiet][random.below(3)]
    }
    let expected = try json(rows)
    for index in stride(from: 0, to: rows.count, by: 2) where random.bernoulli(0.5) {
      rows.swapAt(index, index + 1)
    }
    // Ids of symbols are given by appearance and the rows that give them may have changed places.
    let found = try json(rows)
    for key in ["regimes", "mode_changes", "mode_changes_total", "scenarios", "divergence"] {
      #expect(found[key] == expected[key], "seed \(seed) \(key)")
    }
  }

  @Test func flappingIsBounded() throws {
    let rows = (0..<1000).map { index in
      var row = ReportSamples.signal(time: ReportSamples.start + Int64(index) * StrategyReportTests.step / 10)
      row.regime = index % 2 == 0 ? .active : .quiet
      return row
    }
    let json = try json(rows)
    #expect(json["mode_changes_total"]?.integer == 999)
    #expect(json["mode_changes"]?.elements?.count == 200)
    let markdown = try #require(ReportSamples.report(rows).first).markdown
    #expect(markdown.contains("999 changes; the first 30:"))
  }

  /// A silence is nobody's time, and a day begins without a change.
  @Test func silenceAndMidnight() throws {
    let second = Nanoseconds.second
    var rows = [0, 10, 100, 170, 190].map { ReportSamples.signal(time: ReportSamples.start + $0 * second) }
    for index in 1..<5 { rows[index].regime = .quiet }
    rows[4].regime = .active
    // The samples begin three minutes before midnight.
    let days = ReportSamples.report(rows).map(\.json)
    #expect(days.count == 2)
    #expect(days[0]["mode_changes"]?.elements?.count == 1 && days[1]["mode_changes"]?.elements?.count == 0)
    #expect(days[0]["regimes"]?["normal"]?["time_s"]?.text == "10")
    #expect(days[0]["regimes"]?["quiet"]?["time_s"]?.text == "0")
    #expect(days[1]["regimes"]?["active"]?["share_of_time"] == .null)
  }

  @Test func allSinksGiveTheSame() throws {
    let folder = TemporaryFolder()
    let rows = rows(seed: 94)
    var sinks = try SignalSinkSet(
      .dual, runFolder: folder.path,
      context: SignalContext(symbols: ReportSamples.symbols(), configVersion: "c"))
    for row in rows { try sinks.append(row) }
    try sinks.finish()
    let expected = try json(rows)
    var lines = try JSONLReader(runFolder: folder.path)
    var table = try SQLiteReader(runFolder: folder.path)
    var accumulators = [ReportAccumulator(), ReportAccumulator()]
    while let row = try lines.next() { _ = accumulators[0].add(row) }
    while let row = try table.next() { _ = accumulators[1].add(row) }
    for accumulator in accumulators {
      #expect(DailyReport(day: accumulator.days[0], symbols: accumulator.symbols).json == expected)
      #expect(accumulator.overview.count == 3)
    }
  }

  @Test func peopleAreToldInBrief() throws {
    var accumulator = ReportAccumulator(symbols: ReportSamples.symbols())
    for row in rows(seed: 95) { accumulator.add(row) }
    let text = terminalReport(RunSummary(), overview: accumulator.overview + ["a\u{1B}[31mb"])
    for part in ["regimes by time: normal ", "scenarios by rows: none ", "A_H ", "divergences: ", "a?[31mb"] {
      #expect(text.contains(part), "\(part) in \(text)")
    }
    let markdown = DailyReport(day: accumulator.days[0], symbols: accumulator.symbols).markdown
    for part in [
      "## Regimes", "share of time", "## Scenarios", "| A_H |", "share of rows", "## Divergences",
      "| bull_div |",
      "| t | from | to |",
    ] { #expect(markdown.contains(part), "\(part)") }
  }
}
