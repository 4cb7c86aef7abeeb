import Core

/// A place between two lines of a tape, at which another reader can go on.
public struct TapePlace: Equatable, Sendable {
  /// The segment's hour, `2024-07-18T23`.
  public var segment: String
  /// In the segment's plain bytes.
  public var offset: Int
  /// Of the plain bytes before the place; see `FileTail`. nil where the segment was read compressed, which is
  /// sealed.
  public var fingerprint: UInt64?
  /// What the reader had met on the way there.
  public var report: TapeReadReport

  public init(segment: String, offset: Int, fingerprint: UInt64?, report: TapeReadReport) {
    self.segment = segment
    self.offset = offset
    self.fingerprint = fingerprint
    self.report = report
  }
}

extension TapeReader {
  /// The place behind the last block; nil before the first one, and inside a line that is too long to be a
  /// record.
  ///
  /// - Complexity: one `pread` of 4 KiB
  public func place() throws(TapeError) -> TapePlace? {
    guard let current, pending == nil, !blocks.isInsideOverlongLine else { return nil }
    var report = counted
    report.overlongLines += blocks.overlongLines
    return TapePlace(
      segment: current.stem, offset: closedOffset ?? blocks.offset,
      fingerprint: try blocks.fingerprint(before: blocks.offset), report: report)
  }

  /// Goes on behind a place, in a segment that may have been compressed since.
  ///
  /// - Parameter sequence: of the last record before the place; records that follow must have a higher one.
  /// - Returns: nil when the tape has no such place: it was cut, repaired or replaced.
  /// - Complexity: O(1) where the segment is plain or was read to its end; else O(bytes before the place), to
  ///   decompress them.
  public static func resuming(
    folder: String, at place: TapePlace, after sequence: Int64
  ) throws(TapeError) -> TapeReader? {
    var reader = try TapeReader(folder: folder)
    guard try reader.move(to: place, after: sequence) else { return nil }
    return reader
  }

  private mutating func move(to place: TapePlace, after sequence: Int64) throws(TapeError) -> Bool {
    guard let name = SegmentName(stem: place.segment),
      let index = waiting.firstIndex(where: { $0.name == name })
    else { return false }
    let files = waiting[index]
    waiting.removeFirst(index)
    counted = place.report
    // Opening counts the segment, which has been counted.
    counted.segments -= 1
    let seal = files.hasSeal ? TapeSeal.read("\(folder)/\(files.name.seal)") : nil
    if let seal, sequence < seal.firstSequence || sequence > seal.lastSequence || place.offset > seal.bytes {
      return false
    }
    guard try openNext() else { return false }
    if blocks.isCompressed {
      if let seal, seal.bytes == place.offset {
        blocks.close()
        closedOffset = place.offset
        return true
      }
    } else if let fingerprint = place.fingerprint {
      guard (try? blocks.fingerprint(before: place.offset)) == fingerprint else { return false }
    }
    // What is skipped again has been counted, too.
    let overlong = blocks.overlongLines
    guard let rest = try blocks.skip(to: place.offset) else { return false }
    counted.overlongLines -= blocks.overlongLines - overlong
    if rest.count > 0 { pending = rest }
    return isFollowed(by: rest, sequence)
  }

  private func isFollowed(by lines: UnsafeRawBufferPointer, _ sequence: Int64) -> Bool {
    var follows = true
    forEachLine(lines) { line, _ in
      guard let head = RecordHead(anyLayout: line) else { return true }
      follows = head.sequence > sequence
      return false
    }
    return follows
  }

  /// Plain bytes of the tape behind the last block; compressed segments count with what they take on disk.
  ///
  /// - Complexity: a look at each segment that is not read yet
  public func backlogBytes() -> Int {
    var bytes = blocks.isCompressed ? 0 : max(0, blocks.fileBytes() - blocks.offset)
    for files in waiting {
      let path = "\(folder)/\(files.hasPlain ? files.name.plain : files.name.compressed)"
      bytes += (try? File(path, .read).size()) ?? 0
    }
    return bytes
  }
}
