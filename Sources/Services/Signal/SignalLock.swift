import Core
import Glibc

/// Held by whoever writes a run folder's signals, so that no second process mixes its rows in. The kernel
/// releases it when its holder has died.
final class SignalLock {
  private let file: File

  /// - Throws: ``ReplayError/runIsWritten(_:)`` while another holds it.
  init(_ runFolder: String) throws {
    try Files.makeFolder(runFolder)
    let path = runFolder + "/.signal.lock"
    file = try File(path, .append)
    while flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      if errno == EWOULDBLOCK { throw ReplayError.runIsWritten(runFolder) }
      throw FileError("lock", path)
    }
  }
}
