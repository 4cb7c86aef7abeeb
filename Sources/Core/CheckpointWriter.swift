/// Writes a checkpoint's values one after the other; see ``Checkpointed``.
public struct CheckpointWriter: ~Copyable {
  private var output: ByteWriter

  public init(capacity: Int = 64 << 10) { output = ByteWriter(capacity: capacity) }

  /// Valid until the next mutation.
  public var bytes: UnsafeRawBufferPointer { output.bytes }
  public var count: Int { output.count }

  public mutating func removeAll() { output.removeAll() }

  public mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { output.append(bytes: $0) }
  }

  public mutating func append(_ value: Bool) { output.append(byte: value ? 1 : 0) }

  /// By its bits.
  public mutating func append(_ value: Double) { append(value.bitPattern) }

  public mutating func append(_ value: Int64?) {
    append(value != nil)
    if let value { append(value) }
  }

  public mutating func append<Value: RawRepresentable>(_ value: Value) where Value.RawValue == UInt8 {
    append(value.rawValue)
  }

  public mutating func append(_ value: Quote?) {
    append(value != nil)
    guard let value else { return }
    append(value.bidPrice)
    append(value.bidQuantity)
    append(value.askPrice)
    append(value.askQuantity)
  }

  public mutating func append(_ text: String) {
    var text = text
    text.withUTF8 {
      append(UInt32($0.count))
      output.append(bytes: UnsafeRawBufferPointer($0))
    }
  }

  /// A run of words whose number the reader knows.
  public mutating func append(words: UnsafePointer<Int64>, count: Int) {
    assert(Int64(1).littleEndian == 1, "words are copied as they lie in memory")
    output.append(bytes: UnsafeRawBufferPointer(start: words, count: count * 8))
  }

  public mutating func append(words: UnsafePointer<Double>, count: Int) {
    output.append(bytes: UnsafeRawBufferPointer(start: words, count: count * 8))
  }

  /// Their number and the words.
  public mutating func append(_ words: [Int64]) {
    append(UInt32(words.count))
    words.withUnsafeBufferPointer { if let base = $0.baseAddress { append(words: base, count: $0.count) } }
  }

  /// Their number and the bytes.
  public mutating func append(bytes: UnsafeRawBufferPointer) {
    append(UInt32(bytes.count))
    output.append(bytes: bytes)
  }

  /// Writes a section: its tag, its length, and what `body` writes.
  public mutating func section(_ tag: CheckpointTag, _ body: (inout CheckpointWriter) -> Void) {
    let start = begin(tag)
    body(&self)
    end(start)
  }

  /// A section that holds one value.
  public mutating func append<Value: Checkpointed & ~Copyable>(_ tag: CheckpointTag, _ value: borrowing Value)
  {
    let start = begin(tag)
    value.save(to: &self)
    end(start)
  }

  /// - Returns: where the section's content starts.
  private mutating func begin(_ tag: CheckpointTag) -> Int {
    append(tag.code)
    append(UInt32(0))
    return output.count
  }

  private mutating func end(_ start: Int) {
    let length = UInt32(output.count - start)
    withUnsafeBytes(of: length.littleEndian) { output.replace(at: start - 4, with: $0) }
  }
}

extension ByteWriter {
  fileprivate mutating func replace(at offset: Int, with bytes: UnsafeRawBufferPointer) {
    precondition(offset + bytes.count <= count)
    (base + offset).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
  }
}
