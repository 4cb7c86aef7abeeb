import Core
import Foundation
import ProcessKit
import Testing

@testable import Redis

/// A tape's stream on a real server.
@Suite(
  "Redis, a tape's stream",
  .enabled(if: RedisServer.isInstalled, "redis-server is not installed; run scripts/peers.sh"), .serialized)
struct StreamTests {
  private let server: RedisServer
  private let stream: RecordStream

  init() throws {
    server = try RedisServer()
    stream = RecordStream(
      "tape", on: try RedisConnection(RedisEndpoint(.socket(path: server.folder + "/s")), timeoutMs: 5000))
  }

  private func line(_ number: Int64, bytes: Int = 40) -> [UInt8] {
    Array("{\"seq\":\(number),".utf8) + [UInt8](repeating: 0x78, count: bytes)
  }

  private func publish(_ numbers: ClosedRange<Int64>, makesStream: Bool = false, bytes: Int = 40) throws
    -> RecordStream.Publication
  {
    var pipeline = RedisPipeline(commandsMax: 102)
    stream.begin(&pipeline)
    for number in numbers {
      line(number, bytes: bytes).withUnsafeBytes {
        stream.add($0, sequence: number, makesStream: makesStream, to: &pipeline)
      }
    }
    return try stream.commit(&pipeline)
  }

  private func read(_ group: String, _ most: Int = 1000) throws -> [RecordStream.Entry]? {
    try stream.read(group: group, consumer: "c", entriesMax: most, waitMs: 1)
  }

  @Test func recordsComeOnceAndInOrder() throws {
    #expect(try stream.facts() == .init(exists: false, length: 0, last: RecordID(0), first: nil))
    #expect(try stream.beginGroup("g", after: 0) == false && stream.groups() == [])
    #expect(try publish(1...100, makesStream: true) == .added)
    #expect(try publish(101...150) == .added)
    // The same again, or an overlap: nothing twice, nothing missing.
    #expect(try publish(101...150) == .moved)
    #expect(try publish(120...170) == .moved)
    let facts = try stream.facts()
    #expect(facts.length == 170 && facts.last == RecordID(170) && facts.first == RecordID(1))
    #expect(try stream.record(120) == line(120) && stream.record(171) == nil)
    #expect(try stream.beginGroup("g", after: 0))
    let entries = try #require(try read("g"))
    #expect(entries == (1...170).map { .init(id: RecordID($0), line: line($0)) })
    #expect(try read("g") == [])
  }

  /// What was delivered and not written comes again; what was written and not acknowledged is acknowledged.
  @Test func theTapeDecidesWhereAGroupGoesOn() throws {
    _ = try publish(1...100, makesStream: true)
    #expect(try stream.beginGroup("g", after: 0))
    #expect(try read("g", 60)?.count == 60)
    try stream.acknowledge("g", (1...20).map { RecordID($0) })
    // Died with 40 on its tape.
    #expect(
      try stream.groups() == [
        .init(name: "g", consumers: 1, pending: 40, delivered: RecordID(60), acknowledgedSequence: 20)
      ])
    #expect(try stream.beginGroup("g", after: 40))
    #expect(try stream.groups().first?.acknowledgedSequence == 40)
    let again = try #require(try read("g"))
    #expect(again.map(\.id.sequence) == Array(41...100))
    try stream.acknowledge("g", again.map(\.id))
    #expect(try stream.groups().first?.acknowledgedSequence == 100)
    #expect(try stream.trim(below: 91) == 90)
    #expect(try stream.facts().first == RecordID(91))
    try stream.addEndMark(after: 100)
    let mark = try #require(try read("g"))
    #expect(mark == [.init(id: RecordID(100, part: 1), line: nil)])
    // Going on behind an end is no contradiction.
    #expect(try publish(101...101) == .added)
    #expect(try stream.groups().first?.acknowledgedSequence == 100)
  }

  @Test func aStreamThatVanishedIsNoticed() throws {
    _ = try publish(1...10, makesStream: true)
    #expect(try stream.beginGroup("g", after: 0))
    try stream.connection.call("FLUSHALL")
    #expect(try publish(11...20) == .moved)
    #expect(try stream.facts().exists == false)
    #expect(try read("g") == nil)
    // Made anew from the start, a group that has ten of them goes on behind these.
    _ = try publish(1...20, makesStream: true)
    #expect(try stream.beginGroup("g", after: 10))
    #expect(try read("g")?.first?.id == RecordID(11))
  }

  /// No single record of a transaction is left out when the memory ends.
  @Test func fullMemoryLeavesNoHole() throws {
    _ = try publish(1...10, makesStream: true)
    let used = try #require(
      try stream.connection.call("INFO", "memory").text?.split(whereSeparator: \.isNewline).first {
        $0.hasPrefix("used_memory:")
      }.flatMap { Int($0.dropFirst(12)) })
    try stream.connection.call("CONFIG", "SET", "maxmemory", String(used + 400_000))
    var last: Int64 = 10
    var failure: RedisError?
    while failure == nil, last < 10_000 {
      do { _ = try publish(last + 1...last + 50, bytes: 2000) } catch let error as RedisError {
        failure = error
      }
      if failure == nil { last += 50 }
    }
    guard case .unavailable(_, let reason) = failure else {
      throw Unexpected(found: "\(String(describing: failure))")
    }
    #expect(reason.contains("OOM") || reason.contains("EXECABORT"))
    #expect("\(failure!)".contains("maxmemory") && failure!.isPassing)
    try stream.connection.call("CONFIG", "SET", "maxmemory", "0")
    #expect(try stream.facts().last == RecordID(last))
    #expect(try publish(last + 1...last + 50) == .added)
    #expect(try stream.facts().length == Int(last + 50))
  }

  @Test func foreignDataIsRefusedWithAWord() throws {
    try stream.connection.call("SET", "tape", "x")
    let wrong = #expect(throws: RedisError.self) { _ = try stream.facts() }
    #expect("\(wrong!)".contains("choose another name") && wrong?.isPassing == false)
    try stream.connection.call("DEL", "tape")
    try stream.connection.call("XADD", "tape", "1-0", "f", "v")
    let foreign = #expect(throws: RedisError.self) { _ = try stream.record(1) }
    #expect("\(foreign!)".contains("no record of a tape"))
    #expect(try stream.beginGroup("g", after: 0))
    #expect(throws: RedisError.self) { _ = try read("g") }
    try stream.connection.call("XADD", "tape", "5-7", "f", "v")
    #expect(throws: RedisError.self) { _ = try stream.facts() }
  }

  /// The server is killed at random moments; its append-only file may have lost the last second. Publishing on
  /// from what it says leaves each record once.
  @Test func killsLoseNothingThatIsPublishedAgain() throws {
    var random = SeededRandom(seed: 11)
    let endpoint = RedisEndpoint(.socket(path: server.folder + "/s"))
    var kills = 0
    var last: Int64 = 0
    while last < 3000 {
      let stream = RecordStream("tape", on: try RedisConnection(endpoint, timeoutMs: 5000))
      let facts = try stream.facts()
      var next = facts.last.sequence + 1
      let killAt = kills < 4 ? next + Int64(random.below(500)) : .max
      do {
        while next <= 3000 {
          if next >= killAt { server.kill() }
          var pipeline = RedisPipeline(commandsMax: 102)
          stream.begin(&pipeline)
          for number in next..<next + 100 {
            line(number).withUnsafeBytes {
              stream.add($0, sequence: number, makesStream: !facts.exists && next == 1, to: &pipeline)
            }
          }
          #expect(try stream.commit(&pipeline) == .added)
          next += 100
        }
      } catch {
        #expect(error.isPassing)
        kills += 1
        try server.start()
      }
      last = next - 1
    }
    #expect(kills == 4)
    let check = RecordStream("tape", on: try RedisConnection(endpoint, timeoutMs: 5000))
    #expect(try check.beginGroup("g", after: 0))
    let found = try #require(try check.read(group: "g", consumer: "c", entriesMax: 5000, waitMs: 1))
    #expect(found.map(\.id.sequence) == Array(1...Int64(found.count)) && found.count >= 3000)
    #expect(found.allSatisfy { $0.line == line($0.id.sequence) })
  }
}
