import Core

/// Memory that a page is put together in: it grows, is reused, and is written through pointers.
struct PageBuffer: ~Copyable {
  private(set) var base: UnsafeMutableRawPointer
  private(set) var count = 0
  private var capacity: Int

  init() {
    capacity = 64 << 10
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  mutating func removeAll() { count = 0 }

  /// Room for so many bytes behind the last one, which the caller writes and then ``advance(_:)``s over.
  mutating func room(_ extra: Int) -> UnsafeMutableRawPointer {
    if count + extra > capacity {
      while capacity < count + extra { capacity *= 2 }
      let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
      larger.copyMemory(from: base, byteCount: count)
      base.deallocate()
      base = larger
    }
    return base + count
  }

  mutating func advance(_ written: Int) { count += written }

  mutating func append(byte: UInt8) {
    room(1).storeBytes(of: byte, as: UInt8.self)
    count += 1
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    room(bytes.count).copyMemory(from: start, byteCount: bytes.count)
    count += bytes.count
  }

  mutating func append(varint value: UInt64) { count += write(varint: value, to: room(10)) }

  mutating func append(littleEndian value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { append($0) }
  }

  /// Overwrites four bytes.
  mutating func set(_ value: UInt32, at offset: Int) {
    (base + offset).storeBytes(of: value.littleEndian, as: UInt32.self)
  }
}

/// - Returns: the number of bytes, at most 10.
@inline(__always)
func write(varint value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
  var rest = value
  var count = 0
  while rest >= 0x80 {
    target.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
    rest &>>= 7
    count &+= 1
  }
  target.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
  return count &+ 1
}
