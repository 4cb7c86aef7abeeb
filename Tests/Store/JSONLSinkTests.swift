import Core
import Glibc
import Store
import Strategy
import Testing

@Suite("JSON lines sink")
struct JSONLSinkTests {
  let folder = TemporaryFolder()
  var jsonl: String { SignalFiles.jsonlFolder(folder.path) }

  func write(
    _ signals: [Signal], finish: Bool = true, policy: JSONLSink.SyncPolicy = .none
  ) throws -> (written: Int, duplicates: Int, recovery: JSONLSink.Recovery?) {
    var sink = try JSONLSink(runFolder: folder.path, syncPolicy: policy)
    var row = SignalRow(SignalSamples.context())
    for signal in signals {
      row.encode(signal)
      try sink.append(row)
    }
    if finish { try sink.finish() } else { try sink.flush() }
    return (sink.rowsWritten, sink.duplicatesIgnored, sink.recovery)
  }

  func names() throws -> [String] { try Files.list(jsonl) }

  func content() throws -> [UInt8] {
    var all: [UInt8] = []
    for path in try SignalFiles.list(jsonlFolder: jsonl) { all += try Files.read(path) }
    return all
  }

  func samples(_ count: Int, seed: UInt64 = 31) -> [Signal] {
    var random = SeededRandom(seed: seed)
    return SignalSamples.random(&random, count: count)
  }

  @Test(
    arguments: [
      .none, .batch, .interval(rowsMax: 7, bytesMax: 1 << 20), .interval(rowsMax: 1000, bytesMax: 2000),
    ] as [JSONLSink.SyncPolicy])
  func policiesWriteTheSameBytes(_ policy: JSONLSink.SyncPolicy) throws {
    let rows = samples(100)
    _ = try write(rows, policy: policy)
    var expected: [UInt8] = []
    var row = SignalRow(SignalSamples.context())
    for signal in rows {
      row.encode(signal)
      expected += Array(row.line)
    }
    #expect(try content() == expected)
  }

  @Test func hoursRotate() throws {
    // 23:57:01.25 UTC; the next hour begins 178.75 s later.
    let next = SignalSamples.start + 178_750_000_000
    let rows = [SignalSamples.plain(), SignalSamples.plain(time: next - 1), SignalSamples.plain(time: next)]
    _ = try write(rows, finish: false)
    #expect(try names() == ["signals-2024-07-18T23.jsonl", "signals-2024-07-19T00.jsonl.part"])
    _ = try write([SignalSamples.plain(time: next + 1)])
    #expect(try names() == ["signals-2024-07-18T23.jsonl", "signals-2024-07-19T00.jsonl"])
    #expect(try content().count(where: { $0 == 0x0A }) == 4)
  }

  @Test func sameRowsTwice() throws {
    let rows = samples(300)
    let first = try write(rows + rows)
    #expect(first.written == 300 && first.duplicates == 300)
    let bytes = try content()
    let again = try write(rows)
    #expect(again.written == 0 && again.duplicates == 300)
    #expect(try content() == bytes)
  }

  @Test func aFinishedHourGoesOn() throws {
    let rows = samples(40)
    _ = try write(Array(rows[..<20]))
    #expect(try names() == ["signals-2024-07-18T23.jsonl"])
    let more = try write(Array(rows[10...]))
    #expect(more.written == 20 && more.duplicates == 10)
    #expect(try content().count(where: { $0 == 0x0A }) == 40)
    #expect(try names() == ["signals-2024-07-18T23.jsonl"])
  }

  @Test func gridAndStrongOfOneMoment() throws {
    let rows = [SignalSamples.plain(trigger: .strong), SignalSamples.plain(trigger: .grid)]
    #expect(try write(rows).written == 2)
    #expect(try write(rows).duplicates == 2)
  }

  /// Killed at any byte of the last lines, then replayed from the start: the bytes of an undisturbed run.
  @Test func cutAtEveryByte() throws {
    let rows = samples(8)
    _ = try write(rows)
    let whole = try content()
    let finished = jsonl + "/signals-2024-07-18T23.jsonl"
    let lastLines = whole.count - 700
    for length in stride(from: whole.count, through: lastLines, by: -1) {
      try Files.remove(finished)
      try whole[..<length].withUnsafeBytes { try Files.writeAtomically(finished + ".part", $0) }
      let result = try write(rows)
      let kept = whole[..<length].count(where: { $0 == 0x0A })
      #expect(result.written == 8 - kept && result.duplicates == kept, "cut at \(length)")
      #expect(result.recovery?.rowsKept == kept)
      let lastNewline = whole[..<length].lastIndex(of: 0x0A) ?? -1
      #expect(result.recovery?.bytesCut == length - lastNewline - 1, "cut at \(length)")
      #expect(try content() == whole, "cut at \(length)")
    }
  }

  @Test func aPartWithoutRowsIsDropped() throws {
    try Files.makeFolder(jsonl)
    try Files.writeAtomically(jsonl + "/signals-2024-07-18T22.jsonl.part", "{\"signal_id\":\"BTC")
    #expect(try write([]).recovery?.rowsKept == 0)
    #expect(try names().isEmpty)
  }

  @Test func earlierHoursAreComplete() throws {
    let next = SignalSamples.start + 200_000_000_000
    _ = try write([SignalSamples.plain(), SignalSamples.plain(time: next, symbol: 1)], finish: false)
    // The replay begins with rows of the hour before, also of the symbol that the new hour does not have.
    let replay = try write([
      SignalSamples.plain(), SignalSamples.plain(time: next, symbol: 1), SignalSamples.plain(time: next + 5),
    ])
    #expect(replay.duplicates == 2 && replay.written == 1)
  }

  @Test func damageInTheMiddleIsAnError() throws {
    _ = try write(samples(5), finish: false)
    let part = jsonl + "/signals-2024-07-18T23.jsonl.part"
    var bytes = try Files.read(part)
    bytes[700] = 0x00
    try bytes.withUnsafeBytes { try Files.writeAtomically(part, $0) }
    let seen = failureText { _ = try write([]) }
    #expect(seen.contains(".part:2: ") && seen.contains("replay"), "\(seen)")
  }

  @Test func doubledHourIsAnError() throws {
    _ = try write(samples(5))
    let finished = jsonl + "/signals-2024-07-18T23.jsonl"
    try Files.writeAtomically(finished + ".part", "x")
    #expect(throws: SignalStoreError.doubledFile(path: finished)) { _ = try write([]) }
  }

  @Test func anUnwritableFolderIsNamed() throws {
    try Files.writeAtomically(folder.path + "/signals", "a file")
    #expect(failureText { _ = try write([]) }.contains(folder.path))
  }

  @Test func aFullDiskSaysSo() throws {
    var sink = try JSONLSink(runFolder: folder.path)
    symlink("/dev/full", jsonl + "/signals-2024-07-18T23.jsonl.part")
    var row = SignalRow(SignalSamples.context())
    row.encode(SignalSamples.plain())
    try sink.append(row)
    let seen = failureText { try sink.flush() }
    #expect(seen.contains("free some space") && seen.contains(".jsonl.part"), "\(seen)")
    #expect(failureText { try sink.finish() } == seen, "the row is still there to be written")
  }
}
