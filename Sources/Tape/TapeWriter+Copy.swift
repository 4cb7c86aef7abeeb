import Core
import Glibc

/// Why a record of another tape cannot be appended to a copy of it.
public enum TapeCopyError: Error, Equatable, CustomStringConvertible {
  /// Not the next record: one is missing, or comes a second time.
  case outOfOrder(folder: String, expected: Int64, found: Int64)
  /// A tape's time never decreases, so the record is another tape's.
  case earlier(folder: String, sequence: Int64, last: UnixNanos, found: UnixNanos)
  case noRecord(folder: String, expected: Int64)
  case tape(TapeError)

  public var description: String {
    switch self {
    case .outOfOrder(let folder, let expected, let found):
      "the copy \(folder) needs record \(expected) next and was given \(found); "
        + "copy the missing segments from the other host, or begin a new copy in an empty folder"
    case .earlier(let folder, let sequence, let last, let found):
      "record \(sequence) of \(found) is earlier than the last one of the copy \(folder), \(last): "
        + "it is another tape's; begin a new copy in an empty folder"
    case .noRecord(let folder, let expected):
      "what should be record \(expected) of the copy \(folder) is no record of a tape"
    case .tape(let error): error.description
    }
  }
}

extension TapeWriter {
  /// Appends a record of another tape as it stands, so that this tape becomes a copy of that one: the same
  /// numbers, times, lines, segments and seals.
  ///
  /// - Parameters:
  ///   - line: the record without its newline.
  ///   - mayBeginAnywhere: an empty tape takes any record as its first one.
  /// - Returns: its `seq`. The record is acknowledged by the next ``flush()``.
  /// - Throws: on an error the record is not taken and the writer can be used again.
  /// - Complexity: O(length): the line is read once in full, because it came from outside.
  @discardableResult
  public mutating func append(
    copyOf line: UnsafeRawBufferPointer, mayBeginAnywhere: Bool = false
  ) throws(TapeCopyError) -> Int64 {
    guard firstIndex(of: 0x0A, in: line, from: 0) == nil, let record = TapeRecord(parsing: line),
      record.sequence > 0
    else { throw .noRecord(folder: folder, expected: nextSequence) }
    let isFirst = totals.lastSequence == 0 && mayBeginAnywhere
    guard record.sequence == nextSequence || isFirst else {
      throw .outOfOrder(folder: folder, expected: nextSequence, found: record.sequence)
    }
    guard record.receiveTime.rawValue >= lastReceiveTime else {
      throw .earlier(
        folder: folder, sequence: record.sequence, last: UnixNanos(lastReceiveTime), found: record.receiveTime
      )
    }
    do throws(TapeError) {
      let mark = try begin(record.receiveTime, line.count)
      if isFirst {
        nextSequence = record.sequence
        acknowledgedSequence = nextSequence - 1
      }
      pending.append(bytes: line)
      let symbol = record.kind == .frame ? frameSymbol(stream: record.stream, data: record.data) : nil
      return try end(mark, record.kind, symbolName: symbol)
    } catch {
      throw .tape(error)
    }
  }
}

extension Tape {
  /// A record's number and receive time, found without reading its data.
  ///
  /// - Parameter line: with or without its newline.
  /// - Returns: nil when the line is no record.
  public static func head(
    ofRecord line: UnsafeRawBufferPointer
  ) -> (sequence: Int64, receiveTime: UnixNanos)? {
    let end = line.last == 0x0A ? line.count - 1 : line.count
    return RecordHead(anyLayout: slice(line, 0, end)).map { ($0.sequence, UnixNanos($0.receiveTime)) }
  }

  /// Whether the tape's last writer ended it in order: nobody writes, and the last segment is sealed.
  ///
  /// At the end of an hour a segment is sealed before its successor is there, hence the look at the lock.
  /// - Throws: when the folder cannot be listed.
  public static func isFinished(_ folder: String) throws(TapeError) -> Bool {
    guard try SegmentFiles.list(folder).last?.hasSeal == true else { return false }
    let lock = open(folder + "/.lock", O_RDONLY | O_CLOEXEC)
    guard lock >= 0 else { return true }
    defer { close(lock) }
    return flock(lock, LOCK_SH | LOCK_NB) == 0
  }
}
