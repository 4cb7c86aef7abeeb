/// UTF-8 checks for text messages.
enum WebSocketText {
  static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool { asciiPrefix(bytes) == bytes.count }

  /// Whether the bytes are UTF-8. ASCII, which is nearly everything, goes 32 bytes at a time.
  @inline(__always)
  static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let plain = asciiPrefix(bytes)
    return plain == bytes.count || isValidSlowly(UnsafeRawBufferPointer(rebasing: bytes[plain...]))
  }

  /// ASCII bytes at the start, rounded down to a step of the scan.
  @inline(__always)
  private static func asciiPrefix(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard let base = bytes.baseAddress else { return 0 }
    let high: UInt64 = 0x8080_8080_8080_8080
    var at = 0
    while at &+ 32 <= bytes.count {
      let a = base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      let b = base.loadUnaligned(fromByteOffset: at &+ 8, as: UInt64.self)
      let c = base.loadUnaligned(fromByteOffset: at &+ 16, as: UInt64.self)
      let d = base.loadUnaligned(fromByteOffset: at &+ 24, as: UInt64.self)
      if (a | b | c | d) & high != 0 { return at }
      at &+= 32
    }
    while at &+ 8 <= bytes.count {
      if base.loadUnaligned(fromByteOffset: at, as: UInt64.self) & high != 0 { return at }
      at &+= 8
    }
    while at < bytes.count, base.load(fromByteOffset: at, as: UInt8.self) < 0x80 { at &+= 1 }
    return at
  }

  @inline(never)
  private static func isValidSlowly(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let bytes = bytes.assumingMemoryBound(to: UInt8.self)
    do {
      _ = try UTF8Span(validating: bytes.span)
      return true
    } catch {
      return false
    }
  }

  /// How many bytes at the end, 0...3, begin a scalar that is not complete: the next fragment may complete it.
  static func incompleteTail(_ bytes: UnsafeRawBufferPointer) -> Int {
    for length in 1...3 where length <= bytes.count {
      let byte = bytes[bytes.count - length]
      if byte & 0xC0 == 0x80 { continue }
      let scalarBytes = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return scalarBytes > length ? length : 0
    }
    return 0
  }
}
