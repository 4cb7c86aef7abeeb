import CZlib
import Core
import Glibc

/// What is wrong with a file of klines, and where.
public struct KlineError: Error, Equatable, CustomStringConvertible {
  public var path: String
  /// From 1; 0 for the file as a whole.
  public var line: Int
  public var problem: String

  init(_ path: String, line: Int = 0, _ problem: String) {
    self.path = path
    self.line = line
    self.problem = problem
  }

  public var description: String { line > 0 ? "\(path):\(line): \(problem)" : "\(path): \(problem)" }
}

/// The lines of a file of klines: plain, gzip, or a zip archive of one file, as the exchange publishes them.
enum KlineFile {
  /// A month of one-second klines unpacks to 300 MB; a zip archive is unpacked in memory.
  static let zipBytesMax = 512 << 20

  /// - Throws: ``KlineError``, `FileError`, and what `body` throws.
  static func forEachLine(
    _ path: String, _ body: (_ line: UnsafeRawBufferPointer, _ number: Int) throws -> Void
  ) throws {
    if try isZip(path) {
      let content = try unzip(path)
      try content.withUnsafeBytes { bytes in
        var number = 0
        for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
          number += 1
          // What follows the last newline is no line.
          if line.isEmpty, line.endIndex == bytes.endIndex { continue }
          let end = line.last == 0x0D ? line.dropLast() : line
          try body(UnsafeRawBufferPointer(rebasing: end), number)
        }
      }
      return
    }
    let lines = try LineSource(path)
    while let line = try lines.next() {
      if lines.isOverlong { throw KlineError(path, line: lines.lineNumber, "a line longer than any kline") }
      try body(line, lines.lineNumber)
    }
    if let damage = lines.damage { throw KlineError(path, "\(damage); download it again") }
  }

  private static func isZip(_ path: String) throws(FileError) -> Bool {
    if Files.isFolder(path) { throw FileError("read", path, code: EISDIR) }
    let file = try File(path, .read)
    var head: UInt32 = 0
    var failure: FileError?
    withUnsafeMutableBytes(of: &head) { room in
      do throws(FileError) { _ = try file.read(into: room) } catch { failure = error }
    }
    if let failure { throw failure }
    return UInt32(littleEndian: head) == localHeader
  }

  // MARK: Zip archives (PKWARE APPNOTE 6.3)

  private static let localHeader: UInt32 = 0x0403_4B50
  private static let descriptor: UInt32 = 0x0807_4B50
  private static let headerBytes = 30

  /// The only file of an archive, checked against its sum.
  private static func unzip(_ path: String) throws -> [UInt8] {
    let archive = try Files.read(path, bytesMax: zipBytesMax)
    func number(_ offset: Int, _ bytes: Int) throws(KlineError) -> Int {
      guard offset + bytes <= archive.count else { throw KlineError(path, "the zip archive is cut off") }
      return (0..<bytes).reduce(0) { $0 | Int(archive[offset + $1]) << (8 * $1) }
    }
    let flags = try number(6, 2)
    let method = try number(8, 2)
    var sum = try number(14, 4)
    let packed = try number(18, 4)
    let start = headerBytes + (try number(26, 2)) + (try number(28, 2))
    guard flags & 1 == 0 else { throw KlineError(path, "the zip archive is encrypted") }
    guard start <= archive.count else { throw KlineError(path, "the zip archive is cut off") }
    var content: [UInt8]
    var end: Int
    switch method {
    case 0:
      end = start + packed
      guard flags & 8 == 0, end <= archive.count else {
        throw KlineError(path, "the zip archive is cut off")
      }
      content = Array(archive[start..<end])
    case 8: (content, end) = try inflated(path, archive, from: start)
    default: throw KlineError(path, "the zip archive is packed by method \(method); unpack it first")
    }
    if flags & 8 != 0 {
      if try number(end, 4) == Int(descriptor) { end += 4 }
      sum = try number(end, 4)
      end += 12
    }
    let found = content.withUnsafeBytes {
      crc32_z(0, $0.bindMemory(to: UInt8.self).baseAddress, $0.count)
    }
    guard Int(found) == sum else { throw KlineError(path, "the zip archive is damaged; download it again") }
    if end + 4 <= archive.count, try number(end, 4) == Int(localHeader) {
      throw KlineError(path, "the zip archive holds more than one file; unpack it first")
    }
    return content
  }

  /// A raw deflate stream's content, and where it ends.
  private static func inflated(_ path: String, _ archive: [UInt8], from start: Int) throws(KlineError) -> (
    content: [UInt8], end: Int
  ) {
    var stream = z_stream()
    precondition(weir_inflate_start(&stream, 15) == Z_OK, "zlib cannot start")
    defer { inflateEnd(&stream) }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 256 << 10)
    var result = Z_OK
    var used = 0
    archive.withUnsafeBufferPointer { source in
      stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress! + start)
      stream.avail_in = UInt32(source.count - start)
      while result == Z_OK, content.count <= zipBytesMax {
        chunk.withUnsafeMutableBufferPointer { room in
          stream.next_out = room.baseAddress
          stream.avail_out = UInt32(room.count)
          result = inflate(&stream, Z_NO_FLUSH)
          content.append(contentsOf: room[..<(room.count - Int(stream.avail_out))])
        }
      }
      used = source.count - start - Int(stream.avail_in)
    }
    if result == Z_STREAM_END { return (content, start + used) }
    throw KlineError(
      path,
      result == Z_OK
        ? "the zip archive unpacks to more than \(zipBytesMax >> 20) MiB"
        : "the zip archive is damaged or cut off; download it again")
  }
}
