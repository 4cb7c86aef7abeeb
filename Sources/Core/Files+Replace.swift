import Glibc

extension Files {
  /// Replaces a file in one step, so that a reader, also after the process has died, sees the old or the new
  /// content.
  ///
  /// - Parameter durable: also after a power cut. Without it a power cut may leave a file of any content.
  public static func replace(
    _ path: String, _ bytes: UnsafeRawBufferPointer, durable: Bool
  ) throws(FileError) {
    if durable {
      try writeAtomically(path, bytes)
      let slash = path.lastIndex(of: "/")
      return try syncFolder(slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
    }
    let temporary = path + ".tmp"
    do {
      let file = try File(temporary, .write)
      try file.write(bytes)
    } catch {
      unlink(temporary)
      throw error
    }
    try rename(temporary, path)
  }
}
