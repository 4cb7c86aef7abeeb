import Core
import Flow
import Glibc
import Strategy
import Testing

@testable import Services

/// The channels and their gates on values made by hand.
@Suite("Shadow channels")
struct ShadowChannelTests {
  private static let plan = ShadowPlan(SignalConfiguration())
  /// 2024-07-18T23:57:00Z
  private static let start: Int64 = 1_721_347_020_000_000_000

  private func input(
    _ index: Int, zCVD: Double? = 0.1, divergence: DivergenceKind = .none,
    reason: Signal.GuardReason = .none, confirmed: Int = 0, quotes: Int64 = 0, isPaused: Bool = false
  ) -> ShadowInput {
    let configuration = FusionConfiguration()
    return ShadowInput(
      timeNs: ShadowChannelTests.start + Int64(index) * 250_000_000, isGrid: true, zCVD: zCVD, score: 0.2,
      fusion: 0.3, divergence: divergence, guardReason: reason, confirmedDirection: confirmed,
      activity: ShadowActivity(trades: 2 * quotes, quotes: quotes, depthEvents: 1000 * quotes),
      thresholds: configuration.base, parameters: configuration, isPaused: isPaused)
  }

  /// Every divergence has a row, whose direction is its kind's.
  @Test(arguments: DivergenceKind.allCases)
  func divergencesAreOnsets(kind: DivergenceKind) {
    var channels = ShadowChannels(ShadowChannelTests.plan)
    #expect(channels.step(input(0)) == ShadowOnsets())
    let onsets = channels.step(input(1, divergence: kind, reason: .depthGap))
    let expected: SignalKind? =
      kind == .none ? nil : kind.direction > 0 ? .buy : kind.direction < 0 ? .sell : .neutral
    #expect(onsets == ShadowOnsets(divergence: expected))
    #expect(channels.step(input(2)) == ShadowOnsets())
    let events: Int64 = kind == .none ? 0 : 1
    #expect(channels.statistics.divergenceEvents == events)
    #expect(channels.statistics[.divergence].gated == events)
    // The direction is remembered for a minute.
    _ = channels.step(input(3, confirmed: 1))
    _ = channels.step(input(3 + 4 * 61, confirmed: 1))
    #expect(channels.statistics.confirmed == 2)
    #expect(channels.statistics[.divergence].same == (kind.direction > 0 ? 1 : 0))
    #expect(channels.statistics[.divergence].opposite == (kind.direction < 0 ? 1 : 0))
  }

  /// Weaker, stronger and turned types are onsets, the end of one is not; a resume is none either.
  @Test func typesThatChangeAreOnsets() {
    var channels = ShadowChannels(ShadowChannelTests.plan)
    var found: [SignalKind?] = []
    for (index, z) in [0.1, 1.6, 1.7, 2.6, 1.6, 0.2, -1.7, nil, -1.7].enumerated() {
      // Far enough apart for every cooldown and hysteresis.
      found.append(channels.step(input(100 * index, zCVD: z)).cvd)
    }
    #expect(found == [nil, .buy, nil, .strongBuy, .buy, nil, .sell, nil, .sell])
    for index in 10..<20 {
      #expect(channels.step(input(100 * index, zCVD: index < 15 ? -1.7 : 2.6, isPaused: true)).cvd == nil)
    }
    #expect(channels.step(input(2000, zCVD: 2.6)).cvd == nil)
    #expect(channels.statistics[.cvd].onsets == 5)
  }

  /// One sample a second whatever the rows; activity is that of the time since the sample before.
  @Test(arguments: [1, 2, 3, 7])
  func activityIsARate(rowsApart: Int) throws {
    var channels = ShadowChannels(ShadowChannelTests.plan)
    for index in stride(from: 0, to: 400, by: rowsApart) {
      // Three events a row, or twelve a second, in the first half; a tenth of that in the second.
      let quotes = Int64(index < 200 ? 10 * index : 2000 + index - 200)
      _ = channels.step(input(index, quotes: quotes))
    }
    let statistics = channels.statistics
    let samples = statistics.zCVD.moments.count
    #expect(rowsApart > 4 ? samples == 58 : abs(samples - 100) <= 1)
    #expect(statistics.scoreActivity.count == samples - 1)
    let mean = statistics.scoreActivity.meanY
    #expect(abs(mean - (log1p(120) + log1p(12)) / 2) < 0.06, "\(mean)")
    #expect(abs(Double(statistics.observedNs) / 1e9 - 99) < 2)
    #expect(abs(statistics.divergenceSamples - 99) <= 2)
  }

  /// Behind a silence, and while the histories fill, nothing is observed.
  @Test func silenceIsNotObserved() {
    var channels = ShadowChannels(ShadowChannelTests.plan)
    for index in [0, 4, 8, 8 + 4 * 6, 12 + 4 * 6] { _ = channels.step(input(index)) }
    #expect(channels.statistics.observedNs == 3_000_000_000)
    _ = channels.step(input(16 + 4 * 6, reason: .warmup))
    #expect(channels.statistics.observedNs == 3_000_000_000)
    #expect(channels.statistics.zCVD.moments.count == 6)
  }

  // MARK: Gates

  private func findings(
    samples: Int, mean: Double = 0, deviation: Double = 1.1, coupling: Double = 0.5, divergences: Int = 10,
    seed: UInt64 = 5
  ) -> ShadowFindings {
    var random = SeededRandom(seed: seed)
    var statistics = ShadowStatistics()
    for _ in 0..<samples {
      let z = mean + deviation * random.normal()
      statistics.add(zCVD: z, score: z, fusion: z)
      statistics.add(activity: coupling * abs(z) + random.normal(), score: z, fusion: z)
    }
    statistics.divergenceSamples = Int64(samples)
    statistics.divergences[1] = Int64(divergences)
    return ShadowFindings(statistics: statistics, plan: ShadowChannelTests.plan)
  }

  private func verdicts(_ findings: ShadowFindings) -> [String] { findings.gates.map(\.verdict.rawValue) }

  @Test func goodValuesMeetAllGates() {
    let good = findings(samples: 20_000)
    #expect(verdicts(good) == ["meets", "meets", "meets", "meets"] && good.verdict == .meets)
    #expect(good.text.contains("gates: meets"))
    let json = good.json
    #expect(json["gates"]?["fusion_activity"]?["verdict"]?.text == "meets")
    #expect(json["z_cvd"]?["independent_samples"]?.integer == 2000)
    let interval = json["activity"]?["fusion"]?["ci"]?.elements?.compactMap(\.double) ?? []
    let r = json["activity"]?["fusion"]?["r"]?.double ?? 0
    #expect(interval.count == 2 && interval[0] < r && r < interval[1] && interval[0] > 0)
  }

  /// A thousand values in windows of ten seconds are a hundred.
  @Test func tooFewValuesAreNotJudged() {
    let few = findings(samples: 590, mean: 3, deviation: 4, coupling: -3, divergences: 500)
    #expect(verdicts(few) == ["undecided", "undecided", "undecided", "undecided"])
    #expect(few.verdict == .undecided && few.gates.allSatisfy { $0.words.contains("too few") })
    #expect(
      ShadowFindings(statistics: ShadowStatistics(), plan: ShadowChannelTests.plan).verdict == .undecided)
  }

  @Test func eachGateCanBeMissed() {
    #expect(verdicts(findings(samples: 20_000, mean: 0.3))[0] == "misses")
    // Known not to be 0, and of no consequence.
    let small = findings(samples: 400_000, mean: 0.03)
    #expect(small.gates[0].verdict == .meets && small.gates[0].words.contains("no more than"))
    #expect(verdicts(findings(samples: 20_000, deviation: 1.6))[1] == "misses")
    #expect(verdicts(findings(samples: 20_000, deviation: 0.5))[1] == "misses")
    // P(|z| > 2) = 4.6 %
    #expect(verdicts(findings(samples: 5000, deviation: 1))[1] == "undecided")
    #expect(verdicts(findings(samples: 20_000, coupling: -0.5))[2] == "misses")
    #expect(verdicts(findings(samples: 20_000, coupling: 0))[2] == "undecided")
    let many = findings(samples: 20_000, divergences: 4000)
    #expect(verdicts(many)[3] == "misses" && many.verdict == .misses)
    #expect(many.text.contains("misses (divergence_rate)"))
    #expect(verdicts(findings(samples: 20_000, divergences: 3050))[3] == "undecided")
  }

  // MARK: State

  @Test func aCheckpointKeepsEverything() throws {
    var random = SeededRandom(seed: 9)
    var channels = ShadowChannels(ShadowChannelTests.plan)
    for index in 0..<2000 {
      _ = channels.step(
        input(
          index, zCVD: random.normal() * 2, divergence: DivergenceKind.allCases[random.below(6)],
          confirmed: random.below(3) - 1, quotes: Int64(index * random.below(5))))
    }
    var writer = CheckpointWriter()
    writer.append("SHDW", channels)
    #expect(writer.count < 9000)
    var restored = ShadowChannels(ShadowChannelTests.plan)
    var reader = CheckpointReader(writer.bytes)
    try reader.restore("SHDW", &restored)
    try reader.finish()
    #expect(restored.statistics == channels.statistics)
    var copy = CheckpointWriter()
    copy.append("SHDW", restored)
    #expect(copy.bytes.elementsEqual(writer.bytes))
  }
}
