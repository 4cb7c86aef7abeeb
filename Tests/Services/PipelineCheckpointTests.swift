import Binance
import Book
import Core
import Flow
import Store
import Strategy
import Tape
import Testing

@testable import Services

/// Histories that go round and gates that open within two minutes of tape.
let quickConfiguration: SignalConfiguration = {
  var configuration = SignalConfiguration()
  configuration.flow.historyMs = 20_000
  configuration.flow.warmupMs = 5000
  configuration.flow.fusion.base = .init(signal: 0.6, strong: 1.1)
  configuration.gates.resyncCooldownMs = 2000
  configuration.gates.reconnectCooldownMs = 2000
  configuration.gates.consistencyMin = 0
  configuration.gates.missingRatioMax = 1
  configuration.gates.lagMsMax = 10_000
  configuration.gates.spreadBpsMax = 1000
  return configuration
}()

/// Market bytes with what a generated market has not: clocks, reconnects, mismatches, junk.
func disturbed(_ bytes: [UInt8], _ random: inout SeededRandom) -> [[UInt8]] {
  var lines = bytes.split(separator: 0x0A).map { Array($0) + [0x0A] }
  func insert(_ kind: String, _ stream: String, _ data: String, at index: Int) {
    let like = lines[index].withUnsafeBytes {
      TapeRecord(parsing: UnsafeRawBufferPointer(rebasing: $0.dropLast()))
    }
    guard let like else { return }
    let line =
      "{\"seq\":\(like.sequence),\"recv_ns\":\(like.receiveTime.rawValue),\"conn\":1,\"kind\":\"\(kind)\",\"stream\":"
      + "\(stream),\"data\":\(data)}\n"
    lines.insert(Array(line.utf8), at: index)
  }
  for _ in 0..<12 {
    let index = lines.count / 5 + random.below(lines.count * 4 / 5)
    switch random.below(6) {
    case 0: insert("clock", "null", "{\"degraded_time_sync\":\(random.bernoulli(0.5))}", at: index)
    case 1: insert("open", "null", "{\"reason\":\"lost\"}", at: index)
    case 2: insert("gap", "\"btcusdt@bookTicker\"", "{\"reason\":\"silence\"}", at: index)
    case 3: insert("frame", "\"ethusdt@depth\"", "{\"e\":\"depthUpdate\",\"s\":\"ETHUSDT\"}", at: index)
    case 4: lines.insert(Array("no record\n".utf8), at: index)
    default:
      insert(
        "snapshot", "\"btcusdt@aggTrades\"",
        "[{\"a\":\(random.below(1000)),\"p\":\"1.0\",\"q\":\"1.000\",\"T\":1,\"m\":true}]", at: index)
    }
  }
  insert("gap", "\"ethusdt@depth\"", "{\"reason\":\"book_mismatch\"}", at: lines.count * 19 / 20)
  return lines
}

private func block(_ lines: ArraySlice<[UInt8]>, _ body: (UnsafeRawBufferPointer) -> Void) {
  let bytes = lines.flatMap { $0 } + [UInt8](repeating: 0, count: Tape.blockPaddingBytes)
  bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<($0.count - Tape.blockPaddingBytes)])) }
}

/// A pipeline with what it has put out.
private struct Subject: ~Copyable {
  var pipeline: SignalPipeline
  var rows: [Signal] = []

  init(_ configuration: SignalConfiguration) { pipeline = SignalPipeline(configuration) }

  mutating func take(_ lines: ArraySlice<[UInt8]>) {
    block(lines) { bytes in
      var offset = 0
      while offset < bytes.count {
        offset = pipeline.process(bytes, from: offset)
        rows += pipeline.rows
        pipeline.removeRows()
      }
    }
  }

  /// Everything that can be seen of it.
  var seen: String {
    "\(pipeline.totals) \(pipeline.decoder.genericFrames) \(pipeline.symbolResults()) \(pipeline.finalBooks().text())"
  }

  func saved() -> [UInt8] {
    var writer = CheckpointWriter()
    writer.append("PIPE", pipeline)
    return Array(writer.bytes)
  }

  /// Throws the pipeline away and goes on with one restored from bytes.
  mutating func restore(_ bytes: [UInt8], _ configuration: SignalConfiguration) throws {
    var fresh = SignalPipeline(configuration)
    try bytes.withUnsafeBytes { buffer in
      var reader = CheckpointReader(buffer)
      try reader.restore("PIPE", &fresh)
      try reader.finish()
    }
    pipeline = fresh
  }
}

@Suite("Pipeline checkpoints")
struct PipelineCheckpointTests {
  private func expectCrashEqualsNoCrash(
    _ lines: [[UInt8]], _ configuration: SignalConfiguration, cuts: Int, seed: UInt64
  ) throws {
    var random = SeededRandom(seed: seed)
    var whole = Subject(configuration)
    whole.take(lines[...])
    var cut = Subject(configuration)
    var start = 0
    for end in (0..<cuts).map({ _ in random.below(lines.count) }).sorted() + [lines.count] {
      cut.take(lines[start..<end])
      start = end
      try cut.restore(cut.saved(), configuration)
    }
    #expect(cut.rows.count == whole.rows.count, "seed \(seed)")
    #expect(whole.rows.contains { $0.confirmed && $0.kind.isStrong }, "nothing happens on this tape")
    let first = zip(cut.rows, whole.rows).first { $0 != $1 }
    #expect(first == nil, "seed \(seed)")
    #expect(cut.seen == whole.seen, "seed \(seed)")
    #expect(cut.saved().count == whole.saved().count, "seed \(seed)")
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func aCutPipelineGoesOnAsIfItWereWhole(seed: UInt64) throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(
      folder, seed: seed, minutes: 1.5, gaps: 6, duplicates: 6, reorders: 8, skewMs: seed % 2 == 0 ? -1500 : 0
    )
    var random = SeededRandom(seed: seed)
    let lines = disturbed(try tapeBytes(folder), &random)
    var configuration = quickConfiguration
    configuration.flow.standardization = FlowConfiguration.Standardization.allCases[Int(seed) % 3]
    configuration.flow.cvdReset = FlowConfiguration.CVDReset.allCases[Int(seed) % 3]
    try expectCrashEqualsNoCrash(lines, configuration, cuts: 50, seed: seed)
  }

  /// Around a hole nearly every field is in use: a cut before each of its records.
  @Test func aCutAnywhereAroundAHole() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder, seed: 9, minutes: 0.5, gaps: 1, reorders: 1)
    let lines = try tapeBytes(folder).split(separator: 0x0A).map { Array($0) + [0x0A] }
    var whole = Subject(quickConfiguration)
    whole.take(lines[...])
    // The records at which a book is lost, and some behind.
    var probe = Subject(quickConfiguration)
    var cuts: [Int] = []
    var wasSynchronized = false
    for index in lines.indices {
      probe.take(lines[index...index])
      let isSynchronized = probe.pipeline.states.allSatisfy { $0.pointee.book.isSynchronized }
      if wasSynchronized, !isSynchronized { cuts += (index - 3)..<min(lines.count, index + 60) }
      wasSynchronized = isSynchronized
    }
    #expect(cuts.count > 60)
    var cut = Subject(quickConfiguration)
    var start = 0
    for end in Set(cuts).sorted() + [lines.count] {
      cut.take(lines[start..<end])
      start = end
      try cut.restore(cut.saved(), quickConfiguration)
    }
    #expect(cut.rows == whole.rows)
    #expect(cut.seen == whole.seen)
  }

  @Test(
    .enabled(if: Files.isFolder(recordingsFolder), "the recordings are not here; set WEIR_DATA"))
  func aCutRecordingGoesOnAsIfItWereWhole() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    let names = ["btcusdt_20240718.gz", "ethusdt_20240718.gz"]
    _ = try importRecordings(
      ImportOptions(
        output: folder + "/tape", files: names.map { recordingsFolder + "/usdm_20240718/" + $0 }))
    let lines = try tapeBytes(folder + "/tape").split(separator: 0x0A).map { Array($0) + [0x0A] }
    try expectCrashEqualsNoCrash(lines, quickConfiguration, cuts: 8, seed: 1)
  }

  /// Bytes whose hash would hold and that no pipeline has written are refused or restored, never a trap.
  @Test func alteredStateIsRefusedOrRestored() throws {
    let folder = temporaryFolder()
    defer { removeFolder(folder) }
    try makeMarket(folder, seed: 3, minutes: 0.3, gaps: 1)
    var subject = Subject(quickConfiguration)
    subject.take(try tapeBytes(folder).split(separator: 0x0A).map { Array($0) + [0x0A] }[...])
    let whole = subject.saved()
    var random = SeededRandom(seed: 11)
    for _ in 0..<300 {
      var bytes = whole
      if random.bernoulli(0.2) {
        bytes.removeLast(1 + random.below(whole.count - 1))
        #expect(throws: CheckpointError.self) { try subject.restore(bytes, quickConfiguration) }
      } else {
        for _ in 0..<(1 + random.below(4)) { bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8)) }
        try? subject.restore(bytes, quickConfiguration)
      }
    }
    for field in [0, 8, 16, 24, 40] {
      var bytes = whole
      for byte in 0..<8 { bytes[field + byte] = 0xFF }
      #expect(throws: CheckpointError.self) { try subject.restore(bytes, quickConfiguration) }
    }
  }

  /// All that interventions change, parameters included, outlives the process.
  @Test func interventionsAreRestored() throws {
    var control = StrategyControl(quickConfiguration)
    let texts = [
      #"{"control":"mode","value":"quiet","by":"ctl"}"#, #"{"control":"mode","value":"active"}"#,
      #"{"control":"shadow","value":"pause"}"#, #"{"control":"time_sync","value":"degraded"}"#,
      #"{"control":"degrade","light_rows":true,"strong_only":false,"threshold_scale":1.25,"conservative_cost":true}"#,
      #"{"control":"params","version":"0123456789ab","values":{"gates.lag_ms_max":500,"gates.dedupe_ms":70,"#
        + #""fusion.active.strong":3.5,"fusion.flip_margin":0.25,"fusion.cooldown_ms":900,"fusion.weight_cvd":0.3}}"#,
    ]
    for (index, text) in texts.enumerated() {
      try control.apply(Control(JSONValue(parsing: text)), at: Int64(index + 1) * 1_000_000_007)
    }
    var writer = CheckpointWriter()
    writer.append("CTRL", control)
    var restored = StrategyControl(quickConfiguration)
    #expect(restored != control)
    var reader = CheckpointReader(writer.bytes)
    try reader.restore("CTRL", &restored)
    try reader.finish()
    #expect(restored == control)
  }

  @Test func anEmptyPipelineIsRestored() throws {
    var subject = Subject(quickConfiguration)
    try subject.restore(subject.saved(), quickConfiguration)
    #expect(subject.pipeline.totals == PipelineTotals())
  }
}

/// A stored property more, or another, changes a size here: write it in the type's `save` and `restore`, or
/// say there why not, raise `SignalCheckpoint.version`, and then change the number.
@Suite("Checkpoint layout", .enabled(if: MemoryLayout<Int>.size == 8, "sizes are of 64-bit machines"))
struct CheckpointLayoutTests {
  @Test func everyFieldIsKnownToItsCheckpoint() {
    #expect(SignalCheckpoint.version == 1)
    #expect(MemoryLayout<SignalPipeline>.size == 1928)
    #expect(MemoryLayout<StrategyControl>.size == 305)
    #expect(MemoryLayout<StrategyState>.size == 65)
    #expect(MemoryLayout<PipelineTotals>.size == 88)
    #expect(MemoryLayout<Connections>.size == 8)
    #expect(MemoryLayout<FrameDecoder>.size == 173)
    #expect(MemoryLayout<InstrumentTable>.size == 32)
    #expect(MemoryLayout<SymbolState>.size == 1824)
    #expect(MemoryLayout<SymbolCounts>.size == 104)
    #expect(MemoryLayout<SynchronizedBook>.size == 386)
    #expect(MemoryLayout<DepthBuffer>.size == 24)
    #expect(MemoryLayout<BookSync>.size == 9)
    #expect(MemoryLayout<Book>.size == 202)
    #expect(MemoryLayout<Ladder>.size == 98)
    #expect(MemoryLayout<SymbolFlow>.size == 1008)
    #expect(MemoryLayout<SlidingSum>.size == 64)
    #expect(MemoryLayout<Standardizer>.size == 104)
    #expect(MemoryLayout<MultiLevelImbalance>.size == 49)
    #expect(MemoryLayout<PriceImpact>.size == 96)
    #expect(MemoryLayout<CumulativeVolumeDelta>.size == 32)
    #expect(MemoryLayout<TradeSequence>.size == 40)
    #expect(MemoryLayout<ClockOffset>.size == 96)
    #expect(MemoryLayout<SignalClassifier>.size == 24)
    #expect(MemoryLayout<Gates>.size == 96)
    #expect(MemoryLayout<SignalSinkState>.size == 200)
  }
}
