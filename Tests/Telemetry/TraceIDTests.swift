import Core
import Telemetry
import Testing

@Suite("Trace id") struct TraceIDTests {
  @Test(
    "prints as 16 digits and reads back",
    arguments: [
      (0, "0000000000000000"), (255, "00000000000000ff"), (.max, "7fffffffffffffff"),
      (-1, "ffffffffffffffff"),
    ] as [(Int64, String)])
  func roundtrip(sequence: Int64, text: String) {
    let id = TraceID(tapeSequence: sequence)
    #expect(id.description == text)
    #expect(TraceID(text) == id)
    #expect(TraceID(text.uppercased())?.tapeSequence == sequence)
  }

  @Test(
    "other texts are no ids",
    arguments: ["", "ff", "00000000000000fg", "00000000000000ff0", "0x000000000000ff", "000000000000 0ff"])
  func refused(text: String) { #expect(TraceID(text) == nil) }
}
