import Core
import Foundation
import ProcessKit
import Services
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

private struct NoSuchBeat: Error {
  var last: String
}

/// A harvester as a supervisor runs it: commands in, replies and beats out.
private final class Supervised {
  let process: WeirProcess
  let ready: JSONValue
  private(set) var beat = JSONValue.null
  private var lastID: Int64 = 0

  init(_ venue: String, tape: String) throws {
    process = try WeirProcess(
      [
        "harvest", "--venue", venue, "--symbols", "BTCUSDT,ETHUSDT", "--out", tape, "--supervised",
        "--metrics-port", "0",
      ], hasInput: true)
    var line = try process.nextLine()
    while line["ready"] == nil { line = try process.nextLine() }
    ready = line
  }

  /// Asks and waits for the reply.
  func ask(_ name: String, _ arguments: JSONValue = .object([])) throws -> JSONValue {
    lastID += 1
    try process.say(.object(["id": .integer(lastID), "do": .string(name), "args": arguments]))
    while true {
      let line = try process.nextLine()
      if line["reply"]?.integer == lastID { return line }
      if let beat = line["beat"] { self.beat = beat }
    }
  }

  /// Waits for a beat.
  func waitForBeat(seconds: Double = 60, where condition: (JSONValue) -> Bool = { _ in true }) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while true {
      if let beat = try process.nextLine()["beat"] {
        self.beat = beat
        if condition(beat) { return }
      }
      if Date() > deadline {
        throw NoSuchBeat(last: beat.text())
      }
    }
  }

  /// Ends it; its summary.
  func stop() throws -> (code: Int32, summary: JSONValue) {
    let (code, last) = try process.stop()
    return (code, last["summary"] ?? .null)
  }
}

@Suite(
  "Supervised harvester", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct SupervisedHarvestTests {
  private let scratch = Scratch()
  private var tape: String { scratch.path + "/tape" }

  private func venue(_ words: String...) throws -> (process: WeirProcess, address: String) {
    let process = try WeirProcess(
      ["venue", "serve", "--port", "0", "--seed", "11", "--truth", scratch.path + "/truth.json"] + words)
    return (process, try process.nextLine()["rest"]?.text ?? "")
  }

  /// The tape, read again, has the venue's books at its end and lacks no trade.
  private func expectWholeTape() throws {
    #expect(try weir("tape", "verify", tape).code == 0)
    let books = scratch.path + "/books.json"
    let outcome = try weir(
      "replay", tape, "--out", scratch.path + "/run", "--json", "--quiet", "--final-books", books)
    #expect(outcome.code == 0, "\(outcome.error)")
    let found = try Files.read(books).withUnsafeBytes { try JSONValue(parsing: $0) }
    let truth = try Files.read(scratch.path + "/truth.json").withUnsafeBytes { try JSONValue(parsing: $0) }
    for member in truth["symbols"]?.members ?? [] {
      #expect(found[member.key]?["bids"] == member.value["bids"], "\(member.key) bids")
      #expect(found[member.key]?["asks"] == member.value["asks"], "\(member.key) asks")
      #expect(outcome.json["symbols"]?[member.key]?["trades_missing"]?.integer == 0, "\(member.key)")
    }
  }

  private func tapeText() throws -> String {
    let name = try Files.list(tape).filter { $0.hasSuffix(".ndjson") }.sorted().last
    return String(decoding: try Files.read(tape + "/" + (name ?? "")), as: UTF8.self)
  }

  @Test func restartReplacesTheSocketsWithoutAGap() throws {
    let venue = try venue("--rate", "400")
    let harvest = try Supervised(venue.address, tape: tape)
    #expect((harvest.ready["metrics_port"]?.integer ?? 0) > 0)
    try harvest.waitForBeat { ($0["frames"]?.integer ?? 0) > 300 }
    #expect(try harvest.ask("restart-ws")["ok"] == .bool(true))
    #expect(try harvest.ask("restart-ws")["detail"]?.text?.contains("under way") == true)
    Thread.sleep(forTimeInterval: 12)
    _ = try venue.process.stop()
    Thread.sleep(forTimeInterval: 0.3)
    let (code, summary) = try harvest.stop()
    #expect(code == 0, "\(harvest.process.errorText)")
    #expect(summary["rotations"]?.integer == 2)
    for counter in ["gaps", "lost", "reconnects", "queue_dropped", "resyncs"] {
      #expect(summary[counter]?.integer == 0, "\(counter)")
    }
    try expectWholeTape()
  }

  @Test func interventionsAreOnTheTapeAndLiveIsReplay() throws {
    let venue = try venue()
    let signal = try WeirProcess([
      "signal", tape, "--out", scratch.path + "/live", "--sink", "jsonl", "--json",
    ])
    let harvest = try Supervised(venue.address, tape: tape)
    try harvest.waitForBeat { ($0["frames"]?.integer ?? 0) > 100 }
    func control(_ text: String) throws -> JSONValue { try harvest.ask("control", JSONValue(parsing: text)) }
    let reply = try control(#"{"control":"mode","value":"quiet","by":"ctl"}"#)
    #expect(reply["ok"] == .bool(true) && reply["detail"]?.text?.hasPrefix("seq ") == true)
    try harvest.waitForBeat()
    #expect(
      try control(#"{"control":"params","version":"0123456789ab","values":{"gates.lag_ms_max":500}}"#)["ok"]
        == .bool(true))
    for bad in [
      #"{"control":"mode","value":"loud"}"#, #"{"control":"wish"}"#,
      #"{"control":"params","version":"0123456789ab","values":{"gates.lag_ms_max":-5}}"#,
    ] {
      let reply = try control(bad)
      #expect(reply["ok"] == .bool(false) && (reply["detail"]?.text?.count ?? 0) > 20, "\(reply.text())")
    }
    #expect(try harvest.ask("dance")["detail"]?.text?.contains("restart-ws") == true)
    #expect(try harvest.ask("rebuild-snapshot", .object(["symbol": .string("BTCUSDT")]))["ok"] == .bool(true))
    #expect(try harvest.ask("rebuild-snapshot", .object(["symbol": .string("XUSDT")]))["ok"] == .bool(false))
    #expect(try harvest.ask("compress", .object(["on": .bool(true)]))["ok"] == .bool(true))
    #expect(try harvest.ask("compress", .object(["on": .integer(1)]))["ok"] == .bool(false))
    try harvest.waitForBeat()
    try harvest.waitForBeat()
    _ = try venue.process.stop()
    Thread.sleep(forTimeInterval: 0.3)
    #expect(try harvest.stop().code == 0)
    Thread.sleep(forTimeInterval: 0.5)
    let live = try signal.stop()
    #expect(live.code == 0, "\(signal.errorText)")
    try expectWholeTape()
    let again = try weir(
      "replay", tape, "--out", scratch.path + "/again", "--sink", "jsonl", "--json", "--quiet")
    #expect(again.json["signals_sha256"] != nil)
    #expect(again.json["signals_sha256"] == live.last["signals_sha256"])
    let controls = try tapeText().split(separator: "\n").filter { $0.contains("weir@control") }
    #expect(controls.count == 2)
  }

  @Test func restStandsInWhileTheVenueRefusesSockets() throws {
    let faults = scratch.file(
      "faults.json",
      """
      [{"at_ms":3000,"fault":"refuse_connections","duration_ms":8000},
       {"at_ms":3100,"fault":"cut","sessions":"all","manner":"abort"}]
      """)
    let venue = try venue("--rate", "400", "--faults", faults)
    let harvest = try Supervised(venue.address, tape: tape)
    try harvest.waitForBeat { $0["connections_open"]?.integer == 0 }
    #expect(try harvest.ask("fallback-rest", .object(["on": .bool(true)]))["ok"] == .bool(true))
    let before = harvest.beat["backfilled"]?.integer ?? 0
    try harvest.waitForBeat { ($0["backfilled"]?.integer ?? 0) > before + 20 }
    #expect(harvest.beat["connections_open"]?.integer == 0, "the trades came without a socket")
    try harvest.waitForBeat { $0["connections_open"]?.integer == 2 }
    Thread.sleep(forTimeInterval: 13)
    _ = try venue.process.stop()
    Thread.sleep(forTimeInterval: 0.3)
    let (code, summary) = try harvest.stop()
    #expect(code == 0 && summary["lost"]?.integer == 0)
    let notes = try tapeText().split(separator: "\n").filter { $0.contains("rest_fallback") }
    #expect(notes.count == 2 && notes.last?.contains("streams_deliver") == true)
    try expectWholeTape()
  }

  @Test func drainedItStaysUntilItIsToldToEnd() throws {
    let venue = try venue()
    let harvest = try Supervised(venue.address, tape: tape)
    try harvest.waitForBeat { ($0["frames"]?.integer ?? 0) > 100 }
    #expect(try harvest.ask("drain")["ok"] == .bool(true))
    try harvest.waitForBeat { $0["is_drained"] == .bool(true) }
    let sequence = harvest.beat["seq"]?.integer
    #expect(harvest.beat["connections_open"]?.integer == 0)
    let last = try tapeText().split(separator: "\n").last.map { try JSONValue(parsing: String($0)) }
    #expect(last?["seq"]?.integer == sequence && last?["data"]?["harvest"]?.text == "ended")
    for _ in 0..<2 { try harvest.waitForBeat() }
    #expect(harvest.process.isRunning && harvest.beat["seq"]?.integer == sequence)
    #expect(
      try harvest.ask("control", JSONValue(parsing: #"{"control":"shadow","value":"pause"}"#))["ok"]
        == .bool(false))
    let (code, summary) = try harvest.stop()
    #expect(code == 0 && (summary["frames"]?.integer ?? 0) > 100)
    #expect(try weir("tape", "verify", tape).code == 0)
    _ = try venue.process.stop()
  }

  @Test func itEndsWithItsSupervisor() throws {
    let venue = try venue()
    let harvest = try Supervised(venue.address, tape: tape)
    try harvest.process.hangUp()
    let (code, last) = try harvest.process.wait()
    #expect(code == 0 && last["summary"]?["frames"] != nil)
    _ = try venue.process.stop()
  }

  @Test func aTapeHasOneWriter() throws {
    let venue = try venue()
    let first = try Supervised(venue.address, tape: tape)
    let second = try weir("harvest", "--venue", venue.address, "--symbols", "BTCUSDT", "--out", tape)
    #expect(second.code == 1)
    #expect(
      second.error.contains(tape) && second.error.contains("process \(first.process.pid)"), "\(second.error)")
    first.process.signal(SIGKILL)
    _ = try first.process.wait()
    let third = try Supervised(venue.address, tape: tape)
    #expect(try third.stop().code == 0)
    _ = try venue.process.stop()
  }
}
