import Glibc

/// Rules about the characters of HTTP/1.1 (RFC 9110, 5.5 and 5.6; RFC 3986).
enum HTTPText {
  /// Letters, digits and ``!#$%&'*+-.^_`|~``, as a bit per ASCII character.
  private static let tokens: (UInt64, UInt64) = {
    var low: UInt64 = 0
    var high: UInt64 = 0
    let all =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for byte in all.utf8 {
      if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte - 64) }
    }
    return (low, high)
  }()

  static func isToken(_ byte: UInt8) -> Bool {
    if byte < 64 { return tokens.0 >> UInt64(byte) & 1 == 1 }
    return byte < 128 && tokens.1 >> UInt64(byte - 64) & 1 == 1
  }

  static func isToken(_ bytes: some Collection<UInt8>) -> Bool { !bytes.isEmpty && bytes.allSatisfy(isToken) }

  /// Whether a field may be sent: nothing in it can end the line or the head.
  static func isSendable(_ field: HTTPHeaders.Field) -> Bool {
    isToken(field.name.utf8) && field.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }

  static func same(_ bytes: UnsafeRawBufferPointer, lowercased name: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == name.count else { return false }
    for index in 0..<name.count where lower(bytes[index]) != name[index] { return false }
    return true
  }

  static func same(_ bytes: UnsafeRawBufferPointer, _ lowercased: StaticString) -> Bool {
    same(
      bytes,
      lowercased: UnsafeRawBufferPointer(start: lowercased.utf8Start, count: lowercased.utf8CodeUnitCount))
  }

  @inline(__always)
  static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }

  static func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }
}

/// Percent-encoding of addresses (RFC 3986, 2.1).
public enum PercentCoding {
  /// Encodes all but letters, digits and `-._~`: right for a path segment or a query's name or value.
  public static func encode(_ text: String) -> String {
    var encoded: [UInt8] = []
    encoded.reserveCapacity(text.utf8.count)
    let digits = Array("0123456789ABCDEF".utf8)
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: encoded.append(byte)
      default: encoded += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }

  /// - Parameter plusIsSpace: as in queries written by HTML forms.
  /// - Returns: nil for a broken escape, an escaped zero, or what is no UTF-8 once decoded.
  public static func decode(_ text: some Collection<UInt8>, plusIsSpace: Bool = false) -> String? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(text.count)
    var place = text.startIndex
    while place != text.endIndex {
      var byte = text[place]
      text.formIndex(after: &place)
      if byte == 0x25 {
        guard place != text.endIndex, let high = HTTPText.hexValue(text[place]) else { return nil }
        text.formIndex(after: &place)
        guard place != text.endIndex, let low = HTTPText.hexValue(text[place]) else { return nil }
        text.formIndex(after: &place)
        byte = high << 4 | low
        if byte == 0 { return nil }
      } else if byte == 0x2B, plusIsSpace {
        byte = 0x20
      }
      decoded.append(byte)
    }
    return String(validating: decoded, as: UTF8.self)
  }
}
