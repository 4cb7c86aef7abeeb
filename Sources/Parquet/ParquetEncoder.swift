import Core
import Tables

/// Turns rows into the pages of a row group: one dictionary page at most and one data page a column.
///
/// Holds the memory for it, which all writers of a conversion share; one row group at a time.
///
/// **Columns of the message** (times, ids) repeat for each level of a depth event. Their dictionary is the
/// values as they come, one a message, and the rows' indices are runs 0, 1, 2, … as long as the messages. No
/// row is touched, and since these runs are the same for all such columns, their page is made once.
///
/// **Prices and quantities** go through a hash dictionary, up to 65 536 distinct values; beyond that, and for
/// ids and times of rows, differences are packed (`DELTA_BINARY_PACKED`).
public final class ParquetEncoder {
  private let compressor: PageCompressor
  private let dictionary = ValueDictionary()
  private var page = PageBuffer()
  private var header = ByteWriter()
  /// Values that are not null, or repeated for each row.
  private var scratch: UnsafeMutablePointer<Int64>
  private var scratchCapacity = 1 << 12
  /// Whole pages of the runs of messages, for columns that cannot be null and for those that could.
  private var runPages: [RunPage?] = [nil, nil]
  /// The row group so far.
  private(set) var output = PageBuffer()
  private var fileOffset = 0
  private var chunks: [ColumnChunk] = []

  private struct RunPage {
    var headerBytes: Int
    var uncompressedBytes: Int
    var bytes: [UInt8]
  }

  /// - Parameter level: of zstd, 1...19
  public init(level: Int) {
    compressor = PageCompressor(level: level)
    scratch = .allocate(capacity: scratchCapacity)
  }

  deinit { scratch.deallocate() }

  /// Encodes a batch's rows into ``output``.
  ///
  /// - Parameter fileOffset: where the row group will lie.
  /// - Returns: its entry in the footer.
  func encode(
    _ batch: TableBatch, _ columns: [ParquetColumn], at fileOffset: Int, ordinal: Int
  ) throws(ParquetError) -> ThriftValue {
    begin(fileOffset)
    let repeats = batch.messageCount != batch.rowCount
    for (index, column) in columns.enumerated() {
      chunks.append(ColumnChunk(column, at: fileOffset + output.count))
      chunks[index].valueCount = batch.rowCount
      let values = batch.values(index)
      if repeats, batch.schema.columns[index].isOfMessage {
        try encodeRepeated(batch, values)
      } else {
        try encodeRows(batch, values)
      }
    }
    return finish(rows: batch.rowCount, ordinal: ordinal)
  }

  /// Encodes columns given as arrays.
  func encode(
    _ values: [ParquetValues], rows: Int, _ columns: [ParquetColumn], at fileOffset: Int, ordinal: Int
  ) throws(ParquetError) -> ThriftValue {
    begin(fileOffset)
    for (column, values) in zip(columns, values) {
      chunks.append(ColumnChunk(column, at: fileOffset + output.count))
      chunks[chunks.count - 1].valueCount = rows
      page.removeAll()
      appendLevels(column)
      switch (values, column.type) {
      case (.integers(let values), .uint8):
        for value in values { page.append(littleEndian: Int32(truncatingIfNeeded: value)) }
        try writeData(.plain)
      case (.integers(let values), .boolean):
        dictionary.reserveIndices(rows)
        for (row, value) in values.enumerated() { dictionary.indices[row] = UInt32(value & 1) }
        appendBits(rows)
        try writeData(.plain)
      case (.integers(let values), _):
        let result: Result<Void, ParquetError> = values.withUnsafeBufferPointer { buffer in
          do throws(ParquetError) {
            guard let base = buffer.baseAddress else { return .success(try writeData(.plain)) }
            return .success(try writeIntegers(base, rows, hashed: column.type == .decimal))
          } catch {
            return .failure(error)
          }
        }
        try result.get()
      case (.bytes(let bytes), _):
        bytes.withUnsafeBytes { page.append($0) }
        try writeData(.plain)
      case (.strings(let strings), _):
        for var string in strings {
          string.withUTF8 {
            page.append(littleEndian: UInt32($0.count))
            page.append(UnsafeRawBufferPointer($0))
          }
        }
        try writeData(.plain)
      }
    }
    return finish(rows: rows, ordinal: ordinal)
  }

  private func begin(_ fileOffset: Int) {
    self.fileOffset = fileOffset
    output.removeAll()
    chunks.removeAll(keepingCapacity: true)
    runPages = [nil, nil]
  }

  private func finish(rows: Int, ordinal: Int) -> ThriftValue {
    let uncompressed = chunks.reduce(0) { $0 + $1.uncompressedBytes }
    return .fields([
      1: .list(of: .structure, chunks.map(\.footerEntry)), 2: .int64(Int64(uncompressed)),
      3: .int64(Int64(rows)), 5: .int64(Int64(fileOffset)), 6: .int64(Int64(output.count)),
      7: ordinal <= Int(Int16.max) ? .int16(Int16(ordinal)) : nil,
    ])
  }

  private var current: Int { chunks.count - 1 }

  // MARK: Columns of messages

  private func encodeRepeated(_ batch: TableBatch, _ values: UnsafePointer<Int64>) throws(ParquetError) {
    let column = chunks[current].column
    let count = batch.messageCount
    let first = values[0]
    let isConstant = !contains(values, count) { $0 != first }
    guard isConstant || column.type == .int64 || column.type == .decimal else {
      // Names that change, in a batch of many symbols: row by row.
      reserveScratch(batch.rowCount)
      var row = 0
      for message in 0..<count {
        let rows = Int(batch.messageRows[message])
        (scratch + row).update(repeating: values[message], count: rows)
        row += rows
      }
      // The scratch memory is taken, so nulls are squeezed out in place.
      return try encodeRows(batch, scratch)
    }
    let nulls = contains(values, count) { $0 == TableBatch.null }
    if isConstant { return try encodeConstant(batch, first, nulls) }
    if nulls { return try encodeWithNulls(batch, values) }
    setBounds(values, count)
    try writeDictionary(UnsafeRawBufferPointer(start: values, count: 8 * count), count: count)
    try writeRuns(batch)
  }

  private func encodeConstant(_ batch: TableBatch, _ value: Int64, _ isNull: Bool) throws(ParquetError) {
    page.removeAll()
    if isNull {
      chunks[current].nullCount = batch.rowCount
      beginLevels { $0.append(run: batch.rowCount, of: 0, width: 1) }
      return try writeData(.plain)
    }
    switch chunks[current].column.type {
    case .name: try writeNames(batch, used: [Int(value)])
    case .boolean, .string: return try encodeRepeatedBits(batch, value)
    default:
      chunks[current].setBounds(value, value)
      scratch[0] = value
      try writeDictionary(UnsafeRawBufferPointer(start: scratch, count: 8), count: 1)
    }
    page.removeAll()
    appendLevels(chunks[current].column)
    let width = chunks[current].column.type == .name ? indexWidth(batch.names.count) : 1
    page.append(byte: UInt8(width))
    let code = chunks[current].column.type == .name ? UInt32(value) : 0
    page.append(run: batch.rowCount, of: code, width: width)
    try writeData(.rleDictionary)
  }

  private func encodeRepeatedBits(_ batch: TableBatch, _ value: Int64) throws(ParquetError) {
    reserveScratch(batch.rowCount)
    scratch.update(repeating: value, count: batch.rowCount)
    try encodeRows(batch, scratch)
  }

  private func encodeWithNulls(_ batch: TableBatch, _ values: UnsafePointer<Int64>) throws(ParquetError) {
    let count = batch.messageCount
    reserveScratch(count)
    var present = 0
    for message in 0..<count where values[message] != TableBatch.null {
      scratch[present] = values[message]
      present += 1
    }
    setBounds(scratch, present)
    try writeDictionary(UnsafeRawBufferPointer(start: scratch, count: 8 * present), count: present)
    page.removeAll()
    var nulls = 0
    beginLevels { page in
      var runRows = 0
      var isPresent = values[0] != TableBatch.null
      for message in 0..<count {
        let rows = Int(batch.messageRows[message])
        let next = values[message] != TableBatch.null
        if next != isPresent {
          page.append(run: runRows, of: isPresent ? 1 : 0, width: 1)
          isPresent = next
          runRows = 0
        }
        runRows += rows
        if !next { nulls += rows }
      }
      page.append(run: runRows, of: isPresent ? 1 : 0, width: 1)
    }
    chunks[current].nullCount = nulls
    let width = indexWidth(present)
    page.append(byte: UInt8(width))
    var code: UInt32 = 0
    for message in 0..<count where values[message] != TableBatch.null {
      page.append(run: Int(batch.messageRows[message]), of: code, width: width)
      code += 1
    }
    try writeData(.rleDictionary)
  }

  /// The page of the runs 0, 1, 2, …, made once a row group.
  private func writeRuns(_ batch: TableBatch) throws(ParquetError) {
    let isNullable = chunks[current].column.isNullable
    if runPages[isNullable ? 1 : 0] == nil {
      page.removeAll()
      appendLevels(chunks[current].column)
      let width = indexWidth(batch.messageCount)
      page.append(byte: UInt8(width))
      appendRuns(batch.messageRows, batch.messageCount, bytes: (width + 7) / 8)
      let start = output.count
      let header = try writePage(.data, page.bytes, encoding: .rleDictionary)
      runPages[isNullable ? 1 : 0] = RunPage(
        headerBytes: header.headerBytes, uncompressedBytes: page.count,
        bytes: Array(UnsafeRawBufferPointer(rebasing: output.bytes[start...])))
    } else {
      runPages[isNullable ? 1 : 0]!.bytes.withUnsafeBytes { output.append($0) }
    }
    let shared = runPages[isNullable ? 1 : 0]!
    chunks[current].addData(
      .rleDictionary, headerBytes: shared.headerBytes, compressed: shared.bytes.count - shared.headerBytes,
      uncompressed: shared.uncompressedBytes)
  }

  private func appendRuns(_ lengths: UnsafePointer<Int32>, _ count: Int, bytes: Int) {
    // A run is at most 5 bytes of length and 4 of index.
    let start = page.room(9 * count + 8)
    var target = start
    for message in 0..<count {
      target += write(varint: UInt64(UInt32(bitPattern: lengths[message])) &<< 1, to: target)
      target.storeBytes(of: UInt32(truncatingIfNeeded: message).littleEndian, as: UInt32.self)
      target += bytes
    }
    page.advance(target - start)
  }

  // MARK: Columns of rows

  private func encodeRows(_ batch: TableBatch, _ given: UnsafePointer<Int64>) throws(ParquetError) {
    let column = chunks[current].column
    var values = given
    var count = batch.rowCount
    page.removeAll()
    if column.isNullable, contains(given, count, where: { $0 == TableBatch.null }) {
      beginLevels { appendPresence(given, batch.rowCount, to: &$0) }
      count = squeeze(given, count)
      values = UnsafePointer(scratch)
      chunks[current].nullCount = batch.rowCount - count
      if count == 0 { return try writeData(.plain) }
    } else {
      appendLevels(column)
    }
    switch column.type {
    case .decimal: try writeIntegers(values, count, hashed: true)
    case .name: try writeCodes(batch, values, count)
    case .boolean:
      dictionary.reserveIndices(count)
      for row in 0..<count { dictionary.indices[row] = UInt32(truncatingIfNeeded: values[row] & 1) }
      appendBits(count)
      try writeData(.plain)
    case .string:
      for row in 0..<count {
        let text = batch.text(values[row])
        page.append(littleEndian: UInt32(text.count))
        page.append(text)
      }
      try writeData(.plain)
    default: try writeIntegers(values, count, hashed: false)
    }
  }

  /// Writes what is behind the levels that stand in the page.
  private func writeIntegers(_ values: UnsafePointer<Int64>, _ count: Int, hashed: Bool) throws(ParquetError)
  {
    let entriesMax = max(16, count / 2)
    if hashed, dictionary.encode(values, count, entriesMax: entriesMax) {
      setBounds(dictionary.entries, dictionary.count)
      let entries = UnsafeRawBufferPointer(start: dictionary.entries, count: 8 * dictionary.count)
      try writeDictionary(entries, count: dictionary.count)
      page.append(indices: dictionary.indices, count, width: indexWidth(dictionary.count))
      return try writeData(.rleDictionary)
    }
    let bounds = bounds(values, count)
    if chunks[current].column.type != .uint64 { chunks[current].setBounds(bounds.low, bounds.high) }
    let (span, overflow) = bounds.high.subtractingReportingOverflow(bounds.low)
    if overflow || span > Int64.max / 4 {
      page.append(UnsafeRawBufferPointer(start: values, count: 8 * count))
      try writeData(.plain)
    } else {
      page.append(deltas: values, count)
      try writeData(.deltaBinaryPacked)
    }
  }

  private func writeCodes(_ batch: TableBatch, _ codes: UnsafePointer<Int64>, _ count: Int)
    throws(ParquetError)
  {
    var isUsed = [Bool](repeating: false, count: batch.names.count)
    dictionary.reserveIndices(count)
    for row in 0..<count {
      isUsed[Int(codes[row])] = true
      dictionary.indices[row] = UInt32(truncatingIfNeeded: codes[row])
    }
    let used = isUsed.indices.filter { isUsed[$0] }
    // Its levels stand in the page already; the dictionary goes out from memory of its own.
    try writeNames(batch, used: used)
    let width = indexWidth(batch.names.count)
    if used.count == 1 {
      page.append(byte: UInt8(width))
      page.append(run: count, of: UInt32(used[0]), width: width)
    } else {
      page.append(indices: dictionary.indices, count, width: width)
    }
    try writeData(.rleDictionary)
  }

  // MARK: Pages

  private func writeNames(_ batch: TableBatch, used: [Int]) throws(ParquetError) {
    let bounds = used.map { Array(batch.names[$0].utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
    chunks[current].smallest = bounds.first
    chunks[current].largest = bounds.last
    var plain: [UInt8] = []
    for name in batch.names {
      withUnsafeBytes(of: UInt32(name.utf8.count).littleEndian) { plain.append(contentsOf: $0) }
      plain.append(contentsOf: name.utf8)
    }
    let result: Result<Void, ParquetError> = plain.withUnsafeBytes { bytes in
      do throws(ParquetError) {
        return .success(try writeDictionary(bytes, count: batch.names.count))
      } catch {
        return .failure(error)
      }
    }
    try result.get()
  }

  private func writeDictionary(_ plain: UnsafeRawBufferPointer, count: Int) throws(ParquetError) {
    let written = try writePage(.dictionary, plain, encoding: .plain, values: count)
    chunks[current].addDictionary(
      headerBytes: written.headerBytes, compressed: written.compressedBytes, uncompressed: plain.count)
  }

  private func writeData(_ encoding: Format.Encoding) throws(ParquetError) {
    let written = try writePage(.data, page.bytes, encoding: encoding)
    chunks[current].addData(
      encoding, headerBytes: written.headerBytes, compressed: written.compressedBytes,
      uncompressed: page.count)
  }

  private func writePage(
    _ kind: Format.Page, _ plain: UnsafeRawBufferPointer, encoding: Format.Encoding, values: Int? = nil
  ) throws(ParquetError) -> (headerBytes: Int, compressedBytes: Int) {
    try compressor.compress(plain)
    let count: ThriftValue = .int32(Int32(values ?? chunks[current].valueCount))
    let rle: ThriftValue = .int32(Format.Encoding.rle.rawValue)
    let content: ThriftValue =
      kind == .data
      ? .fields([1: count, 2: .int32(encoding.rawValue), 3: rle, 4: rle])
      : .fields([1: count, 2: .int32(encoding.rawValue)])
    header.removeAll()
    ThriftValue.fields([
      1: .int32(kind.rawValue), 2: .int32(Int32(plain.count)), 3: .int32(Int32(compressor.buffer.count)),
      5: kind == .data ? content : nil, 7: kind == .dictionary ? content : nil,
    ]).write(into: &header)
    output.append(header.bytes)
    output.append(compressor.buffer.bytes)
    return (header.count, compressor.buffer.count)
  }

  // MARK: Levels

  /// Definition levels of a column without nulls; none where it cannot have any.
  private func appendLevels(_ column: ParquetColumn) {
    guard column.isNullable else { return }
    let count = chunks[current].valueCount
    beginLevels { $0.append(run: count, of: 1, width: 1) }
  }

  private func beginLevels(_ fill: (inout PageBuffer) -> Void) {
    let start = page.count
    page.append(littleEndian: UInt32(0))
    fill(&page)
    page.set(UInt32(page.count - start - 4), at: start)
  }

  private func appendPresence(_ values: UnsafePointer<Int64>, _ count: Int, to page: inout PageBuffer) {
    var start = 0
    while start < count {
      let isPresent = values[start] != TableBatch.null
      var end = start + 1
      while end < count, (values[end] != TableBatch.null) == isPresent { end += 1 }
      page.append(run: end - start, of: isPresent ? 1 : 0, width: 1)
      start = end
    }
  }

  private func appendBits(_ count: Int) {
    let bytes = (count + 7) / 8
    pack(dictionary.indices, count, width: 1, to: page.room(bytes + 8))
    page.advance(bytes)
  }

  // MARK: Values

  private func reserveScratch(_ count: Int) {
    guard count > scratchCapacity else { return }
    let old = scratch
    let oldCapacity = scratchCapacity
    while scratchCapacity < count { scratchCapacity *= 2 }
    scratch = .allocate(capacity: scratchCapacity)
    scratch.update(from: old, count: oldCapacity)
    old.deallocate()
  }

  /// Moves the values that are not null to the front of the scratch memory, where they may be already.
  private func squeeze(_ values: UnsafePointer<Int64>, _ count: Int) -> Int {
    if values != UnsafePointer(scratch) { reserveScratch(count) }
    var present = 0
    for row in 0..<count where values[row] != TableBatch.null {
      scratch[present] = values[row]
      present &+= 1
    }
    return present
  }

  private func setBounds(_ values: UnsafePointer<Int64>, _ count: Int) {
    let bounds = bounds(values, count)
    chunks[current].setBounds(bounds.low, bounds.high)
  }

  private func bounds(_ values: UnsafePointer<Int64>, _ count: Int) -> (low: Int64, high: Int64) {
    var low = values[0]
    var high = low
    for index in 1..<max(1, count) {
      low = min(low, values[index])
      high = max(high, values[index])
    }
    return (low, high)
  }

  @inline(__always)
  private func contains(_ values: UnsafePointer<Int64>, _ count: Int, where holds: (Int64) -> Bool) -> Bool {
    for index in 0..<count where holds(values[index]) { return true }
    return false
  }

  /// Of indices into so many entries; readers do not all take a width of 0.
  private func indexWidth(_ entries: Int) -> Int { max(1, bitWidth(UInt64(max(1, entries) - 1))) }
}
