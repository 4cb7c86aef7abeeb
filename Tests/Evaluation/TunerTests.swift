import Core
import Evaluation
import Glibc
import Strategy
import Testing

@Suite("Tuner")
struct TunerTests {
  private func options(_ change: (inout TuningOptions) -> Void = { _ in }) -> TuningOptions {
    var options = TuningOptions()
    options.trials = 16
    options.takerFeeBps = 0.5
    options.latencyMs = 1000
    change(&options)
    return options
  }

  /// A planted edge in one scenario is found there and nowhere else, and what is proposed for it does better
  /// than the present parameters on data that neither has seen.
  @Test func aPlantedEdgeIsFound() throws {
    let seeds: [UInt64] = [1, 2, 3, 4]
    let series = marketSeries(
      seeds: seeds, steps: 24_000, planted: .activeLow, edgeBps: 0.25, spreadBps: 1)
    let result = try #require(Tuner(series, options())).run(ScenarioTable())
    #expect(result.proposed.map(\.scenario) == [.activeLow], "\(result.json.text())")
    let cell = try #require(result.proposed.first)
    let mean = try #require(cell.test.netBpsMean)
    #expect(mean > 0 && mean > cell.baseTest.netBpsMean ?? 0)
    #expect(try #require(cell.deflatedSharpe) >= 0.95)
    let table = try #require(result.proposedTable)
    #expect(table.activeLow == cell.pick && table.activeLow != ScenarioTable().activeLow)
    for kept in [Scenario.activeHigh, .quietHigh, .quietLow] {
      #expect(table[kept] == ScenarioTable()[kept])
    }
    let fresh = marketSeries(
      seeds: [11, 12, 13, 14], steps: 24_000, planted: .activeLow, edgeBps: 0.25, spreadBps: 1)
    func total(_ parameters: ScenarioParameters) -> (mean: Double, count: Int) {
      let trades = fresh.flatMap {
        TradeSimulation($0, latencyMs: 1000, takerFeeBps: 0.5).trades { $0 == .activeLow ? parameters : nil }
      }
      return (trades.reduce(0) { $0 + $1.netBps } / Double(trades.count), trades.count)
    }
    let (tuned, standard) = (total(table.activeLow), total(ScenarioTable().activeLow))
    #expect(tuned.count > 50 && tuned.mean > standard.mean, "\(tuned) \(standard)")
  }

  /// Short holds, so that an hour has many blocks of time.
  private var quick: ScenarioTable {
    let cell = ScenarioParameters(
      entryBuy: 2, entrySell: 2, exit: 0.5, takeProfitBps: 8, stopLossBps: 8, holdSecondsMax: 60, discount: 1)
    var table = ScenarioTable()
    (table.activeHigh, table.activeLow, table.quietHigh, table.quietLow) = (cell, cell, cell, cell)
    return table
  }

  /// Markets without any edge and without cost, where only luck is to be had.
  @Test func noEdgeIsSeldomFound() throws {
    let markets = getenv("WEIR_TUNING_MARKETS").flatMap { Int(String(cString: $0)) } ?? 60
    var proposals = 0
    var judged = 0
    var lucky = 0
    var verdicts: [TuningResult.Verdict: Int] = [:]
    for seed in 1...UInt64(markets) {
      let series = marketSeries(seed: 1000 + seed, steps: 12_000)
      let result = try #require(
        Tuner(
          [series],
          options {
            $0.takerFeeBps = 0
            $0.tradesMin = 10
            $0.seed = seed
          })
      ).run(quick)
      if result.proposedTable != nil { proposals += 1 }
      for cell in result.cells { verdicts[cell.verdict, default: 0] += 1 }
      judged += result.cells.filter { $0.pick != nil }.count
      lucky += result.cells.filter { $0.verdict == .mayBeLuck }.count
    }
    #expect(judged > markets, "the test judges something")
    #expect(lucky > markets / 10, "\(lucky) would have been proposed but for the number of trials")
    #expect(proposals <= markets / 20, "\(proposals) of \(markets)")
    if markets > 60 {
      print(
        "proposals without an edge: \(proposals) of \(markets) markets, \(lucky) cells deflated; \(verdicts)")
    }
  }

  @Test func costMakesItPlain() throws {
    let series = marketSeries(seeds: [5, 6], steps: 12_000, spreadBps: 1)
    let result = try #require(Tuner(series, options { $0.takerFeeBps = 5 })).run(ScenarioTable())
    #expect(result.proposedTable == nil && result.json["verdict"]?.text == "nothing beats the default")
    #expect(result.cells.allSatisfy { ($0.whole.netBpsMean ?? -1) < 0 })
  }

  @Test func theSeedDecides() throws {
    let series = marketSeries(seeds: [7], steps: 8000, planted: .quietHigh, edgeBps: 0.2)
    func run(_ seed: UInt64) throws -> TuningResult {
      try #require(
        Tuner(
          series,
          options {
            $0.seed = seed
            $0.tradesMin = 5
          })
      ).run(ScenarioTable())
    }
    let first = try run(1)
    #expect(try run(1) == first)
    #expect(try run(2).json != first.json)
  }

  @Test func withoutDataNothingIsProposed() throws {
    #expect(Tuner([], options()) == nil)
    var empty = EvaluationSeries(symbol: "X", startNs: 0, stepNs: Nanoseconds.second)
    #expect(Tuner([empty], options()) == nil)
    empty.mids = [100]
    empty.spreadsBps = [1]
    let one = try #require(Tuner([empty], options())).run(ScenarioTable())
    #expect(one.cells.map(\.verdict) == [.noSignals, .noSignals, .noSignals, .noSignals])
    let short = marketSeries(seed: 1, steps: 400)
    let result = try #require(Tuner([short], options())).run(ScenarioTable())
    #expect(result.cells.allSatisfy { $0.verdict == .noSignals || $0.verdict == .tooFewTrades })
    #expect(result.proposedTable == nil)
  }

  @Test func progressReachesItsEnd() throws {
    let tuner = try #require(Tuner([marketSeries(seed: 1, steps: 500)], options()))
    var last = (0, 0)
    _ = tuner.run(ScenarioTable()) { last = ($0, $1) }
    #expect(last == (64, 64))
  }
}
