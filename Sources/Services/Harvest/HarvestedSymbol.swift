import Core
import Flow

/// Everything a harvester keeps of one symbol, its connections aside.
struct HarvestedSymbol: ~Copyable {
  let name: String
  /// `btcusdt`
  let lowerName: String

  // The book, as every reader of the tape has it.
  var book = SynchronizedBook()
  /// `u` of the newest depth frame received, or of the last one on the tape before the start; −1 for none.
  var lastFinal: Int64 = -1
  var hasDepth = false
  var hasBeenSynchronized = false
  var snapshotAttempt = 0
  var crossedSeen = 0
  var overflowsSeen = 0
  var reordersSeen = 0
  var restoredAtNs: Int64 = .min
  /// Depth events in a row that ended before the book's own last one, since when, and that last one.
  var repeats = (count: 0, sinceNs: Int64.min, final: Int64(-1))
  /// A hole seen while two connections overlap: one of them may still deliver what is missing.
  var deferredHole: DepthHole?
  /// Which of the comparisons under way is of this symbol; −1 for none.
  var probe: Int32 = -1
  var matchNotedNs: Int64 = .min

  var trades = TradeSequence()
  var hasTrade = false

  // REST in the place of streams that are down.
  var pollsBook = false
  var pollsTrades = false
  var nextBookPollNs = Int64.min
  var nextTradesPollNs = Int64.min

  var holes: [TradeHole] = []
  /// Requests for trades that failed in a row.
  var backfillFailures = 0

  var counts = HarvestCounters.Symbol()
  /// Of the newest frame; −1 before the clocks have been compared.
  var latencyNs: Int64 = -1

  init(name: String) {
    self.name = name
    lowerName = name.lowercased()
    counts.name = name
  }
}

/// Depth events that were not received: those after one `u` and before another `U`.
struct DepthHole: Equatable, Sendable {
  var after: Int64
  var before: Int64
  var previousFinal: Int64?
  var reason: String
  var place: Int
  var dueNs: Int64
}

/// Trade ids that were not received.
struct TradeHole: Equatable, Sendable {
  var from: Int64
  var to: Int64
  var reason: String
  /// On the tape, and to be filled.
  var isRecorded = false
  /// When it is recorded if it is still open.
  var dueNs: Int64
  var attempt = 0

  var count: Int64 { to - from + 1 }

  /// More than any number of holes in practice; the oldest is given up beyond it, as readers of the tape do
  /// (``TradeSequence/holesMax``).
  static let holesMax = TradeSequence.holesMax
}
