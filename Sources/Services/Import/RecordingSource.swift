import Core
import Tape

/// One recording on its way into the tape: its lines as timed items, one at a time.
final class RecordingSource {
  enum Item {
    case frame(TapePayload)
    case snapshot(symbol: String, UnsafeRawBufferPointer)
    case open(url: String)
  }

  /// Decides which item of several sources comes first.
  struct Key: Comparable {
    var time: Int64
    /// Snapshots' bodies come before anything else of the same time.
    var rank: Int
    var order: Int

    static func < (a: Key, b: Key) -> Bool {
      if a.time != b.time { return a.time < b.time }
      return a.rank != b.rank ? a.rank < b.rank : a.order < b.order
    }
  }

  /// So that the record around the payload stays within the tape's limit, also when it must be escaped.
  private static let lineBytesMax = Tape.recordBytesMax - 4096
  private static let escapedBytesMax = Tape.recordBytesMax / 8

  let path: String
  let order: Int
  let connection: Int32
  /// The time of the first item, or `Int64.max` for a recording that is read for its report only.
  let start: Int64
  private(set) var report: ImportReport.File
  private(set) var item: Item?
  private(set) var key: Key

  private let inlineSymbol: String?
  private let onlySymbols: Set<String>?
  private var reader: RecordingLineReader
  private var lines: LineSource?
  /// A body given by itself; its item is the only one.
  private var body: UnsafeMutableRawBufferPointer?
  private var skips = [ImportReport.Skip?](repeating: nil, count: SkipReason.allCases.count)

  /// - Parameters:
  ///   - inlineSymbol: whose the snapshots among the frames are.
  ///   - onlySymbols: of captured REST bodies, those to take; nil for all.
  init(
    path: String, order: Int, connection: Int32, probe: RecordingProbe, inlineSymbol: String?,
    onlySymbols: Set<String>? = nil, isBeside: Bool = false
  ) {
    self.path = path
    self.order = order
    self.connection = connection
    self.inlineSymbol = inlineSymbol
    self.onlySymbols = onlySymbols
    start = probe.firstTime ?? .max
    reader = RecordingLineReader(probe.format)
    reader.lastEventTime = probe.firstTime
    key = Key(time: start, rank: 0, order: order)
    report = ImportReport.File(path: path, format: probe.format.rawValue, isBeside: isBeside)
  }

  /// A file that is one snapshot's body.
  init(path: String, order: Int, connection: Int32, symbol: String, body bytes: [UInt8], time: Int64) {
    self.path = path
    self.order = order
    self.connection = connection
    inlineSymbol = symbol
    onlySymbols = nil
    start = time
    reader = RecordingLineReader(.frames)
    key = Key(time: time, rank: 0, order: order)
    report = ImportReport.File(path: path, format: "snapshot", isBeside: false)
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
    copy.copyBytes(from: bytes)
    body = copy
  }

  deinit { body?.deallocate() }

  /// Bytes read from the disk so far.
  var bytesRead: Int { lines?.bytesRead ?? 0 }

  /// Opens the file and moves to its first item.
  ///
  /// - Returns: false when there is none.
  func open() throws(FileError) -> Bool {
    if let body {
      item = .snapshot(symbol: inlineSymbol!, UnsafeRawBufferPointer(body))
      report.snapshots = 1
      return true
    }
    let source = try LineSource(path)
    lines = source
    report.isCompressed = source.isCompressed
    key.time = .min
    return try advance()
  }

  /// Moves to the next item, counting the lines skipped on the way.
  ///
  /// - Returns: false at the end; the file is then closed and its report complete.
  func advance() throws(FileError) -> Bool {
    guard let lines else {
      item = nil
      return false
    }
    while let line = try lines.next() {
      report.lines += 1
      if lines.isOverlong || line.count > RecordingSource.lineBytesMax {
        skip(.tooLong, lines)
        continue
      }
      switch reader.read(line) {
      case .frame(_, let payload) where payload.form == .text && line.count > RecordingSource.escapedBytesMax:
        skip(.tooLong, lines)
      case .frame(let time, let payload):
        report.frames += 1
        settle(time, rank: 1, .frame(payload))
        return true
      case .snapshot(let time, let symbol, let bytes):
        guard let symbol = symbol ?? inlineSymbol else {
          skip(.snapshotSymbolUnknown, lines)
          continue
        }
        if let onlySymbols, !onlySymbols.contains(symbol) {
          skip(.otherSymbol, lines)
          continue
        }
        report.snapshots += 1
        settle(time, rank: 0, .snapshot(symbol: symbol, bytes))
        return true
      case .open(let time, let url):
        report.opens += 1
        settle(time, rank: 1, .open(url: url))
        return true
      case .skip(let reason):
        let isTail = lines.isUnterminated && lines.damage != nil
        skip(isTail && reason != .blank ? .cutOff : reason, lines)
      }
    }
    report.truncation = lines.damage
    report.framesWithoutEventTime = reader.framesWithoutEventTime
    report.skipped = skips.compactMap { $0 }
    report.bytes = lines.bytesRead
    item = nil
    self.lines = nil
    return false
  }

  private func settle(_ time: Int64, rank: Int, _ item: Item) {
    if time < key.time { report.outOfOrder += 1 }
    key = Key(time: max(time, key.time), rank: rank, order: order)
    self.item = item
  }

  private func skip(_ reason: SkipReason, _ lines: LineSource) {
    let index = SkipReason.allCases.firstIndex(of: reason)!
    if skips[index] == nil {
      skips[index] = ImportReport.Skip(reason: reason.rawValue, count: 1, firstLine: lines.lineNumber)
    } else {
      skips[index]!.count += 1
    }
  }
}
