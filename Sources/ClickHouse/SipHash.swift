/// SipHash-2-4 with a key of zeros: ClickHouse's `sipHash64` of one text.
///
/// Source: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), section 2.
func sipHash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  var v0: UInt64 = 0x736F_6D65_7073_6575
  var v1: UInt64 = 0x646F_7261_6E64_6F6D
  var v2: UInt64 = 0x6C79_6765_6E65_7261
  var v3: UInt64 = 0x7465_6462_7974_6573

  func rotated(_ value: UInt64, _ by: UInt64) -> UInt64 { value << by | value >> (64 &- by) }
  func round() {
    v0 = v0 &+ v1
    v1 = rotated(v1, 13) ^ v0
    v0 = rotated(v0, 32)
    v2 = v2 &+ v3
    v3 = rotated(v3, 16) ^ v2
    v0 = v0 &+ v3
    v3 = rotated(v3, 21) ^ v0
    v2 = v2 &+ v1
    v1 = rotated(v1, 17) ^ v2
    v2 = rotated(v2, 32)
  }
  func take(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  let whole = bytes.count & ~7
  for offset in stride(from: 0, to: whole, by: 8) {
    take(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
  }
  var last = UInt64(truncatingIfNeeded: bytes.count) << 56
  for offset in whole..<bytes.count { last |= UInt64(bytes[offset]) << UInt64(8 * (offset - whole)) }
  take(last)
  v2 ^= 0xFF
  for _ in 0..<4 { round() }
  return v0 ^ v1 ^ v2 ^ v3
}
