import Core

/// Why a tape cannot be converted into a folder.
public enum ConvertError: Error, Equatable, CustomStringConvertible {
  /// The folder holds another tape's rows for this hour or those around it.
  case otherTape(output: String, segment: String, reason: String)
  /// The hour is part of a compacted day, and its segment has changed since.
  case compacted(output: String, segment: String)
  case inUse(output: String)
  /// The segment is not what its seal says, or cannot be read.
  case damagedSegment(path: String, reason: String)

  public var description: String {
    switch self {
    case .otherTape(let output, let segment, let reason):
      "\(output) holds rows of another tape: \(reason), in segment \(segment); choose another --out"
    case .compacted(let output, let segment):
      "the day of segment \(segment) in \(output) is compacted, but the segment has changed since; remove that "
        + "day's folders and its records in \(output)/_conversion, then convert it again"
    case .inUse(let output):
      "another process converts into \(output); wait for it, or choose another --out"
    case .damagedSegment(let path, let reason):
      "\(path) is damaged: \(reason); nothing of it was converted; restore it from a copy"
    }
  }
}
