import Glibc

/// What stands before a place in a file, as one number: whether it is still the file that was written.
///
/// FNV-1a over the last ``bytesMax`` bytes before the place. It tells an older or repaired file from the one
/// that is meant; it is no proof against intent.
public enum FileTail {
  public static let bytesMax = 4096

  /// - Throws: when the file ends before the place (`EINVAL`) or cannot be read.
  public static func fingerprint(_ file: borrowing File, before offset: Int) throws(FileError) -> UInt64 {
    let count = min(offset, bytesMax)
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let read = bytes.withUnsafeMutableBytes {
        pread(file.descriptor, $0.baseAddress! + done, count - done, offset - count + done)
      }
      if read == 0 { throw FileError("find a former end of", file.path, code: EINVAL) }
      if read < 0, errno != EINTR { throw FileError("read", file.path) }
      done += max(0, read)
    }
    return bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
  }

  /// Whether a file reaches a place and what stands before it is what stood there.
  public static func matches(_ path: String, before offset: Int, _ fingerprint: UInt64) -> Bool {
    guard let file = try? File(path, .read), let found = try? self.fingerprint(file, before: offset) else {
      return false
    }
    return found == fingerprint
  }
}
