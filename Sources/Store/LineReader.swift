import Core
import Glibc

/// Lines of a file through one buffer: bounded memory whatever the file holds.
final class LineReader {
  /// A row takes about 500 bytes; a longer line is not one.
  static let lineBytesMax = 64 * 1024

  enum Kind {
    case whole
    /// The file ends without a newline.
    case torn
    /// Beyond ``lineBytesMax``; its bytes are skipped.
    case tooLong
  }

  /// A line's place; the bytes are in ``line``.
  struct Found {
    var kind: Kind
    var number: Int
    var offset: Int
    /// With the newline.
    var length: Int
  }

  private let file: File
  private let buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var bufferOffset = 0
  private var number = 0
  private var atEnd = false
  private var lineStart = 0
  private var lineCount = 0

  /// - Parameter offset: where a line starts.
  init(_ path: String, from offset: Int = 0) throws(FileError) {
    file = try File(path, .read)
    if offset > 0 { try file.seek(to: offset) }
    bufferOffset = offset
    buffer = .allocate(byteCount: 4 * LineReader.lineBytesMax, alignment: 16)
  }

  deinit { buffer.deallocate() }

  /// The last line found, without its newline; empty when it was too long. Valid until the next call.
  var line: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(buffer.baseAddress! + lineStart), count: lineCount)
  }

  func next() throws(FileError) -> Found? {
    var skipped = 0
    var searched = 0
    while true {
      if let newline = find(from: start + searched) {
        let tooLong = skipped > 0 || newline - start > LineReader.lineBytesMax
        return take(
          tooLong ? .tooLong : .whole, skipped: skipped, count: newline - start, length: newline + 1 - start)
      }
      searched = end - start
      if atEnd {
        guard searched + skipped > 0 else { return nil }
        return take(.torn, skipped: skipped, count: searched, length: searched)
      }
      if searched > LineReader.lineBytesMax {
        skipped += searched
        start = end
        searched = 0
      }
      try fill()
    }
  }

  private func take(_ kind: Kind, skipped: Int, count: Int, length: Int) -> Found {
    number += 1
    let found = Found(
      kind: kind, number: number, offset: bufferOffset + start - skipped, length: skipped + length)
    lineStart = start
    lineCount = kind == .tooLong || skipped > 0 ? 0 : count
    start += length
    return found
  }

  private func find(from: Int) -> Int? {
    guard from < end, let found = memchr(buffer.baseAddress! + from, 0x0A, end - from) else { return nil }
    return UnsafeRawPointer(found) - UnsafeRawPointer(buffer.baseAddress!)
  }

  /// Moves what is left to the front and reads behind it.
  private func fill() throws(FileError) {
    let left = end - start
    if start > 0, left > 0 {
      buffer.baseAddress!.copyMemory(from: buffer.baseAddress! + start, byteCount: left)
    }
    bufferOffset += start
    start = 0
    end = left
    let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
    if count == 0 { atEnd = true }
    end += count
  }
}
