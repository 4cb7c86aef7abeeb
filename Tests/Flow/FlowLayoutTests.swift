import Testing

@testable import Flow

/// As `CheckpointLayoutTests` of the services: a stored property more changes a size here; write it in the
/// type's `save` and `restore`, or say there why not, and then change the number.
@Suite("Flow layout", .enabled(if: MemoryLayout<Int>.size == 8, "sizes are of 64-bit machines"))
struct FlowLayoutTests {
  @Test func everyFieldIsKnownToItsCheckpoint() {
    #expect(MemoryLayout<FactorLane>.size == 632)
    #expect(MemoryLayout<IntegratedImbalance>.size == 184)
    #expect(MemoryLayout<PrincipalComponent>.size == 88)
    #expect(MemoryLayout<DivergenceDetector>.size == 424)
    #expect(MemoryLayout<DivergenceDetector.Pivot>.size == 121)
    #expect(MemoryLayout<DivergenceSample>.size == 97)
    #expect(MemoryLayout<DivergenceCounts>.size == 24)
  }
}
