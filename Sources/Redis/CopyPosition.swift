/// What a receiver does with an entry, decided by its tape's last record alone: pure.
public struct CopyPosition {
  public enum Step: Equatable {
    /// The next record: append it.
    case write
    /// The tape has it: acknowledge it.
    case known
    /// The publisher's tape was finished here.
    case end
    /// Records are missing in between.
    case hole(expected: Int64, found: Int64)
  }

  /// The tape's last record; 0 for an empty tape.
  public private(set) var lastSequence: Int64
  private var mayBeginAnywhere: Bool

  /// - Parameter mayBeginAnywhere: an empty tape may begin with any record.
  public init(lastSequence: Int64, mayBeginAnywhere: Bool = false) {
    self.lastSequence = lastSequence
    self.mayBeginAnywhere = mayBeginAnywhere && lastSequence == 0
  }

  public mutating func take(_ id: RecordID) -> Step {
    if id.isEndMark {
      if id.sequence == lastSequence { return .end }
      return id.sequence < lastSequence ? .known : .hole(expected: lastSequence + 1, found: id.sequence)
    }
    if id.sequence <= lastSequence { return .known }
    guard id.sequence == lastSequence + 1 || mayBeginAnywhere else {
      return .hole(expected: lastSequence + 1, found: id.sequence)
    }
    mayBeginAnywhere = false
    lastSequence = id.sequence
    return .write
  }
}
