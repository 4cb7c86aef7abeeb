import Core

/// `TAPE/trimmed.json`: which oldest records retention has removed, so that a shorter tape is not a damaged one.
///
/// It is written before the first of those segments goes. A process killed in between leaves segments that the
/// file calls removed; they are whole, and the next trim takes them.
public struct TapeTrim: Equatable, Sendable {
  public static let fileName = "trimmed.json"

  /// Of the record that the tape began with; it tells one tape from another.
  public var firstSequence: Int64
  public var firstReceiveTime: UnixNanos
  /// The newest removed record; what remains begins with the next.
  public var lastSequence: Int64
  public var segments: Int
  public var records: Int64
  /// Of the removed segments, plain.
  public var bytes: Int64
  /// When the last trim began.
  public var at: UnixNanos

  public init(
    firstSequence: Int64, firstReceiveTime: UnixNanos, lastSequence: Int64, segments: Int, records: Int64,
    bytes: Int64, at: UnixNanos
  ) {
    self.firstSequence = firstSequence
    self.firstReceiveTime = firstReceiveTime
    self.lastSequence = lastSequence
    self.segments = segments
    self.records = records
    self.bytes = bytes
    self.at = at
  }

  public var json: JSONValue {
    .object([
      "first_seq": .integer(firstSequence), "first_recv_ns": .integer(firstReceiveTime.rawValue),
      "last_removed_seq": .integer(lastSequence), "segments": .integer(segments),
      "records": .integer(records), "bytes": .integer(bytes), "at": .string(UTCDate(at).isoText),
      "at_ns": .integer(at.rawValue),
    ])
  }

  /// - Returns: nil unless every number is there and the range is one.
  public init?(json: JSONValue) {
    guard let firstSequence = json["first_seq"]?.integer, let first = json["first_recv_ns"]?.integer,
      let lastSequence = json["last_removed_seq"]?.integer, let segments = json["segments"]?.integer,
      let records = json["records"]?.integer, let bytes = json["bytes"]?.integer,
      let at = json["at_ns"]?.integer, firstSequence > 0, (firstSequence..<Int64.max).contains(lastSequence)
    else { return nil }
    self.init(
      firstSequence: firstSequence, firstReceiveTime: UnixNanos(first), lastSequence: lastSequence,
      segments: Int(segments), records: records, bytes: bytes, at: UnixNanos(at))
  }

  /// What was removed of a tape; nil when nothing was.
  ///
  /// - Throws: ``TapeError/damaged(path:reason:)`` for a file that cannot be understood: what it would excuse
  ///   is then unknown.
  public static func read(_ folder: String) throws(TapeError) -> TapeTrim? {
    let path = "\(folder)/\(fileName)"
    guard Files.exists(path) else { return nil }
    let bytes = try onTape { () throws(FileError) in try Files.read(path, bytesMax: 1 << 16) }
    let json = bytes.withUnsafeBytes { buffer -> JSONValue? in
      do throws(JSONValue.ParseError) { return try JSONValue(parsing: buffer) } catch { return nil }
    }
    guard let trim = json.flatMap({ TapeTrim(json: $0) }) else {
      throw .damaged(path: path, reason: "it does not say which records were removed")
    }
    return trim
  }

  /// Replaces the tape's trim, durably.
  public func write(_ folder: String) throws(TapeError) {
    let bytes = Array((json.text(pretty: true) + "\n").utf8)
    var failure: FileError?
    bytes.withUnsafeBytes { buffer in
      do throws(FileError) {
        try Files.replace("\(folder)/\(TapeTrim.fileName)", buffer, durable: true)
      } catch { failure = error }
    }
    if let failure { throw .file(failure) }
  }

  /// The record that must come first, given the one that does.
  func firstSequenceDue(found: Int64) -> Int64 {
    (firstSequence...lastSequence + 1).contains(found) ? found : lastSequence + 1
  }
}
