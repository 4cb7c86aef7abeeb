import Core

/// A field's value. Each series keeps its kind: InfluxDB refuses a series that changes it.
public enum ExportValue: Equatable, Sendable {
  case integer(Int64)
  case double(Double)
  case boolean(Bool)
  case text(String)

  /// Texts have none; truth is 1 or 0.
  var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .double(let value): value
    case .boolean(let value): value ? 1 : 0
    case .text: nil
    }
  }

  var json: JSONValue {
    switch self {
    case .integer(let value): .integer(value)
    case .double(let value): .double(value)
    case .boolean(let value): .bool(value)
    case .text(let value): .string(value)
    }
  }
}

/// Values of one moment under one measurement and one set of tags.
///
/// A field's metric is named `<measurement>_<field>`, in the Pushgateway as in VictoriaMetrics:
/// `weir_signal` with `rows_total` is `weir_signal_rows_total`.
public struct ExportPoint: Equatable, Sendable {
  public struct Label: Equatable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  public struct Field: Equatable, Sendable {
    public var name: String
    public var value: ExportValue

    public init(_ name: String, _ value: ExportValue) {
      self.name = name
      self.value = value
    }
  }

  public var measurement: String
  /// Of a name that comes twice the first counts.
  public var tags: [Label]
  public var fields: [Field]
  /// Nanoseconds since 1970.
  public var timeNs: Int64

  public init(_ measurement: String, tags: [Label] = [], fields: [Field], timeNs: Int64) {
    self.measurement = measurement
    self.tags = tags
    self.fields = fields
    self.timeNs = timeNs
  }

  /// `{"measurement", "tags": {…}, "fields": {…}, "time_ns"}`; what is not finite is null.
  public var json: JSONValue {
    .object([
      "measurement": .string(measurement),
      "tags": .object(tags.map { .init($0.name, .string($0.value)) }),
      "fields": .object(fields.map { .init($0.name, $0.value.json) }),
      "time_ns": .integer(timeNs),
    ])
  }

  /// Sorted by name, without empty names and values, each name once.
  var usableTags: [Label] {
    var seen: Set<String> = []
    return tags.filter { !$0.name.isEmpty && !$0.value.isEmpty && seen.insert($0.name).inserted }
      .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }
}
