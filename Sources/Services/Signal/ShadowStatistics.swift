import Core
import Flow
import Strategy

/// What a symbol's shadow channels have shown since the beginning of the tape, without the times they were paused.
///
/// Distributions, and the correlation with activity, are of samples one second apart (``ShadowPlan``): the first
/// row of each second. Counts of onsets, divergences and agreement are of every row.
struct ShadowStatistics: Equatable, Sendable {
  /// A standardised value's distribution.
  struct Distribution: Equatable, Sendable {
    static let binsPerUnit = 64.0
    /// The last bin holds everything from 4 on.
    static let binCount = 257
    var moments = RunningMoments()
    var bins = [Int64](repeating: 0, count: Distribution.binCount)
    var above2: Int64 = 0
    var above3: Int64 = 0

    mutating func add(_ value: Double) {
      moments.add(value)
      let magnitude = abs(value)
      bins[Int(min(magnitude * Distribution.binsPerUnit, Double(Distribution.binCount - 1)))] += 1
      if magnitude > 2 { above2 += 1 }
      if magnitude > 3 { above3 += 1 }
    }

    /// The median of |z| to within 1/128; 4 stands for 4 and more.
    var median: Double? {
      guard moments.count > 0 else { return nil }
      var seen: Int64 = 0
      let place = bins.firstIndex { count in
        seen += count
        return 2 * seen >= moments.count
      }
      guard let place, place < bins.count - 1 else { return 4 }
      return (Double(place) + 0.5) / Distribution.binsPerUnit
    }

    func share(_ count: Int64) -> Double? {
      moments.count == 0 ? nil : Double(count) / Double(moments.count)
    }
  }

  struct Channel: Equatable, Sendable {
    /// With rows.
    var onsets: Int64 = 0
    /// Of these, during warm-up or with the book out of sync.
    var gated: Int64 = 0
    /// Those that are not gated, by the hour of the UTC day.
    var byHour = [Int64](repeating: 0, count: 24)
    /// Confirmed rows of the main chain with which it agreed, and to which it was opposed.
    var same: Int64 = 0
    var opposite: Int64 = 0
  }

  var zCVD = Distribution()
  /// Of the main chain.
  var score = Distribution()
  /// Of the candidate.
  var fusion = Distribution()
  /// |score| and |fusion| with activity.
  var scoreActivity = RunningCorrelation()
  var fusionActivity = RunningCorrelation()
  /// Tape time in which the channels could speak.
  var observedNs: Int64 = 0
  var divergenceSamples: Int64 = 0
  /// By ``DivergenceKind``'s raw value.
  var divergences = [Int64](repeating: 0, count: DivergenceKind.allCases.count)
  /// Confirmed rows of the main chain.
  var confirmed: Int64 = 0
  /// By ``ShadowChannel``.
  var channels = [Channel](repeating: Channel(), count: ShadowChannel.allCases.count)

  subscript(channel: ShadowChannel) -> Channel { channels[channel.rawValue] }

  mutating func add(zCVD value: Double?, score live: Double?, fusion candidate: Double?) {
    if let value { zCVD.add(value) }
    if let live { score.add(live) }
    if let candidate { fusion.add(candidate) }
  }

  mutating func add(activity: Double, score live: Double?, fusion candidate: Double?) {
    if let live { scoreActivity.add(abs(live), activity) }
    if let candidate { fusionActivity.add(abs(candidate), activity) }
  }

  mutating func count(_ onsets: ShadowOnsets, _ input: ShadowInput) {
    if input.divergence != .none { divergences[Int(input.divergence.rawValue)] += 1 }
    for channel in ShadowChannel.allCases where onsets[channel] != nil {
      channels[channel.rawValue].onsets += 1
      if input.guardReason != .none {
        channels[channel.rawValue].gated += 1
      } else {
        let hour = UTCDate(UnixNanos(input.timeNs)).hour
        channels[channel.rawValue].byHour[hour] += 1
      }
    }
  }

  var divergenceEvents: Int64 { divergences.dropFirst().reduce(0, +) }
  /// nil before the first sample.
  var divergenceRate: Double? {
    divergenceSamples == 0 ? nil : Double(divergenceEvents) / Double(divergenceSamples)
  }

  /// Onsets that are not gated, an hour of observed time; nil before there is any.
  func onsetsPerHour(_ channel: ShadowChannel) -> Double? {
    guard observedNs > 0 else { return nil }
    let onsets = self[channel].onsets - self[channel].gated
    return Double(onsets) / (Double(observedNs) / Double(Nanoseconds.hour))
  }

  /// Share of the confirmed rows with which a channel agreed; nil without any.
  func agreement(_ channel: ShadowChannel) -> Double? {
    confirmed == 0 ? nil : Double(self[channel].same) / Double(confirmed)
  }
}
