/// Texts in addresses and headers.
enum ExportText {
  /// Letters, digits, `-`, `.`, `_` and `~`, which an address carries as they are (RFC 3986, 2.3).
  static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
    default: false
    }
  }

  /// A query's value.
  static func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      if isUnreserved(byte) {
        bytes.append(byte)
      } else {
        bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// RFC 4648, 4 with padding, or 5 without.
  static func base64(_ bytes: [UInt8], urlSafe: Bool = false) -> String {
    let alphabet = Array(
      ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + (urlSafe ? "-_" : "+/")).utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits = 0
      for index in 0..<3 { bits = bits << 8 | (index < group.count ? Int(group[start + index]) : 0) }
      for index in 0...group.count { text.append(alphabet[bits >> (18 - 6 * index) & 63]) }
      if !urlSafe { for _ in group.count..<3 { text.append(0x3D) } }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The first line of what a server said, in at most 200 characters, without controls.
  static func firstLine(_ text: String) -> String {
    let line = text.unicodeScalars.drop { $0 == "\n" || $0 == "\r" || $0 == " " }
      .prefix { $0 != "\n" && $0 != "\r" }.prefix(200)
    return String(String.UnicodeScalarView(line.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
  }
}
