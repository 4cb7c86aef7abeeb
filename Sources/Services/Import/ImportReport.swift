import Core

/// What an import read, wrote and left out.
public struct ImportReport: Equatable, Sendable {
  public struct Skip: Equatable, Sendable {
    public var reason: String
    public var count: Int
    /// From 1.
    public var firstLine: Int
  }

  public struct File: Equatable, Sendable {
    public var path: String
    /// ``ImportFormat``'s name, or `snapshot` for a body by itself.
    public var format: String
    /// Found beside a named file rather than named.
    public var isBeside: Bool
    public var isCompressed = false
    /// As it lies on the disk.
    public var bytes = 0
    public var lines = 0
    public var frames = 0
    public var snapshots = 0
    public var opens = 0
    public var skipped: [Skip] = []
    /// Why the file ended early, if it did; everything before is in the tape.
    public var truncation: String?
    /// Items whose time was raised to the largest before them.
    public var outOfOrder = 0
    /// Frames that took the event time of the frame before them.
    public var framesWithoutEventTime = 0

    init(path: String, format: String, isBeside: Bool) {
      self.path = path
      self.format = format
      self.isBeside = isBeside
    }

    public var skippedLines: Int { skipped.reduce(0) { $0 + $1.count } }
  }

  public struct EventCount: Equatable, Sendable {
    public var event: String
    public var frames: Int
  }

  public struct SymbolCount: Equatable, Sendable {
    public var symbol: String
    public var events: [EventCount]
  }

  public var output: String
  public var files: [File]
  /// Files named more than once, which were read once.
  public var repeated: [String]
  public var symbols: [SymbolCount]
  /// In the tape, with the opening note.
  public var records: Int
  public var firstReceiveTime: UnixNanos
  public var lastReceiveTime: UnixNanos
  /// Closed segments that could not be compressed, with the reason; the tape is whole.
  public var segmentsLeftPlain: [String]
  public var wallSeconds = 0.0

  public var frames: Int { files.reduce(0) { $0 + $1.frames } }
  public var snapshots: Int { files.reduce(0) { $0 + $1.snapshots } }
  public var opens: Int { files.reduce(0) { $0 + $1.opens } }
  public var skippedLines: Int { files.reduce(0) { $0 + $1.skippedLines } }
  public var outOfOrder: Int { files.reduce(0) { $0 + $1.outOfOrder } }
  public var isTruncated: Bool { files.contains { $0.truncation != nil } }

  /// The frames of a symbol and event type, 0 when there are none.
  public func frames(_ symbol: String, _ event: String) -> Int {
    symbols.first { $0.symbol == symbol }?.events.first { $0.event == event }?.frames ?? 0
  }

  public var json: JSONValue {
    .object([
      "tape": .string(output),
      "records": .integer(records),
      "frames": .integer(frames),
      "snapshots": .integer(snapshots),
      "opens": .integer(opens),
      "skipped_lines": .integer(skippedLines),
      "out_of_order": .integer(outOfOrder),
      "truncated": .bool(isTruncated),
      "first_recv_ns": .integer(firstReceiveTime.rawValue),
      "last_recv_ns": .integer(lastReceiveTime.rawValue),
      "first_recv": .string(UTCDate(firstReceiveTime).isoText),
      "last_recv": .string(UTCDate(lastReceiveTime).isoText),
      "symbols": .object(
        symbols.map { symbol in
          .init(symbol.symbol, .object(symbol.events.map { .init($0.event, .integer($0.frames)) }))
        }),
      "files": .array(files.map(\.json)),
      "repeated": .array(repeated.map { .string($0) }),
      "segments_left_plain": .array(segmentsLeftPlain.map { .string($0) }),
      "wall_s": .rounded(wallSeconds, 3),
    ])
  }
}

extension ImportReport.File {
  public var json: JSONValue {
    .object([
      "file": .string(path),
      "format": .string(format),
      "beside": .bool(isBeside),
      "gzip": .bool(isCompressed),
      "bytes": .integer(bytes),
      "lines": .integer(lines),
      "frames": .integer(frames),
      "snapshots": .integer(snapshots),
      "opens": .integer(opens),
      "skipped": .object(
        skipped.map { skip in
          .init(
            skip.reason,
            .object(["count": .integer(skip.count), "first_line": .integer(skip.firstLine)]))
        }),
      "truncated": truncation.map { .string($0) } ?? .bool(false),
      "out_of_order": .integer(outOfOrder),
      "frames_without_event_time": .integer(framesWithoutEventTime),
    ])
  }
}
