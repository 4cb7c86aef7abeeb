import Glibc

/// xoshiro256++, seeded through SplitMix64: the only source of randomness in generators and tests.
///
/// Same seed, same sequence, on every machine. Source: D. Blackman and S. Vigna, "Scrambled linear
/// pseudorandom number generators" (2019).
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var a: UInt64
  private var b: UInt64
  private var c: UInt64
  private var d: UInt64

  public init(seed: UInt64) {
    var state = seed
    func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    a = next()
    b = next()
    c = next()
    d = next()
  }

  /// An independent stream for a part of a simulation, e.g. one symbol.
  public func stream(_ index: UInt64) -> SeededRandom {
    SeededRandom(seed: a ^ (index &+ 1) &* 0xD6E8_FEB8_6659_FD93)
  }

  public mutating func next() -> UInt64 {
    let sum = a &+ d
    let result = ((sum << 23) | (sum >> 41)) &+ a
    let t = b << 17
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    d = (d << 45) | (d >> 19)
    return result
  }

  /// Uniform in [0, 1), 53 bits.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Uniform in 0..<bound (Lemire's multiply-shift; the bias is below 2^-40 for bounds under 2^24).
  public mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

  public mutating func bernoulli(_ probability: Double) -> Bool { uniform() < probability }

  /// Exponential with the given mean.
  public mutating func exponential(mean: Double) -> Double { -mean * log(1 - uniform()) }

  /// Standard normal by Box–Muller; one value per call, so that draws stay countable.
  public mutating func normal() -> Double {
    sqrt(-2 * log(1 - uniform())) * cos(2 * .pi * uniform())
  }

  /// Geometric on 1, 2, … with the given mean ≥ 1.
  public mutating func geometric(mean: Double) -> Int {
    mean <= 1 ? 1 : 1 + Int(log(1 - uniform()) / log(1 - 1 / mean))
  }
}
