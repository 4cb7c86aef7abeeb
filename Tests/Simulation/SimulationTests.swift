import SimulationKit
import Testing

/// A few seeds in each run of the tests; `simulation run` does thousands (CI: ten thousand, in release).
@Suite("Simulation")
struct SimulationTests {
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func allInvariantsHold(seed: UInt64) {
    let outcome = simulate(SimulationOptions(seed: seed))
    #expect(outcome.violations.isEmpty, "seed \(seed)")
    #expect(outcome.framesOnTape > 500)
    #expect(outcome.bookChecks > 20)
  }

  @Test func aSeedRepeatsExactly() {
    #expect(simulate(SimulationOptions(seed: 11)) == simulate(SimulationOptions(seed: 11)))
    #expect(
      simulate(SimulationOptions(seed: 11)).tapeHash != simulate(SimulationOptions(seed: 12)).tapeHash)
  }

  @Test(arguments: SimulationOptions.Defect.allCases)
  func defectsMadeOnPurposeAreFound(defect: SimulationOptions.Defect) {
    let found = (1...12 as ClosedRange<UInt64>).contains { seed in
      var options = SimulationOptions(seed: seed)
      options.defect = defect
      return !simulate(options).violations.isEmpty
    }
    #expect(found)
  }
}
