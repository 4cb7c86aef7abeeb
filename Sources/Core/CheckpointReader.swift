import Glibc

/// Reads a checkpoint's values back in the order in which they were written; see ``Checkpointed``.
///
/// It borrows the bytes: they must outlive it.
public struct CheckpointReader: ~Copyable {
  private let base: UnsafeRawPointer?
  /// Of the byte that is read next.
  public private(set) var offset = 0
  /// Where the innermost section ends.
  private var end: Int

  public init(_ bytes: UnsafeRawBufferPointer) {
    base = bytes.baseAddress
    end = bytes.count
  }

  /// Bytes left in the innermost section.
  public var remaining: Int { end - offset }

  public func failure(_ problem: String) -> CheckpointError { CheckpointError(problem, at: offset) }

  /// Takes bytes that must be there; valid as long as the reader's.
  public mutating func bytes(_ count: Int) throws(CheckpointError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw failure("\(count) bytes are wanted where \(remaining) are left")
    }
    let start = base.map { $0 + offset }
    offset += count
    return UnsafeRawBufferPointer(start: start, count: count)
  }

  public mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type = Value.self
  ) throws(CheckpointError) -> Value {
    Value(littleEndian: try bytes(MemoryLayout<Value>.size).loadUnaligned(as: Value.self))
  }

  /// An integer within bounds.
  public mutating func integer<Value: FixedWidthInteger>(
    in range: ClosedRange<Value>
  ) throws(CheckpointError) -> Value {
    let value: Value = try integer()
    guard range.contains(value) else { throw failure("\(value) is not in \(range)") }
    return value
  }

  public mutating func boolean() throws(CheckpointError) -> Bool {
    try integer(in: 0...1 as ClosedRange<UInt8>) == 1
  }

  public mutating func double() throws(CheckpointError) -> Double { Double(bitPattern: try integer()) }

  public mutating func optionalInteger() throws(CheckpointError) -> Int64? {
    try boolean() ? try integer() : nil
  }

  public mutating func value<Value: RawRepresentable>(
    _ type: Value.Type = Value.self
  ) throws(CheckpointError) -> Value where Value.RawValue == UInt8 {
    let raw: UInt8 = try integer()
    guard let value = Value(rawValue: raw) else { throw failure("\(raw) is no \(Value.self)") }
    return value
  }

  public mutating func quote() throws(CheckpointError) -> Quote? {
    guard try boolean() else { return nil }
    return Quote(
      bidPrice: try integer(), bidQuantity: try integer(), askPrice: try integer(), askQuantity: try integer()
    )
  }

  public mutating func text(bytesMax: Int = 4096) throws(CheckpointError) -> String {
    let count = try count(bytesEach: 1, max: bytesMax)
    guard let text = String(validating: try bytes(count), as: UTF8.self) else {
      throw failure("a text that is no UTF-8")
    }
    return text
  }

  /// The number of things that follow, each of at least so many bytes.
  public mutating func count(bytesEach: Int, max countMax: Int = .max) throws(CheckpointError) -> Int {
    let count = Int(try integer(UInt32.self))
    guard count <= countMax, count <= remaining / bytesEach else {
      throw failure("\(count) things are said to follow in \(remaining) bytes")
    }
    return count
  }

  /// Copies words to where there is room for them.
  public mutating func words(
    _ count: Int, into target: UnsafeMutablePointer<Int64>
  ) throws(CheckpointError) {
    guard count >= 0, count <= remaining / 8 else { throw failure("\(count) words are wanted") }
    let source = try bytes(count * 8)
    if let start = source.baseAddress { memcpy(target, start, count * 8) }
  }

  /// See ``words(_:into:)-(_,UnsafeMutablePointer<Int64>)``; all must be finite.
  public mutating func words(
    _ count: Int, into target: UnsafeMutablePointer<Double>
  ) throws(CheckpointError) {
    guard count >= 0, count <= remaining / 8 else { throw failure("\(count) words are wanted") }
    let source = try bytes(count * 8)
    if let start = source.baseAddress { memcpy(target, start, count * 8) }
    for index in 0..<count where !target[index].isFinite { throw failure("a value that is not finite") }
  }

  /// Their number and the words.
  public mutating func words(max countMax: Int) throws(CheckpointError) -> [Int64] {
    let count = try count(bytesEach: 8, max: countMax)
    let source = try bytes(count * 8)
    return [Int64](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let start = source.baseAddress { memcpy(buffer.baseAddress!, start, count * 8) }
      initialized = count
    }
  }

  /// Reads a section with `body`, which must take all of it.
  public mutating func section(
    _ tag: CheckpointTag, _ body: (inout CheckpointReader) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let outer = try enter(tag)
    try body(&self)
    try leave(tag, to: outer)
  }

  /// Restores the value that a section holds.
  public mutating func restore<Value: Checkpointed & ~Copyable>(
    _ tag: CheckpointTag, _ value: inout Value
  ) throws(CheckpointError) {
    let outer = try enter(tag)
    try value.restore(from: &self)
    try leave(tag, to: outer)
  }

  private mutating func enter(_ tag: CheckpointTag) throws(CheckpointError) -> Int {
    let found = CheckpointTag(code: try integer())
    guard found == tag else { throw failure("section \(found) stands where \(tag) should") }
    let length = try count(bytesEach: 1)
    let outer = end
    end = offset + length
    return outer
  }

  private mutating func leave(_ tag: CheckpointTag, to outer: Int) throws(CheckpointError) {
    guard offset == end else { throw failure("section \(tag) has \(end - offset) bytes too many") }
    end = outer
  }

  /// Nothing may be left.
  public func finish() throws(CheckpointError) {
    guard remaining == 0 else { throw failure("\(remaining) bytes too many") }
  }
}
