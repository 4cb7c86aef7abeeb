import Glibc

/// Leaf functions over bytes that several parts of the tape share.

@inline(__always)
func equal(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
  let length = text.utf8CodeUnitCount
  guard bytes.count == length else { return false }
  return length == 0 || memcmp(bytes.baseAddress!, text.utf8Start, length) == 0
}

@inline(__always)
func hasPrefix(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
  let length = text.utf8CodeUnitCount
  return bytes.count >= length && memcmp(bytes.baseAddress!, text.utf8Start, length) == 0
}

@inline(__always)
func slice(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
  UnsafeRawBufferPointer(rebasing: bytes[start..<end])
}

@inline(__always)
func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

/// The offset of a byte at or after `start`, or nil.
@inline(__always)
func firstIndex(of byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
  guard start < bytes.count, let base = bytes.baseAddress,
    let found = memchr(base + start, Int32(byte), bytes.count - start)
  else { return nil }
  return UnsafeRawPointer(found) - base
}

/// The offset of the last newline at or after `start`, or nil.
///
/// Glibc's module hides `memrchr`. The partial line behind the last newline is short, so the plain loop
/// back from the end reads a few hundred bytes.
@inline(__always)
func lastNewline(in base: UnsafeRawPointer, from start: Int, to end: Int) -> Int? {
  var index = end
  while index > start {
    index &-= 1
    if base.load(fromByteOffset: index, as: UInt8.self) == 0x0A { return index }
  }
  return nil
}

/// Calls `body` with each line of whole-line bytes, without its newline, and the line's offset, until it
/// returns false.
@inline(__always)
package func forEachLine(
  _ block: UnsafeRawBufferPointer, _ body: (_ line: UnsafeRawBufferPointer, _ offset: Int) -> Bool
) {
  var start = 0
  while let end = firstIndex(of: 0x0A, in: block, from: start) {
    if !body(slice(block, start, end), start) { return }
    start = end + 1
  }
}

/// What classes of bytes occur: control characters (below 0x20), and bytes outside ASCII.
@inline(__always)
func byteClasses(_ bytes: UnsafeRawBufferPointer) -> (control: Bool, beyondASCII: Bool) {
  guard let base = bytes.baseAddress else { return (false, false) }
  var high: UInt64 = 0
  var control: UInt64 = 0
  var index = 0
  let words = bytes.count & ~7
  while index < words {
    let word = base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
    high |= word
    // Per byte: (b - 0x20) borrows into bit 7 for b < 0x20; a borrow from a lower byte can only raise a
    // false alarm next to a true one, and bytes with bit 7 set are masked out.
    control |= (word &- 0x2020_2020_2020_2020) & ~word
    index &+= 8
  }
  while index < bytes.count {
    let byte = base.load(fromByteOffset: index, as: UInt8.self)
    high |= UInt64(byte)
    if byte < 0x20 { control |= 0x80 }
    index &+= 1
  }
  return (control & 0x8080_8080_8080_8080 != 0, high & 0x8080_8080_8080_8080 != 0)
}

/// RFC 3629: no overlong forms, no surrogates.
func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  let span = bytes.bindMemory(to: UInt8.self).span
  return (try? UTF8Span(validating: span)) != nil
}

/// RFC 4648 base64 with padding.
enum Base64 {
  static let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

  static func encode(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    let letters = alphabet.utf8Start
    var index = 0
    while index < bytes.count {
      let left = bytes.count - index
      var group = UInt32(bytes[index]) << 16
      if left > 1 { group |= UInt32(bytes[index + 1]) << 8 }
      if left > 2 { group |= UInt32(bytes[index + 2]) }
      text.append(letters[Int(group >> 18)])
      text.append(letters[Int(group >> 12 & 63)])
      text.append(left > 1 ? letters[Int(group >> 6 & 63)] : 0x3D)
      text.append(left > 2 ? letters[Int(group & 63)] : 0x3D)
      index += 3
    }
    return text
  }

  /// - Returns: nil when the text is not what ``encode(_:)`` writes.
  static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3)
    var index = 0
    while index < text.count {
      var group: UInt32 = 0
      var padding = 0
      for position in 0..<4 {
        let letter = text[index + position]
        let value: UInt32
        switch letter {
        case 0x41...0x5A: value = UInt32(letter - 0x41)
        case 0x61...0x7A: value = UInt32(letter - 0x61 + 26)
        case 0x30...0x39: value = UInt32(letter - 0x30 + 52)
        case 0x2B: value = 62
        case 0x2F: value = 63
        case 0x3D where position >= 2 && index + 4 == text.count:
          value = 0
          padding += 1
        default: return nil
        }
        if padding > 0, letter != 0x3D { return nil }
        group = group << 6 | value
      }
      bytes.append(UInt8(group >> 16))
      if padding < 2 { bytes.append(UInt8(group >> 8 & 255)) }
      if padding < 1 { bytes.append(UInt8(group & 255)) }
      index += 4
    }
    return bytes
  }
}
