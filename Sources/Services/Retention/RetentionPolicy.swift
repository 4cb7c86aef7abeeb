import Core

/// What a folder of data holds, each with a rule of its own.
public enum RetainedKind: String, CaseIterable, Sendable {
  /// Segments of the tape.
  case tape
  // Parquet, by table.
  case depth, trade
  case bookTicker = "book_ticker"
  case markPrice = "mark_price"
  case kline, liquidation, snapshot, feed, other, signal, order
  /// The hourly JSON lines of a run's signals.
  case runSignals = "run_signals"
  case runReports = "run_reports"
  case runLogs = "run_logs"

  public var isParquet: Bool {
    switch self {
    case .tape, .runSignals, .runReports, .runLogs: false
    default: true
    }
  }
}

/// What may be deleted, and when. The initial value deletes nothing.
public struct RetentionPolicy: Equatable, Sendable {
  private var daysByKind: [RetainedKind: Int] = [:]

  /// Days after which a kind's data are due; 0: never.
  public subscript(kind: RetainedKind) -> Int {
    get { daysByKind[kind] ?? 0 }
    set { daysByKind[kind] = newValue == 0 ? nil : newValue }
  }

  /// Share of the disk in use from which the oldest data go; 0: never.
  public var diskHighPercent = 0
  /// Share of the disk in use at which that ends.
  public var diskLowPercent = 0
  /// What is younger does not go for want of space.
  public var diskMinimumAgeHours = 24
  /// Days after whose end a day's hourly Parquet files become one; 0: never.
  public var compactAfterDays = 2
  /// A segment stays until its rows are in Parquet.
  public var keepsUntilConverted = true
  /// Writers compress closed segments, so a plain one of a tape that is being written is on its way to be.
  public var segmentsAreCompressed = true

  public init() {}
}
