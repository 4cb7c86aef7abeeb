import Core
import Glibc

/// Where the values of one frame's keys lie; single letters are indexed by their code.
struct FrameSpans: ~Copyable {
  struct Span {
    var start: Int32 = -1
    var end: Int32 = -1
    var isPresent: Bool { start >= 0 }
  }

  let letters: UnsafeMutablePointer<Span>
  var previousFinalUpdateID = Span()
  var quantityWithoutRPI = Span()

  init() {
    letters = .allocate(capacity: 128)
    letters.initialize(repeating: Span(), count: 128)
  }

  deinit { letters.deallocate() }

  mutating func reset() {
    letters.update(repeating: Span(), count: 128)
    previousFinalUpdateID = Span()
    quantityWithoutRPI = Span()
  }

  subscript(_ letter: Unicode.Scalar) -> Span { letters[Int(letter.value)] }
}

extension FrameDecoder {
  /// The outcome of the generic path.
  public enum Outcome: Equatable, Sendable {
    case frame
    case failed(DecodeError)
  }

  /// Decodes one frame of any form: raw, or combined in any key order, with blanks and unknown fields.
  ///
  /// - Parameters:
  ///   - payload: the frame's JSON, with ``paddingBytes`` readable bytes behind it.
  ///   - streamName: the stream's name where it is known from outside the payload.
  ///   - isUnwrapped: the payload is known to be the data object itself, not a combined frame.
  ///   - learnAt: where the stream's name starts if the payload lies in a tape record (or on the wire) in the
  ///     canonical combined form; `learnEnd` is the offset behind the frame's last byte. Negative: no learning.
  public mutating func decodeGenerically(
    base: UnsafeRawPointer, start: Int, end: Int, streamName: UnsafeRawBufferPointer? = nil,
    isUnwrapped: Bool = false, learnAt: Int = -1, learnEnd: Int = -1
  ) -> Outcome {
    genericFrames += 1
    justLearnt = nil
    spans.reset()
    var stream = streamName
    do throws(DecodeError) {
      try locateFields(base, start, end, &stream, isUnwrapped: isUnwrapped)
      let learnable = try interpret(base, stream)
      if !check() { throw .invalidValue }
      if learnable, learnAt >= 0 { learn(base, learnAt, learnEnd) }
      return .frame
    } catch {
      unlearnInstrument()
      return .failed(error)
    }
  }

  /// A bad frame must not settle how an instrument's decimals are read.
  mutating func unlearnInstrument() {
    if let justLearnt { instruments[justLearnt] = nil }
    justLearnt = nil
  }

  /// Unwraps `{"stream":…,"data":{…}}` and notes where each known key's value lies; a raw frame is its own
  /// data. Every byte is looked at once, and must be JSON.
  private mutating func locateFields(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ stream: inout UnsafeRawBufferPointer?,
    isUnwrapped: Bool
  ) throws(DecodeError) {
    var cursor = JSONCursor(base: base, offset: start, end: end)
    try walk(&cursor, &stream, mayUnwrap: !isUnwrapped)
    guard cursor.isAtEnd() else { throw .malformed }
  }

  private mutating func walk(
    _ cursor: inout JSONCursor, _ stream: inout UnsafeRawBufferPointer?, mayUnwrap: Bool
  ) throws(DecodeError) {
    guard cursor.consume(0x7B) else { throw .malformed }
    if cursor.consume(0x7D) { return }
    while true {
      guard let key = cursor.key() else { throw .malformed }
      let next = cursor.peek()
      let from = cursor.offset
      if mayUnwrap, next == 0x7B, key.equals("data") {
        try walk(&cursor, &stream, mayUnwrap: false)
      } else {
        guard cursor.skipValue() else { throw .malformed }
        let span = FrameSpans.Span(
          start: Int32(truncatingIfNeeded: from), end: Int32(truncatingIfNeeded: cursor.offset))
        if key.count == 1 {
          if key[0] < 128 { spans.letters[Int(key[0])] = span }
        } else if key.equals("pu") {
          spans.previousFinalUpdateID = span
        } else if key.equals("nq") {
          spans.quantityWithoutRPI = span
        } else if mayUnwrap, next == 0x22, key.equals("stream") {
          stream = UnsafeRawBufferPointer(start: cursor.base + from + 1, count: cursor.offset - from - 2)
        }
      }
      guard let more = cursor.continues(until: 0x7D) else { throw .malformed }
      if !more { return }
    }
  }

  private func text(_ span: FrameSpans.Span, _ base: UnsafeRawPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + Int(span.start), count: Int(span.end - span.start))
  }

  /// The frame's kind by its `e`, else by its stream's name, else by its keys (spot book tickers have no `e`).
  private func kind(_ base: UnsafeRawPointer, _ stream: UnsafeRawBufferPointer?) -> FrameKind {
    if spans["e"].isPresent {
      let name = text(spans["e"], base)
      if name.equals("\"depthUpdate\"") { return .depthUpdate }
      if name.equals("\"aggTrade\"") { return .aggregateTrade }
      if name.equals("\"trade\"") { return .trade }
      if name.equals("\"bookTicker\"") { return .bookTicker }
      if name.equals("\"markPriceUpdate\"") { return .markPrice }
      if name.equals("\"kline\"") { return .kline }
      if name.equals("\"forceOrder\"") { return .liquidation }
      return .other
    }
    if let stream, stream.hasSuffix("@bookTicker") { return .bookTicker }
    let isTicker =
      spans["u"].isPresent && spans["b"].isPresent && spans["B"].isPresent
      && spans["a"].isPresent && spans["A"].isPresent
    return isTicker ? .bookTicker : .other
  }

  private mutating func interpret(
    _ base: UnsafeRawPointer, _ stream: UnsafeRawBufferPointer?
  ) throws(DecodeError) -> Bool {
    frame.present = 0
    frame.isExcludedTrade = false
    frame.bidCount = 0
    frame.askCount = 0
    frame.symbol = .none
    frame.kind = kind(base, stream)
    switch frame.kind {
    case .depthUpdate, .aggregateTrade, .trade, .bookTicker:
      try readSymbol(spans["s"], base)
      if instruments[frame.symbol] == nil { try learnInstrument(base) }
    case .markPrice, .kline:
      try readSymbol(spans["s"], base)
    case .liquidation:
      try readLiquidationSymbol(base)
    case .other:
      if spans["s"].isPresent { try? readSymbol(spans["s"], base) }
    }
    switch frame.kind {
    case .depthUpdate:
      try integer("E", .eventTime, base)
      if spans["T"].isPresent { try integer("T", .transactionTime, base) }
      try integer("U", .firstUpdateID, base)
      try integer("u", .finalUpdateID, base)
      if spans.previousFinalUpdateID.isPresent {
        try integer(spans.previousFinalUpdateID, .previousFinalUpdateID, base)
      }
      frame.bidCount = try levels(spans["b"], at: 0, base)
      frame.askCount = try levels(spans["a"], at: frame.bidCount, base)
    case .aggregateTrade:
      try integer("E", .eventTime, base)
      try integer("a", .tradeID, base)
      try decimal("p", .price, base)
      try decimal("q", .quantity, base)
      if spans.quantityWithoutRPI.isPresent {
        try decimal(spans.quantityWithoutRPI, .quantityWithoutRPI, base)
      }
      try integer("f", .firstTradeID, base)
      try integer("l", .lastTradeID, base)
      try integer("T", .transactionTime, base)
      try boolean("m", .buyerIsMaker, base)
    case .trade:
      try integer("E", .eventTime, base)
      try integer("T", .transactionTime, base)
      try integer("t", .tradeID, base)
      try decimal("p", .price, base)
      try decimal("q", .quantity, base)
      try boolean("m", .buyerIsMaker, base)
      if spans["X"].isPresent { frame.isExcludedTrade = !text(spans["X"], base).equals("\"MARKET\"") }
    case .bookTicker:
      if spans["E"].isPresent { try integer("E", .eventTime, base) }
      if spans["T"].isPresent { try integer("T", .transactionTime, base) }
      try integer("u", .finalUpdateID, base)
      try decimal("b", .bidPrice, base)
      try decimal("B", .bidQuantity, base)
      try decimal("a", .askPrice, base)
      try decimal("A", .askQuantity, base)
    case .markPrice, .kline, .liquidation:
      try integer("E", .eventTime, base)
      return false
    case .other:
      if spans["E"].isPresent { try integer("E", .eventTime, base) }
      return false
    }
    return true
  }

  // MARK: Symbols and instruments

  private mutating func readSymbol(
    _ span: FrameSpans.Span, _ base: UnsafeRawPointer
  ) throws(DecodeError) {
    guard span.isPresent else { throw .missingField }
    let quoted = text(span, base)
    guard quoted.count >= 3, quoted[0] == 0x22 else { throw .wrongType }
    let name = UnsafeRawBufferPointer(rebasing: quoted[1..<(quoted.count - 1)])
    // Names of instruments are short and plain; anything else is junk, not a new symbol.
    guard name.count <= 32, name.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x5C }) else {
      throw .invalidValue
    }
    guard let id = instruments.intern(String(decoding: name, as: UTF8.self)) else { throw .tooManySymbols }
    frame.symbol = id
  }

  private mutating func readLiquidationSymbol(_ base: UnsafeRawPointer) throws(DecodeError) {
    guard spans["o"].isPresent else { throw .missingField }
    var cursor = JSONCursor(base: base, offset: Int(spans["o"].start), end: Int(spans["o"].end))
    guard cursor.consume(0x7B) else { throw .wrongType }
    while let key = cursor.key() {
      _ = cursor.peek()
      let from = cursor.offset
      guard cursor.skipValue() else { throw .malformed }
      if key.equals("s") {
        return try readSymbol(.init(start: Int32(from), end: Int32(cursor.offset)), base)
      }
      if cursor.continues(until: 0x7D) != true { break }
    }
    throw .missingField
  }

  /// The first frame with prices shows how many decimals the instrument has.
  private mutating func learnInstrument(_ base: UnsafeRawPointer) throws(DecodeError) {
    var price: Int?
    var quantity: Int?
    func note(_ decimals: inout Int?, _ text: UnsafeRawBufferPointer?) throws(DecodeError) {
      guard let text, let written = writtenDecimals(text), written <= DecimalScale.decimalsMax else {
        throw .wrongType
      }
      decimals = max(decimals ?? 0, written)
    }
    func note(_ decimals: inout Int?, _ span: FrameSpans.Span) throws(DecodeError) {
      guard span.isPresent else { throw .missingField }
      var cursor = JSONCursor(base: base, offset: Int(span.start), end: Int(span.end))
      try note(&decimals, cursor.decimalText())
    }
    switch frame.kind {
    case .depthUpdate:
      for side in [spans["b"], spans["a"]] {
        guard side.isPresent else { throw .missingField }
        var cursor = JSONCursor(base: base, offset: Int(side.start), end: Int(side.end))
        try walkLevels(&cursor) { (p, q) throws(DecodeError) in
          try note(&price, p)
          try note(&quantity, q)
        }
      }
    case .bookTicker:
      try note(&price, spans["b"])
      try note(&price, spans["a"])
      try note(&quantity, spans["B"])
      try note(&quantity, spans["A"])
    default:
      try note(&price, spans["p"])
      try note(&quantity, spans["q"])
    }
    // A depth event without levels shows nothing; the next frame will.
    guard let price, let quantity else { return }
    justLearnt = frame.symbol
    instruments[frame.symbol] = Instrument(
      priceScale: DecimalScale(price), quantityScale: DecimalScale(quantity))
  }

  // MARK: Values

  private mutating func integer(
    _ letter: Unicode.Scalar, _ field: DecodedFrame.Field, _ base: UnsafeRawPointer
  ) throws(DecodeError) {
    try integer(spans[letter], field, base)
  }

  private mutating func integer(
    _ span: FrameSpans.Span, _ field: DecodedFrame.Field, _ base: UnsafeRawPointer
  ) throws(DecodeError) {
    guard span.isPresent else { throw .missingField }
    var cursor = JSONCursor(base: base, offset: Int(span.start), end: Int(span.end))
    guard let value = cursor.integer(), cursor.offset == Int(span.end) else {
      let digits = text(span, base)
      throw digits.count >= 19 && digits.allSatisfy({ $0 &- 0x30 <= 9 }) ? .overflow : .wrongType
    }
    guard value >= 0 else { throw .invalidValue }
    set(field, value)
  }

  private mutating func boolean(
    _ letter: Unicode.Scalar, _ field: DecodedFrame.Field, _ base: UnsafeRawPointer
  ) throws(DecodeError) {
    let span = spans[letter]
    guard span.isPresent else { throw .missingField }
    var cursor = JSONCursor(base: base, offset: Int(span.start), end: Int(span.end))
    guard let value = cursor.boolean() else { throw .wrongType }
    set(field, value ? 1 : 0)
  }

  private mutating func decimal(
    _ letter: Unicode.Scalar, _ field: DecodedFrame.Field, _ base: UnsafeRawPointer
  ) throws(DecodeError) {
    try decimal(spans[letter], field, base)
  }

  private mutating func decimal(
    _ span: FrameSpans.Span, _ field: DecodedFrame.Field, _ base: UnsafeRawPointer
  ) throws(DecodeError) {
    guard span.isPresent else { throw .missingField }
    guard let instrument = instruments[frame.symbol] else { throw .malformed }
    var cursor = JSONCursor(base: base, offset: Int(span.start), end: Int(span.end))
    guard let digits = cursor.decimalText() else { throw .wrongType }
    let isPrice = field == .price || field == .bidPrice || field == .askPrice
    set(field, try exact(digits, isPrice ? instrument.priceScale : instrument.quantityScale))
  }

  private func exact(_ digits: UnsafeRawBufferPointer, _ scale: DecimalScale) throws(DecodeError) -> Int64 {
    if let value = scale.parse(digits) { return value }
    guard let written = writtenDecimals(digits) else { throw .wrongType }
    throw written > scale.decimals ? .offGrid : .overflow
  }

  private mutating func set(_ field: DecodedFrame.Field, _ value: Int64) {
    frame.fields[Int(field.rawValue)] = value
    frame.present |= 1 << UInt32(field.rawValue)
  }

  private func levels(_ span: FrameSpans.Span, at first: Int, _ base: UnsafeRawPointer) throws(DecodeError)
    -> Int
  {
    guard span.isPresent else { throw .missingField }
    guard let instrument = instruments[frame.symbol] else { return 0 }
    var cursor = JSONCursor(base: base, offset: Int(span.start), end: Int(span.end))
    return try readLevels(&cursor, at: first, instrument)
  }

  /// Reads `[["price","quantity"],…]` into the frame's level arrays from `first` on; the number read.
  func readLevels(
    _ cursor: inout JSONCursor, at first: Int, _ instrument: Instrument
  ) throws(DecodeError) -> Int {
    var index = first
    let price = DecimalShape(instrument.priceScale)
    let quantity = DecimalShape(instrument.quantityScale)
    guard cursor.consume(0x5B) else { throw .wrongType }
    if cursor.consume(0x5D) { return 0 }
    while true {
      guard index < DecodedFrame.levelsMax else { throw .tooManyLevels }
      guard cursor.consume(0x5B) else { throw .wrongType }
      frame.prices[index] = try readDecimal(&cursor, price)
      guard cursor.consume(0x2C) else { throw .wrongType }
      frame.quantities[index] = try readDecimal(&cursor, quantity)
      index += 1
      while true {
        guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
        if !more { break }
        guard cursor.skipValue() else { throw .malformed }
      }
      guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
      if !more { return index - first }
    }
  }

  /// A quoted or bare decimal; in words where it has the usual form.
  @inline(__always)
  private func readDecimal(_ cursor: inout JSONCursor, _ shape: DecimalShape) throws(DecodeError) -> Int64 {
    if shape.isFast, cursor.peek() == 0x22 {
      let start = cursor.offset &+ 1
      let marks = quoteMarks(load64(cursor.base, start))
      let length =
        marks != 0
        ? marks.trailingZeroBitCount >> 3
        : 8 &+ quoteMarks(load64(cursor.base, start &+ 8)).trailingZeroBitCount >> 3
      if length >= 1, length < 16 {
        let number = shape.convert(cursor.base, start, length)
        if number.end >= 0 {
          cursor.move(to: number.end &+ 1)
          return number.value
        }
      }
    }
    guard let text = cursor.decimalText() else { throw .wrongType }
    return try exact(text, shape.scale)
  }

  /// Calls `body` with each level's two decimal texts; further elements of a level are ignored.
  func walkLevels(
    _ cursor: inout JSONCursor,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(DecodeError) -> Void
  ) throws(DecodeError) {
    guard cursor.consume(0x5B) else { throw .wrongType }
    if cursor.consume(0x5D) { return }
    while true {
      guard cursor.consume(0x5B), let price = cursor.decimalText(), cursor.consume(0x2C),
        let quantity = cursor.decimalText()
      else { throw .wrongType }
      try body(price, quantity)
      while true {
        guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
        if !more { break }
        guard cursor.skipValue() else { throw .malformed }
      }
      guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
      if !more { return }
    }
  }
}

extension UnsafeRawBufferPointer {
  func equals(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && memcmp(baseAddress!, text.utf8Start, count) == 0
  }

  func hasSuffix(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    return count >= length && memcmp(baseAddress! + (count - length), text.utf8Start, length) == 0
  }
}
