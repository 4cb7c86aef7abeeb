import Core
import Tape
import Testing

@testable import Services

@Suite("Import")
struct ImportTests {
  private func run(
    _ folder: ImportFolder, _ files: [String], format: ImportFormat = .auto, symbol: String? = nil,
    snapshots: [ImportOptions.Snapshot] = []
  ) throws -> ImportReport {
    try importRecordings(
      ImportOptions(format: format, symbol: symbol, snapshots: snapshots, output: folder.tape, files: files))
  }

  private static func depth(_ symbol: String, _ time: Int) -> String {
    #"{"stream":"\#(symbol.lowercased())@depth@100ms","#
      + #""data":{"e":"depthUpdate","E":\#(time),"s":"\#(symbol)"}}"#
  }

  private static let start: Int64 = 1_721_347_020_000

  // MARK: Times

  @Test(
    arguments: [
      ("1626992741.06217", 1_626_992_741_062_170_000), ("1626992741.3105128", 1_626_992_741_310_512_800),
      ("1626992741", 1_626_992_741_000_000_000), ("1626992741.", 1_626_992_741_000_000_000),
      ("1626992741.123456789123", 1_626_992_741_123_456_789), ("0.000000001", 1),
    ] as [(String, Int64)])
  func epochsAreExact(_ text: String, _ expected: Int64) {
    #expect(Array(text.utf8).withUnsafeBytes { RecordingTime.seconds($0) } == expected)
  }

  @Test(arguments: ["", ".5", "1.2.3", "-1", "1e9", "99999999999", "12a"])
  func notEpochs(_ text: String) {
    #expect(Array(text.utf8).withUnsafeBytes { RecordingTime.seconds($0) } == nil)
  }

  @Test(
    arguments: [
      ("1721347020984480942", 1_721_347_020_984_480_942), ("1721749182850494", 1_721_749_182_850_494_000),
      ("1721347020984", 1_721_347_020_984_000_000), ("1721347020", nil), ("9999999999999999999", nil),
      ("", nil),
    ] as [(String, Int64?)])
  func timesByDigits(_ text: String, _ expected: Int64?) {
    #expect(Array(text.utf8).withUnsafeBytes { RecordingTime.byDigits($0) } == expected)
  }

  // MARK: Formats

  @Test func receiveLines() throws {
    let folder = ImportFolder()
    let snapshot = #"{"lastUpdateId": 7, "bids": [["1.0", "2"]], "asks": []}"#
    let file = try folder.write(
      "a.txt",
      [
        "1721347020000000 " + snapshot,
        "1721347020100000 " + Self.depth("BTCUSDT", 1),
        "1721347020200000\t" + #"{"e":"aggTrade","E":1,"s":"BTCUSDT","a":5}"# + "  \r",
        "1721347020300000 "
          + #"{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","B":"1","A":"2"}}"#,
        "1721347020400000 " + #"{"u":2,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"2"}"#,
        "1721347020500000 " + #"{"result":null,"id":1}"#,
        "1721347020600000 " + #"{"e":"ORDER_TRADE_UPDATE","o":{"s":"BTCUSDT"}}"#,
      ])
    let report = try run(folder, [file])
    let found = try records(folder.tape)
    #expect(found[0].kind == .note && found[0].receiveTime == 1_721_347_020_000_000_000)
    #expect(found[0].wire == #"{"import":{"files":["a.txt"],"formats":["recv-lines"]}}"#)
    #expect(found[1].kind == .snapshot && found[1].stream == "btcusdt@snapshot" && found[1].wire == snapshot)
    #expect(found.dropFirst(2).map(\.kind) == [.frame, .frame, .frame, .frame, .frame, .frame])
    #expect(found[3].wire == #"{"e":"aggTrade","E":1,"s":"BTCUSDT","a":5}"# && found[3].stream == nil)
    #expect(found.map(\.receiveTime).last == 1_721_347_020_600_000_000)
    #expect(report.frames == 6 && report.snapshots == 1 && report.skippedLines == 0 && report.records == 8)
    #expect(report.frames("BTCUSDT", "depth") == 1 && report.frames("BTCUSDT", "aggTrade") == 1)
    #expect(report.frames("BTCUSDT", "bookTicker") == 2 && report.frames("unknown", "other") == 1)
    #expect(report.frames("BTCUSDT", "ORDER_TRADE_UPDATE") == 1)
    #expect(report.json["first_recv"]?.text == "2024-07-18T23:57:00.000Z")
    #expect(try verifyTape(folder.tape).problems == [])
  }

  @Test func epochLinesWithCapturesBeside() throws {
    let folder = ImportFolder()
    let ws = try folder.write(
      "X.ws.1.0",
      [
        "wss://host/stream?streams=ausdt@depth <-> 1626992740.5",
        "1626992741.25: " + Self.depth("AUSDT", 1),
        "1626992743.5: " + Self.depth("BUSDT", 1),
      ])
    let http = try folder.write(
      "X.http.0.0",
      [
        #"https://host/fapi/v1/depth?symbol=AUSDT&limit=1000 -> 1626992741.3: {"lastUpdateId":1,"bids":[]}"#,
        #"https://host/fapi/v1/depth?limit=5&symbol=BUSDT -> 1626992742.5: {"lastUpdateId":2,"bids":[]}"#,
        #"https://host/fapi/v1/exchangeInfo -> 1626992742.5: {"symbols":[]}"#,
        #"https://host/fapi/v1/time -> 1626992742.6: {"serverTime":5}"#,
        #"https://host/fapi/v1/depth?symbol=AUSDT -> 1626992743: {"code":-1121,"msg":"no"}"#,
        #"https://host/fapi/v1/depth?symbol=AUSDT -> 1626992744.1: {"lastUpd"#,
      ])
    let expected = [
      "note - 1626992740500000000", "open - 1626992740500000000",
      "frame ausdt@depth@100ms 1626992741250000000",
      "snapshot ausdt@snapshot 1626992741300000000", "snapshot busdt@snapshot 1626992742500000000",
      "frame busdt@depth@100ms 1626992743500000000",
    ]
    // Named or not, named as a snapshot or not: each body is written once.
    let ways: [([String], [ImportOptions.Snapshot])] = [
      ([ws], []), ([ws, http], []), ([http, ws], []), ([ws], [.init(symbol: "ausdt", file: http)]),
      ([ws, ws], [.init(symbol: "AUSDT", file: http), .init(symbol: "BUSDT", file: http)]),
    ]
    for (number, (files, snapshots)) in ways.enumerated() {
      let tape = folder.path + "/tape-\(number)"
      let report = try importRecordings(ImportOptions(snapshots: snapshots, output: tape, files: files))
      let found = try records(tape)
      #expect(found.map { "\($0.kind.name) \($0.stream ?? "-") \($0.receiveTime)" } == expected)
      #expect(found.allSatisfy { $0.connection == 0 })
      #expect(found[1].wire == #"{"url":"wss://host/stream?streams=ausdt@depth"}"#)
      let capture = try #require(report.files.first { $0.path == http })
      #expect(capture.isBeside == !files.contains(http))
      #expect(
        capture.skipped == [
          .init(reason: "not_json", count: 1, firstLine: 6),
          .init(reason: "exchange_info", count: 1, firstLine: 3),
          .init(reason: "other_request", count: 2, firstLine: 4),
        ])
    }
  }

  @Test func aCaptureGivenForSomeSymbols() throws {
    let folder = ImportFolder()
    let frames = try folder.write("frames.txt", ["1626992741.25: " + Self.depth("AUSDT", 1)])
    let http = try folder.write(
      "capture",
      ["A", "B", "C"].map { "https://h/api/v3/depth?symbol=\($0)USDT -> 1626992741.5: {\"lastUpdateId\":1}" })
    let report = try run(
      folder, [frames],
      snapshots: [.init(symbol: "AUSDT", file: http), .init(symbol: "CUSDT", file: http)])
    #expect(
      try records(folder.tape).filter { $0.kind == .snapshot }.map(\.stream)
        == ["ausdt@snapshot", "cusdt@snapshot"])
    #expect(report.files[1].skipped == [.init(reason: "other_symbol", count: 1, firstLine: 2)])
  }

  @Test func bareFramesTakeTheirEventTime() throws {
    let folder = ImportFolder()
    let ticker = #"{"stream":"ausdt@bookTicker","data":{"u":1,"s":"AUSDT","b":"1","B":"1","a":"2","A":"2"}}"#
    let file = try folder.write(
      "frames",
      [
        ticker, Self.depth("AUSDT", 1_721_347_020_500), ticker,
        #"{"e":"aggTrade","s":"AUSDT","E":1721347020400}"#,
        #"{"stream":"!ticker@arr","data":[{"e":"24hrTicker","E":1721347020900,"s":"AUSDT"}]}"#,
        #"{"lastUpdateId":5,"E":1721347021000,"bids":[]}"#,
      ])
    let report = try run(folder, [file])
    let found = try records(folder.tape).dropFirst()
    #expect(found.map { $0.receiveTime / 1_000_000 - 1_721_347_020_000 } == [500, 500, 500, 500, 900, 1000])
    #expect(found.last?.kind == .snapshot)
    #expect(report.files[0].framesWithoutEventTime == 2 && report.outOfOrder == 1)
    #expect(report.files[0].format == "frames")
  }

  @Test func snapshotBodies() throws {
    let folder = ImportFolder()
    let a = try folder.write("a.txt", (0..<3).map { "172134702\($0)000 " + Self.depth("AUSDT", 1) })
    let b = try folder.write("b.txt", (0..<3).map { "172134702\($0)500 " + Self.depth("BUSDT", 1) })
    let spot = try folder.write("spot.json", Array("{\"lastUpdateId\": 9,\n \"bids\": []}\n".utf8))
    let futures = try folder.write(
      "futures.json.gz", gzip(Array(#"{"lastUpdateId":8,"E":1721347021200,"bids":[]}"#.utf8)))
    let report = try run(
      folder, [a, b],
      snapshots: [.init(symbol: "BUSDT", file: spot), .init(symbol: "ausdt", file: futures)])
    let found = try records(folder.tape)
    #expect(
      found.map { "\($0.kind.name) \($0.stream ?? "-") \($0.connection)" } == [
        "note - 0", "frame ausdt@depth@100ms 0", "snapshot busdt@snapshot 1", "frame busdt@depth@100ms 1",
        "frame ausdt@depth@100ms 0", "snapshot ausdt@snapshot 0", "frame busdt@depth@100ms 1",
        "frame ausdt@depth@100ms 0", "frame busdt@depth@100ms 1",
      ])
    #expect(found[2].wire == #"{"lastUpdateId": 9,  "bids": []}"#)
    #expect(found[5].receiveTime == 1_721_347_021_200_000_000)
    #expect(report.snapshots == 2)
    for bad in ["", "[]", "{\"a\":1}", "{\"lastUpdateId\":"] {
      let file = try folder.write("bad.json", Array(bad.utf8))
      #expect(throws: ImportError.self) {
        try importRecordings(
          ImportOptions(
            snapshots: [.init(symbol: "A", file: file)], output: folder.path + "/none", files: [a]))
      }
    }
  }

  // MARK: Merging

  @Test func mergesStably() throws {
    let folder = ImportFolder()
    let seed: UInt64 = 31
    var random = SeededRandom(seed: seed)
    var expected: [(time: Int64, rank: Int, file: Int, line: Int, payload: String)] = []
    var files: [String] = []
    var outOfOrder = 0
    for file in 0..<12 {
      var time = Self.start + Int64(file / 4) * 3_000
      var highest = Int64.min
      var lines: [String] = []
      for line in 0..<random.below(60) + 1 {
        time += Int64(random.below(40)) - 5
        let isSnapshot = random.bernoulli(0.1)
        let payload =
          isSnapshot
          ? #"{"lastUpdateId":\#(line),"file":\#(file)}"#
          : #"{"stream":"s\#(file % 4)usdt@depth","data":{"n":\#(line),"f":\#(file)}}"#
        lines.append("\(time) \(payload)")
        if time < highest { outOfOrder += 1 }
        highest = max(highest, time)
        expected.append((highest, isSnapshot ? 0 : 1, file, line, payload))
      }
      files.append(try folder.write("\(file).txt", lines))
    }
    let report = try run(folder, files, symbol: "s0usdt")
    // The reference: an item may not pass the one before it in its file, so files are merged by picking.
    var queues = files.indices.map { file in expected.filter { $0.file == file }[...] }
    var merged: [String] = []
    var times: [Int64] = []
    while let next = queues.indices.filter({ !queues[$0].isEmpty }).min(by: {
      (queues[$0].first!.time, queues[$0].first!.rank, $0) < (
        queues[$1].first!.time, queues[$1].first!.rank, $1
      )
    }) {
      let item = queues[next].removeFirst()
      merged.append(item.payload)
      times.append(item.time * 1_000_000)
    }
    let found = try records(folder.tape).dropFirst()
    #expect(found.map(\.wire) == merged, "seed \(seed)")
    #expect(found.map(\.receiveTime) == times)
    #expect(report.outOfOrder == outOfOrder && outOfOrder > 0)
    // Four symbols, four connections, though there are twelve files.
    #expect(Set(found.map(\.connection)) == [0, 1, 2, 3])
  }

  @Test func twoRunsGiveTheSameTape() throws {
    let folder = ImportFolder()
    let lines = (0..<500).map { "\(Self.start + Int64($0 * 7919 % 500)) " + Self.depth("AUSDT", $0) }
    let file = try folder.write("a.txt", lines)
    for tape in ["one", "two"] {
      _ = try importRecordings(ImportOptions(output: folder.path + "/" + tape, files: [file]))
    }
    for name in try Files.list(folder.path + "/one") {
      #expect(try Files.read(folder.path + "/one/" + name) == Files.read(folder.path + "/two/" + name))
    }
  }

  // MARK: What is wrong with files

  @Test func junkAmongGoodLinesIsCounted() throws {
    let folder = ImportFolder()
    let file = try folder.write(
      "a.txt",
      [
        "", "hello", "1721347020000 " + Self.depth("AUSDT", 1), "1721347020000 {\"broken\":",
        "1721347020000 [1,2]",
        "1721347020000 \"text\"", "172134702 " + Self.depth("AUSDT", 1), "1721347020000",
        "1721347020000 {broken}",
        "{\"no\":\"time\"}", "1721347020001 " + Self.depth("AUSDT", 2), "   ",
      ])
    let report = try run(folder, [file])
    #expect(report.frames == 2)
    #expect(
      report.files[0].skipped == [
        .init(reason: "blank", count: 2, firstLine: 1), .init(reason: "no_time", count: 3, firstLine: 2),
        .init(reason: "bad_time", count: 1, firstLine: 7), .init(reason: "not_json", count: 2, firstLine: 4),
        .init(reason: "not_object", count: 2, firstLine: 5),
      ])
    #expect(report.json["files"]?[0]?["skipped"]?["not_json"]?["first_line"]?.integer == 4)
  }

  @Test(
    arguments: [
      [], Array("\n\n\n".utf8), Array("hello\nworld\n".utf8),
      (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 167) },
      Array("1721347020000 [1]\n".utf8), gzip([]), gzip(Array("junk\n".utf8)), [0x1F, 0x8B],
      [0x1F, 0x8B, 1, 2, 3, 4],
      Array("{\"no\":\"event time\"}\n".utf8),
      Array("https://h/fapi/v1/exchangeInfo -> 1626992740.1: {\"symbols\":[]}\n".utf8),
    ] as [[UInt8]])
  func filesWithNothingInThem(_ content: [UInt8]) throws {
    let folder = ImportFolder()
    let good = try folder.write("good.txt", ["1721347020000 " + Self.depth("AUSDT", 1)])
    let file = try folder.write("bad", content)
    #expect {
      try run(folder, [file])
    } throws: { error in
      guard case .nothingToImport(let named, _) = error as? ImportError else { return false }
      return named == file && "\(error)".hasPrefix("nothing to import from \(file): ")
    }
    #expect(!Files.exists(folder.tape))
    // A request log is no junk: beside a recording it is only reported.
    if content.starts(with: Array("http".utf8)) {
      let report = try run(folder, [good, file])
      #expect(report.files[1].skipped == [.init(reason: "exchange_info", count: 1, firstLine: 1)])
    } else {
      #expect(throws: ImportError.self) { try run(folder, [good, file]) }
    }
  }

  @Test func theOutputMustBeFree() throws {
    let folder = ImportFolder()
    let file = try folder.write("a.txt", ["1721347020000 " + Self.depth("AUSDT", 1)])
    try Files.makeFolder(folder.tape)
    _ = try run(folder, [file])
    #expect(throws: ImportError.outputHoldsTape(folder.tape)) { try run(folder, [file]) }
    #expect(throws: ImportError.noFiles) { try run(folder, []) }
    #expect(throws: ImportError.self) {
      try importRecordings(ImportOptions(output: folder.path + "/other", files: [folder.path + "/absent"]))
    }
    #expect(throws: ImportError.self) {
      try importRecordings(ImportOptions(output: folder.path + "/other", files: [folder.path]))
    }
    #expect {
      try importRecordings(ImportOptions(output: file + "/tape", files: [file]))
    } throws: { error in
      if case .output = error as? ImportError { true } else { false }
    }
  }

  @Test func givenFormatsAreKeptTo() throws {
    let folder = ImportFolder()
    let file = try folder.write("a.txt", ["1721347020000 " + Self.depth("AUSDT", 1)])
    for format in [ImportFormat.epochLines, .frames] {
      #expect(throws: ImportError.self) { try run(folder, [file], format: format) }
    }
    #expect(try run(folder, [file], format: .receiveLines).frames == 1)
  }

  @Test func snapshotsOfFilesWithSeveralSymbols() throws {
    let folder = ImportFolder()
    let file = try folder.write(
      "a.txt",
      [
        "1721347020000 {\"lastUpdateId\":1}", "1721347020001 " + Self.depth("AUSDT", 1),
        "1721347020002 " + Self.depth("BUSDT", 1),
      ])
    let report = try run(folder, [file])
    #expect(report.files[0].skipped == [.init(reason: "snapshot_symbol_unknown", count: 1, firstLine: 1)])
    let named = try importRecordings(
      ImportOptions(symbol: "busdt", output: folder.path + "/named", files: [file]))
    #expect(named.snapshots == 1)
    #expect(try records(folder.path + "/named")[1].stream == "busdt@snapshot")
  }

  // MARK: gzip

  private static let many = (0..<3000).map { "\(start + Int64($0)) " + depth("AUSDT", $0) }
  private static let manyBytes = Array((many.joined(separator: "\n") + "\n").utf8)

  @Test func gzipOfSeveralMembers() throws {
    let folder = ImportFolder()
    let cut = Self.manyBytes.count / 3
    let file = try folder.write(
      "a.gz",
      gzip(Array(Self.manyBytes[..<cut])) + gzip([]) + gzip(Array(Self.manyBytes[cut...])) + [0, 0, 0])
    let report = try run(folder, [file])
    #expect(report.frames == 3000 && !report.isTruncated && report.files[0].isCompressed)
    #expect(try records(folder.tape).dropFirst().map(\.wire) == Self.many.map { String($0.dropFirst(14)) })
  }

  @Test(arguments: [1, 8, 300, 5000])
  func gzipCutOff(_ missing: Int) throws {
    let folder = ImportFolder()
    let packed = gzip(Self.manyBytes)
    let file = try folder.write("a.gz", Array(packed.dropLast(missing)))
    let report = try run(folder, [file])
    let found = try records(folder.tape).dropFirst()
    #expect(report.files[0].truncation == "the gzip data is cut off" && report.isTruncated)
    #expect(
      found.count == report.frames
        && found.map(\.wire) == Self.many.prefix(found.count).map { String($0.dropFirst(14)) })
    #expect(missing < 9 ? found.count == 3000 : found.count > 100 && found.count < 3000)
    #expect(report.files[0].skipped.allSatisfy { $0.reason == "cut_off" && $0.count == 1 })
  }

  @Test func gzipDamaged() throws {
    let folder = ImportFolder()
    var packed = gzip(Self.manyBytes)
    for index in (packed.count / 2)..<(packed.count / 2 + 50) { packed[index] ^= 0xFF }
    let damaged = try run(folder, [try folder.write("a.gz", packed)])
    #expect(damaged.isTruncated && damaged.frames > 100 && damaged.frames < 3000)
    let trailing = try importRecordings(
      ImportOptions(
        output: folder.path + "/two",
        files: [try folder.write("b.gz", gzip(Self.manyBytes) + Array("junk".utf8))]))
    #expect(
      trailing.frames == 3000 && trailing.files[0].truncation == "what follows the gzip data is not gzip")
  }

  @Test func longLinesAndMissingLastNewline() throws {
    let folder = ImportFolder()
    let long =
      #"{"stream":"ausdt@depth","data":{"s":"AUSDT","x":""# + String(repeating: "y", count: 3_000_000)
      + #""}}"#
    let tooLong = String(repeating: "z", count: Tape.recordBytesMax + 100)
    let text = "1721347020000 \(long)\n1721347020001 \(tooLong)\n1721347020002 " + Self.depth("AUSDT", 3)
    let report = try run(folder, [try folder.write("a.txt", [0xEF, 0xBB, 0xBF] + Array(text.utf8))])
    #expect(report.frames == 2)
    #expect(report.files[0].skipped == [.init(reason: "too_long", count: 1, firstLine: 2)])
    #expect(try records(folder.tape)[1].wire == long)
  }
}
