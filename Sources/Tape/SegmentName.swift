import Core

/// The hour a segment covers, as its file name: `2024-07-18T23`. Names sort in time order.
struct SegmentName: Hashable, Comparable, Sendable {
  let stem: String

  init(of time: UnixNanos) {
    let date = UTCDate(time)
    stem = "\(date.dayText)T\(date.timeText.prefix(2))"
  }

  /// - Returns: nil unless the text is a calendar hour in this form.
  init?(stem: String) {
    let bytes = Array(stem.utf8)
    guard bytes.count == 13 else { return nil }
    for (index, byte) in bytes.enumerated() {
      switch index {
      case 4, 7: guard byte == 0x2D else { return nil }
      case 10: guard byte == 0x54 else { return nil }
      default: guard byte >= 0x30, byte <= 0x39 else { return nil }
      }
    }
    self.stem = stem
    guard start.rawValue >= 0, SegmentName(of: start) == self else { return nil }
  }

  static func < (a: SegmentName, b: SegmentName) -> Bool { a.stem < b.stem }

  var plain: String { stem + ".ndjson" }
  var compressed: String { stem + ".ndjson.zst" }
  var seal: String { stem + ".seal.json" }

  /// The first moment of the hour. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
  var start: UnixNanos {
    func number(_ from: Int, _ to: Int) -> Int64 {
      Array(stem.utf8)[from..<to].reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }
    let month = number(5, 7)
    let year = number(0, 4) - (month <= 2 ? 1 : 0)
    let era = year / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + number(8, 10) - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    return UnixNanos(days &* Nanoseconds.day &+ number(11, 13) &* Nanoseconds.hour)
  }

  /// The first moment after the hour.
  var end: UnixNanos {
    let (sum, overflow) = start.rawValue.addingReportingOverflow(Nanoseconds.hour)
    return UnixNanos(overflow ? .max : sum)
  }
}

/// What a tape's folder holds for one hour.
struct SegmentFiles: Equatable, Sendable {
  var name: SegmentName
  var hasPlain = false
  var hasCompressed = false
  var hasSeal = false

  /// The hours that have a segment, in time order. Files of other names are ignored.
  static func list(_ folder: String) throws(TapeError) -> [SegmentFiles] {
    var found: [SegmentName: SegmentFiles] = [:]
    for file in try onTape({ () throws(FileError) in try Files.list(folder) }) {
      guard let dot = file.firstIndex(of: "."), let name = SegmentName(stem: String(file[..<dot])) else {
        continue
      }
      var files = found[name] ?? SegmentFiles(name: name)
      switch file {
      case name.plain: files.hasPlain = true
      case name.compressed: files.hasCompressed = true
      case name.seal: files.hasSeal = true
      default: continue
      }
      found[name] = files
    }
    return found.values.filter { $0.hasPlain || $0.hasCompressed }.sorted { $0.name < $1.name }
  }
}

extension Tape {
  /// Whether a folder holds a tape with at least one byte in it. A folder that cannot be listed holds none.
  public static func holdsRecords(_ folder: String) -> Bool {
    guard let segments = try? SegmentFiles.list(folder) else { return false }
    return segments.contains { files in
      if files.hasCompressed { return true }
      return ((try? File("\(folder)/\(files.name.plain)", .read).size()) ?? 0) > 0
    }
  }
}
