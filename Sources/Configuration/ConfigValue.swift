import Core

/// A configuration value with its type, as it is read, shown and hashed.
public enum ConfigValue: Sendable, Equatable {
  /// A text, list or secret that has no value.
  case absent
  case integer(Int64)
  case double(Double)
  case boolean(Bool)
  case string(String)
  case strings([String])
  case doubles([Double])

  /// The exact value; valid both as YAML and, for `absent`, as JSON `null`.
  public var text: String {
    switch self {
    case .absent: "null"
    case .integer(let value): String(value)
    case .double(let value): exact(value)
    case .boolean(let value): value ? "true" : "false"
    case .string(let value): quoted(value)
    case .strings(let values): "[" + values.map(quoted).joined(separator: ", ") + "]"
    case .doubles(let values): "[" + values.map(exact).joined(separator: ", ") + "]"
    }
  }

  public var json: JSONValue {
    switch self {
    case .absent: .null
    case .integer(let value): .integer(value)
    case .double(let value): .number(exact(value))
    case .boolean(let value): .bool(value)
    case .string(let value): .string(value)
    case .strings(let values): .array(values.map { .string($0) })
    case .doubles(let values): .array(values.map { .number(exact($0)) })
    }
  }
}

/// The shortest text that reads back as the same double, always with a point or an exponent.
private func exact(_ value: Double) -> String { value.description }

/// A double-quoted text that YAML reads back unchanged.
///
/// Line separators and everything YAML doesn't print are escaped; YAML folds raw ones.
private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar.value {
    case 0x22: result += "\\\""
    case 0x5C: result += "\\\\"
    case 0x0A: result += "\\n"
    case 0x09: result += "\\t"
    case 0x20...0x7E, 0xA1...0x2027, 0x202A...0xD7FF, 0xE000...0xFEFE, 0xFF00...0xFFFD, 0x10000...:
      result.unicodeScalars.append(scalar)
    default:
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
    }
  }
  return result + "\""
}
