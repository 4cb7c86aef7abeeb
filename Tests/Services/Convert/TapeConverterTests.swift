import Core
import Glibc
import Parquet
import Tables
import Tape
import Testing

@testable import Services

@Suite("Converting a tape")
struct TapeConverterTests {
  private let folder = ConvertFolder()

  private struct Stop: Error {}

  private func record(_ segment: String, _ output: String = "parquet") throws -> ConversionRecord {
    try #require(ConversionRecord.read("\(folder.path)/\(output)", segment))
  }

  // MARK: What is there

  @Test func everyRecordHasItsRows() throws {
    try folder.write(1500)
    let result = try folder.convert()
    #expect(result.records == 1500)
    #expect(result.rows == [.depth: 1500, .trade: 500, .bookTicker: 500])
    #expect(result.segments == 4 && result.skippedSegments == 0 && !result.isDamaged)
    let files = try folder.content("parquet")
    #expect(files["kind=depth/date=2024-07-18/symbol=S0USDT/hour=22.parquet"] != nil)
    #expect(files["kind=trade/date=2024-07-19/symbol=S1USDT/hour=01.parquet"] != nil)
    #expect(!files.keys.contains { $0.hasPrefix("_staging") })
    var rows: Int64 = 0
    for segment in ["2024-07-18T22", "2024-07-18T23", "2024-07-19T00", "2024-07-19T01"] {
      let record = try record(segment)
      #expect(record.sealSHA256 == record.sha256)
      for file in record.files {
        #expect(files[file.path]?.count == file.bytes)
        let footer = try ParquetFooter("\(folder.path)/parquet/\(file.path)")
        #expect(footer.rows == file.rows)
        rows += file.rows
      }
    }
    #expect(rows == 2500)
    #expect(try record("2024-07-18T23").firstSequence == 11)
  }

  @Test func twiceIsOnce() throws {
    try folder.write(1500)
    try folder.convert()
    let before = try folder.content("parquet")
    let again = try folder.convert()
    #expect(again.segments == 0 && again.skippedSegments == 4 && again.records == 1500)
    #expect(try folder.content("parquet") == before)
    try folder.convert(folder.options("other"))
    #expect(try folder.content("other") == before)
  }

  /// Ended at each block and between segments, then started again.
  @Test func interruptedItEndsAlike() throws {
    try folder.write(4000)
    try folder.convert(folder.options("whole"))
    for stopAt in 1...8 {
      var blocks = 0
      #expect(throws: Stop.self) {
        try TapeConverter(folder.options()).convert { _ in
          blocks += 1
          if blocks == stopAt { throw Stop() }
        }
      }
      #expect(!Files.exists(folder.path + "/parquet/_staging"))
      try folder.convert()
      #expect(try folder.content("parquet") == folder.content("whole"))
      ConvertFolder.remove(folder.path + "/parquet")
    }
  }

  @Test func filesThatAreGoneAreMadeAgain() throws {
    try folder.write(1500)
    try folder.convert()
    let before = try folder.content("parquet")
    let file = try record("2024-07-18T23").files[0]
    try Files.remove("\(folder.path)/parquet/\(file.path)")
    #expect(try folder.convert().segments == 1)
    #expect(try folder.content("parquet") == before)
  }

  /// Many symbols and next to no memory: more row groups, the same rows.
  @Test func littleMemory() throws {
    try folder.write(4000, symbols: 40, stepNs: Nanoseconds.second / 10)
    try folder.convert(folder.options("whole"))
    var options = folder.options()
    options.memoryBytesMax = 1 << 20
    options.rowGroupRows = 20
    try folder.convert(options)
    for (small, large) in zip(try record("2024-07-18T23").files, try record("2024-07-18T23", "whole").files) {
      #expect(small.path == large.path && small.rows == large.rows)
    }
    let file = try #require(try record("2024-07-18T23").files.first { $0.kind == "depth" })
    #expect(try ParquetFooter("\(folder.path)/parquet/\(file.path)").rowGroups.count > 1)
  }

  // MARK: Tapes that change

  @Test func anOpenSegmentWaitsForItsWriter() throws {
    try folder.write(1500, finish: false)
    var writer: TapeWriter? = try TapeWriter(folder: folder.tape)
    let live = try folder.convert()
    #expect(live.segments == 3 && live.openSegments == ["2024-07-19T01"])
    #expect(writer?.folder == folder.tape)
    writer = nil
    #expect(try folder.convert(sealedOnly: true).openSegments.isEmpty)

    let dead = try folder.convert()
    #expect(dead.segments == 1 && dead.records == 1500)
    #expect(try record("2024-07-19T01").sealSHA256 == nil)
    let files = try folder.content("parquet").filter { $0.key.hasPrefix("kind") }

    // Sealed with the bytes it had: only its record changes.
    try folder.write(0, from: 1500)
    #expect(try folder.convert().segments == 0)
    #expect(try record("2024-07-19T01").sealSHA256 != nil)
    #expect(try folder.content("parquet").filter { $0.key.hasPrefix("kind") } == files)
  }

  /// A tape that is continued within its last hour.
  @Test(arguments: [true, false])
  func aContinuedSegmentIsConvertedAgain(finished: Bool) throws {
    try folder.write(1500, finish: finished)
    try folder.convert()
    try folder.write(100, from: 1500)
    let result = try folder.convert()
    #expect(result.segments == 1 && result.records == 1600)
    try folder.convert(folder.options("whole"))
    #expect(try folder.content("parquet") == folder.content("whole"))
  }

  @Test(arguments: ["same hours", "later", "earlier"])
  func anotherTapeIsRefused(hours: String) throws {
    try folder.write(1500)
    try folder.convert()
    let before = try folder.content("parquet")
    ConvertFolder.remove(folder.tape)
    let shift: Int64 = hours == "later" ? 24 : hours == "earlier" ? -24 : 0
    try folder.write(1500, price: 65_000, startNs: convertStartNs + shift * Nanoseconds.hour)
    #expect {
      try folder.convert()
    } throws: {
      if case ConvertError.otherTape = $0 { true } else { false }
    }
    #expect(try folder.content("parquet") == before)
  }

  @Test func aCompactedDayIsNotDoubled() throws {
    try folder.write(1500)
    try folder.convert()
    var last = try record("2024-07-19T01")
    for index in last.files.indices {
      let hourly = last.files[index].path
      last.files[index].path = hourly.replacing("hour=01", with: "day")
      try Files.rename("\(folder.path)/parquet/\(hourly)", "\(folder.path)/parquet/\(last.files[index].path)")
    }
    try last.write(folder.path + "/parquet")
    #expect(try folder.convert().skippedSegments == 4)
    try folder.write(100, from: 1500)
    #expect {
      try folder.convert()
    } throws: {
      if case ConvertError.compacted = $0 { true } else { false }
    }
  }

  @Test func oneAtATime() throws {
    try folder.write(10)
    let first = try TapeConverter(folder.options())
    #expect(throws: ConvertError.inUse(output: folder.options().output)) {
      try TapeConverter(folder.options())
    }
    try first.convert()
  }

  // MARK: Damage

  /// A flipped bit at many places of a sealed segment, plain and compressed: found, and nothing of it in
  /// place.
  @Test(arguments: [true, false])
  func aFlippedBitIsFound(compressed: Bool) throws {
    try folder.write(700, compress: compressed)
    let name = "2024-07-18T23.ndjson" + (compressed ? ".zst" : "")
    // The last segment stays plain in any case.
    let path = "\(folder.tape)/\(name)"
    let bytes = try Files.read(path)
    var random = SeededRandom(seed: 3)
    for _ in 0..<12 {
      var flipped = bytes
      flipped[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
      try flipped.withUnsafeBytes { try Files.writeAtomically(path, $0) }
      let result = try folder.convert()
      // zstd has a few bits that mean nothing: then what is decoded is what was sealed.
      if compressed, !result.isDamaged { continue }
      #expect(result.damagedSegments == ["2024-07-18T23"] && result.segments + result.skippedSegments == 2)
      #expect(result.warnings.first?.contains(name) == true)
      let files = try folder.content("parquet")
      #expect(!files.keys.contains { $0.contains("hour=23") || $0.hasPrefix("_staging") })
    }
    try bytes.withUnsafeBytes { try Files.writeAtomically(path, $0) }
    #expect(try folder.convert().isDamaged == false)
  }

  @Test func aTornLineIsCountedAndLeftOut() throws {
    try folder.write(1500, finish: false)
    let file = try File("\(folder.tape)/2024-07-19T01.ndjson", .append)
    try Array("{\"seq\":1501,\"recv".utf8).withUnsafeBytes { try file.write($0) }
    let result = try folder.convert()
    #expect(result.records == 1500 && result.tornBytes == 17 && !result.isDamaged)
  }

  @Test func linesThatAreNoRecordsAreCounted() throws {
    try folder.write(1500, finish: false)
    let file = try File("\(folder.tape)/2024-07-19T01.ndjson", .append)
    try Array("no record\n".utf8).withUnsafeBytes { try file.write($0) }
    let result = try folder.convert()
    #expect(result.records == 1500 && result.unreadableLines == 1 && result.isDamaged)
  }

  @Test func sealsThatCannotBeUnderstoodAreNamed() throws {
    try folder.write(1500)
    try Files.writeAtomically("\(folder.tape)/2024-07-18T23.seal.json", "{}")
    let result = try folder.convert()
    #expect(result.damagedSegments == ["2024-07-18T23"] && result.segments == 3)
  }

  // MARK: Names

  @Test func symbolsAreEncoded() {
    #expect(ParquetLayout.encode("BTCUSDT_240927") == "BTCUSDT_240927")
    #expect(ParquetLayout.encode("A/B %.") == "A%2FB%20%25%2E")
    #expect(ParquetLayout.encode("ü") == "%C3%BC")
  }
}
