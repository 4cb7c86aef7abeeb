import Core
import Foundation
import ProcessKit
import Services
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// The signal stage as an operator or a supervisor has it: killed, started again, asked for its numbers.
@Suite(
  "Signal stage, killed", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct SignalKillTests {
  private let scratch = Scratch()

  /// Makes a market, and returns its one segment's name and bytes.
  private func makeSource(minutes: String) throws -> (name: String, bytes: [UInt8]) {
    let made = try weir(
      "venue", "generate", "--seed", "31", "--minutes", minutes, "--symbols", "BTCUSDT,ETHUSDT", "--gaps",
      "5",
      "--duplicates", "5", "--reorder", "5", "--out", scratch.path + "/source", "--quiet")
    #expect(made.code == 0, "\(made.error)")
    let name = try #require(try Files.list(scratch.path + "/source").first { $0.hasSuffix(".ndjson") })
    return (name, try Files.read(scratch.path + "/source/" + name))
  }

  private func words(_ more: [String] = []) -> [String] {
    [
      "signal", scratch.path + "/tape", "--out", scratch.path + "/live", "--sink", "dual", "--set",
      "signal.checkpoint_s=1",
    ] + more
  }

  private func jsonl(_ run: String) throws -> [UInt8] {
    let folder = scratch.path + "/" + run + "/signals/jsonl"
    return try Files.list(folder).flatMap { try Files.read(folder + "/" + $0) }
  }

  @Test func twentyKillsLeaveTheBytesOfNone() throws {
    let (name, bytes) = try makeSource(minutes: "8")
    var random = SeededRandom(seed: UInt64(ProcessInfo.processInfo.processIdentifier))
    try Files.makeFolder(scratch.path + "/tape")
    let path = scratch.file("tape/" + name, "")
    // Grows for 14 seconds in pieces that end anywhere, also within a record.
    let piece = max(1, bytes.count / 1400)
    let feeder = Thread {
      guard let file = FileHandle(forWritingAtPath: path) else { return }
      for start in stride(from: 0, to: bytes.count, by: piece) {
        try? file.write(contentsOf: bytes[start..<min(bytes.count, start + piece)])
        Thread.sleep(forTimeInterval: 0.01)
      }
    }
    feeder.start()
    var resumed: [Int64] = []
    for _ in 0..<20 {
      let process = try WeirProcess(words(["--json"]))
      let lifeMs = 50 + random.below(1400)
      if lifeMs > 400 {
        let ready = try process.nextLine()
        resumed.append(ready["resumed_from_seq"]?.integer ?? 0)
      }
      Thread.sleep(forTimeInterval: Double(lifeMs) / 1000)
      process.signal(SIGKILL)
      _ = try process.wait()
      #expect(!process.errorText.contains("beginning"), "\(process.errorText)")
    }
    while !feeder.isFinished { Thread.sleep(forTimeInterval: 0.05) }
    let (code, last) = try WeirProcess(words(["--json", "--idle-s", "0.5"])).wait()
    #expect(code == 0)
    #expect(resumed == resumed.sorted() && (resumed.last ?? 0) > 0, "\(resumed)")
    let from = try #require(last["live"]?["resumed_from_seq"]?.integer)
    #expect(from > 0)
    // No record is read that lies before the checkpoint; `seq` is dense.
    #expect(last["live"]?["records_read"]?.integer == (last["records_total"]?.integer ?? 0) - from)

    let replay = try weir(
      "replay", scratch.path + "/source", "--out", scratch.path + "/whole", "--sink", "dual", "--json",
      "--quiet",
      "--set", "signal.checkpoint_s=1")
    #expect(replay.code == 0, "\(replay.error)")
    for member in replay.json.members ?? []
    where !["wall_s", "cpu_s", "frames_per_cpu_s", "max_rss_mb"].contains(member.key) {
      #expect(last[member.key] == member.value, "\(member.key)")
    }
    #expect(try jsonl("live") == jsonl("whole"))
    #expect(try jsonl("live/shadow") == jsonl("whole/shadow") && jsonl("whole/shadow").count > 1000)
    // The rows of the database are those of the lines, one by one.
    for run in ["live", "live/shadow"] {
      let parity = try weir("parity", scratch.path + "/" + run, "--json")
      #expect(
        parity.code == 0 && parity.json["exact"]?.boolean == true, "\(parity.output) \(parity.error)")
    }
    let reports = scratch.path + "/live/reports"
    for report in try Files.list(reports) where !Files.isFolder(reports + "/" + report) {
      #expect(
        try Files.read(reports + "/" + report) == Files.read(scratch.path + "/whole/reports/" + report),
        "\(report)")
    }
  }

  /// A supervised service says that it is ready, beats, shows its numbers, refuses commands, and drains when
  /// its supervisor is gone; started again it goes on.
  @Test func aSupervisedServiceSpeaksAndDrains() throws {
    let (name, bytes) = try makeSource(minutes: "5")
    try Files.makeFolder(scratch.path + "/tape")
    _ = scratch.file("tape/" + name, bytes)
    for round in 0..<2 {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: ProcessInfo.processInfo.environment["WEIR_BINARY"]!)
      process.arguments = words(["--supervised", "--metrics-port", "0"])
      let (input, output) = (Pipe(), Pipe())
      process.standardInput = input
      process.standardOutput = output
      try process.run()
      defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
      var text = Data()
      func line(_ key: String) throws -> JSONValue {
        while true {
          while let end = text.firstIndex(of: 0x0A) {
            let bytes = Array(text[text.startIndex..<end])
            text = Data(text[(end + 1)...])
            let json = try bytes.withUnsafeBytes { try JSONValue(parsing: $0) }
            if json[key] != nil { return json }
          }
          let more = output.fileHandleForReading.availableData
          try #require(!more.isEmpty, "the output ended before \(key)")
          text += more
        }
      }
      let ready = try line("ready")
      let port = try #require(ready["metrics_port"]?.integer)
      #expect(((ready["resumed_from_seq"]?.integer ?? 0) > 0) == (round == 1))
      let beat = try line("beat")["beat"]
      #expect((beat?["seq"]?.integer ?? 0) > 1000 && (beat?["rows"]?.integer ?? 0) > 1000)
      #expect((beat?["time_ns"]?.integer ?? 0) > 0 && beat?["backlog_bytes"]?.integer == 0)
      input.fileHandleForWriting.write(Data("{\"id\":4,\"do\":\"dance\"}\n".utf8))
      let reply = try line("reply")
      #expect(reply["reply"]?.integer == 4 && reply["ok"]?.boolean == false)
      let metrics = try fetch("/metrics", port)
      for name in [
        "weir_signal_rows_total{symbol=\"BTCUSDT\"}",
        "weir_signal_rows_gated_total{reason=\"low_consistency\"}",
        "weir_signal_frames_total", "weir_signal_tape_sequence", "weir_signal_gaps_total{symbol=\"ETHUSDT\"}",
        "weir_signal_latency_seconds_bucket", "feature_compute_ms_bucket{name=\"row\"",
        "feature_nan_rate{name=\"score\"}", "weir_signal_volatility_bps{symbol=\"BTCUSDT\"}",
        "weir_signal_checkpoints_total", "task_latency_seconds_bucket{task_type=\"signal_batch\"",
        "weir_task_overruns_total{task_type=\"signal_batch\"} 0",
      ] { #expect(metrics.contains(name), "\(name)") }
      #expect(try fetch("/readyz", port).contains("ready"))
      try input.fileHandleForWriting.close()
      let summary = try line("summary")["summary"]
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      #expect((summary?["frames_total"]?.integer ?? 0) > 1000)
      #expect(Files.exists(scratch.path + "/live/summary.json"))
      #expect(!Files.exists(scratch.path + "/live/reports"))
    }
  }

  private func fetch(_ path: String, _ port: Int64) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
    let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
    try file.write(contentsOf: Data("GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8))
    return String(decoding: file.readDataToEndOfFile(), as: UTF8.self)
  }
}
