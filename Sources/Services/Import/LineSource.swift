import CZlib
import Core
import Glibc
import Tape

/// The lines of a file, plain or gzip (told by its first bytes), with bounded memory.
final class LineSource {
  let path: String
  let isCompressed: Bool
  /// Of the line returned last, from 1.
  private(set) var lineNumber = 0
  /// Bytes read from the disk.
  private(set) var bytesRead = 0
  /// Why a gzip file ended early; everything before was delivered.
  private(set) var damage: String?
  /// The line returned last was beyond ``Tape/recordBytesMax`` and came back empty.
  private(set) var isOverlong = false
  /// The line returned last had no newline: it ends the file.
  private(set) var isUnterminated = false

  private let file: File
  private let inflater: Inflater?
  private var buffer: UnsafeMutableRawPointer
  private var capacity = 256 << 10
  private var start = 0
  private var filled = 0
  private var isAtEnd = false

  init(_ path: String) throws(FileError) {
    self.path = path
    if Files.isFolder(path) { throw FileError("read", path, code: EISDIR) }
    file = try File(path, .read)
    buffer = .allocate(byteCount: capacity, alignment: 64)
    let room = UnsafeMutableRawBufferPointer(start: buffer, count: capacity)
    var count = 0
    while count < 2 {
      let more = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: room[count..<64]))
      if more == 0 { break }
      count += more
    }
    bytesRead = count
    isCompressed = count >= 2 && room[0] == 0x1F && room[1] == 0x8B
    if isCompressed {
      inflater = Inflater(first: UnsafeRawBufferPointer(rebasing: room[..<count]))
    } else {
      inflater = nil
      filled = count
      if count >= 3, room[0] == 0xEF, room[1] == 0xBB, room[2] == 0xBF { start = 3 }
    }
  }

  deinit { buffer.deallocate() }

  /// The next line without its end (LF or CR LF); nil at the end. Valid until the next call.
  func next() throws(FileError) -> UnsafeRawBufferPointer? {
    var searched = start
    var isSkipping = false
    isOverlong = false
    while true {
      if searched < filled, let found = memchr(buffer + searched, 0x0A, filled - searched) {
        let newline = UnsafeMutableRawPointer(found) - buffer
        let line = take(until: newline, next: newline + 1)
        return isSkipping ? overlong() : line
      }
      if isAtEnd {
        guard start < filled || isSkipping else { return nil }
        isUnterminated = true
        let line = take(until: filled, next: filled)
        return isSkipping ? overlong() : line
      }
      makeRoom()
      if filled == capacity {
        isSkipping = true
        filled = 0
      }
      searched = filled
      let count = try fill()
      if count == 0 { isAtEnd = true }
      filled += count
    }
  }

  private func take(until end: Int, next: Int) -> UnsafeRawBufferPointer {
    var last = end
    if last > start, buffer.load(fromByteOffset: last - 1, as: UInt8.self) == 0x0D { last -= 1 }
    let line = UnsafeRawBufferPointer(start: buffer + start, count: last - start)
    start = next
    lineNumber += 1
    return line
  }

  private func overlong() -> UnsafeRawBufferPointer {
    isOverlong = true
    return UnsafeRawBufferPointer(start: buffer, count: 0)
  }

  /// Moves the partial line to the front; doubles the buffer, up to the bound, when that gives no room.
  private func makeRoom() {
    if start > 0 {
      memmove(buffer, buffer + start, filled - start)
      filled -= start
      start = 0
    } else if filled == capacity, capacity < Tape.recordBytesMax {
      let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity * 2, alignment: 64)
      larger.copyMemory(from: buffer, byteCount: filled)
      buffer.deallocate()
      buffer = larger
      capacity *= 2
    }
  }

  private func fill() throws(FileError) -> Int {
    let room = UnsafeMutableRawBufferPointer(start: buffer + filled, count: capacity - filled)
    guard let inflater else {
      let count = try file.read(into: room)
      bytesRead += count
      return count
    }
    let count = try inflater.read(from: file, into: room)
    bytesRead = inflater.bytesRead
    damage = inflater.damage
    return count
  }
}

/// Unpacks a gzip file, member after member (zlib).
final class Inflater {
  private static let inputBytes = 64 << 10

  private(set) var bytesRead = 0
  private(set) var damage: String?
  // zlib keeps the address of its stream and checks it.
  private let stream: UnsafeMutablePointer<z_stream>
  private let input: UnsafeMutablePointer<UInt8>
  private var isBetweenMembers = false
  private var isAtEnd = false

  /// - Parameter first: the file's first bytes, already read.
  init(first: UnsafeRawBufferPointer) {
    precondition(first.count <= Inflater.inputBytes)
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    input = .allocate(capacity: Inflater.inputBytes)
    UnsafeMutableRawPointer(input).copyMemory(from: first.baseAddress!, byteCount: first.count)
    bytesRead = first.count
    stream.pointee.next_in = input
    stream.pointee.avail_in = UInt32(first.count)
    let gzip: Int32 = 16
    let result = inflateInit2_(stream, 15 + gzip, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(result == Z_OK, "zlib cannot start")
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    input.deallocate()
  }

  /// - Returns: the number of plain bytes; 0 at the end or at damage.
  func read(from file: borrowing File, into room: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(room.count)
    while stream.pointee.avail_out > 0, !isAtEnd {
      if stream.pointee.avail_in < 2 { try refill(file) }
      if stream.pointee.avail_in == 0 {
        isAtEnd = true
        if !isBetweenMembers { damage = "the gzip data is cut off" }
        break
      }
      if isBetweenMembers, !beginMember() { break }
      let before = (stream.pointee.avail_in, stream.pointee.avail_out)
      let result = inflate(stream, Z_NO_FLUSH)
      if result == Z_STREAM_END {
        isBetweenMembers = true
      } else if result != Z_OK, result != Z_BUF_ERROR {
        damage =
          "the gzip data is damaged (\(stream.pointee.msg.map { String(cString: $0) } ?? "code \(result)"))"
        isAtEnd = true
      } else if before == (stream.pointee.avail_in, stream.pointee.avail_out), !hasMoreInput {
        damage = "the gzip data is cut off"
        isAtEnd = true
      }
    }
    return room.count - Int(stream.pointee.avail_out)
  }

  private var hasMoreInput = true

  /// Another member, padding (zeros), or something that does not belong here.
  private func beginMember() -> Bool {
    let next = stream.pointee.next_in!
    let isMember = stream.pointee.avail_in >= 2 && next[0] == 0x1F && next[1] == 0x8B
    if isMember, inflateReset(stream) == Z_OK {
      isBetweenMembers = false
      return true
    }
    if next[0] != 0 { damage = "what follows the gzip data is not gzip" }
    isAtEnd = true
    return false
  }

  private func refill(_ file: borrowing File) throws(FileError) {
    let left = Int(stream.pointee.avail_in)
    if left > 0 { memmove(input, stream.pointee.next_in, left) }
    let count = try file.read(
      into: UnsafeMutableRawBufferPointer(start: input + left, count: Inflater.inputBytes - left))
    hasMoreInput = count > 0
    bytesRead += count
    stream.pointee.next_in = input
    stream.pointee.avail_in = UInt32(left + count)
  }
}
