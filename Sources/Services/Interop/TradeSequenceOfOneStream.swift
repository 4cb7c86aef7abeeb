import Core
import Flow

/// Which trades count: those of the first trade stream seen, each id once.
struct TradeSequenceOfOneStream {
  private var kind: FrameKind?
  private var sequence = TradeSequence()

  mutating func takes(_ kind: FrameKind, _ id: Int64) -> Bool {
    if self.kind == nil { self.kind = kind }
    return self.kind == kind && sequence.step(id) != .duplicate
  }
}
