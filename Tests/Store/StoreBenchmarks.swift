import Core
import Glibc
import Store
import Strategy
import Testing

/// Processor time of the calling thread, the best of some rounds, printed; run with WEIR_BENCH=1 in a release build.
@Suite("Store timing", .serialized, .enabled(if: getenv("WEIR_BENCH") != nil, "set WEIR_BENCH=1"))
struct StoreBenchmarks {
  static let rows = SignalSamples.typical(count: 200_000, symbols: 4)
  static let context = SignalSamples.context(["BTCUSDT", "ETHUSDT", "SOLUSDT", "1000PEPEUSDT"])

  func nanosecondsPerRow(_ name: String, rounds: Int = 5, _ body: () throws -> Void) rethrows {
    var best = Int64.max
    for _ in 0..<rounds {
      var before = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before)
      try body()
      var after = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after)
      best = min(
        best, Int64(after.tv_sec - before.tv_sec) * 1_000_000_000 + Int64(after.tv_nsec - before.tv_nsec))
    }
    print("\(name): \(best / Int64(StoreBenchmarks.rows.count)) ns/row")
  }

  @Test func encoding() {
    var row = SignalRow(StoreBenchmarks.context)
    var length = 0
    nanosecondsPerRow("encode") {
      for signal in StoreBenchmarks.rows {
        row.encode(signal)
        length = row.line.count
      }
    }
    #expect(length > 300)
    print("line: \(length) bytes")
  }

  @Test func sinks() throws {
    var row = SignalRow(StoreBenchmarks.context)
    try nanosecondsPerRow("encode + JSONL") {
      let folder = TemporaryFolder()
      var sink = try JSONLSink(runFolder: folder.path)
      for signal in StoreBenchmarks.rows {
        row.encode(signal)
        try sink.append(row)
      }
      try sink.finish()
      #expect(sink.rowsWritten == StoreBenchmarks.rows.count)
    }
    try nanosecondsPerRow("encode + SQLite") {
      let folder = TemporaryFolder()
      var sink = try SQLiteSink(runFolder: folder.path)
      for signal in StoreBenchmarks.rows {
        row.encode(signal)
        try sink.append(row)
      }
      try sink.finish()
      #expect(sink.rowsWritten == StoreBenchmarks.rows.count)
    }
  }

  @Test(arguments: SignalSinkSet.Choice.allCases) func sets(_ choice: SignalSinkSet.Choice) throws {
    try nanosecondsPerRow("set with hash, \(choice)") {
      let folder = TemporaryFolder()
      var set = try SignalSinkSet(choice, runFolder: folder.path, context: StoreBenchmarks.context)
      for signal in StoreBenchmarks.rows { try set.append(signal) }
      try set.finish()
      #expect(set.signalsSHA256().utf8.count == 64)
    }
  }

  @Test func readers() throws {
    let folder = TemporaryFolder()
    var set = try SignalSinkSet(.dual, runFolder: folder.path, context: StoreBenchmarks.context)
    for signal in StoreBenchmarks.rows { try set.append(signal) }
    try set.finish()
    try nanosecondsPerRow("read JSONL", rounds: 2) {
      var reader = try JSONLReader(runFolder: folder.path)
      var count = 0
      while try reader.next() != nil { count += 1 }
      #expect(count == StoreBenchmarks.rows.count)
    }
    try nanosecondsPerRow("read SQLite", rounds: 2) {
      var reader = try SQLiteReader(runFolder: folder.path)
      var count = 0
      while try reader.next() != nil { count += 1 }
      #expect(count == StoreBenchmarks.rows.count)
    }
  }
}
