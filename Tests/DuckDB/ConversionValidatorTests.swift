import Core
import Foundation
import Tables
import Testing

@testable import DuckDB

@Suite("Proof of a conversion", .enabled(if: duckDBIsHere, duckDBReason))
struct ConversionValidatorTests {
  private static let trades = "kind=trade/date=2024-07-19/symbol=ETHUSDT/hour=00.parquet"

  @Test func whatIsEqualMatches() throws {
    // Depth files of more rows than DuckDB's vectors.
    let fixture = try ConversionFixture(steps: 1000)
    let verdict = try fixture.validate()
    #expect(verdict.isMatch && verdict.isHashEqual, "\(verdict.json.text(pretty: true))")
    #expect(verdict.differences.isEmpty && verdict.missingFields.isEmpty)
    #expect(verdict.rowsTape == verdict.rowsParquet)
    #expect(verdict.rowsTape[.bookTicker] == 6000 && verdict.rowsTape[.trade] == 6120)
    #expect(verdict.rowsTape[.other] == 60)
    #expect(verdict.segments == 3 && verdict.segmentsOpen == 0)
    #expect(verdict.json["schema_version"]?.integer == 1)
    #expect(verdict.json["nulls"]?["book_ticker"]?["exchange_ns"]?.integer == 3000)
    #expect(verdict.json["content_hash"]?.text?.utf8.count == 64)
    #expect(try fixture.validate(checksSeals: false).isMatch)
  }

  private func differences(_ fixture: ConversionFixture, tape: String? = nil) throws -> [String] {
    let verdict = try fixture.validate(tape: tape)
    #expect(!verdict.isMatch)
    return verdict.differences.map { "\($0.file)|\($0.column ?? "")|\($0.what)" }
  }

  /// Every byte of a file's data: the flip is found, or it changed nothing that a reader gets.
  @Test func aFlippedByteIsFound() throws {
    let fixture = try ConversionFixture()
    let path = "\(fixture.tables)/\(ConversionValidatorTests.trades)"
    let good = try Files.read(path)
    var random = SeededRandom(seed: 11)
    let reader = try DuckDBDatabase(DuckDBOptions(threads: 1, folders: nil))
    let sql = "SELECT * FROM '\(path)'"
    let truth = try reader.rows(sql)
    var found = 0
    for _ in 0..<15 {
      let at = random.below(good.count)
      var bad = good
      bad[at] ^= UInt8(1 << random.below(8))
      try bad.withUnsafeBytes { try Files.writeAtomically(path, $0) }
      let verdict = try fixture.validate(checksSeals: false)
      if verdict.isMatch {
        #expect(try reader.rows(sql) == truth, "byte \(at)")
      } else {
        found += 1
        #expect(verdict.differences.allSatisfy { $0.file == ConversionValidatorTests.trades }, "byte \(at)")
      }
    }
    #expect(found > 5)
  }

  @Test func aMissingRowIsFound() throws {
    let fixture = try ConversionFixture()
    try fixture.rewrite(ConversionValidatorTests.trades, "SELECT * FROM t WHERE rowid <> 37")
    let verdict = try fixture.validate()
    #expect(!verdict.isMatch && !verdict.isHashEqual)
    #expect(verdict.rowsParquet[.trade] == verdict.rowsTape[.trade]! - 1)
    #expect(
      try differences(fixture) == ["\(ConversionValidatorTests.trades)||it has 59 rows, the tape 60"])
  }

  @Test func twoRowsInTheOtherOrderAreFound() throws {
    let fixture = try ConversionFixture()
    try fixture.rewrite(
      ConversionValidatorTests.trades,
      "SELECT * FROM t ORDER BY CASE rowid WHEN 4 THEN 5 WHEN 5 THEN 4 ELSE rowid END")
    let found = try differences(fixture)
    #expect(found.contains("\(ConversionValidatorTests.trades)|seq|its values are not those of the tape"))
  }

  @Test(arguments: [
    ("SELECT * REPLACE (quantity AS price, price AS quantity) FROM t", ["price", "quantity"]),
    ("SELECT * REPLACE (price + CAST(0.00000001 AS DECIMAL(9, 8)) AS price) FROM t WHERE true", ["price"]),
    ("SELECT * REPLACE (CASE WHEN rowid = 59 THEN NULL ELSE recv_ns END AS recv_ns) FROM t", ["recv_ns"]),
    ("SELECT * REPLACE (CASE WHEN rowid = 3 THEN 'agg_tradf' ELSE kind END AS kind) FROM t", ["kind"]),
    (
      "SELECT * REPLACE (CASE WHEN rowid = 3 THEN NOT is_market ELSE is_market END AS is_market) FROM t",
      ["is_market"]
    ),
    ("SELECT * EXCLUDE (price) FROM t", ["price"]),
    ("SELECT * REPLACE (CAST(price AS DOUBLE) AS price) FROM t", ["price"]),
    ("SELECT *, 1 AS extra FROM t", ["extra"]),
  ])
  func changedColumnsAreNamed(_ select: String, _ columns: [String]) throws {
    let fixture = try ConversionFixture()
    let isWider = select.contains("0.00000001")
    try fixture.rewrite(
      ConversionValidatorTests.trades,
      isWider ? "SELECT * REPLACE (CAST(price AS DECIMAL(18, 8)) AS price) FROM (\(select))" : select)
    let verdict = try fixture.validate()
    #expect(!verdict.isMatch)
    #expect(verdict.differences.allSatisfy { $0.file == ConversionValidatorTests.trades })
    #expect(verdict.differences.map { $0.column ?? "-" } == columns)
    #expect(verdict.missingFields == (select.contains("EXCLUDE") ? ["trade.price"] : []))
    #expect(verdict.rowsTape == verdict.rowsParquet)
  }

  @Test func columnsInAnotherOrderAreFound() throws {
    let fixture = try ConversionFixture()
    try fixture.rewrite(ConversionValidatorTests.trades, "SELECT seq, * EXCLUDE (seq) FROM t")
    #expect(
      try differences(fixture) == ["\(ConversionValidatorTests.trades)||its columns are in another order"])
  }

  @Test func anotherSchemaVersionIsFound() throws {
    let fixture = try ConversionFixture()
    try fixture.rewrite(ConversionValidatorTests.trades, "SELECT * FROM t", version: 2)
    #expect(
      try differences(fixture) == ["\(ConversionValidatorTests.trades)||its schema version is 2 instead of 1"]
    )
    #expect(try fixture.validate().json["schema_version"] == .null)
    let other = try ConversionFixture(isConverted: false)
    try other.convert(recordVersion: 3)
    #expect(
      try differences(other)
        == ConversionFixture.stems.map { "_conversion/\($0).json||its schema version is 3 instead of 1" })
  }

  @Test(arguments: [0.0, 0.3, 0.5, 0.97])
  func aHalfWrittenFileIsFound(_ part: Double) throws {
    let fixture = try ConversionFixture()
    let path = "\(fixture.tables)/\(ConversionValidatorTests.trades)"
    let good = try Files.read(path)
    try good.prefix(Int(Double(good.count) * part)).withUnsafeBytes { try Files.writeAtomically(path, $0) }
    let found = try differences(fixture)
    #expect(found.contains { $0.hasPrefix("\(ConversionValidatorTests.trades)||it cannot be read: ") })
    #expect(found.allSatisfy { $0.hasPrefix(ConversionValidatorTests.trades) })
  }

  @Test func filesThatAreMissingOrTooMuchAreFound() throws {
    let fixture = try ConversionFixture()
    let path = "\(fixture.tables)/\(ConversionValidatorTests.trades)"
    let extra = "kind=trade/date=2024-07-19/symbol=ETHUSDT/hour=07.parquet"
    try Files.rename(path, "\(fixture.tables)/\(extra)")
    // What a killed conversion leaves is no file yet.
    try Files.writeAtomically(path + ".tmp", "half")
    #expect(
      Set(try differences(fixture)) == [
        "\(ConversionValidatorTests.trades)||it is missing; the tape has 60 rows for it",
        "\(extra)||no conversion record names it",
      ])
  }

  @Test func aSegmentWithoutARecordIsFound() throws {
    let fixture = try ConversionFixture()
    try Files.remove("\(fixture.tables)/_conversion/2024-07-19T00.json")
    let found = try differences(fixture)
    #expect(found.first == "2024-07-19T00||this closed segment of the tape is not converted")
    #expect(found.dropFirst().allSatisfy { $0.hasSuffix("hour=00.parquet||no conversion record names it") })
    // An open one says nothing.
    try Files.remove("\(fixture.tape)/2024-07-19T01.seal.json")
    try Files.remove("\(fixture.tables)/_conversion/2024-07-19T01.json")
    #expect(try fixture.validate().segmentsOpen == 1)
    try Files.writeAtomically("\(fixture.tables)/_conversion/2024-07-18T23.json", "{}")
    #expect(
      try differences(fixture).first
        == "_conversion/2024-07-18T23.json||it cannot be understood; convert the segment again")
  }

  @Test func anotherTapeIsFound() throws {
    let fixture = try ConversionFixture(seed: 1)
    let other = try ConversionFixture(seed: 2, isConverted: false)
    let found = try differences(fixture, tape: other.tape)
    #expect(
      found.contains {
        $0.hasPrefix("_conversion/2024-07-18T23.json||it was made of another tape")
      })
    #expect(found.contains { $0.hasPrefix("\(ConversionValidatorTests.trades)|price|") })
  }

  @Test func aChangedTapeIsFoundByItsSeal() throws {
    let fixture = try ConversionFixture()
    let path = "\(fixture.tape)/2024-07-19T01.ndjson"
    // A blank more changes no row.
    let text = try fixture.text(path)
    try Files.writeAtomically(path, text.replacing("\"junk 57\"", with: "\"junk 58\"", maxReplacements: 1))
    let found = try differences(fixture)
    #expect(found.contains("2024-07-19T01||the segment's bytes are not those of its seal"))
  }

  @Test func compactedDaysAreComparedHourByHour() throws {
    let fixture = try ConversionFixture()
    let folder = "kind=trade/date=2024-07-19/symbol=ETHUSDT"
    let database = try DuckDBDatabase(DuckDBOptions(threads: 1, folders: nil))
    try database.run(
      "CREATE TABLE t AS SELECT * FROM read_parquet(['\(fixture.tables)/\(folder)/hour=00.parquet', "
        + "'\(fixture.tables)/\(folder)/hour=01.parquet'], hive_partitioning = false)")
    try fixture.copy(database, "SELECT * FROM t", "\(folder)/day.parquet")
    for hour in ["00", "01"] {
      try Files.remove("\(fixture.tables)/\(folder)/hour=\(hour).parquet")
      let record = "\(fixture.tables)/_conversion/2024-07-19T\(hour).json"
      try Files.writeAtomically(
        record,
        try fixture.text(record).replacing("\(folder)/hour=\(hour).parquet", with: "\(folder)/day.parquet"))
    }
    #expect(try fixture.validate().isMatch)
    try fixture.copy(
      database,
      "SELECT * REPLACE (CASE WHEN rowid = 90 THEN price + 1 ELSE price END AS price) FROM "
        + "(SELECT * REPLACE (price AS price), rowid FROM t)", "\(folder)/day.parquet")
    let found = try differences(fixture)
    #expect(found.contains { $0.hasPrefix("\(folder)/day.parquet|price|") })
    #expect(!found.contains { $0.contains("symbol|its values in the hour 00") })
    try fixture.copy(database, "SELECT * FROM t WHERE rowid < 119", "\(folder)/day.parquet")
    #expect(try differences(fixture) == ["\(folder)/day.parquet||it has 119 rows, the tape 120"])
  }

  @Test func foldersThatHoldNothingAreToldApart() throws {
    let folder = try TemporaryFolder()
    #expect(throws: ConversionValidator.Failure.noTables(folder: folder.path)) {
      _ = try ConversionValidator(tape: folder.path, folder: folder.path)
    }
    let fixture = try ConversionFixture()
    #expect(throws: ConversionValidator.Failure.noSegments(tape: folder.path)) {
      _ = try ConversionValidator(tape: folder.path, folder: fixture.tables)
    }
  }
}
