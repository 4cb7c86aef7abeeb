import Binance
import Core
import Flow

// A stored property added to one of these types belongs into its extension here, or into the sentence that
// says why not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension SignalPipeline: Checkpointed {
  /// Everything but what the configuration gives, what drills set, and the tapped quotes, which a live run never
  /// taps.
  ///
  /// - Precondition: between two records, with the rows taken.
  public func save(to writer: inout CheckpointWriter) {
    precondition(rows.isEmpty && shadowRows.isEmpty, "rows are taken before a checkpoint")
    writer.append("DECO", decoder)
    writer.append("CLOC", clock)
    writer.append("CONN", connections)
    writer.append("TOTA", totals)
    writer.append(nextGridNs)
    writer.append(receiveNs)
    writer.append(timeSyncIsDegraded)
    writer.append("CTRL", control)
    writer.append("MODE", mode)
    writer.append("WIND", watch)
    writer.append(UInt32(states.count))
    for state in states { writer.append("SYMB", state.pointee) }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    precondition(states.isEmpty, "a pipeline is restored before its first record")
    try reader.restore("DECO", &decoder)
    try reader.restore("CLOC", &clock)
    try reader.restore("CONN", &connections)
    try reader.restore("TOTA", &totals)
    nextGridNs = try reader.integer()
    receiveNs = try reader.integer()
    timeSyncIsDegraded = try reader.boolean()
    try reader.restore("CTRL", &control)
    try reader.restore("MODE", &mode)
    try reader.restore("WIND", &watch)
    let count = try reader.count(bytesEach: 256, max: symbols.count)
    for index in 0..<count { try reader.restore("SYMB", &state(of: SymbolID(index)).pointee) }
    restore(control: control)
  }
}

extension Connections: Checkpointed {
  func save(to writer: inout CheckpointWriter) { writer.append(lastHeardNs) }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    lastHeardNs = try reader.words(max: Connections.countMax)
  }
}

extension PipelineTotals: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append([
      frames, otherRecords, lastSequence, sequenceHoles, timeReversals, firstReceiveNs, gridPointsSkipped,
      badRecords, decodeErrorsWithoutSymbol,
    ])
    writer.append(decodeErrors)
    writer.append(UInt32(samples.count))
    for sample in samples {
      writer.append(sample.sequence)
      writer.append(sample.reason)
    }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    let values = try reader.words(max: 9)
    let errors = try reader.words(max: decodeErrors.count)
    guard values.count == 9, errors.count == decodeErrors.count else {
      throw reader.failure("too few totals")
    }
    frames = values[0]
    otherRecords = values[1]
    lastSequence = values[2]
    sequenceHoles = values[3]
    timeReversals = values[4]
    firstReceiveNs = values[5]
    gridPointsSkipped = values[6]
    badRecords = values[7]
    decodeErrorsWithoutSymbol = values[8]
    decodeErrors = errors
    samples = []
    for _ in 0..<(try reader.count(bytesEach: 9, max: PipelineTotals.samplesMax)) {
      samples.append(BadFrame(sequence: try reader.integer(), reason: try reader.value()))
    }
  }
}
