import Core
import Glibc

extension TapeWriter {
  /// Writes the waiting records. On a failure the file is cut back to its last whole record.
  mutating func writePending() throws(TapeError) {
    guard pending.count > 0 else { return }
    if mustTruncate { try cutPartialRecord() }
    let needed = options.diskFreeMinBytes + Int64(pending.count)
    let free = try diskFreeBytes(folder)
    if free < needed { throw .diskFull(folder: folder, freeBytes: free, neededBytes: needed) }

    let failure = writeToFile()
    hasUnsyncedBytes = true
    guard let (code, done) = failure else {
      take(pending.count)
      acknowledgedSequence = nextSequence - 1
      return
    }
    mustTruncate = true
    if done > 0, let newline = lastNewline(in: pending.bytes.baseAddress!, from: 0, to: done) {
      // Counted before they are taken out, because `seq` is dense.
      var records = 0
      forEachLine(pending.bytes) { _, offset in
        if offset <= newline { records += 1 }
        return offset <= newline
      }
      let waiting = totals.lastSequence - acknowledgedSequence
      acknowledgedSequence = max(acknowledgedSequence, totals.lastSequence - waiting + Int64(records))
      take(newline + 1)
    }
    try cutPartialRecord()
    if code == ENOSPC || code == EDQUOT {
      throw .diskFull(folder: folder, freeBytes: try diskFreeBytes(folder), neededBytes: needed)
    }
    throw .file(FileError("write", "\(folder)/\(segment!.plain)", code: code))
  }

  /// - Returns: nil, or the error and how many bytes reached the file before it.
  private func writeToFile() -> (code: Int32, done: Int)? {
    guard let file else { preconditionFailure("records wait without a segment") }
    let bytes = pending.bytes
    var done = 0
    while done < bytes.count {
      let count = writeCall(file.file.descriptor, bytes.baseAddress! + done, bytes.count - done)
      if count > 0 {
        done += count
      } else if count == 0 || errno != EINTR {
        return (count == 0 ? ENOSPC : errno, done)
      }
    }
    return nil
  }

  /// The first `count` waiting bytes are in the file.
  private mutating func take(_ count: Int) {
    builder.add(bytes: slice(pending.bytes, 0, count))
    writtenBytes += count
    totals.bytes += count
    pending.removeFirst(count)
  }

  private mutating func cutPartialRecord() throws(TapeError) {
    do throws(FileError) { try file!.file.truncate(to: writtenBytes) } catch { throw .file(error) }
    mustTruncate = false
  }

  mutating func syncByPolicy() throws(TapeError) {
    guard hasUnsyncedBytes else { return }
    switch options.fsync {
    case .none: return
    case .batch: try sync()
    case .interval(let milliseconds):
      let now = PaceClock.milliseconds()
      if now - syncedAtMs >= Int64(milliseconds) {
        try sync()
        syncedAtMs = now
      }
    }
  }

  mutating func sync(always: Bool = false) throws(TapeError) {
    guard hasUnsyncedBytes, file != nil, always || options.fsync != .none else { return }
    do throws(FileError) { try file!.file.sync() } catch { throw .file(error) }
    hasUnsyncedBytes = false
  }

  /// Closes the current segment and begins the one of `time`'s hour.
  mutating func roll(to time: UnixNanos) throws(TapeError) {
    let name = SegmentName(of: time)
    let previous = segment
    if let previous, previous < name {
      try writePending()
      // Sealed bytes are on the disk, whatever the policy for the current segment.
      if builder.records > 0 {
        do throws(FileError) { try file!.file.sync() } catch { throw .file(error) }
        hasUnsyncedBytes = false
        try sealCurrentSegment()
      }
    }
    let isEmpty = builder.records == 0 && builder.bytes == 0
    try begin(name)
    if let previous {
      if isEmpty {
        try onTape { () throws(FileError) in try Files.remove("\(folder)/\(previous.plain)") }
      } else if options.compressClosedSegments {
        compressionQueue.append(previous)
      }
    }
  }

  /// Creates the segment, or continues the compressed one of that hour.
  private mutating func begin(_ name: SegmentName) throws(TapeError) {
    if Files.exists("\(folder)/\(name.compressed)") {
      try CompressionJob.restore(folder: folder, name: name)
      try continueSegment(name)
      return
    }
    file = try onTape { () throws(FileError) in
      let file = try OpenFile("\(folder)/\(name.plain)", .append)
      if options.fsync != .none { try Files.syncFolder(folder) }
      return file
    }
    builder = SealBuilder()
    segment = name
    segmentEnd = name.end.rawValue
    writtenBytes = 0
    totals.segments += 1
  }

  mutating func sealCurrentSegment() throws(TapeError) {
    guard let segment, builder.records > 0 else { return }
    try builder.seal(segment).write("\(folder)/\(segment.seal)")
  }

  /// Works on the compression queue. A failure leaves the segment plain and is noted in the totals: a
  /// compressor's trouble must not stop the recording.
  mutating func stepCompression(bytes: Int) {
    if compression == nil {
      guard !compressionQueue.isEmpty else { return }
      let name = compressionQueue.removeFirst()
      guard let seal = TapeSeal.read("\(folder)/\(name.seal)") else {
        totals.compressionsAbandoned.append("\(name.plain): it has no seal")
        return
      }
      do {
        compression = try CompressionJob(folder: folder, name: name, seal: seal)
      } catch {
        totals.compressionsAbandoned.append("\(name.plain): \(error)")
        return
      }
    }
    switch compression!.step(bytes: bytes) {
    case .working: return
    case .done: break
    case .abandoned(let reason): totals.compressionsAbandoned.append("\(compression!.name.plain): \(reason)")
    }
    compression = nil
  }
}
