/// What the divergence stage sees of a symbol at one point of its grid.
///
/// A value is nil where there is none and where it must not be compared with those of earlier samples: while
/// a window has a hole, during warm-up, after lost trades, after a change of what the value means.
public struct DivergenceSample: Equatable, Sendable {
  public var timeMs: Int64
  /// Twice the mid in ticks; nil without a quote.
  public var doubledMid: Int64?
  public var zOFI: Double?
  /// The running sum of signed trade sizes in lots, never reset.
  public var cvd: Int64?
  public var zCVD: Double?
  public var score: Double?
  /// 0 (against each other) to 1 (of one strength), of both factors.
  public var consistency: Double?

  public init(
    timeMs: Int64, doubledMid: Int64?, zOFI: Double?, cvd: Int64?, zCVD: Double?, score: Double?,
    consistency: Double?
  ) {
    self.timeMs = timeMs
    self.doubledMid = doubledMid
    self.zOFI = zOFI
    self.cvd = cvd
    self.zCVD = zCVD
    self.score = score
    self.consistency = consistency
  }
}

/// The indicators that price is compared with.
public struct DivergenceChannels: OptionSet, Equatable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let ofi = DivergenceChannels(rawValue: 1)
  public static let cvd = DivergenceChannels(rawValue: 2)
  public static let fusion = DivergenceChannels(rawValue: 4)

  /// Each alone, by its bit.
  public static let each: [DivergenceChannels] = [.ofi, .cvd, .fusion]

  public var count: Int { rawValue.nonzeroBitCount }
}

/// A divergence, at the moment from which it could be known.
public struct DivergenceEvent: Equatable, Sendable {
  public var kind: DivergenceKind
  /// Those that disagree with price; of a conflict, the two in conflict.
  public var channels: DivergenceChannels
  /// 0 to 100; see ``DivergenceDetector``.
  public var score: Double
  /// When the later pivot was confirmed.
  public var timeMs: Int64
  /// The pivots' own times; of a conflict, its time.
  public var pivotTimeMs: Int64
  public var pivotTimeBeforeMs: Int64
}

/// How often divergence was looked for and reported.
public struct DivergenceCounts: Equatable, Sendable {
  /// Samples with a price.
  public internal(set) var samples: Int64 = 0
  /// By `DivergenceKind.rawValue`.
  public internal(set) var events = [Int64](repeating: 0, count: DivergenceKind.allCases.count)
  /// Events that a channel took part in, conflicts left out, by its place in ``DivergenceChannels/each``.
  public internal(set) var channels = [Int64](repeating: 0, count: DivergenceChannels.each.count)

  public init() {}

  /// Events a sample; nil before the first.
  public var rate: Double? { samples == 0 ? nil : Double(events.reduce(0, +)) / Double(samples) }
}
