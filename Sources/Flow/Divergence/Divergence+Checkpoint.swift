import Core

// A stored property added to one of these types belongs into its extension here, or into the sentence that
// says why not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension DivergenceSample: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(timeMs)
    writer.append(doubledMid)
    writer.append(cvd)
    for value in [zOFI, zCVD, score, consistency] {
      writer.append(value.map { Int64(bitPattern: $0.bitPattern) })
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    timeMs = try reader.integer()
    doubledMid = try reader.optionalInteger()
    cvd = try reader.optionalInteger()
    zOFI = try reader.optionalDouble()
    zCVD = try reader.optionalDouble()
    score = try reader.optionalDouble()
    consistency = try reader.optionalDouble()
  }

  /// One to be restored.
  fileprivate static let empty = DivergenceSample(
    timeMs: 0, doubledMid: nil, zOFI: nil, cvd: nil, zCVD: nil, score: nil, consistency: nil)
}

extension CheckpointReader {
  fileprivate mutating func optionalDouble() throws(CheckpointError) -> Double? {
    try optionalInteger().map { Double(bitPattern: UInt64(bitPattern: $0)) }
  }
}

extension DivergenceDetector: Checkpointed {
  /// The configuration is given; the ring holds as many samples as have come, at most its size.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(count)
    for sample in ring { sample.save(to: &writer) }
    writer.append(lastTimeMs)
    for index in [priceSince, ofiSince, cvdSince, fusionSince] { writer.append(index) }
    for pivot in [low, high] {
      writer.append(pivot != nil)
      guard let pivot else { continue }
      writer.append(pivot.index)
      writer.append(pivot.price)
      writer.append(pivot.quality)
      pivot.sample.save(to: &writer)
    }
    writer.append(wasInConflict.map { $0 ? 1 : 0 } as Int64?)
    for time in reportedAtMs { writer.append(time) }
    writer.append("COUN", counts)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    count = try reader.integer(in: 0...Int64.max / 2)
    ring.removeAll(keepingCapacity: true)
    for _ in 0..<min(count, Int64(ringCount)) {
      var sample = DivergenceSample.empty
      try sample.restore(from: &reader)
      ring.append(sample)
    }
    lastTimeMs = try reader.optionalInteger()
    priceSince = try reader.integer(in: 0...count)
    ofiSince = try reader.integer(in: 0...count)
    cvdSince = try reader.integer(in: 0...count)
    fusionSince = try reader.integer(in: 0...count)
    low = try pivot(from: &reader)
    high = try pivot(from: &reader)
    wasInConflict = try reader.optionalInteger().map { $0 != 0 }
    for index in reportedAtMs.indices { reportedAtMs[index] = try reader.optionalInteger() }
    try reader.restore("COUN", &counts)
  }

  private func pivot(from reader: inout CheckpointReader) throws(CheckpointError) -> Pivot? {
    guard try reader.boolean() else { return nil }
    var pivot = Pivot(index: 0, price: 0, quality: 0, sample: .empty)
    pivot.index = try reader.integer(in: 0...count)
    pivot.price = try reader.integer()
    pivot.quality = try reader.double()
    try pivot.sample.restore(from: &reader)
    return pivot
  }
}

extension DivergenceCounts: Checkpointed {
  public func save(to writer: inout CheckpointWriter) { writer.append([samples] + events + channels) }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    let values = try reader.words(max: 1 + events.count + channels.count)
    guard values.count == 1 + events.count + channels.count else {
      throw reader.failure("\(values.count) counters")
    }
    samples = values[0]
    events = Array(values[1...events.count])
    channels = Array(values[(1 + events.count)...])
  }
}
