import Core
import Testing

@Suite("Decimal scale")
struct DecimalTests {
  @Test(
    arguments: [
      ("63943.90", 2, 6_394_390), ("63943.9", 2, 6_394_390), ("63943.900", 2, 6_394_390), ("-0.5", 3, -500),
      ("0", 0, 0), ("1.21400000", 8, 121_400_000), ("12", 4, 120_000), (".5", 1, 5),
    ] as [(String, Int, Int64)])
  func exact(_ text: String, _ decimals: Int, _ units: Int64) {
    #expect(DecimalScale(decimals).parse(text) == units)
  }

  @Test(
    arguments: [
      ("63943.905", 2), ("", 2), (".", 2), ("1e5", 2), ("12a", 2), ("--1", 0), ("1.2.3", 2),
      ("92233720368547758.08", 2), ("99999999999999999999", 0), (" 1", 0),
    ] as [(String, Int)])
  func refused(_ text: String, _ decimals: Int) {
    #expect(DecimalScale(decimals).parse(text) == nil)
  }

  @Test func textRoundTrip() {
    var random = SeededRandom(seed: 7)
    for _ in 0..<10_000 {
      let scale = DecimalScale(random.below(12))
      let units = Int64(bitPattern: random.next()) >> Int64(random.below(60))
      #expect(scale.parse(scale.text(units)) == units || units == .min)
    }
  }

  @Test func extremesFormat() {
    #expect(DecimalScale(0).text(.max) == "9223372036854775807")
    #expect(DecimalScale(18).text(.min) == "-9.223372036854775808")
    #expect(DecimalScale(3).text(-5) == "-0.005")
  }

  @Test func microsEqualTheirText() {
    var random = SeededRandom(seed: 8)
    for _ in 0..<10_000 {
      let micros = Micros(random.normal() * 1000)
      var writer = ByteWriter()
      writer.append(micros: micros)
      #expect(Double(writer.string()) == micros.double)
    }
    #expect(Micros(Double.nan).isAbsent)
    #expect(Micros(1e300).isAbsent)
  }
}
