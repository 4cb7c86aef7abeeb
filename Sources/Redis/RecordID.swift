/// An entry's id in a stream that carries a tape: `<seq>-0` is the tape's record, `<seq>-1` the mark that the tape
/// was finished behind it.
public struct RecordID: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var sequence: Int64
  public var part: Int64

  public init(_ sequence: Int64, part: Int64 = 0) {
    self.sequence = sequence
    self.part = part
  }

  /// - Returns: nil unless the text is two numbers.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let sequence = Int64(parts[0]), let part = Int64(parts[1]), sequence >= 0,
      part >= 0
    else { return nil }
    self.init(sequence, part: part)
  }

  public var isEndMark: Bool { part == 1 }
  public var description: String { "\(sequence)-\(part)" }

  public static func < (a: RecordID, b: RecordID) -> Bool {
    (a.sequence, a.part) < (b.sequence, b.part)
  }
}
