import Core
import Tape

/// Counts frames by symbol and event type, without a `String` per frame: by the stream's name where there is
/// one, which repeats, and by the fields `s` and `e` otherwise.
struct EventCounter {
  /// Names beyond this many, or longer than ``nameBytesMax``, are counted together.
  private static let namesMax = 8192
  private static let slotCount = 4 * namesMax
  private static let nameBytesMax = 96

  private var names: [UInt8] = []
  private var ends: [Int] = []
  private var counts: [Int] = []
  private var slots = [Int32](repeating: -1, count: EventCounter.slotCount)
  private var others = 0

  mutating func add(_ payload: TapePayload) {
    if let stream = payload.stream, stream.count > 0, stream[0] != 0x21 {
      add(stream)
      return
    }
    let data = innerData(payload)
    let symbol = frameSymbol(stream: payload.stream, data: data)
    withUnsafeTemporaryAllocation(byteCount: EventCounter.nameBytesMax, alignment: 8) { name in
      var length = 0
      func append(_ bytes: some Sequence<UInt8>) {
        for byte in bytes where length < name.count {
          name[length] = byte
          length += 1
        }
      }
      if let symbol { append(symbol) }
      append(CollectionOfOne(0x40))
      EventCounter.withEventName(data) { append($0) }
      add(UnsafeRawBufferPointer(rebasing: name[..<length]))
    }
  }

  /// The stream's word for a raw frame's event.
  private static func withEventName(_ data: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void)
  {
    func give(_ name: StaticString) {
      body(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }
    var cursor = JSONCursor(data)
    guard cursor.consume(0x7B) else { return give("other") }
    var hasQuote = false
    while let key = cursor.key() {
      if key.count == 1, key[0] == 0x65, cursor.peek() == 0x22, let event = cursor.rawString() {
        if event.elementsEqual("depthUpdate".utf8) { return give("depth") }
        if event.elementsEqual("markPriceUpdate".utf8) { return give("markPrice") }
        return body(event)
      }
      if key.count == 1, key[0] == 0x42 { hasQuote = true }
      guard cursor.skipValue(), cursor.continues(until: 0x7D) == true else { break }
    }
    // Spot book tickers carry no `e`.
    give(hasQuote ? "bookTicker" : "other")
  }

  private mutating func add(_ name: UnsafeRawBufferPointer) {
    guard name.count <= EventCounter.nameBytesMax else {
      others += 1
      return
    }
    // FNV-1a.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    var slot = Int(hash >> 32) & (EventCounter.slotCount - 1)
    while slots[slot] >= 0 {
      let index = Int(slots[slot])
      if isName(name, at: index) {
        counts[index] += 1
        return
      }
      slot = (slot + 1) & (EventCounter.slotCount - 1)
    }
    guard counts.count < EventCounter.namesMax else {
      others += 1
      return
    }
    slots[slot] = Int32(counts.count)
    names.append(contentsOf: name)
    ends.append(names.count)
    counts.append(1)
  }

  private func isName(_ name: UnsafeRawBufferPointer, at index: Int) -> Bool {
    let start = index == 0 ? 0 : ends[index - 1]
    guard ends[index] - start == name.count else { return false }
    for position in 0..<name.count where names[start + position] != name[position] { return false }
    return true
  }

  /// Sorted by symbol, then event. `btcusdt@depth@0ms` is BTCUSDT, depth; `btcusdt@kline_1m` is kline. Frames
  /// without a symbol are under `unknown`.
  func sorted() -> [ImportReport.SymbolCount] {
    var found: [String: [String: Int]] = [:]
    for index in counts.indices {
      let start = index == 0 ? 0 : ends[index - 1]
      let name = String(decoding: names[start..<ends[index]], as: UTF8.self)
      let parts = name.split(separator: "@", omittingEmptySubsequences: false)
      let symbol = parts[0].isEmpty ? "unknown" : parts[0].uppercased()
      let word = parts.count > 1 && !parts[1].isEmpty ? parts[1] : "other"
      let event = word.hasPrefix("kline_") ? "kline" : String(word)
      found[symbol, default: [:]][event, default: 0] += counts[index]
    }
    if others > 0 { found["unknown", default: [:]]["other", default: 0] += others }
    return found.sorted { $0.key < $1.key }.map { symbol, events in
      .init(
        symbol: symbol,
        events: events.sorted { $0.key < $1.key }.map { .init(event: $0.key, frames: $0.value) })
    }
  }
}
