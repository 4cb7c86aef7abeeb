/// Why a run cannot be evaluated.
public enum EvaluationError: Error, Equatable, CustomStringConvertible {
  case noRun(String)
  case noRows(String)
  case emptyTape(String)
  /// The run's rows were made of a tape that begins with another record.
  case otherTape(run: String, tape: String)
  case tooManyRows(String, rowsMax: Int)
  case tooManyPrices(String, pricesMax: Int)

  public var description: String {
    switch self {
    case .noRun(let path):
      "\(path) holds no run; name the folder that 'weir replay', 'weir signal' or 'weir run' wrote"
    case .noRows(let path): "\(path) holds no signal rows; nothing can be evaluated"
    case .emptyTape(let path):
      "\(path) holds no tape; name the tape that the run was made of"
    case .otherTape(let run, let tape):
      "the rows in \(run) were made of another tape than \(tape): its first record is not theirs; "
        + "name the tape that the run was made of"
    case .tooManyRows(let path, let rowsMax):
      "\(path) holds more than \(rowsMax) rows, which is more than one evaluation takes; evaluate a part of it"
    case .tooManyPrices(let path, let pricesMax):
      "\(path) spans more than \(pricesMax) prices, which is more than one evaluation takes; evaluate a part of it"
    }
  }
}
