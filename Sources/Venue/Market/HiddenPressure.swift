import Core
import Glibc

/// The hidden state that the market's direction follows: a stationary AR(1) with unit variance.
///
/// `m' = φ·m + √(1 − φ²)·ξ`, ξ standard normal, once a window of 100 ms, `φ = e^(−0.1 s / τ)`. It is never
/// published: a reader sees it only through the flow it tilts.
struct HiddenPressure {
  static let stepSeconds = 0.1
  static let persistence = exp(-stepSeconds / FlowParameters.pressureSeconds)
  private static let innovation = (1 - persistence * persistence).squareRoot()

  private(set) var value: Double

  /// Starts from the stationary distribution.
  init(_ random: inout SeededRandom) { value = random.normal() }

  mutating func step(_ random: inout SeededRandom) {
    value = HiddenPressure.persistence * value + HiddenPressure.innovation * random.normal()
  }
}
