/// Finds where price and order flow disagree, at the time from which that is known.
///
/// **Problem.** Price makes a lower low and order flow does not: whoever sold has sold less, and the move may
/// be spent. Turning points are plain to see on a chart, afterwards.
///
/// **Why the obvious answer fails.** A turning point is one because of what comes behind it. An event stamped
/// with the turning point's own time knows the future, and every test on it is a lie.
///
/// **Algorithm.** The stage is stepped at every point of a grid of its own (`strideMs`). Sample i is a pivot
/// low (high) when its mid is the strict, unique minimum (maximum) of the samples i−L … i+L. That is known at
/// sample i+L, which is the event's time. A pivot nearer than `separationSamples` to the one before of its
/// side is passed over, however extreme: what has been reported is not taken back. Each other pivot is
/// compared with the one before of its side, if that is at most `spanSamplesMax` back:
///
///     price lower low,   indicator higher low  → bullish
///     price higher low,  indicator lower low   → hidden bullish
///     price higher high, indicator lower high  → bearish
///     price lower high,  indicator higher high → hidden bearish
///
/// in three channels: z of OFI, running CVD, and their weighted score, each at the pivots' samples. Price
/// alone decides the kind, so channels cannot contradict each other; those that move against price are named
/// in the event. Equal prices say nothing, equal indicators nothing in their channel. Beside the pivots,
/// OFI and CVD are in conflict from the sample at which their z are of opposite sign and both beyond their
/// limits, and were not at the sample before; while price stands still there is nothing they disagree about.
///
/// **Holes.** A pivot is only found among 2L+1 samples in a row that have a price, and pivots are forgotten at
/// a sample without one or that does not follow the last by one stride. A channel is only compared when it
/// had a value at every sample from the earlier pivot to the confirmation; so trades that turn out to be lost
/// up to L samples behind a pivot still keep its CVD from being compared. A conflict needs to have been seen
/// beginning: the sample before must have had both z.
///
/// **Score.** 100·(0.4·magnitude + 0.3·quality + 0.2·agreement + 0.1·consistency), all in 0 … 1. Magnitude:
/// half the change of price between the pivots as a share of the range of the last 2L+1 samples, half that of
/// the indicators, on average over the channels that disagree; at most 1 each. Quality: of the two rises that
/// frame a pivot (for a high, falls; within L samples) the smaller as a share of the larger, of the worse
/// pivot. Agreement: the share of the channels that disagree. Consistency: of OFI and CVD at the later pivot.
/// A conflict's score is the distance of the two z as a share of 6. The weights are a convention, to sort by
/// and to cut off the least; nothing was fitted.
///
/// **Bounds.** At most one event a sample: of pivots, then of conflict (both a low and a high cannot be
/// confirmed by one sample, as that would be the same sample's). Of a kind at most one in `cooldownMs`;
/// what is cut off by `scoreMin` starts no cooldown. Memory is 2L+1 samples of 104 bytes and two pivots:
/// 2.6 KB for L = 12. A sample costs O(L) at the worst and O(1) on average, since the nearest neighbours are
/// asked first and most samples are no pivot among them.
public struct DivergenceDetector: Sendable {
  public let configuration: DivergenceConfiguration
  public internal(set) var counts = DivergenceCounts()

  struct Pivot: Equatable, Sendable {
    var index: Int64
    var price: Int64
    var quality: Double
    var sample: DivergenceSample
  }

  /// The last 2L+1 samples; sample n has the place n modulo their number.
  var ring: [DivergenceSample] = []
  /// Samples so far.
  var count: Int64 = 0
  var lastTimeMs: Int64?
  /// First sample of the present run without a hole: of prices, and of each channel.
  var priceSince: Int64 = 0
  var ofiSince: Int64 = 0
  var cvdSince: Int64 = 0
  var fusionSince: Int64 = 0
  var low: Pivot?
  var high: Pivot?
  /// nil where the last sample could not tell.
  var wasInConflict: Bool?
  /// Time of the last event, by `DivergenceKind.rawValue`.
  var reportedAtMs = [Int64?](repeating: nil, count: DivergenceKind.allCases.count)

  private var reach: Int64 { Int64(configuration.pivotSamples) }
  var ringCount: Int { 2 * configuration.pivotSamples + 1 }

  public init(_ configuration: DivergenceConfiguration) {
    self.configuration = configuration
    ring.reserveCapacity(ringCount)
  }

  /// Takes the next sample; the event that it confirms, if any.
  public mutating func step(_ sample: DivergenceSample) -> DivergenceEvent? {
    let now = count
    count += 1
    if let lastTimeMs, sample.timeMs &- lastTimeMs != Int64(configuration.strideMs) { forget(before: now) }
    lastTimeMs = sample.timeMs
    let place = Int(now % Int64(ringCount))
    if place < ring.count { ring[place] = sample } else { ring.append(sample) }
    if sample.zOFI == nil { ofiSince = now + 1 }
    if sample.cvd == nil { cvdSince = now + 1 }
    if sample.score == nil { fusionSince = now + 1 }
    var event: DivergenceEvent?
    if sample.doubledMid == nil {
      priceSince = now + 1
      low = nil
      high = nil
    } else {
      counts.samples += 1
      if now - priceSince >= 2 * reach { event = admitted(seekPivot(confirmedAt: now)) }
    }
    let conflict = seekConflict(sample)
    if event == nil { event = admitted(conflict) }
    guard let event else { return nil }
    reportedAtMs[Int(event.kind.rawValue)] = event.timeMs
    counts.events[Int(event.kind.rawValue)] += 1
    if event.kind != .conflict {
      for (index, channel) in DivergenceChannels.each.enumerated() where event.channels.contains(channel) {
        counts.channels[index] += 1
      }
    }
    return event
  }

  /// Nothing before this sample is compared with anything from it on.
  private mutating func forget(before index: Int64) {
    priceSince = index
    ofiSince = index
    cvdSince = index
    fusionSince = index
    low = nil
    high = nil
    wasInConflict = nil
  }

  private func sample(_ index: Int64) -> DivergenceSample { ring[Int(index % Int64(ringCount))] }

  /// The mid at an index of the present run of prices.
  private func price(_ index: Int64) -> Int64 { sample(index).doubledMid ?? 0 }

  // MARK: Pivots

  private mutating func seekPivot(confirmedAt now: Int64) -> DivergenceEvent? {
    let center = now - reach
    let level = price(center)
    let isLow = price(center - 1) > level
    for distance in 1...reach {
      let (before, after) = (price(center - distance), price(center + distance))
      guard isLow ? before > level && after > level : before < level && after < level else { return nil }
    }
    let last = isLow ? low : high
    if let last, center - last.index < Int64(configuration.separationSamples) { return nil }
    let pivot = Pivot(
      index: center, price: level, quality: quality(center, level), sample: sample(center))
    if isLow { low = pivot } else { high = pivot }
    guard let last, center - last.index <= Int64(configuration.spanSamplesMax) else { return nil }
    return compare(last, pivot, isLow: isLow, now: now)
  }

  /// How much alike the rises (for a high, falls) on either side of a pivot are, 0 … 1.
  private func quality(_ center: Int64, _ level: Int64) -> Double {
    var (left, right) = (UInt64(0), UInt64(0))
    for distance in 1...reach {
      left = max(left, (price(center - distance) &- level).magnitude)
      right = max(right, (price(center + distance) &- level).magnitude)
    }
    return Double(min(left, right)) / Double(max(left, right))
  }

  private func compare(_ before: Pivot, _ pivot: Pivot, isLow: Bool, now: Int64) -> DivergenceEvent? {
    guard pivot.price != before.price else { return nil }
    let rises = pivot.price > before.price
    var channels: DivergenceChannels = []
    var shares = 0.0
    func judge(
      _ channel: DivergenceChannels, since: Int64, _ value: (DivergenceSample) -> Double?
    ) {
      guard since <= before.index, let then = value(before.sample), let there = value(pivot.sample),
        rises ? there < then : there > then
      else { return }
      channels.insert(channel)
      shares += share(of: abs(there - then), value)
    }
    judge(.ofi, since: ofiSince, \.zOFI)
    if cvdSince <= before.index, let then = before.sample.cvd, let there = pivot.sample.cvd,
      rises ? there < then : there > then
    {
      // Compared as the whole numbers they are; only the score's share is taken in floating point.
      channels.insert(.cvd)
      shares += share(of: Double((there &- then).magnitude)) { $0.cvd.map { Double($0 &- then) } }
    }
    judge(.fusion, since: fusionSince, \.score)
    guard !channels.isEmpty else { return nil }
    let priceShare = share(of: Double((pivot.price &- before.price).magnitude)) {
      $0.doubledMid.map { Double($0 &- pivot.price) }
    }
    let magnitude = (priceShare + shares / Double(channels.count)) / 2
    let agreement = Double(channels.count) / Double(DivergenceChannels.each.count)
    let score =
      0.4 * magnitude + 0.3 * min(before.quality, pivot.quality) + 0.2 * agreement
      + 0.1 * (pivot.sample.consistency ?? 0)
    let kind: DivergenceKind = isLow ? (rises ? .hiddenBullish : .bullish) : rises ? .bearish : .hiddenBearish
    return DivergenceEvent(
      kind: kind, channels: channels, score: 100 * score, timeMs: sample(now).timeMs,
      pivotTimeMs: pivot.sample.timeMs, pivotTimeBeforeMs: before.sample.timeMs)
  }

  /// A change as a share of a value's range over the last 2L+1 samples, at most 1.
  private func share(of change: Double, _ value: (DivergenceSample) -> Double?) -> Double {
    var (least, most) = (Double.infinity, -Double.infinity)
    for sample in ring {
      guard let value = value(sample) else { continue }
      least = min(least, value)
      most = max(most, value)
    }
    return most > least ? min(1, change / (most - least)) : 1
  }

  // MARK: Conflict

  private mutating func seekConflict(_ sample: DivergenceSample) -> DivergenceEvent? {
    let before = wasInConflict
    guard let zOFI = sample.zOFI, let zCVD = sample.zCVD else {
      wasInConflict = nil
      return nil
    }
    let isInConflict =
      abs(zOFI) >= configuration.conflictZOFI && abs(zCVD) >= configuration.conflictZCVD
      && (zOFI > 0 && zCVD < 0 || zOFI < 0 && zCVD > 0)
    wasInConflict = isInConflict
    guard isInConflict, before == false, priceHasMoved else { return nil }
    return DivergenceEvent(
      kind: .conflict, channels: [.ofi, .cvd], score: 100 * min(1, abs(zOFI - zCVD) / 6),
      timeMs: sample.timeMs, pivotTimeMs: sample.timeMs, pivotTimeBeforeMs: sample.timeMs)
  }

  /// Whether the last 2L+1 samples know two prices.
  private var priceHasMoved: Bool {
    let prices = ring.lazy.compactMap(\.doubledMid)
    return prices.contains { $0 != prices.first }
  }

  /// An event that is strong enough, and not too soon after the last of its kind.
  private func admitted(_ event: DivergenceEvent?) -> DivergenceEvent? {
    guard let event, event.score >= configuration.scoreMin else { return nil }
    if let last = reportedAtMs[Int(event.kind.rawValue)],
      event.timeMs &- last < Int64(configuration.cooldownMs)
    {
      return nil
    }
    return event
  }
}
