import Core

/// An `http` or `https` address, taken apart (RFC 3986, RFC 9110 4.2). User names and fragments are refused.
struct HTTPURL: Equatable {
  /// A server: what connections are pooled by.
  struct Origin: Hashable, CustomStringConvertible {
    var isSecure: Bool
    /// Without the brackets of an IPv6 address.
    var host: String
    var port: UInt16

    var isDefaultPort: Bool { port == (isSecure ? 443 : 80) }
    /// As in the `Host` field.
    var authority: String {
      let name = host.utf8.contains(0x3A) ? "[\(host)]" : host
      return isDefaultPort ? name : "\(name):\(port)"
    }
    var description: String { "\(isSecure ? "https" : "http")://\(authority)" }
  }

  var origin: Origin
  /// Path and query as they are sent; never empty.
  var target: String

  /// - Parameter base: what an address that begins with `/` is completed with.
  init(_ text: String, base: String? = nil) throws(NetError) {
    let full = text.hasPrefix("/") ? (base ?? "") + text : text
    guard full.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }) else { throw .badURL(text) }
    let isSecure: Bool
    let rest: Substring
    if full.lowercased().hasPrefix("http://") {
      isSecure = false
      rest = full.dropFirst(7)
    } else if full.lowercased().hasPrefix("https://") {
      isSecure = true
      rest = full.dropFirst(8)
    } else {
      throw .badURL(text)
    }
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    let authority = rest[..<end]
    var path = String(rest[end...])
    if !path.hasPrefix("/") { path = "/" + path }
    var host = authority
    var port: UInt16 = isSecure ? 443 : 80
    let afterBracket = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : authority.startIndex
    guard let afterBracket else { throw .badURL(text) }
    if let colon = authority[afterBracket...].lastIndex(of: ":") {
      host = authority[..<colon]
      guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else {
        throw .badURL(text)
      }
      port = number
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard SocketAddress(numeric: String(host), port: 0)?.isIPv6 == true else { throw .badURL(text) }
    } else {
      let isName = host.utf8.allSatisfy {
        switch $0 {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
      }
      guard !host.isEmpty, isName else { throw .badURL(text) }
    }
    origin = Origin(isSecure: isSecure, host: host.lowercased(), port: port)
    target = path
  }
}
