import Core

extension ByteWriter {
  /// A JSON string with its quotes that moves no terminal: beyond what JSON demands, every character that ends
  /// a line, starts a control sequence or turns the direction of writing is escaped.
  mutating func append(printable text: String) {
    append(byte: 0x22)
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: append("\\\"")
      case 0x5C: append("\\\\")
      case 0x0A: append("\\n")
      case 0x0D: append("\\r")
      case 0x09: append("\\t")
      default:
        if isControl(scalar) {
          append("\\u")
          append(hex: UInt64(scalar.value), digits: 4)
        } else {
          for byte in scalar.utf8 { append(byte: byte) }
        }
      }
    }
    append(byte: 0x22)
  }
}

/// C0 and C1 controls, line and paragraph separators, and the marks that reorder text (Unicode TR 36, 3.2).
func isControl(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0..<0x20, 0x7F...0x9F, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
  default: false
  }
}
