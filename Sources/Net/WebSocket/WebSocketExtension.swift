/// One element of `Sec-WebSocket-Extensions` (RFC 6455, 9.1): `name; flag; key=value; key="value"`.
struct WebSocketExtension: Equatable {
  struct Parameter: Equatable {
    var name: String
    var value: String?
  }

  var name: String
  var parameters: [Parameter] = []

  /// The elements of all fields of that name in order; nil when the text breaks the grammar.
  static func parse(_ headers: HTTPHeaders) -> [WebSocketExtension]? {
    var all: [WebSocketExtension] = []
    for field in headers.fields where HTTPHeaders.same(field.name, "Sec-WebSocket-Extensions") {
      var scanner = Scanner(rest: Array(field.value.utf8)[...])
      guard let some = scanner.list() else { return nil }
      all += some
    }
    return all
  }

  private struct Scanner {
    var rest: ArraySlice<UInt8>

    mutating func list() -> [WebSocketExtension]? {
      var list: [WebSocketExtension] = []
      while true {
        skipBlanks()
        // Empty elements of a list are allowed (RFC 9110, 5.6.1).
        if take(",") { continue }
        if rest.isEmpty { return list }
        guard let name = token() else { return nil }
        var element = WebSocketExtension(name: name)
        skipBlanks()
        while take(";") {
          guard let parameter = parameter() else { return nil }
          element.parameters.append(parameter)
          skipBlanks()
        }
        list.append(element)
        guard rest.isEmpty || rest.first == UInt8(ascii: ",") else { return nil }
      }
    }

    private mutating func parameter() -> Parameter? {
      skipBlanks()
      guard let name = token() else { return nil }
      skipBlanks()
      guard take("=") else { return Parameter(name: name) }
      skipBlanks()
      let isQuoted = take("\"")
      guard let value = token(), !isQuoted || take("\"") else { return nil }
      return Parameter(name: name, value: value)
    }

    private mutating func skipBlanks() {
      while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
    }

    private mutating func take(_ sign: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: sign) else { return false }
      rest.removeFirst()
      return true
    }

    /// A token; inside quotes, too, only what would be a token without them is allowed (RFC 6455, 9.1).
    private mutating func token() -> String? {
      let text = rest.prefix { HTTPHeaders.isTokenByte($0) }
      guard !text.isEmpty else { return nil }
      rest = rest.dropFirst(text.count)
      return String(decoding: text, as: UTF8.self)
    }
  }
}

extension HTTPHeaders {
  /// Whether a byte may stand in a field's name (RFC 9110, 5.6.2).
  static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"): true
    case UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
    case UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"): true
    default: false
    }
  }

  static func isToken(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { isTokenByte($0) } }

  /// Whether a value can be sent without ending its line early: no control but the tab.
  static func isValue(_ text: String) -> Bool {
    text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }
}
