import Core

/// A column of a row group while its pages are appended, and then its entry in the footer.
struct ColumnChunk {
  let column: ParquetColumn
  /// Where it begins in the file.
  let start: Int
  private var dictionaryOffset: Int?
  private var dataOffset = 0
  private var encodings: [Format.Encoding] = []
  private(set) var uncompressedBytes = 0
  private(set) var compressedBytes = 0
  var valueCount = 0
  var nullCount = 0
  var smallest: [UInt8]?
  var largest: [UInt8]?

  init(_ column: ParquetColumn, at start: Int) {
    self.column = column
    self.start = start
  }

  mutating func addDictionary(headerBytes: Int, compressed: Int, uncompressed: Int) {
    dictionaryOffset = start + compressedBytes
    note(.plain)
    add(headerBytes, compressed, uncompressed)
  }

  mutating func addData(
    _ encoding: Format.Encoding, headerBytes: Int, compressed: Int, uncompressed: Int
  ) {
    dataOffset = start + compressedBytes
    note(encoding)
    if column.isNullable { note(.rle) }
    add(headerBytes, compressed, uncompressed)
  }

  /// Bounds of integers, in the order of their signed values.
  mutating func setBounds(_ low: Int64, _ high: Int64) {
    func bytes(_ value: Int64) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    smallest = bytes(low)
    largest = bytes(high)
  }

  private mutating func note(_ encoding: Format.Encoding) {
    if !encodings.contains(encoding) { encodings.append(encoding) }
  }

  private mutating func add(_ headerBytes: Int, _ compressed: Int, _ uncompressed: Int) {
    compressedBytes += headerBytes + compressed
    uncompressedBytes += headerBytes + uncompressed
  }

  var footerEntry: ThriftValue {
    let statistics: ThriftValue = .fields([
      3: .int64(Int64(nullCount)), 5: largest.map { .binary($0) }, 6: smallest.map { .binary($0) },
    ])
    return .fields([
      2: .int64(0),
      3: .fields([
        1: .int32(column.physicalType),
        2: .list(of: .int32, encodings.map { .int32($0.rawValue) }),
        3: .list(of: .binary, [.text(column.name)]),
        4: .int32(Format.zstandard), 5: .int64(Int64(valueCount)),
        6: .int64(Int64(uncompressedBytes)), 7: .int64(Int64(compressedBytes)),
        9: .int64(Int64(dataOffset)), 11: dictionaryOffset.map { .int64(Int64($0)) }, 12: statistics,
      ]),
    ])
  }
}
