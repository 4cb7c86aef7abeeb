import Core
import Evaluation

/// How a symbol's score goes with the returns around it: the leak check that needs no configuration.
///
/// **Problem.** The exact audit compares rows with a replay under the run's own configuration. Where that is not
/// known, every row differs, and a feature that looks ahead hides among the rest.
///
/// **Algorithm.** Order flow explains the return of its own step: the change of the score from one row to the next
/// goes with the return between the same two rows, at lag 0, and with later returns far less. So over lags −20…20
/// the correlation of change and return has its peak at or before 0, and features taken k rows ahead move it to +k,
/// as it is. A second profile, of the score itself with the forward return over several horizons, finds what looks
/// ahead in another way, such as a smoothed future return. How strong the market lets either be is not a constant:
/// it is what the same tape's *causal* score, made by the replay, shows; only the excess over that is judged.
///
/// A leak of k: the excess at k is the largest ahead of 0, above 6 standard errors and half of the causal peak,
/// and the edge behind it is sharp (at k + 1 at most half is left). Or: a horizon's correlation exceeds the causal
/// one by 4 standard errors (of samples that do not overlap) and by .2, which is more than ten seconds' flow tells of the next ten in any market
/// measured here.
///
/// **Bounds.** O(rows · lags) time; 40 bytes a row while a symbol is looked at.
struct LookAheadProfile {
  static let lagsMax = 20
  /// In grid steps.
  static let horizons = [1, 4, 20, 40, 240]
  private static let errorsMin = 6.0
  private static let aheadErrorsMin = 4.0
  /// Rows further apart (throttled, or around a silence) are no neighbours.
  private static let gapStepsMax = 8

  /// Pairs of a change and a return.
  private(set) var pairs = 0
  /// Correlations at lags −``lagsMax`` to ``lagsMax`` + 1; empty without pairs.
  private(set) var stored: [Double] = []
  private(set) var causal: [Double] = []
  /// By horizon.
  private(set) var storedAhead: [Double] = []
  private(set) var causalAhead: [Double] = []

  init(_ symbol: EvaluatedSymbol, startNs: Int64, stepNs: Int64) {
    var points: [Int] = []
    var scores: (stored: [Double], causal: [Double]) = ([], [])
    for (row, replayed) in zip(symbol.rows, symbol.replayedScores) where row.trigger == .grid {
      points.append(Int((row.timeNs - startNs) / stepNs))
      scores.stored.append(row.score)
      scores.causal.append(Double(replayed))
    }
    let mids = symbol.prices.mids
    func isNeighbour(_ place: Int) -> Bool {
      place > 0 && (1...LookAheadProfile.gapStepsMax).contains(points[place] - points[place - 1])
    }
    func move(_ from: Int, _ to: Int) -> Double {
      from >= 0 && to < mids.count && from < to ? mids[to] / mids[from] - 1 : .nan
    }
    let returns = points.indices.map { isNeighbour($0) ? move(points[$0 - 1], points[$0]) : .nan }
    func changes(_ scores: [Double]) -> [Double] {
      scores.indices.map { isNeighbour($0) ? scores[$0] - scores[$0 - 1] : .nan }
    }
    let y = Centred(returns)
    let x = (stored: Centred(changes(scores.stored)), causal: Centred(changes(scores.causal)))
    pairs = min(x.stored.count, y.count)
    guard pairs > 0 else { return }
    let lags = -LookAheadProfile.lagsMax...LookAheadProfile.lagsMax + 1
    stored = lags.map { x.stored.correlation(with: y, lag: $0) }
    causal = lags.map { x.causal.correlation(with: y, lag: $0) }
    let level = (stored: Centred(scores.stored), causal: Centred(scores.causal))
    for horizon in LookAheadProfile.horizons {
      let ahead = Centred(points.map { move($0, $0 + horizon) })
      storedAhead.append(level.stored.correlation(with: ahead, lag: 0))
      causalAhead.append(level.causal.correlation(with: ahead, lag: 0))
    }
  }

  /// At lag 0 is where order flow belongs; nil without pairs.
  var peakLag: Int? { LookAheadProfile.peak(stored) }
  var causalPeakLag: Int? { LookAheadProfile.peak(causal) }

  private static func peak(_ profile: [Double]) -> Int? {
    let inner = profile.dropLast()
    return inner.indices.max { inner[$0] < inner[$1] }.map { $0 - lagsMax }
  }

  /// How many rows ahead the features were taken; nil where that does not show.
  var leak: Int? {
    guard pairs > 2 else { return nil }
    let zero = LookAheadProfile.lagsMax
    let error = 1 / Double(pairs).squareRoot()
    let causalPeak = causal[...zero].max() ?? 0
    let ahead = (zero + 1)...(2 * zero)
    guard let place = ahead.max(by: { stored[$0] - causal[$0] < stored[$1] - causal[$1] }) else { return nil }
    let excess = stored[place] - causal[place]
    let isLarge = excess > max(LookAheadProfile.errorsMin * error, causalPeak / 2)
    return isLarge && stored[place + 1] <= stored[place] / 2 ? place - zero : nil
  }

  /// The horizon, in grid steps, whose return the score knows better than a causal one could; nil where none.
  var knownHorizon: Int? {
    for (index, horizon) in LookAheadProfile.horizons.enumerated() where pairs > 4 * horizon {
      // As if only returns that do not overlap counted, which is too large for a score of seconds.
      let error = (Double(horizon) / Double(pairs)).squareRoot()
      let excess = abs(storedAhead[index]) - abs(causalAhead[index])
      if excess > max(LookAheadProfile.aheadErrorsMin * error, 0.2) { return horizon }
    }
    return nil
  }

  var json: JSONValue {
    func rounded(_ values: [Double]) -> JSONValue { .array(values.map { .rounded($0, 4) }) }
    return .object([
      "pairs": .integer(pairs), "lags": .array(pairs == 0 ? [] : [-20, 20].map { .integer($0) }),
      "change_with_return": rounded(Array(stored.dropLast())),
      "causal_change_with_return": rounded(Array(causal.dropLast())),
      "peak_lag": peakLag.map { .integer($0) } ?? .null,
      "causal_peak_lag": causalPeakLag.map { .integer($0) } ?? .null,
      "horizons_steps": .array(LookAheadProfile.horizons.map { .integer($0) }),
      "score_with_forward_return": rounded(storedAhead),
      "causal_score_with_forward_return": rounded(causalAhead),
      "leak_rows": leak.map { .integer($0) } ?? .null,
      "known_horizon_steps": knownHorizon.map { .integer($0) } ?? .null,
    ])
  }
}

/// Values less their mean, missing ones as 0, so that products need no test.
private struct Centred {
  private(set) var values: [Double]
  private(set) var count = 0
  private var squares = 0.0

  init(_ raw: [Double]) {
    var sum = 0.0
    for value in raw where value.isFinite {
      count += 1
      sum += value
    }
    let mean = count > 0 ? sum / Double(count) : 0
    values = raw.map { $0.isFinite ? $0 - mean : 0 }
    for value in values { squares += value * value }
  }

  /// Of our values with the other's `lag` places later; 0 where either does not vary.
  func correlation(with other: Centred, lag: Int) -> Double {
    guard squares > 0, other.squares > 0 else { return 0 }
    var sum = 0.0
    let first = max(0, -lag)
    let end = min(values.count, other.values.count - lag)
    guard first < end else { return 0 }
    for index in first..<end { sum += values[index] * other.values[index + lag] }
    return sum / (squares * other.squares).squareRoot()
  }
}
