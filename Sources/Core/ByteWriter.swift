/// A growing run of bytes that text is formatted into without `String`s in between.
///
/// It allocates only when it grows; `removeAll()` keeps the room.
public struct ByteWriter: ~Copyable {
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  public private(set) var count = 0

  public init(capacity: Int = 4096) {
    self.capacity = max(64, capacity)
    base = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  /// The bytes written, valid until the next mutation.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  public func string() -> String { String(decoding: bytes, as: UTF8.self) }

  public mutating func removeAll() { count = 0 }

  /// Cuts back to an earlier length.
  public mutating func truncate(to length: Int) {
    precondition(length <= count)
    count = length
  }

  /// Drops the first `length` bytes, moving the rest to the front.
  public mutating func removeFirst(_ length: Int) {
    precondition(length <= count)
    memmoveBytes(base, base + length, count - length)
    count -= length
  }

  @inline(__always)
  private mutating func room(_ extra: Int) {
    if count &+ extra > capacity { grow(extra) }
  }

  @inline(never)
  private mutating func grow(_ extra: Int) {
    var wanted = capacity
    while wanted < count + extra { wanted *= 2 }
    let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
    larger.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = larger
    capacity = wanted
  }

  public mutating func append(_ text: StaticString) {
    let length = text.utf8CodeUnitCount
    room(length)
    (base + count).copyMemory(from: UnsafeRawPointer(text.utf8Start), byteCount: length)
    count &+= length
  }

  // A literal is a StaticString unless this overload stands back: no String is made for it.
  @_disfavoredOverload
  public mutating func append(_ text: String) {
    var copy = text
    copy.withUTF8 { append(bytes: UnsafeRawBufferPointer($0)) }
  }

  public mutating func append(bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    room(bytes.count)
    (base + count).copyMemory(from: start, byteCount: bytes.count)
    count &+= bytes.count
  }

  public mutating func append(byte: UInt8) {
    room(1)
    base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  public mutating func append(integer value: Int64) {
    append(decimal: value, decimals: 0, trimmed: false)
  }

  /// `63943.90` for 6394390 at two decimals: always all the decimals, as on the wire.
  public mutating func append(decimal units: Int64, scale: DecimalScale) {
    append(decimal: units, decimals: scale.decimals, trimmed: false)
  }

  /// A JSON number with at most six decimals and no trailing zeros, or `null`.
  public mutating func append(micros: Micros) {
    if micros.isAbsent {
      append("null")
    } else {
      append(decimal: micros.rawValue, decimals: 6, trimmed: true)
    }
  }

  /// The integer `units` read as `units / 10^decimals`.
  public mutating func append(decimal units: Int64, decimals: Int, trimmed: Bool) {
    room(24 + decimals)
    var magnitude = units.magnitude
    var decimals = decimals
    if trimmed {
      while decimals > 0 {
        let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
        if remainder != 0 { break }
        magnitude = quotient
        decimals -= 1
      }
    }
    // Digits are made from the last one back, into a scratch area at the end of the reserved room.
    let end = base + (count + 24 + decimals)
    var cursor = end
    var written = 0
    while magnitude != 0 || written <= decimals {
      if written == decimals, decimals > 0 {
        cursor -= 1
        cursor.storeBytes(of: 0x2E, as: UInt8.self)
      }
      let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
      cursor -= 1
      cursor.storeBytes(of: UInt8(truncatingIfNeeded: remainder) &+ 0x30, as: UInt8.self)
      magnitude = quotient
      written += 1
    }
    if units < 0 {
      cursor -= 1
      cursor.storeBytes(of: 0x2D, as: UInt8.self)
    }
    let length = end - cursor
    memmoveBytes(base + count, cursor, length)
    count += length
  }

  /// A JSON number: the shortest text that reads back as the same double; `null` when not finite.
  public mutating func append(double value: Double) {
    if !value.isFinite {
      append("null")
    } else if value == value.rounded(), abs(value) < 1e15 {
      append(integer: Int64(value))
    } else {
      append(value.description)
    }
  }

  /// A JSON string with its quotes.
  public mutating func append(jsonString text: String) {
    var copy = text
    copy.withUTF8 { append(jsonString: UnsafeRawBufferPointer($0)) }
  }

  /// A JSON string with its quotes. Bytes outside ASCII pass unchanged; the caller vouches for UTF-8.
  public mutating func append(jsonString text: UnsafeRawBufferPointer) {
    append(byte: 0x22)
    for byte in text {
      switch byte {
      case 0x22: append("\\\"")
      case 0x5C: append("\\\\")
      case 0x0A: append("\\n")
      case 0x0D: append("\\r")
      case 0x09: append("\\t")
      case 0..<0x20:
        append("\\u00")
        append(byte: hexDigit(byte >> 4))
        append(byte: hexDigit(byte & 15))
      default: append(byte: byte)
      }
    }
    append(byte: 0x22)
  }

  /// Lower-case hexadecimal, `digits` wide.
  public mutating func append(hex value: UInt64, digits: Int) {
    for position in stride(from: digits - 1, through: 0, by: -1) {
      append(byte: hexDigit(UInt8(truncatingIfNeeded: value >> UInt64(position * 4)) & 15))
    }
  }
}

@inlinable
public func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 0x30 &+ nibble : 0x57 &+ nibble }

@inlinable
public func memmoveBytes(_ to: UnsafeMutableRawPointer, _ from: UnsafeRawPointer, _ count: Int) {
  if count > 0 { to.copyMemory(from: from, byteCount: count) }
}
