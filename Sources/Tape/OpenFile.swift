import Core

/// A file as a reference, for holders that open and close it as they go: an optional non-copyable member
/// cannot be borrowed through its optional.
final class OpenFile {
  let file: File

  init(_ path: String, _ mode: File.Mode) throws(FileError) { file = try File(path, mode) }
}

/// A segment being read, plain or compressed, as plain bytes.
final class SegmentSource {
  let file: File
  let isCompressed: Bool
  private var zstandard = ZstandardReader()

  init(_ path: String, compressed: Bool) throws(TapeError) {
    do { file = try File(path, .read) } catch { throw .file(error) }
    isCompressed = compressed
  }

  var damage: String? { zstandard.damage }

  /// - Returns: the number of bytes; 0 at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(TapeError) -> Int {
    do {
      return isCompressed ? try zstandard.read(from: file, into: buffer) : try file.read(into: buffer)
    } catch {
      throw .file(error)
    }
  }
}
