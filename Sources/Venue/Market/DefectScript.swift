import Core

/// One symbol's defects as they come due: it is shown every frame in order and says what becomes of it.
struct DefectScript {
  enum Verdict: Equatable {
    case deliver
    case deliverTwice
    case lose
    /// Lost, and the first of its run.
    case loseFirst
    /// The first frame after a loss.
    case deliverAfterLoss
    /// Keep it back and deliver it after the next depth frame.
    case hold
    /// Deliver it, then the frame that was kept back.
    case deliverBeforeHeld
  }

  private enum Phase {
    case idle, afterLoss, holding
    case losing(left: Int)
  }

  private let defects: [DefectPlan.Defect]
  private var index = 0
  private var phase = Phase.idle

  init(_ defects: [DefectPlan.Defect]) { self.defects = defects }

  /// When to fetch the snapshot that will be too old, if the next defect wants one: milliseconds since the
  /// start.
  var staleFetchMs: Int64? {
    guard index < defects.count, case .idle = phase, case .gap(_, true) = defects[index].kind else {
      return nil
    }
    return defects[index].afterMs - 40
  }

  @inline(__always)
  mutating func judge(_ stream: MarketStream, elapsedMs: Int64) -> Verdict {
    if case .idle = phase, index == defects.count || elapsedMs < defects[index].afterMs { return .deliver }
    return judgeDue(stream)
  }

  private mutating func judgeDue(_ stream: MarketStream) -> Verdict {
    switch phase {
    case .idle:
      switch defects[index].kind {
      case .duplicate(let wanted):
        guard stream == wanted else { return .deliver }
        index += 1
        return .deliverTwice
      case .gap(let frames, _):
        guard stream == .depth else { return .deliver }
        index += 1
        phase = frames > 1 ? .losing(left: frames - 1) : .afterLoss
        return .loseFirst
      case .reorder:
        guard stream == .depth else { return .deliver }
        index += 1
        phase = .holding
        return .hold
      }
    case .losing(let left):
      guard stream == .depth else { return .deliver }
      phase = left > 1 ? .losing(left: left - 1) : .afterLoss
      return .lose
    case .afterLoss:
      guard stream == .depth else { return .deliver }
      phase = .idle
      return .deliverAfterLoss
    case .holding:
      guard stream == .depth else { return .deliver }
      phase = .idle
      return .deliverBeforeHeld
    }
  }
}
