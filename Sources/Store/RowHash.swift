import CCrypto
import Core

/// SHA-256 over a long run of small pieces, fed to the library in blocks of 64 KiB.
public struct RowHash: ~Copyable {
  private static let blockBytes = 64 * 1024
  private let context: OpaquePointer
  private var buffer = ByteWriter(capacity: RowHash.blockBytes)

  public init() {
    guard let made = EVP_MD_CTX_new() else { preconditionFailure("libcrypto has no memory for a digest") }
    context = made
    precondition(EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, "libcrypto has no SHA-256")
  }

  deinit { EVP_MD_CTX_free(context) }

  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    if buffer.count + bytes.count > RowHash.blockBytes { drain() }
    if bytes.count > RowHash.blockBytes { update(bytes) } else { buffer.append(bytes: bytes) }
  }

  private func update(_ bytes: UnsafeRawBufferPointer) {
    precondition(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "SHA-256 update failed")
  }

  private mutating func drain() {
    if buffer.count > 0 { update(buffer.bytes) }
    buffer.removeAll()
  }

  /// The hash of everything appended so far, as 64 hexadecimal digits; appending may go on.
  public mutating func hexadecimal() -> String {
    drain()
    guard let copy = EVP_MD_CTX_new() else { preconditionFailure("libcrypto has no memory for a digest") }
    defer { EVP_MD_CTX_free(copy) }
    var digest = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 32
    precondition(EVP_MD_CTX_copy_ex(copy, context) == 1 && EVP_DigestFinal_ex(copy, &digest, &length) == 1)
    var writer = ByteWriter(capacity: 64)
    for byte in digest { writer.append(hex: UInt64(byte), digits: 2) }
    return writer.string()
  }

  /// Begins anew.
  public mutating func reset() {
    buffer.removeAll()
    precondition(EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, "libcrypto has no SHA-256")
  }
}
