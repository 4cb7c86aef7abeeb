import Core

/// Follows a run's signal rows while they are written.
///
/// **Problem.** A consumer wants every row once and in order, from a sink whose writer may be killed, cut
/// back its torn end, go on, and change files, at any moment between two reads; and it wants to go on after a
/// kill of its own.
///
/// **Why the obvious answer fails.** Reading to the end of a file and remembering the offset loses the rows
/// written between that and the change of files, takes a half-written row for a whole one, and holds on to a
/// file that was removed. In a database "newer than the last row" loses rows of the last row's own time that
/// come with the next commit.
///
/// **Algorithm.** JSON lines: only whole lines are taken; the bytes behind the last one are forgotten and
/// read again. A file is left when a later hour's is there *and* it has then been read to its end once more:
/// the writer finishes an hour before it begins the next. Database: rows come in the order of time and id,
/// and only of times before the newest committed row's, because rows are written in tape order; with the last
/// call (`isLast`) the newest time's come too, without moving the position.
///
/// The position is exact, so that a consumer that kept it finds its place again. It relies on one promise of
/// the sinks: a run that is killed and continued writes the same rows again.
///
/// **Bounds.** One buffer of 256 KiB for lines, 1,024 rows of a database. Lines that are no rows are counted
/// and passed, as ``JSONLReader`` does. Nothing here waits: the caller is woken by inotify (lines) or asks
/// every 200 ms (database).
public final class SignalFeed {
  public enum Source: String, CaseIterable, Sendable {
    case jsonl, sqlite
  }

  public enum Step {
    case row(StoredRow)
    /// A row, or a line that is none, that is not wanted; more may follow at once.
    case passed
    /// Nothing more now.
    case idle
  }

  public let source: Source
  private let reader: any FeedReader

  /// - Parameters:
  ///   - confirmedOnly: rows with `confirm` false are passed.
  ///   - position: from an earlier feed of the same source; another source's is taken for the start.
  public init(
    runFolder: String, source: Source, confirmedOnly: Bool, from position: SignalPosition = SignalPosition()
  ) {
    self.source = source
    reader =
      switch source {
      case .jsonl: LineFeed(runFolder: runFolder, confirmedOnly: confirmedOnly, from: position)
      case .sqlite: TableFeed(runFolder: runFolder, confirmedOnly: confirmedOnly, from: position)
      }
  }

  /// - Parameter isLast: the sink is not expected to grow.
  /// - Throws: ``SignalStoreError``
  public func step(isLast: Bool = false) throws(SignalStoreError) -> Step { try reader.step(isLast: isLast) }

  public var position: SignalPosition { reader.position }
  /// Rows read since the run's first, those of the newest time included.
  public var rowsRead: Int64 { reader.rowsRead }
  /// Of the newest row read.
  public var newestTime: UnixNanos? { reader.newestTime }
  public var linesUnreadable: Int { reader.linesUnreadable }
  public var firstBadLine: JSONLReader.BadLine? { reader.firstBadLine }
  /// What is written and not read; of a database estimated at 512 bytes a row.
  public var bytesBehind: Int { reader.bytesBehind }
}

protocol FeedReader: AnyObject {
  var position: SignalPosition { get }
  var rowsRead: Int64 { get }
  var newestTime: UnixNanos? { get }
  var linesUnreadable: Int { get }
  var firstBadLine: JSONLReader.BadLine? { get }
  var bytesBehind: Int { get }
  func step(isLast: Bool) throws(SignalStoreError) -> SignalFeed.Step
}
