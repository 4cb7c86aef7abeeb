import Core

/// What can go wrong between a row and its file, with the place and what to do about it.
public enum SignalStoreError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case database(SQLiteError)
  /// A signal file holds something that is not a signal row, and good rows after it.
  case corruptLine(path: String, line: Int, problem: String)
  /// A finished file and its open part exist side by side, which no interruption leaves behind.
  case doubledFile(path: String)
  case wrongSchema(path: String, found: String, wanted: String)
  /// A value in the database has another type than its column.
  case unexpectedValue(path: String, signalID: String, column: String)

  public var description: String {
    switch self {
    case .file(let error): error.description
    case .database(let error): error.description
    case .corruptLine(let path, let line, let problem):
      "\(path):\(line): \(problem), with good rows after it; move the file away and replay the tape"
    case .doubledFile(let path):
      "\(path) exists both finished and as .part; compare the two, remove one and start again"
    case .wrongSchema(let path, let found, let wanted):
      "\(path) has \(found), this version writes \(wanted); use a new run folder"
    case .unexpectedValue(let path, let signalID, let column):
      "\(path): row \(signalID) has a value of the wrong type in column \(column); the file was changed by "
        + "something else, replay the tape into a new run folder"
    }
  }
}

/// Runs a file operation and gives its error the store's type.
func storing<Result: ~Copyable>(
  _ body: () throws(FileError) -> Result
) throws(SignalStoreError) -> Result {
  do throws(FileError) { return try body() } catch { throw .file(error) }
}
