import CommandLineKit
import Core
import Foundation
import Services
import Testing

@testable import weir

private let binary = ProcessInfo.processInfo.environment["WEIR_BINARY"]
private let data = ProcessInfo.processInfo.environment["WEIR_DATA"] ?? "../shared/data"

/// A folder of a test's own, removed with it.
final class Scratch {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "weir-end-to-end-" + UUID().uuidString
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String, _ bytes: [UInt8]) -> String {
    _ = FileManager.default.createFile(atPath: path + "/" + name, contents: Data(bytes))
    return path + "/" + name
  }

  func file(_ name: String, _ text: String) -> String { file(name, Array(text.utf8)) }
}

struct Outcome {
  var code: Int32
  var output: String
  var error: String

  var json: JSONValue {
    (try? JSONValue(parsing: output.split(separator: "\n").last.map(String.init) ?? "")) ?? .null
  }
}

/// Runs the release binary as a user would.
@discardableResult
func weir(_ words: String..., environment: [String: String] = [:]) throws -> Outcome {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: try #require(binary))
  process.arguments = words
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  let (output, error) = (Pipe(), Pipe())
  process.standardOutput = output
  process.standardError = error
  process.standardInput = FileHandle.nullDevice
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  let complaint = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  // A trap would end with a signal, which is never an acceptable answer to bad input.
  #expect(process.terminationReason == .exit, "\(words) ended by a signal: \(complaint)")
  return Outcome(code: process.terminationStatus, output: text, error: complaint)
}

@Suite("Commands")
struct CommandTests {
  @Test func allExamplesParse() {
    #expect(Weir.tool.exampleProblems() == [])
  }

  /// The shipped configuration lists every key at its default.
  @Test func shippedConfigurationIsTrue() throws {
    let shipped = try String(decoding: Files.read("config/defaults.yaml"), as: UTF8.self)
    #expect(
      shipped == WeirConfiguration.schema.defaultsText(), "run: weir config --defaults > config/defaults.yaml"
    )
  }
}

@Suite("End to end", .enabled(if: binary != nil, "WEIR_BINARY names no binary; run make test"))
struct EndToEndTests {
  @Test func helpAndUsage() throws {
    for command in ["replay", "import", "parity", "config", "doctor"] {
      let help = try weir(command, "--help")
      #expect(help.code == 0)
      #expect(help.output.contains("weir \(command) "))
    }
    #expect(try weir("replai").code == 2)
    #expect(try weir("replay").code == 2)
    #expect(try weir("replay", "tape", "--out", "x", "--speed", "fast").code == 2)
    #expect(try weir("replay", "tape", "--out", "x", "--sink", "csv").code == 2)
    #expect(try weir("version").output.hasPrefix("weir 0."))
  }

  @Test func configuration() throws {
    let scratch = Scratch()
    let wrong = scratch.file("wrong.yaml", "flow:\n  ofi_windw_ms: 3000\n  levels: 3\n  levels: 4\n")
    let unknown = try weir("config", "--config", wrong)
    #expect(unknown.code == 2)
    #expect(unknown.error.contains("wrong.yaml:2"))
    #expect(unknown.error.contains("flow.ofi_window_ms"))
    #expect(unknown.error.contains("wrong.yaml:4"))
    let file = scratch.file("file.yaml", "flow:\n  ofi_window_ms: 3000\n  cvd_window_ms: 4000\n  levels: 3\n")
    let merged = try weir(
      "config", "--config", file, "--set", "flow.levels=2", "--json",
      environment: ["WEIR__flow__cvd_window_ms": "7000", "WEIR__flow__levels": "4"])
    #expect(merged.code == 0)
    #expect(merged.output.contains("3000"))
    #expect(merged.output.contains("7000"))
    #expect(!merged.output.contains("4000"))
    #expect(try weir("config", environment: ["WEIR__tape__compress": "1"]).code == 2)
    #expect(try weir("config", environment: ["WEIR__nothing__here": "1"]).code == 2)
  }

  @Test func generateReplayParityVerify() throws {
    let scratch = Scratch()
    let tape = scratch.path + "/tape"
    #expect(
      try weir(
        "venue", "generate", "--seed", "3", "--symbols", "BTCUSDT,SOLUSDT", "--minutes", "4", "--gaps", "2",
        "--out",
        tape, "--truth", scratch.path + "/truth.json"
      ).code == 0)
    let one = try weir(
      "replay", tape, "--out", scratch.path + "/1", "--json", "--final-books", scratch.path + "/books.json")
    let two = try weir(
      "replay", tape, "--out", scratch.path + "/2", "--json", "--sink", "jsonl", "--speed", "x300")
    #expect(one.code == 0 && two.code == 0)
    #expect(one.json["signals_sha256"]?.text?.count == 64)
    #expect(one.json["signals_sha256"] == two.json["signals_sha256"])
    for key in ["frames_total", "wall_s", "cpu_s", "frames_per_cpu_s", "max_rss_mb"] {
      #expect((one.json[key]?.double ?? 0) > 0, "\(key)")
    }
    for key in [
      "frames", "depth_events", "book_ticker_events", "trades", "trades_excluded", "decode_errors", "gaps",
      "resyncs",
      "crossed", "ofi_l1_sum", "ofi_book_l1_sum", "cvd", "r2_10s", "signals", "confirmed", "strong",
    ] {
      #expect(one.json["symbols"]?["BTCUSDT"]?[key]?.double != nil, "\(key)")
    }
    #expect(one.json["symbols"]?["BTCUSDT"]?["guard_reasons"]?["warmup"] != nil)
    let parity = try weir("parity", scratch.path + "/1", "--json")
    #expect(parity.code == 0)
    #expect(parity.json["exact"]?.boolean == true)
    #expect(Files.exists(scratch.path + "/1/parity_diff.json"))
    #expect(try weir("parity", scratch.path + "/2").code == 1)
    #expect(try weir("tape", "verify", tape, "--json").code == 0)
    let reports = try Files.list(scratch.path + "/1/reports")
    #expect(reports.contains { $0.hasSuffix(".md") } && reports.contains { $0.hasSuffix(".json") })
    #expect(try !Files.list(scratch.path + "/1/reports/charts").isEmpty)
    #expect(try weir("replay", tape, "--out", scratch.path + "/1").code == 1)
  }

  @Test func badInputIsNamed() throws {
    let scratch = Scratch()
    let out = scratch.path + "/tape"
    for (name, bytes) in [
      ("empty.gz", []), ("empty.txt", []),
      ("junk.bin", (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 3) }),
      ("junk.gz", [0x1F, 0x8B, 8, 0] + [UInt8](repeating: 0xAA, count: 400)),
      ("words.txt", Array("no frames here\n".utf8)),
    ] as [(String, [UInt8])] {
      let result = try weir("import", "--out", out + name, scratch.file(name, bytes))
      #expect(result.code == 1, "\(name)")
      #expect(result.error.contains(name), "\(name): \(result.error)")
    }
    #expect(try weir("import", "--out", out, scratch.path + "/absent.gz").code == 1)
    #expect(try weir("replay", scratch.path + "/no-tape", "--out", scratch.path + "/run").code == 1)
    // A path below a file can be created by nobody, not even by root.
    let blocked = scratch.file("file", "x") + "/run"
    try weir("venue", "generate", "--minutes", "0.5", "--out", out)
    let readOnly = try weir("replay", out, "--out", blocked)
    #expect(readOnly.code == 1)
    #expect(readOnly.error.contains("file/"))
    #expect(try weir("venue", "generate", "--minutes", "1", "--out", blocked).code == 1)
    #expect(
      try weir("venue", "generate", "--minutes", "1", "--symbols", "BTCUSDT,BTCUSDT", "--out", out + "2").code
        == 2)
    #expect(try weir("venue", "generate", "--minutes", "1", "--out", out).code == 1)
  }

  @Test func badFramesAreCountedSkips() throws {
    let scratch = Scratch()
    let trade =
      "{\"stream\":\"xusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1721347022956,\"T\":1721347022956,\"s\":\"XUSDT\",\"t\":1,\"p\":\"1.50\",\"q\":\"2\",\"X\":\"MARKET\",\"m\":true}}"
    let lines = [
      trade, "\u{1}\u{2} binary", trade.replacingOccurrences(of: "\"q\":\"2\",", with: ""),
      trade.replacingOccurrences(of: "1.50", with: "99999999999999999999.50"),
      trade.replacingOccurrences(of: "1.50", with: "1.505"),
      trade.replacingOccurrences(of: "\"t\":1", with: "\"t\":2"),
    ].enumerated().map { "17213470209844809\(40 + $0.offset) \($0.element)" }
    let file = scratch.file("frames.txt", lines.joined(separator: "\n") + "\n")
    let imported = try weir("import", "--out", scratch.path + "/tape", "--json", file)
    #expect(imported.code == 0)
    #expect(imported.json["frames"]?.integer == 5)
    #expect(imported.json["skipped_lines"]?.integer == 1)
    let replay = try weir(
      "replay", scratch.path + "/tape", "--out", scratch.path + "/run", "--json", "--sink", "jsonl")
    #expect(replay.code == 0)
    #expect(replay.json["symbols"]?["XUSDT"]?["decode_errors"]?.integer == 3)
    #expect(replay.json["decode_error_reasons"]?["off_grid"]?.integer == 1)
    #expect(replay.json["decode_error_reasons"]?["overflow"]?.integer == 1)
    #expect(replay.json["decode_error_reasons"]?["missing_field"]?.integer == 1)
    #expect(replay.json["symbols"]?["XUSDT"]?["cvd"]?.text == "-4")
  }

  @Test(.enabled(if: Files.isFolder(data), "the recordings are not here; set WEIR_DATA"))
  func truncatedGzipIsImportedAsFarAsItGoes() throws {
    let scratch = Scratch()
    let whole = try Files.read(data + "/usdm_20240718/btcusdt_20240718.gz")
    let cut = scratch.file("cut.gz", Array(whole[0..<(whole.count / 2)]))
    let result = try weir("import", "--out", scratch.path + "/tape", "--json", cut)
    #expect(result.code == 0)
    #expect(result.json["truncated"]?.boolean == true)
    #expect((result.json["frames"]?.integer ?? 0) > 1000)
    #expect(try weir("replay", scratch.path + "/tape", "--out", scratch.path + "/run").code == 0)
  }

  /// A torn end is left out and said; a hole in the tape is a failed check.
  @Test func damagedTapesAreReported() throws {
    let scratch = Scratch()
    let tape = scratch.path + "/tape"
    try weir("venue", "generate", "--minutes", "1", "--out", tape)
    let segment = tape + "/" + (try #require(try Files.list(tape).first { $0.hasSuffix(".ndjson") }))
    let whole = try Files.read(segment)
    _ = FileManager.default.createFile(atPath: segment, contents: Data(whole.dropLast(7)))
    let torn = try weir("replay", tape, "--out", scratch.path + "/1", "--json", "--sink", "jsonl")
    #expect(torn.code == 0)
    #expect((torn.json["tape"]?["torn_tail_bytes"]?.integer ?? 0) > 0)
    #expect(torn.json["warnings"]?.elements?.isEmpty == false)
    var lines = whole.split(separator: 10).map { Array($0) + [10] }
    lines.remove(at: lines.count / 2)
    _ = FileManager.default.createFile(atPath: segment, contents: Data(lines.joined()))
    let holed = try weir("replay", tape, "--out", scratch.path + "/2", "--json", "--sink", "jsonl")
    #expect(holed.code == 1)
    #expect(holed.json["sequence_holes"]?.integer == 1)
    #expect(try weir("tape", "verify", tape).code == 1)
  }

  /// A disk that fills up: a small file system of its own, where this machine lets one be mounted.
  @Test func fullDiskIsAnErrorNotDamage() throws {
    let scratch = Scratch()
    let disk = scratch.path + "/disk"
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
    guard mount("tmpfs", disk, "tmpfs", 0, "size=3m") == 0 else {
      print("full disk: not tried, a tmpfs cannot be mounted here")
      return
    }
    defer { umount(disk) }
    try weir("venue", "generate", "--minutes", "10", "--out", scratch.path + "/tape")
    let generated = try weir(
      "venue", "generate", "--minutes", "10", "--out", disk + "/tape", "--set", "tape.disk_free_mib_min=0")
    #expect(generated.code == 1)
    #expect(generated.error.contains("disk") || generated.error.contains("space"), "\(generated.error)")
    // What was written is still a tape of whole records.
    #expect(try weir("tape", "verify", disk + "/tape", "--json").code == 0)
    try? FileManager.default.removeItem(atPath: disk + "/tape")
    let replayed = try weir("replay", scratch.path + "/tape", "--out", disk + "/run", "--sink", "dual")
    #expect(replayed.code == 1)
    #expect(replayed.error.contains("space") || replayed.error.contains("full"), "\(replayed.error)")
  }
}
