/// Why a folder cannot hold a run.
public enum RunFolderError: Error, Equatable, CustomStringConvertible {
  case finishedRun(String)
  case otherConfiguration(String, theirs: String, ours: String)

  public var description: String {
    switch self {
    case .finishedRun(let folder):
      "\(folder) holds a finished run; choose another folder with --run-dir, or remove it"
    case .otherConfiguration(let folder, let theirs, let ours):
      "\(folder) holds an interrupted run of configuration \(theirs), and this one is \(ours); give that "
        + "configuration to continue it, or choose another folder with --run-dir"
    }
  }
}
