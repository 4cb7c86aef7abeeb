import Core
import Testing

@testable import Services

@Suite("Harvest: connections")
struct HarvestConnectionTests {
  private func reasons(_ world: HarvestWorld, _ kind: MemoryLog.Record) -> String? { kind.text("reason") }

  private func opens(_ world: HarvestWorld) -> [String] {
    world.log.records(.open).map { "\($0.connection) \($0.text("reason")!)" }
  }

  private func closes(_ world: HarvestWorld) -> [String] {
    world.log.records(.close).map { "\($0.connection) \($0.text("reason")!)" }
  }

  @Test func openRecordsSayWhatWasOpened() throws {
    let world = try HarvestWorld()
    #expect(opens(world) == ["0 start", "2 start"])
    let open = world.log.records(.open)[1]
    #expect(open.text("root") == "market" && open.integer("slot") == 1 && open.integer("streams") == 2)
    #expect(open.integer("attempt") == 0)
    try world.drop(world.socket(2))
    #expect(closes(world) == ["2 remote"])
    try world.advance(ms: 700)
    #expect(opens(world) == ["0 start", "2 start", "2 reconnect"])
    #expect(world.log.records(.open)[2].text("after") == "remote")
    #expect(world.counters.reconnects == 1)
  }

  // MARK: First frames

  private var watched: HarvestConfiguration {
    var configuration = HarvestConfiguration()
    configuration.streams = ["depth@100ms", "bookTicker", "markPrice@1s", "forceOrder"]
    configuration.clockIntervalMs = 3_600_000
    configuration.checkWeightShare = 0
    configuration.streamSilenceMs = 0
    return configuration
  }

  /// What a wrong root does: acknowledges, answers pings, delivers nothing.
  @Test func muteConnectionIsClosedAndOpenedAgain() throws {
    let world = try HarvestWorld(["BTCUSDT"], watched)
    try world.advance(ms: 9999)
    #expect(closes(world).isEmpty)
    try world.advance(ms: 1)
    #expect(closes(world) == ["0 first_frame_timeout", "2 first_frame_timeout"])
    #expect(world.counters.firstFrameTimeouts == 3 && world.counters.substreamTimeouts == 0)
    try world.advance(ms: 700)
    #expect(opens(world).suffix(2).sorted() == ["0 reconnect", "2 reconnect"])
    try world.advance(ms: 10_000)
    #expect(world.counters.substreamTimeouts == 3)
    let notes = world.log.records(.note).filter { $0.text("check") == "first_frame" }
    #expect(notes.count == 2)
    #expect(
      notes[0].data["streams"]?.elements?.map(\.text) == ["btcusdt@depth@100ms", "btcusdt@bookTicker"])
    // It is tried again without end, at most eight seconds and a jitter apart.
    try world.advance(ms: 600_000)
    #expect(world.counters.reconnects > 2 * 28 && world.counters.reconnects < 2 * 60)
  }

  /// One stream of a connection is mute: asked for again, then the connection is replaced without a hole.
  @Test func muteStreamDoesNotCostTheOthers() throws {
    let world = try HarvestWorld(["BTCUSDT", "ETHUSDT"], watched)
    func deliver(_ places: [Int], ms: Int64) throws {
      for _ in 0..<ms / 1000 {
        for place in places where world.live.contains(where: { Int($0.rawValue) & 3 == place }) {
          try world.receive(Wire.ticker("BTCUSDT", Int64(world.seconds * 10), at: world.wallMs), place)
          try world.receive(Wire.ticker("ETHUSDT", Int64(world.seconds * 10), at: world.wallMs), place)
          try world.receive(
            Wire.depth("BTCUSDT", (1, 2 + Int64(world.seconds), 1 + Int64(world.seconds)), at: world.wallMs),
            place)
        }
        try world.receive(Wire.mark("BTCUSDT", at: world.wallMs), 2)
        try world.receive(Wire.mark("ETHUSDT", at: world.wallMs), 2)
        try world.advance(ms: 1000)
      }
    }
    try deliver([0], ms: 12_000)
    #expect(world.sent.map(\.text) == [#"{"method":"SUBSCRIBE","params":["ethusdt@depth@100ms"],"id":1}"#])
    #expect(closes(world).isEmpty && world.counters.firstFrameTimeouts == 1)
    try deliver([0], ms: 9000)
    #expect(opens(world).last == "1 rotation")
    #expect(world.counters.substreamTimeouts == 1 && closes(world).isEmpty)
    // The new connection does not deliver it either; then nothing is gained, and it carries on all the same.
    try deliver([0, 1], ms: 31_000)
    #expect(closes(world) == ["0 rotation"])
    #expect(world.counters.reconnects == 0 && world.counters.deduplicated > 50)
    let before = world.counters.connects
    try deliver([0, 1], ms: 600_000)
    // Growing intervals: not more than one replacement a minute at first, then fewer.
    #expect(world.counters.connects - before >= 2 && world.counters.connects - before <= 5)
    #expect(world.counters.reconnects == 0)
  }

  @Test func streamThatFallsSilentAloneIsAskedForAgain() throws {
    var configuration = watched
    configuration.streamSilenceMs = 60_000
    let world = try HarvestWorld(["BTCUSDT"], configuration)
    func deliver(ms: Int64, depth: Bool) throws {
      for _ in 0..<ms / 1000 {
        let second = Int64(world.seconds)
        if depth { try world.receive(Wire.depth("BTCUSDT", (second, second, second - 1), at: world.wallMs)) }
        try world.receive(Wire.ticker("BTCUSDT", second, at: world.wallMs))
        try world.receive(Wire.mark("BTCUSDT", at: world.wallMs), 2)
        try world.advance(ms: 1000)
      }
    }
    try deliver(ms: 200_000, depth: true)
    #expect(world.sent.isEmpty)
    try deliver(ms: 78_000, depth: false)
    #expect(world.sent.map(\.text) == [#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}"#])
    try deliver(ms: 120_000, depth: true)
    #expect(world.sent.count == 1 && world.counters.substreamTimeouts == 0)
  }

  // MARK: Watchdogs

  @Test func silentConnectionIsDroppedAndTheOthersAreNot() throws {
    let world = try HarvestWorld(["BTCUSDT"], watched)
    try world.receive(Wire.ticker("BTCUSDT", 1, at: world.wallMs))
    try world.receive(Wire.depth("BTCUSDT", (1, 1, 0), at: world.wallMs))
    for _ in 0..<4 {
      try world.receive(Wire.mark("BTCUSDT", at: world.wallMs), 2)
      try world.advance(ms: 1000)
    }
    #expect(world.aborted.isEmpty)
    try world.receive(Wire.mark("BTCUSDT", at: world.wallMs), 2)
    try world.advance(ms: 1000)
    #expect(closes(world) == ["0 silence"] && world.aborted.count == 1)
    try world.advance(ms: 700)
    #expect(opens(world) == ["0 start", "2 start", "0 reconnect"])
    #expect(world.counters.silenceTimeouts == 1)
  }

  /// Streams that may be silent keep a connection as long as it answers pings.
  @Test func connectionWithoutPongIsDead() throws {
    var configuration = watched
    configuration.streams = ["forceOrder"]
    let world = try HarvestWorld(["BTCUSDT"], configuration)
    try world.advance(ms: 3_600_000)
    #expect(closes(world).isEmpty)
    world.pongs = false
    try world.advance(ms: 10_001)
    #expect(closes(world) == ["0 heartbeat"])
  }

  @Test func connectionThatDoesNotOpenIsGivenUp() throws {
    let world = try HarvestWorld(["BTCUSDT"], watched, opensSockets: false)
    try world.advance(ms: 9999)
    #expect(world.aborted.isEmpty)
    try world.advance(ms: 1)
    #expect(world.aborted.count == 2 && world.counters.connectFailures == 2)
    try world.advance(ms: 700)
    #expect(world.connecting.count == 2)
    // Until it was open once, what opens is the start.
    try world.openNext()
    #expect(opens(world).map { $0.suffix(5) } == ["start"])
  }

  @Test func backoffGrowsAndStartsAnewAfterAMinute() throws {
    let world = try HarvestWorld(["BTCUSDT"], HarvestWorld.calm, opensSockets: false)
    try world.openNext()
    try world.openNext()
    func pause(_ fail: () throws -> Void) throws -> Double {
      try fail()
      let from = world.nowNs
      while world.connecting.isEmpty { try world.advance(ms: 5) }
      return Double(world.nowNs - from) / 1e9
    }
    var pauses = [try pause { try world.drop(world.socket(0)) }]
    for _ in 0..<5 { pauses.append(try pause { try world.openNext(ok: false) }) }
    // A connection that delivers for less than a minute does not count as a success.
    pauses.append(
      try pause {
        try world.openNext()
        try world.receive(Wire.ticker("BTCUSDT", 1, at: world.wallMs))
        try world.advance(ms: 59_000)
        try world.drop(world.socket(0))
      })
    pauses.append(
      try pause {
        try world.openNext()
        try world.receive(Wire.ticker("BTCUSDT", 2, at: world.wallMs))
        try world.advance(ms: 61_000)
        try world.drop(world.socket(0))
      })
    for (pause, expected) in zip(pauses, [0.5, 1, 2, 4, 8, 8, 8, 0.5]) {
      #expect(pause >= expected * 0.79 && pause <= expected * 1.21 + 0.005, "\(pauses)")
    }
    #expect(Set(pauses.map { ($0 * 1000).rounded() }).count > 5)
    #expect(world.log.records(.note).filter { $0.text("reason") == "connect_failed" }.count == 5)
  }

  /// Events of sockets and requests that are gone, or never were, change nothing.
  @Test func strangersAreIgnored() throws {
    let world = try HarvestWorld()
    let old = world.socket(0)
    try world.drop(old)
    let count = world.log.count
    try world.harvester.closed(old, reason: "again", world.now)
    try world.harvester.opened(old, world.now)
    world.harvester.ponged(SocketID(rawValue: -1), world.now)
    try world.receive("{}", on: old)
    try world.receive("{}", on: SocketID(rawValue: 123_456))
    try world.harvester.failed(RequestID(rawValue: 99_999), reason: "late", world.now)
    #expect(world.log.count == count && world.counters.framesStray == 2)
  }

  // MARK: Messages that are no market data

  @Test(arguments: [
    "", "{", "[]", "null", "{\"result\":null,\"id\":1}", "junk\n", "{\"stream\":\"btcusdt@depth@100ms\",\"data\":{}}",
    "{\"stream\":\"btcusdt@aggTrade\",\"data\":{\"e\":\"aggTrade\"}}", "{\"e\":\"aggTrade\",\"s\":\"OTHER\"}",
    "{\"stream\":\"x@depth\",\"data\":{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"X\",\"U\":1,\"u\":1,\"b\":[],\"a\":[]}}",
    "{\"stream\":\"btcusdt@markPrice@1s\",\"data\":\"?\"}", "\u{0}", "é",
  ])
  func everyMessageIsKept(_ text: String) throws {
    let world = try HarvestWorld()
    try world.receive(text)
    let frames = world.log.records(.frame)
    #expect(frames.count == 1 && world.counters.frames == 1)
    try world.synchronize()
    #expect(world.book() == 100)
  }

  @Test func messageTooLongForTheTapeIsCounted() throws {
    let world = try HarvestWorld()
    world.harvester.log.frameBytesMax = 300
    try world.receive("{\"x\":\"" + String(repeating: "y", count: 400) + "\"}")
    try world.synchronize()
    #expect(world.counters.framesRefused == 1 && world.counters.frames == 1)
    #expect(world.log.records(.note).contains { $0.text("refused") == "frame" && $0.integer("bytes") == 408 })
  }

  // MARK: The end

  @Test func drainClosesInOrderAndKeepsWhatStillComes() throws {
    let world = try HarvestWorld()
    try world.synchronize()
    world.closesSockets = false
    try world.harvester.drain(world.now)
    try world.act()
    #expect(world.closing.map { Int($0.rawValue) & 3 } == [0, 2] && !world.isDrained)
    let frames = world.counters.frames
    try world.receive(Wire.ticker("BTCUSDT", 1, at: world.wallMs))
    #expect(world.counters.frames == frames + 1)
    for socket in world.closing { try world.drop(socket) }
    #expect(world.isDrained && closes(world) == ["0 drain", "2 drain"])
    #expect(world.harvester.deadline == .max)
    try world.advance(ms: 60_000)
    #expect(world.closing.count == 2 && world.connecting.isEmpty)
  }

  @Test func drainDoesNotWaitForTheDead() throws {
    let world = try HarvestWorld(["BTCUSDT"], HarvestWorld.calm, opensSockets: false)
    try world.openNext()
    world.closesSockets = false
    try world.harvester.drain(world.now)
    try world.act()
    try world.advance(ms: 5000)
    #expect(world.isDrained && world.aborted.count == 2)
    #expect(world.log.records(.close).count == 1)
  }
}
