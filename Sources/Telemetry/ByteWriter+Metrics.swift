import Core

extension ByteWriter {
  /// A value as Prometheus spells it: the shortest text that reads back as the same double, `NaN`, `+Inf` or
  /// `-Inf`.
  public mutating func append(metricValue value: Double) {
    if value.isFinite {
      append(double: value)
    } else if value.isNaN {
      append("NaN")
    } else {
      append(value > 0 ? "+Inf" : "-Inf")
    }
  }

  /// A help text, or with `quotes` the inside of a label's value: `\` and line feeds escaped, and `"`.
  mutating func append(escaped text: String, quotes: Bool) {
    for byte in text.utf8 {
      switch byte {
      case 0x5C: append("\\\\")
      case 0x0A: append("\\n")
      case 0x22 where quotes: append("\\\"")
      default: append(byte: byte)
      }
    }
  }
}
