import Core

extension FrameDecoder {
  /// Decodes a REST depth snapshot into `frame`: levels, and `lastUpdateId` as ``DecodedFrame/Field/finalUpdateID``.
  ///
  /// An instrument not seen before gets its scales from the snapshot's texts.
  public mutating func decodeSnapshot(
    base: UnsafeRawPointer, start: Int, end: Int, symbolName: String
  ) -> Outcome {
    justLearnt = nil
    do throws(DecodeError) {
      guard let symbol = instruments.intern(symbolName) else { throw .tooManySymbols }
      var cursor = JSONCursor(base: base, offset: start, end: end)
      guard cursor.consume(0x7B) else { throw .malformed }
      var id: Int64?
      var bids: Int?
      var asks: Int?
      while true {
        guard let key = cursor.key() else { throw .malformed }
        _ = cursor.peek()
        let from = cursor.offset
        if key.equals("lastUpdateId") {
          guard let value = cursor.integer() else { throw .wrongType }
          id = value
        } else {
          guard cursor.skipValue() else { throw .malformed }
          if key.equals("bids") { bids = from }
          if key.equals("asks") { asks = from }
        }
        guard let more = cursor.continues(until: 0x7D) else { throw .malformed }
        if !more { break }
      }
      guard cursor.isAtEnd() else { throw .malformed }
      guard let id, let bids, let asks else { throw .missingField }
      if instruments[symbol] == nil { try learnInstrument(symbol, base, [bids, asks], end) }
      frame.kind = .depthUpdate
      frame.symbol = symbol
      frame.present = 1 << UInt32(DecodedFrame.Field.finalUpdateID.rawValue)
      frame.fields[Int(DecodedFrame.Field.firstUpdateID.rawValue)] = id
      frame.fields[Int(DecodedFrame.Field.finalUpdateID.rawValue)] = id
      frame.bidCount = 0
      frame.askCount = 0
      if let instrument = instruments[symbol] {
        var side = JSONCursor(base: base, offset: bids, end: end)
        frame.bidCount = try readLevels(&side, at: 0, instrument)
        side = JSONCursor(base: base, offset: asks, end: end)
        frame.askCount = try readLevels(&side, at: frame.bidCount, instrument)
      }
      guard check() else { throw .invalidValue }
      return .frame
    } catch {
      unlearnInstrument()
      return .failed(error)
    }
  }

  private mutating func learnInstrument(
    _ symbol: SymbolID, _ base: UnsafeRawPointer, _ sides: [Int], _ end: Int
  ) throws(DecodeError) {
    var price = -1
    var quantity = -1
    for side in sides {
      var cursor = JSONCursor(base: base, offset: side, end: end)
      try walkLevels(&cursor) { (p, q) throws(DecodeError) in
        guard let a = writtenDecimals(p), let b = writtenDecimals(q), max(a, b) <= DecimalScale.decimalsMax
        else { throw .wrongType }
        price = max(price, a)
        quantity = max(quantity, b)
      }
    }
    guard price >= 0 else { return }
    justLearnt = symbol
    instruments[symbol] = Instrument(priceScale: DecimalScale(price), quantityScale: DecimalScale(quantity))
  }
}
