import Core
import Strategy

/// Signal rows as JSON lines, one file for every UTC hour of tape time.
///
/// The file of the current hour is `signals-2024-07-18T23.jsonl.part` and is renamed to `….jsonl` when the
/// hour is over or the sink is finished, so a name without `.part` never changes again unless a later run
/// continues that very hour. Rows gather in 256 KiB and are written whole; a failed write is cut back to the
/// last whole row, and the rows stay in the buffer for another try.
///
/// Rows have to come in tape order: their time never decreases, and a symbol has at most one row per time and
/// trigger. Under that assumption the sink knows a repeated row without an index: a row of an hour before the
/// newest file's, or not after its symbol's last row, was written already and is counted and dropped. So a
/// run that is killed anywhere and replayed from an earlier position leaves the same bytes as one that was
/// not. Two threads or two processes on one folder are not supported.
public struct JSONLSink: ~Copyable {
  /// When written rows are forced to the disk.
  public enum SyncPolicy: Equatable, Sendable {
    /// Left to the operating system.
    case none
    /// As soon as this many rows or bytes were appended since the last time.
    case interval(rowsMax: Int, bytesMax: Int)
    /// With every write.
    case batch
  }

  /// What opening found of an earlier, interrupted run.
  public struct Recovery: Equatable, Sendable {
    public var path: String
    /// Of those read at opening.
    public var rowsKept: Int
    /// Bytes of a torn end that were cut off; a replay writes the row again.
    public var bytesCut: Int
  }

  /// A symbol's last row: its time and which triggers were seen at that time.
  struct Position: Equatable, Sendable {
    var time = Int64.min
    var triggers: UInt8 = 0
  }

  public static let bufferBytesMax = 256 * 1024

  public let folder: String
  public private(set) var rowsWritten = 0
  public private(set) var duplicatesIgnored = 0
  /// Set when an open part was continued.
  public internal(set) var recovery: Recovery?
  /// The newest row's tape time, of this run or the one before.
  public internal(set) var lastReceiveTime: UnixNanos?

  private let syncPolicy: SyncPolicy
  var file: File?
  private var finishedPath = ""
  /// Of the newest file, without what is buffered.
  var fileBytes = 0
  var buffer = ByteWriter(capacity: JSONLSink.bufferBytesMax)
  private var rowsUnsynced = 0
  private var bytesUnsynced = 0
  private var hourEnd = Int64.min
  /// Rows before this hour are complete in finished files.
  var floor = Int64.min
  var positions: [Position] = []
  var resumed: [String: Position] = [:]

  /// Opens a run folder's JSON lines, continuing what is there.
  ///
  /// - Parameter place: a place that the files are known to reach (``reaches(_:runFolder:)``); what stands
  ///   before it is not read again.
  /// - Throws: ``SignalStoreError``
  /// - Complexity: O(bytes of the newest file, behind `place`)
  public init(
    runFolder: String, syncPolicy: SyncPolicy = .none, from place: Place? = nil
  ) throws(SignalStoreError) {
    folder = SignalFiles.jsonlFolder(runFolder)
    self.syncPolicy = syncPolicy
    let folder = folder
    try storing { () throws(FileError) in try Files.makeFolder(folder) }
    if let part = try resume(from: place) { try open(hour: part) }
  }

  /// Appends a rendered row, unless it is there already.
  public mutating func append(_ row: borrowing SignalRow) throws(SignalStoreError) {
    let time = row.receiveTime.rawValue
    let index = row.symbol.index
    if index >= positions.count { meet(index, row.symbols) }
    let mask = 1 << row.trigger.rawValue as UInt8
    let last = positions[index]
    if time < floor || time < last.time || time == last.time && last.triggers & mask != 0 {
      duplicatesIgnored += 1
      return
    }
    if time >= hourEnd { try changeHour(to: time) }
    let line = row.line
    if buffer.count + line.count > JSONLSink.bufferBytesMax { try drain() }
    buffer.append(bytes: line)
    positions[index] = Position(time: time, triggers: time == last.time ? last.triggers | mask : mask)
    lastReceiveTime = row.receiveTime
    rowsWritten += 1
    if case .interval(let rowsMax, let bytesMax) = syncPolicy {
      rowsUnsynced += 1
      bytesUnsynced += line.count
      if rowsUnsynced >= rowsMax || bytesUnsynced >= bytesMax {
        try drain()
        try sync()
      }
    }
  }

  /// Hands buffered rows to the operating system, and to the disk as the policy says.
  public mutating func flush() throws(SignalStoreError) {
    try drain()
    if syncPolicy != .none { try sync() }
  }

  /// Flushes and gives the open file its final name.
  public mutating func finish() throws(SignalStoreError) {
    try rotate()
  }

  // MARK: Files

  /// First row of a symbol in this session: recalls where an earlier run left off.
  @inline(never)
  private mutating func meet(_ index: Int, _ symbols: SymbolTable) {
    while positions.count <= index {
      positions.append(resumed[symbols[SymbolID(positions.count)]] ?? Position())
    }
  }

  @inline(never)
  private mutating func changeHour(to time: Int64) throws(SignalStoreError) {
    try rotate()
    try open(hour: SignalFiles.hourStart(time))
  }

  private mutating func open(hour: Int64) throws(SignalStoreError) {
    let path = folder + "/" + SignalFiles.hourName(UnixNanos(hour)) + SignalFiles.finishedSuffix
    let part = path + ".part"
    let continued = Files.exists(path)
    if continued, Files.exists(part) { throw .doubledFile(path: path) }
    do throws(FileError) {
      if continued { try Files.rename(path, part) }
      file = try File(part, .append)
      fileBytes = try file!.size()
    } catch {
      throw .file(error)
    }
    finishedPath = path
    floor = hour
    hourEnd = hour + Nanoseconds.hour
  }

  private mutating func drain() throws(SignalStoreError) {
    if buffer.count == 0 { return }
    do throws(FileError) {
      try file!.write(buffer.bytes)
    } catch {
      // A disk that is full may have taken a part of a row.
      try? file!.truncate(to: fileBytes)
      throw .file(error)
    }
    fileBytes += buffer.count
    buffer.removeAll()
    if syncPolicy == .batch { try sync() }
  }

  private mutating func sync() throws(SignalStoreError) {
    do throws(FileError) { try file?.sync() } catch { throw .file(error) }
    rowsUnsynced = 0
    bytesUnsynced = 0
  }

  private mutating func rotate() throws(SignalStoreError) {
    if file == nil { return }
    try drain()
    if syncPolicy != .none { try sync() }
    file = nil
    hourEnd = .min
    do throws(FileError) {
      try Files.rename(finishedPath + ".part", finishedPath)
      if syncPolicy != .none { try Files.syncFolder(folder) }
    } catch {
      throw .file(error)
    }
  }
}
