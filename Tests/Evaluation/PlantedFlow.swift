import Core
import Evaluation
import Glibc
import Strategy

/// A made-up symbol whose score and price hang together in a known way.
///
/// The score is an AR(1); each step's price move is `pull` times the score before it, plus noise. So the
/// return over h steps is jointly normal with the score, with a correlation that can be written down.
struct PlantedFlow {
  var rows = 2000
  /// Of the score from one step to the next.
  var memory = 0.9
  /// Correlation of the score with the next step's move.
  var correlation = 0.1
  var stepNs = Nanoseconds.second

  static let start: Int64 = 1_721_347_200_000_000_000

  func series(seed: UInt64, symbol: String = "BTCUSDT") -> EvaluationSeries {
    var random = SeededRandom(seed: seed)
    var series = EvaluationSeries(symbol: symbol, startNs: PlantedFlow.start, stepNs: stepNs)
    var score = random.normal()
    var price = 100.0
    let noise = (1 - correlation * correlation).squareRoot()
    for index in 0..<rows {
      series.mids.append(price)
      series.microprices.append(price)
      series.spreadsBps.append(1)
      let kind: Signal.Kind =
        score >= 2.3
        ? .strongBuy : score >= 1.3 ? .buy : score <= -2.3 ? .strongSell : score <= -1.3 ? .sell : .neutral
      series.rows.append(
        EvaluationSeries.Row(
          index: index, timeNs: PlantedFlow.start + Int64(index) * stepNs, score: score, kind: kind,
          isConfirmed: kind != .neutral && index % 2 == 0,
          regime: index / 100 % 2 == 0 ? .active : .quiet,
          scenario: Scenario.allCases[index / 50 % Scenario.allCases.count]))
      price *= exp(1e-4 * (correlation * score + noise * random.normal()))
      score = memory * score + (1 - memory * memory).squareRoot() * random.normal()
    }
    return series
  }

  /// Of the score with the log return over h steps.
  func correlation(steps h: Int) -> Double {
    var covariance = 0.0
    for k in 0..<h { covariance += correlation * pow(memory, Double(k)) }
    // Var Σ r = h + 2 Σ (h − k) cov(r₀, rₖ), and cov(r₀, rₖ) = c²·mᵏ; the noise is white.
    var variance = Double(h)
    for k in 1..<max(2, h) where k < h {
      variance += 2 * Double(h - k) * correlation * correlation * pow(memory, Double(k))
    }
    return covariance / variance.squareRoot()
  }

  /// AUC of a score against the sign of a jointly normal return.
  static func auc(_ rho: Double) -> Double { 0.5 + 2 * asin(rho / 2.0.squareRoot()) / .pi }

  /// Spearman's correlation of a normal pair.
  static func spearman(_ rho: Double) -> Double { 6 / .pi * asin(rho / 2) }
}
