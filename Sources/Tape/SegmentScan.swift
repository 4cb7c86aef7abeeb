import Core
import Glibc

/// What reading a segment from its first byte found.
struct SegmentScan: ~Copyable {
  var builder = SealBuilder()
  /// Bytes up to the end of the last line that is a record.
  var goodBytes = 0
  /// All plain bytes, with a torn last line.
  var totalBytes = 0
  /// Lines that are no records, among records.
  var damagedLines = 0
  /// Lines that are no records, after the last record.
  var trailingDamagedLines = 0
  /// Why a compressed segment could not be read to its end.
  var damage: String?

  /// Counts and hashes a segment. Lines are read by their head alone; the last ones, which an interrupted
  /// write may have left in part, are checked to be whole JSON records.
  ///
  /// - Complexity: O(bytes), about one second a gigabyte.
  init(_ path: String, compressed: Bool) throws(TapeError) {
    var blocks = SegmentBlocks()
    try blocks.open(path, compressed: compressed)
    let checkedFrom = compressed ? Int.max : try SegmentScan.bytes(of: path) - SegmentScan.tailBytes
    while let block = try blocks.next() {
      add(block, at: blocks.blockOffset, checkedFrom: checkedFrom)
    }
    totalBytes = blocks.offset + blocks.tornBytes
    damage = blocks.damage
    damagedLines += blocks.overlongLines
  }

  /// More than a batch of the writer, so that all of an interrupted write is checked in full.
  private static let tailBytes = 4 << 20

  private static func bytes(of path: String) throws(TapeError) -> Int {
    try onTape { () throws(FileError) in try File(path, .read).size() }
  }

  private mutating func add(_ block: UnsafeRawBufferPointer, at offset: Int, checkedFrom: Int) {
    builder.add(bytes: block)
    forEachLine(block) { line, start in
      let head =
        offset + start < checkedFrom || TapeRecord(parsing: line) != nil ? RecordHead(anyLayout: line) : nil
      if let head {
        let symbol =
          head.kind == .frame
          ? frameSymbol(stream: head.stream, data: slice(line, head.dataOffset, line.count)) : nil
        builder.add(
          sequence: head.sequence, receiveTime: head.receiveTime, kind: head.kind, symbolName: symbol)
        goodBytes = offset + start + line.count + 1
        damagedLines += trailingDamagedLines
        trailingDamagedLines = 0
      } else {
        trailingDamagedLines += 1
      }
      return true
    }
  }

  /// Scans a plain segment and cuts what follows its last record.
  ///
  /// - Returns: the scan of what is left, and the number of bytes cut.
  static func repairing(_ path: String, cut: inout Int) throws(TapeError) -> SegmentScan {
    let scan = try SegmentScan(path, compressed: false)
    cut = scan.totalBytes - scan.goodBytes
    guard cut > 0 else { return scan }
    let goodBytes = scan.goodBytes
    try onTape { () throws(FileError) in
      let file = try File(path, .append)
      try file.truncate(to: goodBytes)
      try file.sync()
    }
    // The hash has taken in whole lines that were cut; without such lines it is right already.
    return scan.trailingDamagedLines == 0 ? scan : try SegmentScan(path, compressed: false)
  }
}
