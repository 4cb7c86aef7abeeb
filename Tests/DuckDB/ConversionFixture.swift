import Core
import Foundation
import Tables
import Tape

@testable import DuckDB

/// A small tape over three hours and two days, and a conversion of it that DuckDB itself writes.
struct ConversionFixture {
  let folder: TemporaryFolder
  var tape: String { folder.path + "/tape" }
  var tables: String { folder.path + "/parquet" }
  static let hour = UnixNanos(1_721_343_600_000_000_000)  // 2024-07-18T23
  static let stems = ["2024-07-18T23", "2024-07-19T00", "2024-07-19T01"]

  /// - Parameter steps: of each hour; about seven records a step.
  init(seed: UInt64 = 1, steps: Int = 60, isConverted: Bool = true) throws {
    folder = try TemporaryFolder()
    try writeTape(seed: seed, steps: steps)
    if isConverted { try convert() }
  }

  private func writeTape(seed: UInt64, steps: Int) throws {
    var random = SeededRandom(seed: seed)
    var writer = try TapeWriter(folder: tape, options: .init(fsync: .none))
    func add(_ text: String, _ time: Int64) throws {
      _ = try Array(text.utf8).withUnsafeBytes {
        try writer.append(frame: $0, receiveTime: UnixNanos(time), connection: 0)
      }
    }
    func decimal(_ below: Int, _ decimals: Int) -> String {
      DecimalScale(decimals).text(Int64(1 + random.below(below)))
    }
    var id = 1
    for hour in 0..<3 {
      for step in 0..<steps {
        let time =
          ConversionFixture.hour.rawValue + Int64(hour) * Nanoseconds.hour + Int64(step) * 700_000_000
        let ms = time / 1_000_000 - Int64(random.below(2000))
        id += 1
        for name in ["BTCUSDT", "ETHUSDT"] {
          let stream = name.lowercased()
          let levels = (0..<random.below(4)).map { _ in "[\"\(decimal(900, 2))\",\"\(decimal(50, 3))\"]" }
          try add(
            #"{"stream":"\#(stream)@depth@100ms","data":{"e":"depthUpdate","E":\#(ms),"T":\#(ms - 1),"s":"\#(name)","U":\#(id),"u":\#(id + 1),"pu":\#(id - 1),"b":[\#(levels.joined(separator: ","))],"a":[["7.50","0.000"]]}}"#,
            time)
          let stamps = name == "BTCUSDT" ? #","T":\#(ms),"E":\#(ms + 1)"# : ""
          try add(
            #"{"stream":"\#(stream)@bookTicker","data":{"e":"bookTicker","u":\#(id),"s":"\#(name)","b":"\#(6 - random.below(2)).00","B":"\#(decimal(50, 3))","a":"\#(7 + random.below(2)).00","A":"\#(decimal(50, 3))"\#(stamps)}}"#,
            time)
          try add(
            #"{"stream":"\#(stream)@aggTrade","data":{"e":"aggTrade","E":\#(ms),"a":\#(id),"s":"\#(name)","p":"\#(decimal(900, 2))","q":"\#(decimal(50, 3))","f":\#(id),"l":\#(id),"T":\#(ms),"m":\#(random.below(2) == 0)}}"#,
            time)
        }
        if step % 50 == 7 {
          try add(
            #"{"stream":"btcusdt@trade","data":{"e":"trade","E":\#(ms),"T":\#(ms),"s":"BTCUSDT","t":\#(id),"p":"5.0","q":"1","X":"INSURANCE_FUND","m":true}}"#,
            time)
          let answer = #"[{"a":\#(id),"p":"1","q":"2","f":1,"l":2,"T":\#(ms),"m":false}]"#
          _ = try Array(answer.utf8).withUnsafeBytes {
            try writer.append(
              .snapshot, stream: "btcusdt@aggTrades", data: $0, receiveTime: UnixNanos(time), connection: 0)
          }
          try add("junk \(step)", time)
        }
      }
    }
    _ = try writer.finish()
  }

  /// The projection's batches, a segment at a time.
  func segments(_ body: (_ stem: SegmentStem, _ batches: [TableBatch]) throws -> Void) throws {
    var reader = try TapeReader(folder: tape)
    var projection = TapeProjection(grouping: .bySymbol)
    var current = 0
    while let block = try reader.nextBlock() {
      if reader.report.segments != current {
        if current > 0 { try body(SegmentStem(ConversionFixture.stems[current - 1])!, projection.batches) }
        for batch in projection.batches { batch.removeAll() }
        current = reader.report.segments
        projection.beginSegment()
      }
      projection.take(block)
    }
    try body(SegmentStem(ConversionFixture.stems[current - 1])!, projection.batches)
  }

  /// Makes tables and records.
  ///
  /// - Parameters:
  ///   - select: what is copied of the table `t`, by the file's path; all columns by default.
  ///   - version: of the schema, as written into files and records.
  func convert(
    select: (_ path: String, _ schema: TableSchema) -> String? = { _, _ in nil }, fileVersion: Int = 1,
    recordVersion: Int = 1
  ) throws {
    let database = try DuckDBDatabase(DuckDBOptions(threads: 1, folders: nil))
    try Files.makeFolder(tables + "/_conversion")
    try segments { stem, batches in
      let seal = try JSONValue(parsing: text("\(tape)/\(stem.text).seal.json"))
      var files: [JSONValue] = []
      for batch in batches where batch.rowCount > 0 {
        let path = ParquetFolder.path(kind: batch.schema.kind, symbol: batch.symbol, segment: stem)
        let appender = try TableAppender(database, batch.schema, table: "t")
        try appender.append(batch)
        try appender.finish()
        try Files.makeFolder(
          String("\(tables)/\(path)".prefix(upTo: "\(tables)/\(path)".lastIndex(of: "/")!)))
        try copy(database, select(path, batch.schema) ?? "SELECT * FROM t", path, version: fileVersion)
        try database.run("DROP TABLE t")
        files.append(
          .object([
            "path": .string(path), "kind": .string(batch.schema.kind.name),
            "symbol": batch.symbol.map { .string($0) } ?? .null, "rows": .integer(batch.rowCount),
            "bytes": .integer(try File("\(tables)/\(path)", .read).size()),
          ]))
      }
      let record: JSONValue = .object([
        "schema_version": .integer(recordVersion), "segment": .string(stem.text),
        "tape_first_seq": seal["first_seq"]!, "last_seq": seal["last_seq"]!, "records": seal["records"]!,
        "unreadable_lines": .integer(0), "seal_sha256": seal["sha256"]!, "files": .array(files),
      ])
      try Files.writeAtomically("\(tables)/_conversion/\(stem.text).json", record.text(pretty: true))
    }
  }

  func copy(_ database: DuckDBDatabase, _ select: String, _ path: String, version: Int = 1) throws {
    try database.run(
      "COPY (\(select)) TO \(SQLText.literal("\(tables)/\(path)")) (FORMAT parquet, COMPRESSION zstd, "
        + "KV_METADATA {'weir.schema_version': '\(version)'})")
  }

  /// Rewrites one file.
  func rewrite(_ path: String, _ select: String, version: Int = 1) throws {
    let database = try DuckDBDatabase(DuckDBOptions(threads: 1, folders: nil))
    try database.run(
      "CREATE TABLE t AS SELECT * FROM read_parquet('\(tables)/\(path)', hive_partitioning = false)")
    try copy(database, select, path, version: version)
    try fixRecord(of: path)
  }

  /// Makes the records agree with a file's size again, so that only its content tells.
  func fixRecord(of path: String) throws {
    for stem in ConversionFixture.stems {
      let file = "\(tables)/_conversion/\(stem).json"
      var record = try text(file)
      guard record.contains(path) else { continue }
      let size = try File("\(tables)/\(path)", .read).size()
      let at = record.range(of: path)!.upperBound
      let bytes = record.range(of: "\"bytes\": ", range: at..<record.endIndex)!.upperBound
      let end = record[bytes...].firstIndex { !$0.isNumber }!
      record.replaceSubrange(bytes..<end, with: "\(size)")
      try Files.writeAtomically(file, record)
    }
  }

  func text(_ path: String) throws -> String { String(decoding: try Files.read(path), as: UTF8.self) }

  func validate(tape other: String? = nil, checksSeals: Bool = true) throws -> ConversionVerdict {
    var validator = try ConversionValidator(tape: other ?? tape, folder: tables, checksSeals: checksSeals)
    return try validator.run()
  }

  /// The tape's bars without a database.
  func bars(widthNs: Int64) throws -> [Bar] {
    try streamedBars(tape: tape, widthNs: widthNs)
  }
}

/// Bars made while a tape is read.
func streamedBars(tape: String, widthNs: Int64) throws -> [Bar] {
  var reader = try TapeReader(folder: tape)
  var projection = TapeProjection(grouping: .together)
  var builder = BarBuilder(widthNs: widthNs)
  var segments = 0
  while let block = try reader.nextBlock() {
    if reader.report.segments != segments {
      segments = reader.report.segments
      projection.beginSegment()
    }
    projection.take(block)
    for batch in projection.batches {
      builder.add(batch)
      batch.removeAll()
    }
  }
  return builder.result
}

extension DuckDBDatabase {
  /// A view of bars as the bars that streaming makes.
  func bars(_ view: String) throws -> [Bar] {
    func integer(_ value: DuckDBValue) -> Int128? {
      switch value {
      case .integer(let value), .decimal(let value, _): value
      default: nil
      }
    }
    return try rows(
      """
      SELECT symbol, start_ns, open, high, low, close, trades, volume, buy_volume, sell_volume, quotes, ofi, cvd
      FROM \(view)
      """
    ).map { row in
      let values = row.map(integer)
      let bar = Bar(
        symbol: row[0].text ?? "", startNs: Int64(values[1] ?? -1), open: values[2].map { Int64($0) },
        high: values[3].map { Int64($0) }, low: values[4].map { Int64($0) },
        close: values[5].map { Int64($0) },
        trades: Int64(values[6] ?? -1), volume: values[7] ?? -1, buyVolume: values[8] ?? -1,
        sellVolume: values[9] ?? -1, quotes: Int64(values[10] ?? -1), ofi: values[11] ?? -1)
      precondition(bar.cvd == values[12])
      return bar
    }
  }
}
