import Core

/// The exchange's clock against ours, from REST round trips.
///
/// A reply says what the exchange's clock showed at some moment between sending and receiving. Taking the
/// middle errs by at most half the round trip, so of the last eight samples the one with the shortest round
/// trip is the best (the minimum filter of NTP's clock filter, RFC 5905 §10). How much the estimate moves
/// from sample to sample, smoothed, is the drift.
struct ClockFilter: Sendable {
  static let samplesMax = 8
  /// Weight of the newest change in the drift.
  static let driftWeight = 0.25

  struct Sample: Equatable, Sendable {
    var offsetNs: Int64
    var roundTripNs: Int64
  }

  /// Exchange − receive clock; nil before the first sample.
  private(set) var best: Sample?
  private(set) var driftMsEWMA = 0.0
  private(set) var count = 0
  private var samples: [Sample] = []
  private var last = 0

  mutating func add(_ sample: Sample) {
    count += 1
    if samples.count < ClockFilter.samplesMax {
      samples.append(sample)
    } else {
      samples[last] = sample
    }
    last = (last + 1) % ClockFilter.samplesMax
    let chosen = samples.min { $0.roundTripNs < $1.roundTripNs }!
    if let best {
      let changeMs = Double((chosen.offsetNs - best.offsetNs).magnitude) / 1e6
      driftMsEWMA += ClockFilter.driftWeight * (changeMs - driftMsEWMA)
    }
    best = chosen
  }

  /// Our clock was set, forward by `jumpNs`: the samples are void, and the estimate moves with the clock
  /// until new ones come.
  mutating func restart(jumpNs: Int64) {
    samples.removeAll()
    last = 0
    count = 0
    best?.offsetNs -= jumpNs
  }
}
