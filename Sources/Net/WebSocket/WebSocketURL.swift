/// A `ws:` or `wss:` address (RFC 6455, 3).
struct WebSocketURL: Equatable {
  var isSecure: Bool
  /// Without the brackets of an IPv6 address.
  var host: String
  var port: UInt16
  /// Path and query, as the request line has them.
  var target: String

  /// nil for anything else: another scheme, a user name, a fragment, or characters an address cannot have.
  init?(_ text: String) {
    // Blanks and controls would end the request line early; what isn't ASCII must come percent-encoded.
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    let scheme = text.prefix { $0 != ":" }
    isSecure = HTTPHeaders.same(scheme, "wss")
    guard isSecure || HTTPHeaders.same(scheme, "ws") else { return nil }
    let afterScheme = text.dropFirst(scheme.count)
    guard afterScheme.hasPrefix("://") else { return nil }
    let rest = afterScheme.dropFirst(3)
    guard !rest.contains("#") else { return nil }
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    let tail = rest[end...]
    target = tail.hasPrefix("/") ? String(tail) : "/" + tail
    let authority = rest[..<end]
    guard !authority.contains("@") else { return nil }
    var name = authority
    var number: Substring?
    if authority.hasPrefix("[") {
      guard let bracket = authority.firstIndex(of: "]") else { return nil }
      name = authority[authority.index(after: authority.startIndex)..<bracket]
      let after = authority[authority.index(after: bracket)...]
      guard after.isEmpty || after.hasPrefix(":") else { return nil }
      if !after.isEmpty { number = after.dropFirst() }
    } else if let colon = authority.firstIndex(of: ":") {
      name = authority[..<colon]
      number = authority[authority.index(after: colon)...]
    }
    guard !name.isEmpty else { return nil }
    host = String(name)
    port = isSecure ? 443 : 80
    if let number {
      guard let given = UInt16(number), given > 0, number.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
        return nil
      }
      port = given
    }
  }

  /// For the Host field: the port only where it isn't the scheme's own.
  var authority: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
  }
}
