import Core
import Evaluation
import Testing

@Suite("Evaluation series") struct SeriesTests {
  @Test func aRowBetweenTwoPointsHasTheNextOnesIndex() {
    var series = EvaluationSeries(symbol: "BTCUSDT", startNs: 1_000, stepNs: 250)
    #expect(series.index(atOrAfter: 1_000) == 0)
    #expect(series.index(atOrAfter: 1_001) == 1)
    #expect(series.index(atOrAfter: 1_250) == 1)
    series.mids = [100, .nan, 101]
    #expect(series.returnBps(series.mids, from: 0, steps: 2) == 1e4 * (101.0 / 100 - 1))
    #expect(series.returnBps(series.mids, from: 0, steps: 1).isNaN)
    #expect(series.returnBps(series.mids, from: 2, steps: 1).isNaN)
  }
}
