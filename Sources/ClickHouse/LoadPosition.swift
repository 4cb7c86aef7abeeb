import Core
import Tables

/// How far a tape is loaded: what a loader goes on from, and what retention must not pass.
///
/// It is replaced in one step after each insert that the server acknowledged. `segment` is the oldest one
/// that is still needed; `seq` the record up to which all tables are complete.
public struct LoadPosition: Equatable {
  static let version = 1

  public var tape: String
  public var server: String
  public var database: String
  /// `2024-07-18T23`
  public var segment: String
  public var segmentFirstSequence: Int64
  public var segmentFirstReceiveNs: Int64
  public var sequence: Int64
  /// The bounds in force in this segment; others begin with the next one.
  public var bounds: InsertCutter.Bounds
  public var places: [TableKind: RowPlace]
  /// Where inserts end that no rule would cut there; written before they are sent.
  public var promises: [TableKind: RowPlace]
  /// The symbols' newest quotes at the segment's beginning.
  public var quotes: [String: InsertCutter.Quote]

  public init(
    tape: String, server: String, database: String, segment: String, segmentFirstSequence: Int64,
    segmentFirstReceiveNs: Int64, bounds: InsertCutter.Bounds
  ) {
    self.tape = tape
    self.server = server
    self.database = database
    self.segment = segment
    self.segmentFirstSequence = segmentFirstSequence
    self.segmentFirstReceiveNs = segmentFirstReceiveNs
    self.bounds = bounds
    sequence = segmentFirstSequence - 1
    places = [:]
    promises = [:]
    quotes = [:]
  }

  public static func == (a: LoadPosition, b: LoadPosition) -> Bool { a.json == b.json }

  public static func path(_ folder: String) -> String { folder + "/position.json" }

  public var json: JSONValue {
    func places(_ places: [TableKind: RowPlace]) -> JSONValue {
      .object(
        TableKind.allCases.compactMap { kind in
          places[kind].map { place in
            .init(kind.name, .object(["seq": .integer(place.sequence), "rows": .integer(place.rows)]))
          }
        })
    }
    return .object([
      "version": .integer(LoadPosition.version), "tape": .string(tape), "server": .string(server),
      "database": .string(database), "segment": .string(segment),
      "segment_first_seq": .integer(segmentFirstSequence),
      "segment_first_recv_ns": .integer(segmentFirstReceiveNs), "seq": .integer(sequence),
      "rows_max": .integer(bounds.rowsMax), "bytes_max": .integer(bounds.bytesMax),
      "slice_ns": .integer(bounds.sliceNs), "tables": places(self.places), "promises": places(promises),
      "quotes": .object(
        quotes.sorted { $0.key < $1.key }.map { symbol, quote in
          .init(
            symbol,
            .array([quote.bid, quote.bidSize, quote.ask, quote.askSize].map { .integer($0) }))
        }),
    ])
  }

  /// nil when it is no position of this version.
  public init?(json: JSONValue) {
    guard json["version"]?.integer == Int64(LoadPosition.version), let tape = json["tape"]?.text,
      let server = json["server"]?.text, let database = json["database"]?.text,
      let segment = json["segment"]?.text, let first = json["segment_first_seq"]?.integer,
      let firstReceiveNs = json["segment_first_recv_ns"]?.integer,
      let sequence = json["seq"]?.integer, let rowsMax = json["rows_max"]?.integer, rowsMax > 0,
      let bytesMax = json["bytes_max"]?.integer, bytesMax > 0, let sliceNs = json["slice_ns"]?.integer,
      sliceNs > 0, let quotes = json["quotes"]?.members
    else { return nil }
    self.init(
      tape: tape, server: server, database: database, segment: segment, segmentFirstSequence: first,
      segmentFirstReceiveNs: firstReceiveNs,
      bounds: .init(rowsMax: Int(rowsMax), bytesMax: Int(bytesMax), sliceNs: sliceNs))
    self.sequence = sequence
    func places(_ json: JSONValue?) -> [TableKind: RowPlace]? {
      guard let members = json?.members else { return nil }
      var places: [TableKind: RowPlace] = [:]
      for member in members {
        guard let kind = TableKind(name: member.key), let sequence = member.value["seq"]?.integer,
          let rows = member.value["rows"]?.integer
        else { return nil }
        places[kind] = RowPlace(sequence: sequence, rows: rows)
      }
      return places
    }
    guard let loaded = places(json["tables"]), let promised = places(json["promises"]) else { return nil }
    self.places = loaded
    promises = promised
    for member in quotes {
      let values = member.value.elements?.compactMap(\.integer) ?? []
      guard values.count == 4 else { return nil }
      self.quotes[member.key] = (values[0], values[1], values[2], values[3])
    }
  }

  /// - Returns: nil when there is none, or one that cannot be understood.
  public static func read(_ folder: String) -> LoadPosition? {
    guard let bytes = try? Files.read(path(folder), bytesMax: 16 << 20),
      let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) })
    else { return nil }
    return LoadPosition(json: json)
  }

  public func write(_ folder: String, durable: Bool) throws(FileError) {
    var writer = ByteWriter(capacity: 4096)
    json.write(to: &writer, indent: 2)
    try Files.replace(LoadPosition.path(folder), writer.bytes, durable: durable)
  }
}
