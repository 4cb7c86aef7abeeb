import Core
import Strategy

/// How far a run's sinks had come: what ``SignalSinkSet`` needs to go on there, and to see whether its files
/// still reach so far.
public struct SignalSinkState: ~Copyable {
  var hash = RowHash()
  var rowsAppended = 0
  var lastSignalID: String?
  var jsonl: JSONLSink.Place?

  public init() {}
}

extension SignalSinkState: Checkpointed {
  public func save(to writer: inout CheckpointWriter) {
    writer.append("HASH", hash)
    writer.append(Int64(rowsAppended))
    writer.append(lastSignalID != nil)
    if let lastSignalID { writer.append(lastSignalID) }
    writer.append(jsonl != nil)
    jsonl?.save(to: &writer)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    try reader.restore("HASH", &hash)
    rowsAppended = Int(try reader.integer(in: 0...Int64.max))
    lastSignalID = try reader.boolean() ? try reader.text() : nil
    jsonl = try reader.boolean() ? try JSONLSink.Place(from: &reader) : nil
  }
}

extension SignalSinkSet {
  /// Writes how far the sinks have come; after a flush, so that they reach it whatever happens next.
  ///
  /// - Precondition: flushed.
  public func save(to writer: inout CheckpointWriter) throws(SignalStoreError) {
    var place: JSONLSink.Place?
    switch jsonl {
    case .some(let sink): place = try sink.place(row.symbols)
    case .none: break
    }
    writer.section("SINK") { writer in
      writer.append("HASH", hash)
      writer.append(Int64(rowsAppended))
      let id = row.symbol == .none ? resumedSignalID : row.text(.signalID)
      writer.append(id != nil)
      if let id { writer.append(id) }
      writer.append(place != nil)
      place?.save(to: &writer)
    }
  }

  /// Opens the sinks where they had come to in `state`.
  ///
  /// - Returns: nil when one of them does not reach so far: a power cut has taken rows, or someone a file.
  /// - Throws: ``SignalStoreError``
  public static func resuming(
    _ state: consuming SignalSinkState, _ choice: Choice, runFolder: String, context: SignalContext,
    options: Options = Options()
  ) throws(SignalStoreError) -> SignalSinkSet? {
    if choice.hasJSONL, let place = state.jsonl {
      guard JSONLSink.reaches(place, runFolder: runFolder) else { return nil }
    }
    var sinks = try SignalSinkSet(
      choice, runFolder: runFolder, context: context, options: options, from: state.jsonl)
    if let id = state.lastSignalID, try !sinks.databaseHolds(id) { return nil }
    sinks.rowsAppended = state.rowsAppended
    sinks.resumedSignalID = state.lastSignalID
    sinks.hash = state.hash
    return sinks
  }

  private func databaseHolds(_ signalID: String) throws(SignalStoreError) -> Bool {
    switch sqlite {
    case .some(let sink): try sink.holds(signalID)
    case .none: true
    }
  }
}
