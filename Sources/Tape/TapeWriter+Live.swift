import Core
import Glibc

/// For a writer that must not wait for the disk: a live harvester.
///
/// `flush()` makes records readable and durable in one call, and the disk may hold that call for milliseconds.
/// A harvester separates the two: ``publish()`` after every burst makes its records readable at once, and a
/// micro-batch later ``beginSync()`` hands the durability to a thread of its own.
extension TapeWriter {
  /// Makes the waiting records readable, without syncing. A crash of the process loses nothing of them.
  public mutating func publish() throws(TapeError) { try writePending() }

  /// Whether the options have it synced to the disk at all.
  public var syncsToDisk: Bool { options.fsync != .none }

  /// Bytes that wait for ``publish()``.
  public var waitingBytes: Int { pending.count }

  /// What has to be synced by now; nil when nothing is, or the policy leaves it to the system.
  ///
  /// Perform it on any thread. When it fails, the tape's durability is unknown and recording must stop: the
  /// kernel reports a failed write-back only once.
  public mutating func beginSync() throws(TapeError) -> TapeSync? {
    guard hasUnsyncedBytes, options.fsync != .none, let file else { return nil }
    let copy = fcntl(file.file.descriptor, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw .file(FileError("sync", folder)) }
    hasUnsyncedBytes = false
    return TapeSync(descriptor: copy, folder: folder, sequence: acknowledgedSequence)
  }

  /// Works a little on compressing closed segments; eight times as much when it is urgent.
  public mutating func compressABit(isUrgent: Bool = false) {
    stepCompression(bytes: options.compressionBytesPerFlush * (isUrgent ? 8 : 1))
  }

  /// Queues the closed segments that are plain, also where the options leave them so.
  public mutating func compressClosedSegments() throws(TapeError) {
    for files in try SegmentFiles.list(folder) where files.hasPlain && files.hasSeal {
      guard files.name != segment, compression?.name != files.name, !compressionQueue.contains(files.name)
      else { continue }
      compressionQueue.append(files.name)
    }
  }
}

/// One `fdatasync`, to be performed where it may block.
public final class TapeSync: Sendable {
  private let descriptor: Int32
  private let folder: String
  /// Durable up to this record once ``perform()`` has returned.
  public let sequence: Int64

  init(descriptor: Int32, folder: String, sequence: Int64) {
    self.descriptor = descriptor
    self.folder = folder
    self.sequence = sequence
  }

  deinit { close(descriptor) }

  public func perform() throws(TapeError) {
    while fdatasync(descriptor) != 0 {
      if errno != EINTR { throw .file(FileError("sync", folder)) }
    }
  }
}
