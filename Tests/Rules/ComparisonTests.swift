import Rules
import Testing

@Suite("Comparison")
struct ComparisonTests {
  @Test(arguments: Comparison.allCases)
  func nanHoldsForUnequalOnly(_ comparison: Comparison) {
    #expect(comparison.holds(.nan, 1) == (comparison == .unequal))
    #expect(comparison.holds(1, 1) == [.atMost, .equal, .atLeast].contains(comparison))
  }
}
