import Binance
import Core
import Parquet

/// A symbol's market as a NautilusTrader 1.221 data catalog: Parquet files of deltas, trades and quotes.
///
/// **Layout.** `OUT/data/<class>/<instrument>/<first>_<last>.parquet`, the class being `order_book_delta`,
/// `trade_tick` or `quote_tick`, the times those of the first and last `ts_init`. Prices and sizes are 128-bit
/// integers of 1e-16, little-endian, in 16 bytes (its high precision, the default of its Linux wheels); the
/// instrument and its decimals are the file's metadata.
///
/// **Meaning.** `ts_event` is the exchange's time and `ts_init` the tape's receive time, both as they are: a catalog is
/// sorted by `ts_init`, and nothing is moved between clocks. The book is one by price (`L2_MBP`): `UPDATE` or
/// `DELETE` of a level, a whole book is `CLEAR` and `ADD`s with `F_SNAPSHOT`; the last delta of a message has
/// `F_LAST`. The instrument's definition is not on the tape (fees, margins), so none is written;
/// `examples/nautilus_catalog.py` adds one.
///
/// **Bounds.** ``rowsPerGroup`` rows of each class in memory. Files appear under their names when they are whole.
///
/// Source: nautilus_trader 1.221.0, `persistence/catalog/parquet.py`, `serialization/arrow/schema.py`,
/// `model/data.pyx`.
struct NautilusCatalog: MarketSink {
  static let rowsPerGroup = 1 << 16
  /// Decimals of its raw values.
  static let rawDecimals = 16

  private enum Flag {
    static let snapshot: Int64 = 32
    static let last: Int64 = 128
  }

  private enum BookAction {
    static let add: Int64 = 1
    static let update: Int64 = 2
    static let delete: Int64 = 3
    static let clear: Int64 = 4
  }

  let instrumentID: String
  private var deltas: NautilusTable
  private var trades: NautilusTable
  private var quotes: NautilusTable

  /// - Throws: ``MarketExportError/outputExists(_:)`` where the catalog has files of the instrument.
  init(_ options: MarketExportOptions) throws {
    instrumentID = NautilusCatalog.instrumentID(options.symbol)
    let encoder = ParquetEncoder(level: Int(options.compressionLevel))
    func table(_ name: String, _ columns: [ParquetColumn]) throws -> NautilusTable {
      try NautilusTable(
        folder: "\(options.out)/data/\(name)/\(NautilusCatalog.instrumentID(options.symbol))",
        columns: columns, encoder: encoder)
    }
    func column(_ name: String, _ type: ParquetType) -> ParquetColumn { ParquetColumn(name, type) }
    deltas = try table(
      "order_book_delta",
      [
        column("action", .uint8), column("side", .uint8), column("price", .fixed(16)),
        column("size", .fixed(16)), column("order_id", .uint64), column("flags", .uint8),
        column("sequence", .uint64), column("ts_event", .uint64), column("ts_init", .uint64),
      ])
    trades = try table(
      "trade_tick",
      [
        column("price", .fixed(16)), column("size", .fixed(16)), column("aggressor_side", .uint8),
        column("trade_id", .string), column("ts_event", .uint64), column("ts_init", .uint64),
      ])
    quotes = try table(
      "quote_tick",
      [
        column("bid_price", .fixed(16)), column("ask_price", .fixed(16)), column("bid_size", .fixed(16)),
        column("ask_size", .fixed(16)), column("ts_event", .uint64), column("ts_init", .uint64),
      ])
  }

  /// `BTCUSDT-PERP.BINANCE`: a USD-M perpetual, as Nautilus names it.
  static func instrumentID(_ symbol: String) -> String { "\(symbol)-PERP.BINANCE" }

  var hasMessages: Bool { deltas.rowCount + trades.rowCount + quotes.rowCount > 0 }

  mutating func take(
    _ messages: [MarketMessage], _ levels: [MarketLevel], _ instrument: Instrument
  ) throws {
    let price = instrument.priceScale
    let size = instrument.quantityScale
    for message in messages {
      let range = message.firstLevel..<message.firstLevel + message.levelCount
      switch message.kind {
      case .depth, .snapshot:
        let isSnapshot = message.kind == .snapshot
        let flags = isSnapshot ? Flag.snapshot : 0
        if isSnapshot {
          append(
            delta: BookAction.clear, side: 0, nil, price, size, range.isEmpty ? flags | Flag.last : flags,
            message)
        }
        for index in range {
          let level = levels[index]
          let action =
            level.quantity == 0 ? BookAction.delete : isSnapshot ? BookAction.add : BookAction.update
          append(
            delta: action, side: level.isBid ? 1 : 2, level, price, size,
            index == range.upperBound - 1 ? flags | Flag.last : flags, message)
        }
        try deltas.writeGroupIfFull(instrument, instrumentID)
      case .trade:
        let level = levels[range.lowerBound]
        trades.append(raw: level.price, price, 0)
        trades.append(raw: level.quantity, size, 1)
        trades.append(level.isBid ? 1 : 2, 2)
        trades.append("\(message.id)", 3)
        trades.end(message, timesAt: 4)
        try trades.writeGroupIfFull(instrument, instrumentID)
      case .quote:
        let (bid, ask) = (levels[range.lowerBound], levels[range.lowerBound + 1])
        quotes.append(raw: bid.price, price, 0)
        quotes.append(raw: ask.price, price, 1)
        quotes.append(raw: bid.quantity, size, 2)
        quotes.append(raw: ask.quantity, size, 3)
        quotes.end(message, timesAt: 4)
        try quotes.writeGroupIfFull(instrument, instrumentID)
      }
    }
  }

  private mutating func append(
    delta action: Int64, side: Int64, _ level: MarketLevel?, _ price: DecimalScale, _ size: DecimalScale,
    _ flags: Int64, _ message: MarketMessage
  ) {
    deltas.append(action, 0)
    deltas.append(side, 1)
    deltas.append(raw: level?.price ?? 0, price, 2)
    deltas.append(raw: level?.quantity ?? 0, size, 3)
    deltas.append(0, 4)
    deltas.append(flags, 5)
    deltas.append(message.id, 6)
    deltas.end(message, timesAt: 7)
  }

  /// Removes what is not whole.
  func discard() {
    for table in [deltas, trades, quotes] { table.discard() }
  }

  mutating func finish(_ instrument: Instrument) throws -> [JSONValue.Member] {
    let rows: JSONValue = .object([
      "order_book_delta": .integer(deltas.rowCount), "trade_tick": .integer(trades.rowCount),
      "quote_tick": .integer(quotes.rowCount),
    ])
    let files = try [
      deltas.finish(instrument, instrumentID), trades.finish(instrument, instrumentID),
      quotes.finish(instrument, instrumentID),
    ].compactMap(\.self)
    return [
      .init("instrument_id", .string(instrumentID)), .init("rows", rows),
      .init("files", .array(files.map { .string($0.path) })),
      .init("bytes", .integer(files.reduce(0) { $0 + $1.bytes })),
      .init("local_shift_ns", .integer(0)),
    ]
  }
}

/// One class of a catalog: rows collected by column, and the file they go to.
struct NautilusTable {
  private let folder: String
  private let columns: [ParquetColumn]
  private let encoder: ParquetEncoder
  private var writer: ParquetFileWriter?
  private var integers: [[Int64]]
  private var bytes: [[UInt8]]
  private var strings: [[String]]
  private var pending = 0
  private(set) var rowCount = 0
  private var firstNs: Int64 = 0
  private var lastNs: Int64 = 0

  init(folder: String, columns: [ParquetColumn], encoder: ParquetEncoder) throws {
    if let names = try? Files.list(folder), names.contains(where: { $0.hasSuffix(".parquet") }) {
      throw MarketExportError.outputExists(folder)
    }
    self.folder = folder
    self.columns = columns
    self.encoder = encoder
    integers = columns.map { _ in [] }
    bytes = columns.map { _ in [] }
    strings = columns.map { _ in [] }
  }

  private var temporary: String { folder + "/.part" }

  func discard() { try? Files.remove(temporary) }

  mutating func append(_ value: Int64, _ column: Int) { integers[column].append(value) }
  mutating func append(_ value: String, _ column: Int) { strings[column].append(value) }

  /// A price or size as 128-bit integer of 1e-16.
  mutating func append(raw units: Int64, _ scale: DecimalScale, _ column: Int) {
    let factor = powerOfTen(NautilusCatalog.rawDecimals - scale.decimals)
    let product = units.multipliedFullWidth(by: factor)
    withUnsafeBytes(of: product.low.littleEndian) { bytes[column].append(contentsOf: $0) }
    withUnsafeBytes(of: product.high.littleEndian) { bytes[column].append(contentsOf: $0) }
  }

  /// Ends a row with its two times.
  mutating func end(_ message: MarketMessage, timesAt column: Int) {
    append(message.exchangeNs, column)
    append(message.receiveNs, column + 1)
    if rowCount == 0 { firstNs = message.receiveNs }
    lastNs = message.receiveNs
    rowCount += 1
    pending += 1
  }

  mutating func writeGroupIfFull(_ instrument: Instrument, _ id: String) throws {
    if pending >= NautilusCatalog.rowsPerGroup { try writeGroup(instrument, id) }
  }

  private mutating func writeGroup(_ instrument: Instrument, _ id: String) throws {
    guard pending > 0 else { return }
    if writer == nil {
      try Files.makeFolder(folder)
      writer = ParquetFileWriter(
        temporary, columns: columns,
        metadata: [
          ("instrument_id", id), ("price_precision", "\(instrument.priceScale.decimals)"),
          ("size_precision", "\(instrument.quantityScale.decimals)"),
        ], encoder: encoder)
    }
    let values = columns.indices.map { column -> ParquetValues in
      switch columns[column].type {
      case .fixed: .bytes(bytes[column])
      case .string: .strings(strings[column])
      default: .integers(integers[column])
      }
    }
    try writer!.append(values, rows: pending)
    pending = 0
    for column in columns.indices {
      integers[column].removeAll(keepingCapacity: true)
      bytes[column].removeAll(keepingCapacity: true)
      strings[column].removeAll(keepingCapacity: true)
    }
  }

  /// - Returns: nil where there are no rows: the class has no file then.
  mutating func finish(_ instrument: Instrument, _ id: String) throws -> (path: String, bytes: Int)? {
    try writeGroup(instrument, id)
    guard let writer else { return nil }
    try writer.finish(durable: true)
    let path = "\(folder)/\(NautilusTable.stamp(firstNs))_\(NautilusTable.stamp(lastNs)).parquet"
    try Files.rename(temporary, path)
    try Files.syncFolder(folder)
    return (path, writer.byteCount)
  }

  /// `2024-07-18T23-57-00-984480942Z`
  private static func stamp(_ timeNs: Int64) -> String {
    let date = UTCDate(UnixNanos(timeNs))
    let digits = String(date.nanosecond)
    let time = date.timeText.split(separator: ":").joined(separator: "-")
    return "\(date.dayText)T\(time)-\(String(repeating: "0", count: 9 - digits.utf8.count))\(digits)Z"
  }
}
