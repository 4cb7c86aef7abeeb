import Core
import Foundation
import Parquet
import Testing

@testable import Tables

/// The environment of scripts/peers.sh.
private enum Peers {
  static let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
  static let python = root + "/.deps/peers/bin/python"
  static let areReady = Files.exists(python) && Files.exists(root + "/.deps/peers/stamp")

  static func judge(_ folder: String) throws -> JSONValue {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: python)
    process.arguments = ["-B", root + "/Tests/Conformance/Scripts/parquet_readers.py", folder]
    process.standardOutput = output
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").last ?? ""
    return try JSONValue(parsing: String(line))
  }
}

/// Files of ours, read by others.
@Suite(
  "Parquet, read by others", .enabled(if: Peers.areReady, "run scripts/peers.sh: it fetches the readers"))
struct ReaderTests {
  private let folder = TemporaryFolder()

  private func write(_ name: String, _ batches: [TableBatch], level: Int = 1) throws {
    let path = "\(folder.path)/\(name).parquet"
    let writer = ParquetFileWriter(path, schema: batches[0].schema, encoder: ParquetEncoder(level: level))
    for batch in batches { try writer.append(batch) }
    try writer.finish()
    try Files.writeAtomically("\(folder.path)/\(name).jsonl", batches.map { $0.lines() }.joined())
  }

  private func judge(cases: Int) throws {
    let verdict = try Peers.judge(folder.path)
    #expect(verdict["cases"]?.integer == Int64(cases))
    #expect((verdict["readers"]?.elements?.count ?? 0) >= 3)
    for failure in (verdict["failed"]?.elements ?? [.string("no verdict")]).prefix(20) {
      Issue.record("\(failure.text())")
    }
  }

  /// Every table, with nulls, extremes, constants, long texts, one and many rows a message, several row
  /// groups.
  @Test func randomTables() throws {
    let seed = UInt64.random(in: 0..<1 << 32)
    print("random tables: seed \(seed)")
    var random = SeededRandom(seed: seed)
    var cases = 0
    for kind in TableKind.allCases {
      for spread in Spread.allCases {
        for (messages, rowsMax) in [(1, 1), (400, 1), (40, 31)] {
          let isMany = kind == .depth || kind == .snapshot
          let groups = 1 + random.below(3)
          let batches = (0..<groups).map { _ in
            TableBatch.random(
              kind, messages: messages, rowsMax: isMany ? rowsMax : 1, spread, &random)
          }
          try write("\(kind.name)-\(spread)-\(messages)-\(rowsMax)", batches)
          cases += 1
        }
      }
    }
    try judge(cases: cases)
  }

  @Test func emptyTables() throws {
    for kind in TableKind.allCases { try write("empty-\(kind.name)", [TableBatch(.of(kind))]) }
    try judge(cases: TableKind.allCases.count)
  }

  /// More distinct prices than a dictionary takes, and runs of messages whose index needs three bytes.
  @Test func overflowingDictionary() throws {
    let batch = TableBatch(.of(.depth), symbol: "BTCUSDT")
    let symbol = batch.index(ofName: "BTCUSDT")
    let sides = [batch.index(ofName: "bid"), batch.index(ofName: "ask")]
    for message in 0..<66_000 {
      let rows = message % 20 == 0 ? 2 : 1
      let place = batch.begin(rows: rows)
      for column in 0..<8 {
        batch.column(column)[place.message] = column == 0 ? symbol : Int64(message * column)
      }
      for row in 0..<rows {
        batch.column(8)[place.row + row] = sides[row]
        batch.column(9)[place.row + row] = Int64(place.row + row) * 1_000_000
        batch.column(10)[place.row + row] = Int64(row) * 3
      }
    }
    try write("overflow", [batch], level: 3)
    try judge(cases: 1)
  }

  @Test func joinedFiles() throws {
    var random = SeededRandom(seed: 5)
    var lines = ""
    var paths: [String] = []
    let aside = folder.path + "/aside"
    try Files.makeFolder(aside)
    for hour in 0..<3 {
      let batch = TableBatch.random(.depth, messages: 50, rowsMax: 9, .market, &random)
      let path = "\(aside)/\(hour).parquet"
      let writer = ParquetFileWriter(path, schema: batch.schema, encoder: ParquetEncoder(level: 1))
      try writer.append(batch)
      try writer.append(batch)
      try writer.finish()
      lines += batch.lines() + batch.lines()
      paths.append(path)
    }
    let joined = folder.path + "/joined.parquet"
    let (rows, bytes) = try ParquetFiles.concatenate(paths, to: joined)
    #expect(try ParquetFooter(joined).rows == rows)
    #expect(try File(joined, .read).size() == bytes)
    #expect(try ParquetFooter(joined).rowGroups.count == 6)
    try Files.writeAtomically(folder.path + "/joined.jsonl", lines)
    try judge(cases: 1)
  }

  /// Tables that are not Weir's.
  @Test func givenColumns() throws {
    let columns = [
      ParquetColumn("instrument", .name), ParquetColumn("price", .fixed(16)), ParquetColumn("flags", .uint8),
      ParquetColumn("ts", .uint64), ParquetColumn("amount", .decimal), ParquetColumn("last", .boolean),
      ParquetColumn("n", .int64), ParquetColumn("note", .string),
    ]
    let path = folder.path + "/given.parquet"
    let writer = ParquetFileWriter(
      path, columns: columns, metadata: [(key: "instrument_id", value: "X.Y")],
      encoder: ParquetEncoder(level: 1))
    let rows = 300
    let numbers = (0..<rows).map { Int64($0) }
    let values: [ParquetValues] = [
      .strings(numbers.map { "I\($0 % 3)" }),
      .bytes(numbers.flatMap { number in (0..<16).map { UInt8(truncatingIfNeeded: number + $0) } }),
      .integers(numbers.map { $0 % 256 }), .integers(numbers.map { -1 - $0 }),
      .integers(numbers.map { $0 * 150_000_000 }), .integers(numbers.map { $0 % 2 }),
      .integers(numbers.map { $0 * -7 }), .strings(numbers.map { "note \($0)" }),
    ]
    try writer.append(values, rows: rows)
    try writer.append(values, rows: rows)
    try writer.finish()
    #expect(try ParquetFooter(path).metadata.contains { $0.key == "instrument_id" && $0.value == "X.Y" })
    var lines = ""
    for number in numbers {
      let hex = (0..<16).map { String(UInt8(truncatingIfNeeded: number + $0), radix: 16) }
        .map { $0.count == 1 ? "0" + $0 : $0 }.joined()
      let amount = DecimalScale(8).text(number * 150_000_000)
      lines += "[\"I\(number % 3)\",\"\(hex)\",\"\(number % 256)\",\"\(UInt64(bitPattern: -1 - number))\","
      lines += "\"\(amount)\",\"\(number % 2)\",\"\(number * -7)\",\"note \(number)\"]\n"
    }
    try Files.writeAtomically(folder.path + "/given.jsonl", lines + lines)
    try judge(cases: 1)
  }
}
