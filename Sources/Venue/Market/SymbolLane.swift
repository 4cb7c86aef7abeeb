import Core

/// A snapshot on its way: fetched of the market at one moment, received at a later one.
struct SnapshotDelivery {
  /// By the exchange's clock, nanoseconds.
  var time: Int64
  var bytes: [UInt8]
  var symbol: Int
}

/// Everything the generator keeps for one symbol.
struct SymbolLane: ~Copyable {
  var market: SymbolMarket
  let encoder: FrameEncoder
  var script: DefectScript
  /// For the times of fetches and snapshots; the market's own stream stays untouched by defects.
  var random: SeededRandom
  var reader = ReaderBook()
  var reference: ReferenceFlow
  var account = SymbolAccount()

  /// When to fetch the next snapshot that a reader will use, and when it arrives; `.max` for none.
  var fetchTime: Int64
  var fetchArrival: Int64
  /// The least time from fetch to arrival, for a market so quiet that the fetch has to wait for a change.
  var roundTrip: Int64
  /// When to fetch the one that will be too old; `.max` for none.
  var staleFetchTime = Int64.max
  var stale: (updateID: Int64, bytes: [UInt8])?
  /// The depth frame kept back to be overtaken, and its ids.
  var held: (bytes: [UInt8], updateID: Int64) = ([], 0)

  /// At the start the frame that bridges the snapshot is there before it: a window and the longest latency.
  private static let firstRoundTrip = SymbolMarket.windowNanos + DeliveryLine.latencyMax

  init(
    instrument: Instrument, random source: SeededRandom, defects: [DefectPlan.Defect], start: UnixNanos,
    flowScale: Double
  ) {
    market = SymbolMarket(
      instrument: instrument, random: source.stream(0), start: start, flowScale: flowScale)
    encoder = FrameEncoder(instrument: instrument)
    script = DefectScript(defects)
    random = source.stream(1)
    reference = ReferenceFlow(start: start.rawValue, doubledMid: market.doubledMid)
    fetchTime = start.rawValue + Int64(100 + random.below(40)) * Nanoseconds.millisecond
    fetchArrival = start.rawValue + Int64(280 + random.below(40)) * Nanoseconds.millisecond
    roundTrip = SymbolLane.firstRoundTrip
    planStaleFetch(start)
  }

  mutating func planStaleFetch(_ start: UnixNanos) {
    staleFetchTime = script.staleFetchMs.map { start.rawValue + $0 * Nanoseconds.millisecond } ?? .max
  }
}

/// What was delivered of one symbol, counted where it is put on its way.
struct SymbolAccount {
  struct Gap {
    var lastBefore: Int64 = 0
    var framesLost = 0
    var firstAfter: Int64 = 0
    var time: Int64 = 0
    var staleSnapshot = false
  }

  struct Duplicate {
    var stream: MarketStream
    var id: Int64
    var time: Int64
  }

  struct Reorder {
    var deliveredFirst: Int64
    var deliveredSecond: Int64
    var time: Int64
  }

  /// By ``MarketStream/rawValue``, copies included.
  var frames = [Int64](repeating: 0, count: MarketStream.allCases.count)
  var depthEvents: Int64 = 0
  var depthLevels: Int64 = 0
  var lastDepthUpdateID: Int64 = 0
  var snapshots = 0
  var staleSnapshots = 0
  var gaps: [Gap] = []
  var openGap = Gap()
  var duplicates: [Duplicate] = []
  var reorders: [Reorder] = []
}
