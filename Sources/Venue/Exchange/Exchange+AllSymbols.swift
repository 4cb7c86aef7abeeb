import Core

/// A stream whose frame is a list over all symbols.
enum SymbolListStream: String, CaseIterable {
  case markPrice1s = "!markPrice@arr@1s"
  case markPrice3s = "!markPrice@arr"
  case ticker = "!ticker@arr"
  case miniTicker = "!miniTicker@arr"
}

/// What is kept for a list that somebody has asked for.
struct SymbolList {
  let kind: SymbolListStream
  let stream: Int
  /// By symbol: the last trade at its last appearance in a list of tickers; −1 before.
  var lastTradeIDs: [Int64] = []
}

/// Lists over all symbols: mark prices of every symbol, tickers of those that have traded since the last list.
///
/// Symbols end their windows at moments of their own; the lists are made when the first symbol does so, each
/// second, of what the others are then.
extension Exchange {
  func symbolList(_ name: String) -> Int? {
    guard let kind = SymbolListStream(rawValue: name), let stream = table.intern(name) else { return nil }
    if !symbolLists.contains(where: { $0.stream == stream }) {
      symbolLists.append(SymbolList(kind: kind, stream: stream))
    }
    return stream
  }

  /// At each tenth window of the first symbol.
  func publishSymbolLists() {
    for place in symbolLists.indices {
      guard hasListeners(symbolLists[place].stream) else {
        symbolLists[place].lastTradeIDs = []
        continue
      }
      switch symbolLists[place].kind {
      case .markPrice3s where symbols[0].market.windowCount % 30 != 0: continue
      case .markPrice1s, .markPrice3s: publishMarkPrices(symbolLists[place].stream)
      case .ticker: publishTickerList(place, isMini: false)
      case .miniTicker: publishTickerList(place, isMini: true)
      }
    }
  }

  private func publishMarkPrices(_ stream: Int) {
    let time = symbols[0].market.now
    let begin = beginList(stream)
    for index in symbolNames.indices {
      if index > 0 { outbox.bytes.append(byte: 0x2C) }
      symbols[index].encoder.markPriceObject(symbols[index].market, time: time, &outbox.bytes)
    }
    endList(stream, begin)
  }

  private func publishTickerList(_ place: Int, isMini: Bool) {
    let time = symbols[0].market.now
    if symbolLists[place].lastTradeIDs.isEmpty {
      symbolLists[place].lastTradeIDs = [Int64](repeating: -1, count: symbolNames.count)
    }
    let begin = beginList(symbolLists[place].stream)
    var isFirst = true
    for index in symbolNames.indices {
      let last = symbols[index].day.lastTradeID
      if symbolLists[place].lastTradeIDs[index] == last { continue }
      symbolLists[place].lastTradeIDs[index] = last
      if !isFirst { outbox.bytes.append(byte: 0x2C) }
      isFirst = false
      symbols[index].encoder.tickerObject(
        symbols[index].market, symbols[index].day, start: start, time: time, isMini: isMini, &outbox.bytes)
    }
    if isFirst {
      outbox.bytes.truncate(to: begin)
    } else {
      endList(symbolLists[place].stream, begin)
    }
  }

  private func beginList(_ stream: Int) -> Int {
    let begin = beginFrame(stream)
    outbox.bytes.append(byte: 0x5B)
    return begin
  }

  private func endList(_ stream: Int, _ begin: Int) {
    outbox.bytes.append("]}")
    table.streams[stream].published += 1
    deliver(stream, begin)
  }
}
