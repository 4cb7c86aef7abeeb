/// A frame's first bytes (RFC 6455, 5.2).
///
/// ```
/// |FIN RSV1 RSV2 RSV3 opcode(4)|MASK length(7)| length(0, 16 or 64) | mask key(0 or 32) |
/// ```
enum WebSocketFrame {
  static let final: UInt8 = 0x80
  static let compressed: UInt8 = 0x40
  static let reserved: UInt8 = 0x30
  static let masked: UInt8 = 0x80

  static let continuation: UInt8 = 0
  static let text: UInt8 = 1
  static let binary: UInt8 = 2
  static let close: UInt8 = 8
  static let ping: UInt8 = 9
  static let pong: UInt8 = 10

  static let headerBytesMax = 14
  static let controlBytesMax = 125

  /// Writes a header without the mask key.
  ///
  /// - Parameter mask: ``masked`` or 0.
  /// - Returns: the bytes written, at most 10.
  @inline(__always)
  static func write(
    _ place: UnsafeMutableRawPointer, first: UInt8, payloadBytes: Int, mask: UInt8
  ) -> Int {
    place.storeBytes(of: first, as: UInt8.self)
    if payloadBytes < 126 {
      place.storeBytes(of: UInt8(truncatingIfNeeded: payloadBytes) | mask, toByteOffset: 1, as: UInt8.self)
      return 2
    }
    if payloadBytes < 1 << 16 {
      place.storeBytes(of: 126 | mask, toByteOffset: 1, as: UInt8.self)
      place.storeBytes(of: UInt16(payloadBytes).bigEndian, toByteOffset: 2, as: UInt16.self)
      return 4
    }
    place.storeBytes(of: 127 | mask, toByteOffset: 1, as: UInt8.self)
    place.storeBytes(of: UInt64(payloadBytes).bigEndian, toByteOffset: 2, as: UInt64.self)
    return 10
  }

  /// The payload's length and the header's (with mask key); nil while bytes are missing. A length that could
  /// have been written shorter, or has the sign bit set, is negative.
  @inline(__always)
  static func lengths(
    _ bytes: UnsafeRawPointer, available: Int, isMasked: Bool
  ) -> (payload: Int, header: Int)? {
    let short = Int(bytes.load(fromByteOffset: 1, as: UInt8.self) & 0x7F)
    let key = isMasked ? 4 : 0
    if short < 126 { return available < 2 &+ key ? nil : (short, 2 &+ key) }
    if short == 126 {
      guard available >= 4 &+ key else { return nil }
      let length = Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
      return (length < 126 ? -1 : length, 4 &+ key)
    }
    guard available >= 10 &+ key else { return nil }
    let length = Int(
      truncatingIfNeeded: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self)))
    return (length < 1 << 16 ? -1 : length, 10 &+ key)
  }

  /// What is wrong with a header's first two bytes, whatever follows; nil for nothing.
  static func fault(
    _ first: UInt8, _ second: UInt8, fromClient: Bool, inMessage: Bool, deflate: Bool
  ) -> String? {
    if first & reserved != 0 { return "a reserved bit is set" }
    if (second & masked != 0) != fromClient {
      return fromClient ? "a client's frame is not masked" : "a server's frame is masked"
    }
    let opcode = first & 0x0F
    switch opcode {
    case continuation:
      if !inMessage { return "a continuation without a message" }
      if first & compressed != 0 { return "a continuation has the compression bit" }
    case text, binary:
      if inMessage { return "a message begins within another" }
      if first & compressed != 0, !deflate { return "compression was not agreed on" }
    case close, ping, pong:
      if first & final == 0 { return "a control frame is fragmented" }
      if first & compressed != 0 { return "a control frame has the compression bit" }
      if second & 0x7F > 125 { return "a control frame is longer than 125 bytes" }
    default: return "opcode \(opcode) is unknown"
    }
    return nil
  }
}
