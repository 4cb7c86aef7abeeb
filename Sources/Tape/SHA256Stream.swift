import CCrypto
import Core

/// SHA-256 over a stream of bytes (OpenSSL's EVP).
package struct SHA256Stream: ~Copyable {
  private let context: OpaquePointer

  package init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      preconditionFailure("OpenSSL offers no SHA-256")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    let result = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    precondition(result == 1)
  }

  /// The digest of the bytes so far, lower-case hexadecimal; more bytes may follow.
  package func hexadecimal() -> String {
    guard let copy = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
    defer { EVP_MD_CTX_free(copy) }
    var digest = [UInt8](repeating: 0, count: 32)
    let done = EVP_MD_CTX_copy_ex(copy, context) == 1 && EVP_DigestFinal_ex(copy, &digest, nil) == 1
    precondition(done)
    var writer = ByteWriter(capacity: 64)
    for byte in digest { writer.append(hex: UInt64(byte), digits: 2) }
    return writer.string()
  }
}
