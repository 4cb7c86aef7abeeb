import CTLS
import Core

/// A shared secret that requests must carry as `Authorization: Bearer …` (RFC 6750).
public struct BearerToken: Sendable {
  private let digest: [UInt8]

  /// - Parameter secret: not empty.
  public init(_ secret: String) {
    precondition(!secret.isEmpty, "an empty token would let everybody in")
    digest = BearerToken.digest(secret.utf8)
  }

  /// Whether the request carries the token, in exactly one Authorization field.
  ///
  /// Digests are compared, in constant time: neither the secret's bytes nor its length show in how long it
  /// takes.
  public func admits(_ headers: HTTPHeaders) -> Bool {
    guard headers.count(of: "Authorization") == 1, let value = headers["Authorization"] else { return false }
    let scheme = "bearer "
    guard value.utf8.count > scheme.utf8.count,
      zip(value.utf8, scheme.utf8).allSatisfy({ HTTPText.lower($0) == $1 })
    else { return false }
    let given = BearerToken.digest(HTTPHeaders.trim(value.dropFirst(scheme.utf8.count)).utf8)
    return CRYPTO_memcmp(given, digest, digest.count) == 0
  }

  /// Answers 401 unless the request carries the token.
  ///
  /// - Returns: whether the request may go on.
  public func check(_ request: HTTPRequest, _ responder: HTTPResponder) -> Bool {
    if admits(request.headers) { return true }
    responder.fail(
      401, "this needs the token, as Authorization: Bearer TOKEN", headers: ["WWW-Authenticate": "Bearer"])
    return false
  }

  private static func digest(_ bytes: some Collection<UInt8>) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    let bytes = Array(bytes)
    SHA256(bytes, bytes.count, &digest)
    return digest
  }
}
