import ClickHouse
import Core
import Net
import Tables
import Tape

/// The first record of a block, as it identifies tape and segment.
struct FirstRecord {
  let sequence: Int64
  let receiveNs: Int64
  let tape: String

  /// nil when no line is a record.
  init?(of block: UnsafeRawBufferPointer) {
    var start = 0
    while start < block.count {
      let end = block[start...].firstIndex(of: 0x0A) ?? block.count
      let line = UnsafeRawBufferPointer(rebasing: block[start..<end])
      if let record = TapeRecord(parsing: line) {
        sequence = record.sequence
        receiveNs = record.receiveTime.rawValue
        tape = TapeIdentity.of(firstLine: line)
        return
      }
      start = end + 1
    }
    return nil
  }

  /// The hour's name, `2024-07-18T23`.
  var segment: String {
    let date = UTCDate(UnixNanos(receiveNs))
    return "\(date.dayText)T\(date.timeText.prefix(2))"
  }
}

extension ClickHouseLoader {
  /// Finds out what the server is and whether the tables are there; waits while it is away.
  func connect() throws {
    var attempt = 0
    while true {
      do throws(ClickHouseError) {
        schema = try options.settings.schema(try client.dialect())
        try client.verify(schema)
        isUp = true
        return
      } catch {
        guard error.isTransient else { throw error }
        if attempt == 0 { note("\(error); waiting for the server") }
      }
      try pause(attempt: attempt)
      attempt += 1
    }
  }

  /// Decides where to go on, and opens the tape there.
  func resume(_ first: FirstRecord) throws -> TapeReader {
    guard let found = LoadPosition.read(options.stateFolder) else {
      position = LoadPosition(
        tape: first.tape, server: options.server.url, database: options.server.database,
        segment: first.segment, segmentFirstSequence: first.sequence,
        segmentFirstReceiveNs: first.receiveNs, bounds: options.settings.bounds)
      position?.places = try places(of: first.tape)
      try writePosition(durable: true)
      return try TapeReader(folder: options.tape)
    }
    guard found.server == options.server.url, found.database == options.server.database else {
      throw ClickHouseError.position(
        "\(LoadPosition.path(options.stateFolder)) is about \(found.server), database \(found.database); "
          + "name another --state for another server")
    }
    var probe = try TapeReader(folder: options.tape, from: .sequence(found.segmentFirstSequence))
    guard let block = try probe.nextBlock(), let record = FirstRecord(of: block),
      record.sequence == found.segmentFirstSequence, record.receiveNs == found.segmentFirstReceiveNs
    else {
      throw ClickHouseError.position(
        "\(options.tape) is not the tape of \(LoadPosition.path(options.stateFolder)), or its segment "
          + "\(found.segment) is gone before it was loaded; put it back, or name another --state")
    }
    position = found
    let there = try places(of: found.tape)
    for (kind, place) in found.places where (options.settings.daysKept.byKind[kind] ?? 0) == 0 {
      guard there[kind] ?? .start >= place else {
        throw ClickHouseError.position(
          "\(options.server.database).\(kind.name) ends before what was loaded: rows were dropped there; "
            + "remove \(LoadPosition.path(options.stateFolder)) to load what is missing")
      }
    }
    if schema.dialect == .legacy { position?.places = there }
    return try TapeReader(folder: options.tape, from: .sequence(found.segmentFirstSequence))
  }

  /// Where the tape's rows end in each table, once no insert of a loader before us runs any more.
  private func places(of tape: String) throws -> [TableKind: RowPlace] {
    var attempt = 0
    while true {
      do throws(ClickHouseError) {
        if try client.runningInserts(tape: tape) == 0 {
          var places: [TableKind: RowPlace] = [:]
          for kind in TableKind.allCases {
            let place = try client.place(kind, tape: tape)
            if place > .start { places[kind] = place }
          }
          return places
        }
      } catch {
        guard error.isTransient else { throw error }
        if attempt == 0 { note("\(error); waiting for the server") }
      }
      try pause(attempt: attempt)
      attempt += 1
    }
  }
}
