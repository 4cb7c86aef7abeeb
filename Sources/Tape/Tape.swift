/// The tape: one append-only log of everything that was received, and of everything known about the feed.
///
/// **Problem.** Live trading, replay, backtest and every projection (Parquet, ClickHouse, signals) must see
/// the same bytes in the same order, also after a crash at any instant, and a year later it must be provable
/// that nothing was lost or altered.
///
/// **Why the obvious answer fails.** Parsing first and storing rows loses what the parser did not know (new
/// fields, order of keys, decimals' text). A database couples ingest to its own locks and recovery. Plain
/// appending to one file leaves half a line after a crash, no way to seek, and nothing to check against.
///
/// **What is done.** A tape is a folder of hourly segments by receive time (UTC). The current one is plain
/// NDJSON; closed ones are zstd. A closed segment has a *seal* beside it: counts, first and last numbers, and
/// the SHA-256 of the plain bytes.
/// ```
/// TAPE/2024-07-18T23.ndjson.zst    closed
/// TAPE/2024-07-18T23.seal.json     its seal
/// TAPE/2024-07-19T00.ndjson        current
/// TAPE/.lock                       held by the writer
/// ```
/// A record is one line, valid JSON, keys always in this order:
/// ```
/// {"seq":1,"recv_ns":1721347020984480942,"conn":0,"kind":"frame","stream":"btcusdt@depth@0ms","data":{…}}
/// ```
/// `seq` is dense from 1 over the whole tape. `recv_ns` never decreases: a smaller value given to the writer
/// is raised to the last one and counted (`clamped`).
///
/// **Verbatim rule.** The bytes that came over the wire can always be rebuilt (``TapeRecord/wireBytes()``):
/// 1. A *canonical combined frame*, exactly `{"stream":"NAME","data":OBJECT}` with no blanks between the
///    wrapper's tokens and no escapes in NAME, is spliced. The record is its head
///    `{"seq":…,"recv_ns":…,"conn":…,"kind":"frame",` followed by the payload without its first byte, so the
///    wire bytes are `{` and the rest of the line.
/// 2. Any other payload that is valid JSON (raw frames, reordered or blank-spaced wrappers, arrays) is stored
///    as `"stream":null,"data":PAYLOAD`, with its leading and trailing blanks.
/// 3. A payload that is valid UTF-8 and either not JSON, or holds a raw CR or LF, or is itself a JSON string
///    or an object that begins with the key `base64`, is stored as `"stream":null,"data":"escaped"`. The last
///    two would otherwise be mistaken for the forms 3 and 4.
/// 4. Bytes that are not UTF-8 are stored as `"stream":null,"data":{"base64":"…"}`.
///
/// For the other kinds `stream` is a name given by the caller (`btcusdt@snapshot`) or null, and rules 2 to 4
/// apply to `data`.
///
/// **Durability.** Records are collected and written in batches of whole lines; a record is *acknowledged*
/// once ``TapeWriter/flush()`` returned. Opening a tape for writing cuts a torn last line and finishes
/// whatever step of sealing or compressing was interrupted, and says so (``TapeWriter/repair``).
/// The order when an hour ends is: flush and seal the old segment, create the new one, then compress the
/// old one a piece at a time while recording goes on (``CompressionJob``). So no step ever leaves the only
/// copy of a record unsynced, and an hour's compression never stops the feed.
///
/// Source of the shape: write-ahead logs with segment files and immutable sealed segments (Kafka's log,
/// PostgreSQL's WAL archive), in a format that `zstdcat | jq` reads.
public enum Tape {
  /// The longest record, in bytes with its newline. Longer ones are refused by the writer and skipped (and
  /// counted) by the reader.
  public static let recordBytesMax = 16 << 20

  /// Readable zero bytes after the end of a block, so that scanners may load whole words.
  public static let blockPaddingBytes = 128

  static let blockBytes = 256 << 10
}

/// What a record is about.
public enum RecordKind: UInt8, Sendable, CaseIterable {
  /// A websocket message, verbatim.
  case frame
  /// The body of a REST depth snapshot.
  case snapshot
  /// A connection was opened.
  case open
  /// A connection was closed.
  case close
  /// Something is known to be missing.
  case gap
  /// The clock's offset was measured.
  case clock
  /// Anything else worth keeping.
  case note

  public var name: StaticString {
    switch self {
    case .frame: "frame"
    case .snapshot: "snapshot"
    case .open: "open"
    case .close: "close"
    case .gap: "gap"
    case .clock: "clock"
    case .note: "note"
    }
  }

  public init?(name: UnsafeRawBufferPointer) {
    guard name.count >= 3 else { return nil }
    // First and second letter tell the names apart; the comparison makes sure.
    switch (name[0], name[1]) {
    case (0x66, _): self = .frame
    case (0x73, _): self = .snapshot
    case (0x6F, _): self = .open
    case (0x63, 0x6C): self = name.count == 5 && name[2] == 0x6F && name[3] == 0x73 ? .close : .clock
    case (0x67, _): self = .gap
    case (0x6E, _): self = .note
    default: return nil
    }
    guard equal(name, self.name) else { return nil }
  }
}
