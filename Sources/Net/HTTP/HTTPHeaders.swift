/// The fields of a message's head, in order; names compare without case (RFC 9110, 5.1).
public struct HTTPHeaders: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  public struct Field: Sendable, Equatable {
    public var name: String
    public var value: String
  }

  public private(set) var fields: [Field] = []

  public init() {}

  public init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { add(name, value) }
  }

  public mutating func add(_ name: String, _ value: String) { fields.append(Field(name: name, value: value)) }

  /// Replaces all fields of that name.
  public mutating func set(_ name: String, _ value: String) {
    fields.removeAll { HTTPHeaders.same($0.name, name) }
    add(name, value)
  }

  /// The first field of that name.
  public subscript(_ name: String) -> String? { fields.first { HTTPHeaders.same($0.name, name) }?.value }

  public func count(of name: String) -> Int { fields.count { HTTPHeaders.same($0.name, name) } }

  /// The elements of all comma-separated fields of that name, trimmed.
  public func list(_ name: String) -> [String] {
    fields.filter { HTTPHeaders.same($0.name, name) }.flatMap { field in
      field.value.split(separator: ",").map { HTTPHeaders.trim($0) }.filter { !$0.isEmpty }
    }
  }

  /// Whether a comma-separated field holds a token, without case.
  public func contains(_ name: String, token: String) -> Bool {
    list(name).contains { HTTPHeaders.same($0, token) }
  }

  static func trim(_ text: some StringProtocol) -> String {
    var rest = text[...]
    while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
    while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
    return String(rest)
  }

  /// ASCII letters without case, all else exactly.
  static func same(_ one: some StringProtocol, _ other: some StringProtocol) -> Bool {
    one.utf8.count == other.utf8.count
      && zip(one.utf8, other.utf8).allSatisfy { $0 == $1 || lower($0) == lower($1) }
  }

  private static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
}
