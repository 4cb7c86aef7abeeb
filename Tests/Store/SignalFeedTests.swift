import Core
import Glibc
import Strategy
import Testing

@testable import Store

@Suite("Signal feed")
struct SignalFeedTests {
  private func take(_ feed: SignalFeed, isLast: Bool = false) throws -> [String] {
    var ids: [String] = []
    while true {
      switch try feed.step(isLast: isLast) {
      case .row(let row): ids.append(row.signalID)
      case .passed: continue
      case .idle: return ids
      }
    }
  }

  /// Lines of rows over three hours, by file.
  private func lines(seed: UInt64, count: Int) -> [(hour: String, line: [UInt8], id: String, confirmed: Bool)]
  {
    var random = SeededRandom(seed: seed)
    var row = SignalRow(SignalSamples.context())
    return (0..<count).map { index in
      let time = SignalSamples.start + Int64(index / 2) * (3 * Nanoseconds.hour / Int64(max(1, count / 2)))
      let signal = SignalSamples.one(&random, time: time, symbol: index % 2)
      row.encode(signal)
      return (
        SignalFiles.hourName(UnixNanos(time)), Array(row.line), row.text(.signalID)!, signal.confirmed
      )
    }
  }

  /// A writer whose every call may end anywhere: it writes parts of lines, is killed, cuts its torn end,
  /// removes a part without rows, renames; the feed takes every row once, in order, also when it starts anew.
  @Test(arguments: 1...30 as ClosedRange<UInt64>)
  func everyRowOnceWhateverTheWriterSuffers(seed: UInt64) throws {
    let folder = TemporaryFolder()
    let jsonl = SignalFiles.jsonlFolder(folder.path)
    var random = SeededRandom(seed: seed)
    let rows = lines(seed: seed, count: 200)
    let confirmedOnly = seed % 2 == 0
    var feed = SignalFeed(runFolder: folder.path, source: .jsonl, confirmedOnly: confirmedOnly)
    var taken: [String] = []
    func look() throws {
      if random.bernoulli(0.3) { taken += try take(feed) }
      if random.bernoulli(0.05) {
        let position = try #require(SignalPosition(json: feed.position.json))
        #expect(position == feed.position)
        feed = SignalFeed(
          runFolder: folder.path, source: .jsonl, confirmedOnly: confirmedOnly, from: position)
      }
    }
    try look()
    try Files.makeFolder(jsonl)
    var hour = ""
    var file: Int32 = -1
    var size: off_t = 0
    for row in rows {
      if row.hour != hour {
        if file >= 0 {
          close(file)
          try Files.rename(jsonl + "/" + hour + ".jsonl.part", jsonl + "/" + hour + ".jsonl")
          try look()
        }
        hour = row.hour
        file = open(jsonl + "/" + hour + ".jsonl.part", O_RDWR | O_CREAT | O_APPEND, 0o644)
        size = 0
      }
      while random.bernoulli(0.3) {
        // Killed within the line; the next writer cuts it off, or begins the file anew.
        let part = random.below(row.line.count)
        _ = row.line.withUnsafeBytes { write(file, $0.baseAddress, part) }
        try look()
        if size == 0 {
          close(file)
          unlink(jsonl + "/" + hour + ".jsonl.part")
          try look()
          file = open(jsonl + "/" + hour + ".jsonl.part", O_RDWR | O_CREAT | O_APPEND, 0o644)
        } else {
          ftruncate(file, size)
        }
        try look()
      }
      let part = random.below(row.line.count)
      _ = row.line.withUnsafeBytes { write(file, $0.baseAddress, part) }
      try look()
      _ = row.line.withUnsafeBytes { write(file, $0.baseAddress! + part, row.line.count - part) }
      size += off_t(row.line.count)
      try look()
    }
    close(file)
    try Files.rename(jsonl + "/" + hour + ".jsonl.part", jsonl + "/" + hour + ".jsonl")
    taken += try take(feed)
    #expect(taken == rows.filter { !confirmedOnly || $0.confirmed }.map(\.id), "seed \(seed)")
    #expect(feed.rowsRead == rows.count && feed.bytesBehind == 0 && feed.linesUnreadable == 0)
  }

  /// An hour ends, and later hours come, between two looks: none is left out.
  @Test func hoursThatPassUnseenAreRead() throws {
    let folder = TemporaryFolder()
    var sink = try JSONLSink(runFolder: folder.path)
    var row = SignalRow(SignalSamples.context())
    let feed = SignalFeed(runFolder: folder.path, source: .jsonl, confirmedOnly: false)
    var taken: [String] = []
    for hour in 0..<12 {
      for index in 0..<3 {
        row.encode(
          SignalSamples.plain(time: SignalSamples.start + Int64(hour) * Nanoseconds.hour + Int64(index)))
        try sink.append(row)
      }
      if hour % 4 == 1 { try sink.flush() }
      if hour % 5 == 2 { taken += try take(feed) }
    }
    try sink.finish()
    taken += try take(feed)
    #expect(taken.count == 36 && Set(taken).count == 36 && taken == taken.sorted())
  }

  @Test func linesThatAreNoRowsArePassedAndNamed() throws {
    let folder = TemporaryFolder()
    let jsonl = SignalFiles.jsonlFolder(folder.path)
    try Files.makeFolder(jsonl)
    let rows = lines(seed: 3, count: 2)
    let long = String(repeating: "x", count: 500_000)
    let text =
      String(decoding: rows[0].line, as: UTF8.self) + "rubbish\n" + long + "\n"
      + String(decoding: rows[1].line, as: UTF8.self)
    try Files.writeAtomically(jsonl + "/\(rows[0].hour).jsonl.part", text)
    let feed = SignalFeed(runFolder: folder.path, source: .jsonl, confirmedOnly: false)
    #expect(try take(feed) == rows.map(\.id))
    #expect(feed.linesUnreadable == 2)
    #expect(feed.firstBadLine?.problem.hasPrefix("byte \(rows[0].line.count): ") == true)
  }

  // MARK: Database

  /// Commits that split a time, at random: a time is given when it is complete, each row once and in order.
  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func commitsMaySplitATime(seed: UInt64) throws {
    let folder = TemporaryFolder()
    var random = SeededRandom(seed: seed)
    var row = SignalRow(SignalSamples.context(["BTCUSDT", "ETHUSDT", "ADAUSDT"]))
    let confirmedOnly = seed % 2 == 0
    var feed = SignalFeed(runFolder: folder.path, source: .sqlite, confirmedOnly: confirmedOnly)
    var taken = try take(feed)
    var expected: [(time: Int64, id: String)] = []
    do {
      var sink = try SQLiteSink(runFolder: folder.path)
      for index in 0..<150 {
        let time = SignalSamples.start + Int64(index / 3) * 250_000_000
        let signal = SignalSamples.one(&random, time: time, symbol: index % 3)
        row.encode(signal)
        try sink.append(row)
        if signal.confirmed || !confirmedOnly { expected.append((time, row.text(.signalID)!)) }
        if random.bernoulli(0.2) { try sink.flush() }
        if random.bernoulli(0.3) { taken += try take(feed) }
        if random.bernoulli(0.05) {
          feed = SignalFeed(
            runFolder: folder.path, source: .sqlite, confirmedOnly: confirmedOnly, from: feed.position)
        }
      }
      try sink.finish()
      taken += try take(feed)
    }
    let order = expected.sorted { ($0.time, $0.id) < ($1.time, $1.id) }
    let newest = order.last!.time
    // The newest time may still grow: it comes with the last look, once.
    let complete = order.filter { $0.time < SignalSamples.start + 49 * 250_000_000 }.map(\.id)
    #expect(taken == complete, "seed \(seed)")
    #expect(newest <= SignalSamples.start + 49 * 250_000_000)
    let position = feed.position
    taken += try take(feed, isLast: true)
    taken += try take(feed, isLast: true)
    #expect(taken == order.map(\.id), "seed \(seed)")
    #expect(feed.position == position && feed.rowsRead == 150 && position.rows == 147)
  }

  /// The file is there before its writer: it is read as one that stands still, and followed when it moves.
  @Test func aFileThatStoodStillIsFollowedWhenItMoves() throws {
    let folder = TemporaryFolder()
    var row = SignalRow(SignalSamples.context())
    func append(_ times: Range<Int>) throws {
      var sink = try SQLiteSink(runFolder: folder.path)
      for time in times {
        row.encode(SignalSamples.plain(time: SignalSamples.start + Int64(time)))
        try sink.append(row)
      }
      try sink.finish()
    }
    try append(0..<10)
    let feed = SignalFeed(runFolder: folder.path, source: .sqlite, confirmedOnly: true)
    #expect(try take(feed).count == 9)
    // The writer has come and gone between two looks.
    try append(10..<2500)
    #expect(try take(feed).count == 2490)
    #expect(feed.bytesBehind == 0)
    try append(2500..<2501)
    #expect(try take(feed, isLast: true).count == 2)
  }
}
