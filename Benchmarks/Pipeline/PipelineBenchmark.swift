import Binance
import Book
import Core
import Glibc
import Services
import Tape

/// What a tape costs, part by part, in processor time of this thread: reading it, updating books, and the whole
/// signal stage without sinks. Each figure is the best of several passes over the same bytes.
@main
struct PipelineBenchmark {
  static let passes = 5

  static func main() throws {
    guard CommandLine.arguments.count == 2 else {
      print("usage: pipeline-benchmark TAPE")
      exit(2)
    }
    let folder = CommandLine.arguments[1]
    var frames: Int64 = 0
    var levels: Int64 = 0
    let stage = try best {
      var reader = try TapeReader(folder: folder)
      var pipeline = SignalPipeline(SignalConfiguration())
      while let block = try reader.nextBlock() {
        var offset = 0
        while offset < block.count {
          offset = pipeline.process(block, from: offset)
          pipeline.removeRows()
        }
      }
      frames = pipeline.totals.frames
      levels = pipeline.levelUpdates
    }
    var bytes = 0
    let reading = try best {
      var reader = try TapeReader(folder: folder)
      bytes = 0
      while let block = try reader.nextBlock() { bytes += block.count }
    }
    let updates = try bookUpdates(folder)
    let document: JSONValue = .object([
      "frames": .integer(frames), "level_updates": .integer(levels), "bytes": .integer(bytes),
      "signal_stage_frames_per_cpu_s": .rounded(Double(frames) / stage, 0),
      "signal_stage_ns_per_frame": .rounded(stage * 1e9 / Double(frames), 1),
      "reading_ns_per_frame": .rounded(reading * 1e9 / Double(frames), 1),
      "reading_share": .rounded(reading / stage, 3),
      "book_ns_per_level_update": .rounded(updates, 2),
    ])
    print(document.text())
  }

  /// Nanoseconds a level of the books alone, on the tape's own events, decoded beforehand.
  static func bookUpdates(_ folder: String) throws -> Double {
    var reader = try TapeReader(folder: folder)
    var decoder = FrameDecoder()
    var prices: [Int64] = []
    var quantities: [Int64] = []
    var events: [(bids: Int, asks: Int)] = []
    while let block = try reader.nextBlock(), prices.count < 4_000_000 {
      var offset = 0
      while offset < block.count {
        let base = block.baseAddress!
        guard let newline = memchr(base + offset, 0x0A, block.count - offset) else { break }
        let end = UnsafeRawPointer(newline) - base
        if let header = RecordHeader(scanning: base, offset), let payload = header.payload(base, lineEnd: end)
        {
          let isScanned = decoder.scan(base, header.streamStart) >= 0
          if !isScanned {
            _ = decoder.decodeGenerically(
              base: base, start: payload.start, end: payload.end, streamName: payload.stream,
              isUnwrapped: true,
              learnAt: header.streamStart, learnEnd: end)
          }
          if decoder.frame.kind == .depthUpdate, decoder.frame.symbol.rawValue == 0 {
            let count = decoder.frame.bidCount + decoder.frame.askCount
            events.append((decoder.frame.bidCount, decoder.frame.askCount))
            prices += UnsafeBufferPointer(start: decoder.frame.prices, count: count)
            quantities += UnsafeBufferPointer(start: decoder.frame.quantities, count: count)
          }
        }
        offset = end + 1
      }
    }
    let seconds = best {
      var book = Book()
      var sink: Int64 = 0
      prices.withUnsafeBufferPointer { prices in
        quantities.withUnsafeBufferPointer { quantities in
          var at = 0
          for event in events {
            book.apply(
              prices: prices.baseAddress! + at, quantities: quantities.baseAddress! + at,
              bidCount: event.bids,
              askCount: event.asks)
            at += event.bids + event.asks
            sink &+= book.bids.bestPrice
          }
        }
      }
      if sink == 0 { print("no books") }
    }
    return seconds * 1e9 / Double(max(1, prices.count))
  }

  static func best(_ body: () throws -> Void) rethrows -> Double {
    var best = Double.infinity
    for _ in 0..<passes {
      let start = cpuSeconds()
      try body()
      best = min(best, cpuSeconds() - start)
    }
    return best
  }

  static func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
