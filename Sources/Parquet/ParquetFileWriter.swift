import Core
import Tables

/// Columns of a row group given as arrays, for tables that are not Weir's own.
public enum ParquetValues: Sendable {
  /// For every numeric type: unsigned ones as their bits, decimals in 1e-8 units, booleans 0 and 1.
  case integers([Int64])
  /// For fixed lengths: the rows' bytes one behind the other.
  case bytes([UInt8])
  case strings([String])
}

/// Writes a Parquet file, a row group at a time.
///
/// **Problem.** An hour of order-book levels is a hundred million rows that repeat their message's times and
/// ids. It must be converted faster than it comes, many times over, on one core and in little memory.
///
/// **Why the obvious answer fails.** General writers take rows or full columns: they are handed each repeated
/// value, hash it, count its runs and encode it, 150 to 600 ns for a row of four columns
/// (docs/decisions/0018).
///
/// **Algorithm.** The writer is handed messages, not rows: see ``ParquetEncoder``. Pages are version 1, as
/// every reader knows them, zstd with a checksum each. A row group goes out with one write; between two of
/// them the file is closed, so that any number of writers needs one descriptor.
/// Source: Apache Parquet, "File Format", `parquet.thrift`; Apache Arrow for `ARROW:schema`.
///
/// **Bounds.** A row group is held in memory once more while it is written. A page is below 2 GiB: callers
/// keep row groups below that (``rowGroupBytesMax``).
public final class ParquetFileWriter {
  /// Bytes of a batch that are written as one row group at the most.
  public static let rowGroupBytesMax = 1 << 30

  public let path: String
  public let columns: [ParquetColumn]
  public private(set) var rowCount: Int64 = 0
  /// Of the file so far.
  public private(set) var byteCount = 0
  private let encoder: ParquetEncoder
  private let metadata: [(key: String, value: String)]
  private var rowGroups: [ThriftValue] = []

  /// Nothing is written before the first row group; an existing file is then replaced.
  ///
  /// - Parameters:
  ///   - metadata: what readers find as the file's key-value metadata. `ARROW:schema` is added to it.
  ///   - encoder: may be shared by writers that take turns.
  public init(
    _ path: String, columns: [ParquetColumn], metadata: [(key: String, value: String)] = [],
    encoder: ParquetEncoder
  ) {
    self.path = path
    self.columns = columns
    self.encoder = encoder
    self.metadata =
      metadata.contains { $0.key == ArrowSchema.key }
      ? metadata : metadata + [(ArrowSchema.key, ArrowSchema.base64(columns))]
  }

  /// A file of one of Weir's tables, with `weir.schema_version` and `weir.kind` among its metadata.
  public convenience init(
    _ path: String, schema: TableSchema, metadata: [(key: String, value: String)] = [],
    encoder: ParquetEncoder
  ) {
    let own = [
      (key: "weir.schema_version", value: "\(TableSchema.version)"),
      (key: "weir.kind", value: schema.kind.name),
    ]
    self.init(
      path, columns: schema.columns.map { ParquetColumn($0) }, metadata: own + metadata, encoder: encoder)
  }

  /// Writes a batch's rows as one row group; the batch is not emptied. An empty one is passed over.
  ///
  /// - Complexity: O(rows + messages × columns)
  public func append(_ batch: TableBatch) throws(ParquetError) {
    precondition(batch.byteCount <= ParquetFileWriter.rowGroupBytesMax, "a row group beyond its bound")
    guard batch.rowCount > 0 else { return }
    try begin()
    rowGroups.append(try encoder.encode(batch, columns, at: byteCount, ordinal: rowGroups.count))
    try write(encoder.output.bytes)
    rowCount += Int64(batch.rowCount)
  }

  /// Writes columns as one row group. No value is null.
  ///
  /// - Precondition: one array a column, of its type, each of `rows` rows.
  public func append(_ values: [ParquetValues], rows: Int) throws(ParquetError) {
    precondition(values.count == columns.count, "a column is missing")
    for (column, values) in zip(columns, values) {
      switch values {
      case .integers(let values): precondition(values.count == rows, column.name)
      case .bytes(let bytes): precondition(bytes.count == rows * column.valueBytes, column.name)
      case .strings(let strings): precondition(strings.count == rows, column.name)
      }
    }
    guard rows > 0 else { return }
    try begin()
    rowGroups.append(try encoder.encode(values, rows: rows, columns, at: byteCount, ordinal: rowGroups.count))
    try write(encoder.output.bytes)
    rowCount += Int64(rows)
  }

  /// Writes the footer; before it the file is none. Nothing may follow.
  ///
  /// - Parameter durable: the file is synced.
  public func finish(durable: Bool = false) throws(ParquetError) {
    try begin()
    let footer = ParquetFooter.make(
      columns: columns.map(\.schemaElement), rows: rowCount, rowGroups: rowGroups, metadata: metadata)
    var writer = ByteWriter()
    ParquetFooter.append(footer, to: &writer)
    try write(writer.bytes, durable: durable)
  }

  private func begin() throws(ParquetError) {
    guard byteCount == 0 else { return }
    try ParquetError.onFile { () throws(FileError) in _ = try File(path, .write) }
    var failure: ParquetError?
    Format.magic.withUnsafeBytes { bytes in
      do throws(ParquetError) { try write(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, durable: Bool = false) throws(ParquetError) {
    try ParquetError.onFile { () throws(FileError) in
      let file = try File(path, .append)
      try file.write(bytes)
      if durable { try file.sync() }
    }
    byteCount += bytes.count
  }
}
