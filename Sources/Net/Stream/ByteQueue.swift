import Core
import Glibc

/// A first-in-first-out run of bytes in one piece of memory.
///
/// At least ``padding`` bytes behind the contents may be read (not trusted), so that scanners can load whole
/// words at the end. Memory grows by doubling and is given back when an empty queue holds a lot of it.
public final class ByteQueue {
  public static let padding = 128
  private static let keptMax = 1 << 20

  private var base: UnsafeMutableRawPointer
  private var capacity: Int
  private var head = 0
  private var tail = 0

  public init(capacity: Int = 4096) {
    self.capacity = capacity
    base = .allocate(byteCount: capacity + ByteQueue.padding, alignment: 16)
    memset(base, 0, capacity + ByteQueue.padding)
  }

  deinit { base.deallocate() }

  public var count: Int { tail &- head }
  public var isEmpty: Bool { tail == head }

  /// The contents, valid until the next change.
  public var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base + head, count: tail &- head)
  }

  /// Bytes from `offset` on, valid until the next change.
  public func bytes(from offset: Int, count: Int) -> UnsafeRawBufferPointer {
    assert(offset >= 0 && count >= 0 && offset + count <= self.count)
    return UnsafeRawBufferPointer(start: base + head + offset, count: count)
  }

  /// Room for so many bytes behind the contents; they count once ``commit(_:)`` says how many were written.
  public func room(_ length: Int) -> UnsafeMutableRawPointer {
    if capacity &- tail < length { grow(length) }
    return base + tail
  }

  /// Bytes that fit without moving anything.
  public var roomLeft: Int { capacity &- tail }

  public func commit(_ length: Int) {
    assert(length >= 0 && tail + length <= capacity)
    tail &+= length
  }

  private func grow(_ length: Int) {
    let held = count
    if head > 0, capacity - held >= length, head >= held {
      memcpy(base, base + head, held)
    } else {
      capacity = max(capacity * 2, held + length)
      let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity + ByteQueue.padding, alignment: 16)
      memcpy(larger, base + head, held)
      memset(larger + held, 0, capacity + ByteQueue.padding - held)
      base.deallocate()
      base = larger
    }
    head = 0
    tail = held
  }

  /// Takes bytes off the front.
  public func consume(_ length: Int) {
    assert(length <= count)
    head &+= length
    guard head == tail else { return }
    head = 0
    tail = 0
    guard capacity > ByteQueue.keptMax else { return }
    capacity = 64 << 10
    base.deallocate()
    base = .allocate(byteCount: capacity + ByteQueue.padding, alignment: 16)
    memset(base, 0, capacity + ByteQueue.padding)
  }

  /// Takes bytes off the end, as many as were appended last.
  public func removeLast(_ length: Int) {
    assert(length <= count)
    tail &-= length
  }

  public func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    memcpy(room(bytes.count), source, bytes.count)
    tail &+= bytes.count
  }

  public func append(byte: UInt8) {
    room(1).storeBytes(of: byte, as: UInt8.self)
    tail &+= 1
  }

  public func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  @_disfavoredOverload
  public func append(_ text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  public func append(integer value: Int) {
    withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
      var place = 20
      var rest = value.magnitude
      repeat {
        place -= 1
        digits[place] = 0x30 + UInt8(rest % 10)
        rest /= 10
      } while rest > 0
      if value < 0 {
        place -= 1
        digits[place] = 0x2D
      }
      append(UnsafeRawBufferPointer(rebasing: digits[place...]))
    }
  }
}
