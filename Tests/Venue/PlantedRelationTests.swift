import Core
import Glibc
import Testing

@testable import Venue

@Suite("Planted relation")
struct PlantedRelationTests {
  /// Against the definition: the share of pairs of an up and a down in which the up's value is higher.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func aucIsTheShareOfOrderedPairs(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let n = 2 + random.below(40)
    let x = (0..<n).map { _ in Double(random.below(6)) }
    let y = (0..<n).map { _ in Double(random.below(3) - 1) }
    var share = 0.0
    var count = 0.0
    for up in 0..<n where y[up] > 0 {
      for down in 0..<n where y[down] < 0 {
        count += 1
        share += x[up] > x[down] ? 1 : x[up] == x[down] ? 0.5 : 0
      }
    }
    let found = PlantedRelation.auc(x, y)
    if count == 0 {
      #expect(found == nil)
    } else {
      #expect(abs(try #require(found).value - share / count) < 1e-12, "seed \(seed)")
    }
  }

  /// On jointly normal pairs, as autocorrelated as a market's: both estimates meet the formula, as often as
  /// their standard errors say.
  @Test func estimatesMeetTheFormulaAsOftenAsTheirErrorsSay() {
    let rho = 0.3
    let formula = 0.5 + 2 * asin(rho / 2.0.squareRoot()) / .pi
    var within = (auc: 0, implied: 0)
    let rounds: UInt64 = 200
    for seed in 1...rounds {
      var random = SeededRandom(seed: seed)
      var planted = PlantedRelation()
      var x = random.normal()
      var noise = random.normal()
      for _ in 0..<600 {
        x = 0.3 * x + (1 - 0.3 * 0.3).squareRoot() * random.normal()
        noise = 0.3 * noise + (1 - 0.3 * 0.3).squareRoot() * random.normal()
        let move = rho * x + (1 - rho * rho).squareRoot() * noise
        planted.add(
          .init(ofi: Float(x), cvd: Float(-x), pressure: 0, nextMove: random.bernoulli(0.1) ? 0 : Float(move))
        )
      }
      let ofi = planted.relation { $0.ofi }!
      let cvd = planted.relation { $0.cvd }!
      #expect(abs(ofi.auc.value + cvd.auc.value - 1) < 1e-9)
      #expect(planted.relation { $0.pressure } == nil)
      if abs(ofi.auc.value - formula) < 1.96 * ofi.auc.error { within.auc += 1 }
      // Moves set to nothing take a tenth of the correlation's square.
      let implied = 0.5 + 2 * asin(rho * 0.9.squareRoot() / 2.0.squareRoot()) / .pi
      if abs(ofi.impliedAUC.value - implied) < 1.96 * ofi.impliedAUC.error { within.implied += 1 }
    }
    // 95 % of 200 with a standard deviation of 3; a finite sample's errors are a little short.
    #expect((176...199).contains(within.auc), "\(within)")
    #expect((176...199).contains(within.implied), "\(within)")
  }

  @Test func memoryIsBounded() {
    var planted = PlantedRelation()
    for step in 0..<PlantedRelation.bucketsMax + 10 {
      planted.add(.init(ofi: Float(step % 7), cvd: 0, pressure: 0, nextMove: Float(step % 3 - 1)))
    }
    #expect(planted.pairs.count == PlantedRelation.bucketsMax)
  }

  /// What the truth says of a market: flow and the pressure behind it go with the next move, by about as much
  /// as normal variables of their correlation would.
  @Test func aMarketSaysItsAUC() throws {
    for seed in [1, 2] as [UInt64] {
      let options = try MarketOptions(seed: seed, symbols: ["BTCUSDT"], minutes: 20)
      var generator = MarketGenerator(options)
      while generator.next() != nil {}
      let reference = try #require(generator.truth["symbols"]?["BTCUSDT"]?["reference"])
      let next = try #require(reference["next_move"])
      #expect(next["buckets"]?.integer == 119 && next["horizon_s"]?.integer == 10)
      #expect((100...119).contains(next["moves"]?.integer ?? 0))
      let correlation = try #require(next["ofi"]?["correlation"]?.double)
      #expect(abs(correlation - (try #require(reference["predictive_correlation"]?.double))) < 1e-5)
      for name in ["ofi", "cvd", "pressure"] {
        let one = try #require(next[name])
        let auc = try #require(one["auc"]?.double)
        let error = try #require(one["auc_standard_error"]?.double)
        #expect((0.02...0.09).contains(error), "seed \(seed) \(name): \(error)")
        #expect(
          abs(auc - (try #require(one["implied_auc"]?.double))) < 2.5 * error, "seed \(seed) \(name)")
        if name != "cvd" { #expect(auc > 0.5 && auc < 0.9, "seed \(seed) \(name): \(auc)") }
      }
    }
  }
}
