import Binance
import Core
import Tape

/// The way of a frame: to the tape, then through the decoder to its symbol's book or trades.
extension Harvester where Log: ~Copyable {
  /// A text message has come.
  ///
  /// - Parameter frame: the message as it came, with ``FrameDecoder/paddingBytes`` readable bytes behind it.
  /// - Complexity: O(length); no allocation for a frame of a known shape.
  public mutating func received(
    _ frame: UnsafeRawBufferPointer, on socket: SocketID, _ given: Moment
  ) throws(TapeError) {
    guard let place = place(of: socket) else {
      totals.framesStray += 1
      return
    }
    let now = try enter(given)
    links[place].lastFrameNs = now.monotonicNs
    links[place].frames &+= 1
    if links[place].slot == overlapSlot {
      try receiveInOverlap(frame, place, now)
    } else if try store(frame, place, now) {
      if scan(frame) {
        try apply(place, now)
      } else {
        try act(on: read(frame), place, now)
      }
    }
    if mustSettle { settleAfterFrame(now) }
  }

  @inline(never)
  private mutating func settleAfterFrame(_ now: Moment) {
    judgeOverlap(now)
    settle(now)
  }

  /// Puts a frame on the tape; `false` when it is too long for it.
  @inline(__always)
  private mutating func store(_ frame: UnsafeRawBufferPointer, _ place: Int, _ now: Moment) throws(TapeError)
    -> Bool
  {
    do throws(TapeError) {
      _ = try log.append(frame: frame, receiveTime: now.wall, connection: Int32(truncatingIfNeeded: place))
    } catch {
      try refuse(error, frame.count, place, now)
      return false
    }
    totals.frames &+= 1
    totals.bytes &+= Int64(frame.count)
    return true
  }

  @inline(never)
  private mutating func refuse(_ error: TapeError, _ bytes: Int, _ place: Int, _ now: Moment)
    throws(TapeError)
  {
    guard case .recordTooLong = error else { throw error }
    totals.framesRefused += 1
    try record(
      .note, connection: Int32(place),
      [.init("refused", .string("frame")), .init("bytes", .integer(bytes))], now)
  }

  /// Whether the frame is a combined frame of a shape known to the decoder, of one of our symbols. It is then
  /// in `decoder.frame`.
  @inline(__always)
  private mutating func scan(_ frame: UnsafeRawBufferPointer) -> Bool {
    guard frame.count > 40, let base = frame.baseAddress,
      // {"stream":"
      load64(base, 0) == 0x6D61_6572_7473_227B, load64(base, 8) & 0xFF_FFFF == 0x22_3A22
    else { return false }
    // On the wire the frame is the tail of the tape's record, so the shapes learnt are the same.
    return decoder.scan(base, Self.nameOffset) == frame.count && decoder.frame.symbol.index < symbolCount
  }

  private static var nameOffset: Int { 11 }

  /// What a frame of no known shape is.
  enum Reading {
    /// Market data of one of our symbols, in `decoder.frame`.
    case decoded
    /// Of a planned stream whose content is not needed here.
    case named(Int)
    /// Of a planned stream, or none (−1), and cannot be decoded.
    case bad(Int)
    /// Valid, and nothing to do with a planned stream.
    case other
  }

  /// Reads a frame as every reader of the tape will.
  @inline(never)
  private mutating func read(_ frame: UnsafeRawBufferPointer) -> Reading {
    let payload = TapePayload(frame)
    var stream = -1
    let outcome: FrameDecoder.Outcome
    switch payload.form {
    case .combined:
      stream = streamNames.find(payload.stream!)
      if stream >= 0, !plan.streams[stream].kind.hasIDs { return .named(stream) }
      let base = frame.baseAddress!
      let start = payload.data.baseAddress! - base
      outcome = decoder.decodeGenerically(
        base: base, start: start, end: start + payload.data.count, streamName: payload.stream,
        isUnwrapped: true, learnAt: Self.nameOffset, learnEnd: frame.count)
    case .object:
      outcome = decoder.decodeGenerically(base: frame.baseAddress!, start: 0, end: frame.count)
    case .otherJSON:
      // Streams over all symbols come as arrays; readers pass them by.
      var cursor = JSONCursor(frame)
      return cursor.peek() == 0x5B ? .other : .bad(-1)
    case .text, .binary:
      return .bad(-1)
    }
    switch outcome {
    case .failed: return .bad(stream)
    case .frame:
      guard decoder.frame.symbol != .none, decoder.frame.symbol.index < symbolCount else { return .other }
      return .decoded
    }
  }

  private mutating func act(on reading: Reading, _ place: Int, _ now: Moment) throws(TapeError) {
    switch reading {
    case .decoded: try apply(place, now)
    case .named(let stream): heardNamed(stream, place)
    case .bad(let stream):
      totals.decodeErrors += 1
      if stream >= 0 { heardNamed(stream, place) }
    case .other: totals.framesOther += 1
    }
  }

  private mutating func heardNamed(_ stream: Int, _ place: Int) {
    let planned = plan.streams[stream]
    states[planned.symbol].counts.frames += 1
    _ = hear(place, planned.symbol, planned.kind)
  }

  /// Applies the frame in `decoder.frame`, which is on the tape.
  @inline(__always)
  private mutating func apply(_ place: Int, _ now: Moment) throws(TapeError) {
    let symbol = decoder.frame.symbol.index
    let state = states + symbol
    state.pointee.counts.frames &+= 1
    if offsetIsKnown, decoder.frame.has(.eventTime) {
      let nanoseconds =
        now.wall.rawValue &+ offsetNs &- decoder.frame[.eventTime] &* Nanoseconds.millisecond
      state.pointee.latencyNs = nanoseconds
      recentLatency.add(nanoseconds)
    }
    switch decoder.frame.kind {
    case .depthUpdate:
      let isFirst = hear(place, symbol, .depth)
      state.pointee.counts.depthEvents &+= 1
      let outcome = state.pointee.book.take(decoder.frame)
      if outcome == .advanced, state.pointee.probe < 0 {
        state.pointee.lastFinal = decoder.frame[.finalUpdateID]
      } else {
        try followBook(symbol, outcome, place, isFirst: isFirst, now)
      }
    case .aggregateTrade:
      let isFirst = hear(place, symbol, .aggregateTrade)
      state.pointee.counts.trades &+= 1
      let id = decoder.frame[.tradeID]
      let last = state.pointee.trades.lastID
      let step = state.pointee.trades.step(id)
      if step != .next { try followTrades(symbol, id, last, step, place, isFirst: isFirst, now) }
      state.pointee.hasTrade = true
    case .bookTicker:
      _ = hear(place, symbol, .bookTicker)
    case .markPrice:
      _ = hear(place, symbol, .markPrice)
    case .kline:
      _ = hear(place, symbol, .kline)
    case .liquidation:
      _ = hear(place, symbol, .forceOrder)
    case .trade, .other: break
    }
  }

  // MARK: Two connections at once

  /// While a slot's two sockets overlap, a frame that the other one has delivered is counted and not stored.
  @inline(never)
  private mutating func receiveInOverlap(
    _ frame: UnsafeRawBufferPointer, _ place: Int, _ now: Moment
  ) throws(TapeError) {
    let reading = scan(frame) ? Reading.decoded : read(frame)
    let (stream, key) = identity(reading, frame)
    if stream >= 0, plan.streams[stream].slot == place / 2 {
      let position = plan.streams[stream].position
      if case .both = overlap!.phase, overlap!.newSide != place & 1 { overlap!.heardByOld[position] = true }
      if overlap!.copies.isCopy(stream: position, key: key, side: place & 1) {
        totals.deduplicated += 1
        _ = hear(place, plan.streams[stream].symbol, plan.streams[stream].kind)
        return
      }
    }
    if try store(frame, place, now) { try act(on: reading, place, now) }
  }

  /// A frame's planned stream (−1 for none), and what tells its copies from others of the stream.
  private func identity(_ reading: Reading, _ frame: UnsafeRawBufferPointer) -> (stream: Int, key: UInt64) {
    switch reading {
    case .other: return (-1, 0)
    case .named(let stream), .bad(let stream): return (stream, payloadHash(frame))
    case .decoded:
      let symbol = decoder.frame.symbol.index
      func id(_ field: DecodedFrame.Field) -> UInt64 { UInt64(bitPattern: decoder.frame[field]) }
      switch decoder.frame.kind {
      case .depthUpdate:
        // Events of the same end but another start hold other levels.
        let key = id(.finalUpdateID) ^ (id(.finalUpdateID) &- id(.firstUpdateID)) << 40
        return (plan.stream(symbol, .depth), key)
      case .aggregateTrade: return (plan.stream(symbol, .aggregateTrade), id(.tradeID))
      case .bookTicker: return (plan.stream(symbol, .bookTicker), id(.finalUpdateID))
      case .markPrice: return (plan.stream(symbol, .markPrice), payloadHash(frame))
      case .kline: return (plan.stream(symbol, .kline), payloadHash(frame))
      case .liquidation: return (plan.stream(symbol, .forceOrder), payloadHash(frame))
      case .trade, .other: return (-1, 0)
      }
    }
  }
}
