import Core
import Tables

/// What is asked about the tables.
extension ClickHouseClient {
  private static let longNs = 10 * Nanoseconds.minute

  /// Makes what is missing.
  public func make(_ schema: ClickHouseSchema) throws(ClickHouseError) {
    for statement in schema.statements {
      let isDatabase = statement.hasPrefix("CREATE DATABASE")
      _ = try run(statement, inDatabase: !isDatabase, timeoutNs: ClickHouseClient.longNs)
    }
    try verify(schema)
  }

  /// Compares the tables' columns and types with those that rows are sent in: RowBinary itself has no names.
  ///
  /// - Throws: ``ClickHouseError/schema(_:)`` with the first difference.
  public func verify(_ schema: ClickHouseSchema) throws(ClickHouseError) {
    var found: [String: [String: String]] = [:]
    for row in try rows(
      "SELECT table, name, type FROM system.columns WHERE database = '\(schema.database)'")
    where row.count == 3 {
      found[row[0] ?? "", default: [:]][row[1] ?? ""] = row[2]
    }
    for kind in TableKind.allCases {
      guard let columns = found[kind.name] else {
        throw .schema("the table \(schema.database).\(kind.name) is missing")
      }
      for column in schema.columns(kind) {
        let type = columns[column.name] ?? "missing"
        guard type == column.type else {
          throw .schema("\(schema.database).\(kind.name).\(column.name) is \(type) and not \(column.type)")
        }
      }
    }
  }

  /// Where a tape's rows in a table end; ``RowPlace/start`` where there are none.
  public func place(_ kind: TableKind, tape: String) throws(ClickHouseError) -> RowPlace {
    let table = "\(server.database).\(kind.name)"
    let ofTape = "tape = '\(tape)'"
    let counted = try number("SELECT count() FROM \(table) WHERE \(ofTape)")
    guard counted > 0 else { return .start }
    let newest = try number("SELECT max(seq) FROM \(table) WHERE \(ofTape)")
    let rows = try number("SELECT count() FROM \(table) WHERE \(ofTape) AND seq = \(newest)")
    return RowPlace(sequence: newest, rows: rows)
  }

  /// How many of a batch's rows the server has: of an insert that was cut off, an old server may keep the
  /// first ones.
  public func presentRows(of batch: InsertBatch, tape: String) throws(ClickHouseError) -> Int {
    let count = try number(
      "SELECT count() FROM \(server.database).\(batch.kind.name) WHERE tape = '\(tape)' "
        + "AND seq >= \(batch.firstSequence) AND seq <= \(batch.upTo.sequence)")
    // The batch may begin within a record.
    let before = batch.after.sequence == batch.firstSequence ? batch.after.rows : 0
    return Int(count - before)
  }

  /// Inserts of a tape that the server is still at.
  public func runningInserts(tape: String) throws(ClickHouseError) -> Int {
    Int(
      try number(
        "SELECT count() FROM system.processes WHERE query_id LIKE '\(ClickHouseClient.queryID(tape))%'"))
  }

  /// What the ids of a tape's inserts begin with.
  public static func queryID(_ tape: String) -> String { "weir:\(tape):" }

  private func number(_ sql: String) throws(ClickHouseError) -> Int64 {
    let rows = try rows(sql, timeoutNs: ClickHouseClient.longNs)
    guard let number = rows.first?.first.flatMap({ $0.flatMap { Int64($0) } }) else {
      throw .answer("no number to: \(sql)")
    }
    return number
  }

  /// Sends an insert.
  ///
  /// - Parameter present: rows of it that the server has already.
  /// - Returns: the body's bytes as they are sent.
  @discardableResult
  public func send(
    _ batch: InsertBatch, _ schema: ClickHouseSchema, tape: String, present: Int = 0, answer: @escaping Answer
  ) -> Int {
    let (bytes, token) = batch.dropping(rows: present, tape: tape)
    let (encoding, body) = Compression.compress(bytes, for: schema.dialect)
    insert(
      schema.insert(batch.kind), settings: schema.insertSettings(token: token), queryID: "weir:" + token,
      body: body, encoding: encoding, answer: answer)
    return body.count
  }
}
