import Core
import Flow
import Strategy
import Testing

@Suite("Gates")
struct GatesTests {
  private func input(_ change: (inout GateInput) -> Void = { _ in }) -> GateInput {
    var value = GateInput(
      timeMs: 1_000_000, isWarmingUp: false, kind: .buy, score: 2, consistency: 0.5,
      quote: Quote(bidPrice: 99_990, bidQuantity: 1, askPrice: 100_010, askQuantity: 1), lagMs: 10,
      stalenessMs: 10, bookIsOutOfSync: false, missingRatio: 0, timeSyncIsDegraded: false, resyncedAtMs: nil,
      reconnectedAtMs: nil)
    change(&value)
    return value
  }

  private func reason(_ change: (inout GateInput) -> Void) -> Signal.GuardReason {
    var gates = Gates(GateConfiguration())
    return gates.step(input(change)).reason
  }

  @Test func eachGate() {
    #expect(reason { _ in } == .none)
    #expect(reason { $0.score = nil } == .warmup)
    #expect(reason { $0.bookIsOutOfSync = true } == .depthGap)
    #expect(
      reason {
        $0.isWarmingUp = true
        $0.bookIsOutOfSync = true
      } == .warmup)
    #expect(reason { $0.quote = nil } == .missing)
    #expect(reason { $0.missingRatio = 0.0011 } == .missing)
    #expect(reason { $0.lagMs = 601 } == .lag)
    #expect(reason { $0.stalenessMs = 5001 } == .lag)
    #expect(reason { $0.quote?.askPrice = 101_000 } == .spread)
    #expect(reason { $0.consistency = 0.14 } == .lowConsistency)
    #expect(reason { $0.consistency = nil } == .none)
    #expect(reason { $0.score = -0.19 } == .weak)
    #expect(reason { $0.timeSyncIsDegraded = true } == .degradedTimeSync)
    #expect(reason { $0.resyncedAtMs = 1_000_000 - 119_999 } == .resyncCooldown)
    #expect(reason { $0.reconnectedAtMs = 1_000_000 - 179_999 } == .reconnectCooldown)
    #expect(reason { $0.reconnectedAtMs = 1_000_000 - 180_000 } == .none)
  }

  @Test func firstReasonWins() {
    #expect(
      reason {
        $0.lagMs = 601; $0.score = 0.1; $0.consistency = 0
      } == .lag)
    #expect(
      reason {
        $0.score = 0.1; $0.consistency = 0
      } == .lowConsistency)
  }

  @Test func repeatsAndReversals() {
    var gates = Gates(GateConfiguration())
    #expect(gates.step(input()).confirmed)
    #expect(gates.step(input { $0.timeMs += 249 }).reason == .dedupe)
    #expect(
      gates.step(
        input {
          $0.timeMs += 249; $0.kind = .strongBuy
        }
      ).confirmed)
    #expect(
      gates.step(
        input {
          $0.timeMs += 1248; $0.kind = .sell
        }
      ).reason == .reverseCooldown)
    #expect(
      gates.step(
        input {
          $0.timeMs += 1249; $0.kind = .sell
        }
      ).confirmed)
    #expect(
      !gates.step(
        input {
          $0.timeMs += 1300; $0.kind = .neutral
        }
      ).confirmed)
  }
}
