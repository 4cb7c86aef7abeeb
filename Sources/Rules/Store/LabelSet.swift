import Telemetry

/// Labels without regard to order: the identity of a series beside its name, and of an alert beside its rule.
///
/// A label with an empty value is the same as no label, as in Prometheus.
public struct LabelSet: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Sorted by name, each name once, no empty value.
  public private(set) var labels: [MetricSample.Label]

  public static let empty = LabelSet([])

  /// Of a repeated name the last counts.
  public init(_ labels: [MetricSample.Label]) {
    var last: [String: String] = [:]
    for label in labels { last[label.name] = label.value }
    self.labels = last.compactMap { $0.value.isEmpty ? nil : MetricSample.Label($0.key, $0.value) }
    self.labels.sort { $0.name < $1.name }
  }

  private init(sorted labels: [MetricSample.Label]) { self.labels = labels }

  public subscript(name: String) -> String? { labels.first { $0.name == name }?.value }

  func keeping(_ names: [String]) -> LabelSet {
    LabelSet(sorted: labels.filter { names.contains($0.name) })
  }

  func dropping(_ names: [String]) -> LabelSet {
    LabelSet(sorted: labels.filter { !names.contains($0.name) })
  }

  public static func < (first: LabelSet, second: LabelSet) -> Bool {
    for (a, b) in zip(first.labels, second.labels) where a != b {
      return a.name == b.name ? a.value < b.value : a.name < b.name
    }
    return first.labels.count < second.labels.count
  }

  /// `{job="signal", symbol="BTCUSDT"}`
  public var description: String {
    "{" + labels.map { "\($0.name)=\(quoted($0.value))" }.joined(separator: ", ") + "}"
  }
}

/// A text between double quotes as Prometheus' expressions, Go, JSON and YAML all read it.
func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    case _ where scalar.value < 0x20 || scalar.value == 0x7F:
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}

/// A text from outside made fit for one line of a message.
func legible(_ text: String, charactersMax: Int = 60) -> String {
  let cut = String(String.UnicodeScalarView(text.unicodeScalars.prefix(charactersMax)))
  return quoted(cut.count < text.count ? cut + "…" : cut)
}
