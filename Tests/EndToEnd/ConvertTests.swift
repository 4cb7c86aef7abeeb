import Core
import Foundation
import ProcessKit
import Tape
import Testing

private let hasBinary = ProcessInfo.processInfo.environment["WEIR_BINARY"] != nil

/// `weir convert` as a process: killed, following, asked for its numbers.
@Suite("weir convert", .enabled(if: hasBinary, "WEIR_BINARY names no binary; run make test"), .serialized)
struct ConvertTests {
  private let scratch = Scratch()

  /// A tape of several hours: what the market generator says of some minutes, spread.
  private func makeTape(hours: Int) throws -> String {
    let made = try weir(
      "venue", "generate", "--seed", "7", "--minutes", "1", "--symbols", "BTCUSDT,ETHUSDT", "--out",
      scratch.path + "/source", "--quiet")
    #expect(made.code == 0, "\(made.error)")
    var reader = try TapeReader(folder: scratch.path + "/source")
    var records: [(RecordKind, [UInt8])] = []
    while let block = try reader.nextBlock() {
      for line in block.split(separator: 0x0A) {
        if let record = TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: line)), record.kind == .frame {
          records.append((.frame, record.wireBytes()))
        }
      }
    }
    let tape = scratch.path + "/tape"
    var writer = try TapeWriter(folder: tape, options: .init(fsync: .none, diskFreeMinBytes: 1 << 20))
    let step = Int64(hours) * Nanoseconds.hour / Int64(records.count)
    for (index, record) in records.enumerated() {
      let time = UnixNanos(1_721_347_200_000_000_000 + Int64(index) * step)
      try record.1.withUnsafeBytes {
        _ = try writer.append(frame: $0, receiveTime: time, connection: 0)
      }
    }
    _ = try writer.finish()
    return tape
  }

  private func content(_ folder: String, _ prefix: String = "") throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    for name in try Files.list(folder) where name != "lock" {
      let inner = folder + "/" + name
      if Files.isFolder(inner) {
        found.merge(try content(inner, prefix + name + "/")) { $1 }
      } else {
        found[prefix + name] = try Files.read(inner)
      }
    }
    return found
  }

  /// Where two folders differ.
  private func differences(_ a: [String: [UInt8]], _ b: [String: [UInt8]]) -> [String] {
    Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }.sorted()
  }

  /// kill -9 at random moments of a conversion, each followed by going on where it stopped: the files of
  /// none. `WEIR_CONVERT_KILLS` sets how many.
  @Test func killsLeaveTheFilesOfNone() throws {
    let kills = Int(ProcessInfo.processInfo.environment["WEIR_CONVERT_KILLS"] ?? "") ?? 25
    let tape = try makeTape(hours: 6)
    let words = ["convert", tape, "--json", "--set", "storage.parquet_row_group_rows=1000", "--out"]
    let begin = Date()
    let whole = try WeirProcess(words + [scratch.path + "/whole"])
    let (code, summary) = try whole.wait()
    let seconds = Date().timeIntervalSince(begin)
    #expect(code == 0, "\(whole.errorText)")
    let expected = try content(scratch.path + "/whole")

    let seed = UInt64.random(in: 0..<1 << 32)
    print("kills of a conversion: seed \(seed)")
    var random = SeededRandom(seed: seed)
    let out = scratch.path + "/killed"
    var finished = 0
    for _ in 0..<kills {
      let process = try WeirProcess(words + [out])
      Thread.sleep(forTimeInterval: random.uniform() * seconds / 2)
      process.signal(SIGKILL)
      // Done before it was killed: from the beginning again.
      if try process.wait().code == 0 {
        #expect(try differences(content(out), expected) == [])
        finished += 1
        try FileManager.default.removeItem(atPath: out)
      }
    }
    let last = try WeirProcess(words + [out])
    let (lastCode, lastSummary) = try last.wait()
    #expect(lastCode == 0, "\(last.errorText)")
    for key in ["messages", "rows", "bytes_in", "bytes_out"] { #expect(lastSummary[key] == summary[key]) }
    #expect(try differences(content(out), expected) == [])
    print("\(kills) kills, \(finished) conversions ended between them")
  }

  /// As a supervisor has it: what is sealed is converted, the rest left; drained in order.
  @Test func itFollowsATape() throws {
    let tape = try makeTape(hours: 3)
    // The last two hours come later.
    let files = try Files.list(tape).filter { !$0.hasPrefix("2024-07-19T00") && $0 != ".lock" }
    let aside = scratch.path + "/aside"
    try Files.makeFolder(aside)
    for file in files { try Files.rename(tape + "/" + file, aside + "/" + file) }
    let out = scratch.path + "/parquet"
    let service = try WeirProcess(
      ["convert", tape, "--out", out, "--follow", "--supervised", "--metrics-port", "0"], hasInput: true)
    var line = try service.nextLine()
    while line["ready"] == nil { line = try service.nextLine() }
    let port = try #require(line["metrics_port"]?.integer)
    func wait(_ segments: Int64) throws {
      while true {
        if let beat = try service.nextLine()["beat"], beat["segments"]?.integer == segments { return }
      }
    }
    try wait(1)
    // The seal last, as a writer does; without it the segment is open.
    for file in files.sorted(by: { !$0.contains("seal") && $1.contains("seal") }) {
      try Files.rename(aside + "/" + file, tape + "/" + file)
    }
    try wait(3)
    let metrics = try Loopback.request(port: UInt16(port), "GET", "/metrics").body
    #expect(metrics.contains("weir_convert_segments_total 3"))
    #expect(metrics.contains("weir_convert_errors_total 0"))
    #expect(metrics.contains("weir_convert_lag_seconds 0"))
    try service.say(.object(["id": .integer(1), "do": .string("drain")]))
    let (code, last) = try service.wait()
    #expect(code == 0, "\(service.errorText)")
    #expect(last["summary"]?["skipped_segments"]?.integer == 3)
    let whole = try WeirProcess(["convert", tape, "--json", "--out", scratch.path + "/whole"])
    #expect(try whole.wait().code == 0)
    #expect(try differences(content(out), content(scratch.path + "/whole")) == [])
  }

  @Test func itSaysWhatItDid() throws {
    let tape = try makeTape(hours: 2)
    let out = scratch.path + "/parquet"
    let first = try weir("convert", tape, "--out", out, "--json")
    #expect(first.code == 0, "\(first.error)")
    let json = try JSONValue(parsing: first.output)
    for key in [
      "messages", "messages_per_cpu_s", "bytes_in", "bytes_out", "max_rss_mb", "segments", "skipped_segments",
      "seconds", "cpu_s", "unreadable_lines",
    ] {
      #expect(json[key]?.double != nil, "\(key)")
    }
    #expect((json["rows"]?["depth"]?.integer ?? 0) > 0)
    // A run's folder stands for its tape.
    let again = try weir("convert", scratch.path, "--out", out)
    #expect(again.code == 0 && again.output.contains("were before"), "\(again.output)")

    let path = tape + "/" + (try #require(try Files.list(tape).first { $0.hasSuffix(".zst") }))
    var bytes = try Files.read(path)
    bytes[bytes.count / 2] ^= 0x10
    try bytes.withUnsafeBytes { try Files.writeAtomically(path, $0) }
    let damaged = try weir("convert", tape, "--out", scratch.path + "/other")
    #expect(damaged.code == 1 && damaged.output.contains(Files.name(path)), "\(damaged.output)")
    #expect(try weir("convert", tape + "-none", "--out", out).code == 1)
    #expect(try weir("convert", tape).code == 2)
  }
}
