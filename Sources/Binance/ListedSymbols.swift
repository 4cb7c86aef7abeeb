import Core

/// The names of the instruments in a REST answer to `exchangeInfo`, in its order.
///
/// - Returns: nil unless the bytes are JSON with an array `symbols` whose elements each have a `symbol`.
/// - Complexity: O(length), without building the document.
public func listedSymbols(_ body: UnsafeRawBufferPointer) -> [String]? {
  var cursor = JSONCursor(body)
  guard cursor.consume(0x7B), !cursor.consume(0x7D) else { return nil }
  var names: [String]?
  while true {
    guard let key = cursor.key() else { return nil }
    if key.equals("symbols"), names == nil {
      guard let found = readSymbols(&cursor) else { return nil }
      names = found
    } else if !cursor.skipValue() {
      return nil
    }
    guard let more = cursor.continues(until: 0x7D) else { return nil }
    if !more { return cursor.isAtEnd() ? names : nil }
  }
}

private func readSymbols(_ cursor: inout JSONCursor) -> [String]? {
  var names: [String] = []
  guard cursor.consume(0x5B) else { return nil }
  if cursor.consume(0x5D) { return names }
  while true {
    guard let name = readSymbol(&cursor) else { return nil }
    names.append(name)
    guard let more = cursor.continues(until: 0x5D) else { return nil }
    if !more { return names }
  }
}

private func readSymbol(_ cursor: inout JSONCursor) -> String? {
  var name: String?
  guard cursor.consume(0x7B), !cursor.consume(0x7D) else { return nil }
  while true {
    guard let key = cursor.key() else { return nil }
    if key.equals("symbol") {
      guard let text = cursor.rawString() else { return nil }
      name = String(decoding: unescapeJSON(text), as: UTF8.self)
    } else if !cursor.skipValue() {
      return nil
    }
    guard let more = cursor.continues(until: 0x7D) else { return nil }
    if !more { return name }
  }
}
