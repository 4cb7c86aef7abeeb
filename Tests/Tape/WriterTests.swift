import Core
import Glibc
import Synchronization
import Testing

@testable import Tape

/// Room for so many bytes, taken in small pieces.
final class SmallDisk: Sendable {
  private let left: Mutex<Int>

  init(_ room: Int) { left = Mutex(room) }

  func take(_ wanted: Int) -> Int {
    left.withLock { left in
      let taken = min(left, min(wanted, 700))
      left -= taken
      return taken
    }
  }
}

@Suite("Tape writer")
struct WriterTests {
  @Test func rollsOverHoursAndMidnight() throws {
    let folder = TemporaryFolder()
    // 23:30, 00:10, 00:59:59.999999999, 01:00, and nothing until 05:00.
    let midnight: Int64 = 1_721_347_200_000_000_000
    let times = [
      midnight - 1800 * Nanoseconds.second, midnight + 600 * Nanoseconds.second,
      midnight + Nanoseconds.hour - 1,
      midnight + Nanoseconds.hour, midnight + 5 * Nanoseconds.hour,
    ]
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    for (number, time) in times.enumerated() { try writer.append(frame(number), at: time) }
    let totals = try writer.finish()
    #expect(totals.records == 5 && totals.segments == 4 && totals.compressionsAbandoned == [])
    #expect(
      folder.names() == [
        "2024-07-18T23.ndjson.zst", "2024-07-18T23.seal.json", "2024-07-19T00.ndjson.zst",
        "2024-07-19T00.seal.json", "2024-07-19T01.ndjson.zst", "2024-07-19T01.seal.json",
        "2024-07-19T05.ndjson", "2024-07-19T05.seal.json",
      ])
    let records = try readTape(folder.path("tape"))
    #expect(records.map(\.receiveTime) == times)
    #expect(records.map(\.wire) == (0..<5).map(frame))
    #expect(records.map(\.sequence) == [1, 2, 3, 4, 5])
    let verification = try verifyTape(folder.path("tape"))
    #expect(verification.problems == [])
    #expect(verification.records == 5 && verification.lastSequence == 5)
    #expect(verification.json["intact"]?.boolean == true)
  }

  @Test func sealSaysWhatIsInside() throws {
    let folder = TemporaryFolder()
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    for number in 0..<3 { try writer.append(frame(number), at: evening) }
    try writer.append(Array(#"{"e":"trade","s":"ETHUSDT"}"#.utf8), at: evening)
    try writer.append(
      Array(#"{"stream":"!forceOrder@arr","data":{"e":"forceOrder","o":{"s":"FILUSDT"}}}"#.utf8), at: evening)
    try writer.append(.snapshot, "btcusdt@snapshot", "{}", at: evening + 5)
    try writer.append(.note, nil, "{}", at: evening + 9)
    _ = try writer.finish()
    let seal = try #require(TapeSeal.read(folder.path("tape/2024-07-18T23.seal.json")))
    #expect(seal.records == 7 && seal.firstSequence == 1 && seal.lastSequence == 7)
    #expect(seal.kinds == [5, 1, 0, 0, 0, 0, 1])
    #expect(seal.symbols.map { "\($0.symbol) \($0.frames)" } == ["BTCUSDT 3", "ETHUSDT 1", "FILUSDT 1"])
    #expect(seal.lastReceiveTime == UnixNanos(evening + 9))
    let bytes = try Files.read(folder.path("tape/2024-07-18T23.ndjson"))
    var hash = SHA256Stream()
    bytes.withUnsafeBytes { hash.update($0) }
    #expect(seal.bytes == bytes.count && seal.sha256 == hash.hexadecimal())
  }

  /// FIPS 180-2, appendix B.1.
  @Test func hashIsSHA256() {
    var hash = SHA256Stream()
    Array("abc".utf8).withUnsafeBytes { hash.update($0) }
    #expect(hash.hexadecimal() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func receiveTimesAreRaised() throws {
    let folder = TemporaryFolder()
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    for time in [evening, evening - 5, -1, evening + 7, evening + 6] { try writer.append(frame(0), at: time) }
    let totals = try writer.finish()
    #expect(totals.clamped == 3)
    #expect(try readTape(folder.path("tape")).map { $0.receiveTime - evening } == [0, 0, 0, 7, 7])
  }

  @Test func continuesAfterFinishAndAfterDropping() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    try makeTape(tape, count: 3)
    #expect(folder.names().contains("2024-07-18T23.seal.json"))
    do {
      var writer = try TapeWriter(folder: tape, options: quick)
      let repair = writer.repair
      #expect(repair == nil)
      #expect(!folder.names().contains("2024-07-18T23.seal.json"))
      try writer.append(frame(3), at: evening - 1000)
      try writer.flush()
      let acknowledged = writer.acknowledgedSequence
      #expect(acknowledged == 4)
      try writer.append(frame(99), at: evening)
    }
    var writer = try TapeWriter(folder: tape, options: quick)
    try writer.append(frame(4), at: evening + Nanoseconds.hour)
    let totals = try writer.finish()
    #expect(totals.firstSequence == 5 && totals.lastSequence == 5)
    let records = try readTape(tape)
    #expect(records.map(\.wire) == (0..<5).map(frame))
    #expect(records[3].receiveTime == evening + 2_000_000)
    #expect(try verifyTape(tape).problems == [])
  }

  @Test func aTapeOfClosedSegmentsIsContinuedInItsLastHour() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var writer = try TapeWriter(folder: tape, options: quick)
    try writer.append(frame(0), at: evening)
    try writer.append(frame(1), at: evening + Nanoseconds.hour)
    _ = try writer.finish()
    try Files.remove(tape + "/2024-07-19T00.ndjson")
    try Files.remove(tape + "/2024-07-19T00.seal.json")
    do {
      var second = try TapeWriter(folder: tape, options: quick)
      try second.append(frame(2), at: evening + 1)
      _ = try second.finish()
    }
    let records = try readTape(tape)
    #expect(records.map(\.sequence) == [1, 2] && records.map(\.receiveTime) == [evening, evening + 1])
    #expect(folder.names() == ["2024-07-18T23.ndjson", "2024-07-18T23.seal.json"])
    #expect(try verifyTape(tape).problems == [])
  }

  @Test func emptyTapes() throws {
    let folder = TemporaryFolder()
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    try writer.flush()
    #expect(try writer.finish() == TapeTotals())
    #expect(folder.names() == [])
    #expect(try readTape(folder.path("tape")) == [])
    #expect(try verifyTape(folder.path("tape")).isIntact)

    try Files.makeFolder(folder.path("hollow"))
    try write(folder.path("hollow/2024-07-18T23.ndjson"), [])
    #expect(try readTape(folder.path("hollow")) == [])
    var hollow = try TapeWriter(folder: folder.path("hollow"), options: quick)
    try hollow.append(frame(0), at: evening - 10 * Nanoseconds.hour)
    _ = try hollow.finish()
    #expect(try readTape(folder.path("hollow")).map(\.receiveTime) == [1_721_343_600_000_000_000])
    #expect(try verifyTape(folder.path("hollow")).problems == [])
  }

  @Test func anEmptyHourLeavesNoSegment() throws {
    let folder = TemporaryFolder()
    try Files.makeFolder(folder.path("tape"))
    try write(folder.path("tape/2024-07-18T23.ndjson"), [])
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    try writer.append(frame(0), at: evening + Nanoseconds.hour)
    _ = try writer.finish()
    #expect(folder.names() == ["2024-07-19T00.ndjson", "2024-07-19T00.seal.json"])
    #expect(try verifyTape(folder.path("tape")).problems == [])
  }

  @Test func aFullDiskIsRefusedBeforeDamage() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    try makeTape(tape, count: 2)
    var options = quick
    options.diskFreeMinBytes = .max / 2
    options.batchBytesMax = 1000
    var writer = try TapeWriter(folder: tape, options: options)
    var taken = 0
    var refusal: TapeError?
    for number in 2..<100 {
      do throws(TapeError) {
        try writer.append(frame(number), at: evening + Nanoseconds.second)
        taken += 1
      } catch { refusal = error }
    }
    // What waits is bounded by the batch; nothing reached the file.
    #expect(taken > 0 && taken < 20)
    guard case .diskFull(let named, _, _) = refusal else {
      Issue.record("\(String(describing: refusal))")
      return
    }
    #expect(named == tape && refusal!.description.contains("free some space"))
    #expect(throws: TapeError.self) { try writer.flush() }
    #expect(throws: TapeError.self) { _ = try writer.finish() }
    #expect(try readTape(tape).count == 2)
  }

  @Test(arguments: [1, 5000, 9999]) func aBatchCutInTheMiddleLeavesWholeRecords(_ room: Int) throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var writer = try TapeWriter(folder: tape, options: quick)
    for number in 0..<200 { try writer.append(frame(number), at: evening) }
    let system = writer.writeCall
    let disk = SmallDisk(room)
    writer.writeCall = { descriptor, bytes, count in
      let taken = disk.take(count)
      if taken > 0 { return write(descriptor, bytes, taken) }
      errno = ENOSPC
      return -1
    }
    #expect(throws: TapeError.self) { try writer.flush() }
    writer.writeCall = system

    let kept = try readTape(tape)
    let acknowledged = writer.acknowledgedSequence
    #expect(kept.map(\.wire) == (0..<kept.count).map(frame))
    #expect(kept.count == room / 190 || kept.count == room / 210, "\(kept.count)")
    #expect(acknowledged == Int64(kept.count))
    var reader = try TapeReader(folder: tape)
    _ = try reader.rest()
    let report = reader.report
    #expect(report.tornTailBytes == 0)

    try writer.append(frame(200), at: evening)
    _ = try writer.finish()
    #expect(try readTape(tape).map(\.wire) == (0...200).map(frame))
    #expect(try verifyTape(tape).problems == [])
  }

  @Test func oneWriterAFolder() throws {
    let folder = TemporaryFolder()
    let first = try TapeWriter(folder: folder.path("tape"), options: quick)
    #expect(throws: TapeError.locked(folder: folder.path("tape"), process: getpid())) {
      _ = try TapeWriter(folder: folder.path("tape"), options: quick)
    }
    _ = consume first
    #expect(throws: Never.self) { _ = try TapeWriter(folder: folder.path("tape"), options: quick) }
  }

  @Test func foldersThatCannotBe() throws {
    let folder = TemporaryFolder()
    try write(folder.path("file"), [1])
    #expect(throws: TapeError.self) { _ = try TapeWriter(folder: folder.path("file/tape"), options: quick) }
    #expect(throws: TapeError.self) { _ = try TapeReader(folder: folder.path("file/tape")) }
    #expect(throws: TapeError.self) { _ = try TapeReader(folder: folder.path("absent")) }
    #expect(throws: TapeError.self) { _ = try TapeTailer(folder: folder.path("absent")) }
  }

  @Test func recordsBeyondTheLimitAreRefused() throws {
    let folder = TemporaryFolder()
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    try writer.append(frame(0), at: evening)
    let long = [UInt8](repeating: 0x31, count: Tape.recordBytesMax)
    #expect(throws: TapeError.recordTooLong(bytes: long.count, bytesMax: Tape.recordBytesMax)) {
      try writer.append(long, at: evening)
    }
    // Short enough as it came, too long once escaped.
    let growing = [UInt8](repeating: 0x0A, count: Tape.recordBytesMax - 1000)
    #expect(throws: TapeError.self) { try writer.append(growing, at: evening) }
    let largest = [UInt8](repeating: 0x31, count: Tape.recordBytesMax - 200)
    try writer.append(largest, at: evening)
    try writer.append(frame(1), at: evening)
    _ = try writer.finish()
    let records = try readTape(folder.path("tape"))
    #expect(records.map(\.sequence) == [1, 2, 3])
    #expect(records[1].wire == largest && records[2].wire == frame(1))
  }

  @Test(arguments: [FsyncPolicy.none, .interval(milliseconds: 0), .interval(milliseconds: 1_000_000), .batch])
  func everySyncPolicyWritesTheSame(_ policy: FsyncPolicy) throws {
    let folder = TemporaryFolder()
    var options = quick
    options.fsync = policy
    var writer = try TapeWriter(folder: folder.path("tape"), options: options)
    for number in 0..<10 {
      try writer.append(frame(number), at: evening + Int64(number) * 600 * Nanoseconds.second)
      try writer.flush()
    }
    _ = try writer.finish()
    #expect(try readTape(folder.path("tape")).map(\.wire) == (0..<10).map(frame))
  }

  @Test(arguments: ["2024-07-18T23", "1970-01-01T00", "2000-02-29T12", "2261-12-31T23"])
  func segmentNames(_ stem: String) throws {
    let name = try #require(SegmentName(stem: stem))
    #expect(SegmentName(of: name.start) == name)
    #expect(SegmentName(of: UnixNanos(name.end.rawValue - 1)) == name)
    #expect(SegmentName(of: name.end) > name)
  }

  @Test(arguments: [
    "", "2024-07-18", "2024-07-18T24", "2023-02-29T00", "2024-13-01T00", "2024-07-18 23", "x024-07-18T23",
  ])
  func notSegmentNames(_ stem: String) { #expect(SegmentName(stem: stem) == nil) }
}
