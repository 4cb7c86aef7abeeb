import Core
import Glibc

/// Why a tape could not be written or read.
public enum TapeError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  /// Nothing of the refused batch was kept half-written; the tape is whole.
  case diskFull(folder: String, freeBytes: Int64, neededBytes: Int64)
  /// Another writer holds the folder; its process, where that is known.
  case locked(folder: String, process: Int32?)
  case recordTooLong(bytes: Int, bytesMax: Int)
  /// A closed segment that must be continued or examined cannot be read.
  case damaged(path: String, reason: String)

  public var description: String {
    switch self {
    case .file(let error): error.description
    case .diskFull(let folder, let free, let needed):
      "the disk of the tape \(folder) is full: \(free) bytes free, \(needed) needed; "
        + "the tape is whole up to its last flushed record; free some space or choose another disk"
    case .locked(let folder, let process):
      "the tape \(folder) is being written by \(process.map { "process \($0)" } ?? "another process") "
        + "(it holds \(folder)/.lock); stop that one or choose another folder"
    case .recordTooLong(let bytes, let bytesMax):
      "a record of \(bytes) bytes is longer than the tape's limit of \(bytesMax)"
    case .damaged(let path, let reason):
      "\(path) is damaged: \(reason); restore it from a copy"
    }
  }
}

/// Runs file operations, turning their error into a ``TapeError``.
func onTape<Result: ~Copyable>(_ body: () throws(FileError) -> Result) throws(TapeError) -> Result {
  do { return try body() } catch { throw TapeError.file(error) }
}

/// Bytes a user may still write on the disk that holds `path`.
func diskFreeBytes(_ path: String) throws(TapeError) -> Int64 {
  var status = statvfs()
  guard statvfs(path, &status) == 0 else { throw .file(FileError("examine the disk of", path)) }
  return Int64(
    clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
}
