import Core
import Glibc

/// Hands out one segment's bytes as blocks of whole lines, from one reused buffer.
///
/// A block ends at its last newline. The partial line after it is moved to the front of the buffer when the
/// next block is asked for; until then its first bytes are set aside, because a block is followed by
/// ``Tape/blockPaddingBytes`` zero bytes.
struct SegmentBlocks: ~Copyable {
  private var buffer: UnsafeMutableRawPointer
  private var capacity: Int
  private let setAside: UnsafeMutableRawPointer
  private var setAsideCount = 0
  private var partialStart = 0
  private var filled = 0
  private var skipping = false
  private var source: SegmentSource?
  /// Offset in the segment's plain bytes of the first byte not yet handed out or skipped.
  private(set) var offset = 0
  /// Offset of the block handed out last.
  private(set) var blockOffset = 0
  /// Lines beyond ``Tape/recordBytesMax``, over all segments.
  private(set) var overlongLines = 0

  init() {
    capacity = Tape.blockBytes
    buffer = .allocate(byteCount: capacity + Tape.blockPaddingBytes, alignment: 64)
    setAside = .allocate(byteCount: Tape.blockPaddingBytes, alignment: 64)
  }

  deinit {
    buffer.deallocate()
    setAside.deallocate()
  }

  var isOpen: Bool { source != nil }
  var isCompressed: Bool { source?.isCompressed ?? false }
  /// Why a compressed segment ended early.
  var damage: String? { source?.damage }

  mutating func open(_ path: String, compressed: Bool) throws(TapeError) {
    close()
    source = try SegmentSource(path, compressed: compressed)
  }

  mutating func close() {
    source = nil
    tornBytes = 0
    filled = 0
    partialStart = 0
    setAsideCount = 0
    skipping = false
    offset = 0
    blockOffset = 0
  }

  /// The next whole lines, or nil when the segment has no more for now. Calling it again after nil reads on.
  mutating func next() throws(TapeError) -> UnsafeRawBufferPointer? {
    movePartialToFront()
    while true {
      let searchStart = filled
      let room = UnsafeMutableRawBufferPointer(start: buffer + filled, count: capacity - filled)
      let count = try source?.read(into: room) ?? 0
      if count == 0 {
        try forgetPartial()
        return nil
      }
      filled += count
      if skipping {
        guard
          let newline = firstIndex(
            of: 0x0A, in: UnsafeRawBufferPointer(start: buffer, count: filled), from: searchStart)
        else {
          offset += filled
          filled = 0
          continue
        }
        skipping = false
        offset += newline + 1
        partialStart = newline + 1
        movePartialToFront()
        if let block = handOut(searchFrom: 0) { return block }
      } else if let block = handOut(searchFrom: searchStart) {
        return block
      }
      if filled == capacity {
        if capacity < Tape.recordBytesMax {
          grow()
        } else {
          overlongLines += 1
          skipping = true
          offset += filled
          filled = 0
        }
      }
    }
  }

  /// Goes to a place between two lines.
  ///
  /// - Returns: lines behind the place that were read on the way, maybe none; nil when no line starts there.
  /// - Complexity: O(1) in a plain segment, O(`target`) in a compressed one.
  mutating func skip(to target: Int) throws(TapeError) -> UnsafeRawBufferPointer? {
    guard isCompressed else {
      guard let source, target <= fileBytes() else { return nil }
      do { try source.file.seek(to: target) } catch { throw .file(error) }
      offset = target
      return try next() ?? UnsafeRawBufferPointer(start: buffer, count: 0)
    }
    while let block = try next() {
      if offset < target { continue }
      let from = target - blockOffset
      guard from == 0 || from > 0 && block[from - 1] == 0x0A else { return nil }
      return slice(block, from, block.count)
    }
    return nil
  }

  var isInsideOverlongLine: Bool { skipping }

  /// Of the open file as it lies on the disk; 0 when there is none.
  func fileBytes() -> Int { (try? source?.file.size()) ?? 0 }

  /// Of the plain bytes before a place; nil in a compressed segment.
  func fingerprint(before offset: Int) throws(TapeError) -> UInt64? {
    guard let source, !source.isCompressed else { return nil }
    do { return try FileTail.fingerprint(source.file, before: offset) } catch { throw .file(error) }
  }

  private mutating func handOut(searchFrom: Int) -> UnsafeRawBufferPointer? {
    guard let newline = lastNewline(in: buffer, from: searchFrom, to: filled) else { return nil }
    partialStart = newline + 1
    setAsideCount = min(filled - partialStart, Tape.blockPaddingBytes)
    setAside.copyMemory(from: buffer + partialStart, byteCount: setAsideCount)
    memset(buffer + partialStart, 0, Tape.blockPaddingBytes)
    blockOffset = offset
    offset += partialStart
    return UnsafeRawBufferPointer(start: buffer, count: partialStart)
  }

  private mutating func movePartialToFront() {
    if setAsideCount > 0 { (buffer + partialStart).copyMemory(from: setAside, byteCount: setAsideCount) }
    setAsideCount = 0
    if partialStart > 0 {
      memmove(buffer, buffer + partialStart, filled - partialStart)
      filled -= partialStart
      partialStart = 0
    }
  }

  /// At the end of a plain segment its partial line is read again later rather than kept: a writer that
  /// repairs the tape cuts it and writes something else in its place.
  private mutating func forgetPartial() throws(TapeError) {
    tornBytes = filled
    guard let source, !source.isCompressed, !skipping, filled > 0 else { return }
    do { try source.file.seek(to: offset) } catch { throw .file(error) }
    filled = 0
  }

  /// Bytes without a newline at the end, as of the last nil.
  private(set) var tornBytes = 0

  private mutating func grow() {
    let wanted = min(capacity * 2, Tape.recordBytesMax)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted + Tape.blockPaddingBytes, alignment: 64)
    larger.copyMemory(from: buffer, byteCount: filled)
    buffer.deallocate()
    buffer = larger
    capacity = wanted
  }
}
