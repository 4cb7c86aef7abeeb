import Core

/// Partial depth and bars of a seeded market's symbols.
extension Exchange {
  /// Makes a stream's name one of the symbol's derived ones, if it can be.
  func derive(_ name: String) -> Int? {
    guard let (symbol, content) = DerivedStream.Content.parse(name), content != .trade,
      let index = symbolIndices[symbol], let stream = table.intern(name)
    else { return nil }
    if !symbols[index].derived.contains(where: { $0.stream == stream }) {
      symbols[index].derived.append(DerivedStream(content, name: name, stream: stream))
    }
    return stream
  }

  /// At the end of a window.
  func publishDerived(_ index: Int) {
    for place in symbols[index].derived.indices {
      guard hasListeners(symbols[index].derived[place].stream) else {
        symbols[index].derived[place].rest()
        continue
      }
      switch symbols[index].derived[place].content {
      case .partialDepth(let levels, let pace): publishPartialDepth(index, place, levels, pace)
      case .kline(let interval, let isContinuous): publishBar(index, place, interval, isContinuous)
      case .trade: break
      }
    }
  }

  private func publishPartialDepth(_ index: Int, _ place: Int, _ levels: Int, _ pace: DepthPace) {
    let first = symbols[index].market.firstUpdateID
    if first != 0 {
      symbols[index].derived[place].note(first: first, before: symbols[index].market.updateIDBefore)
    }
    let derived = symbols[index].derived[place]
    guard derived.firstUpdateID >= 0, pace.isDue(atWindow: symbols[index].market.windowCount) else { return }
    let begin = outbox.bytes.count
    symbols[index].encoder.partialDepth(
      symbols[index].market, head: derived.head, levels: levels, first: derived.firstUpdateID,
      before: derived.lastUpdateID, &outbox.bytes)
    symbols[index].derived[place].sent(symbols[index].market.updateID)
    publish(derived, begin)
  }

  /// The bar that has ended, once, and the running one every two seconds, as one-minute bars are.
  private func publishBar(_ index: Int, _ place: Int, _ interval: KlineInterval, _ isContinuous: Bool) {
    let derived = symbols[index].derived[place]
    let time = symbols[index].market.now
    let slot = interval.slot(ofMinute: time / Nanoseconds.minute)
    symbols[index].derived[place].slot = slot
    func send(_ slot: Int64, closed: Bool) {
      let bar = symbols[index].bar(interval, slot: slot)
      if bar.tradeCount == 0 { return }
      let begin = outbox.bytes.count
      symbols[index].encoder.kline(
        bar, head: derived.head, interval: interval, isContinuous: isContinuous, closed: closed, time: time,
        &outbox.bytes)
      publish(derived, begin)
    }
    if derived.slot != .min, derived.slot != slot { send(derived.slot, closed: true) }
    if symbols[index].market.windowCount % 20 == 0 { send(slot, closed: false) }
  }

  func publish(_ derived: DerivedStream, _ begin: Int) {
    table.streams[derived.stream].published += 1
    deliver(derived.stream, begin)
  }
}
