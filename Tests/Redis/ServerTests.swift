import Core
import Foundation
import ProcessKit
import Testing

@testable import Redis

/// An answer of another kind than the test needs to go on.
struct Unexpected: Error {
  var found: String
}

/// What only a real server can tell.
@Suite(
  "Redis, a real server",
  .enabled(if: RedisServer.isInstalled, "redis-server is not installed; run scripts/peers.sh"), .serialized)
struct ServerTests {
  private func connect(_ server: RedisServer, timeoutMs: Int = 5000) throws(RedisError) -> RedisConnection {
    try RedisConnection(
      RedisEndpoint(.socket(path: server.folder + "/s")), timeoutMs: timeoutMs)
  }

  private func now() -> Int64 { Int64(DispatchTime.now().uptimeNanoseconds) }

  private func error(_ body: () throws -> Void) -> RedisError? {
    #expect(throws: RedisError.self) { try body() }
  }

  // MARK: Connection

  @Test func pipelinesAnswerInOrderAndBinaryIsSafe() throws {
    let server = try RedisServer()
    let connection = try connect(server)
    var pipeline = RedisPipeline(commandsMax: 100)
    let value: [UInt8] = [0, 13, 10, 36, 255, 0]
    for index in 0..<99 {
      pipeline.begin("SET", words: 3)
      pipeline.append("k\(index)")
      value.withUnsafeBytes { pipeline.append($0) }
    }
    pipeline.add(["GET", "k42"])
    let isFull = pipeline.isFull
    let replies = try connection.send(&pipeline)
    let left = pipeline.count
    #expect(isFull && replies.count == 100 && left == 0)
    #expect(replies.dropLast().allSatisfy { $0 == .status("OK") } && replies.last == .bytes(value))
    // An error among them takes nobody else's place.
    pipeline.add(["LPUSH", "k1", "x"])
    pipeline.add(["GET", "k1"])
    let mixed = try connection.send(&pipeline)
    #expect(mixed[1] == .bytes(value))
    guard case .error(let text) = mixed[0] else { throw Unexpected(found: "\(mixed)") }
    #expect(text.hasPrefix("WRONGTYPE"))
  }

  @Test func passwordsAreAskedForAndNeverShown() throws {
    let server = try RedisServer(listens: true, extra: ["--requirepass", "right"])
    let endpoint = RedisEndpoint(.host("127.0.0.1", port: server.port), database: 2)
    let without = error { _ = try RedisConnection(endpoint, timeoutMs: 5000) }
    let wrong = error {
      _ = try RedisConnection(
        endpoint, credentials: RedisCredentials(password: "wrong-secret"), timeoutMs: 5000)
    }
    for found in [without, wrong] {
      guard case .notAllowed = found else {
        throw Unexpected(found: "\(String(describing: found))")
      }
      #expect("\(found!)".contains("REDIS_PASSWORD") && !"\(found!)".contains("wrong-secret"))
      #expect(found!.isPassing == false)
    }
    let connection = try RedisConnection(
      endpoint, credentials: RedisCredentials(password: "right"), timeoutMs: 5000)
    try connection.call("SET", "a", "b")
    #expect(try connection.call("CLIENT", "INFO").text?.contains("db=2") == true)
  }

  @Test func aServerThatHangsOrIsAwayIsAPassingError() throws {
    let away = error { _ = try RedisConnection(RedisEndpoint(.socket(path: "/tmp/absent.sock"))) }
    guard case .unreachable = away else {
      throw Unexpected(found: "\(String(describing: away))")
    }
    let server = try RedisServer()
    let connection = try connect(server, timeoutMs: 300)
    server.signal(SIGSTOP)
    let hangs = error { try connection.call("PING") }
    server.signal(SIGCONT)
    guard case .lost(_, let reason) = hangs else {
      throw Unexpected(found: "\(String(describing: hangs))")
    }
    #expect(reason.contains("300 ms") && hangs!.isPassing && !connection.isOpen)
    // The late answer must not be taken for the next one's.
    #expect(error { try connection.call("PING") }?.isPassing == true)
  }

  // MARK: Cache

  @Test func rowsExpireAndAreAnsweredFromMemoryFirst() throws {
    let server = try RedisServer()
    let writing = try connect(server)
    var writer = HotCacheWriter(lifeSeconds: 1)
    var pipeline = RedisPipeline(commandsMax: 100)
    for round in 1...2 {
      for index in 0..<120 {
        writer.add(symbol: "S\(index)", signal: Array("{\"n\":\(round)}".utf8), features: Array("{}".utf8))
      }
    }
    #expect(writer.waitingSymbols == 120 && writer.superseded == 120)
    try writer.write(to: writing, pipeline: &pipeline)
    #expect(writer.written == 120 && writer.waitingSymbols == 0)
    #expect(try writing.call("DBSIZE") == .integer(240))
    let life = try #require(try writing.call("PTTL", "weir:signal:{S7}").integer)
    #expect(life > 0 && life <= 1000)
    let cache = hotCache(server, lifeMs: 10_000)
    guard case .found(let first) = cache.signal(for: "S7", nowNs: 0) else {
      throw Unexpected(found: "absent")
    }
    #expect(first.source == .server && first.value == Array("{\"n\":2}".utf8))
    guard case .found(let second) = cache.signal(for: "S7", nowNs: 5) else {
      throw Unexpected(found: "absent")
    }
    #expect(second.source == .local && second.ageNs == 5 && cache.isTracked)
    // The server tells of the expiry, too.
    let end = Date().addingTimeInterval(60)
    var last = cache.signal(for: "S7", nowNs: 6)
    while Date() < end, last != .absent {
      usleep(20_000)
      last = cache.signal(for: "S7", nowNs: 7)
    }
    #expect(last == .absent)
    #expect(cache.signal(for: "OTHER", nowNs: 8) == .absent)
  }

  private func hotCache(_ server: RedisServer, lifeMs: Int) -> HotCache {
    HotCache(
      cache: LocalCache(lifeMs: lifeMs, symbolsMax: 8), backoff: RedisBackoff(msMin: 1, msMax: 10, seed: 1)
    ) { () throws(RedisError) in try connect(server) }
  }

  /// A write on another connection is seen long before the memory's time is over.
  @Test func aWriteElsewhereInvalidatesWithin200Milliseconds() throws {
    let server = try RedisServer()
    let writer = try connect(server)
    let cache = hotCache(server, lifeMs: 1_000_000)
    var slowestNs: Int64 = 0
    for round in 0..<50 {
      try writer.call("SETEX", "weir:signal:{BTCUSDT}", "100", "v\(round)")
      let began = now()
      let deadline = began + 60 * Nanoseconds.second
      while now() < deadline {
        if case .found(let found) = cache.signal(for: "BTCUSDT", nowNs: 0),
          found.value == Array("v\(round)".utf8)
        {
          break
        }
      }
      slowestNs = max(slowestNs, now() - began)
      // It is in memory now.
      guard case .found(let again) = cache.signal(for: "BTCUSDT", nowNs: 0) else { continue }
      #expect(again.source == .local || round == 0)
    }
    #expect(slowestNs < 200 * Nanoseconds.millisecond, "\(slowestNs) ns")
    #expect(cache.counts.invalidations >= 49 && cache.counts.server == 50)
    // Keys of others say nothing.
    let before = cache.counts.invalidations
    try writer.call("SET", "weir:features:{BTCUSDT}", "x")
    _ = cache.signal(for: "BTCUSDT", nowNs: 0)
    #expect(cache.counts.invalidations == before)
  }

  @Test func whileTheServerIsDownTheMemoryAnswersWithItsAge() throws {
    let server = try RedisServer()
    try connect(server).call("SET", "weir:signal:{A}", "1")
    let cache = hotCache(server, lifeMs: 200)
    _ = cache.signal(for: "A", nowNs: 0)
    server.kill()
    let second = Nanoseconds.second
    guard case .found(let old) = cache.signal(for: "A", nowNs: second) else {
      throw Unexpected(found: "lost")
    }
    #expect(old.source == .localWhileDown && old.ageNs == second && cache.counts.whileDown == 1)
    guard case .unavailable = cache.signal(for: "B", nowNs: second) else {
      throw Unexpected(found: "not down")
    }
    try server.start()
    try connect(server).call("SET", "weir:signal:{A}", "2")
    guard case .found(let new) = cache.signal(for: "A", nowNs: 2 * second) else {
      throw Unexpected(found: "down")
    }
    #expect(new.source == .server && new.value == Array("2".utf8) && cache.counts.connections == 2)
  }

  @Test func costsAreKeptForTheirTime() throws {
    let server = try RedisServer()
    let connection = try connect(server)
    let costs = CostTable(connection, lifeSeconds: 10)
    let cost = CostTable.Cost(
      takerBps: 4.25, makerBps: -0.5, estimatedAt: UnixNanos(1_721_347_020_000_000_001))
    #expect(try costs.cost(regime: "active", symbol: "BTCUSDT", timeframe: "1m") == nil)
    try costs.set(cost, regime: "active", symbol: "BTCUSDT", timeframe: "1m")
    #expect(try costs.cost(regime: "active", symbol: "BTCUSDT", timeframe: "1m") == cost)
    // Five minutes at least, whatever was asked for.
    let life = try #require(try connection.call("TTL", "weir:cost:active:{BTCUSDT}:1m").integer)
    #expect(life > 290 && life <= 300)
    try connection.call("SET", "weir:cost:quiet:{BTCUSDT}:1m", "foreign")
    #expect(throws: RedisError.self) {
      _ = try costs.cost(regime: "quiet", symbol: "BTCUSDT", timeframe: "1m")
    }
  }

  // MARK: Locks

  @Test func twoOwnersOneLock() throws {
    let server = try RedisServer()
    let (one, two) = (RedisLocks(try connect(server)), RedisLocks(try connect(server)))
    #expect(one.acquire("cooldown", symbol: "A", token: "1", lifeMs: 60_000) == .held)
    #expect(two.acquire("cooldown", symbol: "A", token: "2", lifeMs: 60_000) == .taken)
    #expect(two.acquire("cooldown", symbol: "B", token: "2", lifeMs: 60_000) == .held)
    #expect(two.release("cooldown", symbol: "A", token: "2") == .taken)
    #expect(two.extend("cooldown", symbol: "A", token: "2", lifeMs: 1) == .taken)
    #expect(one.extend("cooldown", symbol: "A", token: "1", lifeMs: 120_000) == .held)
    #expect(one.release("cooldown", symbol: "A", token: "1") == .held)
    #expect(one.release("cooldown", symbol: "A", token: "1") == .taken)
    #expect(two.acquire("cooldown", symbol: "A", token: "2", lifeMs: 30) == .held)
    usleep(60_000)
    // Run out: the one who held it gives nothing back that is another's.
    #expect(one.acquire("cooldown", symbol: "A", token: "1", lifeMs: 60_000) == .held)
    #expect(two.release("cooldown", symbol: "A", token: "2") == .taken)
    #expect(two.acquire("cooldown", symbol: "A", token: "2", lifeMs: 60_000) == .taken)
    server.kill()
    guard case .unknown(let error) = one.acquire("cooldown", symbol: "C", token: "1", lifeMs: 1000) else {
      throw Unexpected(found: "a lock without a server")
    }
    #expect(error.isPassing)
  }
}
