import Core
import Tape

/// What an operator or a supervisor may ask a harvester for. Whatever changes what readers make of the tape is
/// recorded there first.
extension Harvester where Log: ~Copyable {
  /// Puts an intervention in the signal stage on the tape.
  ///
  /// - Returns: why not; nil when it is there.
  public mutating func appendControl(_ json: JSONValue, _ given: Moment) throws(TapeError) -> ControlError? {
    let control: Control
    do throws(ControlError) { control = try Control(json) } catch { return error }
    let text = json.text()
    guard text.utf8.count <= Control.bytesMax else {
      return ControlError("longer than \(Control.bytesMax) bytes")
    }
    let now = try enter(given)
    guard !hasFinished else { return ControlError("the harvest has ended") }
    scratch.removeAll()
    scratch.append(text)
    _ = try log.append(
      .note, stream: Control.stream, data: scratch.bytes, receiveTime: now.wall,
      connection: Self.noConnection)
    let place = Control.names.firstIndex { "\($0)" == "\(control.name)" }!
    totals.controls[place] += 1
    settle(now)
    return nil
  }

  /// Replaces all connections, each with overlap, one after the other. A connection that is down is tried at once, as
  /// if it had not failed before. While a replacement is under way, another call only does the latter.
  ///
  /// - Returns: whether a replacement has begun.
  @discardableResult
  public mutating func restartSockets(_ given: Moment) throws(TapeError) -> Bool {
    let now = try enter(given)
    guard !isDraining else { return false }
    let isUnderWay = slots.contains { $0.isRestarting }
    var replaced = 0
    var retried = 0
    for slot in slots.indices {
      switch links[2 * slot + slots[slot].side].phase {
      case .open:
        guard !isUnderWay else { continue }
        replaced += 1
        slots[slot].isRestarting = true
        // In an overlap it is being replaced already.
        if overlapSlot != slot || isTrailing { slots[slot].rotateAtNs = now.monotonicNs }
      case .idle, .closing:
        slots[slot].attempt = 0
        guard slots[slot].reconnectAtNs != .max else { continue }
        retried += 1
        slots[slot].reconnectAtNs = now.monotonicNs
        try tickSlot(slot, now)
      case .connecting: slots[slot].attempt = 0
      }
    }
    if !isUnderWay {
      totals.restarts += 1
      try record(
        .note, connection: Self.noConnection,
        [
          .init("restart", .string("connections")), .init("replaced", .integer(replaced)),
          .init("retried", .integer(retried)),
        ], now)
    }
    rotateNext(now)
    settle(now)
    return !isUnderWay
  }

  private var isTrailing: Bool {
    switch overlap?.phase {
    case .trailing, .closing: true
    default: false
    }
  }

  /// Makes books anew from fresh snapshots: a symbol's, or all. Until its snapshot has come, a book is out of sync, for
  /// every reader of the tape too.
  ///
  /// - Returns: how many; 0 for a symbol that is not harvested.
  @discardableResult
  public mutating func rebuildSnapshots(of name: String? = nil, _ given: Moment) throws(TapeError) -> Int {
    let now = try enter(given)
    guard !isDraining else { return 0 }
    var count = 0
    for symbol in 0..<symbolCount where name == nil || states[symbol].name == name!.uppercased() {
      guard plan.stream(symbol, .depth) >= 0 else { continue }
      count += 1
      if states[symbol].book.isSynchronized { try rebuildBook(symbol, now) }
      states[symbol].snapshotAttempt = 0
      askForSnapshot(symbol, now)
      if queue.waits(.resync, symbol) { queue.add(.resync, symbol: symbol, notBeforeNs: now.monotonicNs) }
      if queue.waits(.initial, symbol) { queue.add(.initial, symbol: symbol, notBeforeNs: now.monotonicNs) }
    }
    settle(now)
    return count
  }

  /// Has closed segments compressed as fast as that goes, or a little at a time again.
  public mutating func compressNow(_ isOn: Bool, _ given: Moment) throws(TapeError) {
    let now = try enter(given)
    guard !hasFinished, compressesAtOnce != isOn else { return }
    compressesAtOnce = isOn
    try record(.note, connection: Self.noConnection, [.init("compress_at_once", .bool(isOn))], now)
    settle(now)
  }

  public var connectionsOpen: Int { (0..<placeCount).count { links[$0].phase == .open } }
}
