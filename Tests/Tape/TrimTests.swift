import Core
import Testing

@testable import Tape

@Suite("Trimmed tapes")
struct TrimTests {
  private let trim = TapeTrim(
    firstSequence: 1, firstReceiveTime: UnixNanos(evening), lastSequence: 40, segments: 4, records: 40,
    bytes: 4000, at: UnixNanos(evening + Nanoseconds.day))

  @Test func readsWhatItWrote() throws {
    let folder = TemporaryFolder()
    #expect(try TapeTrim.read(folder.path) == nil)
    try trim.write(folder.path)
    #expect(try TapeTrim.read(folder.path) == trim)
  }

  @Test(arguments: ["", "{}", "null", #"{"first_seq":9,"last_removed_seq":3}"#])
  func whatCannotBeUnderstoodExcusesNothing(content: String) throws {
    let folder = TemporaryFolder()
    try write(folder.path(TapeTrim.fileName), Array(content.utf8))
    #expect(throws: TapeError.self) { try TapeTrim.read(folder.path) }
  }

  @Test func numbersOutOfOrderAreRefused() {
    for (first, last) in [(0 as Int64, 5 as Int64), (7, 6), (1, .max)] {
      var other = trim
      other.firstSequence = first
      other.lastSequence = last
      #expect(TapeTrim(json: other.json) == nil)
    }
  }

  /// An interrupted trim leaves segments it has called removed; a later first record is a hole.
  @Test(arguments: [(1, 1), (21, 21), (41, 41), (42, 41), (100, 41)] as [(Int64, Int64)])
  func firstRecord(found: Int64, due: Int64) { #expect(trim.firstSequenceDue(found: found) == due) }
}
