import Core
import Glibc
import Net

/// What went wrong between a supervisor, its children and those who talk to it.
public enum RunError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A system call failed while doing this; `errno`.
  case system(String, Int32)
  case file(FileError)
  /// This executable could not be started; `errno`.
  case spawn(executable: String, Int32)
  /// The child of this name has ended, or no longer listens.
  case childEnded(String)
  /// The child of this name doesn't do what it was told, and as much as may wait for it is waiting already.
  case childBusy(String)
  /// This took longer than it may.
  case timeout(String)
  /// What was asked for was understood and refused, for this reason.
  case refused(String)
  /// Another run, of this process id when it is known, owns the folder.
  case locked(folder: String, pid: Int32?)
  /// No run listens in this folder.
  case notRunning(folder: String)
  /// The run of this folder belongs to another user.
  case notAllowed(folder: String)
  /// The other side said what the protocol doesn't know.
  case `protocol`(String)

  public var description: String {
    switch self {
    case .system(let what, let code): "cannot \(what): \(String(cString: strerror(code)))"
    case .file(let error): "\(error)"
    case .spawn(let executable, let code):
      "cannot start \(executable): \(String(cString: strerror(code)))"
        + (code == EAGAIN ? "; raise the limit on processes (ulimit -u)" : "")
    case .childEnded(let name): "\(name) has ended or no longer listens"
    case .childBusy(let name): "\(name) is busy: too many commands are waiting for it already"
    case .timeout(let what): "\(what) took too long"
    case .refused(let reason): reason
    case .locked(let folder, let pid):
      "another weir run\(pid.map { " (pid \($0))" } ?? "") uses \(folder); "
        + "stop it or choose another --run-dir"
    case .notRunning(let folder): "no weir run listens in \(folder); start one or choose another --run-dir"
    case .notAllowed(let folder):
      "the weir run in \(folder) belongs to another user; call as that user or as root"
    case .protocol(let reason): reason
    }
  }
}

extension RunError {
  /// A loop that cannot watch a descriptor.
  static func cannotWatch(_ what: String, _ error: NetError) -> RunError {
    if case .system(_, let code) = error { return .system("watch \(what)", code) }
    return .protocol("\(error)")
  }
}
