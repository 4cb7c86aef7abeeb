import Core

extension FrameDecoder {
  /// Teaches the template table the shape of the frame that the generic path has just parsed.
  mutating func learn(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
    guard let instrument = instruments[frame.symbol] else { return }
    var parts: [TemplateTable.Part] = []
    func add(_ span: FrameSpans.Span, _ kind: FrameTemplate.HoleKind, _ field: DecodedFrame.Field?) {
      guard span.isPresent else { return }
      let isQuoted = load8(base, Int(span.start)) == 0x22
      let inset = kind == .quotedPrice || kind == .quotedQuantity ? 1 : 0
      // A number in the other style (quoted ids, bare prices) is not what the hole scans.
      guard isQuoted == (inset == 1) else {
        parts.append(.init(kind: .end, field: 0, start: -1, end: -1))
        return
      }
      parts.append(
        .init(
          kind: kind, field: field?.rawValue ?? 0, start: Int(span.start) + inset, end: Int(span.end) - inset)
      )
    }
    add(spans["E"], .unsigned, .eventTime)
    add(spans["T"], .unsigned, .transactionTime)
    switch frame.kind {
    case .depthUpdate:
      add(spans["U"], .unsigned, .firstUpdateID)
      add(spans["u"], .unsigned, .finalUpdateID)
      add(spans.previousFinalUpdateID, .unsigned, .previousFinalUpdateID)
      add(spans["b"], .bids, nil)
      add(spans["a"], .asks, nil)
      // The scanner counts bids before asks.
      if spans["b"].start > spans["a"].start { return }
    case .aggregateTrade:
      add(spans["a"], .unsigned, .tradeID)
      add(spans["p"], .quotedPrice, .price)
      add(spans["q"], .quotedQuantity, .quantity)
      add(spans.quantityWithoutRPI, .quotedQuantity, .quantityWithoutRPI)
      add(spans["f"], .unsigned, .firstTradeID)
      add(spans["l"], .unsigned, .lastTradeID)
      add(spans["m"], .boolean, .buyerIsMaker)
    case .trade:
      add(spans["t"], .unsigned, .tradeID)
      add(spans["p"], .quotedPrice, .price)
      add(spans["q"], .quotedQuantity, .quantity)
      add(spans["m"], .boolean, .buyerIsMaker)
    case .bookTicker:
      add(spans["u"], .unsigned, .finalUpdateID)
      add(spans["b"], .quotedPrice, .bidPrice)
      add(spans["B"], .quotedQuantity, .bidQuantity)
      add(spans["a"], .quotedPrice, .askPrice)
      add(spans["A"], .quotedQuantity, .askQuantity)
    default: return
    }
    guard !parts.isEmpty, parts.allSatisfy({ $0.start >= start && $0.end <= end }) else { return }
    parts.sort { $0.start < $1.start }
    table.learn(
      base, start: start, end: end, kind: frame.kind, symbol: frame.symbol, present: frame.present,
      isExcludedTrade: frame.isExcludedTrade, instrument: instrument, parts: parts)
  }
}
