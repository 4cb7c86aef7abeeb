import CTLS

/// Masking (RFC 6455, 5.3): payload XOR a 32-bit key, repeated.
enum WebSocketMask {
  /// Unmasks in place, and says whether all bytes are ASCII.
  @inline(__always)
  static func unmask(_ bytes: UnsafeMutableRawPointer, _ count: Int, key: UInt32) -> Bool {
    copy(bytes, to: bytes, count, key: key)
  }

  /// Masks or unmasks from one place to another, which may be the same; says whether the result is ASCII.
  ///
  /// Four words a round: the compiler makes vectors of them, and it stays bearable in a debug build.
  @inline(__always) @discardableResult
  static func copy(
    _ source: UnsafeRawPointer, to place: UnsafeMutableRawPointer, _ count: Int, key: UInt32
  ) -> Bool {
    let wide = UInt64(key) | UInt64(key) << 32
    var seen: UInt64 = 0
    var at = 0
    while at &+ 32 <= count {
      let a = source.loadUnaligned(fromByteOffset: at, as: UInt64.self) ^ wide
      let b = source.loadUnaligned(fromByteOffset: at &+ 8, as: UInt64.self) ^ wide
      let c = source.loadUnaligned(fromByteOffset: at &+ 16, as: UInt64.self) ^ wide
      let d = source.loadUnaligned(fromByteOffset: at &+ 24, as: UInt64.self) ^ wide
      place.storeBytes(of: a, toByteOffset: at, as: UInt64.self)
      place.storeBytes(of: b, toByteOffset: at &+ 8, as: UInt64.self)
      place.storeBytes(of: c, toByteOffset: at &+ 16, as: UInt64.self)
      place.storeBytes(of: d, toByteOffset: at &+ 24, as: UInt64.self)
      seen |= a | b | c | d
      at &+= 32
    }
    while at &+ 8 <= count {
      let word = source.loadUnaligned(fromByteOffset: at, as: UInt64.self) ^ wide
      place.storeBytes(of: word, toByteOffset: at, as: UInt64.self)
      seen |= word
      at &+= 8
    }
    var rest = wide
    while at < count {
      let byte = source.load(fromByteOffset: at, as: UInt8.self) ^ UInt8(truncatingIfNeeded: rest)
      place.storeBytes(of: byte, toByteOffset: at, as: UInt8.self)
      seen |= UInt64(byte)
      rest >>= 8
      at &+= 1
    }
    return seen & 0x8080_8080_8080_8080 == 0
  }
}

/// Keys no peer or script in a page can guess, taken from OpenSSL in blocks: a call for each would cost more
/// than the message.
struct WebSocketMaskKeys: ~Copyable {
  private static let bytesPerBlock = 4096
  private let block = UnsafeMutableRawPointer.allocate(byteCount: bytesPerBlock, alignment: 4)
  private var at = bytesPerBlock

  deinit { block.deallocate() }

  mutating func next() -> UInt32 {
    if at == WebSocketMaskKeys.bytesPerBlock { refill() }
    let key = block.load(fromByteOffset: at, as: UInt32.self)
    at &+= 4
    return key
  }

  @inline(never)
  private mutating func refill() {
    let isFilled = RAND_bytes(
      block.assumingMemoryBound(to: UInt8.self), Int32(WebSocketMaskKeys.bytesPerBlock))
    precondition(isFilled == 1, "the system gives no randomness")
    at = 0
  }
}
