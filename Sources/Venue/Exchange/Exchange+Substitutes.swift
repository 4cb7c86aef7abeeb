import Core

/// What a recording lacks and its content gives: a client that asks a served tape for the exchange's usual streams
/// gets them, whatever the recorder had subscribed to.
///
/// - A depth stream of another speed stands in for the one asked for: the same objects under the name asked for.
///   Its events are as fine as they were recorded.
/// - Where a tape holds single trades (`@trade`) and no aggregates, each trade on the market is an aggregate of
///   one: `p`, `q`, `T`, `m` as recorded, `f` = `l` = `t`, and `a` counted without holes from the first `t`, because
///   trade ids are shared with trades outside the market (insurance fund, auto-deleveraging), which are no part
///   of aggregates.
///
/// A stream that the tape holds itself is always served verbatim.
extension Exchange {
  func deliverSubstitutes(_ tape: TapeSource, _ record: TapeSource.Record) {
    guard let symbol = tape.decodedSymbol, let name = record.stream else { return }
    switch tape.decoder.frame.kind {
    case .depthUpdate:
      guard let source = symbol.depthStream, source.utf8.elementsEqual(name) else { return }
      for substitute in symbol.depthSubstitutes where !tape.streamsOnTape.contains(substitute) {
        guard let stream = table.find(substitute) else { continue }
        send(stream, substitute) { $0.append(bytes: record.data) }
      }
    case .trade:
      guard !symbol.hasAggregateTrades, !tape.decoder.frame.isExcludedTrade,
        let stream = table.find(symbol.aggregateStream)
      else { return }
      send(stream, symbol.aggregateStream) { writeAggregate(tape, symbol, &$0) }
    default: return
    }
  }

  private func send(_ stream: Int, _ name: String, _ body: (inout ByteWriter) -> Void) {
    table.streams[stream].published += 1
    guard !table.streams[stream].subscribers.isEmpty else { return }
    let begin = outbox.bytes.count
    outbox.bytes.append("{\"stream\":\"" as StaticString)
    outbox.bytes.append(name)
    outbox.bytes.append("\",\"data\":" as StaticString)
    body(&outbox.bytes)
    outbox.bytes.append(byte: 0x7D)
    deliver(stream, begin)
  }

  private func writeAggregate(_ tape: TapeSource, _ symbol: TapeSymbol, _ writer: inout ByteWriter) {
    let price = symbol.instrument.priceScale
    let quantity = symbol.instrument.quantityScale
    let time = tape.decoder.frame[.transactionTime]
    writer.append("{\"e\":\"aggTrade\",\"E\":" as StaticString)
    writer.append(integer: tape.decoder.frame.eventTimeMs ?? time)
    writer.append(",\"a\":" as StaticString)
    writer.append(integer: symbol.lastTrade)
    writer.append(",\"s\":\"" as StaticString)
    writer.append(symbol.name)
    writer.append("\",\"p\":\"" as StaticString)
    writer.append(decimal: tape.decoder.frame[.price], scale: price)
    writer.append("\",\"q\":\"" as StaticString)
    writer.append(decimal: tape.decoder.frame[.quantity], scale: quantity)
    writer.append("\",\"f\":" as StaticString)
    writer.append(integer: tape.decoder.frame[.tradeID])
    writer.append(",\"l\":" as StaticString)
    writer.append(integer: tape.decoder.frame[.tradeID])
    writer.append(",\"T\":" as StaticString)
    writer.append(integer: time)
    writer.append(tape.decoder.frame.aggressor == .seller ? ",\"m\":true}" : ",\"m\":false}")
  }
}
