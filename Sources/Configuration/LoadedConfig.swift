import CCrypto
import Core

/// A merged, checked configuration that knows where each of its values came from.
public struct LoadedConfig<Root: Sendable>: Sendable {
  public let schema: ConfigSchema<Root>
  public var value: Root
  private var origins: [String: ConfigOrigin]

  init(schema: ConfigSchema<Root>, value: Root, origins: [String: ConfigOrigin]) {
    self.schema = schema
    self.value = value
    self.origins = origins
  }

  /// Where the value of `flow.ofi_window_ms` came from; ``ConfigOrigin/builtIn`` for what nobody set.
  public func origin(of path: String) -> ConfigOrigin { origins[path] ?? .builtIn }

  /// This configuration, with the keys of a section as another has them.
  public func taking(_ section: String, from other: LoadedConfig) -> LoadedConfig {
    var result = self
    for key in schema.keys where key.path.hasPrefix(section + ".") {
      key.set(&result.value, key.get(other.value))
      result.origins[key.path] = other.origins[key.path]
    }
    return result
  }

  /// Every key with its exact value, one a line, sorted by path; secrets and names of layers are left out.
  ///
  /// Two configurations that make a run behave differently have different texts, whatever they were merged
  /// from and in whatever order the table lists its keys.
  public var canonicalText: String {
    let keys = schema.allKeys(in: value).filter { !$0.isSecret && !$0.isSource }
    let lines = keys.map { "\($0.path): \($0.get(value).text)\n" }
    let names = schema.maps.flatMap { map in map.list(value).map { "\(map.path).\($0):\n" } }
    return (lines + names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.joined()
  }

  /// The first 12 hexadecimal digits of the SHA-256 of ``canonicalText``.
  public var version: String { String(sha256Hex(canonicalText).prefix(12)) }

  /// The merged configuration as YAML, each value that is not a default with a comment naming its origin.
  ///
  /// Loading the text again gives the same configuration, except for secrets: those are shown as
  /// `<redacted>`, which the loader refuses, or left out.
  public func render(omitsSecrets: Bool = false) -> String {
    var outline = ConfigOutline()
    for key in schema.allKeys(in: value) where !(omitsSecrets && key.isSecret) && !key.isSource {
      let origin = origin(of: key.path)
      let note = origin == .builtIn ? nil : origin.description
      outline.add(key.path, shown(key), note: note)
    }
    for map in schema.maps {
      let names = map.list(value)
      if names.isEmpty { outline.add(map.path, "{}", note: nil) }
      for name in names { outline.keep("\(map.path).\(name)") }
    }
    return "# version \(version); what has no comment is the default\n" + outline.text
  }

  /// `nil` for a key that has no value and so cannot be written.
  private func shown(_ key: ConfigKey<Root>) -> String? {
    switch key.get(value) {
    case .absent, .string(""): nil
    case let value: key.isSecret ? "\"\(redacted)\"" : value.text
    }
  }

  /// `{"version": …, "values": {"flow": {…}}, "origins": {"flow.ofi_window_ms": "config/x.yaml:12"}}`, with
  /// origins of what is not a default only.
  public var json: JSONValue {
    let keys = schema.allKeys(in: value).filter { !$0.isSource }
    var values: [JSONValue.Member] = []
    for key in keys {
      let value = key.get(value)
      let shown = key.isSecret && value != .absent ? .string(redacted) : value.json
      insert(shown, at: key.path.split(separator: ".").map(String.init)[...], into: &values)
    }
    let changed = keys.filter { origin(of: $0.path) != .builtIn }
    return .object([
      "version": .string(version), "values": .object(values),
      "origins": .object(changed.map { JSONValue.Member($0.path, .string(origin(of: $0.path).description)) }),
    ])
  }

  private func insert(_ value: JSONValue, at path: ArraySlice<String>, into members: inout [JSONValue.Member])
  {
    guard let name = path.first else { return }
    if path.count == 1 {
      members.append(JSONValue.Member(name, value))
      return
    }
    let index = members.firstIndex { $0.key == name } ?? members.count
    if index == members.count { members.append(JSONValue.Member(name, .object([]))) }
    guard case .object(var inner) = members[index].value else { return }
    insert(value, at: path.dropFirst(), into: &inner)
    members[index].value = .object(inner)
  }
}

/// 64 hexadecimal digits.
func sha256Hex(_ text: String) -> String {
  let bytes = Array(text.utf8)
  var digest = [UInt8](repeating: 0, count: 32)
  var length: UInt32 = 0
  let done = EVP_Digest(bytes, bytes.count, &digest, &length, EVP_sha256(), nil)
  precondition(done == 1 && length == 32, "libcrypto has no SHA-256")
  var writer = ByteWriter(capacity: 64)
  for byte in digest { writer.append(hex: UInt64(byte), digits: 2) }
  return writer.string()
}
