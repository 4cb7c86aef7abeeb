import Core
import Testing

@testable import Services

@Suite("Harvest: rotation")
struct HarvestRotationTests {
  private var configuration: HarvestConfiguration {
    var configuration = HarvestWorld.calm
    configuration.streams = ["depth@100ms", "bookTicker"]
    configuration.rotateAfterSeconds = 1000
    return configuration
  }

  /// A harvester whose slot 0 has just opened its second socket.
  private func rotating(_ symbols: [String] = ["BTCUSDT"]) throws -> HarvestWorld {
    let world = try HarvestWorld(symbols, configuration)
    for symbol in symbols { try world.synchronize(symbol) }
    while world.counters.connects < 2 { try world.advance(ms: 100) }
    #expect(world.seconds > 949 && world.seconds < 1001)
    #expect(world.log.records(.open).last?.text("reason") == "rotation")
    return world
  }

  private func closes(_ world: HarvestWorld) -> [String] {
    world.log.records(.close).map { "\($0.connection) \($0.text("reason")!)" }
  }

  @Test func bothDeliverAndEachFrameIsStoredOnce() throws {
    let world = try rotating()
    let stored = world.counters.frames
    for step in 1...5 as ClosedRange<Int64> {
      let depth = Wire.depth("BTCUSDT", (100 + step, 100 + step, 99 + step), at: world.wallMs)
      try world.receive(depth, 0)
      if step > 1 { try world.receive(depth, 1) }
      #expect(closes(world).isEmpty, "the quotes have not come on the new socket")
    }
    try world.receive(Wire.ticker("BTCUSDT", 7, at: world.wallMs), 1)
    #expect(closes(world) == ["0 rotation"])
    #expect(world.counters.frames == stored + 6 && world.counters.deduplicated == 4)
    #expect(world.counters.rotations == 1 && world.counters.reconnects == 0)
    #expect(world.book() == 105 && world.gaps.isEmpty)
    // The slot goes on, on the other side, and comes back to this one.
    try world.receive(Wire.depth("BTCUSDT", (106, 106, 105), at: world.wallMs), 1)
    #expect(world.book() == 106)
    try world.advance(ms: 1_100_000)
    #expect(world.log.records(.open).map(\.connection).prefix(3) == [0, 1, 0])
    // For a reader it is no reconnect either.
    #expect(runPipeline(world.log.bytes).symbol("BTCUSDT").gaps == 0)
  }

  @Test func replacementIsNoReconnectForReaders() {
    func rows(_ reason: String) -> [String] {
      var tape = TapeText()
      let start: Int64 = 1_767_571_200_000
      func ticker(_ id: Int, _ connection: Int, _ quantity: Int, _ after: Int64) {
        tape.record(
          "frame", (start + after) * 1_000_000, connection: connection, stream: "ausdt@bookTicker",
          "{\"e\":\"bookTicker\",\"u\":\(id),\"s\":\"AUSDT\",\"b\":\"1.0\",\"B\":\"\(quantity)\",\"a\":\"1.1\","
            + "\"A\":\"1\",\"T\":\(start),\"E\":\(start)}")
      }
      ticker(1, 1, 5, 0)
      ticker(2, 0, 7, 1)
      ticker(3, 1, 8, 2)
      tape.record("open", (start + 3) * 1_000_000, connection: 1, stream: nil, "{\"reason\":\"\(reason)\"}")
      ticker(4, 1, 20, 4)
      return [runPipeline(tape.bytes).symbol("AUSDT").ofiLevelOne.text ?? ""]
    }
    #expect(rows("rotation") == ["15"])
    #expect(rows("reconnect") == ["3"])
  }

  /// The new socket is faster: what the old one still has to deliver is no hole.
  @Test func overtakingIsNoHole() throws {
    let world = try rotating()
    try world.receive(Wire.depth("BTCUSDT", (103, 104, 102), at: world.wallMs), 1)
    #expect(world.book() == nil && world.gaps.isEmpty)
    try world.advance(ms: 300)
    try world.receive(Wire.depth("BTCUSDT", (101, 102, 100), at: world.wallMs), 0)
    try world.receive(Wire.depth("BTCUSDT", (103, 104, 102), at: world.wallMs), 0)
    #expect(world.book() == 104)
    try world.advance(ms: 5000)
    #expect(world.gaps.isEmpty && world.asked("depth").isEmpty)
    #expect(world.counters.deduplicated == 1)
  }

  /// Lost by both is lost.
  @Test func holeInTheOverlapIsRecordedAfterASecond() throws {
    let world = try rotating()
    try world.receive(Wire.depth("BTCUSDT", (103, 104, 102), at: world.wallMs), 1)
    try world.receive(Wire.depth("BTCUSDT", (103, 104, 102), at: world.wallMs), 0)
    try world.advance(ms: 999)
    #expect(world.gaps.isEmpty)
    try world.advance(ms: 1)
    #expect(world.gaps.map { $0.integer("after") } == [100])
    #expect(world.asked("depth").count == 1)
  }

  @Test func tradesAreHandedOverWithoutAHole() throws {
    var configuration = configuration
    configuration.streams = ["aggTrade", "markPrice@1s"]
    let world = try HarvestWorld(["BTCUSDT"], configuration)
    try world.receive(Wire.mark("BTCUSDT", at: world.wallMs), 0)
    try world.receive(Wire.trade("BTCUSDT", 10, 0, at: world.wallMs), 0)
    while world.counters.connects < 2 { try world.advance(ms: 100) }
    let mark = Wire.mark("BTCUSDT", at: world.wallMs)
    try world.receive(Wire.trade("BTCUSDT", 12, 2, at: world.wallMs), 1)
    try world.receive(Wire.trade("BTCUSDT", 11, 1, at: world.wallMs), 0)
    try world.receive(Wire.trade("BTCUSDT", 12, 2, at: world.wallMs), 0)
    try world.receive(mark, 1)
    try world.receive(mark, 1)
    #expect(world.log.records(.close).map(\.connection) == [0])
    try world.receive(Wire.trade("BTCUSDT", 13, 3, at: world.wallMs), 1)
    try world.advance(ms: 3000)
    #expect(world.gaps.isEmpty && world.asked("aggTrades").isEmpty)
    #expect(runPipeline(world.log.bytes).symbol("BTCUSDT").cvd == .number("6"))
    #expect(world.counters.deduplicated == 1)
  }

  @Test func oldSocketThatFailsMeanwhileIsSucceeded() throws {
    let world = try rotating(["BTCUSDT", "ETHUSDT"])
    try world.receive(Wire.ticker("BTCUSDT", 7, at: world.wallMs), 1)
    try world.drop(world.socket(0))
    #expect(closes(world) == ["0 remote"])
    // Whose quotes have not come on the new socket may have missed some.
    #expect(world.gaps.map(\.stream) == ["ethusdt@bookTicker"])
    #expect(world.gaps[0].text("reason") == "handover")
    try world.receive(Wire.depth("BTCUSDT", (101, 105, 100), at: world.wallMs), 1)
    #expect(world.book() == 105)
    try world.advance(ms: 20_000)
    #expect(world.live.count == 1 && world.log.records(.open).count == 2)
  }

  @Test func oldSocketThatFailsBeforeTheNewOneIsOpenMeansAReconnect() throws {
    let world = try HarvestWorld(["BTCUSDT"], configuration)
    world.opensSockets = false
    while world.connecting.isEmpty { try world.advance(ms: 100) }
    let (old, place) = (world.socket(0), Int(world.connecting[0].socket.rawValue) & 1)
    #expect(place == 1)
    try world.drop(old)
    try world.openNext()
    #expect(world.log.records(.open).last?.text("reason") == "reconnect")
    #expect(world.log.records(.open).last?.connection == 1)
    #expect(world.counters.reconnects == 1)
  }

  @Test func newSocketThatDeliversLessIsGivenUp() throws {
    let world = try rotating()
    try world.receive(Wire.ticker("BTCUSDT", 7, at: world.wallMs), 0)
    try world.receive(Wire.depth("BTCUSDT", (101, 105, 100), at: world.wallMs), 0)
    try world.receive(Wire.depth("BTCUSDT", (101, 105, 100), at: world.wallMs), 1)
    try world.advance(ms: 29_800)
    #expect(closes(world).isEmpty)
    try world.advance(ms: 200)
    #expect(closes(world) == ["1 rotation_abandoned"])
    try world.receive(Wire.depth("BTCUSDT", (106, 110, 105), at: world.wallMs), 0)
    #expect(world.book() == 110 && world.counters.rotationsAbandoned == 1)
    // And tried again a minute later.
    try world.advance(ms: 61_000)
    #expect(world.log.records(.open).last?.connection == 1 && world.log.records(.open).count == 3)
  }

  @Test func newSocketThatDoesNotOpenLeavesTheOldOneAlone() throws {
    let world = try HarvestWorld(["BTCUSDT"], configuration)
    try world.synchronize()
    world.opensSockets = false
    while world.connecting.isEmpty { try world.advance(ms: 100) }
    try world.openNext(ok: false)
    try world.receive(Wire.depth("BTCUSDT", (101, 105, 100), at: world.wallMs), 0)
    #expect(world.book() == 105 && world.counters.reconnects == 0)
    try world.advance(ms: 61_000)
    #expect(!world.connecting.isEmpty)
  }

  @Test func oneSlotAtATime() throws {
    var configuration = configuration
    configuration.symbolsPerConnection = 1
    let world = try HarvestWorld((0..<8).map { "S\($0)USDT" }, configuration)
    world.opensSockets = false
    // Eight slots in place of one.
    try world.advance(ms: 949_000)
    #expect(world.connecting.isEmpty)
    while world.connecting.isEmpty { try world.advance(ms: 100) }
    var most = 0
    for _ in 0..<500 {
      try world.advance(ms: 100)
      most = max(most, world.connecting.count)
    }
    #expect(most == 1 && world.aborted.count >= 4)
  }

  @Test func outsideAnOverlapNothingIsDropped() throws {
    let world = try HarvestWorld()
    for _ in 0..<3 { try world.receive(Wire.trade("BTCUSDT", 10, 0, at: world.wallMs), 2) }
    #expect(world.counters.frames == 3 && world.counters.deduplicated == 0)
  }
}
