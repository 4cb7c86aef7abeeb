import Core
import Testing

@testable import Flow

private func run(_ samples: [DivergenceSample], _ configuration: DivergenceConfiguration) -> [DivergenceEvent]
{
  var detector = DivergenceDetector(configuration)
  return samples.compactMap { detector.step($0) }
}

/// What an event says, without the score.
private struct Seen: Equatable {
  var kind: DivergenceKind
  var channels: DivergenceChannels
  var timeMs: Int64
  var pivotTimeMs: Int64
  var pivotTimeBeforeMs: Int64

  init(_ event: DivergenceEvent) {
    kind = event.kind
    channels = event.channels
    timeMs = event.timeMs
    pivotTimeMs = event.pivotTimeMs
    pivotTimeBeforeMs = event.pivotTimeBeforeMs
  }
}

/// The definition, word by word, over all samples up to one: nothing behind the last of `s` exists for it.
private struct SlowModel {
  let s: [DivergenceSample]
  let c: DivergenceConfiguration

  private var L: Int { c.pivotSamples }

  private func isWhole(_ range: ClosedRange<Int>, _ has: (DivergenceSample) -> Bool) -> Bool {
    range.allSatisfy {
      has(s[$0]) && ($0 == range.lowerBound || s[$0].timeMs - s[$0 - 1].timeMs == Int64(c.strideMs))
    }
  }

  /// −1 for a low at i, +1 for a high.
  private func pivot(_ i: Int) -> Int? {
    guard i >= L, i + L < s.count, isWhole(i - L...i + L, { $0.doubledMid != nil }) else { return nil }
    let mid = s[i].doubledMid!
    let others = (i - L...i + L).filter { $0 != i }.map { s[$0].doubledMid! }
    if others.allSatisfy({ $0 > mid }) { return -1 }
    return others.allSatisfy { $0 < mid } ? 1 : nil
  }

  private func share(_ change: Double, _ n: Int, _ value: (DivergenceSample) -> Double) -> Double {
    let values = (n - 2 * L...n).map { value(s[$0]) }
    let range = values.max()! - values.min()!
    return range > 0 ? min(1, change / range) : 1
  }

  private func quality(_ i: Int) -> Double {
    let moves = [i - L..<i, i + 1..<i + L + 1].map { side in
      side.map { abs(Double(s[$0].doubledMid! - s[i].doubledMid!)) }.max()!
    }
    return moves.min()! / moves.max()!
  }

  private func conflict(_ n: Int) -> Bool? {
    guard let a = s[n].zOFI, let b = s[n].zCVD else { return nil }
    return abs(a) >= c.conflictZOFI && abs(b) >= c.conflictZCVD && a * b < 0
  }

  func events() -> [(Seen, Double)] {
    var accepted: [(index: Int, side: Int)] = []
    var result: [(DivergenceEvent, Double)] = []
    func report(_ event: DivergenceEvent) -> Bool {
      guard event.score >= c.scoreMin else { return false }
      if let last = result.last(where: { $0.0.kind == event.kind }),
        event.timeMs - last.0.timeMs < Int64(c.cooldownMs)
      {
        return false
      }
      result.append((event, event.score))
      return true
    }
    for n in s.indices {
      var isReported = false
      let i = n - L
      if i >= 0, let side = pivot(i) {
        let last = accepted.last { $0.side == side && isWhole($0.index...n, { $0.doubledMid != nil }) }
        if last == nil || i - last!.index >= c.separationSamples {
          accepted.append((i, side))
          if let before = last?.index, i - before <= c.spanSamplesMax {
            isReported = compare(before, i, n, side)
          }
        }
      }
      func compare(_ a: Int, _ b: Int, _ n: Int, _ side: Int) -> Bool {
        let move = Double(s[b].doubledMid! - s[a].doubledMid!)
        var channels: DivergenceChannels = []
        var shares: [Double] = []
        let readers: [(DivergenceChannels, (DivergenceSample) -> Double?)] = [
          (.ofi, { $0.zOFI }), (.cvd, { $0.cvd.map { Double($0) } }), (.fusion, { $0.score }),
        ]
        for (channel, read) in readers where isWhole(a...n, { read($0) != nil }) {
          let change = read(s[b])! - read(s[a])!
          guard change * move < 0 else { continue }
          channels.insert(channel)
          shares.append(share(abs(change), n) { read($0)! })
        }
        guard !shares.isEmpty else { return false }
        let magnitude =
          (share(abs(move), n) { Double($0.doubledMid!) } + shares.reduce(0, +) / Double(shares.count)) / 2
        let score =
          40 * magnitude + 30 * min(quality(a), quality(b)) + 20 * Double(shares.count) / 3
          + 10 * (s[b].consistency ?? 0)
        let kind: DivergenceKind =
          switch (side, move > 0) {
          case (-1, false): .bullish
          case (-1, true): .hiddenBullish
          case (1, true): .bearish
          default: .hiddenBearish
          }
        return report(
          DivergenceEvent(
            kind: kind, channels: channels, score: score, timeMs: s[n].timeMs, pivotTimeMs: s[b].timeMs,
            pivotTimeBeforeMs: s[a].timeMs))
      }
      let recent = Set(s[max(0, n - 2 * L)...n].compactMap(\.doubledMid))
      if !isReported, n > 0, s[n].timeMs - s[n - 1].timeMs == Int64(c.strideMs), conflict(n) == true,
        conflict(n - 1) == false, recent.count > 1
      {
        _ = report(
          DivergenceEvent(
            kind: .conflict, channels: [.ofi, .cvd], score: min(100, abs(s[n].zOFI! - s[n].zCVD!) / 6 * 100),
            timeMs: s[n].timeMs, pivotTimeMs: s[n].timeMs, pivotTimeBeforeMs: s[n].timeMs))
      }
    }
    return result.map { (Seen($0.0), $0.1) }
  }
}

/// A walk of price with indicators that follow it loosely, and holes of every sort.
private func walk(_ count: Int, _ random: inout SeededRandom, strideMs: Int, holes: Double)
  -> [DivergenceSample]
{
  var price: Int64 = 1_000_000
  var cvd: Int64 = 0
  var (ofi, trades) = (0.0, 0.0)
  var timeMs = Int64(1_700_000_000_000)
  var absent = [0, 0, 0, 0]
  return (0..<count).map { _ in
    timeMs += Int64(strideMs)
    if random.bernoulli(holes / 4) { timeMs += Int64(strideMs) * Int64(1 + random.below(5)) }
    for channel in absent.indices {
      absent[channel] = random.bernoulli(holes) ? 1 + random.below(4) : max(0, absent[channel] - 1)
    }
    price += Int64(random.below(7)) - 3
    cvd += Int64(random.below(201)) - 100
    // Rounded, so that equal values occur.
    ofi = (0.7 * ofi + random.normal() * 10).rounded() / 10
    trades = (0.7 * trades + random.normal() * 10).rounded() / 10
    let (a, b) = (absent[1] > 0 ? nil : ofi, absent[2] > 0 ? nil : trades)
    let fused = FusedScore(
      ofi: Factor(z: a, lagMs: 0, stalenessMs: 0), cvd: Factor(z: b, lagMs: 0, stalenessMs: 0),
      FusionConfiguration())
    return DivergenceSample(
      timeMs: timeMs, doubledMid: absent[0] > 0 ? nil : price, zOFI: a, cvd: absent[3] > 0 ? nil : cvd,
      zCVD: b, score: fused.score, consistency: fused.consistency)
  }
}

private func configuration(_ random: inout SeededRandom) -> DivergenceConfiguration {
  var c = DivergenceConfiguration()
  c.strideMs = [250, 1000][random.below(2)]
  c.pivotSamples = [1, 2, 3, 5, 12][random.below(5)]
  c.separationSamples = [1, 6, 20][random.below(3)]
  c.spanSamplesMax = c.separationSamples + [1, 20, 300][random.below(3)]
  c.cooldownMs = [0, 3000, 30_000][random.below(3)]
  c.scoreMin = [0, 0, 45][random.below(3)]
  return c
}

@Suite("Divergence")
struct DivergenceTests {
  @Test(arguments: 1...24 as ClosedRange<UInt64>)
  func equalsDefinition(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let c = configuration(&random)
    let samples = walk(500, &random, strideMs: c.strideMs, holes: [0, 0.003, 0.02][random.below(3)])
    let events = run(samples, c)
    // A model that is shown nothing but the past finds the same events by then.
    for count in [samples.count] + (0..<4).map({ _ in random.below(samples.count) }) {
      let expected = SlowModel(s: Array(samples[..<count]), c: c).events()
      let found = run(Array(samples[..<count]), c)
      #expect(found.map { Seen($0) } == expected.map(\.0), "seed \(seed), \(count) samples")
      #expect(zip(found, expected).allSatisfy { abs($0.score - $1.1) < 1e-9 }, "seed \(seed)")
      #expect(found == Array(events.prefix(found.count)), "seed \(seed)")
    }
  }

  @Test func everyKindAndChannelOccursAndNoneIsEarly() {
    var kinds: Set<DivergenceKind> = []
    var channels: [Int] = [0, 0, 0]
    for seed in 1...20 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      let c = configuration(&random)
      var detector = DivergenceDetector(c)
      for sample in walk(500, &random, strideMs: c.strideMs, holes: 0.001) {
        guard let event = detector.step(sample) else { continue }
        kinds.insert(event.kind)
        #expect(event.timeMs == sample.timeMs, "seed \(seed)")
        #expect((0...100).contains(event.score), "seed \(seed)")
        if event.kind != .conflict {
          let confirmation = event.pivotTimeMs + Int64(c.pivotSamples * c.strideMs)
          #expect(event.timeMs == confirmation, "seed \(seed)")
          #expect(event.pivotTimeBeforeMs < event.pivotTimeMs, "seed \(seed)")
          for (index, channel) in DivergenceChannels.each.enumerated() where event.channels.contains(channel)
          {
            channels[index] += 1
          }
        }
      }
    }
    #expect(kinds.count == DivergenceKind.allCases.count - 1)
    #expect(channels.allSatisfy { $0 > 20 })
  }

  @Test func aFlatPriceYieldsNone() {
    var random = SeededRandom(seed: 3)
    let samples = walk(2000, &random, strideMs: 1000, holes: 0).map {
      var sample = $0
      sample.doubledMid = 12_345
      return sample
    }
    #expect(samples.contains { $0.zOFI! > 1.5 && $0.zCVD! < -0.7 })
    var c = DivergenceConfiguration()
    c.pivotSamples = 1
    #expect(run(samples, c).isEmpty)
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func aMirroredMarketHasMirroredEvents(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var c = configuration(&random)
    c.separationSamples = 1
    let samples = walk(500, &random, strideMs: c.strideMs, holes: 0.002)
    let mirrored = samples.map {
      DivergenceSample(
        timeMs: $0.timeMs, doubledMid: $0.doubledMid.map { 2_000_000 - $0 }, zOFI: $0.zOFI.map { -$0 },
        cvd: $0.cvd.map { -$0 }, zCVD: $0.zCVD.map { -$0 }, score: $0.score.map { -$0 },
        consistency: $0.consistency)
    }
    let mirror: [DivergenceKind: DivergenceKind] = [
      .bullish: .bearish, .bearish: .bullish, .hiddenBullish: .hiddenBearish, .hiddenBearish: .hiddenBullish,
      .conflict: .conflict,
    ]
    let events = run(samples, c)
    #expect(!events.isEmpty)
    #expect(
      run(mirrored, c)
        == events.map {
          var event = $0
          event.kind = mirror[$0.kind]!
          return event
        }, "seed \(seed)")
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func aRestoredDetectorGoesOnAsIfItWereWhole(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let c = configuration(&random)
    let samples = walk(400, &random, strideMs: c.strideMs, holes: 0.01)
    var whole = DivergenceDetector(c)
    var cut = DivergenceDetector(c)
    for sample in samples {
      let (one, other) = (whole.step(sample), cut.step(sample))
      #expect(one == other, "seed \(seed)")
      var writer = CheckpointWriter()
      cut.save(to: &writer)
      cut = DivergenceDetector(c)
      var reader = CheckpointReader(writer.bytes)
      try cut.restore(from: &reader)
      try reader.finish()
      #expect(cut.counts == whole.counts)
    }
    #expect(whole.counts.events.reduce(0, +) > 0, "seed \(seed)")
  }

  @Test func memoryIsBounded() {
    var random = SeededRandom(seed: 9)
    let c = DivergenceConfiguration()
    var detector = DivergenceDetector(c)
    let room = detector.ring.capacity
    for sample in walk(10_000, &random, strideMs: c.strideMs, holes: 0.001) { _ = detector.step(sample) }
    #expect(detector.ring.count == 2 * c.pivotSamples + 1)
    #expect(detector.ring.capacity == room)
  }

  // MARK: By hand

  /// Two lows at the samples 2 and 8 (L = 2), with indicators as told at them and 0 elsewhere.
  private func twoLows(
    _ prices: (Int64, Int64), ofi: (Double, Double) = (0, 0), cvd: (Int64, Int64) = (0, 0),
    change: (inout [DivergenceSample]) -> Void = { _ in }
  ) -> [DivergenceEvent] {
    let path: [Int64] = [20, 16, prices.0, 17, 19, 22, 18, 15, prices.1, 14, 21]
    var samples = path.enumerated().map { index, price in
      DivergenceSample(
        timeMs: Int64(index) * 1000, doubledMid: price, zOFI: index == 2 ? ofi.0 : index == 8 ? ofi.1 : 0,
        cvd: index == 2 ? cvd.0 : index == 8 ? cvd.1 : 0, zCVD: 0, score: 0, consistency: 0)
    }
    change(&samples)
    var c = DivergenceConfiguration()
    c.pivotSamples = 2
    c.separationSamples = 3
    return run(samples, c)
  }

  @Test func lowsByHand() throws {
    let event = try #require(twoLows((10, 8), ofi: (-2, -1)).first)
    #expect(event.kind == .bullish)
    #expect(event.channels == .ofi)
    #expect(event.pivotTimeBeforeMs == 2000)
    #expect(event.pivotTimeMs == 8000)
    #expect(event.timeMs == 10_000)
    // Of the last five samples price has a range of 13 and OFI of 1. The moves that frame the pivots are 10
    // and 9, 10 and 13. One channel of three disagrees.
    #expect(abs(event.score - (40 * (2.0 / 13 + 1) / 2 + 30 * 10.0 / 13 + 20.0 / 3)) < 1e-9)
    #expect(twoLows((8, 10), ofi: (-1, -2)).map(\.kind) == [.hiddenBullish])
    #expect(twoLows((8, 10), cvd: (-5, -6)).map(\.channels) == [.cvd])
    #expect(twoLows((10, 8), ofi: (-2, -1), cvd: (4, 5)).map(\.channels) == [[.ofi, .cvd]])
    // Price and flow agree, or one of them says nothing.
    #expect(twoLows((10, 8), ofi: (-1, -2)).isEmpty)
    #expect(twoLows((8, 8), ofi: (-1, -2)).isEmpty)
    #expect(twoLows((10, 8)).isEmpty)
  }

  @Test func nothingIsComparedAcrossAHole() {
    func events(_ change: (inout [DivergenceSample]) -> Void) -> [DivergenceChannels] {
      twoLows((10, 8), ofi: (-2, -1), cvd: (4, 5), change: change).map(\.channels)
    }
    #expect(events { _ in } == [[.ofi, .cvd]])
    // Before the earlier pivot a hole does no harm.
    #expect(events { $0[1].zOFI = nil } == [[.ofi, .cvd]])
    for index in 2...10 {
      #expect(events { $0[index].zOFI = nil } == [.cvd])
      #expect(events { $0[index].cvd = nil } == [.ofi])
      #expect(events { $0[index].doubledMid = nil } == [])
      #expect(events { for later in index...10 { $0[later].timeMs += 1 } } == [])
    }
  }

  @Test func aConflictIsToldWhereItBegins() {
    func sample(_ time: Int, _ ofi: Double?, _ cvd: Double?) -> DivergenceSample {
      DivergenceSample(
        timeMs: Int64(time) * 1000, doubledMid: Int64(time % 2), zOFI: ofi, cvd: nil, zCVD: cvd, score: nil,
        consistency: nil)
    }
    func times(_ values: [(Double?, Double?)]) -> [Int64] {
      run(values.enumerated().map { sample($0, $1.0, $1.1) }, DivergenceConfiguration()).map(\.timeMs)
    }
    #expect(times([(0, 0), (1.5, -0.7), (2, -2), (0, 0)]) == [1000])
    #expect(times([(0, 0), (-1.5, 0.7)]) == [1000])
    #expect(times([(0, 0), (1.49, -0.7), (1.5, -0.69), (1.5, 0.7)]) == [])
    // It was there when it could first be seen.
    #expect(times([(nil, -1), (2, -1), (2, -1)]) == [])
    #expect(times([(2, -1), (2, -1)]) == [])
    // Within the cooldown of 30 s.
    #expect(times([(0, 0), (2, -1), (0, 0), (2, -1)]) == [1000])
  }
}
