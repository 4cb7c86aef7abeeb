import Core
import Glibc
import Store
import Tape
import Testing
import Venue

@testable import Services

/// The live service on whole tapes: what it begins with, and what it makes of damaged or foreign beginnings.
@Suite("Signal service", .serialized)
struct SignalServiceTests {
  private let folder = temporaryFolder()

  private func options(_ out: String, sink: SignalSinkSet.Choice = .dual, tape: String? = nil)
    -> ReplayOptions
  {
    var configuration = WeirConfiguration()
    configuration.signal = quickConfiguration
    return ReplayOptions(
      tape: tape ?? folder + "/tape", out: folder + "/" + out, sink: sink, configuration: configuration,
      configurationVersion: "000000000000")
  }

  /// Runs the service until the tape has not grown for a moment.
  private func follow(_ options: ReplayOptions) throws -> (
    result: ReplayResult, live: JSONValue, notes: [String]
  ) {
    let service = try SignalService(SignalOptions(run: options, follower: .init(idleSecondsMax: 0.02)))
    var notes: [String] = []
    let result = try service.run(note: { notes.append($0) })
    return (try #require(result), service.live, notes)
  }

  /// Leaves a run as a crash would, in the middle of the tape: `ahead` blocks behind the checkpoint are in
  /// the sinks.
  ///
  /// - Returns: the last record before the checkpoint.
  @discardableResult
  private func crash(_ options: ReplayOptions, after records: Int64, ahead: Int = 3) throws -> Int64 {
    var reader = try TapeReader(folder: options.tape)
    let first = try #require(try reader.nextBlock())
    let identity = RunIdentity(options, first)
    try identity.claim(options.out)
    var run = try SignalRun(options, SignalLock(options.out))
    try run.process(first) { _, _ in }
    while run.recordsTotal < records, let block = try reader.nextBlock() {
      try run.process(block) { _, _ in }
    }
    try run.flush()
    var writer = CheckpointWriter()
    try SignalCheckpoint.encode(run, identity, try #require(try reader.place()), into: &writer)
    try Files.replace(SignalCheckpoint.path(options.out), writer.bytes, durable: false)
    let sequence = run.pipeline.totals.lastSequence
    for _ in 0..<ahead {
      guard let block = try reader.nextBlock() else { break }
      try run.process(block) { _, _ in }
    }
    try run.flush()
    return sequence
  }

  private func expectSameFiles(_ one: String, _ other: String) throws {
    for part in ["/signals/jsonl", "/shadow/signals/jsonl", "/reports"] {
      let names = try Files.list(folder + "/" + one + part)
      #expect(try names == Files.list(folder + "/" + other + part))
      for name in names where !Files.isFolder(folder + "/" + one + part + "/" + name) {
        let bytes = try Files.read(folder + "/" + one + part + "/" + name)
        #expect(try bytes == Files.read(folder + "/" + other + part + "/" + name), "\(part)/\(name)")
      }
    }
    func rows(_ run: String) throws -> [StoredRow] {
      var reader = try SQLiteReader(runFolder: folder + "/" + run)
      var rows: [StoredRow] = []
      while let row = try reader.next() { rows.append(row) }
      return rows
    }
    #expect(try rows(one) == rows(other))
    let shadow = try rows(other + "/shadow")
    #expect(try rows(one + "/shadow") == shadow && shadow.count > 20)
  }

  /// What summary.json says, but for what a run costs.
  private func facts(_ result: ReplayResult) -> JSONValue {
    var summary = result.summary
    summary.wallSeconds = 0
    summary.cpuSeconds = 0
    summary.maxRSSMegabytes = 0
    return summary.json
  }

  @Test(arguments: [1, 5000, 1_000_000] as [Int64])
  func aRunGoesOnFromItsCheckpoint(records: Int64) throws {
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 12, minutes: 0.7, gaps: 2, duplicates: 2, reorders: 2)
    let whole = try Replay.run(options("whole"))
    let sequence = try crash(options("live"), after: records)
    let (result, live, notes) = try follow(options("live"))
    #expect(notes.isEmpty)
    #expect(live["resumed_from_seq"]?.integer == sequence)
    #expect(facts(result) == facts(whole))
    #expect(result.sinks.rowsAppended == whole.sinks.rowsAppended)
    #expect(result.topSignals.map { "\($0)" } == whole.topSignals.map { "\($0)" })
    try expectSameFiles("live", "whole")
    #expect(!Files.exists(folder + "/live/checkpoint.bin"))
  }

  /// Whatever is wrong with the beginning: one line says so, and the result is the same.
  @Test(arguments: [
    "flipped", "cut", "empty", "version", "jsonl", "sqlite", "shadow/jsonl", "shadow/sqlite", "tape",
  ])
  func anUnusableCheckpointMeansTheWholeTape(damage: String) throws {
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 13, minutes: 0.5)
    let whole = try Replay.run(options("whole"))
    try crash(options("live"), after: 3000)
    let path = folder + "/live/checkpoint.bin"
    var bytes = try Files.read(path)
    switch damage {
    case "flipped": bytes[bytes.count / 2] ^= 1
    case "cut": bytes.removeLast(bytes.count / 3)
    case "empty": bytes = []
    case "version":
      bytes[8] = 0xFE
      var hash = RowHash()
      bytes.withUnsafeBytes { hash.append(UnsafeRawBufferPointer(rebasing: $0.dropLast(32))) }
      bytes.replaceSubrange((bytes.count - 32)..., with: hash.digest())
    case "jsonl", "shadow/jsonl":
      let lines = folder + "/live/" + damage.dropLast(5) + "signals/jsonl/"
      for name in try Files.list(lines) { try File(lines + name, .append).truncate(to: 1000) }
    case "sqlite", "shadow/sqlite":
      let database = folder + "/live/" + damage.dropLast(6) + "signals.sqlite"
      for name in ["", "-wal", "-shm"] { try Files.remove(database + name) }
    default: break
    }
    try bytes.withUnsafeBytes { try Files.replace(path, $0, durable: false) }
    if damage == "tape" {
      // A power cut took the end of the tape; what came then is not what was read.
      let name = try #require(Files.list(folder + "/tape").first { $0.hasSuffix(".ndjson") })
      let file = try File(folder + "/tape/" + name, .append)
      try file.truncate(to: 100_000)
    }
    if damage == "tape" {
      let (_, live, notes) = try follow(options("live"))
      #expect(notes.count == 1 && notes[0].contains("no place"), "\(notes)")
      #expect(live["resumed_from_seq"] == .null)
      return
    }
    let (result, live, notes) = try follow(options("live"))
    #expect(notes.count == 1 && notes[0].contains("from its beginning"), "\(notes)")
    #expect(live["resumed_from_seq"] == .null)
    #expect(result.signalsSHA256 == whole.signalsSHA256)
    try expectSameFiles("live", "whole")
  }

  /// A run over a full hour, killed in the first; the hour is closed and compressed before it comes back.
  @Test(arguments: [false, true])
  func theSegmentMayHaveBeenCompressedMeanwhile(isCompressedBefore: Bool) throws {
    defer { removeFolder(folder) }
    let start = UnixNanos(milliseconds: MarketOptions.startDefault.milliseconds + (59 * 60 + 40) * 1000)
    for (name, compresses) in [("plain", false), ("tape", true)] {
      var tapeOptions = TapeWriter.Options()
      tapeOptions.compressClosedSegments = compresses
      let market = try MarketOptions(seed: 14, symbols: ["BTCUSDT", "ETHUSDT"], minutes: 0.7, start: start)
      _ = try generateMarket(market, output: folder + "/" + name, tape: tapeOptions)
    }
    let whole = try Replay.run(options("whole"))
    for records in [1500, 3000] as [Int64] {
      let run = "live\(records)"
      let before = options(run, tape: isCompressedBefore ? nil : folder + "/plain")
      let sequence = try crash(before, after: records, ahead: 1)
      let (result, live, notes) = try follow(options(run))
      #expect(notes.isEmpty, "\(notes)")
      #expect(live["resumed_from_seq"]?.integer == sequence)
      #expect(facts(result) == facts(whole))
      try expectSameFiles(run, "whole")
    }
  }

  @Test func anotherRunsFolderIsRefused() throws {
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 15, minutes: 0.5)
    try crash(options("live"), after: 2000)
    #expect(throws: ReplayError.otherRun(folder + "/live")) { try follow(options("live", sink: .jsonl)) }
    // A checkpoint brought in from elsewhere is not believed either.
    try crash(options("other", sink: .jsonl), after: 2000)
    let foreign = try Files.read(folder + "/other/checkpoint.bin")
    try foreign.withUnsafeBytes { try Files.replace(folder + "/live/checkpoint.bin", $0, durable: false) }
    let (_, live, notes) = try follow(options("live"))
    #expect(notes.count == 1 && notes[0].contains("another tape, configuration or sink"), "\(notes)")
    #expect(live["resumed_from_seq"] == .null)
  }

  @Test func aFolderHasOneWriter() throws {
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 17, minutes: 0.2)
    let lock = try SignalLock(folder + "/live")
    #expect(throws: ReplayError.runIsWritten(folder + "/live")) { try follow(options("live")) }
    #expect(throws: ReplayError.runIsWritten(folder + "/live")) { try Replay.run(options("live")) }
    withExtendedLifetime(lock) {}
  }

  @Test func aFinishedRunIsNotContinued() throws {
    defer { removeFolder(folder) }
    try makeMarket(folder + "/tape", seed: 16, minutes: 0.2)
    _ = try follow(options("live"))
    #expect(throws: ReplayError.outputInUse(folder + "/live")) { try follow(options("live")) }
  }
}
