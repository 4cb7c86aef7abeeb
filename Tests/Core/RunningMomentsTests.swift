import Core
import Testing

@Suite("Running moments")
struct RunningMomentsTests {
  /// Against two passes over all values, far from 0, where one pass over squares would have no digit left.
  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func equalTwoPasses(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let offset = random.normal() * 1e8
    let x = (0..<(3 + random.below(3000))).map { _ in offset + random.normal() }
    let y = x.map { 0.3 * ($0 - offset) + random.normal() - offset }
    var moments = RunningMoments()
    var pairs = RunningCorrelation()
    for (a, b) in zip(x, y) {
      moments.add(a)
      pairs.add(a, b)
    }
    let mean = x.reduce(0, +) / Double(x.count)
    let squares = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    #expect(moments.count == Int64(x.count) && pairs.count == moments.count)
    #expect(abs(moments.mean - mean) < 1e-6, "seed \(seed)")
    #expect(abs(moments.deviation! - (squares / Double(x.count - 1)).squareRoot()) < 1e-6, "seed \(seed)")
    let correlation = try #require(Statistics.correlation(x, y))
    #expect(abs(pairs.correlation! - correlation) < 1e-6, "seed \(seed)")
  }

  @Test func withoutSpreadThereIsNone() {
    var moments = RunningMoments()
    var pairs = RunningCorrelation()
    #expect(moments.deviation == nil && pairs.correlation == nil)
    moments.add(2)
    #expect(moments.deviation == nil && moments.mean == 2)
    for x in [1.0, 2, 3] { pairs.add(x, 5) }
    #expect(pairs.correlation == nil)
    pairs = RunningCorrelation()
    for x in [1.0, 2, 3] { pairs.add(x, -7 * x) }
    #expect(pairs.correlation == -1)
  }

  @Test func aCheckpointKeepsAllBits() throws {
    var random = SeededRandom(seed: 3)
    var moments = RunningMoments()
    var pairs = RunningCorrelation()
    for _ in 0..<100 {
      moments.add(random.normal())
      pairs.add(random.normal(), random.normal())
    }
    var writer = CheckpointWriter()
    writer.append("MOME", moments)
    writer.append("CORR", pairs)
    var reader = CheckpointReader(writer.bytes)
    var (first, second) = (RunningMoments(), RunningCorrelation())
    try reader.restore("MOME", &first)
    try reader.restore("CORR", &second)
    try reader.finish()
    #expect(first == moments && second == pairs)
  }
}
