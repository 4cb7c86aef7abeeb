import Core

/// One trade of a REST `aggTrades` answer, in its instrument's units.
public struct AnsweredTrade: Equatable, Sendable {
  /// `a`
  public var id: Int64
  public var price: Int64
  public var quantity: Int64
  /// `T`, ms
  public var transactionTimeMs: Int64
  public var aggressor: Aggressor
}

extension FrameDecoder {
  /// More trades than any answer has (the exchange's limit is 1000); a longer array is an error.
  public static let answeredTradesMax = 10_000

  private struct RawTrade {
    var id: Int64
    var price: UnsafeRawBufferPointer
    var quantity: UnsafeRawBufferPointer
    var timeMs: Int64
    var buyerIsMaker: Bool
  }

  /// Decodes a REST answer to `aggTrades`, `[{"a":…,"p":"…","q":"…","f":…,"l":…,"T":…,"m":…},…]`.
  ///
  /// All of it is checked before any of it is handed out. An instrument not seen before gets its scales from
  /// the answer's texts.
  ///
  /// - Parameter trades: replaced by the trades, in the answer's order; empty on failure.
  public mutating func decodeTrades(
    base: UnsafeRawPointer, start: Int, end: Int, symbolName: String, into trades: inout [AnsweredTrade]
  ) -> Outcome {
    justLearnt = nil
    trades.removeAll(keepingCapacity: true)
    do throws(DecodeError) {
      guard let symbol = instruments.intern(symbolName) else { throw .tooManySymbols }
      let raw = try readTrades(base, start, end)
      if instruments[symbol] == nil { try learnInstrument(symbol, raw) }
      frame.symbol = symbol
      frame.kind = .other
      guard let instrument = instruments[symbol] else { return .frame }
      for trade in raw {
        let price = try units(trade.price, instrument.priceScale)
        let quantity = try units(trade.quantity, instrument.quantityScale)
        guard price > 0, trade.timeMs <= FrameDecoder.timeMsMax,
          UInt64(bitPattern: price | quantity) < FrameDecoder.unitsMax
        else { throw .invalidValue }
        trades.append(
          AnsweredTrade(
            id: trade.id, price: price, quantity: quantity, transactionTimeMs: trade.timeMs,
            aggressor: trade.buyerIsMaker ? .seller : .buyer))
      }
      return .frame
    } catch {
      unlearnInstrument()
      trades.removeAll(keepingCapacity: true)
      return .failed(error)
    }
  }

  private func readTrades(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int
  ) throws(DecodeError) -> [RawTrade] {
    var cursor = JSONCursor(base: base, offset: start, end: end)
    var trades: [RawTrade] = []
    guard cursor.consume(0x5B) else { throw .malformed }
    if !cursor.consume(0x5D) {
      while true {
        guard trades.count < FrameDecoder.answeredTradesMax else { throw .tooManyLevels }
        trades.append(try readTrade(&cursor))
        guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
        if !more { break }
      }
    }
    guard cursor.isAtEnd() else { throw .malformed }
    return trades
  }

  private func readTrade(_ cursor: inout JSONCursor) throws(DecodeError) -> RawTrade {
    var id: Int64?
    var price: UnsafeRawBufferPointer?
    var quantity: UnsafeRawBufferPointer?
    var timeMs: Int64?
    var buyerIsMaker: Bool?
    guard cursor.consume(0x7B) else { throw .malformed }
    while true {
      guard let key = cursor.key() else { throw .malformed }
      if key.equals("a") {
        id = cursor.integer()
        guard id != nil else { throw .wrongType }
      } else if key.equals("p") {
        price = cursor.decimalText()
      } else if key.equals("q") {
        quantity = cursor.decimalText()
      } else if key.equals("T") {
        timeMs = cursor.integer()
        guard timeMs != nil else { throw .wrongType }
      } else if key.equals("m") {
        buyerIsMaker = cursor.boolean()
        guard buyerIsMaker != nil else { throw .wrongType }
      } else if !cursor.skipValue() {
        throw .malformed
      }
      guard let more = cursor.continues(until: 0x7D) else { throw .malformed }
      if !more { break }
    }
    guard let id, let price, let quantity, let timeMs, let buyerIsMaker else { throw .missingField }
    guard id >= 0, timeMs >= 0 else { throw .invalidValue }
    return RawTrade(id: id, price: price, quantity: quantity, timeMs: timeMs, buyerIsMaker: buyerIsMaker)
  }

  private func units(_ text: UnsafeRawBufferPointer, _ scale: DecimalScale) throws(DecodeError) -> Int64 {
    if let value = scale.parse(text) { return value }
    guard let written = writtenDecimals(text) else { throw .wrongType }
    throw written > scale.decimals ? .offGrid : .overflow
  }

  private mutating func learnInstrument(_ symbol: SymbolID, _ trades: [RawTrade]) throws(DecodeError) {
    var price = -1
    var quantity = -1
    for trade in trades {
      guard let a = writtenDecimals(trade.price), let b = writtenDecimals(trade.quantity),
        max(a, b) <= DecimalScale.decimalsMax
      else { throw .wrongType }
      price = max(price, a)
      quantity = max(quantity, b)
    }
    guard price >= 0 else { return }
    justLearnt = symbol
    instruments[symbol] = Instrument(priceScale: DecimalScale(price), quantityScale: DecimalScale(quantity))
  }
}
