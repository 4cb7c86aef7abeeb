import Core
import Foundation
import ProcessKit
import Tape
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil
/// Of each of the three; scripts/chaos_redis.sh asks for more.
private let killsOfEach =
  ProcessInfo.processInfo.environment["WEIR_REDIS_KILLS"].flatMap { Int($0) } ?? 2
private let chaosSeed =
  ProcessInfo.processInfo.environment["WEIR_REDIS_SEED"].flatMap { UInt64($0) } ?? 7

/// Two hosts, here two folders, with Redis between them.
@Suite(
  "Redis between hosts", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"),
  .enabled(if: RedisServer.isInstalled, "redis-server is not installed; run scripts/peers.sh"), .serialized)
struct RedisTransportTests {
  private let scratch = Scratch()

  private func environment(_ server: RedisServer) -> [String: String] {
    ["WEIR__REDIS__URL": server.url, "WEIR__REDIS__BACKOFF_MS_MAX": "200", "WEIR__REDIS__TIMEOUT_MS": "5000"]
  }

  private func start(_ words: [String], _ server: RedisServer) throws -> WeirProcess {
    try WeirProcess(["redis"] + words + ["--json", "--quiet"], environment: environment(server))
  }

  private func publish(_ tape: String) -> [String] {
    ["publish", scratch.path + "/" + tape, "--stream", "t", "--until-finished"]
  }

  private func receive(_ out: String, _ more: [String] = []) -> [String] {
    ["receive", "--stream", "t", "--group", "g", "--out", scratch.path + "/" + out, "--until-finished"] + more
  }

  private func run(_ words: [String], _ server: RedisServer, _ more: [String: String] = [:]) throws -> (
    code: Int32, last: JSONValue, error: String
  ) {
    let process = try WeirProcess(
      ["redis"] + words + ["--json", "--quiet"], environment: environment(server).merging(more) { $1 })
    let (code, last) = try process.wait()
    return (code, last, process.errorText)
  }

  private func names(_ folder: String) throws -> [String] {
    try Files.list(scratch.path + "/" + folder).filter { $0 != ".lock" }
  }

  private func expectSameFiles(_ a: String, _ b: String) throws {
    #expect(try names(a) == names(b))
    for name in try names(a) {
      let same = try Files.read(scratch.path + "/\(a)/\(name)") == Files.read(scratch.path + "/\(b)/\(name)")
      #expect(same, "\(name) differs")
    }
  }

  /// A tape over several hours, of small records.
  private func makeTape(_ folder: String, records: Int, seed: Int = 0) throws {
    var writer = try TapeWriter(
      folder: scratch.path + "/" + folder, options: .init(fsync: .none, diskFreeMinBytes: 1 << 20))
    for number in 0..<records {
      let data = Array("{\"number\":\(number + seed)}".utf8)
      try data.withUnsafeBytes {
        _ = try writer.append(
          .note, stream: nil, data: $0,
          receiveTime: UnixNanos(1_721_347_020_000_000_000 + Int64(number) * 3 * Nanoseconds.second),
          connection: 0)
      }
    }
    _ = try writer.finish()
  }

  /// The server comes last, the stream is much smaller than the tape, and every file is the same in the end.
  @Test func theCopyIsTheTapeThoughTheStreamIsSmall() throws {
    let server = try RedisServer(isStarted: false)
    try makeTape("tape", records: 6000)
    let receiver = try start(receive("copy"), server)
    let publisher = try start(publish("tape") + ["--set", "redis.stream_records_max=1000"], server)
    #expect(try receiver.nextLine()["ready"]?.boolean == true)
    #expect(try publisher.nextLine()["ready"]?.boolean == true)
    try server.start()
    let (published, sent) = try publisher.wait()
    let (received, got) = try receiver.wait()
    #expect(published == 0, "\(publisher.errorText)")
    #expect(received == 0, "\(receiver.errorText)")
    #expect(sent["records"]?.integer == 6000 && (sent["stream_records"]?.integer ?? 9999) <= 1000)
    #expect((sent["trimmed"]?.integer ?? 0) >= 5000)
    #expect(got["records"]?.integer == 6000 && got["is_finished"]?.boolean == true)
    try expectSameFiles("tape", "copy")
    // A second host that comes too late is told what is missing.
    let late = try run(receive("late").map { $0 == "g" ? "late" : $0 }, server)
    let first = 6001 - (sent["stream_records"]?.integer ?? 0)
    #expect(
      late.code == 1 && late.error.contains("needs 1:") && late.error.contains("record \(first)"), "\(late)")
  }

  /// Publisher, receiver and server are killed while the tape grows and a signal stage follows the copy. After a
  /// kill of the server the end of its append-only file is lost, too, as by a power cut.
  @Test func killsOfAllThreeLeaveTheSameTapeAndSignals() throws {
    let made = try weir(
      "venue", "generate", "--seed", "31", "--minutes", "3", "--symbols", "BTCUSDT,ETHUSDT", "--gaps", "5",
      "--reorder", "5", "--out", scratch.path + "/source", "--quiet")
    #expect(made.code == 0, "\(made.error)")
    let name = try #require(try names("source").first { $0.hasSuffix(".ndjson") })
    let seal = try #require(try names("source").first { $0.hasSuffix(".seal.json") })
    let bytes = try Files.read(scratch.path + "/source/" + name)
    try Files.makeFolder(scratch.path + "/tape")
    let path = scratch.file("tape/" + name, "")
    let server = try RedisServer()
    var random = SeededRandom(seed: chaosSeed)
    let warmup = ["--sink", "jsonl", "--set", "flow.warmup_ms=15000"]
    let signal = try WeirProcess(
      ["signal", scratch.path + "/copy", "--out", scratch.path + "/live", "--json", "--quiet"] + warmup)
    // Grows in pieces that end anywhere, also within a record, for as long as there are kills.
    let pieces = 400 * killsOfEach
    let feeder = Thread {
      guard let file = FileHandle(forWritingAtPath: path) else { return }
      for index in 0..<pieces {
        try? file.write(contentsOf: bytes[bytes.count * index / pieces..<bytes.count * (index + 1) / pieces])
        Thread.sleep(forTimeInterval: 0.01)
      }
    }
    feeder.start()
    let publishing = publish("tape") + ["--set", "redis.stream_records_max=5000"]
    var publisher = try start(publishing, server)
    var receiver = try start(receive("copy"), server)
    var order = (0..<3 * killsOfEach).map { $0 % 3 }
    order.shuffle(using: &random)
    for victim in order {
      usleep(UInt32(300_000 + random.below(900_000)))
      switch victim {
      case 0:
        publisher.signal(SIGKILL)
        #expect(try publisher.wait().code == 128 + SIGKILL, "\(publisher.errorText)")
        publisher = try start(publishing, server)
      case 1:
        receiver.signal(SIGKILL)
        #expect(try receiver.wait().code == 128 + SIGKILL, "\(receiver.errorText)")
        receiver = try start(receive("copy"), server)
      default:
        server.kill()
        try server.loseEndOfLog(bytes: random.below(40_000))
        usleep(UInt32(random.below(300_000)))
        try server.start()
      }
    }
    while !feeder.isFinished { usleep(20_000) }
    _ = scratch.file("tape/" + seal, try Files.read(scratch.path + "/source/" + seal))
    let (published, _) = try publisher.wait()
    let (received, got) = try receiver.wait()
    #expect(published == 0, "\(publisher.errorText)")
    #expect(received == 0 && got["is_finished"]?.boolean == true, "\(receiver.errorText)")
    try expectSameFiles("source", "copy")

    let (signalled, _) = try signal.stop()
    #expect(signalled == 0, "\(signal.errorText)")
    let replay = try weir(
      "replay", scratch.path + "/source", "--out", scratch.path + "/whole", "--json", "--quiet", "--sink",
      "jsonl", "--set", "flow.warmup_ms=15000")
    #expect(replay.code == 0, "\(replay.error)")
    #expect(try names("whole/signals/jsonl").isEmpty == false)
    try expectSameFiles("whole/signals/jsonl", "live/signals/jsonl")
  }

  @Test func whatDoesNotFitIsRefusedWithAWord() throws {
    let server = try RedisServer()
    try makeTape("tape", records: 500)
    try makeTape("other", records: 800, seed: 1)
    #expect(try run(publish("tape"), server).code == 0)
    // Published again: nothing to do.
    let again = try run(publish("tape"), server)
    #expect(again.code == 0 && again.last["records"]?.integer == 0)
    let other = try run(publish("other"), server)
    #expect(other.code == 1 && other.error.contains("holds another tape") && other.error.contains("500"))
    try makeTape("short", records: 100)
    let short = try run(publish("short"), server)
    #expect(short.code == 1 && short.error.contains("another tape"))

    // Trimmed beyond what a new copy needs.
    _ = server.answer(to: "XTRIM t MINID 101")
    let hole = try run(receive("copy"), server)
    #expect(
      hole.code == 1 && hole.error.contains("record 101") && hole.error.contains("needs 1:"), "\(hole.error)")
    let late = try run(receive("late", ["--from-gap"]), server)
    #expect(late.code == 0 && late.last["records"]?.integer == 400, "\(late.error)")
    // A copy of another tape is not continued.
    let mixed = try run(receive("other"), server)
    #expect(mixed.code == 1, "\(mixed)")

    _ = server.answer(to: "SET t text")
    let foreign = try run(publish("tape"), server)
    #expect(foreign.code == 1 && foreign.error.contains("WRONGTYPE"), "\(foreign.error)")
    let secret = try run(["get", "BTCUSDT"], server, ["REDIS_PASSWORD": "hush-hush"])
    #expect(secret.code == 1 && secret.error.contains("REDIS_PASSWORD") && !secret.error.contains("hush"))
    let url = try run(["get", "BTCUSDT", "--set", "redis.url=redis://:hush@localhost"], server)
    #expect(url.code == 2 && !url.error.contains("hush"), "\(url.error)")
  }

  /// Each symbol's key is the last line of the sink, and its features are there.
  @Test func aRunsLatestSignalsAreInRedis() throws {
    let server = try RedisServer()
    let made = try weir(
      "venue", "generate", "--seed", "3", "--minutes", "2", "--symbols", "BTCUSDT,ETHUSDT", "--out",
      scratch.path + "/tape", "--quiet")
    #expect(made.code == 0, "\(made.error)")
    let replay = try weir(
      "replay", scratch.path + "/tape", "--out", scratch.path + "/run", "--sink", "jsonl", "--quiet", "--set",
      "flow.warmup_ms=15000")
    #expect(replay.code == 0, "\(replay.error)")
    let cached = try run(["cache", scratch.path + "/run", "--set", "redis.ttl_s=10"], server)
    #expect(cached.code == 0 && cached.last["written"]?.integer == 2, "\(cached)")
    let folder = scratch.path + "/run/signals/jsonl"
    let text = try Files.list(folder).map {
      String(decoding: try Files.read(folder + "/" + $0), as: UTF8.self)
    }
    let lines = text.joined().split(separator: "\n")
    for symbol in ["BTCUSDT", "ETHUSDT"] {
      let line = try #require(lines.last { $0.contains("\"symbol\":\"\(symbol)\"") })
      let value = server.answer(to: "GET weir:signal:{\(symbol)}")
      #expect(value == "$\(line.utf8.count)\r\n\(line)\r\n")
      let features = server.answer(to: "GET weir:features:{\(symbol)}")
      #expect(
        features.contains("\"seq\":") && features.contains("\"recv_ns\":") && features.contains("z_ofi"))
      let got = try run(["get", symbol.lowercased()], server)
      #expect(got.code == 0 && got.last["signal"]?["symbol"]?.text == symbol)
      #expect((got.last["age_ms"]?.double ?? 0) > 0)
    }
    #expect(try run(["get", "NONE"], server).code == 1)
    let status = try run(["status", "--stream", "absent"], server)
    #expect(status.last["aof_enabled"]?.integer == 1 && status.last["stream"]?["exists"]?.boolean == false)
  }

  /// A supervised publisher beats, shows its numbers and drains; the harvester's side never notices the server.
  @Test func aSupervisedPublisherSpeaksAndDrains() throws {
    let server = try RedisServer()
    try makeTape("tape", records: 300)
    let process = try WeirProcess(
      [
        "redis", "publish", scratch.path + "/tape", "--stream", "t", "--supervised", "--metrics-port", "0",
      ], environment: environment(server), hasInput: true)
    let port = UInt16(try #require(try process.nextLine()["metrics_port"]?.integer))
    func hasBeaten() throws -> Bool {
      for _ in 0..<60 {
        let beat = try process.nextLine()["beat"]
        if beat?["is_connected"]?.boolean == true, beat?["seq"]?.integer == 300 { return true }
      }
      return false
    }
    #expect(try hasBeaten())
    #expect(try Loopback.request(port: port, "GET", "/readyz").status == 200)
    // Though there is nothing to publish, the loss of the stream is noticed and made up for.
    server.kill()
    try server.loseEndOfLog(bytes: 1 << 30)
    #expect(try Loopback.request(port: port, "GET", "/healthz").status == 200)
    try server.start()
    let deadline = Date().addingTimeInterval(60)
    while Date() < deadline, server.answer(to: "XLEN t") != ":300\r\n" { usleep(50_000) }
    #expect(server.answer(to: "XLEN t") == ":300\r\n")
    #expect(try hasBeaten())
    let metrics = try Loopback.request(port: port, "GET", "/metrics").body
    #expect(metrics.contains("weir_redis_publish_records_total 600\n"), "\(metrics)")
    #expect(metrics.contains("weir_redis_publish_backlog_bytes 0\n"))
    try process.hangUp()
    let (code, last) = try process.wait()
    #expect(code == 0 && last["summary"]?["records"]?.integer == 600)
  }
}
