import Core
import Tables

/// Rows as they are collected: bytes and where each row ends.
struct RowWriter {
  private(set) var bytes: [UInt8] = []
  private(set) var rowEnds: [Int] = []
  private(set) var lastSequence: Int64 = 0

  var rowCount: Int { rowEnds.count }
  var byteCount: Int { bytes.count }

  mutating func append(_ prefix: [UInt8], _ sequence: Int64, _ row: (inout [UInt8]) -> Void) {
    bytes.append(contentsOf: prefix)
    row(&bytes)
    rowEnds.append(bytes.count)
    lastSequence = sequence
  }

  mutating func take() -> ([UInt8], [Int]) {
    defer {
      bytes = []
      rowEnds = []
      bytes.reserveCapacity(1 << 20)
    }
    return (bytes, rowEnds)
  }
}

/// Writes one table's rows as ClickHouse's RowBinary: fixed widths little-endian, texts behind their length
/// (LEB128), what may be null behind a byte that says whether it is.
struct RowEncoder {
  struct Times {
    var sequence: Int64
    var receiveNs: Int64
    /// Of the row, see `rowTimeNs`.
    var timeNs: Int64
    /// Days since 1970 of the row's time, as the server partitions it.
    var day: Int64
  }

  private let columns: [TableColumn]
  private let dialect: ClickHouseDialect
  private let hasIncrement: Bool
  private let tape: [UInt8]
  private let sequence, receive: Int
  private let transaction, exchange: Int?
  private let ofMessage, ofRow: [Int]
  /// By index, length and bytes.
  private var names: [[UInt8]] = []
  private var prefix: [UInt8] = []

  init(_ kind: TableKind, tape: String, dialect: ClickHouseDialect) {
    let schema = TableSchema.of(kind)
    columns = schema.columns
    self.dialect = dialect
    hasIncrement = kind == .bookTicker
    self.tape = RowEncoder.text(tape)
    sequence = schema.index(of: "seq")!
    receive = schema.index(of: "recv_ns")!
    transaction = schema.index(of: "transaction_ns")
    exchange = schema.index(of: "exchange_ns")
    ofMessage = columns.indices.filter { schema.columns[$0].isOfMessage }
    ofRow = columns.indices.filter { !schema.columns[$0].isOfMessage }
  }

  mutating func learnNames(_ batch: TableBatch) {
    while names.count < batch.names.count { names.append(RowEncoder.text(batch.names[names.count])) }
  }

  func times(_ batch: TableBatch, _ message: Int) -> Times {
    let receiveNs = batch.values(receive)[message]
    let time = rowTimeNs(
      transaction.map { batch.values($0)[message] } ?? TableBatch.null,
      exchange.map { batch.values($0)[message] } ?? TableBatch.null, receiveNs)
    let inRange = dialect == .legacy ? min(max(time, 0), Int64(UInt32.max) * Nanoseconds.second) : time
    let day = inRange / Nanoseconds.day - (inRange % Nanoseconds.day < 0 ? 1 : 0)
    return Times(
      sequence: batch.values(sequence)[message], receiveNs: receiveNs, timeNs: time, day: day)
  }

  /// - Parameters:
  ///   - rows: of the message, as they are numbered in the batch.
  ///   - increment: of a quote; null for none.
  mutating func encode(
    _ batch: TableBatch, _ message: Int, rows: Range<Int>, _ times: Times, _ increment: Int64,
    into writer: inout RowWriter
  ) {
    prefix.removeAll(keepingCapacity: true)
    prefix.append(contentsOf: tape)
    switch dialect {
    case .modern: RowEncoder.append(times.timeNs, to: &prefix)
    case .legacy:
      // Its DateTime is of 1970 to 2106; the exact time stands beside it.
      let seconds = min(max(times.timeNs, 0) / Nanoseconds.second, Int64(UInt32.max))
      RowEncoder.append(UInt32(seconds), to: &prefix)
      RowEncoder.append(times.timeNs, to: &prefix)
    }
    if hasIncrement {
      prefix.append(increment == TableBatch.null ? 1 : 0)
      if increment != TableBatch.null { RowEncoder.append(Int128(increment), to: &prefix) }
    }
    for column in ofMessage { append(batch, column, batch.values(column)[message], to: &prefix) }
    for row in rows {
      writer.append(prefix, times.sequence) { bytes in
        for column in ofRow { append(batch, column, batch.values(column)[row], to: &bytes) }
      }
    }
  }

  private func append(_ batch: TableBatch, _ column: Int, _ value: Int64, to bytes: inout [UInt8]) {
    if value == TableBatch.null {
      // A symbol that is absent is the empty name: it stands in the key.
      bytes.append(columns[column].name == "symbol" ? 0 : 1)
      return
    }
    if columns[column].isNullable, columns[column].name != "symbol" { bytes.append(0) }
    switch columns[column].type {
    case .integer, .decimal: RowEncoder.append(value, to: &bytes)
    case .boolean: bytes.append(value == 0 ? 0 : 1)
    case .name: bytes.append(contentsOf: names[Int(value)])
    case .text:
      let text = batch.text(value)
      RowEncoder.append(length: text.count, to: &bytes)
      bytes.append(contentsOf: text)
    }
  }

  private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func append(length: Int, to bytes: inout [UInt8]) {
    var left = length
    while left >= 0x80 {
      bytes.append(UInt8(left & 0x7F) | 0x80)
      left >>= 7
    }
    bytes.append(UInt8(left))
  }

  private static func text(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    append(length: text.utf8.count, to: &bytes)
    return bytes + Array(text.utf8)
  }
}
