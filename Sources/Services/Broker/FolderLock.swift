import Core
import Glibc

/// Keeps a second process from a folder. The kernel gives it back when the holder dies, however it dies.
struct FolderLock: ~Copyable {
  struct Held: Error, Equatable, CustomStringConvertible {
    var folder: String
    var description: String {
      "\(folder) is in use by another process of the same kind; stop that one, or choose another --run"
    }
  }

  private let file: File

  /// - Throws: ``Held``, `FileError`
  init(_ folder: String) throws {
    let opened = try File(folder + "/lock", .append)
    while flock(opened.descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { throw Held(folder: folder) }
      if errno != EINTR { throw FileError("lock", folder + "/lock") }
    }
    file = opened
  }
}
