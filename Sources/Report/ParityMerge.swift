import Core
import Store

/// The merge behind ``compareSinks(runFolder:)``: takes the heads of both sides and says which to advance.
struct ParityMerge: ~Copyable {
  enum Advance {
    case jsonl, sqlite, both
  }

  private var report = ParityReport()
  private var jsonlHash = RowHash()
  private var sqliteHash = RowHash()
  private var jsonlRendering = ByteWriter()
  private var sqliteRendering = ByteWriter()
  private var lastJSONL: (time: UnixNanos, id: String)?

  mutating func take(_ a: StoredRow?, _ b: StoredRow?) -> Advance {
    guard let a else {
      onlySQLite(b!)
      return .sqlite
    }
    if let lastJSONL, lastJSONL.time == a.receiveTime, lastJSONL.id == a.signalID {
      countJSONL(a)
      report.rowsDuplicatedJSONL += 1
      note(a, nil, column: "signal_id", .string(a.signalID + " (again)"), .null)
      return .jsonl
    }
    guard let b, !StoredRow.isOrdered(a, before: b) else {
      countJSONL(a)
      report.rowsOnlyJSONL += 1
      note(a, nil, column: "signal_id", .string(a.signalID), .null)
      return .jsonl
    }
    if StoredRow.isOrdered(b, before: a) {
      onlySQLite(b)
      return .sqlite
    }
    countJSONL(a)
    countSQLite(b)
    if a.values != b.values || !jsonlRendering.bytes.elementsEqual(sqliteRendering.bytes) {
      report.rowsDifferent += 1
      let column = SignalColumn.allCases.first { !same(a[$0], b[$0]) } ?? .signalID
      note(a, b, column: "\(column.name)", a[column].json, b[column].json)
    }
    return .both
  }

  mutating func finish() -> ParityReport {
    report.jsonlHash = jsonlHash.hexadecimal()
    report.sqliteHash = sqliteHash.hexadecimal()
    return report
  }

  private func same(_ a: StoredValue, _ b: StoredValue) -> Bool {
    if case .real(let x) = a, case .real(let y) = b { return x.bitPattern == y.bitPattern }
    return a == b
  }

  private mutating func onlySQLite(_ row: StoredRow) {
    countSQLite(row)
    report.rowsOnlySQLite += 1
    note(nil, row, column: "signal_id", .null, .string(row.signalID))
  }

  private mutating func countJSONL(_ row: StoredRow) {
    report.jsonl.count(row)
    jsonlRendering.removeAll()
    row.appendCanonical(to: &jsonlRendering)
    jsonlHash.append(jsonlRendering.bytes)
    lastJSONL = (row.receiveTime, row.signalID)
    if let index = minute(of: row) { report.minutes[index].jsonl.count(row) }
  }

  private mutating func countSQLite(_ row: StoredRow) {
    report.sqlite.count(row)
    sqliteRendering.removeAll()
    row.appendCanonical(to: &sqliteRendering)
    sqliteHash.append(sqliteRendering.bytes)
    if let index = minute(of: row) { report.minutes[index].sqlite.count(row) }
  }

  /// Rows come in the order of time, but a row that was displaced too far comes late: found from the end.
  private mutating func minute(of row: StoredRow) -> Int? {
    let time = row.receiveTime.rawValue
    let rest = time % Nanoseconds.minute
    let start = UnixNanos(time - (rest < 0 ? rest + Nanoseconds.minute : rest))
    var index = report.minutes.count
    while index > 0, report.minutes[index - 1].start > start { index -= 1 }
    if index > 0, report.minutes[index - 1].start == start { return index - 1 }
    guard report.minutes.count < ParityReport.minutesMax else {
      report.minutesLeftOut += 1
      return nil
    }
    report.minutes.insert(.init(start: start, jsonl: .init(), sqlite: .init()), at: index)
    return index
  }

  private mutating func note(
    _ a: StoredRow?, _ b: StoredRow?, column: String, _ jsonl: JSONValue, _ sqlite: JSONValue
  ) {
    if report.firstDifference != nil { return }
    report.firstDifference = ParityReport.Difference(
      signalID: (a ?? b)!.signalID, column: column, jsonl: jsonl, sqlite: sqlite,
      jsonlHash: a.map(rowHash), sqliteHash: b.map(rowHash))
  }
}

private func rowHash(_ row: StoredRow) -> String {
  var writer = ByteWriter(capacity: 1024)
  row.appendCanonical(to: &writer)
  var hash = RowHash()
  hash.append(writer.bytes)
  return hash.hexadecimal()
}
