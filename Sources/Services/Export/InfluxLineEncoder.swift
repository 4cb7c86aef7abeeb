import Core

/// Points as InfluxDB takes them: line protocol, one line a point, times in nanoseconds.
///
/// Every part has escapes of its own: a comma and a space in a measurement; those and `=` in tags and field
/// names; a quote and a backslash in a text. Three things cannot be written so that all servers read the same:
///
/// - a backslash in front of what would be escaped, or at the end of a name or tag: InfluxDB reads `\\` as
///   two backslashes, VictoriaMetrics as one. Such a backslash becomes `_`; one in front of any other
///   character stands for itself everywhere;
/// - a quote in a field's name, where VictoriaMetrics sees a text begin. It becomes `_`;
/// - a control character: servers that read by lines break at a newline within a text. It becomes a space.
///
/// Numbers that are not finite do not exist in the protocol: such a field is left out, and a point that has
/// no field left as well.
///
/// Source: InfluxDB v2 documentation, "Line protocol".
public enum InfluxLineEncoder {
  /// - Complexity: O(bytes), and sorting the tags of each point.
  public static func encode(_ points: [ExportPoint]) -> [UInt8] {
    var writer = ByteWriter(capacity: 4096)
    for point in points { append(point, &writer) }
    return Array(writer.bytes)
  }

  private static func append(_ point: ExportPoint, _ writer: inout ByteWriter) {
    let start = writer.count
    // A line that begins with # is a comment.
    let name = point.measurement.hasPrefix("#") ? "_" + point.measurement.dropFirst() : point.measurement
    append(name.isEmpty ? "_" : name, equalsSign: false, &writer)
    for tag in point.usableTags {
      writer.append(byte: 0x2C)
      append(tag.name, equalsSign: true, &writer)
      writer.append(byte: 0x3D)
      append(tag.value, equalsSign: true, &writer)
    }
    var mark: UInt8 = 0x20
    for field in point.fields where !field.name.isEmpty {
      if case .double(let value) = field.value, !value.isFinite { continue }
      writer.append(byte: mark)
      mark = 0x2C
      append(field.name.replacing("\"", with: "_"), equalsSign: true, &writer)
      writer.append(byte: 0x3D)
      append(field.value, &writer)
    }
    if mark == 0x20 { return writer.truncate(to: start) }
    writer.append(byte: 0x20)
    writer.append(integer: point.timeNs)
    writer.append(byte: 0x0A)
  }

  private static func append(_ value: ExportValue, _ writer: inout ByteWriter) {
    switch value {
    case .integer(let value):
      writer.append(integer: value)
      writer.append(byte: 0x69)
    case .double(let value): writer.append(double: value)
    case .boolean(let value): writer.append(value ? "true" : "false")
    case .text(let text):
      writer.append(byte: 0x22)
      for byte in text.utf8 {
        if byte == 0x22 || byte == 0x5C { writer.append(byte: 0x5C) }
        writer.append(byte: isControl(byte) ? 0x20 : byte)
      }
      writer.append(byte: 0x22)
    }
  }

  /// A measurement, tag or field name.
  private static func append(_ text: String, equalsSign: Bool, _ writer: inout ByteWriter) {
    let bytes = Array(text.utf8).map { isControl($0) ? 0x20 : $0 }
    func isSpecial(_ byte: UInt8) -> Bool { byte == 0x2C || byte == 0x20 || byte == 0x3D && equalsSign }
    for (index, byte) in bytes.enumerated() {
      if byte == 0x5C {
        let next = index + 1 < bytes.count ? bytes[index + 1] : 0x5C
        // An equals sign counts in measurements too: some servers undo its escape there.
        writer.append(byte: next == 0x5C || next == 0x3D || next == 0x22 || isSpecial(next) ? 0x5F : 0x5C)
      } else {
        if isSpecial(byte) { writer.append(byte: 0x5C) }
        writer.append(byte: byte)
      }
    }
  }

  private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }
}
