import Core
import Tape

public enum ImportError: Error, Equatable, CustomStringConvertible {
  case noFiles
  case outputHoldsTape(String)
  case nothingToImport(file: String, reason: String)
  /// A file given as a symbol's snapshot.
  case badSnapshot(file: String, symbol: String, reason: String)
  case file(FileError)
  /// The tape cannot be created.
  case output(TapeError)
  /// Writing failed on the way; the tape holds a part of the recordings.
  case tape(TapeError)

  public var description: String {
    switch self {
    case .noFiles: "no recording given; name at least one file"
    case .outputHoldsTape(let folder):
      "\(folder) already holds a tape; choose another folder or remove that one first"
    case .nothingToImport(let file, let reason): "nothing to import from \(file): \(reason)"
    case .badSnapshot(let file, let symbol, let reason):
      "cannot use \(file) as the snapshot of \(symbol): \(reason)"
    case .file(let error): error.description
    case .output(let error): error.description
    case .tape(let error):
      "\(error); the import is incomplete: remove the tape and import again"
    }
  }
}

func onImport<Result: ~Copyable>(
  _ body: () throws(FileError) -> Result
) throws(ImportError) -> Result {
  do { return try body() } catch { throw ImportError.file(error) }
}
