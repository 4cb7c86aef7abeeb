/// How many records a publisher may have in the stream, and when it looks at who has acknowledged what: pure.
///
/// Looking costs a few round trips, so it is done once for every sixteenth of the window, and always before
/// the publisher has to wait. The last record always stays: it shows whose stream this is.
public struct PublisherWindow {
  public enum Step: Equatable {
    /// Add up to so many records.
    case publish(recordsMax: Int)
    /// Find out what all groups have acknowledged, and call ``looked(acknowledgedSequence:)``.
    case look
    /// Drop the entries below this record, and call ``trimmed(_:)``.
    case trim(below: Int64)
    /// Every entry may still be needed: look again a little later, after ``waited()``.
    case wait
  }

  public let recordsMax: Int
  public private(set) var length: Int
  public private(set) var lastSequence: Int64
  private let batchMax: Int
  private var addedSinceLook = 0
  private var mustLook = true
  private var trimBelow: Int64?

  /// - Parameters:
  ///   - length: of the stream now.
  ///   - lastSequence: its last record; 0 for none.
  public init(recordsMax: Int, batchMax: Int, length: Int, lastSequence: Int64) {
    precondition(recordsMax > 0 && batchMax > 0)
    self.recordsMax = recordsMax
    self.batchMax = batchMax
    self.length = length
    self.lastSequence = lastSequence
  }

  public var next: Step {
    if let trimBelow { return .trim(below: trimBelow) }
    let room = recordsMax - length
    let isDue = addedSinceLook >= max(batchMax, recordsMax / 16)
    if mustLook || isDue || (room <= 0 && addedSinceLook > 0) { return .look }
    return room > 0 ? .publish(recordsMax: min(batchMax, room)) : .wait
  }

  public mutating func added(_ records: Int, lastSequence: Int64) {
    length += records
    addedSinceLook += records
    self.lastSequence = lastSequence
  }

  /// - Parameter acknowledgedSequence: what the slowest group has; nil without groups, which acknowledges nothing.
  public mutating func looked(acknowledgedSequence: Int64?) {
    addedSinceLook = 0
    mustLook = false
    guard let acknowledgedSequence else { return }
    let below = min(acknowledgedSequence + 1, lastSequence)
    // Every record below the last one has an entry of its own, so this many can be there beside it.
    if below > lastSequence - Int64(length) + 1 { trimBelow = below }
  }

  public mutating func trimmed(_ records: Int) {
    length = max(0, length - records)
    trimBelow = nil
  }

  /// Time has passed: the groups may have come further.
  public mutating func waited() { mustLook = true }
}
