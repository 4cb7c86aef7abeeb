import Core
import Tape

/// Foreign recordings become a tape.
///
/// **Problem.** Recordings made by other collectors hold the same frames in other wrappings: a receive time
/// before each frame, a capture tool's log with REST bodies in between, or bare frames without any time. They
/// come as several files, a symbol or a day each, packed or not, sometimes cut off in the middle.
///
/// **Why the obvious answer fails.** Converting file by file gives a tape whose time runs back at each file.
/// Loading and sorting needs memory for everything. Reading times as floating point moves a stamp of
/// `1626992741.06217` by hundreds of nanoseconds, and two runs on two machines may then order ties
/// differently.
///
/// **What is done.** Each file is read as a stream of lines and turned into timed items; the streams are
/// merged by receive time with bounded memory. Stamps are read as integers. Ties are settled by a rule (a
/// snapshot's body first, then the order in which the files were given), so the tape is the same bytes each
/// time. A stamp that runs backwards inside a file is raised to the largest before it and counted. A file
/// waits closed until its first item is due, so any number of consecutive files can be given.
///
/// Formats, decided per file from its first good line unless given:
/// - `recv-lines`: `<receive time> {frame}`, the time in ns, µs or ms by its number of digits. A bare object
///   with `lastUpdateId` is the REST snapshot, written where it arrived; its symbol is the one of the file's
///   frames.
/// - `epoch-lines`: `1626992741.06217: {frame}`, `wss://… <-> 1626992740.179554` where a connection was
///   opened, and `https://…/depth?symbol=S&… -> 1626992741.301402: {body}` for REST bodies. For a file named
///   `X.ws.N.M` the REST captures beside it (`X.http.*`) are read as well.
/// - `frames`: one frame a line; the event time `E` stands in for the receive time.
///
/// A line that cannot be used is counted under a reason with its number, never guessed at. Frames keep
/// their bytes (see ``Tape``).
///
/// - Parameter progress: called for about every 10 MB read.
/// - Throws: before anything is written when a file holds no usable line or the output holds a tape already.
public func importRecordings(
  _ options: ImportOptions, progress: ((ImportProgress) -> Void)? = nil
) throws(ImportError) -> ImportReport {
  let startedMs = ProcessUsage.monotonicNs() / 1_000_000
  if options.files.isEmpty { throw .noFiles }
  if Tape.holdsRecords(options.output) { throw .outputHoldsTape(options.output) }
  let plan = try ImportPlan(options)
  var merge = RecordingMerge(plan, output: options.output, tape: options.tape, progress: progress)
  var report = try merge.run()
  report.wallSeconds = Double(ProcessUsage.monotonicNs() / 1_000_000 - startedMs) / 1000
  return report
}

/// How a recording's lines are laid out.
public enum ImportFormat: String, Sendable, CaseIterable {
  /// Decided per file.
  case auto
  case receiveLines = "recv-lines"
  case epochLines = "epoch-lines"
  case frames
}

public struct ImportOptions: Sendable {
  public struct Snapshot: Sendable, Equatable {
    public var symbol: String
    /// A REST body, or a capture with `URL -> epoch: body` lines.
    public var file: String

    public init(symbol: String, file: String) {
      self.symbol = symbol
      self.file = file
    }
  }

  public var format: ImportFormat
  /// The symbol of snapshots written among the frames, where the frames do not tell.
  public var symbol: String?
  public var snapshots: [Snapshot]
  /// The tape's folder; absent or without records.
  public var output: String
  public var files: [String]
  /// How the tape is written. An import can be made again, so it is synced at segment ends only.
  public var tape: TapeWriter.Options

  public init(
    format: ImportFormat = .auto, symbol: String? = nil, snapshots: [Snapshot] = [], output: String,
    files: [String], tape: TapeWriter.Options = TapeWriter.Options()
  ) {
    self.format = format
    self.symbol = symbol
    self.snapshots = snapshots
    self.output = output
    self.files = files
    self.tape = tape
    self.tape.fsync = .none
  }
}

public struct ImportProgress: Sendable {
  /// Of the files as they lie on the disk.
  public var bytesRead: Int
  public var bytesTotal: Int
  public var records: Int
}
