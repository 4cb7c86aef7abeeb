import Binance
import Book
import Core
import Tape

/// A second book of a symbol, made of a fresh snapshot and the events since it was asked for.
final class BookProbe {
  /// Levels a side asked for: the cheapest request, and enough to see a book that has gone wrong.
  static let levels = 50
  static let comparedLevels = 20
  static let countMax = 8

  var book = SynchronizedBook()
  /// −1 while free.
  var symbol = -1
  var endsNs: Int64 = 0
  var hasSnapshot = false
  /// Prices the snapshot has told about.
  var lowest = Int64.min
  var highest = Int64.max
}

/// Every 15 seconds: no book stays out of sync in silence, and books in sync are compared with the
/// exchange's.
///
/// A wrong book can look right: an event that was lost by the exchange itself, a level that the snapshot did
/// not reach. So some symbols, in rotation and within a share of the weight, get a snapshot of 50 levels. It
/// must not touch the book, nor go on the tape as a snapshot, where readers would load it. A second book
/// takes it, and the events since; when both books have taken the same last event, their best levels inside
/// the snapshot's range must be equal.
extension Harvester where Log: ~Copyable {
  private static var probeNs: Int64 { 12 * Nanoseconds.second }
  private static var matchNotedNs: Int64 { Nanoseconds.minute }

  mutating func check(_ now: Moment) throws(TapeError) {
    let interval = Int64(configuration.snapshotCheckMs) * Nanoseconds.millisecond
    nextCheckNs += interval
    if nextCheckNs <= now.monotonicNs { nextCheckNs = now.monotonicNs + interval }
    epoch += 1
    for symbol in 0..<symbolCount {
      askForSnapshot(symbol, now)
      askForTrades(symbol, now)
    }
    checkSilentStreams(now)
    rollRates(now)
    try judgeClock(now)
    queueProbes(now)
  }

  private mutating func queueProbes(_ now: Moment) {
    let budget = Double(configuration.requestWeightMax) * configuration.checkWeightShare
    let perCheck = Int(budget * Double(configuration.snapshotCheckMs) / 60_000) / 2
    var wanted = min(perCheck, BookProbe.countMax)
    var looked = 0
    while wanted > 0, looked < symbolCount {
      let symbol = checkCursor % symbolCount
      checkCursor = symbol + 1
      looked += 1
      guard states[symbol].book.isSynchronized, states[symbol].probe < 0 else { continue }
      queue.add(.check, symbol: symbol, notBeforeNs: now.monotonicNs)
      wanted -= 1
    }
  }

  /// Starts a comparison; `false` when there is none to make now.
  mutating func beginProbe(_ symbol: Int, _ now: Moment) -> Bool {
    guard states[symbol].book.isSynchronized, states[symbol].probe < 0 else { return false }
    var index = probes.firstIndex { $0.symbol < 0 }
    if index == nil, probes.count < BookProbe.countMax {
      probes.append(BookProbe())
      index = probes.count - 1
    }
    guard let index else { return false }
    let probe = probes[index]
    probe.book = SynchronizedBook()
    probe.symbol = symbol
    probe.hasSnapshot = false
    probe.lowest = .min
    probe.highest = .max
    probe.endsNs = now.monotonicNs + Self.probeNs
    states[symbol].probe = Int32(index)
    return true
  }

  /// Ends a comparison without a result.
  mutating func endProbe(_ symbol: Int) {
    guard states[symbol].probe >= 0 else { return }
    probes[Int(states[symbol].probe)].symbol = -1
    states[symbol].probe = -1
    totals.bookChecksInconclusive += 1
  }

  mutating func endOverdueProbes(_ now: Moment) {
    for probe in probes where probe.symbol >= 0 && probe.endsNs <= now.monotonicNs { endProbe(probe.symbol) }
  }

  /// The event in `decoder.frame` has gone to the symbol's book.
  mutating func feedProbe(_ symbol: Int, _ now: Moment) throws(TapeError) {
    let probe = probes[Int(states[symbol].probe)]
    _ = probe.book.take(decoder.frame)
    if probe.hasSnapshot { try compare(symbol, now) }
  }

  /// The snapshot for a comparison has come.
  mutating func takeCheck(_ symbol: Int, _ body: UnsafeRawBufferPointer, _ now: Moment) throws(TapeError) {
    guard states[symbol].probe >= 0 else { return }
    guard try decodeSnapshot(symbol, body, states[symbol].lowerName + "@check", now) else {
      return endProbe(symbol)
    }
    let probe = probes[Int(states[symbol].probe)]
    let (bids, asks) = (decoder.frame.bidCount, decoder.frame.askCount)
    // A side with fewer levels than asked for is shown whole.
    if bids >= BookProbe.levels { probe.lowest = decoder.frame.prices[bids - 1] }
    if asks >= BookProbe.levels { probe.highest = decoder.frame.prices[bids + asks - 1] }
    probe.hasSnapshot = true
    _ = probe.book.take(snapshot: decoder.frame)
    try compare(symbol, now)
  }

  private mutating func compare(_ symbol: Int, _ now: Moment) throws(TapeError) {
    let probe = probes[Int(states[symbol].probe)]
    guard states[symbol].book.isSynchronized, probe.book.snapshotsTooOld == 0 else { return endProbe(symbol) }
    let isUsable: Bool
    switch probe.book.sync.state {
    case .synchronized, .bridging: isUsable = true
    case .awaitingSnapshot, .broken: isUsable = false
    }
    guard isUsable else { return endProbe(symbol) }
    // Equal last ids: both have taken the same events. Before that, the next event decides.
    guard let id = probe.book.sync.lastUpdateID, id == states[symbol].book.sync.lastUpdateID else { return }
    totals.bookChecks += 1
    let isEqual = booksAreEqual(symbol, probe)
    probe.symbol = -1
    states[symbol].probe = -1
    if isEqual {
      guard now.monotonicNs - Self.matchNotedNs >= states[symbol].matchNotedNs else { return }
      states[symbol].matchNotedNs = now.monotonicNs
      return try record(
        .note, stream: depthName(symbol), connection: bookConnection(symbol),
        [
          .init("check", .string("book")), .init("stream", .string(depthName(symbol))),
          .init("last_update_id", .integer(id)), .init("matched", .bool(true)),
        ], now)
    }
    totals.bookMismatches += 1
    states[symbol].counts.bookMismatches += 1
    try recordBadBook(symbol, "book_mismatch", id, now)
    _ = states[symbol].book.invalidate()
    states[symbol].snapshotAttempt = 0
    askForSnapshot(symbol, now)
  }

  private func booksAreEqual(_ symbol: Int, _ probe: BookProbe) -> Bool {
    let depth = BookProbe.comparedLevels
    return withUnsafeTemporaryAllocation(of: Int64.self, capacity: 4 * depth) { room in
      let (ours, sizes) = (room.baseAddress!, room.baseAddress! + depth)
      let (theirs, others) = (room.baseAddress! + 2 * depth, room.baseAddress! + 3 * depth)
      func side(_ ourCount: Int, _ theirCount: Int) -> Bool {
        for level in 0..<depth {
          let isOurs = level < ourCount && ours[level] >= probe.lowest && ours[level] <= probe.highest
          let isTheirs = level < theirCount && theirs[level] >= probe.lowest && theirs[level] <= probe.highest
          if !isOurs, !isTheirs { return true }
          if isOurs != isTheirs || ours[level] != theirs[level] || sizes[level] != others[level] {
            return false
          }
        }
        return true
      }
      let bids = side(
        states[symbol].book.book.bids.copyTop(depth, prices: ours, quantities: sizes),
        probe.book.book.bids.copyTop(depth, prices: theirs, quantities: others))
      return bids
        && side(
          states[symbol].book.book.asks.copyTop(depth, prices: ours, quantities: sizes),
          probe.book.book.asks.copyTop(depth, prices: theirs, quantities: others))
    }
  }
}
