import Core
import Foundation
import Parquet
import Tape
import Testing

@testable import Services

/// Deletion and merging on a real disk, also when killed at any step.
@Suite("Retention run")
struct RetentionRunTests {
  /// 39 days after the midnight in the tape.
  private static let nowNs = RetentionFixture.startNs + 39 * Nanoseconds.day + 2 * Nanoseconds.hour

  private static var policy: RetentionPolicy {
    var policy = RetentionPolicy()
    policy[.tape] = 39
    policy[.trade] = 39
    policy.compactAfterDays = 2
    return policy
  }

  @Test func aTrimmedTapeIsWholeAndGoesOn() throws {
    let fixture = try RetentionFixture()
    let result = try fixture.execute(Self.policy, nowNs: Self.nowNs)
    #expect(result.filesRemoved > 0 && result.compactionsFailed.isEmpty)
    let trim = try #require(try TapeTrim.read(fixture.tape))
    #expect(trim.firstSequence == 1 && trim.segments > 0 && trim.records == trim.lastSequence)
    let verification = try verifyTape(fixture.tape)
    #expect(verification.isIntact, "\(verification.problems)")
    #expect(verification.firstSequence == trim.lastSequence + 1)
    #expect(verification.trim == trim)
    // The next writer goes on with the next number; a reader finds the first that is left.
    var writer = try TapeWriter(folder: fixture.tape)
    #expect(writer.repair == nil && writer.nextSequenceNumber == verification.lastSequence + 1)
    _ = try writer.finish()
    var reader = try TapeReader(folder: fixture.tape, from: .sequence(1))
    let block = try #require(try reader.nextBlock())
    #expect(RecordHeader(scanning: block.baseAddress!, 0)?.sequence == trim.lastSequence + 1)
    // What is missing without a word is still damage.
    try FileManager.default.removeItem(atPath: fixture.tape + "/trimmed.json")
    #expect(try !verifyTape(fixture.tape).isIntact)
  }

  @Test func killedAtAnyStepItComesToTheSameEnd() throws {
    let undisturbed = try RetentionFixture()
    var steps = 0
    _ = try undisturbed.execute(Self.policy, nowNs: Self.nowNs) { _ in steps += 1 }
    let wanted = try undisturbed.content()
    #expect(steps > 30)
    #expect(try undisturbed.rows() == RetentionFixture.rowsLeft)
    for step in 1...steps {
      let fixture = try RetentionFixture()
      var left = step
      #expect(throws: FaultInjected.self) {
        _ = try fixture.execute(Self.policy, nowNs: Self.nowNs) { _ in
          left -= 1
          if left == 0 { throw FaultInjected() }
        }
      }
      #expect(try verifyTape(fixture.tape).isIntact, "killed at step \(step)")
      let depth = try fixture.rows()["kind=depth"]
      #expect(depth == RetentionFixture.rowsLeft["kind=depth"], "rows doubled or lost at step \(step)")
      _ = try fixture.execute(Self.policy, nowNs: Self.nowNs)
      #expect(try fixture.content() == wanted, "killed at step \(step)")
    }
  }

  @Test func dryRunPrintsWhatTheRealOneDoes() throws {
    let fixture = try RetentionFixture()
    var options = GarbageCollectionOptions(
      folders: [fixture.tape, fixture.parquet], policy: Self.policy, isDryRun: true)
    options.policy.compactAfterDays = 0
    let before = try fixture.content()
    let dry = try GarbageCollection.run(options, nowNs: Self.nowNs)
    #expect(try fixture.content() == before && dry.result == nil)
    options.isDryRun = false
    let real = try GarbageCollection.run(options, nowNs: Self.nowNs)
    #expect(real.plan == dry.plan && !dry.plan.removals.isEmpty)
    for item in real.plan.removals {
      #expect(!FileManager.default.fileExists(atPath: item.path + (item.kind == .tape ? ".seal.json" : "")))
    }
    let again = try GarbageCollection.run(options, nowNs: Self.nowNs)
    #expect(again.plan.actions.allSatisfy { $0.verb == .keep })
  }

  @Test(arguments: [
    (".hold-copy.json", #"{"seq":3}"#, 0), (".hold-copy.json", #"{"seq":7}"#, 1),
    (".hold-copy.json", "none", 0),
    ("../clickhouse/position.json", #"{"segment":"2024-07-18T23","seq":7}"#, 1),
    ("../clickhouse/position.json", "{}", 0), ("../replay.json", "{}", 0),
  ])
  func holdsAreHonoured(file: String, text: String, removed: Int) throws {
    let fixture = try RetentionFixture()
    let path = fixture.tape + "/" + file
    try FileManager.default.createDirectory(
      atPath: path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/"),
      withIntermediateDirectories: true)
    try Files.writeAtomically(path, text)
    let inventory = try RetentionInventory.read([fixture.tape, fixture.parquet])
    let plan = RetentionPlan.make(inventory, Self.policy, nowNs: Self.nowNs)
    #expect(plan.removals.count { $0.kind == .tape } == removed)
    #expect(plan.actions.contains { $0.verb == .keep && $0.reason.contains("still needs it") })
  }

  @Test func aSegmentThatIsNotConvertedStays() throws {
    let fixture = try RetentionFixture()
    try FileManager.default.removeItem(atPath: fixture.parquet + "/_conversion/2024-07-18T22.json")
    let plan = RetentionPlan.make(
      try RetentionInventory.read([fixture.tape, fixture.parquet]), Self.policy, nowNs: Self.nowNs)
    #expect(plan.removals.allSatisfy { $0.kind != .tape })
    #expect(plan.actions.contains { $0.reason.contains("not converted") })
    var careless = Self.policy
    careless.keepsUntilConverted = false
    let other = RetentionPlan.make(
      try RetentionInventory.read([fixture.tape, fixture.parquet]), careless, nowNs: Self.nowNs)
    #expect(other.removals.contains { $0.kind == .tape })
  }

  @Test func realFilesBecomeOneDay() throws {
    let folder = NSTemporaryDirectory() + "weir-retention-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let leaf = "kind=depth/date=2024-07-18/symbol=BTCUSDT"
    try Files.makeFolder("\(folder)/\(leaf)")
    let encoder = ParquetEncoder(level: 1)
    for hour in [9, 10, 23] {
      let name = hour < 10 ? "0\(hour)" : "\(hour)"
      let writer = ParquetFileWriter(
        "\(folder)/\(leaf)/hour=\(name).parquet", columns: [ParquetColumn("seq", .int64)], encoder: encoder)
      try writer.append([.integers((0..<100).map { Int64(hour * 1000 + $0) })], rows: 100)
      try writer.finish()
    }
    var policy = RetentionPolicy()
    policy.compactAfterDays = 1
    let options = GarbageCollectionOptions(folders: [folder], policy: policy)
    let collection = try GarbageCollection.run(options, nowNs: Self.nowNs)
    #expect(collection.result?.rowsCompacted == 300 && collection.isComplete)
    #expect(try Files.list("\(folder)/\(leaf)") == ["day.parquet"])
    let footer = try ParquetFooter("\(folder)/\(leaf)/day.parquet")
    #expect(footer.rows == 300 && footer.rowGroups.count == 3)
    #expect(try Files.list(folder) == [".gc.lock", "_compaction", "kind=depth"])
  }

  @Test func hoursThatCannotBeMergedStay() throws {
    let fixture = try RetentionFixture()
    // The records speak of more rows than there are.
    let path = fixture.parquet + "/kind=depth/date=2024-07-18/symbol=BTCUSDT/hour=23.parquet"
    try Files.writeAtomically(path, "")
    let result = try fixture.execute(Self.policy, nowNs: Self.nowNs)
    #expect(result.compactionsFailed.count == 1)
    #expect(Files.exists(path))
    #expect(try ParquetCompaction.unfinished(fixture.parquet).isEmpty)
  }

  @Test func foldersOfNothingKnown() throws {
    let folder = NSTemporaryDirectory() + "weir-retention-" + UUID().uuidString
    try Files.makeFolder(folder)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(throws: RetentionError.nothingKnown(folder)) { try RetentionInventory.read([folder]) }
    #expect(throws: FileError.self) { try RetentionInventory.read([folder + "/none"]) }
  }
}

/// A tape of four hours over midnight, and what stands for its Parquet: a file's bytes are its rows.
final class RetentionFixture {
  static let startNs = 1_721_340_000 * Nanoseconds.second  // 2024-07-18T22:00:00Z
  private static let hours = 4
  private static let recordsPerHour = 5
  /// Depth rows are all kept; trades of the hours before 2024-07-19T00 go.
  static let rowsLeft = ["kind=depth": 2 * 3 * hours, "kind=trade": 3 * 2]

  let root: String
  var tape: String { root + "/tape" }
  var parquet: String { root + "/parquet" }

  init() throws {
    root = NSTemporaryDirectory() + "weir-retention-" + UUID().uuidString
    var writer = try TapeWriter(folder: tape)
    for hour in 0..<Self.hours {
      for record in 0..<Self.recordsPerHour {
        let time = UnixNanos(Self.startNs + Int64(hour) * Nanoseconds.hour + Int64(record))
        let frame = Array(#"{"stream":"btcusdt@x","data":{"n":1}}"#.utf8)
        _ = try frame.withUnsafeBytes { try writer.append(frame: $0, receiveTime: time, connection: 0) }
      }
    }
    _ = try writer.finish()
    for segment in try Tape.segments(tape) { try convert(segment) }
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  private func convert(_ segment: TapeSegment) throws {
    var files: [JSONValue] = []
    for (kind, symbols) in [("depth", ["BTCUSDT", "ETHUSDT"]), ("trade", ["BTCUSDT"])] {
      for symbol in symbols {
        let leaf = "kind=\(kind)/date=\(segment.stem.prefix(10))/symbol=\(symbol)"
        let path = "\(leaf)/hour=\(segment.stem.suffix(2)).parquet"
        try Files.makeFolder("\(parquet)/\(leaf)")
        try Files.writeAtomically("\(parquet)/\(path)", "\(segment.stem.suffix(2))\n1\n2\n")
        files.append(
          .object([
            "path": .string(path), "kind": .string(kind), "symbol": .string(symbol), "rows": .integer(3),
            "bytes": .integer(7),
          ]))
      }
    }
    try Files.makeFolder(parquet + "/_conversion")
    let record: JSONValue = .object([
      "schema_version": .integer(1), "segment": .string(segment.stem),
      "seal_sha256": .string(try segment.seal()!.sha256), "files": .array(files),
    ])
    try Files.writeAtomically("\(parquet)/_conversion/\(segment.stem).json", record.text() + "\n")
  }

  /// Looks, plans and executes with text files in the place of Parquet.
  func execute(
    _ policy: RetentionPolicy, nowNs: Int64, hook: @escaping (String) throws -> Void = { _ in }
  ) throws -> RetentionResult {
    let inventory = try RetentionInventory.read([tape, parquet])
    let run = RetentionRun(inventory, nowNs: nowNs, concatenate: Self.concatenate, hook: hook)
    return try run.execute(.make(inventory, policy, nowNs: nowNs))
  }

  private static func concatenate(_ paths: [String], _ path: String) throws -> (rows: Int64, bytes: Int) {
    let bytes = try paths.flatMap { try Files.read($0) }
    try Files.writeAtomically(path, String(decoding: bytes, as: UTF8.self))
    return (Int64(bytes.count { $0 == 0x0A }), bytes.count)
  }

  /// Every file with its bytes.
  func content() throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    for case let name as String in FileManager.default.enumerator(atPath: root)! {
      let path = "\(root)/\(name)"
      if !Files.isFolder(path), !name.hasSuffix("/.lock"), !name.hasSuffix(".gc.lock") {
        found[name] = try Files.read(path)
      }
    }
    return found
  }

  /// Rows by kind, as a reader of `kind=*/**` finds them.
  func rows() throws -> [String: Int] {
    var counts: [String: Int] = [:]
    for kind in try Files.list(parquet) where kind.hasPrefix("kind=") {
      for case let name as String in FileManager.default.enumerator(atPath: "\(parquet)/\(kind)")!
      where name.hasSuffix(".parquet") {
        counts[kind, default: 0] += try Files.read("\(parquet)/\(kind)/\(name)").count { $0 == 0x0A }
      }
    }
    return counts
  }
}
