import Core
import Tables

/// Where the rows of a table end that a server has: behind so many rows of a record. Rows of a table are in
/// the tape's order, so one place says what is there and what is not.
public struct RowPlace: Comparable, Equatable, Sendable {
  public var sequence: Int64
  /// Rows of that record in this table.
  public var rows: Int64

  public static let start = RowPlace(sequence: 0, rows: 0)

  public init(sequence: Int64, rows: Int64) {
    self.sequence = sequence
    self.rows = rows
  }

  public static func < (a: RowPlace, b: RowPlace) -> Bool {
    (a.sequence, a.rows) < (b.sequence, b.rows)
  }
}

/// Rows that a server takes as a whole or not at all: of one table and one partition, sent as one block.
public struct InsertBatch: Sendable {
  public let kind: TableKind
  /// The row before the first one.
  public let after: RowPlace
  /// The last row.
  public let upTo: RowPlace
  public let firstSequence: Int64
  /// Of the newest row.
  public let receiveNs: Int64
  /// Days since 1970 of every row's time.
  public let day: Int64
  /// RowBinary, in the order of `ClickHouseSchema.columns`.
  public let bytes: [UInt8]
  /// Where each row ends in the bytes.
  let rowEnds: [Int]

  public var rowCount: Int { rowEnds.count }

  /// The same batch of the same tape has the same token, however often the tape is read.
  public func token(tape: String) -> String {
    "\(tape):\(kind.name):\(after.sequence).\(after.rows)-\(upTo.sequence).\(upTo.rows)"
  }

  /// What follows the first rows, of which a server has so many.
  public func dropping(rows count: Int, tape: String) -> (bytes: ArraySlice<UInt8>, token: String) {
    guard count > 0 else { return (bytes[...], token(tape: tape)) }
    return (bytes[rowEnds[count - 1]...], token(tape: tape) + "+\(count)")
  }
}
