import Core
import Foundation
import ProcessKit
import Services
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// Venue, harvester and signal stage as an operator starts them: processes, ports, signals.
@Suite("Live", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct LiveTests {
  /// Runs a venue and a harvester for some seconds; the venue stops first, so that its truth is what was captured.
  private func capture(
    _ scratch: Scratch, venue venueWords: [String], symbols: String = "BTCUSDT,ETHUSDT", seconds: Double,
    environment: [String: String] = [:], during: (WeirProcess, WeirProcess) throws -> Void = { _, _ in }
  ) throws -> (summary: JSONValue, truth: JSONValue) {
    let venue = try WeirProcess(
      ["venue", "serve", "--port", "0", "--truth", scratch.path + "/truth.json"] + venueWords,
      environment: environment)
    let ready = try venue.nextLine()
    #expect(ready["ready"]?.boolean == true)
    let harvest = try WeirProcess([
      "harvest", "--venue", ready["rest"]?.text ?? "", "--symbols", symbols, "--out", scratch.path + "/tape",
      "--json",
    ])
    #expect(try harvest.nextLine()["ready"]?.boolean == true)
    try during(venue, harvest)
    Thread.sleep(forTimeInterval: seconds)
    let stopped = try venue.stop()
    #expect(stopped.code == 0)
    // What was sent is on its way through the harvester.
    Thread.sleep(forTimeInterval: 0.3)
    let (code, summary) = try harvest.stop()
    #expect(code == 0, "\(harvest.errorText)")
    let truth = try Files.read(scratch.path + "/truth.json").withUnsafeBytes { try JSONValue(parsing: $0) }
    return (summary, truth)
  }

  private func replay(_ scratch: Scratch, _ out: String = "run") throws -> (
    summary: JSONValue, books: JSONValue
  ) {
    let books = scratch.path + "/\(out).books.json"
    let outcome = try weir(
      "replay", scratch.path + "/tape", "--out", scratch.path + "/" + out, "--sink", "dual", "--json",
      "--quiet",
      "--final-books", books)
    #expect(outcome.code == 0, "\(outcome.error)")
    return (outcome.json, try Files.read(books).withUnsafeBytes { try JSONValue(parsing: $0) })
  }

  private func expectEqual(_ books: JSONValue, _ truth: JSONValue) {
    for member in truth["symbols"]?.members ?? [] {
      #expect(books[member.key]?["bids"] == member.value["bids"], "\(member.key) bids")
      #expect(books[member.key]?["asks"] == member.value["asks"], "\(member.key) asks")
      #expect((member.value["bids"]?.elements?.count ?? 0) > 100)
    }
  }

  @Test func aHarvestIsTheVenuesTruth() throws {
    let scratch = Scratch()
    let (summary, truth) = try capture(
      scratch, venue: ["--seed", "7", "--symbols", "BTCUSDT,ETHUSDT"], seconds: 6)
    #expect((summary["frames"]?.integer ?? 0) > 500)
    for counter in ["gaps", "lost", "queue_dropped", "resyncs"] {
      #expect(summary[counter]?.integer == 0, "\(counter)")
    }
    #expect(try weir("tape", "verify", scratch.path + "/tape").code == 0)
    let (run, books) = try replay(scratch)
    expectEqual(books, truth)
    for member in truth["symbols"]?.members ?? [] {
      let symbol = run["symbols"]?[member.key]
      #expect(symbol?["gaps"]?.integer == 0)
      #expect(symbol?["last_u"] == member.value["last_u"], "\(member.key)")
    }
  }

  @Test func liveSignalsAreThoseOfAReplay() throws {
    let scratch = Scratch()
    let signal = try WeirProcess([
      "signal", scratch.path + "/tape", "--out", scratch.path + "/live", "--sink", "dual", "--json",
    ])
    _ = try capture(scratch, venue: ["--seed", "9", "--rate", "400"], seconds: 5)
    Thread.sleep(forTimeInterval: 0.3)
    let (code, live) = try signal.stop()
    #expect(code == 0, "\(signal.errorText)")
    let (run, _) = try replay(scratch)
    #expect(live["signals_sha256"] == run["signals_sha256"])
    #expect(live["frames_total"] == run["frames_total"])
    #expect((live["live"]?["wake_ups"]?.integer ?? 0) > 10)
    #expect(try weir("parity", scratch.path + "/live").code == 0)
  }

  @Test func aServedTapeIsHarvestedWhole() throws {
    let scratch = Scratch()
    let generated = try weir(
      "venue", "generate", "--seed", "4", "--minutes", "1", "--symbols", "BTCUSDT,DOGEUSDT", "--out",
      scratch.path + "/source", "--quiet")
    #expect(generated.code == 0)
    let (summary, _) = try capture(
      scratch, venue: ["--tape", scratch.path + "/source", "--speed", "x20"], symbols: "BTCUSDT,DOGEUSDT",
      seconds: 6)
    #expect(summary["gaps"]?.integer == 0)
    #expect(summary["lost"]?.integer == 0)
    let (run, books) = try replay(scratch)
    let original = try weir(
      "replay", scratch.path + "/source", "--out", scratch.path + "/original", "--json", "--quiet",
      "--final-books", scratch.path + "/original.json")
    #expect(original.code == 0)
    for symbol in ["BTCUSDT", "DOGEUSDT"] {
      for value in ["ofi_l1_sum", "cvd", "depth_events", "trades", "book_ticker_events", "last_u"] {
        #expect(
          run["symbols"]?[symbol]?[value] == original.json["symbols"]?[symbol]?[value], "\(symbol) \(value)")
      }
    }
    let source = try Files.read(scratch.path + "/original.json").withUnsafeBytes {
      try JSONValue(parsing: $0)
    }
    #expect(books == source)
  }

  @Test func aKilledHarvesterGoesOnAndFillsItsTrades() throws {
    let scratch = Scratch()
    let venue = try WeirProcess([
      "venue", "serve", "--port", "0", "--seed", "3", "--rate", "1000", "--truth",
      scratch.path + "/truth.json",
    ])
    let address = try venue.nextLine()["rest"]?.text ?? ""
    let words = [
      "harvest", "--venue", address, "--symbols", "BTCUSDT,ETHUSDT", "--out", scratch.path + "/tape",
      "--json",
    ]
    for round in 0..<4 {
      let harvest = try WeirProcess(words)
      _ = try harvest.nextLine()
      // The first one sees the market open.
      Thread.sleep(forTimeInterval: round == 0 ? 2.5 : 0.4 + 0.23 * Double(round))
      harvest.signal(SIGKILL)
      _ = try harvest.wait()
    }
    let last = try WeirProcess(words)
    _ = try last.nextLine()
    Thread.sleep(forTimeInterval: 2)
    _ = try venue.stop()
    Thread.sleep(forTimeInterval: 0.3)
    let (code, summary) = try last.stop()
    #expect(code == 0, "\(last.errorText)")
    #expect((summary["backfilled"]?.integer ?? 0) > 0)
    #expect(summary["lost"]?.integer == 0)
    #expect(try weir("tape", "verify", scratch.path + "/tape").code == 0)
    let (run, books) = try replay(scratch)
    let truth = try Files.read(scratch.path + "/truth.json").withUnsafeBytes { try JSONValue(parsing: $0) }
    expectEqual(books, truth)
    for member in run["symbols"]?.members ?? [] {
      #expect(member.value["trades_missing"]?.integer == 0, "\(member.key)")
      #expect((member.value["resyncs"]?.integer ?? 0) >= 1)
    }
  }

  @Test func faultsAreCountedAndMended() throws {
    let scratch = Scratch()
    let faults = scratch.file(
      "faults.json",
      """
      [{"at_ms":2000,"fault":"drop","stream":"btcusdt@depth@100ms","count":2},
       {"at_ms":3000,"fault":"drop","stream":"ethusdt@aggTrade","count":3},
       {"at_ms":4500,"fault":"cut","sessions":"market","manner":"abort"}]
      """)
    let (summary, truth) = try capture(
      scratch, venue: ["--seed", "5", "--rate", "600", "--faults", faults], seconds: 9)
    #expect((summary["gaps"]?.integer ?? 0) >= 2)
    #expect((summary["resyncs"]?.integer ?? 0) >= 1)
    #expect((summary["reconnects"]?.integer ?? 0) >= 1)
    #expect((summary["backfilled"]?.integer ?? 0) >= 3)
    #expect(summary["lost"]?.integer == 0)
    let (_, books) = try replay(scratch)
    expectEqual(books, truth)
  }

  @Test func badInputEndsWithAClearError() throws {
    let scratch = Scratch()
    let venue = try WeirProcess(["venue", "serve", "--port", "0", "--seed", "1"])
    let address = try venue.nextLine()["rest"]?.text ?? ""
    let unknown = try weir(
      "harvest", "--venue", address, "--symbols", "BTCUSDX", "--out", scratch.path + "/a", "--minutes", "0.2")
    #expect(unknown.code == 1)
    #expect(unknown.error.contains("BTCUSDX") && unknown.error.contains("BTCUSDT"), "\(unknown.error)")
    let folder = try weir(
      "harvest", "--venue", address, "--symbols", "BTCUSDT", "--out", "/proc/weir", "--minutes", "0.1")
    #expect(folder.code == 1 && folder.error.contains("/proc/weir"), "\(folder.error)")
    let port = address.split(separator: ":").last.map(String.init) ?? ""
    let taken = try weir("venue", "serve", "--port", port)
    #expect(taken.code == 1 && taken.error.contains("port"), "\(taken.error)")
    let words = try weir(
      "harvest", "--venue", "ftp://x", "--symbols", "BTCUSDT", "--out", scratch.path + "/b")
    #expect(words.code == 2)
    // A TLS client at a plain port is no venue, now or later.
    let tls = try weir(
      "harvest", "--venue", "https://127.0.0.1:" + port, "--symbols", "BTCUSDT", "--out", scratch.path + "/c",
      "--minutes", "0.2")
    #expect(tls.code == 1 && tls.error.contains("TLS"), "\(tls.error)")
    let absent = try weir(
      "harvest", "--venue", "http://127.0.0.1:9", "--symbols", "BTCUSDT", "--out", scratch.path + "/d",
      "--minutes", "0.02")
    #expect(absent.code == 1 && absent.error.contains("no connection"), "\(absent.error)")
    _ = try venue.stop()
  }
}
