import Core
import Store

/// Days that are over and whose report is written: a restart does not read them again.
struct ReportProgress: Equatable {
  var finishedDays: [String] = []
  /// The newest row of the finished days; rows up to it are in their reports.
  var through: UnixNanos?
  /// The run's first row.
  var first: UnixNanos?
  /// Where the first day that is not finished begins.
  var position = SignalPosition()

  init() {}

  var json: JSONValue {
    .object([
      "finished_days": .array(finishedDays.map { .string($0) }),
      "through_ns": through.map { .integer($0.rawValue) } ?? .null,
      "first_ns": first.map { .integer($0.rawValue) } ?? .null, "position": position.json,
    ])
  }

  /// What an earlier process left in a sink's folder of reports; `nil` when there is nothing, or a report
  /// that it names is gone.
  init?(folder: String) {
    guard let bytes = try? Files.read(folder + "/progress.json", bytesMax: 1 << 20),
      let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }),
      let days = json["finished_days"]?.elements?.compactMap(\.text),
      let position = json["position"].flatMap({ SignalPosition(json: $0) }),
      days.allSatisfy({ Files.exists(folder + "/summary_\($0).json") })
    else { return nil }
    finishedDays = days
    through = json["through_ns"]?.integer.map { UnixNanos($0) }
    first = json["first_ns"]?.integer.map { UnixNanos($0) }
    self.position = position
  }

  func write(folder: String) throws(FileError) {
    try Files.makeFolder(folder)
    try Files.writeAtomically(folder + "/progress.json", json.text() + "\n")
  }
}
