import Core
import Tape

/// The content of rows in one order, column by column: counts of nulls and hashes that name the column in
/// which two copies of a table differ.
///
/// A column's hash is the SHA-256 over its runs of equal neighbours: for each run the value (8 bytes
/// little-endian; for texts and names the length in 4 bytes and the UTF-8 bytes; for null one byte 0x00, each
/// other value preceded by 0x01), then the run's length in 8 bytes. Runs make the hash independent of how
/// often a writer or reader repeats a value, and cheap where all levels of a message share it.
public struct TableDigest {
  public struct Summary: Equatable, Sendable {
    public var rows: Int64
    /// By column.
    public var nulls: [Int64]
    /// By column, lower-case hexadecimal.
    public var hashes: [String]
  }

  private struct Pending {
    var isNull = false
    var integer: Int64 = 0
    var bytes: [UInt8] = []
    var count: Int64 = 0
  }

  public let schema: TableSchema
  private var hashes: [Hash]
  private var pending: [Pending]
  private var nulls: [Int64]
  private var rows: Int64 = 0

  public init(_ schema: TableSchema) {
    self.schema = schema
    hashes = schema.columns.map { _ in Hash() }
    pending = schema.columns.map { _ in Pending() }
    nulls = schema.columns.map { _ in 0 }
  }

  public mutating func add(_ batch: TableBatch) {
    rows += Int64(batch.rowCount)
    for (index, column) in schema.columns.enumerated() {
      let values = batch.values(index)
      let count = column.isOfMessage ? batch.messageCount : batch.rowCount
      for place in 0..<count {
        let length = column.isOfMessage ? Int64(batch.messageRows[place]) : 1
        let value = values[place]
        if value == TableBatch.null {
          addNull(index, repeated: length)
        } else {
          switch column.type {
          case .integer, .decimal, .boolean: add(index, value, repeated: length)
          case .name:
            var name = batch.names[Int(value)]
            name.withUTF8 { add(index, text: UnsafeRawBufferPointer($0), repeated: length) }
          case .text: add(index, text: batch.text(value), repeated: length)
          }
        }
      }
    }
  }

  /// Counts rows that are given value by value.
  public mutating func addRows(_ count: Int) { rows += Int64(count) }

  @inline(__always)
  public mutating func add(_ column: Int, _ value: Int64, repeated count: Int64 = 1) {
    if pending[column].count > 0, !pending[column].isNull, pending[column].integer == value {
      pending[column].count &+= count
      return
    }
    end(column)
    pending[column].isNull = false
    pending[column].integer = value
    pending[column].count = count
  }

  public mutating func addNull(_ column: Int, repeated count: Int64 = 1) {
    nulls[column] += count
    if pending[column].count > 0, pending[column].isNull {
      pending[column].count += count
      return
    }
    end(column)
    pending[column].isNull = true
    pending[column].count = count
  }

  public mutating func add(_ column: Int, text: UnsafeRawBufferPointer, repeated count: Int64 = 1) {
    let isSame =
      pending[column].count > 0 && !pending[column].isNull && pending[column].bytes.count == text.count
      && pending[column].bytes.elementsEqual(text)
    if isSame {
      pending[column].count += count
      return
    }
    end(column)
    pending[column].isNull = false
    pending[column].bytes.removeAll(keepingCapacity: true)
    pending[column].bytes.append(contentsOf: text)
    pending[column].count = count
  }

  private mutating func end(_ column: Int) {
    let run = pending[column]
    guard run.count > 0 else { return }
    if run.isNull {
      hashes[column].add(byte: 0)
    } else {
      hashes[column].add(byte: 1)
      switch schema.columns[column].type {
      case .integer, .decimal, .boolean: hashes[column].add(run.integer)
      case .name, .text: hashes[column].add(text: run.bytes)
      }
    }
    hashes[column].add(run.count)
  }

  /// What the rows so far amount to. No rows may be added afterwards.
  public mutating func finish() -> Summary {
    for column in schema.columns.indices {
      end(column)
      pending[column].count = 0
    }
    return Summary(rows: rows, nulls: nulls, hashes: hashes.map { $0.finish() })
  }

  /// SHA-256 with its input collected in pieces.
  private final class Hash {
    private var stream = SHA256Stream()
    private var buffer: [UInt8] = []

    init() { buffer.reserveCapacity(8192) }

    func add(byte: UInt8) { buffer.append(byte) }

    func add(_ value: Int64) {
      withUnsafeBytes(of: value.littleEndian) { buffer.append(contentsOf: $0) }
      if buffer.count >= 8000 { flush() }
    }

    func add(text: [UInt8]) {
      withUnsafeBytes(of: UInt32(text.count).littleEndian) { buffer.append(contentsOf: $0) }
      buffer.append(contentsOf: text)
    }

    private func flush() {
      buffer.withUnsafeBytes { stream.update($0) }
      buffer.removeAll(keepingCapacity: true)
    }

    func finish() -> String {
      flush()
      return stream.hexadecimal()
    }
  }
}
