import Binance
import Core
import Flow
import Strategy

// A stored property added to one of these types belongs into its extension here, or into the sentence that
// says why not. `CheckpointLayoutTests` holds the sizes of the types, so that it is not forgotten.

extension SynchronizedBook: Checkpointed {
  func save(to writer: inout CheckpointWriter) {
    writer.append("BOOK", book)
    writer.append("SYNC", sync)
    writer.append("WAIT", buffer)
    for value in [
      gaps, resyncs, reorders, duplicates, crossed, snapshots, snapshotsTooOld, overflows, mismatches,
      openHoles,
    ] { writer.append(Int64(value)) }
    writer.append(hasBeenSynchronized)
    writer.append(isSteady)
    writer.append(isShadowing)
    writer.append(isPolled)
    writer.append("SHAD", shadow)
    writer.append("EARL", early)
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("BOOK", &book)
    try reader.restore("SYNC", &sync)
    try reader.restore("WAIT", &buffer)
    func counter() throws(CheckpointError) -> Int { Int(try reader.integer(in: 0...Int64.max)) }
    gaps = try counter()
    resyncs = try counter()
    reorders = try counter()
    duplicates = try counter()
    crossed = try counter()
    snapshots = try counter()
    snapshotsTooOld = try counter()
    overflows = try counter()
    mismatches = try counter()
    openHoles = try counter()
    hasBeenSynchronized = try reader.boolean()
    isSteady = try reader.boolean()
    isShadowing = try reader.boolean()
    isPolled = try reader.boolean()
    try reader.restore("SHAD", &shadow)
    try reader.restore("EARL", &early)
  }
}

extension SymbolState: Checkpointed {
  /// The symbol is given by the place among the states; whether there are shadow channels, by the configuration.
  func save(to writer: inout CheckpointWriter) {
    writer.append("SBOK", book)
    writer.append("FLOW", flow)
    writer.append("GATE", gates)
    writer.append("CLAS", classifier)
    writer.append("TRAD", trades)
    // The kinds fit into seven bits.
    writer.append(tradeKind?.rawValue ?? 0xFF)
    writer.append(ofiConnection)
    writer.append(cvdConnection)
    writer.append(ofiLagNs)
    writer.append(cvdLagNs)
    writer.append(isSkewed)
    writer.append(resyncedAtMs)
    writer.append(Int64(resyncsSeen))
    writer.append(reconnectedAtMs)
    writer.append("MESS", messages)
    writer.append(lastSequence)
    writer.append("MARK", market)
    writer.append("VOLA", volatility)
    writer.append("COUN", counts)
    if let shadow { writer.append("SHDW", shadow) }
  }

  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("SBOK", &book)
    try reader.restore("FLOW", &flow)
    try reader.restore("GATE", &gates)
    try reader.restore("CLAS", &classifier)
    try reader.restore("TRAD", &trades)
    let kind: UInt8 = try reader.integer()
    tradeKind = FrameKind(rawValue: kind)
    guard tradeKind != nil || kind == 0xFF else { throw reader.failure("\(kind) is no kind of frame") }
    ofiConnection = try reader.integer()
    cvdConnection = try reader.integer()
    ofiLagNs = try reader.integer()
    cvdLagNs = try reader.integer()
    isSkewed = try reader.boolean()
    resyncedAtMs = try reader.optionalInteger()
    resyncsSeen = Int(try reader.integer(in: 0...Int64.max))
    reconnectedAtMs = try reader.optionalInteger()
    try reader.restore("MESS", &messages)
    lastSequence = try reader.integer()
    try reader.restore("MARK", &market)
    try reader.restore("VOLA", &volatility)
    try reader.restore("COUN", &counts)
    if shadow != nil { try reader.restore("SHDW", &shadow!) }
  }
}

extension SymbolCounts: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append(
      [
        frames, depthEvents, levelUpdates, bookTickerEvents, trades, tradesExcluded, tradesOfOtherStream,
        tickersRepeated, decodeErrors, signals, confirmed, strong,
      ] + guardReasons + scenarios)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    let reasonsEnd = 12 + guardReasons.count
    let values = try reader.words(max: reasonsEnd + scenarios.count)
    guard values.count == reasonsEnd + scenarios.count else {
      throw reader.failure("\(values.count) counters")
    }
    frames = values[0]
    depthEvents = values[1]
    levelUpdates = values[2]
    bookTickerEvents = values[3]
    trades = values[4]
    tradesExcluded = values[5]
    tradesOfOtherStream = values[6]
    tickersRepeated = values[7]
    decodeErrors = values[8]
    signals = values[9]
    confirmed = values[10]
    strong = values[11]
    guardReasons = Array(values[12..<reasonsEnd])
    scenarios = Array(values[reasonsEnd...])
  }
}
