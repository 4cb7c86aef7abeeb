import CSystem
import Core
import Glibc

/// The proof that this run owns its folder, held as long as the object lives.
///
/// The kernel gives a lock of `flock` back with the last descriptor of it, also after kill -9, so none is
/// ever stale; the file stays, since removing it would let two runs lock two files of one name. No child
/// inherits it.
public final class RunLock {
  public static let fileName = "run.lock"

  private let descriptor: Int32

  /// Makes the folder, and takes its lock.
  ///
  /// - Throws: ``RunError/locked(folder:pid:)`` with the owner's process id.
  public init(folder: String) throws(RunError) {
    let path = folder + "/" + RunLock.fileName
    do throws(FileError) { try Files.makeFolder(folder) } catch { throw .file(error) }
    let file = Descriptor(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644))
    guard file.number >= 0 else { throw .file(FileError("open for writing", path)) }
    while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      guard errno == EWOULDBLOCK else { throw .file(FileError("lock", path)) }
      throw .locked(folder: folder, pid: RunLock.readPid(path))
    }
    let text = Array("\(getpid())\n".utf8)
    guard ftruncate(file.number, 0) == 0, write(file.number, text, text.count) == text.count else {
      throw .file(FileError("write", path))
    }
    descriptor = file.take()
  }

  deinit {
    // Whoever reads it later should not find the number of a process that may be another one by then.
    ftruncate(descriptor, 0)
    close(descriptor)
  }

  private static func readPid(_ path: String) -> Int32? {
    guard let text = try? Files.read(path, bytesMax: 64) else { return nil }
    return Int32(String(decoding: text.prefix { $0 > 0x20 }, as: UTF8.self))
  }
}
