/// One configuration key: its dotted path, the field it sets, what it accepts, and a line of documentation.
///
/// Each kind of value has a factory of its own name: with overloads of one name the compiler gives up on a
/// table of ten keys.
///
/// ```
/// .integer("flow.ofi_window_ms", \.flow.ofiWindowMs, 100...600_000, "OFI window, milliseconds")
/// ```
public struct ConfigKey<Root: Sendable>: Sendable {
  /// `flow.ofi_window_ms`
  public let path: String
  public let type: ConfigType
  public let documentation: String
  /// Secrets are never shown, hashed or quoted in an error.
  public let isSecret: Bool
  /// It names a file whose values are in the configuration already: what is shown, hashed and passed on is those.
  public private(set) var isSource = false
  let get: @Sendable (Root) -> ConfigValue
  let set: @Sendable (inout Root, ConfigValue) -> Void

  init(
    path: String, type: ConfigType, documentation: String, isSecret: Bool,
    get: @escaping @Sendable (Root) -> ConfigValue, set: @escaping @Sendable (inout Root, ConfigValue) -> Void
  ) {
    self.path = path
    self.type = type
    self.documentation = documentation
    self.isSecret = isSecret
    self.get = get
    self.set = set
  }

  private init<Value>(
    _ path: String, _ field: WritableKeyPath<Root, Value> & Sendable, _ type: ConfigType,
    _ documentation: String,
    isSecret: Bool = false, wrap: @escaping @Sendable (Value) -> ConfigValue,
    unwrap: @escaping @Sendable (ConfigValue) -> Value?
  ) {
    self.init(
      path: path, type: type, documentation: documentation, isSecret: isSecret,
      get: { wrap($0[keyPath: field]) },
      set: { root, value in
        guard let value = unwrap(value) else { preconditionFailure("a value of another type for \(path)") }
        root[keyPath: field] = value
      })
  }

  /// The keys of a part that occurs several times, under `prefix`.
  public static func section<Part: Sendable>(
    _ prefix: String, _ part: WritableKeyPath<Root, Part> & Sendable, _ keys: [ConfigKey<Part>]
  ) -> [ConfigKey] {
    keys.map { key in
      ConfigKey(
        path: prefix + "." + key.path, type: key.type, documentation: key.documentation,
        isSecret: key.isSecret, get: { key.get($0[keyPath: part]) }, set: { key.set(&$0[keyPath: part], $1) })
    }
  }

  /// A whole number within a range.
  public static func integer(
    _ path: String, _ field: WritableKeyPath<Root, Int> & Sendable, _ range: ClosedRange<Int>,
    _ documentation: String
  ) -> ConfigKey {
    let range = Int64(range.lowerBound)...Int64(range.upperBound)
    return ConfigKey(path, field, .integer(range), documentation, wrap: { .integer(Int64($0)) }) {
      if case .integer(let value) = $0 { Int(value) } else { nil }
    }
  }

  /// A whole number within a range, for fields of fixed width.
  public static func integer64(
    _ path: String, _ field: WritableKeyPath<Root, Int64> & Sendable, _ range: ClosedRange<Int64>,
    _ documentation: String
  ) -> ConfigKey {
    ConfigKey(path, field, .integer(range), documentation, wrap: { .integer($0) }) {
      if case .integer(let value) = $0 { value } else { nil }
    }
  }

  /// A finite number within a range.
  public static func double(
    _ path: String, _ field: WritableKeyPath<Root, Double> & Sendable, _ range: ClosedRange<Double>,
    _ documentation: String
  ) -> ConfigKey {
    ConfigKey(path, field, .double(range), documentation, wrap: { .double($0) }) {
      if case .double(let value) = $0 { value } else { nil }
    }
  }

  /// `true` or `false`, and no other word.
  public static func boolean(
    _ path: String, _ field: WritableKeyPath<Root, Bool> & Sendable, _ documentation: String
  ) -> ConfigKey {
    ConfigKey(path, field, .boolean, documentation, wrap: { .boolean($0) }) {
      if case .boolean(let value) = $0 { value } else { nil }
    }
  }

  /// A text that always has a value; the default may be empty, a given value may not.
  public static func text(
    _ path: String, _ field: WritableKeyPath<Root, String> & Sendable, _ documentation: String
  ) -> ConfigKey {
    ConfigKey(path, field, .string, documentation, wrap: { .string($0) }) {
      if case .string(let value) = $0 { value } else { nil }
    }
  }

  /// A text that may be missing.
  public static func optionalText(
    _ path: String, _ field: WritableKeyPath<Root, String?> & Sendable, _ documentation: String
  ) -> ConfigKey {
    optionalText(path, field, isSecret: false, documentation)
  }

  /// A credential: a text that may be missing and is never shown.
  public static func secret(
    _ path: String, _ field: WritableKeyPath<Root, String?> & Sendable, _ documentation: String
  ) -> ConfigKey {
    optionalText(path, field, isSecret: true, documentation)
  }

  private static func optionalText(
    _ path: String, _ field: WritableKeyPath<Root, String?> & Sendable, isSecret: Bool,
    _ documentation: String
  ) -> ConfigKey {
    ConfigKey(
      path, field, .optionalString, documentation, isSecret: isSecret,
      wrap: { $0.map { .string($0) } ?? .absent }
    ) {
      if case .string(let value) = $0 { .some(.some(value)) } else { .some(.none) }
    }
  }

  /// The name of a file that is a layer of the configuration; see ``isSource``.
  public static func source(
    _ path: String, _ field: WritableKeyPath<Root, String?> & Sendable, _ documentation: String
  ) -> ConfigKey {
    var key = optionalText(path, field, documentation)
    key.isSource = true
    return key
  }

  /// A text out of a fixed set.
  public static func oneOf(
    _ path: String, _ field: WritableKeyPath<Root, String> & Sendable, _ names: [String],
    _ documentation: String
  ) -> ConfigKey {
    ConfigKey(path, field, .oneOf(names), documentation, wrap: { .string($0) }) {
      if case .string(let value) = $0 { value } else { nil }
    }
  }

  /// An enumeration whose raw values are the texts accepted.
  public static func choice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
    _ path: String, _ field: WritableKeyPath<Root, Choice> & Sendable, _ documentation: String
  ) -> ConfigKey {
    ConfigKey(
      path, field, .oneOf(Choice.allCases.map(\.rawValue)), documentation, wrap: { .string($0.rawValue) }
    ) {
      if case .string(let value) = $0 { Choice(rawValue: value) } else { nil }
    }
  }

  /// A list of texts; `count` bounds its length.
  public static func texts(
    _ path: String, _ field: WritableKeyPath<Root, [String]> & Sendable, count: ClosedRange<Int>,
    _ documentation: String
  ) -> ConfigKey {
    ConfigKey(path, field, .strings(count), documentation, wrap: { .strings($0) }) {
      if case .strings(let values) = $0 { values } else { nil }
    }
  }

  /// A list of finite numbers, each within a range; `count` bounds its length.
  public static func doubles(
    _ path: String, _ field: WritableKeyPath<Root, [Double]> & Sendable, _ range: ClosedRange<Double>,
    count: ClosedRange<Int>, _ documentation: String
  ) -> ConfigKey {
    ConfigKey(path, field, .doubles(range, count: count), documentation, wrap: { .doubles($0) }) {
      if case .doubles(let values) = $0 { values } else { nil }
    }
  }
}
