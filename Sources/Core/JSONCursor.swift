/// A strict, allocation-free walk over one JSON text (RFC 8259).
///
/// It is the generic path behind the template scanner and the reader of everything that is not on the hot
/// path: a cursor that the caller drives by the shape it expects, and that can skip any value it doesn't
/// know. Every method returns `false` (or `nil`) at the first byte that is not JSON; `offset` then names it.
public struct JSONCursor {
  public let base: UnsafeRawPointer
  @usableFromInline var position: Int
  /// Offset of the next byte.
  @inlinable public var offset: Int { position }
  public let end: Int

  /// Nesting deeper than this is refused rather than recursed into.
  public static let depthMax = 64

  public init(_ bytes: UnsafeRawBufferPointer) {
    base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8)!
    position = 0
    end = bytes.count
  }

  public init(base: UnsafeRawPointer, offset: Int, end: Int) {
    self.base = base
    position = offset
    self.end = end
  }

  /// Continues elsewhere; the caller has looked at what lies between.
  @inlinable @inline(__always)
  public mutating func move(to offset: Int) { position = offset }

  @inlinable @inline(__always)
  func byte(_ at: Int) -> UInt8 { base.load(fromByteOffset: at, as: UInt8.self) }

  /// The next byte that is not white space, without consuming it; 0 at the end.
  @inlinable @inline(__always)
  public mutating func peek() -> UInt8 {
    while offset < end {
      let next = byte(offset)
      if next > 0x20 { return next }
      if next != 0x20, next != 0x0A, next != 0x0D, next != 0x09 { return next == 0 ? 1 : next }
      position &+= 1
    }
    return 0
  }

  /// Consumes one expected byte after white space.
  @inlinable @inline(__always)
  public mutating func consume(_ expected: UInt8) -> Bool {
    guard peek() == expected else { return false }
    position &+= 1
    return true
  }

  /// True when only white space is left.
  public mutating func isAtEnd() -> Bool { peek() == 0 }

  /// After an element: `true` when a comma follows (consumed), `false` when `close` follows (consumed),
  /// `nil` when neither.
  @inlinable @inline(__always)
  public mutating func continues(until close: UInt8) -> Bool? {
    let next = peek()
    if next == 0x2C {
      position &+= 1
      return true
    }
    if next == close {
      position &+= 1
      return false
    }
    return nil
  }

  /// A string's raw bytes between its quotes, escapes not resolved.
  @inlinable @inline(__always)
  public mutating func rawString() -> UnsafeRawBufferPointer? {
    guard consume(0x22) else { return nil }
    let start = offset
    while offset < end {
      let next = byte(offset)
      if next == 0x22 {
        let text = UnsafeRawBufferPointer(start: base + start, count: offset &- start)
        position &+= 1
        return text
      }
      if next == 0x5C {
        guard skipEscape() else { return nil }
        continue
      }
      if next < 0x20 { return nil }
      position &+= 1
    }
    return nil
  }

  @usableFromInline mutating func skipEscape() -> Bool {
    guard offset &+ 1 < end else { return false }
    switch byte(offset &+ 1) {
    case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74: position &+= 2
    case 0x75:
      guard offset &+ 5 < end else { return false }
      for digit in 2...5 where hexValue(byte(offset &+ digit)) == nil { return false }
      position &+= 6
    default: return false
    }
    return true
  }

  /// An object's key, up to and including its colon.
  @inlinable @inline(__always)
  public mutating func key() -> UnsafeRawBufferPointer? {
    guard let name = rawString(), consume(0x3A) else { return nil }
    return name
  }

  /// A whole number in `Int64`, quoted or bare.
  @inlinable @inline(__always)
  public mutating func integer() -> Int64? {
    let quoted = peek() == 0x22
    if quoted { position &+= 1 }
    var negative = false
    if offset < end, byte(offset) == 0x2D {
      negative = true
      position &+= 1
    }
    let start = offset
    var value: Int64 = 0
    while offset < end {
      let digit = byte(offset) &- 0x30
      if digit > 9 { break }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int64(digit))
      if overflow || carry { return nil }
      value = sum
      position &+= 1
    }
    guard offset > start else { return nil }
    if quoted {
      guard offset < end, byte(offset) == 0x22 else { return nil }
      position &+= 1
    } else if offset < end {
      let next = byte(offset)
      if next == 0x2E || next == 0x65 || next == 0x45 { return nil }
    }
    return negative ? -value : value
  }

  public mutating func boolean() -> Bool? {
    switch peek() {
    case 0x74: return literal("true") ? true : nil
    case 0x66: return literal("false") ? false : nil
    default: return nil
    }
  }

  @usableFromInline mutating func literal(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    guard offset &+ length <= end else { return false }
    for index in 0..<length where byte(offset &+ index) != text.utf8Start[index] { return false }
    position &+= length
    return true
  }

  /// A decimal's text: a quoted string's content, or a bare number.
  @inlinable @inline(__always)
  public mutating func decimalText() -> UnsafeRawBufferPointer? {
    if peek() == 0x22 { return rawString() }
    let start = offset
    guard skipNumber() else { return nil }
    return UnsafeRawBufferPointer(start: base + start, count: offset &- start)
  }

  @usableFromInline mutating func skipNumber() -> Bool {
    if offset < end, byte(offset) == 0x2D { position &+= 1 }
    guard offset < end else { return false }
    if byte(offset) == 0x30 { position &+= 1 } else if !skipDigits() { return false }
    if offset < end, byte(offset) == 0x2E {
      position &+= 1
      if !skipDigits() { return false }
    }
    if offset < end, byte(offset) | 0x20 == 0x65 {
      position &+= 1
      if offset < end, byte(offset) == 0x2B || byte(offset) == 0x2D { position &+= 1 }
      if !skipDigits() { return false }
    }
    return true
  }

  @usableFromInline mutating func skipDigits() -> Bool {
    let start = offset
    while offset < end, byte(offset) &- 0x30 < 10 { position &+= 1 }
    return offset > start
  }

  /// Skips one value of any kind, checking that it is JSON.
  public mutating func skipValue(depth: Int = 0) -> Bool {
    switch peek() {
    case 0x22: return rawString() != nil
    case 0x7B:
      guard depth < JSONCursor.depthMax else { return false }
      position &+= 1
      if peek() == 0x7D {
        position &+= 1
        return true
      }
      while true {
        guard key() != nil, skipValue(depth: depth + 1), let more = continues(until: 0x7D) else {
          return false
        }
        if !more { return true }
      }
    case 0x5B:
      guard depth < JSONCursor.depthMax else { return false }
      position &+= 1
      if peek() == 0x5D {
        position &+= 1
        return true
      }
      while true {
        guard skipValue(depth: depth + 1), let more = continues(until: 0x5D) else { return false }
        if !more { return true }
      }
    case 0x74: return literal("true")
    case 0x66: return literal("false")
    case 0x6E: return literal("null")
    case 0: return false
    default: return skipNumber()
    }
  }
}

@inlinable
public func hexValue(_ byte: UInt8) -> UInt8? {
  switch byte {
  case 0x30...0x39: byte &- 0x30
  case 0x41...0x46: byte &- 0x37
  case 0x61...0x66: byte &- 0x57
  default: nil
  }
}

/// Resolves a JSON string's escapes. Unpaired surrogates become U+FFFD.
public func unescapeJSON(_ raw: UnsafeRawBufferPointer) -> [UInt8] {
  var result: [UInt8] = []
  result.reserveCapacity(raw.count)
  var index = 0
  func unit(_ at: Int) -> UInt32? {
    guard at + 6 <= raw.count, raw[at] == 0x5C, raw[at + 1] == 0x75 else { return nil }
    var value: UInt32 = 0
    for digit in 2...5 {
      guard let nibble = hexValue(raw[at + digit]) else { return nil }
      value = value << 4 | UInt32(nibble)
    }
    return value
  }
  while index < raw.count {
    let byte = raw[index]
    guard byte == 0x5C, index + 1 < raw.count else {
      result.append(byte)
      index += 1
      continue
    }
    switch raw[index + 1] {
    case 0x62: result.append(0x08)
    case 0x66: result.append(0x0C)
    case 0x6E: result.append(0x0A)
    case 0x72: result.append(0x0D)
    case 0x74: result.append(0x09)
    case 0x75:
      var value = unit(index) ?? 0xFFFD
      index += 6
      if value >= 0xD800, value < 0xDC00, let low = unit(index), low >= 0xDC00, low < 0xE000 {
        value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
        index += 6
      }
      let scalar = Unicode.Scalar(value) ?? "\u{FFFD}"
      result.append(contentsOf: String(Character(scalar)).utf8)
      continue
    default: result.append(raw[index + 1])
    }
    index += 2
  }
  return result
}
