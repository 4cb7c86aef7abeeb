import Core

/// What a harvester has done since it was made.
public struct HarvestCounters: Equatable, Sendable {
  public struct Symbol: Equatable, Sendable {
    public var name = ""
    /// Frames on the tape.
    public var frames: Int64 = 0
    public var depthEvents: Int64 = 0
    public var trades: Int64 = 0
    /// Holes in the chain of depth events.
    public var depthGaps: Int64 = 0
    /// Holes in the trade ids.
    public var tradeGaps: Int64 = 0
    /// Trade ids missing at first, filled later or not.
    public var tradesMissed: Int64 = 0
    /// Trades that came by REST.
    public var backfilled: Int64 = 0
    /// Trade ids given up.
    public var lost: Int64 = 0
    /// Snapshots that brought the book back.
    public var resyncs: Int64 = 0
    public var bookMismatches: Int64 = 0
    public var bookIsSynchronized = false
  }

  /// Frames on the tape.
  public var frames: Int64 = 0
  public var bytes: Int64 = 0
  /// Frames that two overlapping connections delivered twice, stored once.
  public var deduplicated: Int64 = 0
  /// Frames too long for the tape.
  public var framesRefused: Int64 = 0
  /// Frames handed in for a socket that is not open (any more).
  public var framesStray: Int64 = 0
  /// Frames that are no market data: replies to subscriptions and the like.
  public var framesOther: Int64 = 0
  public var decodeErrors: Int64 = 0
  public var gaps: Int64 = 0
  public var resyncs: Int64 = 0
  public var connects: Int64 = 0
  public var connectFailures: Int64 = 0
  public var reconnects: Int64 = 0
  public var rotations: Int64 = 0
  public var rotationsAbandoned: Int64 = 0
  public var backfilled: Int64 = 0
  public var lost: Int64 = 0
  /// No queue of the harvester drops records; the shell has none either.
  public var queueDropped: Int64 = 0
  public var firstFrameTimeouts: Int64 = 0
  /// Streams that stayed silent a second time running.
  public var substreamTimeouts: Int64 = 0
  public var silenceTimeouts: Int64 = 0
  public var heartbeatTimeouts: Int64 = 0
  public var requests: Int64 = 0
  public var requestFailures: Int64 = 0
  public var rateLimited: Int64 = 0
  public var bans: Int64 = 0
  public var weightUsed: Int64 = 0
  /// Answers that could not be decoded.
  public var badAnswers: Int64 = 0
  public var snapshots: Int64 = 0
  public var snapshotsTooOld: Int64 = 0
  public var bookChecks: Int64 = 0
  public var bookChecksInconclusive: Int64 = 0
  public var bookMismatches: Int64 = 0
  public var clockJumps: Int64 = 0
  /// By the place in ``Control/names``.
  public var controls = [Int64](repeating: 0, count: Control.names.count)
  /// Times all connections were to be replaced.
  public var restarts: Int64 = 0
  /// Books, and parts of the trades, that came by REST while their streams were down.
  public var booksPolled: Int64 = 0
  public var tradesPolled: Int64 = 0
  public var symbols: [Symbol] = []

  public init() {}
}
