import Binance
import Core
import Flow
import Tape

/// Trades have dense ids, so what is missing is known exactly, and REST still has it.
///
/// A hole is recorded with its range and asked for, up to a thousand ids a request. The answer goes to the
/// tape verbatim, and its ids through the same ``TradeSequence`` as the live ones. What the exchange does not
/// have, or refuses, is recorded again as unfilled; passing failures are retried without end.
extension Harvester where Log: ~Copyable {
  static var tradesAnswerMax: Int64 { 1000 }
  /// The answer may be a little behind the stream: a missing end is asked for so often.
  private static var shortAnswersMax: Int { 5 }

  /// After a trade that did not simply follow the one before.
  @inline(never)
  mutating func followTrades(
    _ symbol: Int, _ id: Int64, _ last: Int64?, _ step: TradeSequence.Step, _ place: Int, isFirst: Bool,
    _ now: Moment
  ) throws(TapeError) {
    switch step {
    case .next, .duplicate: return
    case .late: fill(symbol, id)
    case .afterHole:
      let reason = !states[symbol].hasTrade ? "restart" : isFirst ? "reconnect" : "sequence"
      let isOverlapping = place / 2 == Int(overlapSlot)
      try noteHole(symbol, last! + 1, id - 1, reason, isDeferred: isOverlapping, now)
    }
  }

  private mutating func noteHole(
    _ symbol: Int, _ from: Int64, _ to: Int64, _ reason: String, isDeferred: Bool, _ now: Moment
  ) throws(TapeError) {
    if states[symbol].holes.count >= TradeHole.holesMax {
      let oldest = states[symbol].holes.removeFirst()
      if !oldest.isRecorded { deferredHoles -= 1 }
      try giveUp(symbol, oldest.from, oldest.to, "too_many_holes", now)
    }
    states[symbol].counts.tradesMissed += to - from + 1
    states[symbol].holes.append(
      TradeHole(
        from: from, to: to, reason: reason,
        dueNs: now.monotonicNs + (isDeferred ? Self.overtakingNs : 0)))
    deferredHoles += 1
    if isDeferred { mustSettle = true } else { try recordDueTradeHoles(symbol, now, all: false) }
  }

  /// Records the symbol's holes that are due and asks for their trades.
  mutating func recordDueTradeHoles(_ symbol: Int, _ now: Moment, all: Bool) throws(TapeError) {
    var index = 0
    while index < states[symbol].holes.count {
      let hole = states[symbol].holes[index]
      index += 1
      guard !hole.isRecorded, all || hole.dueNs <= now.monotonicNs else { continue }
      states[symbol].holes[index - 1].isRecorded = true
      deferredHoles -= 1
      states[symbol].counts.tradeGaps += 1
      totals.gaps += 1
      try recordGap(symbol, trades: hole.from, hole.to, hole.reason, isUnfilled: false, now)
      let excess = hole.count - Int64(configuration.backfillTradesMax)
      if excess > 0 {
        states[symbol].holes[index - 1].from += excess
        try giveUp(symbol, hole.from, hole.from + excess - 1, "too_long", now)
      }
      askForTrades(symbol, now)
    }
  }

  mutating func askForTrades(_ symbol: Int, _ now: Moment) {
    guard !isDraining, let hole = states[symbol].holes.first(where: { $0.isRecorded }),
      !queue.has([.backfill], symbol: symbol)
    else { return }
    let delay = hole.attempt == 0 ? 0 : backoff.delayNs(hole.attempt - 1, &random)
    queue.add(.backfill, symbol: symbol, notBeforeNs: now.monotonicNs + delay)
    mustSettle = true
  }

  /// The range that the next request of a symbol asks for.
  func nextBackfill(_ symbol: Int) -> ClosedRange<Int64>? {
    guard let hole = states[symbol].holes.first(where: { $0.isRecorded }) else { return nil }
    return hole.from...min(hole.to, hole.from + Self.tradesAnswerMax - 1)
  }

  /// An id of a hole has come.
  private mutating func fill(_ symbol: Int, _ id: Int64) {
    guard let index = states[symbol].holes.firstIndex(where: { $0.from <= id && id <= $0.to }) else { return }
    let hole = states[symbol].holes[index]
    if hole.from == hole.to {
      states[symbol].holes.remove(at: index)
      if !hole.isRecorded { deferredHoles -= 1 }
    } else if id == hole.from {
      states[symbol].holes[index].from += 1
    } else if id == hole.to {
      states[symbol].holes[index].to -= 1
    } else {
      var rest = hole
      rest.from = id + 1
      states[symbol].holes[index].to = id - 1
      states[symbol].holes.insert(rest, at: index + 1)
      if !hole.isRecorded { deferredHoles += 1 }
    }
  }

  /// These ids will not come any more.
  mutating func giveUp(_ symbol: Int, _ from: Int64, _ to: Int64, _ reason: String, _ now: Moment)
    throws(TapeError)
  {
    states[symbol].counts.lost += to - from + 1
    try recordGap(symbol, trades: from, to, reason, isUnfilled: true, now)
  }

  /// The answer to a request for trades: to the tape, then through the sequence.
  mutating func takeTrades(
    _ symbol: Int, _ asked: ClosedRange<Int64>, _ body: UnsafeRawBufferPointer, _ now: Moment
  ) throws(TapeError) {
    guard try decodeTrades(symbol, body, now) else { return retryTrades(symbol, now) }
    states[symbol].backfillFailures = 0
    try storeTrades(symbol, body, now)
    try judgeAnswer(symbol, asked, now)
    askForTrades(symbol, now)
  }

  /// Decodes an answer of trades into `answeredTrades`; one that cannot be decoded is counted and noted.
  mutating func decodeTrades(_ symbol: Int, _ body: UnsafeRawBufferPointer, _ now: Moment) throws(TapeError)
    -> Bool
  {
    if let base = body.baseAddress, body.count < Tape.recordBytesMax - 1024,
      TapePayload(body).form == .otherJSON
    {
      let outcome = decoder.decodeTrades(
        base: base, start: 0, end: body.count, symbolName: states[symbol].name, into: &answeredTrades)
      if case .frame = outcome { return true }
    }
    try noteBadAnswer(answerName(symbol), body, connection(symbol, .aggregateTrade), now)
    return false
  }

  private func answerName(_ symbol: Int) -> String { states[symbol].lowerName + "@aggTrades" }

  /// Puts a decoded answer on the tape, and its ids through the sequence.
  mutating func storeTrades(_ symbol: Int, _ body: UnsafeRawBufferPointer, _ now: Moment) throws(TapeError) {
    try append(.snapshot, answerName(symbol), body, connection(symbol, .aggregateTrade), now)
    for index in answeredTrades.indices {
      let id = answeredTrades[index].id
      let last = states[symbol].trades.lastID
      let step = states[symbol].trades.step(id)
      switch step {
      case .duplicate: continue
      case .next: break
      case .late: fill(symbol, id)
      case .afterHole: try noteHole(symbol, last! + 1, id - 1, "sequence", isDeferred: false, now)
      }
      states[symbol].counts.backfilled += 1
    }
  }

  /// Ids below one that was answered do not exist at the exchange; those above the last one may still come.
  private mutating func judgeAnswer(_ symbol: Int, _ asked: ClosedRange<Int64>, _ now: Moment)
    throws(TapeError)
  {
    let answered = answeredTrades.lazy.map(\.id).max() ?? asked.lowerBound - 1
    for (from, to, attempt) in openHoles(symbol, asked) {
      let missing = min(to, answered)
      if from <= missing {
        cut(symbol, from...missing)
        try giveUp(symbol, from, missing, "missing", now)
      }
      guard missing < to else { continue }
      if attempt + 1 >= Self.shortAnswersMax {
        cut(symbol, max(from, missing + 1)...to)
        try giveUp(symbol, max(from, missing + 1), to, "missing", now)
      } else if let index = states[symbol].holes.firstIndex(where: { $0.from <= to && to <= $0.to }) {
        states[symbol].holes[index].attempt = attempt + 1
      }
    }
  }

  /// The parts of a range that are still open.
  private func openHoles(_ symbol: Int, _ asked: ClosedRange<Int64>) -> [(Int64, Int64, Int)] {
    states[symbol].holes.compactMap { hole in
      let from = max(hole.from, asked.lowerBound)
      let to = min(hole.to, asked.upperBound)
      return hole.isRecorded && from <= to ? (from, to, hole.attempt) : nil
    }
  }

  /// Takes ids out of the holes; `range` lies in one of them.
  private mutating func cut(_ symbol: Int, _ range: ClosedRange<Int64>) {
    guard
      let index = states[symbol].holes.firstIndex(where: {
        $0.from <= range.lowerBound && range.upperBound <= $0.to
      })
    else { return }
    let hole = states[symbol].holes.remove(at: index)
    var rest = hole
    rest.from = range.upperBound + 1
    if rest.from <= rest.to { states[symbol].holes.insert(rest, at: index) }
    rest = hole
    rest.to = range.lowerBound - 1
    if rest.from <= rest.to { states[symbol].holes.insert(rest, at: index) }
  }

  /// A passing failure: the same again, later, without end.
  mutating func retryTrades(_ symbol: Int, _ now: Moment) {
    let delay = backoff.delayNs(states[symbol].backfillFailures, &random)
    states[symbol].backfillFailures += 1
    guard !isDraining, nextBackfill(symbol) != nil else { return }
    queue.add(.backfill, symbol: symbol, notBeforeNs: now.monotonicNs + delay)
    mustSettle = true
  }

  /// The exchange refuses the request itself: asking again would change nothing.
  mutating func refuseTrades(_ symbol: Int, _ asked: ClosedRange<Int64>, _ now: Moment) throws(TapeError) {
    for (from, to, _) in openHoles(symbol, asked) {
      cut(symbol, from...to)
      try giveUp(symbol, from, to, "refused", now)
    }
    askForTrades(symbol, now)
  }
}
