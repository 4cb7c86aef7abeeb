import Core
import Glibc
import Strategy
import Synchronization
import Tape
import Venue

@testable import Services

/// Runs the signal stage over tape bytes in memory, in blocks of a chosen size.
func runPipeline(_ lines: [UInt8], blockBytes: Int = .max, configuration: SignalConfiguration = .init())
  -> PipelineRun
{
  var pipeline = SignalPipeline(configuration)
  var rows: [Signal] = []
  var shadowRows: [Signal] = []
  var start = 0
  while start < lines.count {
    var end = min(lines.count, blockBytes == .max ? lines.count : start + blockBytes)
    while end < lines.count, lines[end - 1] != 10 { end += 1 }
    let count = end - start
    let block = UnsafeMutableRawBufferPointer.allocate(
      byteCount: count + Tape.blockPaddingBytes, alignment: 64)
    defer { block.deallocate() }
    block.initializeMemory(as: UInt8.self, repeating: 0)
    lines[start..<end].withUnsafeBytes { block.copyMemory(from: $0) }
    var offset = 0
    while offset < count {
      offset = pipeline.process(UnsafeRawBufferPointer(rebasing: block[0..<count]), from: offset)
      rows += pipeline.rows
      shadowRows += pipeline.shadowRows
      pipeline.removeRows()
    }
    start = end
  }
  return PipelineRun(
    rows: rows, shadowRows: shadowRows, totals: pipeline.totals, books: pipeline.finalBooks(),
    symbols: pipeline.symbolResults())
}

struct PipelineRun {
  var rows: [Signal]
  var shadowRows: [Signal]
  var totals: PipelineTotals
  var books: JSONValue
  var symbols: [ReplayResult.Symbol]

  func symbol(_ name: String) -> ReplayResult.Symbol { symbols.first { $0.name == name }! }
}

/// A tape's lines, written by hand.
struct TapeText {
  var bytes: [UInt8] = []
  private var sequence = 0

  mutating func record(
    _ kind: String, _ receiveNs: Int64, connection: Int = 0, stream: String?, _ data: String
  ) {
    sequence += 1
    let name = stream.map { "\"\($0)\"" } ?? "null"
    let line =
      "{\"seq\":\(sequence),\"recv_ns\":\(receiveNs),\"conn\":\(connection),\"kind\":\"\(kind)\",\"stream\":\(name),\"data\":\(data)}\n"
    bytes += Array(line.utf8)
  }
}

/// All plain bytes of a tape on disk.
func tapeBytes(_ folder: String) throws -> [UInt8] {
  var reader = try TapeReader(folder: folder)
  var bytes: [UInt8] = []
  while let block = try reader.nextBlock() { bytes += block }
  return bytes
}

let recordingsFolder = getenv("WEIR_DATA").map { String(cString: $0) } ?? "../shared/data"

private let folderCounter = Atomic<Int>(0)

/// A folder of this test's own under /tmp.
func temporaryFolder() -> String {
  let path = "/tmp/weir-services-tests-\(getpid())-\(folderCounter.add(1, ordering: .relaxed).newValue)"
  try! Files.makeFolder(path)
  return path
}

func removeFolder(_ path: String) {
  for name in (try? Files.list(path)) ?? [] {
    let inner = path + "/" + name
    if Files.isFolder(inner) { removeFolder(inner) } else { unlink(inner) }
  }
  rmdir(path)
}

/// Records a generated market of two symbols; its truth.
@discardableResult
func makeMarket(
  _ folder: String, seed: UInt64 = 1, minutes: Double, gaps: Int = 0, duplicates: Int = 0, reorders: Int = 0,
  skewMs: Int64 = 0
) throws -> JSONValue {
  let options = try MarketOptions(
    seed: seed, symbols: ["BTCUSDT", "ETHUSDT"], minutes: minutes, gaps: gaps, duplicates: duplicates,
    reorders: reorders, skewMs: skewMs)
  return try generateMarket(options, output: folder, tape: TapeWriter.Options()).truth
}
