import Core

extension ConfigSchema {
  /// The built-in configuration as YAML, each key with its documentation and what it accepts above it.
  public func defaultsText() -> String {
    var outline = ConfigOutline()
    for key in keys {
      let standard = key.get(defaults)
      let isShown = standard != .absent && standard != .string("")
      outline.add(key.path, isShown ? standard.text : nil, above: [summary(of: key)], note: nil)
    }
    for map in maps {
      outline.comment("\(map.documentation); each name is \(map.names.description), with")
      for field in map.fields {
        outline.comment(
          "  \(field.path): \(field.standard.text)  # \(field.documentation) (\(field.type.description))")
      }
    }
    return outline.text
  }

  private func summary(of key: ConfigKey<Root>) -> String {
    "\(key.documentation) (\(key.type.description))\(key.isSecret ? "; secret" : "")"
  }

  /// A Markdown table of every key: path, default, what it accepts, documentation.
  public func referenceText() -> String {
    var text = "| key | default | accepts | meaning |\n|---|---|---|---|\n"
    for row in reference() {
      let note = row.isSecret ? " (secret)" : ""
      text += "| `\(row.path)` | `\(row.standard)` | \(row.accepts) | \(row.documentation)\(note) |\n"
    }
    return text
  }

  /// Every key as JSON objects with `key`, `default`, `accepts`, `meaning`, `secret`.
  public func referenceJSON() -> JSONValue {
    .array(
      reference().map { row in
        [
          "key": .string(row.path), "default": row.json, "accepts": .string(row.accepts),
          "meaning": .string(row.documentation), "secret": .bool(row.isSecret),
        ]
      }.map { (members: KeyValuePairs<String, JSONValue>) in JSONValue.object(members) })
  }

  private struct Row {
    var path: String
    var standard: String
    var json: JSONValue
    var accepts: String
    var documentation: String
    var isSecret: Bool
  }

  private func reference() -> [Row] {
    func row(
      _ path: String, _ standard: ConfigValue, _ type: ConfigType, _ documentation: String, _ isSecret: Bool
    ) -> Row {
      let value = isSecret ? ConfigValue.absent : standard
      let shown = value == .absent ? "none" : value.text
      return Row(
        path: path, standard: shown, json: value.json, accepts: type.description,
        documentation: documentation,
        isSecret: isSecret)
    }
    let plain = keys.map { row($0.path, $0.get(defaults), $0.type, $0.documentation, $0.isSecret) }
    let mapped = maps.flatMap { map in
      map.fields.map {
        row("\(map.path).NAME.\($0.path)", $0.standard, $0.type, $0.documentation, $0.isSecret)
      }
    }
    return plain + mapped
  }
}
