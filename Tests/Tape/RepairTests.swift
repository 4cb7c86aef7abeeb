import Core
import Glibc
import Testing

@testable import Tape

@Suite("Tape repair")
struct RepairTests {
  /// Cut at every byte of the last three records: exactly the whole records are read, and the next writer
  /// removes the rest and goes on.
  @Test func truncatedAtEveryByte() throws {
    let folder = TemporaryFolder()
    try makeTape(folder.path("whole"), count: 6)
    let name = "2024-07-18T23.ndjson"
    let bytes = try Files.read(folder.path("whole/" + name))
    let ends = bytes.indices.filter { bytes[$0] == 0x0A }.map { $0 + 1 }
    for length in ends[2]...bytes.count {
      let tape = folder.path("cut-\(length)")
      try Files.makeFolder(tape)
      try write(tape + "/" + name, Array(bytes[..<length]))
      let whole = ends.filter { $0 <= length }.count
      let torn = length - ends[whole - 1]

      var reader = try TapeReader(folder: tape)
      let seen = try reader.rest()
      let report = reader.report
      #expect(seen.map(\.wire) == (0..<whole).map(frame) && report.tornTailBytes == torn)

      var writer = try TapeWriter(folder: tape, options: quick)
      let repair = writer.repair
      #expect(repair == (torn == 0 ? nil : TapeRepair(segment: name, bytesCut: torn)))
      try writer.append(frame(whole), at: evening + Nanoseconds.second)
      _ = try writer.finish()
      let records = try readTape(tape)
      #expect(records.map(\.sequence) == Array(1...Int64(whole + 1)))
      #expect(records.map(\.wire) == (0...whole).map(frame))
      #expect(try verifyTape(tape).problems == [])
    }
  }

  /// A machine that lost power may leave blocks of zeros, or a line whose middle never reached the disk.
  @Test func tailsOfOtherKinds() throws {
    let folder = TemporaryFolder()
    try makeTape(folder.path("whole"), count: 4)
    let name = "2024-07-18T23.ndjson"
    let bytes = try Files.read(folder.path("whole/" + name))
    var hollow = bytes
    let line = Array(bytes.dropLast().split(separator: 0x0A).last!)
    for index in (bytes.count - 60)..<(bytes.count - 30) { hollow[index] = 0 }
    let cases: [(String, [UInt8], Int, Int)] = [
      ("zeros", bytes + [UInt8](repeating: 0, count: 5000), 5, 5000),
      ("hollow", hollow, 4, line.count + 1),
      ("junk", bytes + Array("junk\nmore junk\n{".utf8), 5, 16),
    ]
    for (folderName, content, next, cut) in cases {
      let tape = folder.path(folderName)
      try Files.makeFolder(tape)
      try write(tape + "/" + name, content)
      var writer = try TapeWriter(folder: tape, options: quick)
      let repair = writer.repair
      #expect(repair?.bytesCut == cut, "\(folderName)")
      try writer.append(frame(next - 1), at: evening + Nanoseconds.second)
      _ = try writer.finish()
      #expect(try readTape(tape).map(\.wire) == (0..<next).map(frame))
      #expect(try verifyTape(tape).problems == [])
    }
  }

  @Test func damageAmongRecordsStaysAndIsReported() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    try makeTape(tape, count: 5)
    let path = tape + "/2024-07-18T23.ndjson"
    var bytes = try Files.read(path)
    let lineLength = bytes.firstIndex(of: 0x0A)! + 1
    for index in lineLength..<(lineLength + 40) { bytes[index] = 0x23 }
    try write(path, bytes)
    var writer = try TapeWriter(folder: tape, options: quick)
    let repair = writer.repair
    #expect(repair?.damagedLines == 1 && repair?.bytesCut == 0)
    #expect(repair?.segmentsDamaged == ["2024-07-18T23.ndjson"])
    try writer.append(frame(5), at: evening + Nanoseconds.second)
    let totals = try writer.finish()
    #expect(totals.firstSequence == 6)
    #expect(try !verifyTape(tape).isIntact)
  }

  /// Each state a crash can leave while an hour is closed, made by hand, opens to the same tape.
  @Test(arguments: 0..<9)
  func killedWhileClosing(_ step: Int) throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var options = quick
    options.compressClosedSegments = false
    var writer = try TapeWriter(folder: tape, options: options)
    for number in 0..<20 { try writer.append(frame(number), at: evening + Int64(number)) }
    try writer.append(frame(20), at: evening + Nanoseconds.hour)
    _ = try writer.finish()
    let closed = "2024-07-18T23"
    let open = "2024-07-19T00"
    try Files.remove("\(tape)/\(open).seal.json")
    let plainBytes = try Files.read("\(tape)/\(closed).ndjson").count
    func compressed() throws -> [UInt8] {
      let seal = try #require(TapeSeal.read("\(tape)/\(closed).seal.json"))
      try folder.copy("tape", to: "other")
      let job = try CompressionJob(folder: folder.path("other"), name: SegmentName(stem: closed)!, seal: seal)
      while job.step(bytes: 1) == .working {}
      return try Files.read(folder.path("other/\(closed).ndjson.zst"))
    }
    let zst = try compressed()
    var expectedSealed: [String] = []
    switch step {
    case 0: break  // before compressing
    case 1: try write("\(tape)/\(closed).ndjson.zst.tmp", Array(zst[..<(zst.count / 2)]))
    case 2: try write("\(tape)/\(closed).ndjson.zst.tmp", zst)
    case 3: try write("\(tape)/\(closed).ndjson.zst", zst)  // renamed, plain not yet removed
    case 4: try write("\(tape)/\(closed).ndjson.zst", Array(zst[..<(zst.count - 9)]))
    case 5:  // no seal yet
      try Files.remove("\(tape)/\(closed).seal.json")
      expectedSealed = ["\(closed).ndjson"]
    case 6:  // the seal was being written
      try Files.rename("\(tape)/\(closed).seal.json", "\(tape)/\(closed).seal.json.tmp")
      expectedSealed = ["\(closed).ndjson"]
    case 7:  // the new segment exists but is empty
      try write("\(tape)/\(open).ndjson", [])
    case 8:  // done, but the seal was lost
      try write("\(tape)/\(closed).ndjson.zst", zst)
      try Files.remove("\(tape)/\(closed).ndjson")
      try Files.remove("\(tape)/\(closed).seal.json")
      expectedSealed = ["\(closed).ndjson"]
    default: break
    }
    let before = step == 7 ? 20 : 21
    #expect(try readTape(tape).map(\.wire) == (0..<before).map(frame))

    var second = try TapeWriter(folder: tape, options: quick)
    let repair = second.repair
    #expect(repair?.segmentsSealed ?? [] == expectedSealed)
    #expect(repair?.bytesCut ?? 0 == 0)
    try second.append(frame(before), at: evening + 2 * Nanoseconds.hour)
    let totals = try second.finish()
    #expect(totals.compressionsAbandoned == [])
    #expect(try readTape(tape).map(\.wire) == (0...before).map(frame))
    let verification = try verifyTape(tape)
    #expect(verification.problems == [])
    #expect(!folder.names().contains { $0.hasSuffix(".tmp") })
    #expect(folder.names().contains("\(closed).ndjson.zst") && !folder.names().contains("\(closed).ndjson"))
    #expect(plainBytes == verification.segments[0].bytes)
  }

  /// The folder's state after every flush, as a killed process would leave it, continues to the same tape.
  @Test func killedBetweenFlushes() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var options = quick
    options.compressionBytesPerFlush = 1
    var writer = try TapeWriter(folder: tape, options: options)
    let step = 400 * Nanoseconds.second
    for number in 0..<24 {
      try writer.append(frame(number), at: evening + Int64(number) * step)
      try writer.flush()
      let copy = "copy-\(number)"
      try folder.copy("tape", to: copy)
      var second = try TapeWriter(folder: folder.path(copy), options: quick)
      let next = second.nextSequenceNumber
      #expect(next == Int64(number + 2))
      for later in (number + 1)..<24 { try second.append(frame(later), at: evening + Int64(later) * step) }
      _ = try second.finish()
      #expect(try readTape(folder.path(copy)).map(\.wire) == (0..<24).map(frame))
      #expect(try verifyTape(folder.path(copy)).problems == [])
    }
  }

  /// One changed byte anywhere in a closed or plain segment is found.
  @Test func flippedBytesAreFound() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var writer = try TapeWriter(folder: tape, options: quick)
    for number in 0..<40 {
      try writer.append(frame(number), at: evening + Int64(number / 20) * Nanoseconds.hour)
    }
    _ = try writer.finish()
    #expect(try verifyTape(tape).problems == [])
    let seed: UInt64 = 99
    var random = SeededRandom(seed: seed)
    for file in ["2024-07-18T23.ndjson.zst", "2024-07-19T00.ndjson"] {
      let bytes = try Files.read(tape + "/" + file)
      for _ in 0..<60 {
        var changed = bytes
        let at = random.below(bytes.count)
        changed[at] ^= 1 << UInt8(random.below(8))
        try write(tape + "/" + file, changed)
        let verification = try verifyTape(tape)
        #expect(!verification.isIntact, "seed \(seed): \(file), byte \(at)")
        var reader = try TapeReader(folder: tape)
        while try reader.nextBlock() != nil {}
      }
      try write(tape + "/" + file, bytes)
    }
  }

  @Test func damagedCompressedSegmentsAreReadAsFarAsTheyGo() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var writer = try TapeWriter(folder: tape, options: quick)
    var random = SeededRandom(seed: 4)
    for _ in 0..<3000 {
      let payload = #"{"x":"\#((0..<20).map { _ in String(random.next(), radix: 36) }.joined())"}"#
      try writer.append(Array(payload.utf8), at: evening)
    }
    try writer.append(frame(0), at: evening + Nanoseconds.hour)
    _ = try writer.finish()
    let path = tape + "/2024-07-18T23.ndjson.zst"
    let bytes = try Files.read(path)
    try write(path, Array(bytes[..<(bytes.count * 3 / 4)]))
    var reader = try TapeReader(folder: tape)
    let records = try reader.rest()
    let report = reader.report
    #expect(report.damagedSegments == ["2024-07-18T23.ndjson.zst"] && report.segments == 2)
    #expect(records.count > 1000 && records.count < 3000 && records.last?.wire == frame(0))
    #expect(records.dropLast().map(\.sequence) == Array(1...Int64(records.count - 1)))
    #expect(try !verifyTape(tape).isIntact)
    // A writer can still go on behind it.
    var second = try TapeWriter(folder: tape, options: quick)
    try second.append(frame(1), at: evening + Nanoseconds.hour)
    let totals = try second.finish()
    #expect(totals.firstSequence == 3002)
  }
}
