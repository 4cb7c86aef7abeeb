import Core

/// What the conversion of a segment left behind: `_conversion/<segment>.json`.
struct ConversionRecord: Equatable {
  struct File: Equatable {
    var path: String
    var rows: Int64
    var bytes: Int64
  }

  static let folder = "_conversion"

  var schemaVersion: Int64
  var segment: SegmentStem
  var sealSHA256: String?
  /// Of the bytes that were converted, where it is said.
  var sha256: String?
  var records: Int64
  var firstSequence: Int64
  var lastSequence: Int64
  var files: [File]

  /// Where it lies, relative to the tables' folder.
  var path: String { "\(ConversionRecord.folder)/\(segment.text).json" }

  /// The records of a folder by segment, and those that cannot be understood, by path.
  static func all(in root: String) -> (records: [SegmentStem: ConversionRecord], unreadable: [String]) {
    var records: [SegmentStem: ConversionRecord] = [:]
    var unreadable: [String] = []
    for name in (try? Files.list("\(root)/\(folder)")) ?? [] where name.hasSuffix(".json") {
      guard let bytes = try? Files.read("\(root)/\(folder)/\(name)", bytesMax: 64 << 20),
        let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }),
        let record = ConversionRecord(json), record.segment.text + ".json" == name
      else {
        unreadable.append("\(folder)/\(name)")
        continue
      }
      records[record.segment] = record
    }
    return (records, unreadable)
  }

  private init?(_ json: JSONValue) {
    guard let version = json["schema_version"]?.integer, let segment = json["segment"]?.text,
      let stem = SegmentStem(String(segment.prefix(13))), let records = json["records"]?.integer,
      let first = json["tape_first_seq"]?.integer, let last = json["last_seq"]?.integer,
      let files = json["files"]?.elements
    else { return nil }
    schemaVersion = version
    self.segment = stem
    self.records = records
    firstSequence = first
    lastSequence = last
    sealSHA256 = json["seal_sha256"]?.text
    sha256 = json["sha256"]?.text
    self.files = []
    for file in files {
      guard let path = file["path"]?.text, let rows = file["rows"]?.integer,
        let bytes = file["bytes"]?.integer
      else { return nil }
      self.files.append(File(path: path, rows: rows, bytes: bytes))
    }
  }
}
