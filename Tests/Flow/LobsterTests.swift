import CZlib
import Core
import Glibc
import Testing

@testable import Flow

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

/// The whole parts of a file's comma-separated numbers, line by line.
private struct NumberLines {
  let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Reads the first numbers of the next line, as many as there is room for; `false` behind the last line.
  mutating func next(into numbers: inout [Int64]) -> Bool {
    guard offset < bytes.count else { return false }
    bytes.withUnsafeBufferPointer { bytes in
      var column = 0
      var (value, sign): (Int64, Int64) = (0, 1)
      while offset < bytes.count, column < numbers.count {
        let byte = bytes[offset]
        offset &+= 1
        if byte == 44 || byte == 10 {
          numbers[column] = sign &* value
          column &+= 1
          (value, sign) = (0, 1)
          if byte == 10 { return }
        } else if byte == 45 {
          sign = -1
        } else if byte == 46 {
          while offset < bytes.count, bytes[offset] != 44, bytes[offset] != 10 { offset &+= 1 }
        } else if byte >= 48 {
          value = value &* 10 &+ Int64(byte &- 48)
        }
      }
      while offset < bytes.count, bytes[offset] != 10 { offset &+= 1 }
      offset &+= 1
    }
    return true
  }
}

private let dataFolder = getenv("WEIR_DATA").map { String(cString: $0) } ?? "../shared/data"
private let archive = dataFolder + "/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_1.zip"
private let deepArchive = dataFolder + "/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"

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

  /// The same with five levels: the best one, fixed weights, and the first principal component of the seconds
  /// before. Cont, Cucuringu and Zhang (2023) find the last one to explain most.
  @Test(.enabled(if: Files.exists(deepArchive), "the LOBSTER sample is not here"))
  func levelsTogetherExplainMoreThanTheBest() throws {
    let levels = 5
    let seconds = 23_400
    var book = NumberLines(try unzip(deepArchive, "orderbook_5.csv"))
    var messages = NumberLines(try unzip(deepArchive, "message_5.csv"))
    // Of each second: the levels' OFI, their sizes' sum, events, and the last mid.
    var ofi = [Int64](repeating: 0, count: seconds * levels)
    var sizes = [Int64](repeating: 0, count: seconds)
    var events = [Int64](repeating: 0, count: seconds)
    var mids = [Double?](repeating: nil, count: seconds)
    var before = [Int64](repeating: 0, count: 4 * levels)
    var after = before
    var isFirst = true
    var time: [Int64] = [0]
    while book.next(into: &after), messages.next(into: &time) {
      let second = Int(time[0]) - 34_200
      for level in 0..<levels where second >= 0 && second < seconds {
        let new = quote(after, level)
        if !isFirst {
          ofi[second * levels + level] += OrderFlowImbalance.contribution(
            before: quote(before, level), after: new)
        }
        sizes[second] += new.bidQuantity + new.askQuantity
        if level == 0 {
          events[second] += 1
          mids[second] = Double(new.doubledMid) / 2
        }
      }
      swap(&before, &after)
      isFirst = false
    }
    var component = PrincipalComponent(width: levels, history: 900)
    var window = [Int64](repeating: 0, count: levels)
    var (size, count) = (Int64(0), Int64(0))
    var (mid, midBefore) = (0.0, 0.0)
    var series: [(best: Double, weighted: Double, integrated: Double, move: Double)] = []
    var r2: [(best: Double, weighted: Double, integrated: Double)] = []
    let weights = FlowConfiguration().weights
    for second in 0..<seconds {
      for level in 0..<levels {
        window[level] += ofi[second * levels + level]
        if second >= 10 { window[level] -= ofi[(second - 10) * levels + level] }
      }
      size += sizes[second] - (second >= 10 ? sizes[second - 10] : 0)
      count += events[second] - (second >= 10 ? events[second - 10] : 0)
      if let new = mids[second] { mid = new }
      guard second >= 9, size > 0 else { continue }
      let depth = Double(size) / Double(2 * levels * Int(count))
      let scaled = window.map { Double($0) / depth }
      if second % 10 == 9 {
        if component.isKnown {
          series.append(
            (
              best: Double(window[0]),
              weighted: zip(weights, window).reduce(0) { $0 + $1.0 * Double($1.1) },
              integrated: (0..<levels).reduce(0) { $0 + component.weights[$1] * scaled[$1] },
              move: mid - midBefore
            ))
        }
        midBefore = mid
      }
      component.push(scaled)
      guard second % 1800 == 1799 else { continue }
      let moves = series.map(\.move)
      r2.append(
        (
          best: try #require(Statistics.squaredCorrelation(series.map(\.best), moves)),
          weighted: try #require(Statistics.squaredCorrelation(series.map(\.weighted), moves)),
          integrated: try #require(Statistics.squaredCorrelation(series.map(\.integrated), moves))
        ))
      series = []
    }
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
    let (best, weighted, integrated) = (
      mean(r2.map(\.best)), mean(r2.map(\.weighted)), mean(r2.map(\.integrated))
    )
    print(
      "LOBSTER AMZN level 5, 10 s buckets, mean half-hour R²: best \(best), weighted \(weighted), "
        + "integrated \(integrated); weights \((0..<levels).map { component.weights[$0] })")
    #expect(r2.count == 13)
    #expect(integrated > best)
    #expect(weighted > best)
  }

  private func quote(_ row: [Int64], _ level: Int) -> Quote {
    Quote(
      bidPrice: row[4 * level + 2], bidQuantity: row[4 * level + 3], askPrice: row[4 * level],
      askQuantity: row[4 * level + 1])
  }
}
