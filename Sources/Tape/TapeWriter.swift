import Core
import Glibc

/// When written bytes are forced to the disk. A crash of the process loses nothing that was flushed under
/// any policy; the policy decides what a crash of the machine may lose.
public enum FsyncPolicy: Sendable, Equatable {
  /// Left to the system.
  case none
  /// At a flush, when this many milliseconds have passed since the last time.
  case interval(milliseconds: Int)
  /// At every flush.
  case batch
}

/// What opening a tape for writing found and mended.
public struct TapeRepair: Equatable, Sendable {
  /// The segment whose end was cut.
  public var segment: String?
  /// Bytes after the last whole record that were cut, over all segments.
  public var bytesCut = 0
  /// Lines among records that are no records; they are left in place.
  public var damagedLines = 0
  /// Closed segments that had no seal and were sealed now.
  public var segmentsSealed: [String] = []
  /// Segments whose seal does not match their content, or that cannot be read to their end.
  public var segmentsDamaged: [String] = []
}

/// What a writer has done.
public struct TapeTotals: Equatable, Sendable {
  /// By this writer.
  public var records = 0
  /// Plain bytes written by this writer.
  public var bytes = 0
  /// Closed or continued by this writer.
  public var segments = 0
  /// Records whose receive time was raised to the one before.
  public var clamped = 0
  /// The first record of this writer; 0 when there is none.
  public var firstSequence: Int64 = 0
  /// The tape's last record; 0 on an empty tape.
  public var lastSequence: Int64 = 0
  /// Segments that stay plain, with the reason. The tape is whole; the next writer tries again.
  public var compressionsAbandoned: [String] = []
}

/// Appends to a tape. One writer a folder; see ``Tape`` for the format and the promises.
///
/// Dropping a writer without ``finish()`` loses what was not flushed, as a crash would.
public struct TapeWriter: ~Copyable {
  public struct Options: Sendable {
    public var fsync: FsyncPolicy = .interval(milliseconds: 1000)
    public var compressClosedSegments = true
    /// Records are written out at the latest when this many bytes wait.
    public var batchBytesMax = 256 << 10
    /// Recording stops with ``TapeError/diskFull(folder:freeBytes:neededBytes:)`` below this.
    public var diskFreeMinBytes: Int64 = 64 << 20
    /// How much of a closed segment is compressed with each flush.
    public var compressionBytesPerFlush = 1 << 20

    public init() {}

    public init(
      fsync: FsyncPolicy = .interval(milliseconds: 1000), compressClosedSegments: Bool = true,
      batchBytesMax: Int = 256 << 10, diskFreeMinBytes: Int64 = 64 << 20
    ) {
      self.fsync = fsync
      self.compressClosedSegments = compressClosedSegments
      self.batchBytesMax = batchBytesMax
      self.diskFreeMinBytes = diskFreeMinBytes
    }
  }

  public let folder: String
  let options: Options
  /// What was mended on opening; nil when the tape was in order.
  public internal(set) var repair: TapeRepair?
  public internal(set) var totals = TapeTotals()
  /// The last record whose flush has returned; 0 when there is none.
  public internal(set) var acknowledgedSequence: Int64 = 0

  var lock: OpenFile?
  var segment: SegmentName?
  var file: OpenFile?
  /// Bytes of the current segment that are whole records in the file.
  var writtenBytes = 0
  /// The current segment's file may end in part of a record.
  var mustTruncate = false
  var builder = SealBuilder()
  var pending: ByteWriter
  var nextSequence: Int64 = 1
  var lastReceiveTime: Int64 = 0
  /// The end of the current segment's hour.
  var segmentEnd: Int64 = .min
  var hasUnsyncedBytes = false
  var syncedAtMs: Int64 = 0
  var compressionQueue: [SegmentName] = []
  var compression: CompressionJob?
  var isFinished = false
  /// write(2), or what a test puts in its place to fill the disk in the middle of a batch.
  var writeCall: @Sendable (Int32, UnsafeRawPointer, Int) -> Int = { write($0, $1, $2) }

  /// Creates a tape, or reopens one: repairs it (see ``repair``) and continues `seq` and `recv_ns`.
  ///
  /// - Throws: ``TapeError/locked(folder:)`` while another writer holds the folder.
  /// - Complexity: O(bytes of the current segment), which is read once to continue its seal.
  public init(folder: String, options: Options = Options()) throws(TapeError) {
    self.folder = folder
    self.options = options
    pending = ByteWriter(capacity: options.batchBytesMax + (64 << 10))
    lock = try TapeWriter.takeLock(folder)
    try openTape()
  }

  /// `seq` of the next record.
  public var nextSequenceNumber: Int64 { nextSequence }
  /// The receive time below which records are raised.
  public var lastTime: UnixNanos { UnixNanos(lastReceiveTime) }

  /// Appends a websocket message as it came over the wire.
  ///
  /// - Returns: its `seq`. The record is acknowledged by the next ``flush()``.
  /// - Throws: on an error the record is not taken and the writer can be used again.
  /// - Complexity: O(length); no allocation once the buffer has grown.
  @discardableResult
  public mutating func append(
    frame: UnsafeRawBufferPointer, receiveTime: UnixNanos, connection: Int32
  ) throws(TapeError) -> Int64 {
    try append(frame: TapePayload(frame), receiveTime: receiveTime, connection: connection)
  }

  /// Appends a message whose payload is examined already.
  @discardableResult
  public mutating func append(
    frame payload: TapePayload, receiveTime: UnixNanos, connection: Int32
  ) throws(TapeError) -> Int64 {
    let mark = try begin(receiveTime, payload.bytes.count)
    appendHead(connection, .frame)
    payload.appendFrame(to: &pending)
    return try end(mark, .frame, symbolName: frameSymbol(stream: payload.stream, data: payload.data))
  }

  /// Appends a record of any kind.
  ///
  /// - Parameters:
  ///   - stream: a name such as `btcusdt@snapshot`, or nil.
  ///   - data: JSON, stored verbatim; anything else is escaped (see ``Tape``).
  @discardableResult
  public mutating func append(
    _ kind: RecordKind, stream: String?, data: UnsafeRawBufferPointer, receiveTime: UnixNanos,
    connection: Int32
  ) throws(TapeError) -> Int64 {
    if kind == .frame, stream == nil {
      return try append(frame: data, receiveTime: receiveTime, connection: connection)
    }
    precondition(kind != .frame, "a frame's stream is inside its payload")
    let payload = TapePayload(data)
    let mark = try begin(receiveTime, data.count)
    appendHead(connection, kind)
    pending.append("\"stream\":")
    if let stream { pending.append(jsonString: stream) } else { pending.append("null") }
    pending.append(",\"data\":")
    payload.appendData(to: &pending)
    pending.append(byte: 0x7D)
    return try end(mark, kind, symbolName: nil)
  }

  /// Makes room and settles the record's time. Nothing of the record is taken if this throws.
  mutating func begin(_ receiveTime: UnixNanos, _ payloadBytes: Int) throws(TapeError) -> Int {
    precondition(!isFinished, "append after finish")
    if payloadBytes >= Tape.recordBytesMax {
      throw .recordTooLong(bytes: payloadBytes, bytesMax: Tape.recordBytesMax)
    }
    let time = max(receiveTime.rawValue, lastReceiveTime)
    if time >= segmentEnd { try roll(to: UnixNanos(time)) }
    if pending.count >= options.batchBytesMax { try flush() }
    if receiveTime.rawValue < lastReceiveTime { totals.clamped += 1 }
    lastReceiveTime = time
    return pending.count
  }

  private mutating func appendHead(_ connection: Int32, _ kind: RecordKind) {
    // Without the type a literal is a `String`, and its bytes take a longer way.
    pending.append("{\"seq\":" as StaticString)
    pending.append(integer: nextSequence)
    pending.append(",\"recv_ns\":" as StaticString)
    pending.append(integer: lastReceiveTime)
    pending.append(",\"conn\":" as StaticString)
    pending.append(integer: Int64(connection))
    pending.append(",\"kind\":\"" as StaticString)
    pending.append(kind.name)
    pending.append("\"," as StaticString)
  }

  mutating func end(
    _ mark: Int, _ kind: RecordKind, symbolName: UnsafeRawBufferPointer?
  ) throws(TapeError) -> Int64 {
    pending.append(byte: 0x0A)
    let length = pending.count - mark
    if length > Tape.recordBytesMax {
      pending.truncate(to: mark)
      throw .recordTooLong(bytes: length, bytesMax: Tape.recordBytesMax)
    }
    let sequence = nextSequence
    nextSequence += 1
    builder.add(sequence: sequence, receiveTime: lastReceiveTime, kind: kind, symbolName: symbolName)
    totals.records += 1
    if totals.firstSequence == 0 { totals.firstSequence = sequence }
    totals.lastSequence = sequence
    return sequence
  }

  /// Writes what waits, syncs it by the policy, and works a little on compressing closed segments.
  ///
  /// - Throws: ``TapeError/diskFull(folder:freeBytes:neededBytes:)`` before anything is damaged. What could
  ///   not be written still waits; the next flush tries again.
  public mutating func flush() throws(TapeError) {
    try writePending()
    try syncByPolicy()
    stepCompression(bytes: options.compressionBytesPerFlush)
  }

  /// Flushes, syncs, seals the last segment and completes outstanding compression.
  ///
  /// The last segment stays plain so that it can be continued; continuing it removes its seal. The folder is
  /// free for another writer afterwards.
  public mutating func finish() throws(TapeError) -> TapeTotals {
    if isFinished { return totals }
    try writePending()
    // Sealed bytes are on the disk, whatever the policy before.
    try sync(always: true)
    try sealCurrentSegment()
    while compression != nil || !compressionQueue.isEmpty { stepCompression(bytes: 64 << 20) }
    try onTape { () throws(FileError) in try Files.syncFolder(folder) }
    file = nil
    lock = nil
    isFinished = true
    return totals
  }
}
