import Core
import Foundation
import ProcessKit
import Services
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil
private let hasServer = RealServer.find("clickhouse-server") != nil
private let hasEngine = RealServer.chdbPython != nil

/// A tape on its way into a server, either of which is killed.
private final class Loading {
  enum Engine { case legacy, modern }

  let scratch = Scratch()
  let engine: Engine
  private(set) var server: RealServer

  init(_ engine: Engine, insertsMax: Int? = nil) throws {
    self.engine = engine
    let data = scratch.path + "/data"
    server =
      try engine == .legacy
      ? RealServer.clickHouse(data: data) : RealServer.chdb(data: data, insertsMax: insertsMax)
  }

  func makeTape(seed: UInt64, minutes: String) throws {
    let made = try weir(
      "venue", "generate", "--seed", "\(seed)", "--minutes", minutes, "--symbols", "BTCUSDT,ETHUSDT",
      "--gaps", "3", "--out", scratch.path + "/tape", "--quiet")
    #expect(made.code == 0, "\(made.error)")
  }

  var url: String { server.url }
  var tape: String { scratch.path + "/tape" }

  /// On the same port, with the same data.
  func restart(insertsMax: Int? = nil) throws {
    let port = server.port
    server.stop()
    let data = scratch.path + "/data"
    server =
      try engine == .legacy
      ? RealServer.clickHouse(port: port, data: data)
      : RealServer.chdb(port: port, data: data, insertsMax: insertsMax)
  }

  func words(_ more: [String] = []) -> [String] {
    [
      "clickhouse", "load", tape, "--url", url, "--json", "--set", "clickhouse.batch_rows=400", "--set",
      "clickhouse.batch_s=5", "--set", "clickhouse.backoff_ms_min=20", "--set",
      "clickhouse.backoff_ms_max=200",
      "--set", "clickhouse.timeout_ms=60000",
    ] + more
  }

  func make() throws {
    let made = try weir("clickhouse", "init", "--url", url, "--json")
    #expect(made.code == 0, "\(made.error)")
  }

  func check() throws -> Outcome { try weir("clickhouse", "check", tape, "--url", url, "--json") }

  func expectMatch(_ comment: Comment) throws {
    let checked = try check()
    #expect(checked.code == 0, comment)
    #expect(checked.json["match"]?.boolean == true, "\(comment) \(checked.output) \(checked.error)")
    #expect((checked.json["rows_clickhouse"]?["depth"]?.integer ?? 0) > 10_000)
    #expect((checked.json["bars"]?["bars_1s"]?["count"]?.integer ?? 0) > 50)
  }
}

@Suite(
  "Loading ClickHouse", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct ClickHouseLoadTests {
  @Test(.enabled(if: hasServer, "clickhouse-server is not installed; run scripts/peers.sh"))
  func killsOfLoaderAndServerLoseAndDoubleNothing() throws {
    let seed = UInt64(ProcessInfo.processInfo.processIdentifier)
    var random = SeededRandom(seed: seed)
    let loading = try Loading(.legacy)
    try loading.makeTape(seed: seed, minutes: "2")
    try loading.make()
    for round in 0..<10 {
      let loader = try WeirProcess(loading.words())
      usleep(UInt32(20_000 + random.below(250_000)))
      if round % 2 == 0 {
        loading.server.signal(SIGKILL)
        usleep(UInt32(random.below(200_000)))
        if random.bernoulli(0.5) { loader.signal(SIGKILL) }
        try loading.restart()
        usleep(UInt32(random.below(200_000)))
      }
      loader.signal(SIGKILL)
      _ = try loader.wait()
    }
    let last = try WeirProcess(loading.words()).wait()
    #expect(last.code == 0, "seed \(seed)")
    #expect(last.last["complete"]?.boolean == true && last.last["lag_records"]?.integer == 0)
    try loading.expectMatch("seed \(seed)")
    // Nothing is left to do.
    let again = try WeirProcess(loading.words()).wait()
    #expect(again.code == 0 && again.last["batches"]?.integer == 0)

    // What is wrong is found and named.
    let port = loading.server.port
    _ = try Loopback.request(
      port: port, "POST", "/?database=weir",
      body: "INSERT INTO trade SELECT * FROM trade WHERE kind != 'duplicate' LIMIT 1")
    let checked = try loading.check()
    #expect(checked.code == 1 && checked.json["match"]?.boolean == false)
    #expect(checked.output.contains("trade: ") && checked.output.contains("bars_1s: "))
  }

  @Test(.enabled(if: hasEngine, "chdb is not there; run scripts/peers.sh"))
  func tokensAndViewsSurviveKillsOfLoaderAndServer() throws {
    let seed = UInt64(ProcessInfo.processInfo.processIdentifier)
    var random = SeededRandom(seed: seed)
    // It dies behind an insert that is in the tables and was never answered.
    let loading = try Loading(.modern)
    try loading.makeTape(seed: seed, minutes: "1")
    try loading.make()
    try loading.restart(insertsMax: 3 + random.below(20))
    var retried: Int64 = 0
    for round in 0..<6 {
      let loader = try WeirProcess(loading.words())
      let deadline = Date().addingTimeInterval(60)
      while loading.server.isRunning, loader.isRunning, Date() < deadline { usleep(5000) }
      if round % 2 == 0 { loader.signal(SIGKILL) }
      try loading.restart(insertsMax: 3 + random.below(20))
      if round % 2 == 1 {
        usleep(UInt32(random.below(700_000)))
        loader.signal(SIGTERM)
        let ended = try loader.wait()
        #expect(ended.code == 0)
        retried += ended.last["retried"]?.integer ?? 0
      }
      _ = try loader.wait()
    }
    #expect(retried > 0, "seed \(seed)")
    try loading.restart()
    let last = try WeirProcess(loading.words()).wait()
    #expect(last.code == 0 && last.last["complete"]?.boolean == true, "seed \(seed)")
    try loading.expectMatch("seed \(seed)")
  }

  @Test(.enabled(if: hasServer, "clickhouse-server is not installed; run scripts/peers.sh"))
  func aGrowingTapeIsFollowedAndTheServersAbsenceMadeUpFor() throws {
    let loading = try Loading(.legacy)
    try loading.makeTape(seed: 5, minutes: "1")
    try loading.make()
    let name = try #require(try Files.list(loading.tape).first { $0.hasSuffix(".ndjson") })
    let bytes = try Files.read(loading.tape + "/" + name)
    for file in try Files.list(loading.tape) { try? Files.remove(loading.tape + "/" + file) }
    let path = loading.scratch.file("tape/" + name, Array(bytes[..<(bytes.count / 3)]))
    let loader = try WeirProcess(loading.words(["--follow", "--metrics-port", "0"]))
    let ready = try loader.nextLine()
    let metrics = try #require(ready["metrics"]?.text)
    loading.server.signal(SIGKILL)
    let file = try #require(FileHandle(forWritingAtPath: path))
    try file.seekToEnd()
    try file.write(contentsOf: bytes[(bytes.count / 3)..<(bytes.count / 2)])
    let port = try #require(metrics.split(separator: ":").last.flatMap { UInt16($0.prefix { $0.isNumber }) })
    let deadline = Date().addingTimeInterval(60)
    while Date() < deadline,
      try !Loopback.request(port: port, "GET", "/metrics").body.contains("weir_clickhouse_up 0")
    {
      usleep(20_000)
    }
    let text = try Loopback.request(port: port, "GET", "/metrics").body
    #expect(text.contains("weir_clickhouse_up 0\n") && text.contains("weir_clickhouse_lag_records "))
    #expect(!text.contains("weir_clickhouse_lag_records 0\n"))
    try loading.restart()
    try file.write(contentsOf: bytes[(bytes.count / 2)...])
    let sequence = try #require(
      bytes.split(separator: 0x0A).last.flatMap { line in
        line.withUnsafeBytes { try? JSONValue(parsing: $0) }?["seq"]?.integer
      })
    usleep(500_000)
    let ended = try loader.stop()
    #expect(ended.code == 0, "\(loader.errorText)")
    // Stopped anywhere, the rest is loaded by the next one.
    let last = try WeirProcess(loading.words()).wait()
    #expect(last.code == 0 && last.last["seq"]?.integer == sequence)
    try loading.expectMatch("followed")
    let position = try JSONValue(
      parsing: String(
        decoding: try Files.read(loading.scratch.path + "/clickhouse/position.json"), as: UTF8.self))
    #expect(position["seq"]?.integer == sequence && position["segment"]?.text == String(name.prefix(13)))
  }

  @Test(.enabled(if: hasServer, "clickhouse-server is not installed; run scripts/peers.sh"))
  func whatWouldNotHealEndsTheLoader() throws {
    let loading = try Loading(.legacy)
    try loading.makeTape(seed: 6, minutes: "1")
    let missing = try WeirProcess(loading.words())
    #expect(try missing.wait().code == 1)
    #expect(missing.errorText.contains("weir clickhouse init"))
    try loading.make()
    let secret = "another-secret"
    let stranger = try WeirProcess(
      loading.words(["--set", "clickhouse.user=weir"]), environment: ["CLICKHOUSE_PASSWORD": secret])
    #expect(try stranger.wait().code == 1)
    #expect(stranger.errorText.contains("CLICKHOUSE_PASSWORD") && !stranger.errorText.contains(secret))
    let open = loading.scratch.file("password", "clickhouse-secret\n")
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: open)
    let words = ["--set", "clickhouse.user=weir", "--set", "clickhouse.password_file=\(open)"]
    let careless = try WeirProcess(loading.words(words))
    #expect(try careless.wait().code == 1)
    #expect(careless.errorText.contains("chmod 600"))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: open)
    #expect(try WeirProcess(loading.words(words)).wait().code == 0)

    // Rows that were dropped behind its back, and another tape under its position.
    _ = try Loopback.request(port: loading.server.port, "POST", "/?database=weir", body: "DROP TABLE depth")
    try loading.make()
    let robbed = try WeirProcess(loading.words())
    #expect(try robbed.wait().code == 1)
    #expect(robbed.errorText.contains("weir.depth ends before what was loaded"))
    try Files.remove(loading.scratch.path + "/clickhouse/position.json")
    #expect(try WeirProcess(loading.words()).wait().code == 0)
    try loading.expectMatch("loaded again")
    for file in try Files.list(loading.tape) { try? Files.remove(loading.tape + "/" + file) }
    try loading.makeTape(seed: 7, minutes: "1")
    let other = try WeirProcess(loading.words())
    #expect(try other.wait().code == 1)
    #expect(other.errorText.contains("is not the tape of"))
  }
}
