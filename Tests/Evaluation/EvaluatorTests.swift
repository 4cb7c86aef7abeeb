import Core
import Strategy
import Testing

@testable import Evaluation

@Suite("Evaluation: evaluator") struct EvaluatorTests {
  private func options(_ horizons: [Int]) -> EvaluationOptions {
    var options = EvaluationOptions()
    options.horizonsSeconds = horizons
    options.decaySeconds = []
    options.resamples = 200
    return options
  }

  private func cell(_ series: EvaluationSeries, _ horizon: Int, _ options: EvaluationOptions) throws
    -> CellStatistics
  {
    try #require(Evaluator(options).evaluate([series]).symbols.first?.cell(horizon, options.prices))
  }

  @Test(arguments: [1, 10, 60])
  func aPlantedRelationIsFound(_ horizon: Int) throws {
    let flow = PlantedFlow(rows: 8000, memory: 0.8, correlation: 0.2)
    let cell = try cell(flow.series(seed: 3), horizon, options([horizon]))
    let rho = flow.correlation(steps: horizon)
    let interval = try #require(cell.auc?.interval)
    #expect(interval.contains(PlantedFlow.auc(rho)), "\(interval) without \(PlantedFlow.auc(rho))")
    #expect(try #require(cell.ic?.interval).contains(PlantedFlow.spearman(rho)))
    #expect(!interval.contains(0.5) && cell.survives == true)
    #expect(cell.isMonotone == true && cell.quantileTrend == 1)
  }

  @Test func shuffledReturnsSayNothing() throws {
    var options = options([1, 10, 30])
    let series = PlantedFlow(rows: 3000, memory: 0.8, correlation: 0.3).series(seed: 4)
    options.shuffleSeed = 7
    let report = Evaluator(options).evaluate([series])
    #expect(report.cellsHoldingHalf == (3, 3))
    #expect(report.looks.surviving == 0)
    for horizon in options.horizonsSeconds {
      let auc = try #require(report.symbols[0].cell(horizon, .mid)?.auc)
      #expect(abs(auc.value - 0.5) < 0.05)
    }
  }

  /// Rows of a price that ignores them: whatever is found is chance, and the correction leaves nothing of it.
  @Test func nothingIsFoundWhereNothingIs() {
    var found = 0
    for seed in 0..<UInt64(4) {
      let series = ["A", "B"].enumerated().map {
        PlantedFlow(rows: 1200, memory: 0.8, correlation: 0).series(
          seed: seed * 2 + UInt64($0.offset), symbol: $0.element)
      }
      let report = Evaluator(options([1, 5, 20])).evaluate(series)
      found += report.looks.surviving + report.sliceLooks.surviving
    }
    #expect(found <= 1, "\(found) of hundreds of cells, seeds 0..<8")
  }

  @Test func sameSeedSameReport() {
    let series = PlantedFlow(rows: 600).series(seed: 8)
    func text(_ seed: UInt64) -> String {
      var options = options([1, 10])
      options.seed = seed
      return Evaluator(options).evaluate([series]).json(leak: .null, facts: .null).text()
    }
    #expect(text(1) == text(1))
    #expect(text(1) != text(2))
  }

  // MARK: Edges

  @Test func aConstantScore() throws {
    var series = PlantedFlow(rows: 1000).series(seed: 1)
    for index in series.rows.indices { series.rows[index].score = 2 }
    let cell = try cell(series, 10, options([10]))
    #expect(cell.auc?.value == 0.5 && cell.ic == nil && cell.isMonotone == nil)
    #expect(cell.why == "the score is constant")
  }

  @Test func aFlatPrice() throws {
    var series = PlantedFlow(rows: 1000).series(seed: 1)
    for index in series.mids.indices { series.mids[index] = 50 }
    let cell = try cell(series, 10, options([10]))
    #expect(cell.rows == 990 && cell.rowsWithoutMove == 990)
    #expect(cell.auc == nil && cell.ic == nil && cell.hitRate == nil && cell.why != nil)
    // What it costs to trade it is known.
    #expect(cell.directional?.netMeanBps.value == -11)
  }

  @Test func absentPricesAndScoresAreCounted() throws {
    var series = PlantedFlow(rows: 1000).series(seed: 1)
    for index in 300..<400 { series.mids[index] = .nan }
    for index in 0..<50 { series.rows[index].score = .nan }
    series.rows[60].trigger = .shadowCVD
    let report = Evaluator(options([10])).evaluate([series])
    let symbol = report.symbols[0]
    #expect(symbol.rowsWithoutScore == 50 && symbol.rowsShadow == 1 && symbol.rowsScored == 949)
    let cell = try #require(symbol.cell(10, .mid))
    #expect(cell.rowsBehindEnd == 10 && cell.rowsWithoutPrice == 110)
    #expect(cell.rows == 949 - 10 - 110)
    #expect(cell.auc?.interval != nil)
  }

  @Test(arguments: [0, 1, 5, 29, 30, 45])
  func fewRows(_ rows: Int) throws {
    let series = PlantedFlow(rows: rows).series(seed: 1)
    let report = Evaluator(options([1, 20, 5000])).evaluate([series])
    for horizon in [1, 20, 5000] {
      let cell = try #require(report.symbols[0].cell(horizon, .mid))
      #expect(cell.why != nil || cell.auc?.interval != nil)
      #expect(cell.rows == max(0, rows - horizon))
      if horizon == 5000 { #expect(cell.auc == nil && cell.rows == 0) }
    }
    #expect(xmlProblem(report.charts(report.symbols[0])[0].svg) == nil)
  }

  @Test func aHorizonBetweenTwoPrices() throws {
    var flow = PlantedFlow(rows: 500)
    flow.stepNs = 60 * Nanoseconds.second
    let cell = try cell(flow.series(seed: 1), 10, options([10]))
    #expect(cell.rows == 0 && cell.why == "the data has prices every 60 s only")
  }

  /// Entry one step later: the planted relation with the next step is gone, that with the one after it stays.
  @Test func latencyMovesTheEntry() throws {
    let series = PlantedFlow(rows: 4000, memory: 0, correlation: 0.3).series(seed: 2)
    var options = options([1])
    #expect(try #require(try cell(series, 1, options).auc).value > 0.6)
    options.latencyMs = 1
    #expect(try #require(try cell(series, 1, options).auc?.interval).contains(0.5))
  }

  // MARK: Net of cost

  /// Three rows by hand: buy at 100 with 2 bps of spread, out at 101 with 4 bps; sell at 101 → 101; neutral.
  @Test func netByHand() throws {
    var series = EvaluationSeries(symbol: "X", startNs: 0, stepNs: Nanoseconds.second)
    series.mids = [100, 101, 101, 101]
    series.microprices = [100, 105, 101, 101]
    series.spreadsBps = [2, 4, 6, .nan]
    func row(_ index: Int, _ kind: Signal.Kind, _ isConfirmed: Bool) -> EvaluationSeries.Row {
      .init(
        index: index, timeNs: Int64(index) * Nanoseconds.second, score: 1, kind: kind,
        isConfirmed: isConfirmed)
    }
    series.rows = [row(0, .buy, true), row(1, .strongSell, false), row(2, .neutral, false)]
    var padded = series
    // Neutral rows far away so that the cell has enough of them.
    for index in 3..<60 {
      padded.mids.append(101)
      padded.microprices.append(101)
      padded.spreadsBps.append(1)
      padded.rows.append(row(index, .neutral, false))
    }
    for prices in EvaluationOptions.Prices.allCases {
      var options = options([1])
      options.prices = prices
      options.takerFeeBps = 5
      let cell = try cell(padded, 1, options)
      let directional = try #require(cell.directional)
      // Buy: 100 bps gross, (2 + 4) / 2 of spread; sell: 0 gross, (4 + 6) / 2. Two fees of 5.
      #expect(directional.rows == 2)
      #expect(abs(directional.grossMeanBps - 50) < 1e-9)
      #expect(abs(directional.spreadCostMeanBps - 4) < 1e-9)
      #expect(abs(directional.netMeanBps.value - (100 - 3 - 10 + 0 - 5 - 10) / 2) < 1e-9)
      #expect(directional.hitRate == 1)
      #expect(abs(directional.net(takerFeeBps: 1.7, insteadOf: 5).value - (36 + 6.6)) < 1e-9)
      let confirmed = try #require(cell.confirmed)
      #expect(confirmed.rows == 1 && abs(confirmed.netMeanBps.value - 87) < 1e-9)
      #expect(cell.rowsWithoutSpread == 2)
    }
  }

  // MARK: Slices

  @Test func slicesAddUp() throws {
    let series = PlantedFlow(rows: 8000, memory: 0.8, correlation: 0.2).series(seed: 12)
    let report = Evaluator(options([1, 10])).evaluate([series])
    for horizon in [1, 10] {
      let whole = try #require(report.symbols[0].cell(horizon, .mid))
      let slices = try #require(report.symbols[0].slices[horizon])
      for axis in Slice.Axis.allCases {
        let cells = slices.filter { $0.axis == axis }.map(\.cell)
        #expect(cells.reduce(0) { $0 + $1.rows } == whole.rows)
        #expect(cells.reduce(0) { $0 + ($1.directional?.rows ?? 0) } == whole.directional?.rows)
        let gross = cells.reduce(0) { $0 + ($1.directional.map { $0.grossMeanBps * Double($0.rows) } ?? 0) }
        let wholeGross = try #require(whole.directional.map { $0.grossMeanBps * Double($0.rows) })
        #expect(abs(gross - wholeGross) < 1e-6 * abs(wholeGross) + 1e-9)
      }
      #expect(slices.filter { $0.axis == .hour }.map(\.name) == ["00", "01", "02"])
      #expect(
        Set(slices.filter { $0.axis == .scenario }.map(\.name)) == ["none", "A_H", "A_L", "Q_H", "Q_L"])
    }
  }

  @Test func weightsOfAFeeTierAddUpToOneOrNothing() {
    var series = PlantedFlow(rows: 6000, memory: 0.9, correlation: 0.8).series(seed: 13)
    // Moves large enough to pay for themselves.
    var price = 100.0
    series.mids = series.mids.indices.map { index in
      if index > 0 { price *= 1 + 40 * (series.mids[index] / series.mids[index - 1] - 1) }
      return price
    }
    // While quiet the score says the opposite.
    for index in series.rows.indices where series.rows[index].regime == .quiet {
      series.rows[index].score *= -1
    }
    let table = Evaluator(options([10])).evaluate([series]).weights[0]
    #expect(table.entries.count == 2 * FeeTier.publicSchedule.count)
    for tier in FeeTier.publicSchedule {
      let entries = table.entries.filter { $0.tier == tier }
      #expect(entries.first { $0.activity == "active" }?.weight == 1)
      #expect(entries.first { $0.activity == "quiet" }?.weight == 0)
    }
    var dear = options([10])
    dear.feeTiers = [FeeTier("dear", takerBps: 5000)]
    let nothing = Evaluator(dear).evaluate([series]).weights[0]
    #expect(nothing.entries.allSatisfy { $0.weight == 0 })
  }

  // MARK: Two runs

  @Test func aBetterScoreIsBetter() throws {
    let flow = PlantedFlow(rows: 4000, memory: 0.8, correlation: 0.3)
    let good = flow.series(seed: 21)
    var noisy = good
    var random = SeededRandom(seed: 22)
    for index in noisy.rows.indices { noisy.rows[index].score += 1.5 * random.normal() }
    // Rows that only one of them has take no part.
    noisy.rows.removeSubrange(100..<150)
    let evaluator = Evaluator(options([1, 5]))
    let worse = evaluator.compare([good], against: [noisy])
    #expect(worse.count == 2)
    for cell in worse {
      #expect(cell.rowsOnlyHere == 50 && cell.rowsOnlyThere == 0)
      #expect(try #require(cell.aucDifference?.interval).upperBound < 0)
      #expect(try #require(cell.icDifference?.interval).upperBound < 0)
    }
    let better = evaluator.compare([noisy], against: [good])
    #expect(try #require(better[0].aucDifference?.interval).lowerBound > 0)
    let equal = evaluator.compare([good], against: [good])
    #expect(equal[0].aucDifference?.value == 0 && equal[0].aucDifference?.interval == 0...0)
    var other = good
    other.symbol = "Y"
    #expect(evaluator.compare([good], against: [other]).isEmpty)
  }
}
