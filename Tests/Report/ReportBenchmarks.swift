import Core
import Glibc
import Report
import Store
import Strategy
import Testing

/// Processor time of the calling thread, printed; run with WEIR_BENCH=1 in a release build.
@Suite("Report timing", .serialized, .enabled(if: getenv("WEIR_BENCH") != nil, "set WEIR_BENCH=1"))
struct ReportBenchmarks {
  func seconds(_ body: () throws -> Void) rethrows -> Double {
    var before = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before)
    try body()
    var after = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after)
    return Double(after.tv_sec - before.tv_sec) + Double(after.tv_nsec - before.tv_nsec) / 1e9
  }

  @Test func accumulateWriteCompare() throws {
    let folder = TemporaryFolder()
    let rows = ReportSamples.market(seed: 1, seconds: 30_000)
    var accumulator = ReportAccumulator(symbols: ReportSamples.symbols())
    let adding = seconds { for row in rows { accumulator.add(row) } }
    print("accumulate: \(Int(adding / Double(rows.count) * 1e9)) ns/row of \(rows.count)")
    let writing = try seconds {
      for day in accumulator.days {
        _ = try DailyReport(day: day, symbols: accumulator.symbols).write(runFolder: folder.path)
      }
    }
    print("write \(accumulator.days.count) daily reports: \(Int(writing * 1e3)) ms")
    let context = SignalContext(symbols: ReportSamples.symbols(), configVersion: "c")
    var sinks = try SignalSinkSet(.dual, runFolder: folder.path, context: context)
    for row in rows { try sinks.append(row) }
    try sinks.finish()
    var report: ParityReport?
    let comparing = try seconds { report = try compareSinks(runFolder: folder.path) }
    #expect(report?.isExact == true && report?.jsonl.total == rows.count)
    print("parity: \(Int(comparing / Double(rows.count) * 1e9)) ns/row")
  }
}
