import Core
import Evaluation
import Strategy
import Testing

@testable import Services

/// The leak check that needs no configuration, on markets made of random numbers.
@Suite("Look-ahead profile")
struct EvaluateProfileTests {
  private static let step = 250 * Nanoseconds.millisecond

  /// A random walk whose steps follow the flow of their own step, and a score that sums the last twenty steps' flow.
  private struct World {
    var mids: [Double] = [100]
    var scores: [Double] = []

    init(seed: UInt64, steps: Int, impact: Double = 0.6) {
      var random = SeededRandom(seed: seed)
      var flows: [Double] = []
      for step in 0..<steps {
        let flow = random.normal() + 0.3 * (flows.last ?? 0)
        flows.append(flow)
        let noise = random.normal()
        mids.append(mids[step] * (1 + 1e-5 * (impact * flow + (1 - impact * impact).squareRoot() * noise)))
        scores.append(flows.suffix(20).reduce(0, +) / 20)
      }
      mids.removeFirst()
    }
  }

  /// The profile of stored scores where the replay's are the world's.
  private func profile(_ world: World, _ stored: [Double]) -> LookAheadProfile {
    var symbol = EvaluatedSymbol(name: "AUSDT")
    for (index, score) in stored.enumerated() {
      symbol.append(
        .init(index: 0, timeNs: Int64(index) * EvaluateProfileTests.step, score: score), levels: 0)
    }
    symbol.finishReading(shiftedBy: 0)
    for (index, score) in world.scores.enumerated() {
      _ = symbol.compare(signal(at: Int64(index) * EvaluateProfileTests.step, score))
    }
    symbol.prices.mids = world.mids
    return LookAheadProfile(symbol, startNs: 0, stepNs: EvaluateProfileTests.step)
  }

  private func signal(at timeNs: Int64, _ score: Double) -> Signal {
    Signal(
      trigger: .grid, receiveTime: UnixNanos(timeNs), symbol: SymbolID(0), score: Micros(score),
      zOFI: .absent, zCVD: .absent, ofi: .absent, cvd: 0, quantityScale: DecimalScale(0),
      consistency: .absent, dispersion: .absent, doubledMid: nil, priceScale: DecimalScale(0),
      spreadBps: .absent, lagMs: .absent, stalenessMs: .absent, regime: .normal, kind: .neutral,
      confirmed: false, guardReason: .none, qualityFlags: [], tapeSequence: 0)
  }

  /// No causal score is called a leak: neither the replay's own, nor one of other windows or with noise.
  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func causalScoresAreNoLeak(seed: UInt64) {
    let world = World(seed: seed, steps: 1500)
    var random = SeededRandom(seed: seed + 100)
    let same = profile(world, world.scores)
    #expect(same.peakLag == 0 && same.causalPeakLag == 0 && same.leak == nil && same.knownHorizon == nil)
    let noisy = profile(world, world.scores.map { $0 + 0.05 * random.normal() })
    #expect(noisy.leak == nil && noisy.knownHorizon == nil, "seed \(seed)")
    let smooth = world.scores.indices.map { place in
      world.scores[max(0, place - 5)...place].reduce(0, +) / Double(min(6, place + 1))
    }
    let other = profile(world, smooth)
    #expect(other.leak == nil && other.knownHorizon == nil, "seed \(seed)")
  }

  @Test(arguments: [1, 3, 20], 1...4 as ClosedRange<UInt64>)
  func aShiftIsFoundWithItsOffset(shift: Int, seed: UInt64) {
    let world = World(seed: seed, steps: 1500)
    var random = SeededRandom(seed: seed + 100)
    // Also where the configuration is another.
    let ahead = world.scores.indices.map { place in
      place + shift < world.scores.count ? world.scores[place + shift] + 0.02 * random.normal() : .nan
    }
    #expect(profile(world, ahead).leak == shift, "seed \(seed)")
    let behind = world.scores.indices.map { $0 < shift ? .nan : world.scores[$0 - shift] }
    let stale = profile(world, behind)
    #expect(stale.leak == nil && stale.peakLag == -shift, "seed \(seed)")
  }

  /// Smoothed over more steps than there are lags.
  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func aForwardReturnIsALeak(seed: UInt64) {
    let world = World(seed: seed, steps: 2500)
    let ahead = world.mids.indices.map { place in
      place + 30 < world.mids.count ? 1e4 * (world.mids[place + 30] / world.mids[place] - 1) : .nan
    }
    #expect(profile(world, ahead).knownHorizon != nil, "seed \(seed)")
  }

  /// Where nothing moves, or nothing is there, nothing is said.
  @Test func withoutDataNothingIsSaid() {
    var world = World(seed: 1, steps: 400)
    world.mids = world.mids.map { _ in 100 }
    let flat = profile(world, world.scores.reversed())
    #expect(flat.leak == nil && flat.knownHorizon == nil)
    world.mids = []
    let empty = profile(world, world.scores)
    #expect(empty.pairs == 0 && empty.leak == nil && empty.knownHorizon == nil && empty.peakLag == nil)
    #expect(empty.json["leak_rows"] == .null)
  }
}
