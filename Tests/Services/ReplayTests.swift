import Core
import Store
import Strategy
import Tape
import Testing

@testable import Services

@Suite("Replay")
struct ReplayTests {
  private func replay(
    _ tape: String, _ out: String, sink: SignalSinkSet.Choice = .dual, speed: Double? = nil,
    books: String? = nil
  ) throws -> ReplayResult {
    try Replay.run(
      ReplayOptions(
        tape: tape, out: out, sink: sink, speed: speed, finalBooks: books, configuration: WeirConfiguration(),
        configurationVersion: "000000000000"))
  }

  /// Every planted hole is found, none is invented, and the book equals the truth, whatever the defects.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func generatedMarketEqualsItsTruth(seed: UInt64) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    let truth = try makeMarket(
      folder + "/tape", seed: seed, minutes: 3, gaps: 8, duplicates: 8, reorders: 6, skewMs: -1500)
    let result = try replay(folder + "/tape", folder + "/run", sink: .jsonl, books: folder + "/books.json")
    let books = try JSONValue(parsing: String(decoding: Files.read(folder + "/books.json"), as: UTF8.self))
    for member in try #require(truth["symbols"]?.members) {
      let symbol = try #require(result.symbols.first { $0.name == member.key })
      let expected = member.value
      #expect(books[member.key]?["bids"] == expected["bids"], "seed \(seed) \(member.key)")
      #expect(books[member.key]?["asks"] == expected["asks"], "seed \(seed) \(member.key)")
      #expect(symbol.gaps == expected["gaps"]?.elements?.count)
      #expect(symbol.resyncs == symbol.gaps)
      #expect(symbol.reorders == expected["reorders"]?.elements?.count)
      #expect(symbol.duplicates + symbol.tradeDuplicates == expected["duplicates"]?.elements?.count)
      #expect(symbol.crossed == 0)
      #expect(symbol.lastUpdateID == expected["last_u"]?.integer)
      #expect(symbol.cvd.text == expected["cvd"]?.text)
      #expect(symbol.ofiLevelOne.text == expected["ofi_l1_sum"]?.text)
      #expect(symbol.snapshotsTooOld == expected["snapshots_too_old"]?.integer.map { Int($0) })
    }
    #expect(result.totals.decodeErrors.allSatisfy { $0 == 0 })
    #expect(result.totals.badRecords == 0)
  }

  /// The relation planted from flow to moves is recovered from the frames.
  @Test func plantedRelationIsRecovered() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    let truth = try makeMarket(folder + "/tape", seed: 21, minutes: 10)
    let result = try replay(folder + "/tape", folder + "/run", sink: .jsonl)
    for symbol in result.symbols {
      let reference = try #require(truth["symbols"]?[symbol.name]?["reference"])
      let r2 = try #require(reference["contemporaneous_r2"]?.double)
      #expect(abs(try #require(symbol.r2) - r2) < 0.03, "\(symbol.name)")
    }
  }

  /// Same tape, same bytes: twice, at another speed, and in any sink.
  @Test func replaysAreByteIdentical() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 5, minutes: 4)
    let one = try replay(folder + "/tape", folder + "/1")
    let two = try replay(folder + "/tape", folder + "/2")
    let paced = try replay(folder + "/tape", folder + "/3", sink: .jsonl, speed: 200)
    #expect(one.signalsSHA256 == two.signalsSHA256)
    #expect(one.signalsSHA256 == paced.signalsSHA256)
    #expect(paced.wallSeconds >= 0.9)
    for name in try Files.list(folder + "/1/signals/jsonl") {
      let bytes = try Files.read(folder + "/1/signals/jsonl/" + name)
      #expect(try bytes == Files.read(folder + "/2/signals/jsonl/" + name))
      #expect(try bytes == Files.read(folder + "/3/signals/jsonl/" + name))
    }
  }

  /// An interrupted run is continued by the same replay and refused to any other.
  @Test func anInterruptedRunIsContinuedByItsLike() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", minutes: 1)
    let whole = try replay(folder + "/tape", folder + "/run")
    try Files.remove(folder + "/run/summary.json")
    #expect(throws: ReplayError.otherRun(folder + "/run")) {
      try replay(folder + "/tape", folder + "/run", sink: .jsonl)
    }
    let again = try replay(folder + "/tape", folder + "/run", speed: 1e6)
    #expect(again.signalsSHA256 == whole.signalsSHA256)
    #expect(again.sinks.jsonlRowsWritten == 0 && again.sinks.sqliteRowsWritten == 0)
  }

  @Test func aRunFolderIsWrittenOnce() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", minutes: 1)
    _ = try replay(folder + "/tape", folder + "/run")
    #expect(throws: ReplayError.outputInUse(folder + "/run")) {
      try replay(folder + "/tape", folder + "/run")
    }
    try Files.makeFolder(folder + "/empty")
    #expect(throws: ReplayError.emptyTape(folder + "/empty")) {
      try replay(folder + "/empty", folder + "/other")
    }
    #expect(throws: TapeError.self) { try replay(folder + "/none", folder + "/other") }
  }
}

/// The recordings against numbers computed independently of Weir.
@Suite(
  "Recordings", .enabled(if: Files.isFolder(recordingsFolder), "the recordings are not here; set WEIR_DATA"))
struct RecordingReplayTests {
  private func run(_ files: [String]) throws -> ReplayResult {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    _ = try importRecordings(
      ImportOptions(output: folder + "/tape", files: files.map { recordingsFolder + "/" + $0 }))
    return try Replay.run(
      ReplayOptions(
        tape: folder + "/tape", out: folder + "/run", sink: .jsonl, configuration: WeirConfiguration(),
        configurationVersion: "000000000000"))
  }

  @Test func session20240718() throws {
    let result = try run(
      ["btcusdt_20240718.gz", "btcusdt_20240719.gz", "ethusdt_20240718.gz", "ethusdt_20240719.gz"].map {
        "usdm_20240718/" + $0
      })
    for (name, depth, ticker, trades, ofi, cvd, r2) in [
      ("BTCUSDT", 9022, 52_260, 10_701, "-1824.048", "-233.243", 0.854),
      ("ETHUSDT", 8929, 47_328, 13_655, "-1347.431", "-3932.142", 0.619),
    ] as [(String, Int64, Int64, Int64, String, String, Double)] {
      let symbol = try #require(result.symbols.first { $0.name == name })
      #expect(symbol.counts.depthEvents == depth)
      #expect(symbol.counts.bookTickerEvents == ticker)
      #expect(symbol.counts.trades == trades)
      #expect(symbol.ofiLevelOne.text == ofi)
      #expect(symbol.cvd.text == cvd)
      #expect(abs(try #require(symbol.r2) - r2) < 0.001)
      #expect(
        symbol.gaps == 0 && symbol.resyncs == 0 && symbol.crossed == 0 && symbol.counts.decodeErrors == 0)
      // The receive clock is 1.5 s behind: latency is above the fastest event, so rows are still confirmed.
      #expect(symbol.counts.confirmed > 0)
      #expect(symbol.counts.guardReasons[Int(Signal.GuardReason.lag.rawValue)] == 0)
    }
  }

  @Test func cryptofeedSession() throws {
    let result = try run(["cryptofeed_usdm_20210722/BINANCE_FUTURES.ws.1.0"])
    #expect(result.totals.frames == 1535)
    #expect(result.symbols.count == 4)
    #expect(result.symbols.reduce(0) { $0 + $1.counts.depthEvents } == 764)
    #expect(result.symbols.reduce(0) { $0 + $1.counts.bookTickerEvents } == 613)
    #expect(result.symbols.reduce(0) { $0 + $1.counts.trades } == 91)
    #expect(result.symbols.allSatisfy { $0.gaps == 0 && $0.crossed == 0 && $0.bookIsSynchronized })
  }

  @Test func spotNEXO() throws {
    let result = try run(["spot_nexo_20240723/nexousdt_20240723.dat.gz"])
    let symbol = try #require(result.symbols.first)
    #expect(symbol.gaps == 0 && symbol.crossed == 0 && symbol.bookIsSynchronized)
    #expect(symbol.counts.depthEvents > 500)
  }
}
