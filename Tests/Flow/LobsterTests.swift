import CZlib
import Core
import Flow
import Glibc
import Testing

/// The one file a test needs out of a zip archive (stored or deflated), by the end of its name.
private func unzip(_ path: String, _ suffix: String) throws -> [UInt8] {
  let bytes = try Files.read(path)
  func u16(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
  func u32(_ at: Int) -> Int { u16(at) | u16(at + 2) << 16 }
  var end = bytes.count - 22
  while u32(end) != 0x0605_4B50 { end -= 1 }
  var entry = u32(end + 16)
  for _ in 0..<u16(end + 10) {
    let name = String(decoding: bytes[entry + 46..<entry + 46 + u16(entry + 28)], as: UTF8.self)
    if name.hasSuffix(suffix) {
      let header = u32(entry + 42)
      let start = header + 30 + u16(header + 26) + u16(header + 28)
      var output = [UInt8](repeating: 0, count: u32(entry + 24))
      var stream = z_stream()
      inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
      defer { inflateEnd(&stream) }
      var input = Array(bytes[start..<start + u32(entry + 20)])
      let status = input.withUnsafeMutableBufferPointer { i in
        output.withUnsafeMutableBufferPointer { o in
          stream.next_in = i.baseAddress
          stream.avail_in = UInt32(i.count)
          stream.next_out = o.baseAddress
          stream.avail_out = UInt32(o.count)
          return inflate(&stream, Z_FINISH)
        }
      }
      #expect(status == Z_STREAM_END)
      return output
    }
    entry += 46 + u16(entry + 28) + u16(entry + 30) + u16(entry + 32)
  }
  Issue.record("no \(suffix) in \(path)")
  return []
}

/// The whole parts of a line's comma-separated numbers.
private func wholeNumbers(_ line: ArraySlice<UInt8>) -> [Int64] {
  var result: [Int64] = [0]
  var isFraction = false
  for byte in line {
    switch byte {
    case 44:
      result.append(0)
      isFraction = false
    case 46: isFraction = true
    case 48...57 where !isFraction:
      result[result.count - 1] = result[result.count - 1] * 10 + Int64(byte - 48)
    default: break
    }
  }
  return result
}

private let dataFolder = getenv("WEIR_DATA").map { String(cString: $0) } ?? "../shared/data"
private let archive = dataFolder + "/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_1.zip"

/// An independent check of the OFI formula on equities: Cont, Kukanov and Stoikov's own setting.
@Suite("LOBSTER AMZN 2012-06-21")
struct LobsterTests {
  /// Ten-second buckets, one regression of the mid's change on OFI per half hour; the mean R² of thirteen.
  @Test(.enabled(if: Files.exists(archive), "the LOBSTER sample is not here"))
  func meanHalfHourR2() throws {
    let book = try unzip(archive, "orderbook_1.csv").split(separator: 10)
    let messages = try unzip(archive, "message_1.csv").split(separator: 10)
    #expect(book.count == messages.count)
    var ofi = [Double](repeating: 0, count: 2340)
    var lastMid = [Double?](repeating: nil, count: 2340)
    var firstMid: Double?
    var before: Quote?
    for (row, message) in zip(book, messages) {
      let numbers = wholeNumbers(row)
      let after = Quote(
        bidPrice: numbers[2], bidQuantity: numbers[3], askPrice: numbers[0], askQuantity: numbers[1])
      let bucket = (Int(wholeNumbers(message)[0]) - 34_200) / 10
      guard bucket >= 0, bucket < 2340 else { continue }
      if let before { ofi[bucket] += Double(OrderFlowImbalance.contribution(before: before, after: after)) }
      before = after
      let mid = Double(after.doubledMid) / 2
      if firstMid == nil { firstMid = mid }
      lastMid[bucket] = mid
    }
    var r2: [Double] = []
    var previous = try #require(firstMid)
    var changes: [Double] = []
    for bucket in 0..<2340 {
      let mid = lastMid[bucket] ?? previous
      changes.append(mid - previous)
      previous = mid
      if bucket % 180 == 179 {
        r2.append(try #require(Statistics.squaredCorrelation(Array(ofi[bucket - 179...bucket]), changes)))
        changes = []
      }
    }
    let mean = r2.reduce(0, +) / Double(r2.count)
    print("LOBSTER AMZN level 1, 10 s buckets: mean half-hour R² \(mean)")
    #expect(r2.count == 13)
    #expect(abs(mean - 0.525) < 0.005)
  }
}
