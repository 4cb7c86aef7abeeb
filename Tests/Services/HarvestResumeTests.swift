import Core
import Tape
import Testing

@testable import Services

@Suite("Harvest: resume")
struct HarvestResumeTests {
  private func write(
    _ folder: String, from start: Int64, compress: Bool = false, _ body: (inout TapeWriter) throws -> Void
  ) throws {
    var options = TapeWriter.Options()
    options.fsync = .none
    options.compressClosedSegments = compress
    options.diskFreeMinBytes = 0
    var writer = try TapeWriter(folder: folder, options: options)
    try body(&writer)
    _ = try writer.finish()
  }

  private func append(_ text: String, _ ns: Int64, _ writer: inout TapeWriter) throws {
    let count = text.utf8.count
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count + 128, alignment: 16)
    defer { room.deallocate() }
    room.initializeMemory(as: UInt8.self, repeating: 0)
    room.copyBytes(from: text.utf8)
    try writer.append(
      frame: UnsafeRawBufferPointer(rebasing: room[0..<count]), receiveTime: UnixNanos(ns), connection: 0)
  }

  @Test func aNewTapeHasNoPositions() throws {
    #expect(try HarvestResume(tapeFolder: "/tmp/weir-no-such-folder") == HarvestResume())
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    #expect(try HarvestResume(tapeFolder: folder) == HarvestResume())
  }

  @Test(arguments: [false, true]) func positionsAreFoundAcrossTwoSegments(_ compress: Bool) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    let start: Int64 = 1_767_571_200_000_000_000
    try write(folder, from: start, compress: compress) { writer in
      for id in 1...500 as ClosedRange<Int64> {
        try append(Wire.trade("ETHUSDT", id, 1, at: start / 1_000_000), start + id, &writer)
        try append(
          Wire.depth("ETHUSDT", (id * 10, id * 10 + 5, id * 10 - 5), at: start / 1_000_000), start + id, &writer)
      }
      let next = start + 3_600_000_000_000
      for id in 1...500 as ClosedRange<Int64> {
        try append(Wire.trade("BTCUSDT", id, 1, at: next / 1_000_000), next + id, &writer)
        try append(Wire.depth("BTCUSDT", (id, id, id - 1), at: next / 1_000_000), next + id, &writer)
      }
      // A backfill behind the live trades; its end counts.
      let answer = Wire.trades(400...510)
      try withPadding(answer) { bytes in
        _ = try writer.append(
          .snapshot, stream: "btcusdt@aggTrades", data: bytes, receiveTime: UnixNanos(next + 600),
          connection: 2)
      }
    }
    // Torn by a crash: what is not a whole line does not count.
    let last = try Files.list(folder).filter { $0.hasSuffix(".ndjson") }.sorted().last!
    let torn = "{\"seq\":9999,\"recv_ns\":1767574800000000900,\"conn\":0,\"kind\":\"frame\",\"stream\""
    let file = try File("\(folder)/\(last)", .append)
    try Array(torn.utf8).withUnsafeBytes { try file.write($0) }
    let resume = try HarvestResume(tapeFolder: folder, symbols: ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
    #expect(resume.symbols["BTCUSDT"] == .init(lastTradeID: 510, lastFinalUpdateID: 500))
    #expect(resume.symbols["ETHUSDT"] == .init(lastTradeID: 500, lastFinalUpdateID: 5005))
    #expect(resume.symbols["SOLUSDT"] == nil)
    // With its symbols found in the last segment, the one before is not read.
    let one = try HarvestResume(tapeFolder: folder, symbols: ["BTCUSDT"])
    #expect(one.symbols["ETHUSDT"] == nil && one.symbols["BTCUSDT"]?.lastTradeID == 510)
  }

  @Test func whatWasMissedBetweenIsNamedAndFilled() throws {
    var resume = HarvestResume()
    resume.symbols["BTCUSDT"] = .init(lastTradeID: 100, lastFinalUpdateID: 2000)
    resume.symbols["ETHUSDT"] = .init(lastTradeID: 7, lastFinalUpdateID: 70)
    let world = try HarvestWorld(["BTCUSDT", "ETHUSDT"], resume: resume)
    try world.receive(Wire.trade("BTCUSDT", 111, 1, at: world.wallMs), 2)
    try world.receive(Wire.depth("BTCUSDT", (3001, 3010, 3000), at: world.wallMs))
    // Nothing was missed here.
    try world.receive(Wire.trade("ETHUSDT", 8, 1, at: world.wallMs), 2)
    try world.receive(Wire.depth("ETHUSDT", (71, 75, 70), at: world.wallMs))
    #expect(world.gaps.map(\.stream) == ["btcusdt@aggTrade", "btcusdt@depth@100ms"])
    #expect(world.gaps.map { $0.text("reason") } == ["restart", "restart"])
    #expect(world.gaps[0].integer("from") == 101 && world.gaps[0].integer("to") == 110)
    #expect(world.gaps[1].integer("after") == 2000 && world.gaps[1].integer("before") == 3001)
    #expect(world.asked("aggTrades") == ["/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=101&limit=10"])
    try world.answer("aggTrades", Wire.trades(101...110))
    #expect(world.asked("depth").count == 2, "a book is made anew whatever the tape says")
  }

  /// The tape before and after a restart reads like one without.
  @Test func readersSeeOneTape() throws {
    let first = try HarvestWorld()
    try first.synchronize()
    try first.receive(Wire.trade("BTCUSDT", 100, 1, at: first.wallMs), 2)
    var resume = HarvestResume()
    resume.symbols["BTCUSDT"] = .init(lastTradeID: 100, lastFinalUpdateID: 100)
    let second = try HarvestWorld(resume: resume)
    try second.advance(ms: 5000)
    try second.receive(Wire.trade("BTCUSDT", 103, 3, at: second.wallMs), 2)
    try second.answer("aggTrades", Wire.trades(101...102))
    try second.receive(Wire.depth("BTCUSDT", (201, 210, 200), at: second.wallMs))
    try second.answer("depth", Wire.snapshot(205))
    let x = runPipeline(first.log.bytes + second.log.bytes).symbol("BTCUSDT")
    #expect(x.cvd == .number("7") && x.tradesMissing == 0)
    #expect(x.bookIsSynchronized && x.lastUpdateID == 210 && x.resyncs == 1)
    #expect(second.book() == 210)
  }
}
