import Core
import Tape

/// Opening, watching and replacing sockets.
extension Harvester where Log: ~Copyable {
  private static var closeTimeoutNs: Int64 { 3 * Nanoseconds.second }

  // MARK: Told by the shell

  /// A socket is open.
  public mutating func opened(_ socket: SocketID, _ given: Moment) throws(TapeError) {
    guard let place = place(of: socket), links[place].phase == .connecting else { return }
    let now = try enter(given)
    let slot = place / 2
    links[place].phase = .open
    links[place].openedNs = now.monotonicNs
    links[place].lastPongNs = now.monotonicNs
    links[place].nextPingNs = now.monotonicNs + Int64(configuration.heartbeatMs) * Nanoseconds.millisecond
    links[place].firstFrameCheckNs = firstDeadline(slot, from: now.monotonicNs)
    totals.connects += 1
    let reason = links[place].openReason
    var more: [JSONValue.Member] = [
      .init("attempt", .integer(slots[slot].attempt)),
      .init("streams", .integer(plan.slots[slot].streams.count)),
    ]
    if overlap?.slot == slot, overlap?.newSide == place & 1 {
      overlap!.phase = .both
      overlap!.openedNs = now.monotonicNs
    } else {
      if reason == .reconnect {
        totals.reconnects += 1
        slots[slot].reconnects[slots[slot].lastLoss.rawValue] += 1
        more.append(.init("after", .string(slots[slot].lastLoss.name)))
      }
      slots[slot].isRestarting = false
      scheduleRotation(slot, now)
    }
    slots[slot].hasOpened = true
    try recordLink(.open, place, reason.rawValue, more, now)
    settle(now)
  }

  /// A socket is closed, or could not be opened. A socket that was aborted needs no such call.
  public mutating func closed(_ socket: SocketID, reason: String, _ given: Moment) throws(TapeError) {
    guard let place = place(of: socket) else { return }
    let now = try enter(given)
    let cause: CloseReason =
      switch links[place].phase {
      case .connecting: .connectFailed
      case .closing: links[place].closeReason
      case .open, .idle: .remote
      }
    try lose(place, cause, reason, now)
    settle(now)
  }

  /// A pong has come.
  public mutating func ponged(_ socket: SocketID, _ now: Moment) {
    guard let place = place(of: socket) else { return }
    links[place].lastPongNs = now.monotonicNs
  }

  /// Where a socket stands; nil when it is gone.
  @inline(__always)
  func place(of socket: SocketID) -> Int? {
    let place = Int(socket.rawValue) & (placeCapacity &- 1)
    guard socket.rawValue >= 0, links[place].socket == socket, links[place].phase != .idle else { return nil }
    return place
  }

  // MARK: Opening and ending

  mutating func connect(_ slot: Int, side: Int, _ reason: OpenReason, _ now: Moment) {
    let place = 2 * slot + side
    let generations = Int(Int32.max) / placeCapacity
    var link = HarvestLink(slot: slot)
    link.socket = SocketID(rawValue: Int32(Int(links[place].generation) * placeCapacity + place))
    link.generation = Int32((Int(links[place].generation) + 1) % generations)
    link.phase = .connecting
    link.startedNs = now.monotonicNs
    link.openReason = reason
    links[place] = link
    (heard + place * positionsMax).update(repeating: 0, count: positionsMax)
    slots[slot].reconnectAtNs = .max
    actions.append(.connect(link.socket, target: plan.slots[slot].target))
  }

  /// Begins to close in order.
  mutating func close(_ place: Int, _ reason: CloseReason, _ now: Moment) {
    links[place].phase = .closing
    links[place].closeReason = reason
    links[place].closeByNs = now.monotonicNs + Self.closeTimeoutNs
    links[place].nextPingNs = .max
    links[place].firstFrameCheckNs = .max
    actions.append(.close(links[place].socket, code: 1000))
  }

  mutating func abort(_ place: Int, _ reason: CloseReason, _ now: Moment) throws(TapeError) {
    actions.append(.abort(links[place].socket))
    try lose(place, reason, "", now)
  }

  /// A socket is gone. What follows depends on whether it carried its slot.
  private mutating func lose(_ place: Int, _ reason: CloseReason, _ detail: String, _ now: Moment)
    throws(TapeError)
  {
    let link = links[place]
    let slot = place / 2
    links[place].phase = .idle
    var more: [JSONValue.Member] = [.init("frames", .integer(link.frames))]
    if !detail.isEmpty { more.append(.init("detail", .string(String(detail.prefix(200))))) }
    if link.isLive {
      try recordLink(.close, place, reason.name, more, now)
    } else {
      totals.connectFailures += 1
      more.insert(.init("attempt", .integer(slots[slot].attempt)), at: 0)
      try recordLink(.note, place, reason.name, more, now)
    }
    if isDraining { return try finishIfDrained(now) }
    if overlap?.slot == slot, try loseInOverlap(place, reason, now) { return }
    // A socket that was on its way out is not replaced.
    guard slots[slot].side == place & 1 else { return }
    scheduleReconnect(slot, link, reason, now)
  }

  private mutating func scheduleReconnect(
    _ slot: Int, _ link: HarvestLink, _ reason: CloseReason, _ now: Moment
  ) {
    if link.isLive {
      slots[slot].lastLoss = reason
      let stableNs = Int64(configuration.stableMs) * Nanoseconds.millisecond
      if link.frames > 0, now.monotonicNs - link.openedNs >= stableNs { slots[slot].attempt = 0 }
    }
    let delay = backoff.delayNs(slots[slot].attempt, &random)
    slots[slot].attempt += 1
    slots[slot].reconnectAtNs = now.monotonicNs + delay
    slots[slot].rotateAtNs = .max
    slots[slot].isRestarting = false
  }

  // MARK: Watching

  mutating func tickSlot(_ slot: Int, _ now: Moment) throws(TapeError) {
    if slots[slot].reconnectAtNs <= now.monotonicNs {
      connect(slot, side: slots[slot].side, slots[slot].hasOpened ? .reconnect : .start, now)
    }
    for side in 0...1 { try tickLink(2 * slot + side, now) }
  }

  private mutating func tickLink(_ place: Int, _ now: Moment) throws(TapeError) {
    let link = links[place]
    switch link.phase {
    case .idle: return
    case .connecting:
      if now.monotonicNs >= link.startedNs + connectTimeoutNs { try abort(place, .connectTimeout, now) }
    case .closing:
      if now.monotonicNs >= link.closeByNs { try abort(place, link.closeReason, now) }
    case .open:
      if now.monotonicNs >= silenceDeadline(place) {
        totals.silenceTimeouts += 1
        return try abort(place, .silence, now)
      }
      if now.monotonicNs >= heartbeatDeadline(place) {
        totals.heartbeatTimeouts += 1
        return try abort(place, .heartbeat, now)
      }
      if now.monotonicNs >= link.nextPingNs {
        links[place].nextPingNs = now.monotonicNs + Int64(configuration.heartbeatMs) * Nanoseconds.millisecond
        actions.append(.ping(link.socket))
      }
      if now.monotonicNs >= link.firstFrameCheckNs { try checkFirstFrames(place, now) }
    }
  }

  private var connectTimeoutNs: Int64 { Int64(configuration.connectTimeoutMs) * Nanoseconds.millisecond }

  /// Silence counts from the first frame on; before it, the streams' own deadlines do.
  private func silenceDeadline(_ place: Int) -> Int64 {
    let slot = plan.slots[place / 2]
    guard slot.ticksByItself, links[place].lastFrameNs != .min else { return .max }
    let silenceMs = slot.root == .book ? configuration.silencePublicMs : configuration.silenceMarketMs
    return links[place].lastFrameNs + Int64(silenceMs) * Nanoseconds.millisecond
  }

  private func heartbeatDeadline(_ place: Int) -> Int64 {
    max(links[place].lastFrameNs, links[place].lastPongNs)
      + Int64(configuration.heartbeatTimeoutMs) * Nanoseconds.millisecond
  }

  /// The earliest timer of a slot.
  func slotDeadline(_ slot: Int) -> Int64 {
    var earliest = slots[slot].reconnectAtNs
    // While another slot rotates, this one waits for the end of that, which settles anew.
    if overlap == nil { earliest = min(earliest, slots[slot].rotateAtNs) }
    for place in 2 * slot...2 * slot + 1 {
      let link = links[place]
      switch link.phase {
      case .idle: break
      case .connecting: earliest = min(earliest, link.startedNs + connectTimeoutNs)
      case .closing: earliest = min(earliest, link.closeByNs)
      case .open:
        earliest = min(
          earliest, silenceDeadline(place), heartbeatDeadline(place),
          min(link.nextPingNs, link.firstFrameCheckNs))
      }
    }
    return earliest
  }
}
