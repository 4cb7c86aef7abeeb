import CTLS

/// The handshake's proof that the server speaks websocket (RFC 6455, 1.3).
enum WebSocketKey {
  /// 16 random bytes in base64.
  static func random() -> String {
    var bytes = [UInt8](repeating: 0, count: 16)
    precondition(RAND_bytes(&bytes, 16) == 1, "the system gives no randomness")
    return base64(bytes)
  }

  static func accept(_ key: String) -> String {
    let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
    var digest = [UInt8](repeating: 0, count: Int(SHA_DIGEST_LENGTH))
    SHA1(text, text.count, &digest)
    return base64(digest)
  }

  /// Whether it is the canonical base64 of 16 bytes.
  static func isValid(_ key: String) -> Bool {
    let text = Array(key.utf8)
    guard text.count == 24 else { return false }
    var bytes = [UInt8](repeating: 0, count: 18)
    // OpenSSL counts the bytes of the padding, so two of 18 are none.
    guard EVP_DecodeBlock(&bytes, text, 24) == 18 else { return false }
    return base64(Array(bytes[..<16])) == key
  }

  private static func base64(_ bytes: [UInt8]) -> String {
    var text = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
    let count = EVP_EncodeBlock(&text, bytes, Int32(bytes.count))
    return String(decoding: text[..<Int(count)], as: UTF8.self)
  }
}
