import Core
import Testing

@testable import Net

@Suite("Websocket: bytes")
struct WebSocketTextTests {
  @Test(arguments: [
    ("", true), ("ascii", true), ("κόσμε", true), ("日本語のテキストが三十二バイトより長く続く", true), ("🦀", true),
  ])
  func text(_ text: String, _ isValid: Bool) {
    for pad in 0..<40 {
      let bytes = [UInt8](repeating: 0x61, count: pad) + Array(text.utf8)
      #expect(bytes.withUnsafeBytes { WebSocketText.isValid($0) } == isValid)
    }
  }

  /// Each at every distance from the start, so that every step of the scan meets it.
  @Test(
    arguments: [
      [0x80], [0xBF], [0xC0, 0xAF], [0xC1, 0x81], [0xC3], [0xE0, 0x80, 0xAF], [0xE2, 0x82],
      [0xED, 0xA0, 0x80],
      [0xF0, 0x80, 0x80, 0xAF], [0xF0, 0x9F, 0xA6], [0xF4, 0x90, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80],
      [0xFE], [0xFF], [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5, 0xED, 0xA0, 0x80],
    ] as [[UInt8]])
  func textThatIsNotUTF8(_ bad: [UInt8]) {
    for before in 0..<70 {
      for after in [0, 1, 33] {
        let bytes =
          [UInt8](repeating: 0x61, count: before) + bad + [UInt8](repeating: 0x62, count: after)
        #expect(bytes.withUnsafeBytes { !WebSocketText.isValid($0) }, "\(before) bytes before")
      }
    }
  }

  @Test func aScalarCutAnywhereIsATailAndNothingElseIs() {
    for text in ["a", "é", "€", "🦀"] {
      let bytes = Array(("xyz" + text).utf8)
      for cut in 3...bytes.count {
        let tail = bytes[..<cut].withUnsafeBytes { WebSocketText.incompleteTail($0) }
        #expect(tail == (cut == bytes.count ? 0 : cut - 3))
      }
    }
    #expect([0x80, 0x80, 0x80].withUnsafeBytes { WebSocketText.incompleteTail($0) } == 0)
  }

  @Test func maskingIsItsOwnInverseAndKnowsASCII() {
    var random = SeededRandom(seed: 7)
    for length in Array(0...100) + [390, 1000] {
      let isASCII = random.bernoulli(0.5)
      let plain = (0..<length).map { _ in UInt8(random.below(isASCII ? 128 : 256)) }
      let key = UInt32(truncatingIfNeeded: random.next())
      var masked = plain
      masked.withUnsafeMutableBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        _ = WebSocketMask.unmask(base, length, key: key)
      }
      let expected = withUnsafeBytes(of: key) { key in plain.enumerated().map { $1 ^ key[$0 % 4] } }
      #expect(masked == expected)
      masked.withUnsafeMutableBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        #expect(WebSocketMask.unmask(base, length, key: key) == plain.allSatisfy { $0 < 128 })
      }
      #expect(masked == plain)
    }
  }

  @Test func maskKeysDoNotRepeat() {
    var keys = WebSocketMaskKeys()
    var seen: Set<UInt32> = []
    for _ in 0..<4096 { seen.insert(keys.next()) }
    // Two equal ones among 4096 of 2^32 come up once in 500 runs; three never.
    #expect(seen.count >= 4094)
  }

  /// Every length at which the header's form changes, written and read back.
  @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 24, 1 << 40])
  func lengthsTakeTheShortestForm(_ length: Int) {
    for isMasked in [false, true] {
      var header = [UInt8](repeating: 0, count: WebSocketFrame.headerBytesMax)
      header.withUnsafeMutableBytes { bytes in
        let base = bytes.baseAddress!
        let count =
          WebSocketFrame.write(base, first: 0x82, payloadBytes: length, mask: isMasked ? 0x80 : 0)
          + (isMasked ? 4 : 0)
        for available in 2..<count {
          #expect(WebSocketFrame.lengths(base, available: available, isMasked: isMasked) == nil)
        }
        let read = WebSocketFrame.lengths(base, available: count, isMasked: isMasked)
        #expect(read?.payload == length)
        #expect(read?.header == count)
      }
    }
  }
}
