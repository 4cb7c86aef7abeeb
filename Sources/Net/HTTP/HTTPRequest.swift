import Core

/// A request as a server's handler gets it.
///
/// It may be kept; only ``body`` ends with the call of the handler.
public struct HTTPRequest {
  public let method: String
  /// The content, chunks joined; at least ``ByteQueue/padding`` bytes behind it may be read. Valid during the
  /// handler's call, and only until ``HTTPResponder/takeConnection()``.
  public let body: UnsafeRawBufferPointer
  /// The client's address with its port.
  public let peer: String
  /// Whether it came over TLS.
  public let isSecure: Bool
  let head: HTTPHead

  /// The request target as it was sent.
  public var target: String { head.text(head.target) }

  /// The path, percent-decoded, without the query; `*` for the server as a whole.
  ///
  /// An escaped slash becomes a slash: who maps paths to files checks what comes out (as ``StaticFiles``
  /// does).
  public var path: String {
    let target = head.bytes(head.target)
    if target.first == 0x2A { return "*" }
    let rest = target[(HTTPRequest.pathStart(target) ?? 0)...]
    let path = rest[..<(rest.firstIndex(of: 0x3F) ?? rest.endIndex)]
    // The parser has refused broken escapes.
    return path.isEmpty ? "/" : path.contains(0x25) ? PercentCoding.decode(path) ?? "/" : text(path)
  }

  /// What follows the `?`, as it was sent; nil where there is none.
  public var query: String? {
    let target = head.bytes(head.target)
    return target.firstIndex(of: 0x3F).map { text(target[($0 + 1)...]) }
  }

  /// The header fields, in order. They are made anew by each use: keep them where several are needed.
  public var headers: HTTPHeaders { head.headers }

  /// The first field of that name.
  public func value(_ name: String) -> String? { head.value(named: name) }

  /// The first value of that name in the query, decoded (`+` is a space); empty where it has none.
  ///
  /// - Returns: nil when it is absent or its escapes are broken.
  public func queryValue(_ name: String) -> String? {
    let target = head.bytes(head.target)
    guard let mark = target.firstIndex(of: 0x3F) else { return nil }
    for pair in target[(mark + 1)...].split(separator: 0x26) {
      let equals = pair.firstIndex(of: 0x3D) ?? pair.endIndex
      guard PercentCoding.decode(pair[..<equals], plusIsSpace: true) == name else { continue }
      return equals == pair.endIndex ? "" : PercentCoding.decode(pair[(equals + 1)...], plusIsSpace: true)
    }
    return nil
  }

  private func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
    String(decoding: UnsafeRawBufferPointer(rebasing: bytes), as: UTF8.self)
  }

  /// Where the path begins in a target: behind `http://host` in the absolute form. nil for other schemes.
  static func pathStart(_ target: UnsafeRawBufferPointer) -> Int? {
    if target.first == 0x2F { return 0 }
    for scheme in ["http://", "https://"] {
      let length = scheme.utf8.count
      guard target.count > length, zip(target, scheme.utf8).allSatisfy({ HTTPText.lower($0) == $1 }) else {
        continue
      }
      let rest = target[length...]
      let end = rest.firstIndex { $0 == 0x2F || $0 == 0x3F } ?? rest.endIndex
      // Neither an empty authority nor one with a user's name.
      return end == length || rest[..<end].contains(0x40) ? nil : end
    }
    return nil
  }
}
