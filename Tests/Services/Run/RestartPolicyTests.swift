import Core
import Testing

@testable import Services

@Suite("Restart policy")
struct RestartPolicyTests {
  private static let second = Nanoseconds.second

  @Test(
    "Waits double within ±20 % up to the greatest, then the service is given up",
    arguments: 1...20 as ClosedRange<UInt64>)
  func doubles(seed: UInt64) {
    var policy = RestartPolicy(RunConfiguration(), seed: seed)
    for nominal in [100, 200, 400, 800, 1600, 3200, 6400, 8000, 8000, 8000] {
      guard case .restart(let waitNs) = policy.ended(atNs: 5 * Self.second, startedNs: 4 * Self.second) else {
        Issue.record("given up too early, seed \(seed)")
        return
      }
      let ratio = Double(waitNs) / Double(nominal) / 1e6
      #expect((0.8...1.2).contains(ratio), "seed \(seed)")
      #expect(policy.waitsMs.last == Int(waitNs / 1_000_000))
    }
    #expect(policy.ended(atNs: 6 * Self.second, startedNs: 5 * Self.second) == .giveUp)
    #expect(policy.ended(atNs: 6 * Self.second, startedNs: 5 * Self.second) == .giveUp)
    #expect(policy.restarts == 10 && policy.waitsMs.count == 10)
    policy.forgive()
    #expect(policy.ended(atNs: 6 * Self.second, startedNs: 5 * Self.second) != .giveUp)
    #expect(policy.waitsMs.last! <= 120)
  }

  @Test("A stable period starts the waits anew, one nanosecond less does not")
  func stable() {
    var policy = RestartPolicy(RunConfiguration(), seed: 1)
    for _ in 0..<5 { _ = policy.ended(atNs: Self.second, startedNs: 0) }
    _ = policy.ended(atNs: 60 * Self.second - 1, startedNs: 0)
    #expect(policy.restartsInARow == 6)
    _ = policy.ended(atNs: 60 * Self.second, startedNs: 0)
    #expect(policy.restartsInARow == 1 && policy.restarts == 7)
    #expect((80...120).contains(policy.waitsMs.last!))
  }

  @Test("Same seed, same waits; the list of them is bounded; no restart may be allowed at all")
  func bounds() {
    var first = RestartPolicy(RunConfiguration(), seed: 7)
    var second = RestartPolicy(RunConfiguration(), seed: 7)
    for _ in 0..<(RestartPolicy.waitsMax + 5) {
      #expect(
        first.ended(atNs: 60 * Self.second, startedNs: 0)
          == second.ended(atNs: 60 * Self.second, startedNs: 0))
    }
    #expect(first.waitsMs.count == RestartPolicy.waitsMax && first.restarts == RestartPolicy.waitsMax + 5)
    #expect(Set(first.waitsMs).count > 10, "no jitter")
    var configuration = RunConfiguration()
    configuration.restartsMax = 0
    var none = RestartPolicy(configuration, seed: 7)
    #expect(none.ended(atNs: 100 * Self.second, startedNs: 0) == .giveUp)
  }
}
