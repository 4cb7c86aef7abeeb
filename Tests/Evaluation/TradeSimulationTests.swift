import Core
import Evaluation
import Strategy
import Testing

@Suite("Simulated trades")
struct TradeSimulationTests {
  private let second = Nanoseconds.second

  /// Entry at 2, exit below 0.5, +30 or −20 bps, 5 s.
  private let rule = ScenarioParameters(
    entryBuy: 2, entrySell: 2, exit: 0.5, takeProfitBps: 30, stopLossBps: 20, holdSecondsMax: 5, discount: 1)

  /// Prices at each second; a signal at index 0, scores of 3 in its direction afterwards, where `scores` says
  /// nothing else.
  private func series(
    _ mids: [Double], spread: Double = 0, direction: Double = 1, scores: [Int: Double] = [:]
  ) -> EvaluationSeries {
    var series = EvaluationSeries(symbol: "X", startNs: 1000 * second, stepNs: second)
    series.mids = mids
    series.spreadsBps = mids.map { $0.isNaN ? .nan : spread }
    for index in mids.indices {
      let score = scores[index] ?? direction * 3
      // Only the first row is a candidate: the others are neutral.
      let kind: Signal.Kind = index > 0 ? .neutral : direction > 0 ? .strongBuy : .strongSell
      series.rows.append(
        .init(
          index: index, timeNs: (1000 + Int64(index)) * second, score: score, kind: kind,
          isConfirmed: index == 0,
          scenario: .activeLow))
    }
    return series
  }

  private func trades(
    _ series: EvaluationSeries, latencyMs: Int = 0, fee: Double = 0, _ rule: ScenarioParameters? = nil
  ) -> [SimulatedTrade] {
    TradeSimulation(series, latencyMs: latencyMs, takerFeeBps: fee).trades { _ in rule ?? self.rule }
  }

  private func isNear(_ a: Double?, _ b: Double) -> Bool { a.map { abs($0 - b) < 1e-9 } ?? false }

  @Test func takeProfit() {
    let trade = trades(series([100, 100.2, 100.4, 100, 100, 100, 100]), fee: 5).first
    #expect(trade?.exit == .takeProfit && trade?.exitIndex == 2 && trade?.entryIndex == 0)
    #expect(isNear(trade?.grossBps, 40) && isNear(trade?.netBps, 30))
    #expect(trade?.exitNs == 1002 * second && trade?.signalNs == 1000 * second)
  }

  @Test func stopLossOfAShort() {
    let trade = trades(series([100, 100.1, 100.3, 99, 99], direction: -1)).first
    #expect(trade?.exit == .stopLoss && trade?.direction == -1 && trade?.exitIndex == 2)
    #expect(isNear(trade?.grossBps, -30), "a gap through the stop costs what it costs")
  }

  /// The mid is beyond the profit, but the touch that the position would be left at is beyond the stop.
  @Test func theStopComesFirst() {
    var wide = series([100, 100.5, 100.5], scores: [1: 0])
    wide.spreadsBps[1] = 200
    let trade = trades(wide).first
    #expect(trade?.exit == .stopLoss && trade?.exitIndex == 1)
    // Bid 100.5·(1 − 1 %).
    #expect(isNear(trade?.grossBps, 1e4 * (100.5 * 0.99 / 100 - 1)))
    // A lost score in the same step has the lower rank, too; it does not hide a profit.
    #expect(trades(series([100, 99.7], scores: [1: 0])).first?.exit == .stopLoss)
    #expect(trades(series([100, 100.4], scores: [1: 0])).first?.exit == .takeProfit)
  }

  @Test func scoreHoldAndEnd() {
    let flat = [Double](repeating: 100, count: 9)
    let faded = trades(series(flat, scores: [3: 0.4])).first
    #expect(faded?.exit == .score && faded?.exitIndex == 3)
    #expect(trades(series(flat, scores: [3: 0.5])).first?.exit == .hold)
    #expect(trades(series(flat, scores: [3: -3])).first?.exit == .score, "a score against the position")
    #expect(trades(series(flat, direction: -1, scores: [3: -0.4])).first?.exit == .score)
    #expect(trades(series(flat, scores: [3: .nan])).first?.exit == .hold, "no score is no reason to leave")
    let held = trades(series(flat)).first
    #expect(held?.exit == .hold && held?.exitIndex == 5)
    let ended = trades(series([100, 100, 100.1])).first
    #expect(ended?.exit == .end && ended?.exitIndex == 2)
    #expect(isNear(ended?.grossBps, 10))
  }

  /// Half the spread is paid at either end.
  @Test func spreadAndFees() {
    let trade = trades(series([100, 100, 100, 100, 100, 100], spread: 4), fee: 2.5).first
    #expect(isNear(trade?.grossBps, 1e4 * (0.9998 / 1.0002 - 1)))
    #expect(isNear(trade.map { $0.grossBps - $0.netBps }, 5))
    let short = trades(series([100, 100, 100, 100, 100, 100], spread: 4, direction: -1)).first
    #expect(isNear(short?.grossBps, -1e4 * (1.0002 / 0.9998 - 1)))
  }

  /// Entry and exit are as late as they are told.
  @Test func latency() {
    // The signal at 100 fills at 101; the profit is seen at index 2 and taken at index 3.
    let mids = [100, 101, 101.5, 101.2, 101.2, 101.2, 101.2, 101.2]
    let trade = trades(series(mids), latencyMs: 400).first
    #expect(trade?.entryIndex == 1 && trade?.exitIndex == 3 && trade?.exit == .takeProfit)
    #expect(isNear(trade?.grossBps, 1e4 * (101.2 / 101 - 1)))
  }

  @Test func withoutAQuoteNothingIsTraded() {
    let nan = Double.nan
    #expect(trades(series([nan, 100, 100])).isEmpty)
    #expect(trades(series([100, nan, nan])).isEmpty, "it could never be left")
    // The stop is not seen while there is no quote; the hold time passes, and the exit waits for the next.
    let late = trades(series([100, 100, nan, nan, nan, nan, nan, 99, 98])).first
    #expect(late?.exit == .hold && late?.exitIndex == 7)
    #expect(isNear(late?.grossBps, -100))
    let ended = trades(series([100, 100.1, nan, nan])).first
    #expect(ended?.exit == .end && ended?.exitIndex == 1)
    #expect(trades(series([])).isEmpty && trades(series([100])).isEmpty)
  }

  private func rows(_ series: inout EvaluationSeries, _ list: [(Int, Double, Signal.GuardReason)]) {
    series.rows = list.map { index, score, reason in
      .init(
        index: index, timeNs: series.startNs + Int64(index) * second, score: score,
        kind: score > 0 ? .buy : .sell, guardReason: reason, scenario: .activeLow)
    }
  }

  @Test func onePositionAtATime() {
    var many = series([Double](repeating: 100, count: 20))
    rows(&many, (0..<20).map { ($0, 3, .none) })
    // Entered at once when the former has been left; the last finds no later quote.
    #expect(trades(many).map(\.entryIndex) == [0, 5, 10, 15])
    #expect(trades(many).last?.exit == .end)
  }

  @Test func thresholdsChooseTheRows() {
    var some = series([Double](repeating: 100, count: 60))
    rows(&some, [(0, 1.9, .belowEntry), (10, -2.1, .none), (20, 2.1, .none), (30, -1.9, .belowEntry)])
    #expect(trades(some).map(\.entryIndex) == [10, 20])
    var lower = rule
    lower.entryBuy = 1.8
    #expect(trades(some, lower).map(\.entryIndex) == [0, 10, 20])
    lower.discount = 0.9
    #expect(trades(some, lower).map(\.entryIndex) == [0, 10, 20, 30])
    lower.entrySell = 2.5
    #expect(trades(some, lower).map(\.entryIndex) == [0, 20])
    let other = TradeSimulation(some, latencyMs: 0, takerFeeBps: 0).trades { $0 == .quietLow ? rule : nil }
    #expect(other.isEmpty)
  }

  /// What another gate refused is no candidate; what only the threshold refused is, unless the last row that
  /// got further was refused for a reason that lasts.
  @Test func gatesAreObeyed() {
    var some = series([Double](repeating: 100, count: 80))
    rows(
      &some,
      [
        (0, 3, .spread), (10, 3, .lag), (20, 3, .dedupe), (30, 2.5, .belowEntry), (40, 3, .resyncCooldown),
        (50, 2.5, .belowEntry), (60, 3, .none), (70, 2.5, .belowEntry),
      ])
    #expect(trades(some).map(\.entryIndex) == [30, 60, 70])
    some.rows[6].trigger = .shadowCVD
    #expect(trades(some).map(\.entryIndex) == [30], "shadow rows neither trade nor tell")
  }
}
