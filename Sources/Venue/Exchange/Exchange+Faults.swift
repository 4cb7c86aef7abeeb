import Core

/// A fault that was asked for, and what became of it.
struct InjectedFault {
  var fault: Fault
  /// When it starts or started.
  var atNs: Int64
  /// Place in the stream table; −1 for a fault not aimed at a stream.
  var stream: Int
  var isStarted = false
  /// How often it may still strike.
  var left = Int.max
  /// When it ends.
  var until = Int64.max
  /// How often it struck.
  var struck: Int64 = 0
}

/// Injected faults: asking for them, starting them, finding those that strike.
extension Exchange {
  /// Injects a fault that starts now.
  ///
  /// - Throws: ``FaultError`` for a number out of range, an unknown stream, or more than 10,000 faults.
  public func inject(_ fault: Fault, now: UnixNanos) throws(FaultError) {
    run(to: now.rawValue)
    try schedule(fault, at: self.now)
    run(to: self.now)
  }

  func schedule(_ fault: Fault, at time: Int64) throws(FaultError) {
    try fault.check()
    guard injected.count < Exchange.faultsMax else { throw .tooMany }
    var stream = -1
    if let name = fault.stream {
      guard let found = listenKeys[name] != nil ? table.intern(name) : resolve(name) else {
        throw .unknownStream(name)
      }
      stream = found
    }
    timedFaults.insert(TimeHeap.Entry(time: time, tie: Int64(injected.count), value: injected.count))
    injected.append(InjectedFault(fault: fault, atNs: time, stream: stream))
    timersChanged()
  }

  func start(fault number: Int) {
    let fault = injected[number].fault
    injected[number].isStarted = true
    switch fault {
    case .cut(let which, let manner):
      let hit = sessions.enumerated().filter { index, session in
        switch which {
        case .all: true
        case .index(let wanted): index == wanted
        case .root(let name): session.root.rawValue == name
        }
      }
      for (_, session) in hit { end(session, manner) }
      injected[number].struck = Int64(hit.count)
    case .clockSkew(let ms):
      skewMs = ms
      for index in symbolNames.indices { symbols[index].encoder.skewMs = ms }
      injected[number].struck = 1
    default:
      injected[number].left = fault.count ?? .max
      injected[number].until = fault.durationMs.map { now + $0 * Nanoseconds.millisecond } ?? .max
      activeFaults.append(number)
      if injected[number].stream >= 0 { table.streams[injected[number].stream].isFaulted = true }
    }
  }

  private func isAlive(_ number: Int) -> Bool { injected[number].left > 0 && injected[number].until > now }

  /// Drops the faults that are over.
  private func prune() { activeFaults.removeAll { !isAlive($0) } }

  /// The first fault at work that matches, which then has struck once more.
  func struck(_ match: (Fault) -> Bool) -> Fault? {
    if activeFaults.isEmpty { return nil }
    prune()
    guard let number = activeFaults.first(where: { match(injected[$0].fault) }) else { return nil }
    hit(number)
    return injected[number].fault
  }

  private func hit(_ number: Int) {
    injected[number].struck += 1
    if injected[number].left != .max { injected[number].left -= 1 }
  }

  // MARK: Frames

  /// A frame on its way late.
  struct DelayedFrame {
    var stream: Int
    var bytes: [UInt8]
  }

  /// Puts one frame of a faulted stream through the faults aimed at it, in order of injection.
  func deliverFaulted(_ stream: Int, _ begin: Int, _ count: Int) {
    prune()
    var copies = 1
    var delay: Int64 = 0
    for number in activeFaults where injected[number].stream == stream {
      switch injected[number].fault {
      case .drop, .silence:
        hit(number)
        return
      case .duplicate:
        hit(number)
        copies += 1
      case .delay(_, let ms, _):
        hit(number)
        delay += ms * Nanoseconds.millisecond
      case .reorder where table.streams[stream].held == nil:
        hit(number)
        table.streams[stream].held = Array(outbox.bytes.bytes[begin..<begin + count])
        return
      default: break
      }
    }
    for _ in 0..<copies { send(stream, begin, count, delay: delay) }
    if let held = table.streams[stream].held {
      table.streams[stream].held = nil
      let place = outbox.bytes.count
      held.withUnsafeBytes { outbox.bytes.append(bytes: $0) }
      send(stream, place, held.count, delay: delay)
    }
    if !activeFaults.contains(where: { injected[$0].stream == stream }), table.streams[stream].lastDue <= now {
      table.streams[stream].isFaulted = false
    }
  }

  /// A stream's frames keep their order: behind a delayed one the next ones wait too. When the queue of
  /// delayed frames is full, a frame goes out at once.
  private func send(_ stream: Int, _ begin: Int, _ count: Int, delay: Int64) {
    let due = max(now + delay, table.streams[stream].lastDue)
    guard due > now, delayed.count < Exchange.delayedFramesMax else {
      hand(stream, begin, count)
      return
    }
    table.streams[stream].lastDue = due
    delayedNumber += 1
    delayed.insert(TimeHeap.Entry(time: due, tie: Int64(delayedNumber), value: delayedNumber))
    delayedFrames[delayedNumber] = DelayedFrame(
      stream: stream, bytes: Array(outbox.bytes.bytes[begin..<begin + count]))
    timersChanged()
  }

  func release(_ number: Int) {
    guard let frame = delayedFrames.removeValue(forKey: number) else { return }
    let begin = outbox.bytes.count
    frame.bytes.withUnsafeBytes { outbox.bytes.append(bytes: $0) }
    hand(frame.stream, begin, frame.bytes.count)
  }

  // MARK: The log

  /// Every fault asked for, with how often it struck.
  var faultLog: JSONValue {
    .array(
      injected.map { one in
        var members = one.fault.members
        members.append(JSONValue.Member("at_ns", .integer(one.atNs)))
        members.append(JSONValue.Member("started", .bool(one.isStarted)))
        members.append(JSONValue.Member("struck", .integer(one.struck)))
        return .object(members)
      })
  }
}
