import Core
import Glibc
import Tape
import Testing

@testable import Services

/// The real recordings, against the counts in their SOURCES.md and against their own bytes.
@Suite("Import of real recordings")
struct ImportRecordingTests {
  private static let absent = "the recordings are not here; WEIR_DATA names their folder"

  @Test(.enabled(if: hasRecording("usdm_20240718"), Comment(rawValue: absent)))
  func futuresOverMidnight() throws {
    let names = ["btcusdt_20240718.gz", "btcusdt_20240719.gz", "ethusdt_20240718.gz", "ethusdt_20240719.gz"]
    let files = names.map { "\(dataFolder)/usdm_20240718/\($0)" }
    let folder = ImportFolder()
    let report = try importRecordings(ImportOptions(output: folder.tape, files: files))
    for (symbol, depth, bookTicker, trade) in [
      ("BTCUSDT", 9022, 52260, 10701), ("ETHUSDT", 8929, 47328, 13655),
    ] {
      #expect(report.frames(symbol, "depth") == depth)
      #expect(report.frames(symbol, "bookTicker") == bookTicker)
      #expect(report.frames(symbol, "trade") == trade)
    }
    #expect(
      report.snapshots == 2 && report.skippedLines == 0 && report.outOfOrder == 0 && !report.isTruncated)
    #expect(report.symbols.count == 2)
    try expectSameAsMerged(files, folder.tape)
    #expect(Files.exists(folder.tape + "/2024-07-18T23.ndjson.zst"))
    #expect(Files.exists(folder.tape + "/2024-07-19T00.ndjson"))
  }

  @Test(.enabled(if: hasRecording("cryptofeed_usdm_20210722"), Comment(rawValue: absent)))
  func captureOfFourSymbols() throws {
    let folder = ImportFolder()
    let path = "\(dataFolder)/cryptofeed_usdm_20210722/BINANCE_FUTURES"
    let report = try importRecordings(
      ImportOptions(output: folder.tape, files: ["\(path).ws.1.0", "\(path).0"]))
    #expect(report.frames == 1535 && report.snapshots == 4 && report.opens == 1)
    for (event, count) in [("depth", 764), ("bookTicker", 613), ("aggTrade", 91), ("kline", 67)] {
      #expect(report.symbols.reduce(0) { $0 + report.frames($1.symbol, event) } == count)
    }
    #expect(report.symbols.map(\.symbol) == ["AKROUSDT", "CTKUSDT", "KEEPUSDT", "SUSHIUSDT"])
    #expect(report.files.map(\.isBeside) == [false, false, true])
    let found = try records(folder.tape)
    #expect(found.count == 1541 && found.allSatisfy { $0.connection == 0 })
    #expect(found[1].kind == .open && found[1].receiveTime == 1_626_992_740_179_554_000)
    #expect(found[2].receiveTime == 1_626_992_741_062_170_000)
    let sources = gunzipped("\(path).ws.1.0").split(separator: 0x0A).dropFirst().map { line in
      String(decoding: line[line.firstRange(of: Array(": ".utf8))!.upperBound...], as: UTF8.self)
    }
    #expect(found.filter { $0.kind == .frame }.map(\.wire) == sources)
    #expect(
      found.filter { $0.kind == .snapshot }.map(\.stream)
        == ["sushiusdt@snapshot", "akrousdt@snapshot", "keepusdt@snapshot", "ctkusdt@snapshot"])
    #expect(try verifyTape(folder.tape).problems == [])
  }

  /// The first day only: a debug build takes its time over the second.
  @Test(.enabled(if: hasRecording("spot_nexo_20240723"), Comment(rawValue: absent)))
  func spotWithSnapshotFirst() throws {
    let folder = ImportFolder()
    let file = "\(dataFolder)/spot_nexo_20240723/nexousdt_20240723.dat.gz"
    let report = try importRecordings(ImportOptions(output: folder.tape, files: [file]))
    let lines = gunzipped(file).split(separator: 0x0A)
    #expect(report.snapshots == 1 && report.frames == lines.count - 1 && report.skippedLines == 0)
    #expect(report.symbols.map(\.symbol) == ["NEXOUSDT"] && report.frames("NEXOUSDT", "bookTicker") > 0)
    let found = try records(folder.tape).dropFirst()
    #expect(found.first?.kind == .snapshot && found.first?.stream == "nexousdt@snapshot")
    #expect(
      found.map(\.wire)
        == lines.map { String(decoding: $0[$0.index($0.startIndex, offsetBy: 17)...], as: UTF8.self) })
    #expect(found.first?.receiveTime == 1_721_749_182_850_494_000)
  }

  /// The tape's payloads equal the files' lines, merged by time, snapshots first, then by file. Each line is
  /// `<19 digits> payload`.
  private func expectSameAsMerged(_ files: [String], _ tape: String) throws {
    var expected: [(time: Int64, rank: Int, file: Int, payload: UnsafeRawBufferPointer)] = []
    let contents = files.map { file in
      let bytes = gunzipped(file)
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
      copy.copyBytes(from: bytes)
      return copy
    }
    defer { contents.forEach { $0.deallocate() } }
    for (number, content) in contents.enumerated() {
      forEachLine(UnsafeRawBufferPointer(content)) { line, _ in
        let time = Int64(String(decoding: line[..<19], as: UTF8.self))!
        let payload = UnsafeRawBufferPointer(rebasing: line[20...])
        expected.append((time, payload.starts(with: "{\"lastUpdateId".utf8) ? 0 : 1, number, payload))
        return true
      }
    }
    // Swift's sort is stable, so lines of one file keep their order.
    expected.sort { ($0.time, $0.rank, $0.file) < ($1.time, $1.rank, $1.file) }
    var reader = try TapeReader(folder: tape)
    var index = -1
    var differing = 0
    while let block = try reader.nextBlock() {
      forEachLine(block) { line, _ in
        defer { index += 1 }
        guard index >= 0 else { return true }
        let record = TapeRecord(parsing: line)
        let isSame =
          index < expected.count && record?.sequence == Int64(index + 2)
          && record?.receiveTime.rawValue == expected[index].time
          && record?.wireBytes().withUnsafeBytes { wire in
            wire.count == expected[index].payload.count
              && memcmp(wire.baseAddress!, expected[index].payload.baseAddress!, wire.count) == 0
          } == true
        if !isSame { differing += 1 }
        return true
      }
    }
    #expect(index == expected.count && differing == 0)
  }
}
