import Binance
import Core
import Tape

/// Where a tape ended, so that a harvester that continues it knows what is missing in between.
public struct HarvestResume: Equatable, Sendable {
  public struct Position: Equatable, Sendable {
    /// The highest aggregate trade id.
    public var lastTradeID: Int64?
    /// The highest `u` of a depth event.
    public var lastFinalUpdateID: Int64?
    /// Trade ids, rising, that the end of the tape lacks and has not given up: a harvester that was killed had
    /// not filled them yet.
    public var tradeHoles: [ClosedRange<Int64>]

    public init(
      lastTradeID: Int64? = nil, lastFinalUpdateID: Int64? = nil, tradeHoles: [ClosedRange<Int64>] = []
    ) {
      self.lastTradeID = lastTradeID
      self.lastFinalUpdateID = lastFinalUpdateID
      self.tradeHoles = tradeHoles
    }
  }

  /// By upper-case name.
  public var symbols: [String: Position] = [:]
  /// Of the tape's last record.
  public var lastReceiveTime: UnixNanos?

  /// A new tape.
  public init() {}

  /// Plain bytes read from a tape's end at most.
  public static let plainBytesMax = 64 << 20
  /// And at least, for holes that were open.
  public static let plainBytesMin = 16 << 20
  static let bytesLeftMin = plainBytesMax - plainBytesMin
  static let chunkBytes = 4 << 20

  /// Reads a tape from its end, until every symbol's position is known and ``plainBytesMin`` are read, at most two
  /// segments and ``plainBytesMax`` of plain bytes (a compressed segment is read whole). A symbol that is not found has no
  /// position. A torn last line is left out; so is what a line that is no record may have said.
  ///
  /// - Parameter wanted: upper-case names to stop at once found; empty to read to the bound.
  /// - Throws: when a segment cannot be read. A folder that does not exist is a new tape.
  public init(tapeFolder folder: String, symbols wanted: [String] = []) throws(TapeError) {
    guard Files.isFolder(folder) else { return }
    var scan = TailScan(wanted: wanted)
    var bytesLeft = HarvestResume.plainBytesMax
    for segment in try TapeTail.segments(folder).suffix(2).reversed()
    where !scan.isComplete || (bytesLeft > HarvestResume.bytesLeftMin && !segment.isCompressed) {
      if segment.isCompressed {
        try scan.readWhole(folder, segment)
      } else {
        try scan.readBackward("\(folder)/\(segment.file)", &bytesLeft)
      }
    }
    symbols = scan.positions
  }
}

/// The segment files of a tape's folder, in time order.
enum TapeTail {
  struct Segment {
    var file: String
    var hour: String
    var isCompressed: Bool
  }

  static func segments(_ folder: String) throws(TapeError) -> [Segment] {
    let files: [String]
    do throws(FileError) { files = try Files.list(folder) } catch { throw .file(error) }
    var found: [String: Segment] = [:]
    for file in files {
      let hour = String(file.prefix(13))
      guard isHour(hour) else { continue }
      if file == hour + ".ndjson" {
        found[hour] = Segment(file: file, hour: hour, isCompressed: false)
      } else if file == hour + ".ndjson.zst", found[hour] == nil {
        found[hour] = Segment(file: file, hour: hour, isCompressed: true)
      }
    }
    return found.values.sorted { $0.hour < $1.hour }
  }

  /// `2024-07-18T23`
  private static func isHour(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return bytes.count == 13
      && bytes.indices.allSatisfy { index in
        switch index {
        case 4, 7: bytes[index] == 0x2D
        case 10: bytes[index] == 0x54
        default: bytes[index] >= 0x30 && bytes[index] <= 0x39
        }
      }
  }
}

/// Takes the ids out of records.
struct TailScan: ~Copyable {
  private var symbols: [String: HarvestResume.Position] = [:]
  /// Trades on the tape, and those that were given up.
  private var seen: [String: IDRanges] = [:]
  private let wanted: Set<String>
  private var decoder = FrameDecoder()
  private var trades: [AnsweredTrade] = []

  init(wanted: [String]) { self.wanted = Set(wanted) }

  var isComplete: Bool {
    !wanted.isEmpty
      && wanted.allSatisfy { symbols[$0]?.lastTradeID != nil && symbols[$0]?.lastFinalUpdateID != nil }
  }

  mutating func readBackward(_ path: String, _ bytesLeft: inout Int) throws(TapeError) {
    do throws(FileError) {
      let file = try File(path, .read)
      var end = try file.size()
      let room = UnsafeMutableRawBufferPointer.allocate(
        byteCount: HarvestResume.chunkBytes + FrameDecoder.paddingBytes, alignment: 64)
      defer { room.deallocate() }
      while end > 0, bytesLeft > 0, !isComplete || bytesLeft > HarvestResume.bytesLeftMin {
        let start = max(0, end - min(HarvestResume.chunkBytes, bytesLeft))
        let count = try TailScan.fill(room, file, start, end - start)
        (room.baseAddress! + count).initializeMemory(
          as: UInt8.self, repeating: 0, count: FrameDecoder.paddingBytes)
        let bytes = UnsafeRawBufferPointer(start: room.baseAddress!, count: count)
        bytesLeft -= count
        // The line that the chunk begins in is read with the chunk before; one longer than a chunk is left
        // out.
        var first = 0
        if start > 0 { first = bytes.firstIndex(of: 0x0A).map { $0 + 1 } ?? count }
        take(UnsafeRawBufferPointer(rebasing: bytes[first...]))
        end = first > 0 && first < count ? start + first : start
      }
    } catch {
      throw .file(error)
    }
  }

  private static func fill(
    _ room: UnsafeMutableRawBufferPointer, _ file: borrowing File, _ offset: Int, _ count: Int
  ) throws(FileError) -> Int {
    try file.seek(to: offset)
    var done = 0
    while done < count {
      let got = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: room[done..<count]))
      if got == 0 { break }
      done += got
    }
    return done
  }

  mutating func readWhole(_ folder: String, _ segment: TapeTail.Segment) throws(TapeError) {
    let digits = segment.hour.split { !$0.isNumber }.compactMap { Int64($0) }
    let hour = HarvestResume.hour(digits[0], digits[1], digits[2], digits[3])
    var reader = try TapeReader(folder: folder, from: .time(hour))
    let end = hour.rawValue &+ Nanoseconds.hour
    while let block = try reader.nextBlock() {
      if let header = RecordHeader(scanningFrame: block.baseAddress!, 0), header.receiveNs >= end { return }
      take(block)
    }
  }

  /// Whole lines, with padding behind them.
  mutating func take(_ lines: UnsafeRawBufferPointer) {
    guard let base = lines.baseAddress else { return }
    forEachLine(lines) { line, offset in
      let end = offset + line.count
      if let header = RecordHeader(scanningFrame: base, offset),
        let payload = header.payload(base, lineEnd: end)
      {
        takeFrame(header, payload.stream, base, payload.start, payload.end, lineEnd: end)
      } else if let record = TapeRecord(parsing: line) {
        takeOther(record, base)
      }
      return true
    }
  }

  private mutating func takeFrame(
    _ header: RecordHeader, _ stream: UnsafeRawBufferPointer?, _ base: UnsafeRawPointer, _ start: Int,
    _ end: Int, lineEnd: Int
  ) {
    if let stream {
      let scanned = decoder.scan(base, header.streamStart)
      if scanned < 0 || scanned != lineEnd {
        guard
          case .frame = decoder.decodeGenerically(
            base: base, start: start, end: end, streamName: stream, isUnwrapped: true,
            learnAt: header.streamStart, learnEnd: lineEnd)
        else { return }
      }
    } else {
      guard case .frame = decoder.decodeGenerically(base: base, start: start, end: end) else { return }
    }
    guard decoder.frame.symbol != .none else { return }
    let name = decoder.instruments.symbols[decoder.frame.symbol]
    switch decoder.frame.kind {
    case .depthUpdate: note(name, final: decoder.frame[.finalUpdateID])
    case .aggregateTrade: note(name, trade: decoder.frame[.tradeID])
    default: break
    }
  }

  /// By symbol, with the holes among the trades that were read.
  var positions: [String: HarvestResume.Position] {
    var positions = symbols
    for (name, ranges) in seen {
      guard let last = positions[name]?.lastTradeID else { continue }
      positions[name]?.tradeHoles = ranges.holes.filter { $0.upperBound < last }
    }
    return positions
  }

  private mutating func takeOther(_ record: TapeRecord, _ base: UnsafeRawPointer) {
    if record.kind == .gap { return takeGap(record) }
    guard record.kind == .snapshot, let stream = record.stream else { return }
    let name = String(decoding: stream, as: UTF8.self)
    guard name.hasSuffix("@aggTrades") else { return }
    let symbol = name.dropLast("@aggTrades".utf8.count).uppercased()
    let start = UnsafeRawPointer(record.data.baseAddress!) - base
    let outcome = decoder.decodeTrades(
      base: base, start: start, end: start + record.data.count, symbolName: symbol, into: &trades)
    guard case .frame = outcome else { return }
    for trade in trades { note(symbol, trade: trade.id) }
  }

  /// Trades that were given up are not asked for again, except those that only the end of a harvest cut off.
  private mutating func takeGap(_ record: TapeRecord) {
    guard let value = try? JSONValue(parsing: record.data), value["unfilled"]?.boolean == true,
      value["reason"]?.text != "stopped", let stream = value["stream"]?.text, stream.hasSuffix("@aggTrade"),
      let from = value["from"]?.integer, let to = value["to"]?.integer, from <= to
    else { return }
    seen[stream.dropLast("@aggTrade".count).uppercased(), default: IDRanges()].insert(from...to)
  }

  private mutating func note(_ name: String, final id: Int64) {
    let known = symbols[name, default: .init()].lastFinalUpdateID
    symbols[name, default: .init()].lastFinalUpdateID = max(known ?? id, id)
  }

  private mutating func note(_ name: String, trade id: Int64) {
    let known = symbols[name, default: .init()].lastTradeID
    symbols[name, default: .init()].lastTradeID = max(known ?? id, id)
    seen[name, default: IDRanges()].insert(id)
  }
}

extension HarvestResume {
  /// The first moment of an hour. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
  fileprivate static func hour(_ year: Int64, _ month: Int64, _ day: Int64, _ hour: Int64) -> UnixNanos {
    let shifted = year - (month <= 2 ? 1 : 0)
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    return UnixNanos(days &* Nanoseconds.day &+ hour &* Nanoseconds.hour)
  }
}
