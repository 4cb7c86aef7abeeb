import Core
import Evaluation
import Strategy

/// A symbol with a step of one second, a slow score and a market of random steps.
///
/// - Parameters:
///   - planted: the scenario in which the score drives the price.
///   - edgeBps: drift per second and unit of score there.
func marketSeries(
  seed: UInt64, symbol: String = "BTCUSDT", steps: Int, planted: Scenario? = nil, edgeBps: Double = 0,
  spreadBps: Double = 0, stepNs: Int64 = Nanoseconds.second
) -> EvaluationSeries {
  var random = SeededRandom(seed: seed)
  var series = EvaluationSeries(symbol: symbol, startNs: 1_721_260_800_000_000_000, stepNs: stepNs)
  let table = ScenarioTable()
  var mid = 100.0
  var score = 0.0
  var drift = 0.0
  for index in 0..<steps {
    mid *= 1 + 1e-4 * (drift + random.normal())
    series.mids.append(mid)
    series.spreadsBps.append(spreadBps)
    // Correlation time of 50 steps, standard deviation 1.3.
    score = 0.98 * score + 1.3 * (1 - 0.98 * 0.98).squareRoot() * random.normal()
    let scenario = Scenario.cells[index / 300 % 4]
    drift = scenario == planted ? edgeBps * score : 0
    let size = abs(score)
    let kind: Signal.Kind =
      size < 1.3
      ? .neutral : score > 0 ? (size < 2.3 ? .buy : .strongBuy) : (size < 2.3 ? .sell : .strongSell)
    let isAdmitted = table[scenario]!.admits(score)
    let reason: Signal.GuardReason = kind == .neutral || isAdmitted ? .none : .belowEntry
    series.rows.append(
      .init(
        index: index, timeNs: series.startNs + Int64(index) * series.stepNs, score: score, kind: kind,
        isConfirmed: kind != .neutral && isAdmitted, guardReason: reason, scenario: scenario))
  }
  return series
}

func marketSeries(
  seeds: [UInt64], steps: Int, planted: Scenario? = nil, edgeBps: Double = 0, spreadBps: Double = 0
) -> [EvaluationSeries] {
  seeds.enumerated().map { index, seed in
    marketSeries(
      seed: seed, symbol: "S\(index)", steps: steps, planted: planted, edgeBps: edgeBps, spreadBps: spreadBps)
  }
}
