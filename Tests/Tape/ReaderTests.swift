import Core
import Glibc
import Testing

@testable import Tape

@Suite("Tape reader")
struct ReaderTests {
  /// Four hours of 25 records each, the last one plain.
  private func makeHours(_ tape: String, compress: Bool = true) throws {
    var options = quick
    options.compressClosedSegments = compress
    var writer = try TapeWriter(folder: tape, options: options)
    for number in 0..<100 { try writer.append(frame(number), at: time(number)) }
    _ = try writer.finish()
  }

  private func time(_ number: Int) -> Int64 {
    evening + Int64(number / 25) * Nanoseconds.hour + Int64(number % 25) * Nanoseconds.millisecond
  }

  @Test(arguments: [true, false], [true, false])
  func positions(_ compress: Bool, _ sealed: Bool) throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    try makeHours(tape, compress: compress)
    if !sealed {
      for name in folder.names() where name.hasSuffix(".json") { try Files.remove(tape + "/" + name) }
    }
    for number in [-5, 0, 1, 24, 25, 26, 49, 50, 74, 75, 99, 100, 4000] {
      let expected = Array(max(0, min(100, number))..<100)
      let bySequence = try readTape(tape, from: .sequence(Int64(number + 1)))
      #expect(bySequence.map { Int($0.sequence) - 1 } == expected)
    }
    for number in 0..<100 {
      let expected = Array(number..<100)
      #expect(
        try readTape(tape, from: .time(UnixNanos(time(number)))).map { Int($0.sequence) - 1 } == expected)
    }
    #expect(try readTape(tape, from: .time(UnixNanos(time(24) + 1))).first?.sequence == 26)
    #expect(try readTape(tape, from: .time(UnixNanos(-1))).count == 100)
    #expect(try readTape(tape, from: .time(UnixNanos(time(99) + 1))).isEmpty)
    #expect(try readTape(tape, from: .time(UnixNanos(.max))).isEmpty)
  }

  @Test func positionsSkipSegmentsUnread() throws {
    let folder = TemporaryFolder()
    try makeHours(folder.path("tape"))
    for position in [TapePosition.sequence(60), .time(UnixNanos(time(59)))] {
      var reader = try TapeReader(folder: folder.path("tape"), from: position)
      #expect(try reader.rest().count == 41)
      let report = reader.report
      #expect(report.segments == 2)
    }
  }

  @Test func linesLongerThanABlock() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var writer = try TapeWriter(folder: tape, options: quick)
    var payloads: [[UInt8]] = []
    for bytes in [10, 300_000, 20, 262_144, 1_500_000, 30] {
      payloads.append(Array((#"{"x":""# + String(repeating: "y", count: bytes) + #""}"#).utf8))
    }
    for (number, payload) in payloads.enumerated() {
      try writer.append(payload, at: evening + Int64(number / 3) * Nanoseconds.hour)
    }
    _ = try writer.finish()
    #expect(try readTape(tape).map(\.wire) == payloads)
    #expect(try verifyTape(tape).problems == [])
  }

  @Test func linesBeyondTheLimitAreSkipped() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    try makeTape(tape, count: 3)
    let path = tape + "/2024-07-18T23.ndjson"
    let bytes = try Files.read(path)
    let first = bytes.firstIndex(of: 0x0A)! + 1
    let long = [UInt8](repeating: 0x20, count: Tape.recordBytesMax + 5) + [0x0A]
    try write(path, Array(bytes[..<first]) + long + Array(bytes[first...]))
    var reader = try TapeReader(folder: tape)
    #expect(try reader.rest().map(\.wire) == (0..<3).map(frame))
    let report = reader.report
    #expect(report.overlongLines == 1)
  }

  @Test func blocksAreTheFileItself() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    try makeTape(tape, count: 6000)
    var reader = try TapeReader(folder: tape)
    var bytes: [UInt8] = []
    var blocks = 0
    while let block = try reader.nextBlock() {
      bytes.append(contentsOf: block)
      blocks += 1
      #expect(block.count <= 256 << 10)
    }
    let report = reader.report
    #expect(blocks > 2 && report.bytes == bytes.count && report.tornTailBytes == 0)
    #expect(bytes == (try Files.read(tape + "/2024-07-18T23.ndjson")))
  }

  @Test func foreignFilesAreIgnored() throws {
    let folder = TemporaryFolder()
    try makeTape(folder.path("tape"), count: 3)
    for name in ["notes.txt", "2024-07-18.ndjson", "2024-99-18T23.ndjson", "2024-07-18T22.ndjson.bak"] {
      try write(folder.path("tape/" + name), Array("junk\n".utf8))
    }
    #expect(try readTape(folder.path("tape")).count == 3)
  }

  /// A reader that follows a growing tape sees every record once, over rolls and compression.
  @Test(arguments: [true, false])
  func tailsAcrossRolls(_ compress: Bool) throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var options = quick
    options.compressClosedSegments = compress
    var writer = try TapeWriter(folder: tape, options: options)
    var tailer = try TapeTailer(folder: tape)
    var reader = try TapeReader(folder: tape)
    var seen: [Read] = []
    #expect(try reader.nextBlock() == nil)
    for round in 0..<30 {
      let numbers = (round * 7)..<(round * 7 + 7)
      for number in numbers {
        try writer.append(frame(number), at: evening + Int64(number) * 130 * Nanoseconds.second)
      }
      try writer.flush()
      #expect(try tailer.waitForGrowth(timeoutMs: 5000))
      try reader.refresh()
      seen += try reader.rest()
      #expect(seen.count == numbers.upperBound)
    }
    _ = try writer.finish()
    try reader.refresh()
    seen += try reader.rest()
    #expect(seen.map(\.wire) == (0..<210).map(frame))
    #expect(seen.map(\.sequence) == Array(1...210))
    while try tailer.waitForGrowth(timeoutMs: 0) {}
    #expect(try !tailer.waitForGrowth(timeoutMs: 20))
  }

  /// A line seen half-written, cut by the next writer's repair and written anew, is handed out once.
  @Test func tailsOverARepair() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    try makeTape(tape, count: 3)
    let path = tape + "/2024-07-18T23.ndjson"
    let bytes = try Files.read(path)
    try write(path, Array(bytes.dropLast(25)))
    var reader = try TapeReader(folder: tape)
    #expect(try reader.rest().count == 2)
    let report = reader.report
    #expect(report.tornTailBytes > 25)
    var writer = try TapeWriter(folder: tape, options: quick)
    try writer.append(frame(77), at: evening + Nanoseconds.second)
    try writer.append(frame(78), at: evening + Nanoseconds.second)
    try writer.flush()
    try reader.refresh()
    #expect(try reader.rest().map(\.wire) == [frame(77), frame(78)])
    let later = reader.report
    #expect(later.tornTailBytes == 0)
  }

  @Test func tailsFromAPositionNotYetWritten() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    var writer = try TapeWriter(folder: tape, options: quick)
    try writer.append(frame(0), at: evening)
    try writer.flush()
    var reader = try TapeReader(folder: tape, from: .sequence(4))
    #expect(try reader.rest().isEmpty)
    for number in 1..<6 {
      try writer.append(frame(number), at: evening + Int64(number) * Nanoseconds.hour)
      try writer.flush()
    }
    try reader.refresh()
    #expect(try reader.rest().map(\.sequence) == [4, 5, 6])
  }
}
