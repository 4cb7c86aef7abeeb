/// What a key accepts.
public enum ConfigType: Sendable, Equatable {
  case integer(ClosedRange<Int64>)
  case double(ClosedRange<Double>)
  case boolean
  case string
  case optionalString
  case oneOf([String])
  /// The range is that of the number of elements.
  case strings(ClosedRange<Int>)
  case doubles(ClosedRange<Double>, count: ClosedRange<Int>)

  /// The longest text a value may have.
  public static let textBytesMax = 4096

  /// `whole number, 100 to 600000`
  public var description: String {
    switch self {
    case .integer(let range): "whole number" + bounds(range)
    case .double(let range): "number" + bounds(range)
    case .boolean: "true or false"
    case .string: "text"
    case .optionalString: "text, may be left out"
    case .oneOf(let names): "one of " + names.joined(separator: ", ")
    case .strings(let count): "list of \(amount(count)) texts"
    case .doubles(let range, let count): "list of \(amount(count)) numbers" + bounds(range, "each ")
    }
  }

  private func bounds(_ range: ClosedRange<Int64>) -> String {
    switch (range.lowerBound, range.upperBound) {
    case (.min, .max): ""
    case (let lower, .max): ", at least \(lower)"
    case (.min, let upper): ", at most \(upper)"
    case (let lower, let upper): ", \(lower) to \(upper)"
    }
  }

  private func bounds(_ range: ClosedRange<Double>, _ each: String = "") -> String {
    switch (range.lowerBound.isFinite, range.upperBound.isFinite) {
    case (false, false): ""
    case (true, false): ", \(each)at least \(range.lowerBound)"
    case (false, true): ", \(each)at most \(range.upperBound)"
    case (true, true): ", \(each)\(range.lowerBound) to \(range.upperBound)"
    }
  }

  private func amount(_ count: ClosedRange<Int>) -> String {
    if count.lowerBound == count.upperBound { return "\(count.lowerBound)" }
    if count.upperBound == .max {
      return count.lowerBound == 0 ? "any number of" : "\(count.lowerBound) or more"
    }
    return "\(count.lowerBound) to \(count.upperBound)"
  }

  /// A valid value for messages, where the key's own default is none.
  var example: String {
    switch self {
    case .integer(let range): String(range.contains(1) ? 1 : range.lowerBound)
    case .double(let range):
      (range.contains(0.5) ? 0.5 : range.lowerBound.isFinite ? range.lowerBound : range.upperBound)
        .description
    case .boolean: "true"
    case .string, .optionalString: "some text"
    case .oneOf(let names): names[0]
    case .strings: "[one, two]"
    case .doubles(let range, _): "[\(ConfigType.double(range).example)]"
    }
  }

  /// True when a value is one this type could have read; for checking defaults.
  func accepts(_ value: ConfigValue) -> Bool {
    switch (self, value) {
    case (.integer(let range), .integer(let value)): range.contains(value)
    case (.double(let range), .double(let value)): value.isFinite && range.contains(value)
    case (.boolean, .boolean), (.string, .string), (.optionalString, .string), (.optionalString, .absent):
      true
    case (.oneOf(let names), .string(let value)): names.contains(value)
    case (.strings(let count), .strings(let values)): count.contains(values.count)
    case (.doubles(let range, let count), .doubles(let values)):
      count.contains(values.count) && values.allSatisfy { $0.isFinite && range.contains($0) }
    default: false
    }
  }
}
