import Core
import Testing

@Suite("Nearest name")
struct NearestNameTests {
  @Test(arguments: [
    ("replay", "replay", 0), ("repaly", "replay", 1), ("reply", "replay", 1), ("REPLAY", "replay", 0),
    ("", "abc", 3), ("kitten", "sitting", 3), ("ca", "abc", 3),
  ])
  func distance(_ first: String, _ second: String, _ expected: Int) {
    #expect(NearestName.distance(first, second, distanceMax: 9) == expected)
    #expect(NearestName.distance(second, first, distanceMax: 9) == expected)
    if expected > 0 { #expect(NearestName.distance(first, second, distanceMax: expected - 1) == nil) }
  }

  @Test func nearestIsTheFirstOfEqualsAndNeverFar() {
    let names = ["import", "export", "report", "replay"]
    #expect(NearestName.find("exprot", among: names) == "export")
    #expect(NearestName.find("eport", among: names) == "export")
    #expect(NearestName.find("xyz", among: names) == nil)
    #expect(NearestName.find("", among: names) == nil)
    #expect(NearestName.find(String(repeating: "a", count: 1000), among: names) == nil)
  }
}
