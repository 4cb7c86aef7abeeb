import Core
import Tables

/// What became of a tape's segment: `DIR/_conversion/<segment>.json`, written once all its files are in
/// place.
///
/// It is the commit of a segment's conversion: files of an hour without a record are nobody's.
public struct ConversionRecord: Equatable, Sendable {
  public struct File: Equatable, Sendable {
    /// Below the folder.
    public var path: String
    public var kind: String
    /// nil for rows of no symbol
    public var symbol: String?
    public var rows: Int64
    public var bytes: Int
  }

  public var schemaVersion: Int
  /// `2024-07-18T23`
  public var segment: String
  /// Of the segment's first and last record; 0 when it has none.
  public var firstSequence: Int64
  public var lastSequence: Int64
  public var records: Int64
  public var unreadableLines: Int64
  /// The hash that the tape's seal has for the segment's plain bytes; nil where it was not sealed yet.
  public var sealSHA256: String?
  /// Of the plain bytes that were converted; `sha256` is their hash.
  public var bytes: Int
  public var sha256: String
  public var rows: [TableKind: Int64]
  /// In the order of their paths.
  public var files: [File]

  public static func folder(_ output: String) -> String { output + "/_conversion" }
  static func path(_ output: String, _ segment: String) -> String {
    "\(folder(output))/\(segment).json"
  }

  public var json: JSONValue {
    .object([
      "schema_version": .integer(schemaVersion), "segment": .string(segment),
      "tape_first_seq": .integer(firstSequence), "last_seq": .integer(lastSequence),
      "records": .integer(records), "unreadable_lines": .integer(unreadableLines),
      "seal_sha256": sealSHA256.map { .string($0) } ?? .null,
      "bytes": .integer(bytes), "sha256": .string(sha256),
      "rows": .object(
        TableKind.allCases.compactMap { kind in rows[kind].map { .init(kind.name, .integer($0)) } }),
      "files": .array(
        files.map { file in
          .object([
            "path": .string(file.path), "kind": .string(file.kind),
            "symbol": file.symbol.map { .string($0) } ?? .null, "rows": .integer(file.rows),
            "bytes": .integer(file.bytes),
          ])
        }),
    ])
  }

  public init?(json: JSONValue) {
    guard let version = json["schema_version"]?.integer, let segment = json["segment"]?.text,
      let first = json["tape_first_seq"]?.integer, let last = json["last_seq"]?.integer,
      let records = json["records"]?.integer, let unreadable = json["unreadable_lines"]?.integer,
      let bytes = json["bytes"]?.integer, let sha256 = json["sha256"]?.text,
      let rows = json["rows"]?.members, let files = json["files"]?.elements
    else { return nil }
    schemaVersion = Int(version)
    self.segment = segment
    firstSequence = first
    lastSequence = last
    self.records = records
    unreadableLines = unreadable
    sealSHA256 = json["seal_sha256"]?.text
    self.bytes = Int(bytes)
    self.sha256 = sha256
    self.rows = [:]
    for member in rows {
      guard let kind = TableKind(name: member.key), let count = member.value.integer else { return nil }
      self.rows[kind] = count
    }
    self.files = []
    for file in files {
      guard let path = file["path"]?.text, let kind = file["kind"]?.text, let rows = file["rows"]?.integer,
        let bytes = file["bytes"]?.integer
      else { return nil }
      self.files.append(
        File(path: path, kind: kind, symbol: file["symbol"]?.text, rows: rows, bytes: Int(bytes)))
    }
  }

  init(
    segment: String, firstSequence: Int64, lastSequence: Int64, records: Int64, unreadableLines: Int64,
    sealSHA256: String?, bytes: Int, sha256: String, files: [File]
  ) {
    schemaVersion = TableSchema.version
    self.segment = segment
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.records = records
    self.unreadableLines = unreadableLines
    self.sealSHA256 = sealSHA256
    self.bytes = bytes
    self.sha256 = sha256
    self.files = files
    rows = [:]
    for file in files {
      if let kind = TableKind(name: file.kind) { rows[kind, default: 0] += file.rows }
    }
  }

  /// The record with one nameless file in place of all.
  var counts: ConversionRecord {
    var copy = self
    copy.files = [File(path: "", kind: "", symbol: nil, rows: 0, bytes: files.reduce(0) { $0 + $1.bytes })]
    return copy
  }

  /// A segment's record; nil when there is none or it cannot be understood, which is as good as none.
  public static func read(_ output: String, _ segment: String) -> ConversionRecord? {
    guard let bytes = try? Files.read(path(output, segment), bytesMax: 64 << 20),
      let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) })
    else { return nil }
    return ConversionRecord(json: json)
  }

  /// The segments that have a record, in the order of time.
  public static func segments(_ output: String) -> [String] {
    ((try? Files.list(folder(output))) ?? []).filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }
  }

  func write(_ output: String) throws(FileError) {
    let bytes = Array((json.text(pretty: true) + "\n").utf8)
    var failure: FileError?
    bytes.withUnsafeBytes { buffer in
      do throws(FileError) {
        try Files.replace(ConversionRecord.path(output, segment), buffer, durable: true)
      } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
