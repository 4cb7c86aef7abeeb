import Core
import Testing

@testable import Tape

@Suite("Tape places")
struct PlaceTests {
  private struct Found {
    var place: TapePlace
    var sequence: Int64
    /// Plain bytes handed out before it.
    var bytes: Int
  }

  /// Follows a tape of three hours while it is written; the places on the way.
  private func follow(_ folder: String, compress: Bool) throws -> [Found] {
    var options = quick
    options.compressClosedSegments = compress
    var writer = try TapeWriter(folder: folder, options: options)
    var reader = try TapeReader(folder: folder)
    #expect(try reader.nextBlock() == nil && reader.place() == nil)
    var places: [Found] = []
    var sequence: Int64 = 0
    var bytes = 0
    for number in 0..<120 {
      try writer.append(frame(number), at: evening + Int64(number) * 90 * Nanoseconds.second)
      if number % 7 < 3 { continue }
      try writer.flush()
      try reader.refresh()
      while let block = try reader.nextBlock() {
        bytes += block.count
        forEachLine(block) { line, _ in
          sequence = TapeRecord(parsing: line)!.sequence
          return true
        }
      }
      places.append(Found(place: try #require(try reader.place()), sequence: sequence, bytes: bytes))
    }
    _ = try writer.finish()
    return places
  }

  private func plainBytes(_ reader: inout TapeReader) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let block = try reader.nextBlock() { bytes += block }
    return bytes
  }

  /// From every place the rest is the rest, while its segment is plain and after it was compressed, and the
  /// report is that of a reader that was never interrupted.
  @Test(arguments: [false, true])
  func aReaderGoesOnFromAnyPlace(compress: Bool) throws {
    let folder = TemporaryFolder()
    let places = try follow(folder.path("tape"), compress: compress)
    var whole = try TapeReader(folder: folder.path("tape"))
    let all = try plainBytes(&whole)
    #expect(folder.names().contains { $0.hasSuffix(".zst") } == compress)
    for found in places {
      guard
        var reader = try TapeReader.resuming(
          folder: folder.path("tape"), at: found.place, after: found.sequence)
      else {
        Issue.record("no place at \(found.place)")
        continue
      }
      #expect(try plainBytes(&reader) == Array(all[found.bytes...]))
      #expect(reader.report == whole.report)
      #expect(reader.backlogBytes() == 0)
    }
  }

  /// A place at the end waits there for what comes.
  @Test func aPlaceAtTheEndIsFollowed() throws {
    let folder = TemporaryFolder()
    var writer = try TapeWriter(folder: folder.path("tape"), options: quick)
    try writer.append(frame(1), at: evening)
    try writer.flush()
    var first = try TapeReader(folder: folder.path("tape"))
    _ = try first.nextBlock()
    let place = try #require(try first.place())
    guard var reader = try TapeReader.resuming(folder: folder.path("tape"), at: place, after: 1) else {
      Issue.record("no place at \(place)")
      return
    }
    #expect(try reader.nextBlock() == nil)
    #expect(try reader.place() == place)
    try writer.append(frame(2), at: evening + Nanoseconds.hour)
    try writer.flush()
    #expect(reader.backlogBytes() == 0)
    try reader.refresh()
    #expect(try reader.rest().map(\.sequence) == [2])
    _ = try writer.finish()
  }

  @Test func aPlaceThatIsNoMoreIsNoPlace() throws {
    let folder = TemporaryFolder()
    let tape = folder.path("tape")
    let places = try follow(tape, compress: false)
    let found = try #require(places.first { $0.bytes > 5000 })
    func resumes(_ change: (inout TapePlace) -> Void, after sequence: Int64? = nil) throws -> Bool {
      var place = found.place
      change(&place)
      let reader = try TapeReader.resuming(folder: tape, at: place, after: sequence ?? found.sequence)
      switch consume reader {
      case .some: return true
      case .none: return false
      }
    }
    #expect(try resumes { _ in })
    #expect(try !resumes { $0.segment = "2020-01-01T00" })
    #expect(try !resumes { $0.segment = "nonsense" })
    #expect(try !resumes { $0.offset += 1 })
    #expect(try !resumes { $0.offset = 1 << 40 })
    #expect(try !resumes { $0.fingerprint = 1 })
    // The records behind it are not those that should follow.
    #expect(try !resumes({ _ in }, after: found.sequence + 1))
    // The segment was cut, as after a power cut.
    let path = tape + "/" + found.place.segment + ".ndjson"
    try File(path, .append).truncate(to: found.place.offset - 10)
    #expect(try !resumes { _ in })
  }
}
