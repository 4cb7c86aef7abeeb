import Core
import Tables

/// What the rows of a table amount to, in numbers that a tape's reader and a server's query both compute
/// exactly: all sums are modulo 2^64, so neither order nor partition of the rows matters, and none overflows.
///
/// Each value becomes a number `u`: integers, booleans and decimals (in 1e-8 units) are their own, texts are
/// their SipHash-2-4, null is 0 and counted. Of a column there are `Σ u` and `Σ u·w` with
/// `w = seq mod 65521 + 1`, which differ when values have changed places between records. Of whole rows there
/// is `Σ h²` with `h = Σ (2c + 1)·u_c` over the columns `c`, which differs when values have changed places
/// between rows or columns.
public struct ContentSums: Equatable, Sendable {
  public struct Column: Equatable, Sendable {
    public var nulls: UInt64 = 0
    public var sum: UInt64 = 0
    public var weighted: UInt64 = 0
  }

  public let kind: TableKind
  public var rows: UInt64 = 0
  /// As in the table's schema.
  public var columns: [Column]
  /// Of the rows' times; see `rowTimeNs`.
  public var times: UInt64 = 0
  public var rowSquares: UInt64 = 0
  private var nameHashes: [UInt64] = []
  private static let weightModulus: Int64 = 65_521

  public init(_ kind: TableKind) {
    self.kind = kind
    columns = TableSchema.of(kind).columns.map { _ in Column() }
  }

  public static func == (a: ContentSums, b: ContentSums) -> Bool {
    a.kind == b.kind && a.rows == b.rows && a.columns == b.columns && a.times == b.times
      && a.rowSquares == b.rowSquares
  }

  // MARK: The tape's side

  public mutating func add(_ batch: TableBatch) {
    let schema = batch.schema
    while nameHashes.count < batch.names.count {
      var name = batch.names[nameHashes.count]
      nameHashes.append(name.withUTF8 { sipHash64(UnsafeRawBufferPointer($0)) })
    }
    let sequence = schema.index(of: "seq")!
    let receive = schema.index(of: "recv_ns")!
    let transaction = schema.index(of: "transaction_ns")
    let exchange = schema.index(of: "exchange_ns")
    var row = 0
    for message in 0..<batch.messageCount {
      let weight = UInt64(batch.values(sequence)[message] % ContentSums.weightModulus + 1)
      let time = rowTimeNs(
        transaction.map { batch.values($0)[message] } ?? TableBatch.null,
        exchange.map { batch.values($0)[message] } ?? TableBatch.null, batch.values(receive)[message])
      for _ in 0..<batch.messageRows[message] {
        var mixed: UInt64 = 0
        for (index, column) in schema.columns.enumerated() {
          let value = batch.values(index)[column.isOfMessage ? message : row]
          let number = self.number(batch, column, value)
          if value == TableBatch.null, column.name != "symbol" { columns[index].nulls += 1 }
          columns[index].sum &+= number
          columns[index].weighted &+= number &* weight
          mixed &+= number &* UInt64(2 * index + 1)
        }
        rowSquares &+= mixed &* mixed
        times &+= UInt64(bitPattern: time)
        rows += 1
        row += 1
      }
    }
  }

  private func number(_ batch: TableBatch, _ column: TableColumn, _ value: Int64) -> UInt64 {
    if value == TableBatch.null {
      return column.name == "symbol" ? sipHash64(UnsafeRawBufferPointer(start: nil, count: 0)) : 0
    }
    switch column.type {
    case .integer, .decimal, .boolean: return UInt64(bitPattern: value)
    case .name: return nameHashes[Int(value)]
    case .text: return sipHash64(batch.text(value))
    }
  }

  // MARK: The server's side

  /// The query whose one row ``init(_:row:)`` reads.
  public static func query(_ kind: TableKind, _ schema: ClickHouseSchema, tape: String) -> String {
    let columns = TableSchema.of(kind).columns
    var parts = ["count()"]
    var mixed: [String] = []
    for (index, column) in columns.enumerated() {
      let number = number(column)
      parts.append(contentsOf: [
        column.isNullable && column.name != "symbol" ? "countIf(isNull(`\(column.name)`))" : "0",
        "sum(\(number))", "sum(\(number) * toUInt64(seq % toInt64(\(weightModulus)) + 1))",
      ])
      mixed.append("\(number) * toUInt64(\(2 * index + 1))")
    }
    let time = schema.dialect == .modern ? "toUnixTimestamp64Nano(ts)" : "ts_ns"
    parts.append("sum(toUInt64(\(time)))")
    let row = mixed.joined(separator: " + ")
    parts.append("sum((\(row)) * (\(row)))")
    return
      "SELECT \(parts.joined(separator: ", ")) FROM \(schema.database).\(kind.name) WHERE tape = '\(tape)'"
  }

  private static func number(_ column: TableColumn) -> String {
    let isNullable = column.isNullable && column.name != "symbol"
    let name = "`\(column.name)`"
    switch column.type {
    case .integer, .boolean: return isNullable ? "toUInt64(ifNull(\(name), 0))" : "toUInt64(\(name))"
    case .decimal:
      let value = isNullable ? "ifNull(\(name), toDecimal64(0, 8))" : name
      return "toUInt64(toInt64(toDecimal128(\(value), 8) * 100000000))"
    case .name, .text:
      // A sum over rows that are null here must still be a number.
      return isNullable
        ? "if(isNull(\(name)), toUInt64(0), sipHash64(ifNull(\(name), '')))" : "sipHash64(\(name))"
    }
  }

  /// - Throws: ``ClickHouseError/answer(_:)`` when it is no row of ``query(_:_:tape:)``.
  public init(_ kind: TableKind, row: [String?]) throws(ClickHouseError) {
    self.init(kind)
    let numbers = row.map { $0.flatMap { UInt64($0) } ?? 0 }
    guard numbers.count == 3 * columns.count + 3, row.allSatisfy({ $0 != nil }) else {
      throw .answer("\(row.count) sums of \(kind.name)")
    }
    rows = numbers[0]
    for index in columns.indices {
      columns[index] = Column(
        nulls: numbers[3 * index + 1], sum: numbers[3 * index + 2], weighted: numbers[3 * index + 3])
    }
    times = numbers[numbers.count - 2]
    rowSquares = numbers[numbers.count - 1]
  }

  /// What differs, in words: the columns by name.
  public func differences(from server: ContentSums) -> [String] {
    var found: [String] = []
    if rows != server.rows {
      found.append("\(kind.name): \(rows) rows on the tape, \(server.rows) on the server")
    }
    for (index, column) in TableSchema.of(kind).columns.enumerated()
    where columns[index] != server.columns[index] {
      let what =
        columns[index].nulls != server.columns[index].nulls
        ? "\(columns[index].nulls) nulls on the tape, \(server.columns[index].nulls) on the server"
        : "values differ"
      found.append("\(kind.name).\(column.name): \(what)")
    }
    if times != server.times { found.append("\(kind.name).ts: values differ") }
    if found.isEmpty, rowSquares != server.rowSquares {
      found.append("\(kind.name): values have changed places between rows")
    }
    return found
  }
}
