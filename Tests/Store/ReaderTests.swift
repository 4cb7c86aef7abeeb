import Core
import Glibc
import Store
import Strategy
import Testing

@Suite("Reading rows back")
struct ReaderTests {
  let folder = TemporaryFolder()

  func line(_ signal: Signal = SignalSamples.plain()) -> String {
    var row = SignalRow(SignalSamples.context())
    row.encode(signal)
    return String(decoding: row.line.dropLast(), as: UTF8.self)
  }

  func problem(_ text: String) -> String? {
    var row = StoredRow()
    return Array(text.utf8).withUnsafeBytes { row.read($0) }
  }

  @Test func strict() {
    let good = line()
    #expect(problem(good) == nil)
    for (from, to) in [
      ("\"ts_ms\":", "\"ts\":"), ("\"confirm\":true", "\"confirm\":1"),
      ("\"score\":1.5", "\"score\":\"1.5\""),
      ("\"score\":1.5", "\"score\":1e999"), ("\"score\":1.5,", ""),
      ("\"symbol\":\"BTCUSDT\"", "\"symbol\":null"),
      ("\"ts_ms\":1721347021250", "\"ts_ms\":1.5"), ("}", ",\"more\":1}"), ("}", "} x"), ("{", "["),
      ("}", ""),
      ("\"guard_reason\":null", "\"guard_reason\":false"),
    ] {
      var bytes = good
      if let range = find(from, in: bytes) { bytes.replaceSubrange(range, with: to) }
      #expect(bytes != good && problem(bytes) != nil, "\(from) → \(to)")
    }
  }

  func find(_ part: String, in text: String) -> Range<String.Index>? {
    var start = text.startIndex
    while start < text.endIndex {
      if text[start...].hasPrefix(part) { return start..<text.index(start, offsetBy: part.count) }
      start = text.index(after: start)
    }
    return nil
  }

  @Test func mutatedLinesNeverTrap() {
    let seed: UInt64 = 51
    var random = SeededRandom(seed: seed)
    let good = Array(line().utf8)
    for _ in 0..<5000 {
      var bytes = good
      for _ in 0...random.below(3) {
        switch random.below(3) {
        case 0: bytes[random.below(bytes.count)] = UInt8(random.below(256))
        case 1: bytes.remove(at: random.below(bytes.count))
        default: bytes.removeLast(random.below(bytes.count - 10))
        }
      }
      var row = StoredRow()
      _ = bytes.withUnsafeBytes { row.read($0) }
    }
  }

  @Test func badLinesAreNamedAndSkipped() throws {
    let jsonl = SignalFiles.jsonlFolder(folder.path)
    try Files.makeFolder(jsonl)
    let second = line(SignalSamples.plain(time: SignalSamples.start + 1))
    let long = String(repeating: "x", count: 300_000)
    try Files.writeAtomically(
      jsonl + "/signals-2024-07-18T23.jsonl", "\(line())\nnonsense\n\(long)\n\n\(second)\n{\"signal_id\":")
    var reader = try JSONLReader(runFolder: folder.path)
    var rows: [StoredRow] = []
    while let row = try reader.next() { rows.append(row) }
    #expect(rows.map(\.receiveTime.rawValue) == [SignalSamples.start, SignalSamples.start + 1])
    #expect(reader.linesUnreadable == 4)
    #expect(reader.firstBadLine?.line == 2)
  }

  @Test func orderIsRestoredWithinTheWindow() throws {
    let jsonl = SignalFiles.jsonlFolder(folder.path)
    try Files.makeFolder(jsonl)
    var times = Array(0..<200)
    times.swapAt(20, 30)
    let text = times.map { line(SignalSamples.plain(time: SignalSamples.start + Int64($0))) + "\n" }.joined()
    try Files.writeAtomically(jsonl + "/signals-2024-07-18T23.jsonl", text)
    var reader = try JSONLReader(runFolder: folder.path)
    var seen: [Int64] = []
    while let row = try reader.next() { seen.append(row.receiveTime.rawValue - SignalSamples.start) }
    #expect(seen == (0..<200).map { Int64($0) })
    #expect(reader.rowsOutOfOrder == 10)
  }

  @Test func longFilesThroughASmallBuffer() throws {
    var random = SeededRandom(seed: 52)
    let signals = SignalSamples.random(&random, count: 3000)
    var sinks = try SignalSinkSet(.jsonl, runFolder: folder.path, context: SignalSamples.context())
    for signal in signals { try sinks.append(signal) }
    try sinks.finish()
    var reader = try JSONLReader(runFolder: folder.path)
    var count = 0
    while try reader.next() != nil { count += 1 }
    #expect(count == 3000 && reader.linesUnreadable == 0 && reader.rowsOutOfOrder == 0)
  }

  @Test func resumeTimeIsTheSlowerSink() throws {
    let context = SignalSamples.context()
    var both = try SignalSinkSet(.dual, runFolder: folder.path, context: context)
    #expect(try both.resumeTime() == nil)
    try both.append(SignalSamples.plain())
    try both.finish()
    var one = try SignalSinkSet(.jsonl, runFolder: folder.path, context: context)
    try one.append(SignalSamples.plain(time: SignalSamples.start + 9))
    try one.finish()
    let again = try SignalSinkSet(.dual, runFolder: folder.path, context: context)
    #expect(try again.resumeTime() == UnixNanos(SignalSamples.start))
  }
}
