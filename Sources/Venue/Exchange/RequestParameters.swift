import Core

/// The parameters of a request: those of the query, then those of a form body.
struct RequestParameters {
  let path: String
  let query: Substring
  private var values: [(name: String, value: String)] = []

  static let countMax = 256

  /// - Parameter target: path and query as in a request line.
  init(target: String, body: [UInt8] = []) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = RequestParameters.decoded(parts.first ?? "")
    query = parts.count > 1 ? parts[1] : ""
    add(query)
    if !body.isEmpty, body.first != 0x7B { add(Substring(String(decoding: body, as: UTF8.self))) }
  }

  private mutating func add(_ text: Substring) {
    for pair in text.split(separator: "&") where values.count < RequestParameters.countMax {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      values.append(
        (RequestParameters.decoded(sides[0]), sides.count > 1 ? RequestParameters.decoded(sides[1]) : ""))
    }
  }

  subscript(name: String) -> String? {
    guard let value = values.first(where: { $0.name == name })?.value, !value.isEmpty else { return nil }
    return value
  }

  func required(_ name: String) throws(VenueError) -> String {
    guard let value = self[name] else { throw .missing(name) }
    return value
  }

  func integer(_ name: String) throws(VenueError) -> Int64? {
    guard let text = self[name] else { return nil }
    guard let value = Int64(text) else {
      throw VenueError(-1130, "Data sent for parameter '\(name)' is not valid.")
    }
    return value
  }

  /// `true` or `false`, in any case.
  func boolean(_ name: String) throws(VenueError) -> Bool? {
    guard let text = self[name] else { return nil }
    switch text.lowercased() {
    case "true": return true
    case "false": return false
    default: throw VenueError(-1130, "Data sent for parameter '\(name)' is not valid.")
    }
  }

  /// A count of results, 1 to `max`; more is cut to `max`, as the exchange does.
  func limit(default value: Int, max: Int) throws(VenueError) -> Int {
    guard let given = try integer("limit") else { return value }
    guard given >= 1 else { throw VenueError(-1130, "Data sent for parameter 'limit' is not valid.") }
    return Int(min(given, Int64(max)))
  }

  /// Percent signs and plus signs resolved; a broken escape stands for itself.
  static func decoded(_ text: Substring) -> String {
    let bytes = Array(text.utf8)
    guard bytes.contains(where: { $0 == 0x25 || $0 == 0x2B }) else { return String(text) }
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index] == 0x25, index + 2 < bytes.count, let high = hexValue(bytes[index + 1]),
        let low = hexValue(bytes[index + 2])
      {
        result.append(high << 4 | low)
        index += 3
      } else {
        result.append(bytes[index] == 0x2B ? 0x20 : bytes[index])
        index += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// What is signed: the text without its parameter `signature`.
  static func unsigned(_ text: some StringProtocol) -> String {
    text.split(separator: "&", omittingEmptySubsequences: false).filter { !$0.hasPrefix("signature=") }
      .joined(separator: "&")
  }
}
