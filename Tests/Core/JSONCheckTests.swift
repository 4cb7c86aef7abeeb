import Core
import Testing

@Suite("JSON check")
struct JSONCheckTests {
  private static let samples = [
    #"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","b":[["63943.90","0.001"],["1","2"]],"a":[]}}"#,
    #"{"k":{"t":1785048480000, "T" : -1.5e+3, "x":false, "y":null, "z":true},"s":"é\u00e9\n\"\\"}"#,
    "[1,[2,[3,[]],{}],{\"a\":{\"b\":[0.5,-0,10E2]}}]", "\"text\"", "  12  ", "{}", "[]", "tru", "{\"a\":}",
    "[1,]", "{\"a\":1,}", "01", "-", "1.", "1e", "\"\\x\"", "\"\\u12G4\"", "\"open", "[1 2]", "{1:2}",
    "\u{0}", "",
  ]

  private func expectSame(_ bytes: [UInt8], _ note: String) {
    bytes.withUnsafeBytes { buffer in
      var cursor = JSONCursor(buffer)
      let expected = cursor.skipValue() ? cursor.offset : nil
      #expect(endOfJSONValue(in: buffer) == expected, "\(note): \(String(decoding: bytes, as: UTF8.self))")
    }
  }

  @Test func agreesWithTheCursor() {
    for sample in JSONCheckTests.samples { expectSame(Array(sample.utf8), "sample") }
    let seed: UInt64 = 5
    var random = SeededRandom(seed: seed)
    let alphabet = Array("{}[]\",:\\ \n0123456789.eE+-truefalsn\u{1}é".utf8)
    for _ in 0..<20_000 {
      var bytes = Array(JSONCheckTests.samples[random.below(JSONCheckTests.samples.count)].utf8)
      for _ in 0...random.below(4) {
        let at = random.below(bytes.count + 1)
        switch random.below(3) {
        case 0: bytes.insert(alphabet[random.below(alphabet.count)], at: at)
        case 1: if at < bytes.count { bytes[at] = alphabet[random.below(alphabet.count)] }
        default: if at < bytes.count { bytes.remove(at: at) }
        }
      }
      expectSame(bytes, "seed \(seed)")
    }
  }

  @Test func depthIsBounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
      for depth in 60...70 {
        let text = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        expectSame(Array(text.utf8), "depth \(depth)")
        Array(text.utf8).withUnsafeBytes {
          #expect((endOfJSONValue(in: $0, containersMax: 63) != nil) == (depth <= 63))
        }
      }
    }
  }
}
