import Core
import Testing

@testable import Services

@Suite("Harvest: books")
struct HarvestBookTests {
  /// Buffer first: the first snapshot is asked for when the first event is here, once.
  @Test func firstSnapshotWaitsForTheFirstEvent() throws {
    let world = try HarvestWorld()
    #expect(world.asked("depth").isEmpty)
    for step in 0..<5 as Range<Int64> {
      try world.receive(Wire.depth("BTCUSDT", (90 + step, 90 + step, 89 + step), at: world.wallMs))
    }
    #expect(world.asked("depth") == ["/fapi/v1/depth?symbol=BTCUSDT&limit=1000"])
    try world.answer("depth", Wire.snapshot(92))
    #expect(world.book() == 94)
    let snapshot = world.log.records(.snapshot)
    #expect(snapshot.map(\.stream) == ["btcusdt@snapshot"] && snapshot[0].connection == 0)
    #expect(world.gaps.isEmpty && world.counters.resyncs == 0)
  }

  @Test func holeIsRecordedOnceAndHealedByASnapshot() throws {
    let world = try HarvestWorld()
    try world.synchronize()
    try world.receive(Wire.depth("BTCUSDT", (101, 105, 100), at: world.wallMs))
    try world.receive(Wire.depth("BTCUSDT", (111, 115, 110), at: world.wallMs))
    try world.receive(Wire.depth("BTCUSDT", (116, 120, 115), at: world.wallMs))
    let gap = world.gaps
    #expect(gap.count == 1 && gap[0].stream == "btcusdt@depth@100ms" && gap[0].connection == 0)
    #expect(gap[0].text("reason") == "sequence")
    #expect(gap[0].integer("after") == 105 && gap[0].integer("before") == 111 && gap[0].integer("pu") == 110)
    #expect(world.book() == nil)
    #expect(world.asked("depth").count == 1)
    try world.answer("depth", Wire.snapshot(118))
    #expect(world.book() == 120)
    let counters = world.counters
    #expect(counters.gaps == 1 && counters.resyncs == 1 && counters.symbols[0].depthGaps == 1)
    #expect(runPipeline(world.log.bytes).books == world.books)
  }

  /// A hole among events that wait for a snapshot is a hole all the same.
  @Test func holesBehindAHoleAreRecorded() throws {
    let world = try HarvestWorld()
    try world.synchronize()
    for ids in [(111, 115, 110), (121, 125, 120), (126, 130, 125)] as [(Int64, Int64, Int64)] {
      try world.receive(Wire.depth("BTCUSDT", ids, at: world.wallMs))
    }
    #expect(world.gaps.map { $0.integer("after") } == [100, 115])
    #expect(world.gaps.map { $0.integer("before") } == [111, 121])
    // What comes late is no new hole.
    try world.receive(Wire.depth("BTCUSDT", (116, 120, 115), at: world.wallMs))
    #expect(world.gaps.count == 2)
  }

  @Test func snapshotTooOldIsAskedForAgain() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), at: world.wallMs))
    try world.answer("depth", Wire.snapshot(70))
    #expect(world.asked("depth").isEmpty)
    try world.advance(ms: 601)
    #expect(world.asked("depth").count == 1)
    try world.answer("depth", Wire.snapshot(75))
    try world.advance(ms: 1201)
    try world.answer("depth", Wire.snapshot(95))
    #expect(world.book() != nil)
    #expect(world.counters.snapshotsTooOld == 2)
    // All three are on the tape.
    #expect(world.log.records(.snapshot).count == 3)
  }

  /// A snapshot ahead of the stream waits for the event that bridges it; one that misses it is asked for again.
  @Test func snapshotThatTheNextEventMissesIsAskedForAgain() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), at: world.wallMs))
    try world.answer("depth", Wire.snapshot(105))
    try world.advance(ms: 30_000)
    #expect(world.asked("depth").isEmpty)
    try world.receive(Wire.depth("BTCUSDT", (111, 120, 110), at: world.wallMs))
    try world.advance(ms: 700)
    #expect(world.asked("depth").count == 1)
    try world.answer("depth", Wire.snapshot(120))
    #expect(world.book() != nil)
    #expect(runPipeline(world.log.bytes).symbol("BTCUSDT").bookIsSynchronized)
  }

  @Test(arguments: ["", "<html>", "{\"lastUpdateId\":100,\"bids\":[[\"1", "[]", "{\"code\":-1121,\"msg\":\"x\"}"])
  func uselessAnswersAreCountedAndTheRequestRepeated(_ body: String) throws {
    let world = try HarvestWorld()
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), at: world.wallMs))
    for attempt in 1...6 {
      try world.answer("depth", body)
      #expect(world.counters.badAnswers == Int64(attempt))
      try world.advance(ms: 9700)
      #expect(world.asked("depth").count == 1)
    }
    try world.answer("depth", Wire.snapshot(100))
    #expect(world.book() != nil)
    #expect(world.log.records(.snapshot).count == 1)
    #expect(runPipeline(world.log.bytes).totals.decodeErrors.reduce(0, +) == 0)
  }

  @Test func failedRequestsAreRepeatedWithGrowingPauses() throws {
    let world = try HarvestWorld()
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), at: world.wallMs))
    var pauses: [Double] = []
    for _ in 0..<6 {
      let id = world.requests.first { $0.target.contains("depth") }!.id
      world.requests.removeAll { $0.id == id }
      try world.harvester.failed(id, reason: "timed out", world.now)
      try world.act()
      let from = world.nowNs
      while world.asked("depth").isEmpty { try world.advance(ms: 10) }
      pauses.append(Double(world.nowNs - from) / 1e9)
    }
    for (pause, expected) in zip(pauses, [0.5, 1, 2, 4, 8, 8]) {
      #expect(pause >= expected * 0.79 && pause <= expected * 1.22)
    }
  }

  @Test func crossedBookStartsAgain() throws {
    let world = try HarvestWorld()
    try world.synchronize()
    try world.receive(
      Wire.depth("BTCUSDT", (101, 105, 100), bids: "[[\"100.5\",\"1\"]]", at: world.wallMs))
    #expect(world.gaps.map { $0.text("reason") } == ["crossed"])
    #expect(world.book() == nil)
    try world.receive(Wire.depth("BTCUSDT", (106, 110, 105), at: world.wallMs))
    try world.advance(ms: 10_000)
    try world.answer("depth", Wire.snapshot(108))
    #expect(world.book() != nil)
    #expect(runPipeline(world.log.bytes).books == world.books)
  }

  // MARK: Comparison with the exchange's book

  private func checked() -> HarvestConfiguration {
    var configuration = HarvestWorld.calm
    configuration.checkWeightShare = 0.25
    return configuration
  }

  @Test func equalBooksAreNotedOnceAMinute() throws {
    let world = try HarvestWorld(["BTCUSDT"], checked())
    try world.synchronize()
    var id: Int64 = 100
    for _ in 0..<9 {
      try world.advance(ms: 15_000)
      #expect(world.asked("limit=50").count == 1)
      try world.receive(Wire.depth("BTCUSDT", (id + 1, id + 5, id), at: world.wallMs))
      // The answer holds the level that the event set.
      try world.answer(
        "limit=50",
        "{\"lastUpdateId\":\(id + 3),\"bids\":[[\"100.0\",\"5\"],[\"99.9\",\"7\"],[\"99.0\",\"1\"]],"
          + "\"asks\":[[\"100.1\",\"6\"],[\"100.2\",\"8\"]]}")
      id += 5
    }
    #expect(world.counters.bookChecks == 9)
    let notes = world.log.records(.note).filter { $0.text("check") == "book" }
    #expect(notes.count == 3 && notes[0].data["matched"] == .bool(true))
    #expect(notes[0].integer("last_update_id") == 105)
    #expect(world.gaps.isEmpty)
    // What was asked for to compare is no snapshot for readers.
    #expect(world.log.records(.snapshot).count == 1)
  }

  /// The comparison waits until both books have taken the same events.
  @Test(arguments: [true, false]) func differingBookIsThrownAway(_ isAhead: Bool) throws {
    let world = try HarvestWorld(["BTCUSDT"], checked())
    try world.synchronize()
    try world.advance(ms: 15_000)
    let wrong =
      "{\"lastUpdateId\":\(isAhead ? 105 : 100),\"bids\":[[\"100.0\",\"4\"],[\"99.9\",\"7\"],[\"99.0\",\"1\"]],"
      + "\"asks\":[[\"100.1\",\"6\"],[\"100.2\",\"8\"]]}"
    try world.answer("limit=50", wrong)
    if isAhead {
      #expect(world.gaps.isEmpty)
      try world.receive(Wire.depth("BTCUSDT", (101, 105, 100), at: world.wallMs))
    }
    let gap = world.gaps
    #expect(gap.map { $0.text("reason") } == ["book_mismatch"] && gap[0].stream == "btcusdt@depth@100ms")
    #expect(world.book() == nil)
    #expect(!runPipeline(world.log.bytes).symbol("BTCUSDT").bookIsSynchronized)
    try world.answer("limit=1000", Wire.snapshot(110))
    try world.receive(Wire.depth("BTCUSDT", (106, 112, 105), at: world.wallMs))
    #expect(world.book() == 112)
    let pipeline = runPipeline(world.log.bytes)
    #expect(pipeline.symbol("BTCUSDT").bookIsSynchronized && pipeline.symbol("BTCUSDT").resyncs == 1)
    #expect(pipeline.books == world.books)
    #expect(world.counters.bookMismatches == 1)
  }

  /// Levels beyond those that the answer shows are not known, and not compared.
  @Test func onlyTheRangeOfTheAnswerIsCompared() throws {
    let world = try HarvestWorld(["BTCUSDT"], checked())
    func levels(_ from: Int, _ step: Int, _ count: Int) -> String {
      "["
        + (0..<count).map { index in
          let price = from + step * index
          return "[\"\(price / 10).\(price % 10)\",\"1\"]"
        }.joined(separator: ",") + "]"
    }
    try world.receive(Wire.depth("BTCUSDT", (90, 100, 80), bids: "[]", at: world.wallMs))
    try world.answer(
      "limit=1000", "{\"lastUpdateId\":100,\"bids\":\(levels(10_000, -1, 60)),\"asks\":\(levels(10_001, 1, 60))}")
    try world.advance(ms: 15_000)
    // 45 of the 50 bids shown go away: our next levels lie beyond the range.
    try world.answer(
      "limit=50", "{\"lastUpdateId\":102,\"bids\":\(levels(10_000, -1, 50)),\"asks\":\(levels(10_001, 1, 50))}")
    let gone = "[" + (0..<45).map { "[\"\((10_000 - $0) / 10).\((10_000 - $0) % 10)\",\"0\"]" }.joined(
      separator: ",") + "]"
    try world.receive(Wire.depth("BTCUSDT", (101, 105, 100), bids: gone, at: world.wallMs))
    #expect(world.counters.bookChecks == 1)
    #expect(world.gaps.isEmpty)
  }

  @Test func comparisonWithoutAnswerEnds() throws {
    let world = try HarvestWorld(["BTCUSDT"], checked())
    try world.synchronize()
    try world.advance(ms: 15_000)
    try world.answer("limit=50", status: 503)
    try world.advance(ms: 15_000)
    try world.answer("limit=50", "junk")
    try world.advance(ms: 15_000)
    try world.answer("limit=50", Wire.snapshot(200))  // ahead, and no event comes
    try world.advance(ms: 15_000)
    #expect(world.counters.bookChecksInconclusive == 3)
    #expect(world.asked("limit=50").count == 1)
    #expect(world.gaps.isEmpty)
  }
}
