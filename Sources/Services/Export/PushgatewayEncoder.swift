import Core

/// Points as a Pushgateway takes them: Prometheus' text format 0.0.4 under a grouping key in the path.
///
/// Three rules are easy to miss, and the gateway answers each breach with 400 for the whole push: samples of
/// one metric stand together under one TYPE line; no series comes twice; no sample has a time. A label that
/// is part of the grouping key is left out of the samples, since the gateway overwrites it anyway.
///
/// Numbers may be `NaN`, `+Inf` and `-Inf`; texts have no place in the format and are left out.
///
/// Sources: Prometheus' "Exposition formats"; the Pushgateway's README, "URL".
public enum PushgatewayEncoder {
  /// `/metrics/job/weir/run/…/instance/…`.
  ///
  /// A value that a path cannot carry as it is (an empty one, or with anything but letters, digits, `-`,
  /// `_`, `.` and `~`) is written as `name@base64/…`, in the URL-safe alphabet.
  ///
  /// - Parameter grouping: the first must be `job`.
  public static func path(_ grouping: [ExportPoint.Label]) -> String {
    precondition(grouping.first?.name == "job", "the grouping key begins with the job")
    var path = "/metrics"
    for label in grouping {
      let isPlain =
        label.value.utf8.allSatisfy(ExportText.isUnreserved) && !["", ".", ".."].contains(label.value)
      path +=
        isPlain
        ? "/\(label.name)/\(label.value)" : "/\(label.name)@base64/\(base64(Array(label.value.utf8)))"
    }
    return path
  }

  /// The body: one TYPE line and all samples of each metric, in order of first appearance, and a newline at
  /// the end. A name that ends in `_total` is a counter, all others are gauges. Of a series that comes
  /// twice the last value counts.
  ///
  /// - Complexity: O(fields · labels).
  public static func encode(_ points: [ExportPoint], grouping: [ExportPoint.Label]) -> [UInt8] {
    let grouped = Set(grouping.map(\.name))
    var order: [String] = []
    var series: [String: (order: [String], values: [String: Double])] = [:]
    for point in points {
      let labels = self.labels(point, without: grouped)
      for field in point.fields {
        guard let number = field.value.number else { continue }
        let name = metricName("\(point.measurement)_\(field.name)")
        if series[name] == nil { order.append(name) }
        let old = series[name, default: ([], [:])].values.updateValue(number, forKey: labels)
        if old == nil { series[name]!.order.append(labels) }
      }
    }
    var writer = ByteWriter(capacity: 4096)
    for name in order {
      writer.append("# TYPE ")
      writer.append(name)
      writer.append(name.hasSuffix("_total") ? " counter\n" : " gauge\n")
      for labels in series[name]!.order {
        writer.append(name)
        writer.append(labels)
        writer.append(byte: 0x20)
        append(series[name]!.values[labels]!, &writer)
        writer.append(byte: 0x0A)
      }
    }
    return Array(writer.bytes)
  }

  /// `{a="1",b="2"}`, or nothing.
  private static func labels(_ point: ExportPoint, without grouped: Set<String>) -> String {
    var named: [String: String] = [:]
    for tag in point.usableTags {
      let name = labelName(tag.name)
      if !grouped.contains(name), named[name] == nil { named[name] = tag.value }
    }
    if named.isEmpty { return "" }
    let parts = named.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(escaped($0.value))\"" }
    return "{\(parts.joined(separator: ","))}"
  }

  private static func append(_ value: Double, _ writer: inout ByteWriter) {
    if value.isNaN {
      writer.append("NaN")
    } else if value.isInfinite {
      writer.append(value > 0 ? "+Inf" : "-Inf")
    } else {
      writer.append(double: value)
    }
  }

  private static func escaped(_ value: String) -> String {
    var text = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  /// `[a-zA-Z_:][a-zA-Z0-9_:]*`; other bytes become `_`.
  static func metricName(_ text: String) -> String { name(text, colons: true) }

  /// `[a-zA-Z_][a-zA-Z0-9_]*` that doesn't begin with two underscores, which are Prometheus' own.
  static func labelName(_ text: String) -> String {
    let name = name(text, colons: false)
    return name.hasPrefix("__") ? "label" + name : name
  }

  private static func name(_ text: String, colons: Bool) -> String {
    var bytes = text.utf8.map { (byte: UInt8) -> UInt8 in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: byte
      case 0x3A where colons: byte
      default: 0x5F
      }
    }
    if bytes.isEmpty || (0x30...0x39).contains(bytes[0]) { bytes.insert(0x5F, at: 0) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// URL-safe; an empty value is one `=`, as the Pushgateway asks for.
  private static func base64(_ bytes: [UInt8]) -> String {
    if bytes.isEmpty { return "=" }
    return ExportText.base64(bytes, urlSafe: true)
  }
}
