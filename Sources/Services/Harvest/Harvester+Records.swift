import Core
import Tape

/// What the harvester writes besides frames.
extension Harvester where Log: ~Copyable {
  /// Connection id of records that belong to no connection.
  static var noConnection: Int32 { -1 }

  mutating func record(
    _ kind: RecordKind, stream: String? = nil, connection: Int32, _ members: [JSONValue.Member], _ now: Moment
  ) throws(TapeError) {
    scratch.removeAll()
    JSONValue.object(members).write(to: &scratch)
    _ = try log.append(
      kind, stream: stream, data: scratch.bytes, receiveTime: now.wall, connection: connection)
  }

  /// A connection has opened or ended.
  mutating func recordLink(
    _ kind: RecordKind, _ place: Int, _ reason: String, _ more: [JSONValue.Member], _ now: Moment
  ) throws(TapeError) {
    let slot = place / 2
    try record(
      kind, connection: Int32(place),
      [
        .init("root", .string(plan.slots[slot].root.rawValue)), .init("slot", .integer(slot)),
        .init("reason", .string(reason)),
      ] + more, now)
  }

  /// Depth events are missing.
  ///
  /// - Parameter isProvisional: an overlapping connection may still deliver them. It is recorded all the same, so
  ///   that a kill in between leaves no hole without a record; counted is only the final record.
  mutating func recordGap(_ symbol: Int, _ hole: DepthHole, isProvisional: Bool = false, _ now: Moment)
    throws(TapeError)
  {
    if !isProvisional {
      states[symbol].counts.depthGaps += 1
      totals.gaps += 1
    }
    var members: [JSONValue.Member] = [
      .init("stream", .string(depthName(symbol))), .init("reason", .string(hole.reason)),
      .init("after", .integer(hole.after)), .init("before", .integer(hole.before)),
      .init("pu", hole.previousFinal.map { .integer($0) } ?? .null),
    ]
    if isProvisional { members.append(.init("provisional", .bool(true))) }
    try record(.gap, stream: depthName(symbol), connection: Int32(hole.place), members, now)
  }

  /// A book has contradicted itself or differs from the exchange's.
  mutating func recordBadBook(_ symbol: Int, _ reason: String, _ lastUpdateID: Int64, _ now: Moment)
    throws(TapeError)
  {
    states[symbol].counts.depthGaps += 1
    totals.gaps += 1
    try record(
      .gap, stream: depthName(symbol), connection: bookConnection(symbol),
      [
        .init("stream", .string(depthName(symbol))), .init("reason", .string(reason)),
        .init("last_update_id", .integer(lastUpdateID)),
      ], now)
  }

  /// Trade ids are missing; `unfilled` for good.
  mutating func recordGap(
    _ symbol: Int, trades from: Int64, _ to: Int64, _ reason: String, isUnfilled: Bool, _ now: Moment
  ) throws(TapeError) {
    let name = tradeName(symbol)
    var members: [JSONValue.Member] = [
      .init("stream", .string(name)), .init("from", .integer(from)), .init("to", .integer(to)),
      .init("reason", .string(reason)),
    ]
    if isUnfilled { members.append(.init("unfilled", .bool(true))) }
    try record(.gap, stream: name, connection: connection(symbol, .aggregateTrade), members, now)
  }

  func depthName(_ symbol: Int) -> String {
    streamName(symbol, .depth) ?? states[symbol].lowerName + "@depth"
  }

  func tradeName(_ symbol: Int) -> String {
    streamName(symbol, .aggregateTrade) ?? states[symbol].lowerName + "@aggTrade"
  }

  private func streamName(_ symbol: Int, _ kind: StreamKind) -> String? {
    let stream = plan.stream(symbol, kind)
    return stream < 0 ? nil : plan.streams[stream].name
  }

  /// The id of the connection that carries a symbol's stream now.
  func connection(_ symbol: Int, _ kind: StreamKind) -> Int32 {
    let stream = plan.stream(symbol, kind)
    guard stream >= 0 else { return Self.noConnection }
    let slot = plan.streams[stream].slot
    return Int32(2 * slot + slots[slot].side)
  }

  func bookConnection(_ symbol: Int) -> Int32 { connection(symbol, .depth) }
}
