import CTLS
import Core

/// Entity tags: whether a client still has the current content (RFC 9110, 8.8.3 and 13.1.2).
public enum ETag {
  /// A strong tag of the content itself.
  public static func of(_ content: UnsafeRawBufferPointer) -> String {
    var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    SHA256(content.bindMemory(to: UInt8.self).baseAddress, content.count, &digest)
    var writer = ByteWriter(capacity: 64)
    writer.append(byte: 0x22)
    for byte in digest[0..<16] { writer.append(hex: UInt64(byte), digits: 2) }
    writer.append(byte: 0x22)
    return writer.string()
  }

  /// Whether an If-None-Match field names the tag: then 304 is the answer. Weak tags match as well.
  public static func matches(_ ifNoneMatch: String?, _ tag: String) -> Bool {
    guard let ifNoneMatch else { return false }
    let wanted = opaque(tag)
    // A tag's text may hold commas only within its quotes; ours never do, so a part of one cannot match.
    return ifNoneMatch.split(separator: ",").contains {
      let given = HTTPHeaders.trim($0)
      return given == "*" || opaque(given) == wanted
    }
  }

  private static func opaque(_ tag: String) -> Substring { tag.hasPrefix("W/") ? tag.dropFirst(2) : tag[...] }
}
