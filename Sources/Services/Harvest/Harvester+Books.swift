import Binance
import Core
import Tape

/// Keeping a symbol's book in sync, and saying so when it is not.
extension Harvester where Log: ~Copyable {
  /// A book restored for so long starts the snapshots' backoff anew.
  private static var steadyNs: Int64 { 10 * Nanoseconds.second }
  private static var repeatsMax: Int { 20 }
  private static var repeatsNs: Int64 { 5 * Nanoseconds.second }
  /// In an overlap the other connection may deliver what one has lost, or not delivered yet.
  static var overtakingNs: Int64 { Nanoseconds.second }

  /// After a depth event that did not simply advance the book, or while the book is being compared.
  @inline(never)
  mutating func followBook(
    _ symbol: Int, _ outcome: SynchronizedBook.Outcome, _ place: Int, isFirst: Bool, _ now: Moment
  ) throws(TapeError) {
    let ids = decoder.frame.depthIDs
    let last = states[symbol].lastFinal
    if states[symbol].pollsBook { try endPollingBook(symbol, now) }
    let isNew = ids.final > last
    let isHole = last >= 0 && isNew && !BookSync.follows(ids, last)
    if isNew { states[symbol].lastFinal = ids.final }
    if isHole {
      let reason = !states[symbol].hasDepth ? "restart" : isFirst ? "reconnect" : "sequence"
      try noteHole(
        symbol,
        DepthHole(
          after: last, before: ids.first, previousFinal: ids.previousFinal, reason: reason, place: place,
          dueNs: now.monotonicNs + Self.overtakingNs), now)
    }
    states[symbol].hasDepth = true
    if !isNew { try noteRepeat(symbol, now) }
    let hadBeenSynchronized = states[symbol].hasBeenSynchronized
    try noteOutcome(symbol, outcome, ids.final, now)
    // A reader that was in sync when the harvester before this one was killed has passed by the first snapshot, and
    // this hole has broken its book: it needs another one.
    if isHole, !hadBeenSynchronized, states[symbol].book.isSynchronized { try rebuildBook(symbol, now) }
    if states[symbol].probe >= 0 { try feedProbe(symbol, now) }
    askForSnapshot(symbol, now)
  }

  /// Single events that end before the book's last one are copies. If nothing else comes any more, the
  /// exchange counts anew, and the book would stand still for ever and call itself in sync.
  private mutating func noteRepeat(_ symbol: Int, _ now: Moment) throws(TapeError) {
    let last = states[symbol].lastFinal
    if states[symbol].repeats.final != last { states[symbol].repeats = (0, now.monotonicNs, last) }
    states[symbol].repeats.count += 1
    guard states[symbol].repeats.count >= Self.repeatsMax, states[symbol].book.isSynchronized,
      now.monotonicNs - states[symbol].repeats.sinceNs >= Self.repeatsNs
    else { return }
    try recordBadBook(symbol, "book_mismatch", last, now)
    _ = states[symbol].book.invalidate()
    states[symbol].lastFinal = -1
    states[symbol].snapshotAttempt = 0
  }

  /// Starts a book in sync again from a snapshot, for every reader of the tape too.
  mutating func rebuildBook(_ symbol: Int, _ now: Moment) throws(TapeError) {
    endProbe(symbol)
    let stream = depthName(symbol)
    try record(
      .note, stream: stream, connection: bookConnection(symbol),
      [.init("stream", .string(stream)), .init(BookNote.rebuild, .bool(true))], now)
    _ = states[symbol].book.rebuild()
  }

  private mutating func noteHole(_ symbol: Int, _ hole: DepthHole, _ now: Moment) throws(TapeError) {
    states[symbol].snapshotAttempt = 0
    if let earlier = states[symbol].deferredHole {
      states[symbol].deferredHole = nil
      deferredHoles -= 1
      try recordGap(symbol, earlier, now)
    }
    if hole.place / 2 == Int(overlapSlot) {
      states[symbol].deferredHole = hole
      deferredHoles += 1
      mustSettle = true
      try recordGap(symbol, hole, isProvisional: true, now)
    } else {
      try recordGap(symbol, hole, now)
    }
  }

  /// What an event or a snapshot did to the book.
  private mutating func noteOutcome(
    _ symbol: Int, _ outcome: SynchronizedBook.Outcome, _ lastUpdateID: Int64, _ now: Moment
  ) throws(TapeError) {
    let (crossed, overflows) = (states[symbol].book.crossed, states[symbol].book.overflows)
    let isCrossed = crossed > states[symbol].crossedSeen
    let isContradiction = isCrossed || overflows > states[symbol].overflowsSeen
    states[symbol].crossedSeen = crossed
    states[symbol].overflowsSeen = overflows
    switch outcome {
    case .restored:
      states[symbol].hasBeenSynchronized = true
      states[symbol].restoredAtNs = now.monotonicNs
      // The other connection has delivered what was missing; a snapshot only makes up for it.
      if states[symbol].book.reorders > states[symbol].reordersSeen, states[symbol].deferredHole != nil {
        states[symbol].deferredHole = nil
        deferredHoles -= 1
      }
      states[symbol].reordersSeen = states[symbol].book.reorders
    case .lost where isContradiction:
      if now.monotonicNs - Self.steadyNs > states[symbol].restoredAtNs { states[symbol].snapshotAttempt = 0 }
      try recordBadBook(symbol, isCrossed ? "crossed" : "overflow", lastUpdateID, now)
    case .lost, .advanced, .unchanged: break
    }
  }

  /// Asks for a snapshot if the book needs one and none is on its way.
  mutating func askForSnapshot(_ symbol: Int, _ now: Moment) {
    guard !isDraining, !states[symbol].book.isSynchronized, states[symbol].hasDepth,
      states[symbol].deferredHole == nil, !states[symbol].pollsBook
    else { return }
    // With a snapshot loaded the next event decides.
    if case .bridging = states[symbol].book.sync.state { return }
    guard !queue.has([.resync, .initial], symbol: symbol) else { return }
    let attempt = states[symbol].snapshotAttempt
    let delay = attempt == 0 ? 0 : backoff.delayNs(attempt - 1, &random)
    queue.add(
      states[symbol].hasBeenSynchronized ? .resync : .initial, symbol: symbol, attempt: attempt,
      notBeforeNs: now.monotonicNs + delay)
    mustSettle = true
  }

  /// A book's snapshot has come: to the tape, then to the book.
  mutating func takeSnapshot(_ symbol: Int, _ body: UnsafeRawBufferPointer, _ now: Moment) throws(TapeError) {
    let name = states[symbol].lowerName + "@snapshot"
    guard try decodeSnapshot(symbol, body, name, now) else { return askForSnapshot(symbol, now) }
    try append(.snapshot, name, body, bookConnection(symbol), now)
    totals.snapshots += 1
    let outcome = states[symbol].book.take(snapshot: decoder.frame)
    try noteOutcome(symbol, outcome, decoder.frame[.finalUpdateID], now)
    askForSnapshot(symbol, now)
  }

  /// Decodes a snapshot into `decoder.frame`; one that cannot be decoded is counted and noted.
  mutating func decodeSnapshot(
    _ symbol: Int, _ body: UnsafeRawBufferPointer, _ stream: String, _ now: Moment
  ) throws(TapeError) -> Bool {
    if let base = body.baseAddress, body.count < Tape.recordBytesMax - 1024, TapePayload(body).form == .object
    {
      let outcome = decoder.decodeSnapshot(
        base: base, start: 0, end: body.count, symbolName: states[symbol].name)
      if case .frame = outcome { return true }
    }
    try noteBadAnswer(stream, body, bookConnection(symbol), now)
    return false
  }

  /// Keeps the beginning of an answer that is of no use.
  mutating func noteBadAnswer(
    _ stream: String, _ body: UnsafeRawBufferPointer, _ connection: Int32, _ now: Moment
  ) throws(TapeError) {
    totals.badAnswers += 1
    let head = String(decoding: body.prefix(200), as: UTF8.self)
    try record(
      .note, stream: stream, connection: connection,
      [
        .init("bad_answer", .string(stream)), .init("bytes", .integer(body.count)),
        .init("head", .string(head)),
      ], now)
  }

  mutating func append(
    _ kind: RecordKind, _ stream: String, _ body: UnsafeRawBufferPointer, _ connection: Int32, _ now: Moment
  ) throws(TapeError) {
    _ = try log.append(kind, stream: stream, data: body, receiveTime: now.wall, connection: connection)
  }

  // MARK: Holes that may close by themselves

  /// Records the deferred holes that are due, or all.
  mutating func tickHoles(_ now: Moment, all: Bool = false) throws(TapeError) {
    guard deferredHoles > 0 else { return }
    for symbol in 0..<symbolCount {
      if let hole = states[symbol].deferredHole, all || hole.dueNs <= now.monotonicNs {
        states[symbol].deferredHole = nil
        deferredHoles -= 1
        try recordGap(symbol, hole, now)
        askForSnapshot(symbol, now)
      }
      try recordDueTradeHoles(symbol, now, all: all)
    }
  }

  func deferredDeadline() -> Int64 {
    var earliest = Int64.max
    for symbol in 0..<symbolCount {
      if let hole = states[symbol].deferredHole { earliest = min(earliest, hole.dueNs) }
      for hole in states[symbol].holes where !hole.isRecorded { earliest = min(earliest, hole.dueNs) }
    }
    return earliest
  }
}
