import Core

/// How far a reader of a run's signals has come: everything up to here was read, and nothing will be added
/// before it.
public struct SignalPosition: Equatable, Sendable {
  public enum Place: Equatable, Sendable {
    case start
    /// A file of JSON lines by its name without suffix, and the first byte not read.
    case line(file: String, offset: Int)
    /// The last row read of the database.
    case row(time: Int64, signalID: String)
  }

  public var place: Place
  /// Rows read since the run's first.
  public var rows: Int64

  public init(_ place: Place = .start, rows: Int64 = 0) {
    self.place = place
    self.rows = rows
  }

  public var json: JSONValue {
    switch place {
    case .start: .object(["rows": .integer(rows)])
    case .line(let file, let offset):
      .object(["file": .string(file), "offset": .integer(offset), "rows": .integer(rows)])
    case .row(let time, let signalID):
      .object(["recv_ns": .integer(time), "signal_id": .string(signalID), "rows": .integer(rows)])
    }
  }

  /// - Returns: `nil` when it is not what ``json`` gave.
  public init?(json: JSONValue) {
    guard let rows = json["rows"]?.integer, rows >= 0 else { return nil }
    self.rows = rows
    if let file = json["file"]?.text, let offset = json["offset"]?.integer, offset >= 0 {
      place = .line(file: file, offset: Int(offset))
    } else if let time = json["recv_ns"]?.integer, let signalID = json["signal_id"]?.text {
      place = .row(time: time, signalID: signalID)
    } else {
      place = .start
    }
  }
}
