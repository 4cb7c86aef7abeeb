import Core
import Foundation
import ProcessKit
import Store
import Strategy
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// The services that follow a run's signals, as processes that are killed.
@Suite("Following", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct FollowingTests {
  /// A writer of rows: three symbols every 250 ms of tape time.
  private struct Feeder: ~Copyable {
    private var random: SeededRandom
    private var sinks: SignalSinkSet
    private var index = 0

    init(_ folder: String, _ choice: SignalSinkSet.Choice, seed: UInt64) throws {
      random = SeededRandom(seed: seed)
      var symbols = SymbolTable()
      for name in ["BTCUSDT", "ADAUSDT", "ETHUSDT"] { _ = symbols.intern(name) }
      sinks = try SignalSinkSet(
        choice, runFolder: folder, context: SignalContext(symbols: symbols, configVersion: "0123456789ab"))
    }

    mutating func write(_ count: Int) throws {
      for _ in 0..<count {
        let bid = 6_394_390 + Int64(random.below(4000))
        let kind = Signal.Kind.allCases[random.below(5)]
        try sinks.append(
          Signal(
            trigger: .grid,
            receiveTime: UnixNanos(1_721_347_020_000_000_000 + Int64(index / 3) * 250_000_000),
            symbol: SymbolID(index % 3), score: Micros(random.normal()), zOFI: Micros(1.0),
            zCVD: Micros(1.0), ofi: Micros(1.0), cvd: 1, quantityScale: DecimalScale(3),
            consistency: Micros(0.5), dispersion: Micros(0.5), doubledMid: 2 * bid + 1,
            priceScale: DecimalScale(2), spreadBps: Micros(2e4 / Double(2 * bid + 1)), lagMs: Micros(3.0),
            stalenessMs: Micros(12.0), regime: .normal, kind: kind,
            confirmed: kind != .neutral && random.bernoulli(0.5),
            guardReason: kind == .neutral ? .weak : .none, qualityFlags: [], tapeSequence: Int64(index)))
        index += 1
      }
      try sinks.flush()
    }

    mutating func finish() throws { try sinks.finish() }
  }

  /// Twenty kill -9 at random while rows come: the journal of a broker that was left alone, and no order
  /// twice.
  @Test(arguments: ["jsonl", "sqlite"])
  func aKilledBrokerLosesAndDoublesNothing(sink: String) throws {
    let scratch = Scratch()
    let seed: UInt64 = sink == "jsonl" ? 21 : 22
    var random = SeededRandom(seed: seed)
    let run = scratch.path + "/run"
    var feeder = try Feeder(run, SignalSinkSet.Choice(rawValue: sink)!, seed: seed)
    let words = ["broker", "--run", run, "--sink", sink]
    var kills = 0
    while kills < 20 {
      let broker = try WeirProcess(words)
      // Also before it is ready.
      if random.bernoulli(0.8) { _ = try broker.nextLine() }
      for _ in 0..<(1 + random.below(6)) {
        try feeder.write(1 + random.below(200))
        usleep(UInt32(random.below(30_000)))
      }
      broker.signal(SIGKILL)
      _ = try broker.wait()
      kills += 1
    }
    let last = try WeirProcess(words)
    _ = try last.nextLine()
    try feeder.write(100)
    try feeder.finish()
    Thread.sleep(forTimeInterval: 0.5)
    let (code, summary) = try last.stop()
    #expect(code == 0, "\(last.errorText)")
    let journal = try Files.read(run + "/orders/orders.jsonl")
    let ids = journal.split(separator: 0x0A).map { line in
      String(decoding: line.split(separator: 0x22)[3], as: UTF8.self)
    }
    #expect(ids.count > 500 && Set(ids).count == ids.count)
    #expect(summary["orders"]?.integer == Int64(ids.count))
    try FileManager.default.moveItem(atPath: run + "/orders", toPath: scratch.path + "/killed")
    #expect(try weir("broker", "--run", run, "--sink", sink, "--once").code == 0)
    #expect(try Files.read(run + "/orders/orders.jsonl") == journal, "seed \(seed)")
    #expect(
      try Files.read(run + "/orders/summary.json") == Files.read(scratch.path + "/killed/summary.json"))
  }

  /// Under a supervisor: a ready line, beats, metrics, a drain when its input ends, a summary as the last
  /// line.
  @Test func theSupervisedProtocolIsSpoken() throws {
    let scratch = Scratch()
    let run = scratch.path + "/run"
    var feeder = try Feeder(run, .dual, seed: 5)
    try feeder.write(300)
    for service in ["broker", "report"] {
      let process = Process()
      process.executableURL = URL(
        fileURLWithPath: try #require(ProcessInfo.processInfo.environment["WEIR_BINARY"]))
      process.arguments = [
        service, "--run", run, "--sink", "dual", "--supervised", "--metrics-port", "0",
      ]
      let (input, output) = (Pipe(), Pipe())
      process.standardInput = input
      process.standardOutput = output
      try process.run()
      Thread.sleep(forTimeInterval: 1.6)
      try input.fileHandleForWriting.write(contentsOf: Data("{\"id\":7,\"do\":\"dance\"}\n".utf8))
      Thread.sleep(forTimeInterval: 0.2)
      try input.fileHandleForWriting.close()
      let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(process.terminationReason == .exit && process.terminationStatus == 0)
      let lines = try text.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
      #expect(lines.first?["ready"]?.boolean == true && (lines.first?["metrics_port"]?.integer ?? 0) > 0)
      let beat = lines.compactMap { $0["beat"] }.last
      #expect(beat?["seq"]?.integer == 300 && beat?["bytes_behind"]?.integer == 0, "\(text)")
      #expect((beat?["time_ns"]?.integer ?? 0) > 1_721_347_020_000_000_000)
      #expect(lines.contains { $0["reply"]?.integer == 7 && $0["ok"]?.boolean == false })
      #expect(lines.last?["summary"]?.members != nil)
    }
    #expect(Files.exists(run + "/summary_2024-07-18.json") && Files.exists(run + "/orders/summary.json"))
  }

  @Test func metricsAreServed() throws {
    let scratch = Scratch()
    let run = scratch.path + "/run"
    var feeder = try Feeder(run, .jsonl, seed: 6)
    try feeder.write(600)
    let broker = try WeirProcess(["broker", "--run", run, "--metrics-port", "0"])
    let port = try #require(try broker.nextLine()["metrics_port"]?.integer)
    Thread.sleep(forTimeInterval: 0.5)
    let text = try get("/metrics", port: UInt16(port))
    for name in [
      "weir_broker_signals_read_total 600", "weir_broker_feed_bytes_behind 0", "weir_broker_orders_total{",
      "weir_broker_rejects_total{reason=\"position_limit\"}", "weir_broker_position{symbol=\"BTCUSDT\"}",
      "order_roundtrip_seconds_count 0",
    ] { #expect(text.contains(name), "\(name) in \(text)") }
    let second = try weir("broker", "--run", run)
    #expect(second.code == 1 && second.error.contains("in use"), "\(second.error)")
    #expect(try broker.stop().code == 0)
  }

  private func get(_ path: String, port: UInt16) throws -> String {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let peer = FileHandle(fileDescriptor: socket, closeOnDealloc: true)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(code == 0)
    try peer.write(
      contentsOf: Data("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".utf8))
    return String(decoding: try peer.readToEnd() ?? Data(), as: UTF8.self)
  }
}
