import CCrypto
import Core

/// Signatures of REST requests: HMAC-SHA256 in lower-case hexadecimal over the query string followed by the
/// body, without the parameter `signature`.
///
/// Source: the exchange's documentation, "SIGNED Endpoint security".
public enum RequestSigning {
  /// The signature of `totalParameters`, the query string and the body written one behind the other.
  public static func signature(of totalParameters: String, secret: String) -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    var length = 0
    let key = Array(secret.utf8)
    var text = totalParameters
    let made = text.withUTF8 { bytes in
      // An empty buffer may have no address, which the library takes for "no data yet".
      var none: UInt8 = 0
      return EVP_Q_mac(
        nil, "HMAC", nil, "SHA256", nil, key, key.count, bytes.baseAddress ?? withUnsafePointer(to: &none) { $0 },
        bytes.count, &digest, digest.count, &length)
    }
    precondition(made != nil && length == digest.count, "OpenSSL offers no HMAC-SHA256")
    var writer = ByteWriter(capacity: 64)
    for byte in digest { writer.append(hex: UInt64(byte), digits: 2) }
    return writer.string()
  }

  /// The query with its signature behind it.
  public static func signed(_ query: String, secret: String) -> String {
    "\(query)&signature=\(signature(of: query, secret: secret))"
  }
}
