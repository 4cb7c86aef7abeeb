import Core
import Tape

/// Streams that were subscribed to and do not deliver.
///
/// An acknowledged subscription proves nothing, so every stream has a deadline for its first frame. If the
/// whole connection is mute (a wrong root is), it is closed and opened again. If only some of its streams
/// are, closing it would cost the others their data. Then the mute ones are subscribed to again, and if they
/// are still mute at the next deadline, the connection is replaced with overlap, as in a rotation, at growing
/// intervals (one to sixteen minutes): at worst some extra connections, never a hole in the other streams.
extension Harvester where Log: ~Copyable {
  private static var remedyNsMin: Int64 { Nanoseconds.minute }
  private static var remedyDoublingsMax: Int { 4 }

  /// How long a stream may take for its first frame; nil for as long as it likes.
  func firstFrameNs(_ kind: StreamKind) -> Int64? {
    switch kind {
    case .depth, .bookTicker, .markPrice: Int64(configuration.firstFrameMs) * Nanoseconds.millisecond
    case .aggregateTrade: Int64(configuration.firstFrameTradeMs) * Nanoseconds.millisecond
    case .kline, .forceOrder: nil
    }
  }

  /// When the streams of a slot that opens now are looked at first.
  func firstDeadline(_ slot: Int, from openedNs: Int64) -> Int64 {
    let limits = plan.slots[slot].streams.compactMap { firstFrameNs(plan.streams[$0].kind) }
    return limits.min().map { openedNs + $0 } ?? .max
  }

  /// Notes a frame of a stream; `true` for the first on its connection.
  @inline(__always)
  mutating func hear(_ place: Int, _ symbol: Int, _ kind: StreamKind) -> Bool {
    let due = streamPlaces[symbol &* StreamKind.allCases.count &+ Int(kind.rawValue)]
    guard due.slot == links[place].slot else { return false }
    let flag = heard + (place &* positionsMax &+ Int(due.position))
    let isFirst = flag.pointee == 0
    flag.pointee = epoch
    if isFirst { heardFirst(place, symbol, kind, Int(due.position)) }
    return isFirst
  }

  @inline(never)
  private mutating func heardFirst(_ place: Int, _ symbol: Int, _ kind: StreamKind, _ position: Int) {
    lateFirstFrames[plan.stream(symbol, kind)] = 0
    if overlapSlot >= 0 { mustSettle = true }
  }

  /// Looks for streams beyond their deadline.
  mutating func checkFirstFrames(_ place: Int, _ now: Moment) throws(TapeError) {
    let slot = place / 2
    // What a new connection does not deliver is judged at the end of the overlap.
    if let overlap, overlap.slot == slot {
      links[place].firstFrameCheckNs = now.monotonicNs + rotationTimeoutNs
      return
    }
    if links[place].lastFrameNs != .min, now.monotonicNs < slots[slot].remedyNotBeforeNs {
      links[place].firstFrameCheckNs = slots[slot].remedyNotBeforeNs
      return
    }
    var next = Int64.max
    var mute: [Int] = []
    for stream in plan.slots[slot].streams {
      guard let limit = firstFrameNs(plan.streams[stream].kind),
        heard[place * positionsMax + plan.streams[stream].position] == 0
      else { continue }
      let due = links[place].openedNs + limit
      if due <= now.monotonicNs { mute.append(stream) } else { next = min(next, due) }
    }
    links[place].firstFrameCheckNs = next
    guard !mute.isEmpty else {
      slots[slot].remedies = 0
      return
    }
    totals.firstFrameTimeouts += Int64(mute.count)
    var repeated: [Int] = []
    for stream in mute {
      lateFirstFrames[stream] += 1
      if lateFirstFrames[stream] >= 2 { repeated.append(stream) }
    }
    totals.substreamTimeouts += Int64(repeated.count)
    if !repeated.isEmpty {
      try record(
        .note, connection: Int32(place),
        [
          .init("check", .string("first_frame")), .init("slot", .integer(slot)),
          .init("streams", .array(repeated.map { .string(plan.streams[$0].name) })),
        ], now)
    }
    if links[place].lastFrameNs == .min { return close(place, .firstFrameTimeout, now) }
    remedy(place, mute, now)
  }

  private mutating func remedy(_ place: Int, _ mute: [Int], _ now: Moment) {
    let slot = place / 2
    subscribe(place, mute)
    var waitNs = Int64(configuration.firstFrameMs) * Nanoseconds.millisecond
    if slots[slot].remedies > 0 {
      slots[slot].rotateAtNs = now.monotonicNs
      waitNs = Self.remedyNsMin << Int64(min(slots[slot].remedies - 1, Self.remedyDoublingsMax))
    }
    slots[slot].remedies += 1
    slots[slot].remedyNotBeforeNs = now.monotonicNs + waitNs
    links[place].firstFrameCheckNs = now.monotonicNs + waitNs
  }

  /// Subscribes to streams once more. One message in ten seconds at most, where the exchange allows ten a
  /// second.
  private mutating func subscribe(_ place: Int, _ streams: [Int]) {
    let message = JSONValue.object([
      "method": .string("SUBSCRIBE"), "params": .array(streams.map { .string(plan.streams[$0].name) }),
      "id": .integer(nextMessageID),
    ])
    nextMessageID += 1
    actions.append(.send(links[place].socket, text: message.text()))
  }

  /// At a check: streams that have delivered and fallen silent alone are treated as if they had not
  /// delivered.
  mutating func checkSilentStreams(_ now: Moment) {
    guard configuration.streamSilenceMs > 0 else { return }
    let intervals = UInt32(
      (configuration.streamSilenceMs + configuration.snapshotCheckMs - 1) / configuration.snapshotCheckMs)
    for slot in slots.indices {
      let place = 2 * slot + slots[slot].side
      guard links[place].phase == .open else { continue }
      for stream in plan.slots[slot].streams where plan.streams[stream].kind.ticksByItself {
        let flag = heard + (place * positionsMax + plan.streams[stream].position)
        guard flag.pointee != 0, epoch - flag.pointee > intervals else { continue }
        flag.pointee = 0
        links[place].firstFrameCheckNs = min(links[place].firstFrameCheckNs, now.monotonicNs + 1)
      }
    }
  }
}
