/// The spelling rules of the text format.
enum MetricName {
  /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
  static func isValid(_ name: some Sequence<UInt8>) -> Bool { isValid(name, colonAllowed: true) }

  /// `[a-zA-Z_][a-zA-Z0-9_]*`
  static func isValidLabel(_ name: some Sequence<UInt8>) -> Bool { isValid(name, colonAllowed: false) }

  private static func isValid(_ name: some Sequence<UInt8>, colonAllowed: Bool) -> Bool {
    var isFirst = true
    for byte in name {
      guard isNameByte(byte, isFirst: isFirst, colonAllowed: colonAllowed) else { return false }
      isFirst = false
    }
    return !isFirst
  }

  @inline(__always)
  static func isNameByte(_ byte: UInt8, isFirst: Bool, colonAllowed: Bool) -> Bool {
    switch byte {
    case 0x61...0x7A, 0x41...0x5A, 0x5F: true
    case 0x30...0x39: !isFirst
    case 0x3A: colonAllowed
    default: false
    }
  }
}
