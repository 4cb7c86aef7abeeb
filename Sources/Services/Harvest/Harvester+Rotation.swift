import Core
import Tape

/// Replacing a socket while it still delivers.
///
/// The new socket takes the other side of the slot. Once it has delivered every stream that ticks by itself,
/// and every stream that the old one has delivered meanwhile, the old one is closed in order; what still
/// arrives on it counts. A new socket that cannot do that in time is given up, and the old one stays. Only
/// one slot is replaced at a time, so that a fault of the exchange's front never costs two connections.
extension Harvester where Log: ~Copyable {
  private static var retryNs: Int64 { Nanoseconds.minute }
  /// Copies of what the old socket delivered may come on the new one for so long.
  private static var trailNs: Int64 { 5 * Nanoseconds.second }

  var rotationTimeoutNs: Int64 { Int64(configuration.rotationTimeoutMs) * Nanoseconds.millisecond }

  /// Up to 5 % early, so that slots opened together do not stay together.
  mutating func scheduleRotation(_ slot: Int, _ now: Moment) {
    let after = Double(Int64(configuration.rotateAfterSeconds) * Nanoseconds.second)
    slots[slot].rotateAtNs = now.monotonicNs + Int64(after * (1 - 0.05 * random.uniform()))
  }

  /// Begins with the first slot that is due, unless one is being replaced.
  mutating func rotateNext(_ now: Moment) {
    for slot in slots.indices where slots[slot].rotateAtNs <= now.monotonicNs && overlap == nil {
      rotate(slot, now)
    }
  }

  mutating func rotate(_ slot: Int, _ now: Moment) {
    let side = slots[slot].side
    guard links[2 * slot + side].phase == .open, links[2 * slot + side ^ 1].phase == .idle else {
      slots[slot].rotateAtNs = now.monotonicNs + Self.retryNs
      return
    }
    slots[slot].rotateAtNs = .max
    overlap = HarvestOverlap(
      slot: slot, newSide: side ^ 1, hasIDs: plan.slots[slot].streams.map { plan.streams[$0].kind.hasIDs })
    overlapSlot = Int32(slot)
    connect(slot, side: side ^ 1, .rotation, now)
  }

  private mutating func endOverlap() {
    overlap = nil
    overlapSlot = -1
  }

  mutating func tickOverlap(_ now: Moment) {
    guard let overlap, !isDraining else { return }
    switch overlap.phase {
    case .connecting, .closing: break
    case .both:
      if isComplete(overlap) {
        handOver(now)
      } else if now.monotonicNs >= overlap.openedNs + rotationTimeoutNs {
        if deliversAll(overlap) { handOver(now) } else { abandon(now) }
      }
    case .trailing(let until):
      if now.monotonicNs >= until { endOverlap() }
    }
  }

  /// A frame came in the overlap: is the new socket as good as the old one?
  mutating func judgeOverlap(_ now: Moment) {
    guard let overlap, case .both = overlap.phase, !isDraining, isComplete(overlap) else { return }
    handOver(now)
  }

  private func isHeard(_ overlap: HarvestOverlap, _ position: Int) -> Bool {
    heard[(2 * overlap.slot + overlap.newSide) * positionsMax + position] != 0
  }

  /// Every stream that the old socket has delivered since the new one opened; and anything at all, if some
  /// stream ticks by itself.
  private func deliversAll(_ overlap: HarvestOverlap) -> Bool {
    (links[2 * overlap.slot + overlap.newSide].frames > 0 || !plan.slots[overlap.slot].ticksByItself)
      && overlap.heardByOld.indices.allSatisfy { !overlap.heardByOld[$0] || isHeard(overlap, $0) }
  }

  private func isComplete(_ overlap: HarvestOverlap) -> Bool {
    // Where nothing ticks by itself, only time tells.
    plan.slots[overlap.slot].ticksByItself && deliversAll(overlap)
      && plan.slots[overlap.slot].streams.allSatisfy {
        !plan.streams[$0].kind.ticksByItself || isHeard(overlap, plan.streams[$0].position)
      }
  }

  private mutating func handOver(_ now: Moment) {
    let (slot, side) = (overlap!.slot, overlap!.newSide)
    totals.rotations += 1
    slots[slot].isRestarting = false
    slots[slot].side = side
    overlap!.phase = .closing
    close(2 * slot + side ^ 1, .rotation, now)
    links[2 * slot + side].firstFrameCheckNs = now.monotonicNs + rotationTimeoutNs
    scheduleRotation(slot, now)
    mustSettle = true
  }

  private mutating func abandon(_ now: Moment) {
    let (slot, side) = (overlap!.slot, overlap!.newSide)
    totals.rotationsAbandoned += 1
    slots[slot].isRestarting = false
    close(2 * slot + side, .rotationAbandoned, now)
    overlap!.phase = .closing
    slots[slot].rotateAtNs = now.monotonicNs + Self.retryNs
    mustSettle = true
  }

  /// One of two overlapping sockets is gone.
  ///
  /// - Returns: whether the slot is carried by the other one.
  mutating func loseInOverlap(_ place: Int, _ reason: CloseReason, _ now: Moment) throws(TapeError) -> Bool {
    let slot = place / 2
    let other = place ^ 1
    let isNew = overlap!.newSide == place & 1
    if links[other].phase == .idle {
      endOverlap()
      return false
    }
    switch overlap!.phase {
    case .closing where slots[slot].side == other & 1:
      // Handed over, or the new one given up: the one that went was meant to.
      overlap!.phase = .trailing(untilNs: now.monotonicNs + Self.trailNs)
      return true
    case .trailing, .closing:
      // The one that carries the slot has failed; the other one is on its way out.
      endOverlap()
      return false
    case .connecting, .both: break
    }
    if isNew {
      totals.rotationsAbandoned += 1
      slots[slot].isRestarting = false
      slots[slot].rotateAtNs = now.monotonicNs + Self.retryNs
      endOverlap()
      return true
    }
    slots[slot].side = other & 1
    slots[slot].lastLoss = reason
    if links[other].phase == .connecting {
      links[other].openReason = .reconnect
      endOverlap()
      return true
    }
    // The old one failed before the handover was complete. Holes in books and trades show by their ids;
    // quotes that were missed do not.
    for stream in plan.slots[slot].streams where plan.streams[stream].kind == .bookTicker {
      guard heard[other * positionsMax + plan.streams[stream].position] == 0 else { continue }
      let name = plan.streams[stream].name
      try record(
        .gap, stream: name, connection: Int32(other),
        [.init("stream", .string(name)), .init("reason", .string("handover"))], now)
    }
    totals.rotations += 1
    slots[slot].isRestarting = false
    scheduleRotation(slot, now)
    // Its turn in this tick may be over.
    links[other].firstFrameCheckNs = max(
      now.monotonicNs + 1, firstDeadline(slot, from: links[other].openedNs))
    overlap!.phase = .trailing(untilNs: now.monotonicNs + Self.trailNs)
    return true
  }
}
