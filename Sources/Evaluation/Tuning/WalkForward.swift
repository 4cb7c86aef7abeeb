import Core

/// Consecutive test spans, each judged by what was learnt from the time before it.
///
/// The data's time is cut into `folds + 1` equal parts; the first is only learnt from. A trade decided at t knows
/// prices up to its exit, at most `hold` later, and its score shares order flow with scores up to `horizon` away.
/// So it is learnt from only when t + hold + horizon lies an embargo or more before the test span (M. López de
/// Prado, Advances in Financial Machine Learning, 2018, chapter 7). It is tested only when t + hold lies inside the
/// span. The longest hold is what counts, not the actual one: dropping by the actual exit would keep the trades
/// that were quick to win or to lose. A trade that outlasts its hold, for want of a quote, is dropped when it
/// really reaches over.
public struct WalkForward: Equatable, Sendable {
  public struct Fold: Equatable, Sendable {
    public var testStartNs: Int64
    /// The last moment of it.
    public var testEndNs: Int64

    public init(testStartNs: Int64, testEndNs: Int64) {
      self.testStartNs = testStartNs
      self.testEndNs = testEndNs
    }
  }

  public var folds: [Fold]
  public var startNs: Int64
  public var endNs: Int64
  public var horizonNs: Int64
  public var embargoNs: Int64

  /// - Precondition: at least one fold, and a span that is not empty.
  public init(startNs: Int64, endNs: Int64, folds count: Int, horizonNs: Int64, embargoNs: Int64) {
    precondition(count > 0 && endNs >= startNs)
    let length = (endNs - startNs) / Int64(count + 1)
    self.startNs = startNs
    self.endNs = endNs
    self.horizonNs = horizonNs
    self.embargoNs = embargoNs
    folds = (1...count).map { index in
      let start = startNs + Int64(index) * length
      return Fold(testStartNs: start, testEndNs: index == count ? endNs : start + length - 1)
    }
  }

  /// Whether a fold may learn from a trade.
  ///
  /// - Parameter holdNs: the longest that such a trade is held, fills included.
  public func trains(_ fold: Fold, _ trade: SimulatedTrade, holdNs: Int64) -> Bool {
    let knownNs = max(trade.signalNs + holdNs, trade.exitNs) + horizonNs
    return knownNs + embargoNs < fold.testStartNs
  }

  /// Whether a trade counts for a fold's test.
  public func tests(_ fold: Fold, _ trade: SimulatedTrade, holdNs: Int64) -> Bool {
    trade.signalNs >= fold.testStartNs && max(trade.signalNs + holdNs, trade.exitNs) <= fold.testEndNs
  }

  /// Whether a trade would have ended by itself within the data.
  public func isWhole(_ trade: SimulatedTrade, holdNs: Int64) -> Bool {
    max(trade.signalNs + holdNs, trade.exitNs) <= endNs
  }
}
