import Core

// A stored property added to one of these types belongs in here; see `CheckpointLayoutTests`.
extension ScenarioTable: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    for scenario in Scenario.cells { self[scenario]!.save(to: &writer) }
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try activeHigh.restore(from: &reader)
    try activeLow.restore(from: &reader)
    try quietHigh.restore(from: &reader)
    try quietLow.restore(from: &reader)
  }
}

extension ScenarioParameters: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    for value in [entryBuy, entrySell, exit, takeProfitBps, stopLossBps, discount] { writer.append(value) }
    writer.append(Int64(holdSecondsMax))
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    var values: [Double] = []
    for _ in 0..<6 {
      let value = try reader.double()
      guard value.isFinite, value >= 0 else { throw reader.failure("a scenario's parameter of \(value)") }
      values.append(value)
    }
    self = ScenarioParameters(
      entryBuy: values[0], entrySell: values[1], exit: values[2], takeProfitBps: values[3],
      stopLossBps: values[4], holdSecondsMax: Int(try reader.integer(in: 0...Int64(1) << 20)),
      discount: values[5])
  }
}
