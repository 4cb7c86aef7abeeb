import Binance
import Core
import Tape

/// REST in the place of websockets.
struct HarvestFallback: Sendable {
  var isOn = false
  var nextLookNs = Int64.max
  /// Since when every stream has delivered.
  var steadySinceNs: Int64?
  /// Symbols whose books and trades are polled.
  var bookCount = 0
  var tradesCount = 0
}

/// While websockets are down, books and trades come by REST.
///
/// **Problem.** Minutes without a connection leave the last price minutes old, and whoever holds a position blind, while
/// the exchange's REST answers.
///
/// **Why the obvious answer fails.** Snapshots are no stream: a book fed by them has no order flow in between, may not
/// call itself in sync, and must not be continued by the first event that comes again. Asking for them at leisure
/// gets the address banned.
///
/// **Algorithm.** The fallback is switched on by command. Each second it looks at every symbol, at its book and its trades
/// alone: what its connection does not deliver is polled, at most every ``pollNsMin``, as often as half of the
/// request budget allows for each of the two. Trades are asked for by id from the last one on, so that none is
/// lost; the records are those of a backfill. Books get snapshots of 100 levels. A note on the tape says that a symbol's
/// book is polled; from then on every reader's book shows the newest snapshot and is out of sync (``BookNote``).
///
/// **Return.** What delivers again is no longer polled, symbol by symbol; its book is brought in sync by the usual
/// procedure, holes in its trades are filled as after any reconnect. Once everything has delivered for
/// ``steadyNs``, the fallback ends.
extension Harvester where Log: ~Copyable {
  private static var lookNs: Int64 { Nanoseconds.second }
  private static var pollNsMin: Int64 { 3 * Nanoseconds.second }
  private static var steadyNs: Int64 { 10 * Nanoseconds.second }
  private static var bookLevels: Int { 100 }
  /// Readers need not know: the ids tell which trades are new.
  private static var tradesPolled: String { "trades_polled" }

  public var isFallingBack: Bool { fallback.isOn }

  /// Switches the fallback on, until everything has delivered again, or off.
  public mutating func restFallback(_ isOn: Bool, _ given: Moment) throws(TapeError) {
    let now = try enter(given)
    guard !isDraining, fallback.isOn != isOn else { return }
    if isOn {
      fallback.isOn = true
      try recordFallback(true, "command", now)
      try lookAtFallback(now)
    } else {
      try endFallback("command", now)
    }
    settle(now)
  }

  private mutating func recordFallback(_ isOn: Bool, _ reason: String, _ now: Moment) throws(TapeError) {
    try record(
      .note, connection: Self.noConnection,
      [.init("rest_fallback", .bool(isOn)), .init("reason", .string(reason))], now)
  }

  mutating func endFallback(_ reason: String, _ now: Moment) throws(TapeError) {
    guard fallback.isOn else { return }
    for symbol in 0..<symbolCount {
      if states[symbol].pollsBook {
        try endPollingBook(symbol, now)
        askForSnapshot(symbol, now)
      }
      if states[symbol].pollsTrades { try endPollingTrades(symbol, now) }
    }
    fallback = HarvestFallback()
    try recordFallback(false, reason, now)
  }

  /// Polls what is down, leaves alone what is up.
  mutating func lookAtFallback(_ now: Moment) throws(TapeError) {
    fallback.nextLookNs = now.monotonicNs + Self.lookNs
    for symbol in 0..<symbolCount {
      if plan.stream(symbol, .depth) >= 0 {
        let isUp = delivers(symbol, .depth)
        if isUp, states[symbol].pollsBook {
          try endPollingBook(symbol, now)
          askForSnapshot(symbol, now)
        } else if !isUp {
          if !states[symbol].pollsBook { try beginPollingBook(symbol, now) }
          queue.add(
            .pollBook, symbol: symbol, notBeforeNs: max(now.monotonicNs, states[symbol].nextBookPollNs))
        }
      }
      if plan.stream(symbol, .aggregateTrade) >= 0 {
        let isUp = delivers(symbol, .aggregateTrade)
        if isUp, states[symbol].pollsTrades {
          try endPollingTrades(symbol, now)
        } else if !isUp {
          if !states[symbol].pollsTrades { try beginPollingTrades(symbol, now) }
          queue.add(
            .pollTrades, symbol: symbol, notBeforeNs: max(now.monotonicNs, states[symbol].nextTradesPollNs))
        }
      }
    }
    guard fallback.bookCount + fallback.tradesCount == 0 else {
      fallback.steadySinceNs = nil
      return
    }
    let since = fallback.steadySinceNs ?? now.monotonicNs
    fallback.steadySinceNs = since
    if now.monotonicNs - since >= Self.steadyNs { try endFallback("streams_deliver", now) }
  }

  /// Whether a stream's connection is open and delivers; of a stream that ticks by itself, whether that one does.
  private func delivers(_ symbol: Int, _ kind: StreamKind) -> Bool {
    let stream = plan.streams[plan.stream(symbol, kind)]
    let place = 2 * stream.slot + slots[stream.slot].side
    guard links[place].phase == .open, links[place].lastFrameNs != .min else { return false }
    return !kind.ticksByItself || heard[place * positionsMax + stream.position] != 0
  }

  // MARK: Books

  private mutating func beginPollingBook(_ symbol: Int, _ now: Moment) throws(TapeError) {
    endProbe(symbol)
    states[symbol].pollsBook = true
    states[symbol].nextBookPollNs = now.monotonicNs
    fallback.bookCount += 1
    try recordPolling(BookNote.polled, depthName(symbol), bookConnection(symbol), true, now)
    _ = states[symbol].book.beginPolling()
  }

  /// Its stream delivers again, or the fallback ends.
  mutating func endPollingBook(_ symbol: Int, _ now: Moment) throws(TapeError) {
    states[symbol].pollsBook = false
    states[symbol].snapshotAttempt = 0
    fallback.bookCount -= 1
    try recordPolling(BookNote.polled, depthName(symbol), bookConnection(symbol), false, now)
    states[symbol].book.endPolling()
  }

  private mutating func recordPolling(
    _ member: String, _ stream: String, _ connection: Int32, _ isPolled: Bool, _ now: Moment
  ) throws(TapeError) {
    try record(
      .note, stream: stream, connection: connection,
      [.init("stream", .string(stream)), .init(member, .bool(isPolled))], now)
  }

  mutating func pollBookTarget(_ symbol: Int, _ now: Moment) -> String? {
    guard states[symbol].pollsBook else { return nil }
    states[symbol].nextBookPollNs = now.monotonicNs + pollNs(.pollBook, fallback.bookCount)
    return "/fapi/v1/depth?symbol=\(states[symbol].name)&limit=\(Self.bookLevels)"
  }

  /// A snapshot that comes after its stream has come back is not needed, and too short to begin with.
  mutating func takePolledBook(_ symbol: Int, _ body: UnsafeRawBufferPointer, _ now: Moment) throws(TapeError)
  {
    guard states[symbol].pollsBook else { return }
    let name = states[symbol].lowerName + "@snapshot"
    guard try decodeSnapshot(symbol, body, name, now) else { return }
    try append(.snapshot, name, body, bookConnection(symbol), now)
    totals.booksPolled += 1
    _ = states[symbol].book.take(snapshot: decoder.frame)
  }

  // MARK: Trades

  private mutating func beginPollingTrades(_ symbol: Int, _ now: Moment) throws(TapeError) {
    states[symbol].pollsTrades = true
    states[symbol].nextTradesPollNs = now.monotonicNs
    fallback.tradesCount += 1
    try recordPolling(
      Self.tradesPolled, tradeName(symbol), connection(symbol, .aggregateTrade), true, now)
  }

  private mutating func endPollingTrades(_ symbol: Int, _ now: Moment) throws(TapeError) {
    states[symbol].pollsTrades = false
    fallback.tradesCount -= 1
    try recordPolling(
      Self.tradesPolled, tradeName(symbol), connection(symbol, .aggregateTrade), false, now)
  }

  mutating func pollTradesTarget(_ symbol: Int, _ now: Moment) -> String? {
    guard states[symbol].pollsTrades else { return nil }
    states[symbol].nextTradesPollNs = now.monotonicNs + pollNs(.pollTrades, fallback.tradesCount)
    let path = "/fapi/v1/aggTrades?symbol=\(states[symbol].name)"
    // Where none is known, the newest one begins the sequence.
    guard let last = states[symbol].trades.lastID else { return path + "&limit=1" }
    return path + "&fromId=\(last + 1)&limit=\(Self.tradesAnswerMax)"
  }

  /// Also once the stream is back: what it has not delivered by then is needed.
  mutating func takePolledTrades(_ symbol: Int, _ body: UnsafeRawBufferPointer, _ now: Moment)
    throws(TapeError)
  {
    guard try decodeTrades(symbol, body, now), !answeredTrades.isEmpty else { return }
    totals.tradesPolled += 1
    try storeTrades(symbol, body, now)
    // There is more.
    if answeredTrades.count >= Self.tradesAnswerMax { states[symbol].nextTradesPollNs = now.monotonicNs }
  }

  /// Between two polls of a symbol, so that all of them take half of the budget at most.
  private func pollNs(_ purpose: RequestQueue.Purpose, _ count: Int) -> Int64 {
    let perMinute = max(1, Int64(queue.budget / 2 / purpose.weight))
    return max(Self.pollNsMin, Int64(count) * Nanoseconds.minute / perMinute)
  }
}
