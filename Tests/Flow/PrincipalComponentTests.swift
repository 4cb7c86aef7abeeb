import Core
import Testing

@testable import Flow

@Suite("Principal component")
struct PrincipalComponentTests {
  /// Vectors that mostly move together, with means of their own and unequal spreads.
  private func vectors(_ count: Int, _ width: Int, _ random: inout SeededRandom) -> [[Double]] {
    (0..<count).map { _ in
      let common = random.normal()
      return (0..<width).map { 1000 + 3 * common / Double($0 + 1) + 0.5 * random.normal() }
    }
  }

  private func covariance(_ samples: ArraySlice<[Double]>) -> [[Double]] {
    let width = samples.first!.count
    let means = (0..<width).map { column in samples.reduce(0) { $0 + $1[column] } / Double(samples.count) }
    return (0..<width).map { a in
      (0..<width).map { b in samples.reduce(0) { $0 + ($1[a] - means[a]) * ($1[b] - means[b]) } }
    }
  }

  @Test(arguments: [1, 2, 5, 20])
  func isAnEigenvectorOfTheLargestEigenvalue(width: Int) {
    var random = SeededRandom(seed: UInt64(width))
    var component = PrincipalComponent(width: width, history: 300)
    let samples = vectors(700, width, &random)
    for (index, sample) in samples.enumerated() {
      component.push(sample)
      let isKnown = component.isKnown
      #expect(isKnown == (index >= 59))
      guard isKnown, index % 60 == 59 else { continue }
      // The newest 300 samples, or what there is of them.
      let matrix = covariance(samples[max(0, index - 299)...index])
      let w = (0..<width).map { component.weights[$0] }
      let product = matrix.map { row in zip(row, w).reduce(0) { $0 + $1.0 * $1.1 } }
      let length = w.reduce(0) { $0 + $1 * $1 }
      let value = zip(product, w).reduce(0) { $0 + $1.0 * $1.1 } / length
      for (a, b) in zip(product, w) { #expect(abs(a - value * b) < 1e-6 * value) }
      // No other eigenvalue can be larger when it is more than half of their sum.
      #expect(value > (0..<width).reduce(0) { $0 + matrix[$1][$1] } / 2)
      #expect(abs(w.reduce(0) { $0 + abs($1) } - 1) < 1e-12)
      #expect(w.reduce(0, +) >= 0)
    }
  }

  @Test func whereNothingVariesTheLastDirectionStays() {
    var random = SeededRandom(seed: 2)
    var component = PrincipalComponent(width: 3, history: 60)
    for _ in 0..<120 { component.push([1, 2, 3]) }
    let isKnownEarly = component.isKnown
    #expect(!isKnownEarly)
    for sample in vectors(60, 3, &random) { component.push(sample) }
    let before = (0..<3).map { component.weights[$0] }
    let isKnown = component.isKnown
    #expect(isKnown)
    for _ in 0..<120 { component.push([1, 2, 3]) }
    let after = (0..<3).map { component.weights[$0] }
    #expect(after == before)
  }

  @Test func aHistoryShorterThanABlockIsABlock() {
    var random = SeededRandom(seed: 4)
    var component = PrincipalComponent(width: 2, history: 20)
    for sample in vectors(20, 2, &random) { component.push(sample) }
    let isKnown = component.isKnown
    #expect(isKnown)
  }

  @Test func aRestoredComponentGoesOnAsIfItWereWhole() throws {
    var random = SeededRandom(seed: 6)
    var whole = PrincipalComponent(width: 4, history: 180)
    var cut = PrincipalComponent(width: 4, history: 180)
    for sample in vectors(500, 4, &random) {
      whole.push(sample)
      cut.push(sample)
      var writer = CheckpointWriter()
      cut.save(to: &writer)
      var fresh = PrincipalComponent(width: 4, history: 180)
      var reader = CheckpointReader(writer.bytes)
      try fresh.restore(from: &reader)
      try reader.finish()
      cut = fresh
      let isEqual = (0..<4).allSatisfy { whole.weights[$0] == cut.weights[$0] }
      #expect(isEqual)
    }
    let isKnown = whole.isKnown
    #expect(isKnown)
  }
}
