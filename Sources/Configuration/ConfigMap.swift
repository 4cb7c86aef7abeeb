/// How the free names of a ``ConfigMap`` are written.
public enum ConfigNameRule: Sendable {
  /// An exchange's symbol, `BTCUSDT`: no lower-case letters, spaces, dots or double underscores.
  case symbol
  /// `[a-z][a-z0-9_]*`
  case identifier

  public static let bytesMax = 64

  var description: String {
    switch self {
    case .symbol: "a symbol in capitals such as BTCUSDT"
    case .identifier: "lower-case letters, digits and single underscores"
    }
  }

  func accepts(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= ConfigNameRule.bytesMax, !name.contains("__") else {
      return false
    }
    switch self {
    case .symbol:
      return name.unicodeScalars.allSatisfy { scalar in
        let isPlain = scalar.value > 0x20 && scalar.value < 0x7F || scalar.value > 0xA0
        let isSeparator = scalar.properties.isWhitespace || scalar.value == 0x2E
        return isPlain && !isSeparator && !("a"..."z").contains(scalar)
      }
    case .identifier: return isConfigName(name)
    }
  }

  /// The name meant by a part of an environment variable, whose letter case is free.
  func canonical(_ name: String) -> String {
    switch self {
    case .symbol: name.uppercased()
    case .identifier: name.lowercased()
    }
  }
}

/// A section whose first key is free, such as `instruments.BTCUSDT.price_decimals`.
///
/// Naming an element creates it with the element's defaults; the fields given then override them.
public struct ConfigMap<Root: Sendable>: Sendable {
  public let path: String
  public let names: ConfigNameRule
  public let documentation: String
  /// The fields' paths inside an element, types and documentation, with their defaults.
  let fields: [Field]
  let list: @Sendable (Root) -> [String]
  let create: @Sendable (inout Root, String) -> Void
  private let makeKey: @Sendable (String, Int) -> ConfigKey<Root>

  struct Field: Sendable {
    var path: String
    var type: ConfigType
    var documentation: String
    var isSecret: Bool
    var standard: ConfigValue
  }

  public init<Element: Sendable>(
    _ path: String, _ field: WritableKeyPath<Root, [String: Element]> & Sendable, names: ConfigNameRule,
    element: Element, fields: [ConfigKey<Element>], _ documentation: String
  ) {
    self.path = path
    self.names = names
    self.documentation = documentation
    self.fields = fields.map {
      Field(
        path: $0.path, type: $0.type, documentation: $0.documentation, isSecret: $0.isSecret,
        standard: $0.get(element))
    }
    list = { root in root[keyPath: field].keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
    create = { root, name in
      if root[keyPath: field][name] == nil { root[keyPath: field][name] = element }
    }
    makeKey = { name, index in
      let inner = fields[index]
      return ConfigKey(
        path: "\(path).\(name).\(inner.path)", type: inner.type, documentation: inner.documentation,
        isSecret: inner.isSecret, get: { inner.get($0[keyPath: field][name] ?? element) },
        set: { root, value in inner.set(&root[keyPath: field][name, default: element], value) })
    }
  }

  /// The keys of one element.
  func keys(of name: String) -> [ConfigKey<Root>] { fields.indices.map { makeKey(name, $0) } }
}

/// `[a-z][a-z0-9_]*` without a double underscore, which separates sections in environment variables.
func isConfigName(_ name: some StringProtocol) -> Bool {
  guard let first = name.utf8.first, (0x61...0x7A).contains(first) else { return false }
  let isPlain = name.utf8.allSatisfy {
    (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F
  }
  return isPlain && !name.contains("__") && !name.hasSuffix("_")
}
