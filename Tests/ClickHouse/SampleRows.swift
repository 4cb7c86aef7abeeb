import Core
import Foundation
import Tables
import Tape

/// Records of all kinds, made from a seed, as a tape's lines.
struct SampleRows {
  static let startNs: Int64 = 1_721_347_140_000_000_000
  private(set) var lines: [String] = []

  /// - Parameter count: of records, 10 ms to 2 s apart: from before midnight until after it.
  init(seed: UInt64, count: Int) {
    var random = SeededRandom(seed: seed)
    var receiveNs = SampleRows.startNs
    for index in 1...count {
      receiveNs += Int64(10 + random.below(2000)) * 1_000_000
      let millisecond = receiveNs / 1_000_000 - Int64(random.below(300))
      let symbol = random.bernoulli(0.5) ? "BTCUSDT" : "ETHUSDT"
      let stream = symbol.lowercased()
      let price = "\(64_000 + random.below(100)).\(random.below(9))0"
      let size = "\(random.below(9)).\(100 + random.below(900))"
      let body: String
      switch random.below(10) {
      case 0, 1, 2:
        let bids = (0...random.below(8)).map { "[\"\(63_000 + $0).10\",\"\(size)\"]" }.joined(separator: ",")
        body =
          #""frame","stream":"\#(stream)@depth@100ms","data":{"e":"depthUpdate","E":\#(millisecond),"T":\#(millisecond),"s":"\#(symbol)","U":\#(index),"u":\#(index),"pu":\#(index - 1),"b":[\#(bids)],"a":[["65000.20","\#(size)"]]}"#
      case 3, 4, 5:
        body =
          #""frame","stream":"\#(stream)@bookTicker","data":{"e":"bookTicker","u":\#(index),"s":"\#(symbol)","b":"\#(price)","B":"\#(size)","a":"\#(price)","A":"\#(size)","T":\#(millisecond),"E":\#(millisecond)}"#
      case 6, 7:
        body =
          #""frame","stream":"\#(stream)@aggTrade","data":{"e":"aggTrade","E":\#(millisecond),"a":\#(index),"s":"\#(symbol)","p":"\#(price)","q":"\#(size)","f":\#(index),"l":\#(index),"T":\#(millisecond),"m":\#(random.bernoulli(0.5))}"#
      case 8:
        let trades = (0...random.below(4)).map {
          #"{"a":\#(index * 10 + $0),"p":"\#(price)","q":"\#(size)","f":1,"l":2,"T":\#(millisecond + Int64($0)),"m":false}"#
        }.joined(separator: ",")
        body = #""snapshot","stream":"\#(stream)@aggTrades","data":[\#(trades)]"#
      default:
        body =
          random.bernoulli(0.5)
          ? #""note","stream":null,"data":{"text":"größer \#(index)\t"}"#
          : #""frame","stream":"\#(stream)@forceOrder","data":{"e":"forceOrder","E":\#(millisecond),"o":{"s":"\#(symbol)","S":"SELL","o":"LIMIT","f":"IOC","q":"1","p":"\#(price)","ap":"\#(price)","X":"FILLED","l":"1","z":"1","T":\#(millisecond)}}"#
      }
      lines.append("{\"seq\":\(index),\"recv_ns\":\(receiveNs),\"conn\":0,\"kind\":\(body)}\n")
    }
  }

  /// Gives the rows to a reader block by block.
  ///
  /// - Parameter blockLines: how many lines a block has, drawn anew for each.
  func read(blockLines: () -> Int, _ take: (borrowing TapeProjection) throws -> Void) rethrows {
    var projection = TapeProjection(grouping: .together)
    projection.beginSegment()
    var start = 0
    while start < lines.count {
      let end = min(lines.count, start + max(1, blockLines()))
      let bytes = Array(lines[start..<end].joined().utf8)
      let padded = bytes + [UInt8](repeating: 0, count: Tape.blockPaddingBytes)
      for batch in projection.batches { batch.removeAll() }
      padded.withUnsafeBytes {
        projection.take(UnsafeRawBufferPointer(rebasing: $0[..<bytes.count]))
      }
      try take(projection)
      start = end
    }
  }
}
