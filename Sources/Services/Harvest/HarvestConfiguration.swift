import Binance
import Core

/// What the harvester is told. Names and bounds in the configuration file: section `harvest`.
public struct HarvestConfiguration: Equatable, Sendable {
  /// The part of each stream's name behind `btcusdt@`; at most one of a kind.
  public var streams = ["depth@100ms", "bookTicker", "aggTrade", "markPrice@1s", "kline_1m", "forceOrder"]
  public var symbolsPerConnection = 25
  public var streamsPerConnectionMax = 200

  /// First frame of a stream that ticks by itself (book, quotes, mark price), after its connection opened.
  public var firstFrameMs = 10_000
  /// First frame of a trade stream.
  public var firstFrameTradeMs = 60_000
  /// A stream that ticks by itself and has fallen silent alone; 0 turns this watchdog off.
  public var streamSilenceMs = 60_000
  /// Silence of a whole connection.
  public var silencePublicMs = 5000
  public var silenceMarketMs = 10_000
  public var heartbeatMs = 5000
  /// Neither frame nor pong for so long: the connection is dead.
  public var heartbeatTimeoutMs = 10_000
  public var connectTimeoutMs = 10_000
  public var backoffMsMin = 500
  public var backoffMsMax = 8000
  /// A connection that has delivered for so long starts the backoff anew.
  public var stableMs = 60_000
  public var rotateAfterSeconds = 82_800
  /// How long a new connection may take to deliver what the old one does.
  public var rotationTimeoutMs = 30_000

  public var snapshotCheckMs = 15_000
  /// Request weight the venue allows in a minute.
  public var requestWeightMax = 2400
  /// The share of it that is used.
  public var weightShare = 0.8
  /// The share of it that comparing books may use.
  public var checkWeightShare = 0.25
  public var requestsInFlightMax = 8
  /// Until the exchange has answered for the first time.
  public var requestsBeforeFirstAnswerMax = 1
  public var requestTimeoutMs = 10_000
  /// The longest hole in a symbol's trades that is filled, trades; of a longer one the newest part.
  public var backfillTradesMax = 50_000
  public var clockIntervalMs = 30_000
  /// Drift of the clock beyond which time is degraded, and how long it must last.
  public var clockDriftMsMax = 100.0
  public var clockDriftForMs = 300_000

  /// Between two group commits of the tape; tuned within its bounds.
  public var batchMs = 20
  public var batchMsMin = 10
  public var batchMsMax = 25

  /// Decimals given by configuration, by upper-case symbol; the others are learnt, as every reader does.
  public var instruments: [String: Instrument] = [:]

  public init() {}

  /// What single ranges cannot say: key and message.
  var issues: [(key: String, message: String)] {
    var issues: [(String, String)] = []
    func demand(_ holds: Bool, _ key: String, _ message: String) {
      if !holds { issues.append((key, message)) }
    }
    var kinds: Set<StreamKind> = []
    for name in streams {
      guard let kind = StreamKind(name: name) else {
        let meant = NearestName.find(name, among: StreamKind.examples).map { "; did you mean \($0)?" } ?? ""
        demand(false, "streams", "\"\(name)\" is no stream the harvester knows\(meant)")
        continue
      }
      demand(kinds.insert(kind).inserted, "streams", "\"\(name)\" is the second stream of its kind")
    }
    demand(backoffMsMin <= backoffMsMax, "backoff_ms_min", "must not exceed backoff_ms_max = \(backoffMsMax)")
    demand(
      heartbeatMs < heartbeatTimeoutMs, "heartbeat_ms",
      "must be below heartbeat_timeout_ms = \(heartbeatTimeoutMs)")
    demand(
      batchMsMin <= batchMs && batchMs <= batchMsMax, "batch_ms",
      "must lie between batch_ms_min = \(batchMsMin) and batch_ms_max = \(batchMsMax)")
    demand(
      Double(requestWeightMax) * weightShare >= 40, "weight_share",
      "leaves too little of request_weight_max = \(requestWeightMax) for a snapshot")
    return issues
  }
}

/// The kinds of stream a harvester subscribes to.
public enum StreamKind: UInt8, CaseIterable, Sendable {
  case depth, bookTicker, aggregateTrade, markPrice, kline, forceOrder

  static let examples = [
    "depth", "depth@100ms", "depth@500ms", "bookTicker", "aggTrade", "markPrice", "markPrice@1s", "kline_1m",
    "forceOrder",
  ]
  private static let intervals: Set<String> = [
    "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M",
  ]

  /// - Parameter name: the part of a stream's name behind `btcusdt@`.
  public init?(name: String) {
    switch name {
    case "depth", "depth@100ms", "depth@500ms": self = .depth
    case "bookTicker": self = .bookTicker
    case "aggTrade": self = .aggregateTrade
    case "markPrice", "markPrice@1s": self = .markPrice
    case "forceOrder": self = .forceOrder
    default:
      guard name.hasPrefix("kline_"), StreamKind.intervals.contains(String(name.dropFirst(6))) else {
        return nil
      }
      self = .kline
    }
  }

  /// The websocket root that serves it; on another root a subscription stays silent.
  public var root: HarvestPlan.Root {
    switch self {
    case .depth, .bookTicker: .book
    case .aggregateTrade, .markPrice, .kline, .forceOrder: .market
    }
  }

  /// Whether silence of the stream alone is a fault: it ticks by itself, whatever is traded.
  var ticksByItself: Bool {
    switch self {
    case .depth, .bookTicker, .markPrice: true
    case .aggregateTrade, .kline, .forceOrder: false
    }
  }

  /// Whether its frames carry an id that tells copies from new frames.
  var hasIDs: Bool {
    switch self {
    case .depth, .bookTicker, .aggregateTrade: true
    case .markPrice, .kline, .forceOrder: false
    }
  }
}
