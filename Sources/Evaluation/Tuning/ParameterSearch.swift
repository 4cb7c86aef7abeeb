import Core
import Glibc
import Strategy

/// The parameter sets that a search tries: the given one and random ones around it.
///
/// Random search finds as good a set as a grid does with a fraction of the trials when few of the parameters
/// matter (J. Bergstra and Y. Bengio, Journal of Machine Learning Research 13, 2012), and its number of trials is
/// what the correction for luck has to know. Values are rounded to steps that a person would write. The discount
/// is kept: it only scales the two entry thresholds.
enum ParameterSearch {
  /// - Parameter count: of all sets, the given one included, which is the first.
  static func trials(
    around base: ScenarioParameters, count: Int, _ random: inout SeededRandom
  ) -> [ScenarioParameters] {
    var trials = [base]
    while trials.count < count {
      var trial = base
      trial.entryBuy = threshold(base.entryBuy * (0.5 + random.uniform()))
      trial.entrySell = threshold(base.entrySell * (0.5 + random.uniform()))
      let lowest = min(trial.entryBuy, trial.entrySell) * base.discount
      trial.exit = min(threshold(base.exit * 2 * random.uniform()), (lowest * 20).rounded(.down) / 20)
      trial.takeProfitBps = distance(base.takeProfitBps * scale(&random, 1))
      trial.stopLossBps = distance(base.stopLossBps * scale(&random, 1))
      let hold = Double(base.holdSecondsMax) * scale(&random, 1)
      trial.holdSecondsMax = min(86_400, max(1, Int((hold / 5).rounded()) * 5))
      trials.append(trial)
    }
    return trials
  }

  /// From 2⁻ᵒᶜᵗᵃᵛᵉˢ to 2ᵒᶜᵗᵃᵛᵉˢ, uniform in the logarithm.
  private static func scale(_ random: inout SeededRandom, _ octaves: Double) -> Double {
    exp2(octaves * (2 * random.uniform() - 1))
  }

  private static func threshold(_ value: Double) -> Double { min(10, max(0, (value * 20).rounded() / 20)) }

  private static func distance(_ value: Double) -> Double { min(10_000, max(0.5, (value * 2).rounded() / 2)) }
}
