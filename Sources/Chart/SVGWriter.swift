import Core

/// Text of an SVG document; everything foreign is escaped, numbers have at most one decimal.
public struct SVGWriter: ~Copyable {
  private var writer = ByteWriter(capacity: 1 << 16)

  public init() {}

  /// Own markup, as it is.
  public mutating func raw(_ text: StaticString) { writer.append(text) }

  /// Own markup made at run time; never foreign text.
  public mutating func markup(_ text: String) { writer.append(text) }

  public mutating func number(_ value: Double) {
    let tenths = (value * 10).rounded()
    writer.append(decimal: tenths.magnitude < 1e12 ? Int64(tenths) : 0, decimals: 1, trimmed: true)
  }

  public mutating func point(_ x: Double, _ y: Double) {
    number(x)
    writer.append(byte: 0x20)
    number(y)
  }

  public mutating func attribute(_ name: StaticString, _ value: Double) {
    writer.append(byte: 0x20)
    writer.append(name)
    writer.append("=\"")
    number(value)
    writer.append(byte: 0x22)
  }

  /// Foreign text as element content or attribute value.
  ///
  /// Characters that XML 1.0 forbids even when escaped become U+FFFD.
  public mutating func escaped(_ text: String) {
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": writer.append("&amp;")
      case "<": writer.append("&lt;")
      case ">": writer.append("&gt;")
      case "\"": writer.append("&quot;")
      case "'": writer.append("&#39;")
      case "\t", "\n", "\r": writer.append(byte: 0x20)
      case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF:
        writer.append("\u{FFFD}")
      default: writer.append(String(Character(scalar)))
      }
    }
  }

  public mutating func text(
    _ x: Double, _ y: Double, class name: StaticString, anchor: StaticString = "start", _ content: String
  ) {
    writer.append("<text")
    attribute("x", x)
    attribute("y", y)
    writer.append(" class=\"")
    writer.append(name)
    writer.append("\" text-anchor=\"")
    writer.append(anchor)
    writer.append("\">")
    escaped(content)
    writer.append("</text>\n")
  }

  public mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, class name: StaticString)
  {
    writer.append("<line")
    attribute("x1", x1)
    attribute("y1", y1)
    attribute("x2", x2)
    attribute("y2", y2)
    writer.append(" class=\"")
    writer.append(name)
    writer.append("\"/>\n")
  }

  public consuming func finish() -> String { writer.string() }
}
