import Core
import Strategy
import Testing

@testable import Services

@Suite("Signal pipeline")
struct SignalPipelineTests {
  private let start: Int64 = 1_767_571_200_000

  private func depth(
    _ symbol: String, _ ids: (Int64, Int64, Int64), _ bids: String, _ asks: String, at ms: Int64
  ) -> String {
    "{\"e\":\"depthUpdate\",\"E\":\(ms),\"T\":\(ms),\"s\":\"\(symbol)\",\"U\":\(ids.0),\"u\":\(ids.1),\"pu\":\(ids.2),\"b\":\(bids),\"a\":\(asks)}"
  }

  private func snapshot(_ id: Int64) -> String {
    "{\"lastUpdateId\":\(id),\"bids\":[[\"100.0\",\"5\"],[\"99.9\",\"7\"]],\"asks\":[[\"100.1\",\"6\"],[\"100.2\",\"8\"]]}"
  }

  /// Buffered events, a snapshot inside them, a hole, a snapshot too old for it, and one that serves.
  @Test func bookFollowsTheProcedure() {
    var tape = TapeText()
    let ns = start * 1_000_000
    func event(_ ids: (Int64, Int64, Int64), _ bids: String, _ asks: String, _ after: Int64) {
      tape.record(
        "frame", ns + after * 1_000_000, stream: "xusdt@depth",
        depth("XUSDT", ids, bids, asks, at: start + after))
    }
    event((90, 95, 80), "[[\"50.0\",\"1\"]]", "[]", 0)  // before the snapshot: dropped
    event((96, 104, 95), "[[\"99.9\",\"0\"]]", "[]", 100)  // bridges
    tape.record("snapshot", ns + 150_000_000, stream: "xusdt@snapshot", snapshot(100))
    event((105, 110, 104), "[[\"99.8\",\"3\"]]", "[]", 200)
    event((105, 110, 104), "[[\"99.8\",\"9\"]]", "[]", 210)  // duplicate: not applied
    event((120, 125, 118), "[[\"99.7\",\"4\"]]", "[]", 300)  // hole 111…119
    tape.record("snapshot", ns + 350_000_000, stream: "xusdt@snapshot", snapshot(109))  // too old
    tape.record("snapshot", ns + 400_000_000, stream: "xusdt@snapshot", snapshot(122))
    event((126, 130, 125), "[]", "[[\"100.1\",\"2\"]]", 500)
    let run = runPipeline(tape.bytes)
    let x = run.symbol("XUSDT")
    #expect(x.gaps == 1)
    #expect(x.resyncs == 1)
    #expect(x.snapshotsTooOld == 1)
    #expect(x.duplicates == 1)
    #expect(x.crossed == 0)
    #expect(x.bookIsSynchronized)
    #expect(
      run.books.text()
        == "{\"XUSDT\":{\"bids\":[[\"100.0\",\"5\"],[\"99.9\",\"7\"],[\"99.7\",\"4\"]],\"asks\":[[\"100.1\",\"2\"],[\"100.2\",\"8\"]]}}"
    )
  }

  /// Two events are missing, one comes late, then a snapshot that is ahead of the stream: one gap, one resync,
  /// counted when the bridging event comes.
  @Test func aChainThatHealsInPartNeedsItsSnapshot() {
    var tape = TapeText()
    let ns = start * 1_000_000
    func event(_ ids: (Int64, Int64, Int64), _ after: Int64) {
      tape.record(
        "frame", ns + after * 1_000_000, stream: "xusdt@depth",
        depth("XUSDT", ids, "[[\"99.8\",\"\(after)\"]]", "[]", at: start + after))
    }
    tape.record("snapshot", ns, stream: "xusdt@snapshot", snapshot(100))
    event((99, 101, 98), 1)
    event((108, 109, 107), 2)  // 102…107 are missing
    event((102, 103, 101), 3)  // late, but 104…107 still are
    tape.record("snapshot", ns + 4_000_000, stream: "xusdt@snapshot", snapshot(111))
    event((110, 112, 109), 5)  // bridges
    event((113, 114, 112), 6)
    let x = runPipeline(tape.bytes).symbol("XUSDT")
    #expect(x.gaps == 1 && x.resyncs == 1 && x.reorders == 0)
    #expect(x.bookIsSynchronized && x.lastUpdateID == 114)
  }

  @Test func crossedBookStartsAgain() {
    var tape = TapeText()
    let ns = start * 1_000_000
    tape.record("snapshot", ns, stream: "xusdt@snapshot", snapshot(100))
    tape.record(
      "frame", ns + 1, stream: "xusdt@depth",
      depth("XUSDT", (99, 101, 98), "[[\"100.2\",\"1\"]]", "[]", at: start))
    let run = runPipeline(tape.bytes)
    #expect(run.symbol("XUSDT").crossed == 1)
    #expect(!run.symbol("XUSDT").bookIsSynchronized)
  }

  /// Rows at every grid point of tape time, in symbol order, from what came before the point.
  @Test func rowsAreOnTheGridAndDoNotLookAhead() {
    var tape = TapeText()
    let ns = start * 1_000_000
    func ticker(_ symbol: String, _ id: Int, _ after: Int64, _ bid: String) {
      tape.record(
        "frame", ns + after * 1_000_000, stream: symbol.lowercased() + "@bookTicker",
        "{\"e\":\"bookTicker\",\"u\":\(id),\"s\":\"\(symbol)\",\"b\":\"\(bid)\",\"B\":\"1.0\",\"a\":\"101.0\",\"A\":\"1.0\",\"T\":\(start),\"E\":\(start)}"
      )
    }
    ticker("AUSDT", 1, 10, "100.0")
    ticker("BUSDT", 1, 20, "100.0")
    ticker("AUSDT", 2, 500, "100.5")  // exactly on a grid point: belongs behind it
    ticker("AUSDT", 3, 501, "100.5")
    ticker("AUSDT", 4, 1260, "100.5")
    let run = runPipeline(tape.bytes)
    let times = run.rows.map { ($0.receiveTime.milliseconds - start, run.symbols[$0.symbol.index].name) }
    #expect(times.map(\.0) == [250, 250, 500, 500, 750, 750, 1000, 1000, 1250, 1250])
    #expect(
      times.map(\.1) == [
        "AUSDT", "BUSDT", "AUSDT", "BUSDT", "AUSDT", "BUSDT", "AUSDT", "BUSDT", "AUSDT", "BUSDT",
      ])
    #expect(run.rows[2].doubledMid == 2010)
    #expect(run.rows[4].doubledMid == 2015)
    #expect(run.rows.allSatisfy { $0.guardReason == .warmup && !$0.confirmed })
  }

  @Test func longSilenceEndsTheRowsAndResumes() {
    var tape = TapeText()
    let ns = start * 1_000_000
    for (id, after) in [(1, 0), (2, 3_600_000)] as [(Int, Int64)] {
      tape.record(
        "frame", ns + after * 1_000_000, stream: "ausdt@bookTicker",
        "{\"e\":\"bookTicker\",\"u\":\(id),\"s\":\"AUSDT\",\"b\":\"1.0\",\"B\":\"1\",\"a\":\"1.1\",\"A\":\"1\",\"T\":\(start),\"E\":\(start)}"
      )
    }
    let run = runPipeline(tape.bytes)
    #expect(run.rows.count == 240 || run.rows.count == 241)
    #expect(run.totals.gridPointsSkipped > 14_000)
  }

  /// A second `open` of a connection that has delivered is a reconnect: nothing is differenced across it, and
  /// signals wait.
  @Test func reconnectStartsTheQuoteAnew() {
    var tape = TapeText()
    let ns = start * 1_000_000
    func ticker(_ id: Int, _ after: Int64, _ quantity: Int) {
      tape.record(
        "frame", ns + after * 1_000_000, stream: "ausdt@bookTicker",
        "{\"e\":\"bookTicker\",\"u\":\(id),\"s\":\"AUSDT\",\"b\":\"1.0\",\"B\":\"\(quantity)\",\"a\":\"1.1\",\"A\":\"1\",\"T\":\(start),\"E\":\(start)}"
      )
    }
    tape.record("open", ns, stream: nil, "{\"url\":\"wss://x\"}")
    tape.record("open", ns, stream: nil, "{\"url\":\"wss://x\"}")
    ticker(1, 1, 5)
    ticker(2, 2, 7)  // +2
    tape.record("close", ns + 3_000_000, stream: nil, "{}")
    tape.record("open", ns + 4_000_000, stream: nil, "{\"url\":\"wss://x\"}")
    ticker(9, 5, 50)  // sets the state only
    ticker(10, 6, 51)  // +1
    #expect(runPipeline(tape.bytes).symbol("AUSDT").ofiLevelOne == .number("3"))
  }

  /// Trades that came by REST fill holes of the stream; the ids decide which of them are new.
  @Test func tradesByRESTFillHoles() {
    var tape = TapeText()
    let ns = start * 1_000_000
    func trade(_ id: Int, _ quantity: Int) {
      tape.record(
        "frame", ns + Int64(id), stream: "xusdt@aggTrade",
        "{\"e\":\"aggTrade\",\"E\":\(start),\"a\":\(id),\"s\":\"XUSDT\",\"p\":\"1.0\",\"q\":\"\(quantity)\",\"f\":1,\"l\":1,\"T\":\(start),\"m\":false}"
      )
    }
    func answer(_ body: String) { tape.record("snapshot", ns + 100, stream: "xusdt@aggTrades", body) }
    trade(1, 1)
    trade(5, 5)
    answer(
      (1...6).map {
        "{\"a\":\($0),\"p\":\"1.0\",\"q\":\"\($0)\",\"f\":1,\"l\":1,\"T\":\(start),\"m\":\($0 == 3)}"
      }.joined(separator: ",").wrapped)
    answer("[]")
    answer("{\"code\":-1}")
    answer("[{\"a\":9,\"p\":\"1.05\",\"q\":\"1\",\"T\":1,\"m\":false}]")
    trade(6, 6)
    trade(7, 7)
    let run = runPipeline(tape.bytes)
    let x = run.symbol("XUSDT")
    #expect(x.cvd == .number("22"))
    #expect(x.tradesMissing == 0 && x.tradeDuplicates == 3 && x.snapshots == 0)
    #expect(x.counts.decodeErrors == 2 && run.totals.badRecords == 0)
  }

  @Test func gapInTheQuotesStartsThemAnew() {
    var tape = TapeText()
    let ns = start * 1_000_000
    func ticker(_ id: Int, _ after: Int64, _ quantity: Int) {
      tape.record(
        "frame", ns + after * 1_000_000, stream: "ausdt@bookTicker",
        "{\"e\":\"bookTicker\",\"u\":\(id),\"s\":\"AUSDT\",\"b\":\"1.0\",\"B\":\"\(quantity)\",\"a\":\"1.1\",\"A\":\"1\",\"T\":\(start),\"E\":\(start)}"
      )
    }
    ticker(1, 1, 5)
    ticker(2, 2, 7)  // +2
    tape.record(
      "gap", ns + 3_000_000, stream: "ausdt@bookTicker",
      "{\"stream\":\"ausdt@bookTicker\",\"reason\":\"handover\"}")
    tape.record("gap", ns + 3_000_000, stream: "other@bookTicker", "{}")
    tape.record("gap", ns + 3_000_000, stream: nil, "[]")
    ticker(9, 5, 50)  // sets the state only
    ticker(10, 6, 51)  // +1
    #expect(runPipeline(tape.bytes).symbol("AUSDT").ofiLevelOne == .number("3"))
  }

  @Test func badFramesAreCountedAndTheRestGoesOn() {
    var tape = TapeText()
    let ns = start * 1_000_000
    let good =
      "{\"e\":\"trade\",\"E\":\(start),\"T\":\(start),\"s\":\"XUSDT\",\"t\":1,\"p\":\"1.0\",\"q\":\"2\",\"X\":\"MARKET\",\"m\":false}"
    tape.record("frame", ns, stream: "xusdt@trade", good)
    tape.record(
      "frame", ns, stream: "xusdt@trade",
      "{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"XUSDT\",\"t\":2,\"p\":\"1.0\",\"m\":false}")
    tape.record(
      "frame", ns, stream: "xusdt@trade",
      good.replacing("\"1.0\"", with: "\"99999999999999999999.0\"").replacing("\"t\":1", with: "\"t\":2"))
    tape.record("frame", ns, stream: nil, "\"\\u0000 junk\"")
    tape.bytes += Array("not a record\n".utf8)
    tape.record(
      "frame", ns, stream: "xusdt@trade",
      good.replacing("MARKET", with: "INSURANCE_FUND").replacing("\"t\":1", with: "\"t\":2"))
    tape.record(
      "frame", ns, stream: "xusdt@trade",
      good.replacing("\"t\":1", with: "\"t\":3").replacing("false", with: "true"))
    let run = runPipeline(tape.bytes)
    let x = run.symbol("XUSDT")
    #expect(x.counts.decodeErrors == 2)
    #expect(run.totals.decodeErrorsWithoutSymbol == 1)
    #expect(run.totals.badRecords == 1)
    #expect(x.counts.trades == 3)
    #expect(x.counts.tradesExcluded == 1)
    #expect(x.cvd == .number("0"))
    #expect(run.totals.samples.map(\.sequence) == [2, 3, 4])
  }

  /// A venue that swaps the order of its keys, adds fields or blanks costs nothing but the first frame.
  @Test func changedShapesGiveTheSameRows() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder, minutes: 4)
    let plain = try tapeBytes(folder)
    let reordered = plain.split(separator: 10).flatMap { line -> [UInt8] in
      let text = String(decoding: line, as: UTF8.self)
      guard text.contains("\"bookTicker\"") || text.contains("\"aggTrade\"") else { return line + [10] }
      // Rotate the data object's members and put a blank after every comma between them.
      let start = text.firstRange(of: "\"data\":{")!.upperBound
      let end = text.index(text.endIndex, offsetBy: -2)
      var members = text[start..<end].split(separator: ",").map(String.init)
      members.append(members.removeFirst())
      members.append("\"st\":1")
      return Array((text[..<start] + members.joined(separator: ", ") + "}}\n").utf8)
    }
    let one = runPipeline(plain)
    let other = runPipeline(reordered)
    #expect(one.rows.count > 1000)
    #expect(one.rows == other.rows)
  }

  @Test(arguments: [1, 777, 65_536])
  func blockSizeDoesNotMatter(_ bytes: Int) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder, minutes: 4, gaps: 3)
    let tape = try tapeBytes(folder)
    let whole = runPipeline(tape)
    let parts = runPipeline(tape, blockBytes: bytes)
    #expect(whole.rows == parts.rows)
    #expect(whole.books == parts.books)
    #expect(whole.totals == parts.totals)
  }

  /// What has been computed up to a moment does not change with what comes after it.
  @Test func prefixOfATapeGivesThePrefixOfTheRows() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder, minutes: 5)
    let tape = try tapeBytes(folder)
    var cut = tape.count * 4 / 5
    while tape[cut - 1] != 10 { cut += 1 }
    let whole = runPipeline(tape)
    let prefix = runPipeline(Array(tape[..<cut]))
    #expect(prefix.rows.count > 1000)
    #expect(Array(whole.rows.prefix(prefix.rows.count)) == prefix.rows)
  }
}

extension String {
  fileprivate var wrapped: String { "[\(self)]" }
}
