import Core
import Flow
import Strategy

// A stored property added to one of these types belongs into its extension here, or into the sentence that says why
// not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension ShadowChannels: Checkpointed {
  /// The plan is given.
  func save(to writer: inout CheckpointWriter) {
    writer.append("CCVD", cvd)
    writer.append("CFUS", fusion)
    writer.append(cvdKind)
    writer.append(fusionKind)
    writer.append(Int8(divergenceDirection))
    writer.append(divergenceAtNs)
    writer.append(sampledAtNs)
    for value in [counted.trades, counted.quotes, counted.depthEvents] { writer.append(value) }
    writer.append("STAT", statistics)
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("CCVD", &cvd)
    try reader.restore("CFUS", &fusion)
    cvdKind = try reader.value()
    fusionKind = try reader.value()
    divergenceDirection = Int(try reader.integer(in: -1...1 as ClosedRange<Int8>))
    divergenceAtNs = try reader.integer(in: 0...Int64.max)
    sampledAtNs = try reader.optionalInteger()
    if let sampledAtNs, sampledAtNs < 0 { throw reader.failure("a sample at \(sampledAtNs)") }
    counted.trades = try reader.integer(in: 0...Int64(1) << 56)
    counted.quotes = try reader.integer(in: 0...Int64(1) << 56)
    counted.depthEvents = try reader.integer(in: 0...Int64(1) << 56)
    try reader.restore("STAT", &statistics)
  }
}

extension ShadowStatistics: Checkpointed {
  func save(to writer: inout CheckpointWriter) {
    writer.append("DCVD", zCVD)
    writer.append("DSCO", score)
    writer.append("DFUS", fusion)
    writer.append("ASCO", scoreActivity)
    writer.append("AFUS", fusionActivity)
    writer.append([observedNs, divergenceSamples, confirmed] + divergences)
    for channel in channels {
      writer.append([channel.onsets, channel.gated, channel.same, channel.opposite] + channel.byHour)
    }
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("DCVD", &zCVD)
    try reader.restore("DSCO", &score)
    try reader.restore("DFUS", &fusion)
    try reader.restore("ASCO", &scoreActivity)
    try reader.restore("AFUS", &fusionActivity)
    let counts = try reader.counters(3 + divergences.count)
    (observedNs, divergenceSamples, confirmed) = (counts[0], counts[1], counts[2])
    divergences = Array(counts[3...])
    for index in channels.indices {
      let counts = try reader.counters(4 + 24)
      channels[index].onsets = counts[0]
      channels[index].gated = counts[1]
      channels[index].same = counts[2]
      channels[index].opposite = counts[3]
      channels[index].byHour = Array(counts[4...])
    }
  }
}

extension ShadowStatistics.Distribution: Checkpointed {
  func save(to writer: inout CheckpointWriter) {
    writer.append("MOME", moments)
    writer.append([above2, above3] + bins)
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("MOME", &moments)
    let counts = try reader.counters(2 + bins.count)
    (above2, above3) = (counts[0], counts[1])
    bins = Array(counts[2...])
  }
}

extension CheckpointReader {
  /// Exactly so many numbers that no counter exceeds.
  fileprivate mutating func counters(_ count: Int) throws(CheckpointError) -> [Int64] {
    let values = try words(max: count)
    guard values.count == count, values.allSatisfy({ (0...Int64(1) << 56).contains($0) }) else {
      throw failure("\(values.count) counters where \(count) should be")
    }
    return values
  }
}
