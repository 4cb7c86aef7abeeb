import Core
import Glibc

/// Where reading begins.
public enum TapePosition: Sendable, Equatable {
  case start
  /// At the first record with at least this `seq`.
  case sequence(Int64)
  /// At the first record received at or after this moment.
  case time(UnixNanos)
}

/// What a reader has met so far.
public struct TapeReadReport: Equatable, Sendable {
  /// Segments opened.
  public var segments = 0
  /// Plain bytes handed out.
  public var bytes = 0
  /// Bytes without a newline at the end of segments. On the last segment of a live tape this is a line
  /// being written.
  public var tornTailBytes = 0
  /// Compressed segments that could not be read to their end.
  public var damagedSegments: [String] = []
  /// Lines beyond ``Tape/recordBytesMax``, which were skipped.
  public var overlongLines = 0

  public init() {}
}

/// Reads a tape in blocks of whole lines.
///
/// The blocks are the bytes of the segments as they stand: no line is looked at on the way, except to find
/// the first record of a position.
public struct TapeReader: ~Copyable {
  public let folder: String
  private var position: TapePosition
  var waiting: [SegmentFiles]
  var current: SegmentName?
  var blocks = SegmentBlocks()
  /// Where the current segment ended, once it is closed.
  var closedOffset: Int?
  /// Lines that were read in search of a place; handed out first.
  var pending: UnsafeRawBufferPointer?
  private var isAtEnd = false
  var counted = TapeReadReport()

  /// - Throws: when the folder cannot be listed. A folder without segments is an empty tape.
  public init(folder: String, from position: TapePosition = .start) throws(TapeError) {
    self.folder = folder
    self.position = position
    waiting = try SegmentFiles.list(folder)
    skipSegments()
  }

  public var report: TapeReadReport {
    var report = counted
    report.overlongLines += blocks.overlongLines
    if blocks.isOpen, isAtEnd { report.tornTailBytes += blocks.tornBytes }
    return report
  }

  /// The next whole lines: at most 256 KiB, or one longer line. nil at the end of the tape.
  ///
  /// ``Tape/blockPaddingBytes`` readable zero bytes follow the end. Valid until the next call.
  ///
  /// - Complexity: one `read(2)` (or zstd step) a block, plus moving the partial line at its end.
  public mutating func nextBlock() throws(TapeError) -> UnsafeRawBufferPointer? {
    if isAtEnd { return nil }
    if let lines = pending {
      pending = nil
      counted.bytes += lines.count
      return lines
    }
    while true {
      if !blocks.isOpen, try !openNext() {
        isAtEnd = true
        return nil
      }
      while let block = try blocks.next() {
        let lines = position == .start ? block : fromPosition(block)
        if lines.count > 0 {
          counted.bytes += lines.count
          return lines
        }
      }
      if waiting.isEmpty, !blocks.isCompressed {
        // The last segment may grow; it stays open for `refresh`.
        isAtEnd = true
        return nil
      }
      closeSegment()
    }
  }

  /// After nil: looks for new segments, so that ``nextBlock()`` goes on where it stopped.
  public mutating func refresh() throws(TapeError) {
    guard isAtEnd else { return }
    isAtEnd = false
    // A segment is sealed before its successor is created, so an open segment without a seal is still the
    // last one, and a tape of many hours need not be listed at each wake-up.
    if blocks.isOpen, let current, Files.exists("\(folder)/\(current.plain)"),
      !Files.exists("\(folder)/\(current.seal)")
    {
      return
    }
    // Listed before the open segment is read again: if a later one exists, the open one is complete.
    let listed = try SegmentFiles.list(folder)
    waiting = listed.filter { files in current.map { $0 < files.name } ?? true }
    if current == nil { skipSegments() }
  }

  private mutating func closeSegment() {
    counted.tornTailBytes += blocks.tornBytes
    closedOffset = blocks.offset
    if blocks.damage != nil, let current { counted.damagedSegments.append(current.compressed) }
    blocks.close()
  }

  mutating func openNext() throws(TapeError) -> Bool {
    guard !waiting.isEmpty else { return false }
    let files = waiting.removeFirst()
    let plain = "\(folder)/\(files.name.plain)"
    let compressed = "\(folder)/\(files.name.compressed)"
    // Where both exist the plain one is complete: it is removed only after the other was verified.
    if files.hasPlain {
      do {
        try blocks.open(plain, compressed: false)
      } catch {
        // Compressed since the folder was listed.
        guard Files.exists(compressed), !Files.exists(plain) else { throw error }
        try blocks.open(compressed, compressed: true)
      }
    } else {
      do {
        try blocks.open(compressed, compressed: true)
      } catch {
        guard Files.exists(plain) else { throw error }
        try blocks.open(plain, compressed: false)
      }
    }
    current = files.name
    closedOffset = nil
    counted.segments += 1
    return true
  }

  /// Drops the segments that end before the position, by their names, seals, or the first line after them.
  private mutating func skipSegments() {
    switch position {
    case .start: return
    case .time(let time):
      let hour = SegmentName(of: UnixNanos(max(0, time.rawValue)))
      waiting.removeAll { $0.name < hour }
    case .sequence(let sequence):
      let after = waiting.firstIndex { files in
        guard let first = firstSequence(files) else { return false }
        return first > sequence
      }
      let keepFrom = (after ?? waiting.count) - 1
      if keepFrom > 0 { waiting.removeFirst(keepFrom) }
    }
  }

  private func firstSequence(_ files: SegmentFiles) -> Int64? {
    if files.hasSeal, let seal = TapeSeal.read("\(folder)/\(files.name.seal)") { return seal.firstSequence }
    var probe = SegmentBlocks()
    let path = "\(folder)/\(files.hasPlain ? files.name.plain : files.name.compressed)"
    guard (try? probe.open(path, compressed: !files.hasPlain)) != nil, let block = try? probe.next() else {
      return nil
    }
    var first: Int64?
    forEachLine(block) { line, _ in
      first = RecordHead(anyLayout: line)?.sequence
      return first == nil
    }
    return first
  }

  /// The part of a block from the position on; once it is reached, blocks pass untouched.
  private mutating func fromPosition(_ block: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var found: Int?
    let position = position
    forEachLine(block) { line, offset in
      guard let head = RecordHead(anyLayout: line) else { return true }
      let isReached =
        switch position {
        case .start: true
        case .sequence(let sequence): head.sequence >= sequence
        case .time(let time): head.receiveTime >= time.rawValue
        }
      if isReached { found = offset }
      return !isReached
    }
    guard let found else { return slice(block, block.count, block.count) }
    self.position = .start
    return slice(block, found, block.count)
  }
}
