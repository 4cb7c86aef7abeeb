import CCrypto
import Core

/// SHA-256 over a long run of small pieces, fed to the library in blocks of 64 KiB; it can be interrupted and
/// taken up again from a checkpoint.
public struct RowHash: ~Copyable {
  private static let blockBytes = 64 * 1024
  private var context = SHA256_CTX()
  private var buffer = ByteWriter(capacity: RowHash.blockBytes)

  public init() { reset() }

  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    if buffer.count + bytes.count > RowHash.blockBytes { drain() }
    if bytes.count > RowHash.blockBytes { update(bytes) } else { buffer.append(bytes: bytes) }
  }

  private mutating func update(_ bytes: UnsafeRawBufferPointer) {
    precondition(SHA256_Update(&context, bytes.baseAddress, bytes.count) == 1, "SHA-256 update failed")
  }

  private mutating func drain() {
    if buffer.count > 0 { update(buffer.bytes) }
    buffer.removeAll()
  }

  /// The hash of everything appended so far, 32 bytes; appending may go on.
  public mutating func digest() -> [UInt8] {
    drain()
    var copy = context
    var digest = [UInt8](repeating: 0, count: 32)
    precondition(SHA256_Final(&digest, &copy) == 1, "SHA-256 has failed")
    return digest
  }

  /// ``digest()`` as 64 hexadecimal digits.
  public mutating func hexadecimal() -> String {
    var writer = ByteWriter(capacity: 64)
    for byte in digest() { writer.append(hex: UInt64(byte), digits: 2) }
    return writer.string()
  }

  /// Begins anew.
  public mutating func reset() {
    buffer.removeAll()
    precondition(SHA256_Init(&context) == 1, "libcrypto has no SHA-256")
  }
}

extension RowHash: Checkpointed {
  /// The state of FIPS 180-4 between two blocks of 64 bytes, and the bytes that wait for the next: `data` holds them
  /// as they came. The own buffer is hashed into a copy first, so that nothing waits in it.
  public func save(to writer: inout CheckpointWriter) {
    var state = context
    if buffer.count > 0 {
      precondition(
        SHA256_Update(&state, buffer.bytes.baseAddress, buffer.count) == 1, "SHA-256 update failed")
    }
    withUnsafeBytes(of: state.h) { words in
      for word in words.bindMemory(to: UInt32.self) { writer.append(word) }
    }
    writer.append(UInt64(state.Nh) << 32 | UInt64(state.Nl))
    withUnsafeBytes(of: state.data) {
      writer.append(bytes: UnsafeRawBufferPointer(rebasing: $0[..<Int(state.num)]))
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    reset()
    var words: [UInt32] = []
    for _ in 0..<8 { words.append(try reader.integer()) }
    let bits: UInt64 = try reader.integer()
    let waiting = try reader.count(bytesEach: 1, max: 63)
    let bytes = try reader.bytes(waiting)
    guard bits % 8 == 0, bits / 8 % 64 == UInt64(waiting) else {
      throw reader.failure("a hash of \(bits) bits with \(waiting) bytes waiting")
    }
    withUnsafeMutableBytes(of: &context.h) { $0.copyBytes(from: words.withUnsafeBytes { Array($0) }) }
    withUnsafeMutableBytes(of: &context.data) { $0.copyBytes(from: bytes) }
    context.Nl = UInt32(truncatingIfNeeded: bits)
    context.Nh = UInt32(truncatingIfNeeded: bits >> 32)
    context.num = UInt32(waiting)
  }
}
