import Core
import Glibc
import Redis
import Testing

private let millisecond = Nanoseconds.millisecond

/// What is decided without a server.
@Suite("Redis, decisions")
struct DecisionTests {
  // MARK: Local cache

  @Test func aValueAnswersForItsTimeAndThenWithItsAge() {
    var cache = LocalCache(lifeMs: 200, symbolsMax: 4)
    #expect(cache.value("A", 0) == .absent)
    cache.store("A", [1], 0)
    #expect(cache.value("A", 199 * millisecond) == .fresh([1], ageNs: 199 * millisecond))
    #expect(cache.value("A", 200 * millisecond) == .old([1], ageNs: 200 * millisecond))
    cache.store("A", [2], 300 * millisecond)
    cache.invalidate("A")
    #expect(cache.value("A", 301 * millisecond) == .old([2], ageNs: millisecond))
    cache.store("A", [3], 400 * millisecond)
    cache.invalidateAll()
    #expect(cache.value("A", 400 * millisecond) == .old([3], ageNs: 0))
  }

  /// The most asked for are kept, whatever the order in which they come, and a new favourite gets its place.
  @Test func theMostActiveSymbolsAreKept() {
    var cache = LocalCache(lifeMs: 1_000_000, symbolsMax: 3)
    var random = SeededRandom(seed: 5)
    func run(_ favourites: [Int], _ rounds: Int) {
      for _ in 0..<rounds {
        let number = random.bernoulli(0.8) ? favourites[random.below(3)] : random.below(20)
        if case .fresh = cache.value("S\(number)", 0) { continue }
        cache.store("S\(number)", [UInt8(number)], 0)
      }
    }
    func kept() -> [Int] {
      (0..<20).filter { number in
        var copy = cache
        return copy.value("S\(number)", 0) != .absent
      }
    }
    run([0, 1, 2], 500)
    #expect(kept() == [0, 1, 2])
    run([10, 11, 12], 5000)
    #expect(kept() == [10, 11, 12] && cache.count == 3)
  }

  // MARK: Backoff

  @Test func waitsDoubleUpToTheGreatest() {
    var backoff = RedisBackoff(msMin: 100, msMax: 1000, seed: 3)
    var now: Int64 = 0
    #expect(backoff.isDue(now))
    for delay in [100, 200, 400, 800, 1000, 1000] {
      backoff.failed(now)
      #expect(!backoff.isDue(now + Int64(Double(delay) * 0.79) * millisecond))
      #expect(backoff.isDue(now + Int64(Double(delay) * 1.21) * millisecond))
      now += 2000 * millisecond
    }
    backoff.succeeded()
    #expect(backoff.isDue(now) && backoff.failures == 0)
  }

  // MARK: Ids

  @Test(
    arguments: [
      ("7-0", RecordID(7)), ("7-1", RecordID(7, part: 1)), ("0-0", RecordID(0)), ("7", nil), ("7-", nil),
      ("-7-0", nil), ("a-0", nil), ("7-0-0", nil), ("", nil), ("99999999999999999999-0", nil),
    ] as [(String, RecordID?)])
  func idsAreTwoNumbers(text: String, id: RecordID?) {
    #expect(RecordID(text) == id)
    if let id { #expect(id.description == text) }
  }

  // MARK: Window

  /// A publisher and groups that acknowledge at random: the stream never holds more than allowed, nothing is
  /// dropped that a group still needs, the last record stays, and all gets through.
  @Test(arguments: 0..<30 as Range<UInt64>)
  func theWindowNeverDropsWhatIsNeeded(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let recordsMax = 20 + random.below(200)
    let batchMax = 1 + random.below(30)
    var entries: ClosedRange<Int64>?
    var groups = [Int64](repeating: 0, count: 1 + random.below(3))
    var window = PublisherWindow(recordsMax: recordsMax, batchMax: batchMax, length: 0, lastSequence: 0)
    var steps = 0
    while window.lastSequence < 2000, steps < 100_000 {
      steps += 1
      for index in groups.indices where random.bernoulli(0.3) {
        groups[index] = min(window.lastSequence, groups[index] + Int64(random.below(40)))
      }
      switch window.next {
      case .publish(let most):
        #expect(most > 0 && most <= batchMax)
        let count = 1 + random.below(most)
        let last = window.lastSequence + Int64(count)
        entries = (entries?.lowerBound ?? 1)...last
        window.added(count, lastSequence: last)
        #expect(entries!.count <= recordsMax, "seed \(seed)")
      case .look: window.looked(acknowledgedSequence: groups.min())
      case .trim(let below):
        #expect(below <= groups.min()! + 1 && below <= window.lastSequence, "seed \(seed)")
        let dropped = max(0, below - entries!.lowerBound)
        entries = max(below, entries!.lowerBound)...entries!.upperBound
        window.trimmed(Int(dropped))
      case .wait:
        #expect(entries!.count >= recordsMax, "seed \(seed): waits with room left")
        window.waited()
      }
      #expect(window.length == entries?.count ?? 0, "seed \(seed)")
      // A restart learns the same from the server.
      if random.bernoulli(0.05) {
        window = PublisherWindow(
          recordsMax: recordsMax, batchMax: batchMax, length: entries?.count ?? 0,
          lastSequence: window.lastSequence)
      }
    }
    #expect(window.lastSequence >= 2000, "seed \(seed)")
  }

  @Test func withoutAGroupNothingIsDropped() {
    var window = PublisherWindow(recordsMax: 100, batchMax: 50, length: 100, lastSequence: 100)
    #expect(window.next == .look)
    window.looked(acknowledgedSequence: nil)
    #expect(window.next == .wait)
    window.waited()
    #expect(window.next == .look)
    window.looked(acknowledgedSequence: 100)
    #expect(window.next == .trim(below: 100))
    window.trimmed(99)
    #expect(window.next == .publish(recordsMax: 50))
  }

  // MARK: Copy position

  @Test func onlyTheNextRecordIsWritten() {
    var position = CopyPosition(lastSequence: 5)
    #expect(position.take(RecordID(4)) == .known)
    #expect(position.take(RecordID(5)) == .known)
    #expect(position.take(RecordID(4, part: 1)) == .known)
    #expect(position.take(RecordID(7)) == .hole(expected: 6, found: 7))
    #expect(position.take(RecordID(6)) == .write)
    #expect(position.take(RecordID(6)) == .known)
    #expect(position.take(RecordID(6, part: 1)) == .end)
    #expect(position.take(RecordID(8, part: 1)) == .hole(expected: 7, found: 8))
    #expect(position.lastSequence == 6)
  }

  @Test func anEmptyTapeMayBeginAnywhereIfAllowed() {
    var position = CopyPosition(lastSequence: 0, mayBeginAnywhere: true)
    #expect(position.take(RecordID(41)) == .write)
    #expect(position.take(RecordID(43)) == .hole(expected: 42, found: 43))
    var strict = CopyPosition(lastSequence: 0)
    #expect(strict.take(RecordID(41)) == .hole(expected: 1, found: 41))
    var continued = CopyPosition(lastSequence: 3, mayBeginAnywhere: true)
    #expect(continued.take(RecordID(5)) == .hole(expected: 4, found: 5))
  }

  // MARK: Addresses and secrets

  @Test(arguments: [
    ("redis://127.0.0.1:6380/3", RedisEndpoint(.host("127.0.0.1", port: 6380), database: 3)),
    ("redis://cache", RedisEndpoint(.host("cache", port: 6379))),
    ("redis://[::1]:7000", RedisEndpoint(.host("::1", port: 7000))),
    ("redis://[::1]", RedisEndpoint(.host("::1", port: 6379))),
    ("unix:///run/redis.sock", RedisEndpoint(.socket(path: "/run/redis.sock"))),
    ("unix:///run/redis.sock?db=2", RedisEndpoint(.socket(path: "/run/redis.sock"), database: 2)),
  ])
  func addressesAreRead(url: String, endpoint: RedisEndpoint) throws {
    let read = try RedisEndpoint(url)
    #expect(read == endpoint)
    #expect(try RedisEndpoint(read.description) == endpoint)
  }

  @Test(arguments: [
    "", "127.0.0.1:6379", "http://x", "redis://", "redis://:6379", "redis://h:0", "redis://h:99999",
    "redis://h/x", "redis://h/-1", "redis://h/5000", "redis://:secret@h", "redis://u:secret@h:1", "unix://",
    "unix:relative", "unix:///s?x=1", "redis://h h",
  ])
  func otherAddressesAreRefusedWithoutBeingShown(url: String) {
    let problem = #expect(throws: RedisEndpoint.Problem.self) { _ = try RedisEndpoint(url) }
    #expect(problem?.description.contains("secret") == false)
  }

  @Test func passwordsComeFromEnvironmentOrAPrivateFile() throws {
    let path = "/tmp/weir-redis-password-\(getpid())"
    defer { unlink(path) }
    try Files.writeAtomically(path, "from the file\nsecond line\n")
    chmod(path, 0o644)
    let open = #expect(throws: RedisCredentials.Problem.self) {
      _ = try RedisCredentials.load(environment: [:], passwordFile: path)
    }
    #expect(open?.description.contains("chmod 600") == true)
    chmod(path, 0o600)
    let credentials = try RedisCredentials.load(environment: [:], passwordFile: path)
    #expect(credentials.description == "password" && "\(credentials)" == "password")
    #expect(!String(reflecting: credentials).contains("from the file"))
    let above = try RedisCredentials.load(
      environment: ["REDIS_PASSWORD": "p", "REDIS_USER": "u"], passwordFile: "/absent")
    #expect(above.description == "user and password")
    #expect(throws: RedisCredentials.Problem.self) {
      _ = try RedisCredentials.load(environment: [:], passwordFile: "/absent")
    }
    #expect(try RedisCredentials.load(environment: [:], passwordFile: "").description == "none")
  }
}
