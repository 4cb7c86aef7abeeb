import Binance
import Core
import Tape

extension TapeProjection {
  /// Takes a record that no template knows.
  @inline(never)
  mutating func takeLine(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
    if reading == .scanned, let header = RecordHeader(scanningFrame: base, start),
      let payload = header.payload(base, lineEnd: end)
    {
      let outcome = decoder.decodeGenerically(
        base: base, start: payload.start, end: payload.end, streamName: payload.stream,
        isUnwrapped: payload.stream != nil, learnAt: payload.stream == nil ? -1 : header.streamStart,
        learnEnd: end)
      if outcome == .frame, takeScanned(header) {
        count(header.sequence, header.receiveNs, isFrame: true)
        return
      }
    }
    let line = UnsafeRawBufferPointer(start: base + start, count: end - start)
    guard let record = TapeRecord(parsing: line) else {
      unreadableLines += 1
      return
    }
    count(record.sequence, record.receiveTime.rawValue, isFrame: record.kind == .frame)
    let dataStart = UnsafeRawPointer(record.data.baseAddress!) - base
    let place = RecordPlace(record)
    switch record.kind {
    case .frame:
      takeEvents(place, base, dataStart, dataStart + record.data.count, isUnwrapped: record.stream != nil)
    case .snapshot:
      if record.stream?.hasTail("@aggTrades") == true {
        takeAnswer(place, base, dataStart, dataStart + record.data.count)
      } else {
        takeSnapshot(place, base, dataStart, dataStart + record.data.count)
      }
    case .open, .close, .gap, .clock, .note: takeFeed(place, record)
    }
  }

  private mutating func count(_ sequence: Int64, _ receiveNs: Int64, isFrame: Bool) {
    recordCount += 1
    if isFrame { frameCount += 1 }
    lastSequence = sequence
    lastReceiveNs = receiveNs
  }

  /// A record's own fields, which its rows share.
  struct RecordPlace {
    var sequence: Int64
    var receiveNs: Int64
    var connection: Int64
    var stream: UnsafeRawBufferPointer?

    init(_ record: TapeRecord) {
      sequence = record.sequence
      receiveNs = record.receiveTime.rawValue
      connection = Int64(record.connection)
      stream = record.stream
    }
  }

  // MARK: Frames

  /// One event, or an array of them as streams over all symbols send it.
  private mutating func takeEvents(
    _ place: RecordPlace, _ base: UnsafeRawPointer, _ start: Int, _ end: Int, isUnwrapped: Bool
  ) {
    var cursor = JSONCursor(base: base, offset: start, end: end)
    guard cursor.peek() == 0x5B else {
      takeEvent(place, base, start, end, isUnwrapped: isUnwrapped)
      return
    }
    // The record is JSON, so its arrays are whole.
    _ = cursor.consume(0x5B)
    if cursor.peek() == 0x5D { return keep(place, .none, .noMarketData, base, start, end) }
    while true {
      _ = cursor.peek()
      let from = cursor.offset
      guard cursor.skipValue(depth: 2) else { return keep(place, .none, .malformed, base, from, end) }
      takeEvent(place, base, from, cursor.offset, isUnwrapped: isUnwrapped)
      guard cursor.continues(until: 0x5D) == true else { return }
    }
  }

  private mutating func takeEvent(
    _ place: RecordPlace, _ base: UnsafeRawPointer, _ start: Int, _ end: Int, isUnwrapped: Bool
  ) {
    var symbol = SymbolID.none
    do throws(FieldError) {
      var fields = FieldReader()
      guard fields.read(base, start, end) else { throw .malformed }
      var stream = place.stream
      if !isUnwrapped, let data = fields.span("data") {
        if var name = fields.cursor("stream") { stream = name.rawString() }
        var cursor = JSONCursor(base: base, offset: data.start, end: data.end)
        if cursor.peek() == 0x5B {
          return takeEvents(place, base, data.start, data.end, isUnwrapped: true)
        }
        guard fields.read(base, data.start, data.end) else { throw .malformed }
      }
      symbol = try symbolID(fields)
      try takeEvent(place, symbol, fields, stream)
    } catch {
      keep(place, symbol, error, base, start, end)
    }
  }

  private mutating func symbolID(_ fields: FieldReader) throws(FieldError) -> SymbolID {
    var name: String?
    if fields.has("s") {
      name = try fields.name("s")
    } else if var order = fields.cursor("o"), order.peek() == 0x7B, let span = fields.span("o") {
      var inner = FieldReader()
      if inner.read(order.base, span.start, span.end), inner.has("s") { name = try inner.name("s") }
    }
    guard let name else { return .none }
    guard let id = decoder.instruments.intern(name) else { throw .invalidValue }
    return id
  }

  private mutating func takeEvent(
    _ place: RecordPlace, _ symbol: SymbolID, _ fields: FieldReader, _ stream: UnsafeRawBufferPointer?
  ) throws(FieldError) {
    if fields.has("e") {
      let event = try fields.name("e")
      guard symbol != .none else { throw .noMarketData }
      switch event {
      case "depthUpdate": try takeDepth(place, symbol, fields)
      case "aggTrade": try takeTrade(place, symbol, fields, .aggregateTrade)
      case "trade": try takeTrade(place, symbol, fields, .trade)
      case "bookTicker": try takeTicker(place, symbol, fields)
      case "markPriceUpdate": try takeMarkPrice(place, symbol, fields)
      case "kline": try takeKline(place, symbol, fields)
      case "forceOrder": try takeLiquidation(place, symbol, fields)
      default: throw .noMarketData
      }
      return
    }
    let isTicker =
      stream?.hasTail("@bookTicker") == true
      || fields.has("u") && fields.has("b") && fields.has("B") && fields.has("a") && fields.has("A")
    guard isTicker, symbol != .none else { throw .noMarketData }
    try takeTicker(place, symbol, fields)
  }

  private mutating func takeDepth(
    _ place: RecordPlace, _ symbol: SymbolID, _ fields: FieldReader
  ) throws(FieldError) {
    let exchange = try fields.milliseconds("E")
    let transaction = try fields.optionalMilliseconds("T")
    let first = try fields.integer("U")
    let final = try fields.integer("u")
    let previous = try fields.optionalInteger("pu")
    let levels = try Levels(fields, bids: "b", asks: "a")
    let batch = batchToFill(.depth, symbol)
    let code = code(of: symbol, in: batch)
    let at = batch.begin(rows: levels.prices.count)
    for (column, value) in [
      code, exchange, transaction, place.receiveNs, place.sequence, first, final, previous,
    ].enumerated() {
      batch.column(column)[at.message] = value
    }
    levels.write(to: batch, at: at.row, side: 8)
  }

  private mutating func takeTrade(
    _ place: RecordPlace, _ symbol: SymbolID, _ fields: FieldReader, _ kind: TradeKind
  ) throws(FieldError) {
    let isAggregate = kind == .aggregateTrade
    let id = try fields.integer(isAggregate ? "a" : "t")
    let isMarket = fields.has("X") ? try fields.name("X") == "MARKET" : true
    try append(
      place, .trade, symbol,
      [
        try fields.milliseconds("E"), place.receiveNs, place.sequence, id, try fields.decimal("p"),
        try fields.decimal("q"), try fields.boolean("m"), Int64(kind.rawValue), try fields.milliseconds("T"),
        isAggregate ? try fields.integer("f") : TableBatch.null,
        isAggregate ? try fields.integer("l") : TableBatch.null,
        isAggregate ? try fields.optionalDecimal("nq") : TableBatch.null, isMarket ? 1 : 0,
      ])
    if isAggregate { see(trade: id, symbol) }
  }

  private mutating func takeTicker(
    _ place: RecordPlace, _ symbol: SymbolID, _ fields: FieldReader
  ) throws(FieldError) {
    try append(
      place, .bookTicker, symbol,
      [
        try fields.optionalMilliseconds("E"), place.receiveNs, place.sequence, try fields.integer("u"),
        try fields.decimal("b"), try fields.decimal("B"), try fields.decimal("a"), try fields.decimal("A"),
        try fields.optionalMilliseconds("T"),
      ])
  }

  private mutating func takeMarkPrice(
    _ place: RecordPlace, _ symbol: SymbolID, _ fields: FieldReader
  ) throws(FieldError) {
    try append(
      place, .markPrice, symbol,
      [
        try fields.milliseconds("E"), place.receiveNs, place.sequence, try fields.decimal("p"),
        try fields.optionalDecimal("i"), try fields.optionalDecimal("P"), try fields.optionalDecimal("r"),
        try fields.optionalMilliseconds("T"),
      ])
  }

  private mutating func takeKline(
    _ place: RecordPlace, _ symbol: SymbolID, _ fields: FieldReader
  ) throws(FieldError) {
    var bar = FieldReader()
    guard let cursor = fields.cursor("k"), let span = fields.span("k") else { throw .missingField }
    guard bar.read(cursor.base, span.start, span.end) else { throw .wrongType }
    let interval = try bar.name("i")
    try append(
      place, .kline, symbol,
      [
        try fields.milliseconds("E"), place.receiveNs, place.sequence, 0, try bar.milliseconds("t"),
        try bar.milliseconds("T"), try bar.decimal("o"), try bar.decimal("h"), try bar.decimal("l"),
        try bar.decimal("c"), try bar.decimal("v"), try bar.decimal("q"), try bar.integer("n"),
        try bar.decimal("V"), try bar.decimal("Q"), try tradeID(bar, "f"), try tradeID(bar, "L"),
        try bar.boolean("x"),
      ], names: [4: interval])
  }

  /// The exchange writes -1 for a bar without trades.
  private func tradeID(_ bar: FieldReader, _ key: StaticString) throws(FieldError) -> Int64 {
    guard var cursor = bar.cursor(key) else { return TableBatch.null }
    guard let value = cursor.integer() else { throw .wrongType }
    return value < 0 ? TableBatch.null : value
  }

  private mutating func takeLiquidation(
    _ place: RecordPlace, _ symbol: SymbolID, _ fields: FieldReader
  ) throws(FieldError) {
    var order = FieldReader()
    guard let cursor = fields.cursor("o"), let span = fields.span("o") else { throw .missingField }
    guard order.read(cursor.base, span.start, span.end) else { throw .wrongType }
    var names: [Int: String] = [5: try order.name("S")]
    names[11] = try order.optionalName("o")
    names[12] = try order.optionalName("f")
    names[13] = try order.optionalName("X")
    try append(
      place, .liquidation, symbol,
      [
        try fields.milliseconds("E"), place.receiveNs, place.sequence, try order.optionalMilliseconds("T"), 0,
        try order.decimal("p"), try order.optionalDecimal("ap"), try order.decimal("q"),
        try order.optionalDecimal("l"), try order.optionalDecimal("z"), TableBatch.null, TableBatch.null,
        TableBatch.null,
      ], names: names)
  }

  /// Appends a row of a table whose messages have one row each.
  ///
  /// - Parameters:
  ///   - values: of the columns behind the symbol.
  ///   - names: of columns that hold names, by column.
  private mutating func append(
    _ place: RecordPlace, _ kind: TableKind, _ symbol: SymbolID, _ values: [Int64], names: [Int: String] = [:]
  ) throws(FieldError) {
    let batch = batchToFill(kind, symbol)
    let code = code(of: symbol, in: batch)
    // In the order of the columns: a dictionary's own differs from process to process, and so would the
    // files.
    var codes: [Int: Int64] = [:]
    for (column, name) in names.sorted(by: { $0.key < $1.key }) { codes[column] = batch.index(ofName: name) }
    let row = batch.begin(rows: 1).message
    batch.column(0)[row] = code
    for (index, value) in values.enumerated() { batch.column(index + 1)[row] = codes[index + 1] ?? value }
    if kind == .trade {
      batch.column(8)[row] = batch.index(of: TradeKind(rawValue: Int(values[7]))!)
    }
  }

  // MARK: Answers

  private mutating func takeSnapshot(_ place: RecordPlace, _ base: UnsafeRawPointer, _ start: Int, _ end: Int)
  {
    let symbol = symbolID(ofStream: place.stream)
    do throws(FieldError) {
      var fields = FieldReader()
      guard symbol != .none, fields.read(base, start, end) else { throw .malformed }
      let id = try fields.integer("lastUpdateId")
      let exchange = try fields.optionalMilliseconds("E")
      let transaction = try fields.optionalMilliseconds("T")
      let levels = try Levels(fields, bids: "bids", asks: "asks")
      let batch = batchToFill(.snapshot, symbol)
      let code = code(of: symbol, in: batch)
      let at = batch.begin(rows: levels.prices.count)
      for (column, value) in [code, exchange, transaction, place.receiveNs, place.sequence, id].enumerated() {
        batch.column(column)[at.message] = value
      }
      levels.write(to: batch, at: at.row, side: 6)
    } catch {
      keep(place, symbol, error, base, start, end)
    }
  }

  /// Trades of a REST answer; all of them, or the answer is kept as it is.
  private mutating func takeAnswer(_ place: RecordPlace, _ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
    let symbol = symbolID(ofStream: place.stream)
    do throws(FieldError) {
      var rows: [[Int64]] = []
      var cursor = JSONCursor(base: base, offset: start, end: end)
      guard symbol != .none, cursor.consume(0x5B) else { throw .malformed }
      guard !cursor.consume(0x5D) else { throw .noMarketData }
      var fields = FieldReader()
      while true {
        _ = cursor.peek()
        let from = cursor.offset
        guard cursor.skipValue(depth: 2), fields.read(base, from, cursor.offset) else { throw .malformed }
        let id = try fields.integer("a")
        let runs = symbol.index < tradeRuns.count ? tradeRuns[symbol.index] : TradeRuns()
        let kind: TradeKind = runs.holds(id) ? .duplicate : .backfill
        let time = try fields.milliseconds("T")
        rows.append([
          TableBatch.null, place.receiveNs, place.sequence, id, try fields.decimal("p"),
          try fields.decimal("q"), try fields.boolean("m"), Int64(kind.rawValue), time,
          try fields.optionalInteger("f"), try fields.optionalInteger("l"), try fields.optionalDecimal("nq"),
          1,
        ])
        guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
        if !more { break }
      }
      for row in rows { try append(place, .trade, symbol, row) }
    } catch {
      keep(place, symbol, error, base, start, end)
    }
  }

  /// `BTCUSDT` for `btcusdt@depth@100ms`; none for streams of no single symbol.
  private mutating func symbolID(ofStream stream: UnsafeRawBufferPointer?) -> SymbolID {
    guard let stream, let at = stream.firstIndex(of: 0x40), at > 0, at <= 64, stream[0] != 0x21 else {
      return .none
    }
    let name = stream[0..<at]
    guard name.allSatisfy({ $0 > 0x20 && $0 != 0x22 && $0 != 0x5C }) else { return .none }
    return decoder.instruments.intern(String(decoding: name, as: UTF8.self).uppercased()) ?? .none
  }

  // MARK: Kept as they are

  private mutating func takeFeed(_ place: RecordPlace, _ record: TapeRecord) {
    let symbol = symbolID(ofStream: place.stream)
    appendVerbatim(place, .feed, symbol, "\(record.kind.name)", record.data)
  }

  private mutating func keep(
    _ place: RecordPlace, _ symbol: SymbolID, _ reason: FieldError, _ base: UnsafeRawPointer, _ start: Int,
    _ end: Int
  ) {
    let data = UnsafeRawBufferPointer(start: base + start, count: end - start)
    appendVerbatim(
      place, .other, symbol == .none ? symbolID(ofStream: place.stream) : symbol, reason.rawValue, data)
  }

  private mutating func appendVerbatim(
    _ place: RecordPlace, _ kind: TableKind, _ symbol: SymbolID, _ what: String,
    _ data: UnsafeRawBufferPointer
  ) {
    let batch = batchToFill(kind, symbol)
    let code = code(of: symbol, in: batch)
    let name = batch.index(ofName: what)
    let stream = place.stream.map { batch.append(text: $0) } ?? TableBatch.null
    let text = batch.append(text: data)
    let row = batch.begin(rows: 1).message
    for (column, value) in [
      code, place.receiveNs, place.sequence, place.connection, name, stream, text,
    ].enumerated() {
      batch.column(column)[row] = value
    }
  }
}

/// Levels of a depth event or a snapshot, all checked before any is taken.
private struct Levels {
  var prices: [Int64] = []
  var quantities: [Int64] = []
  var bidCount = 0

  init(_ fields: FieldReader, bids: StaticString, asks: StaticString) throws(FieldError) {
    try read(fields, bids)
    bidCount = prices.count
    try read(fields, asks)
    if prices.isEmpty { throw .noLevels }
  }

  private mutating func read(_ fields: FieldReader, _ key: StaticString) throws(FieldError) {
    guard var cursor = fields.cursor(key) else { throw .missingField }
    guard cursor.consume(0x5B) else { throw .wrongType }
    if cursor.consume(0x5D) { return }
    while true {
      guard cursor.consume(0x5B) else { throw .wrongType }
      prices.append(try decimalUnits(&cursor))
      guard cursor.consume(0x2C) else { throw .wrongType }
      quantities.append(try decimalUnits(&cursor))
      while true {
        guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
        if !more { break }
        guard cursor.skipValue() else { throw .malformed }
      }
      guard let more = cursor.continues(until: 0x5D) else { throw .malformed }
      if !more { return }
    }
  }

  func write(to batch: TableBatch, at row: Int, side: Int) {
    for index in prices.indices {
      batch.column(side)[row + index] = index < bidCount ? TapeProjection.bid : TapeProjection.ask
      batch.column(side + 1)[row + index] = prices[index]
      batch.column(side + 2)[row + index] = quantities[index]
    }
  }
}
