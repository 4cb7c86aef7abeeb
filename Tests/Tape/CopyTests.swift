import Core
import Testing

@testable import Tape

/// A tape that is filled with another one's lines.
@Suite("Tape copies")
struct CopyTests {
  private func copy(
    _ lines: [[UInt8]], to writer: inout TapeWriter, mayBeginAnywhere: Bool = false
  ) throws(TapeCopyError) {
    for line in lines {
      var failure: TapeCopyError?
      line.withUnsafeBytes { bytes in
        do throws(TapeCopyError) {
          try writer.append(copyOf: bytes, mayBeginAnywhere: mayBeginAnywhere)
        } catch { failure = error }
      }
      if let failure { throw failure }
    }
  }

  private func lines(_ folder: String) throws -> [[UInt8]] {
    var reader = try TapeReader(folder: folder)
    var lines: [[UInt8]] = []
    while let block = try reader.nextBlock() {
      forEachLine(block) { line, _ in
        lines.append(Array(line))
        return true
      }
    }
    return lines
  }

  /// Hours, compression, seals, all kinds and forms of records; the copy is made by writers that come and go.
  @Test(arguments: 0..<4 as Range<UInt64>)
  func theCopyIsTheSameBytes(seed: UInt64) throws {
    let folder = TemporaryFolder()
    var random = SeededRandom(seed: seed)
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    var time = evening
    for number in 0..<600 {
      time += Int64(random.below(60)) * Nanoseconds.second
      switch random.below(8) {
      case 0: try writer.append(Array("no json \n \u{1}".utf8), at: time)
      case 1: try writer.append([0xFF, 0xFE, 0x00], at: time)
      case 2: try writer.append(.snapshot, "btcusdt@snapshot", "{\"a\": [1, 2]}", at: time)
      case 3: try writer.append(.note, nil, "\"text\"", at: time)
      case 4: try writer.append(Array(#" {"e":"trade","s":"ETHUSDT"} "#.utf8), at: time)
      default: try writer.append(frame(number), at: time, connection: Int32(random.below(3)))
      }
    }
    #expect(try Tape.isFinished(folder.path("tape")) == false)
    _ = try writer.finish()
    #expect(try Tape.isFinished(folder.path("tape")))

    let all = try lines(folder.path("tape"))
    #expect(all.count == 600)
    var done = 0
    while done < all.count {
      var writer = try TapeWriter(folder: folder.path("copy"), options: quick)
      #expect(writer.totals.lastSequence == Int64(done))
      let next = min(all.count, done + 1 + random.below(250))
      try copy(Array(all[done..<next]), to: &writer)
      done = next
      if random.bernoulli(0.5) || done == all.count { _ = try writer.finish() } else { try writer.flush() }
    }
    #expect(folder.names("copy") == folder.names("tape") && folder.names("copy").count > 8)
    for name in folder.names("tape") {
      #expect(
        try Files.read(folder.path("copy/" + name)) == Files.read(folder.path("tape/" + name)),
        "\(name), seed \(seed)")
    }
  }

  @Test func onlyTheNextRecordOfTheSameTapeIsTaken() throws {
    let folder = TemporaryFolder()
    try makeTape(folder.path("tape"), count: 5)
    let all = try lines(folder.path("tape"))
    var writer = try TapeWriter(folder: folder.path("copy"), options: quick)
    let path = folder.path("copy")
    #expect(throws: TapeCopyError.outOfOrder(folder: path, expected: 1, found: 2)) {
      try copy([all[1]], to: &writer)
    }
    try copy([all[0], all[1]], to: &writer)
    #expect(throws: TapeCopyError.outOfOrder(folder: path, expected: 3, found: 2)) {
      try copy([all[1]], to: &writer)
    }
    // Once there are records, a gap is never allowed.
    #expect(throws: TapeCopyError.outOfOrder(folder: path, expected: 3, found: 4)) {
      try copy([all[3]], to: &writer, mayBeginAnywhere: true)
    }
    let early = Array(
      #"{"seq":3,"recv_ns":1000,"conn":0,"kind":"note","stream":null,"data":{}}"#.utf8)
    #expect(
      throws: TapeCopyError.earlier(
        folder: path, sequence: 3, last: UnixNanos(evening + 1_000_000), found: UnixNanos(1000))
    ) { try copy([early], to: &writer) }
    for bad in ["", "{}", "no record", String(decoding: all[2].dropLast(), as: UTF8.self), "\n"] {
      #expect(throws: TapeCopyError.noRecord(folder: path, expected: 3)) {
        try copy([Array(bad.utf8)], to: &writer)
      }
    }
    try copy([all[2], all[3], all[4]], to: &writer)
    _ = try writer.finish()
    #expect(try lines(path) == all)
  }

  @Test func anEmptyCopyMayBeginAnywhere() throws {
    let folder = TemporaryFolder()
    try makeTape(folder.path("tape"), count: 50)
    let all = try lines(folder.path("tape"))
    var writer = try TapeWriter(folder: folder.path("copy"), options: quick)
    try copy(Array(all[20...]), to: &writer, mayBeginAnywhere: true)
    let totals = try writer.finish()
    #expect(totals.firstSequence == 21 && totals.lastSequence == 50)
    #expect(try lines(folder.path("copy")) == Array(all[20...]))
    // It is no whole tape, and does not pass for one.
    #expect(try verifyTape(folder.path("copy")).problems.count == 1)
  }
}
