import Core

/// Tells whether a symbol's volatility is high or low, against the symbol's own recent past.
///
/// **Problem.** The scenario's second axis must divide: a cell that no market ever enters has thresholds that
/// nobody can judge, and a signal "in low volatility" says nothing where all are.
///
/// **Why the obvious answer fails.** An absolute limit (10 bps) is below everything that a small coin does
/// and above everything that a large one does at night: one cell of each pair stays empty. The ratio of a
/// short to a long window looks relative, but √Σr² grows with the window's length; a window that contains the
/// other has at least its sum, so without normalising by time the ratio never exceeds one and "high" cannot
/// be reached.
///
/// **Algorithm.** Realised volatility of the mid over the last minute, √(Σr² / T) with T the minutes that its
/// returns span, is taken every few seconds and compared with the median of its values of the last half hour,
/// of those *before* it. Above the median by more than the band it is high, below it by as much low, within
/// the band it stays what it was. By the median's definition half of the values lie above and half below the
/// middle of their own past, so both verdicts occur on every market that changes at all; the band keeps a
/// market at its median from flapping.
///
/// **Bounds.** One return a second of the window, one value a stride of the history (at most
/// ``VolatilityConfiguration/samplesMax``). A value needs returns over half of its window. Time in which a
/// symbol has no value (no quote, a silent tape) adds none, so the history then reaches further back.
///
/// - Complexity: O(1) a second, O(window + n log n) a stride, n the values of the history.
public struct VolatilityAxis: Equatable, Sendable {
  struct Step: Equatable, Sendable {
    /// Its end, ns of tape time.
    var endNs: Int64
    var elapsedNs: Int64
    var squaredReturn: Double
  }

  let configuration: VolatilityConfiguration
  let historyMax: Int
  /// The last window's, oldest at `firstStep`.
  var steps: [Step] = []
  var firstStep = 0
  /// A ring once it is full; then `oldestValue` is the next to go.
  var history: [Double] = []
  var oldestValue = 0
  /// Of the last value taken.
  var strideIndex: Int64 = .min
  /// nil until enough values are there.
  public internal(set) var isHigh: Bool?
  /// The last value, bps per square root of a minute.
  public internal(set) var volatilityBps: Double?

  public init(_ configuration: VolatilityConfiguration) {
    self.configuration = configuration
    historyMax = max(1, configuration.historySeconds / configuration.strideSeconds)
  }

  /// A second is over.
  ///
  /// - Parameters:
  ///   - squaredReturn: since the second before; nil where there is none.
  ///   - elapsedNs: since the second before.
  public mutating func sample(squaredReturn: Double?, elapsedNs: Int64, at timeNs: Int64) {
    if let squaredReturn {
      if firstStep > 64, firstStep * 2 > steps.count {
        steps.removeFirst(firstStep)
        firstStep = 0
      }
      steps.append(Step(endNs: timeNs, elapsedNs: elapsedNs, squaredReturn: squaredReturn))
    }
    let windowNs = Int64(configuration.windowSeconds) * Nanoseconds.second
    while firstStep < steps.count, steps[firstStep].endNs <= timeNs - windowNs { firstStep += 1 }
    let index = timeNs / (Int64(configuration.strideSeconds) * Nanoseconds.second)
    guard index != strideIndex else { return }
    let isFirst = strideIndex == .min
    strideIndex = index
    // The stride under way at the first second is not whole.
    if isFirst { return }
    judge(windowNs)
  }

  private mutating func judge(_ windowNs: Int64) {
    var squared = 0.0
    var elapsedNs: Int64 = 0
    for step in steps[firstStep...] {
      squared += step.squaredReturn
      elapsedNs += step.elapsedNs
    }
    guard elapsedNs >= windowNs / 2 else {
      volatilityBps = nil
      return
    }
    let value = 1e4 * (squared * Double(Nanoseconds.minute) / Double(elapsedNs)).squareRoot()
    volatilityBps = value
    if history.count >= min(configuration.samplesMin, historyMax) {
      var sorted = history
      let median = winsorizedMedian(&sorted, 0)!
      if let was = isHigh {
        if value > median * (1 + configuration.band) {
          isHigh = true
        } else if value <= median * (1 - configuration.band) {
          // Also at the median of a market that stands still: 0.
          isHigh = false
        } else {
          isHigh = was
        }
      } else {
        isHigh = value > median
      }
    }
    if history.count < historyMax {
      history.append(value)
    } else {
      history[oldestValue] = value
      oldestValue = (oldestValue + 1) % historyMax
    }
  }
}
