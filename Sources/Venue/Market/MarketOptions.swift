import Core

/// What a generated market is asked to be: checked once, then the whole of what its bytes depend on.
public struct MarketOptions: Sendable, Equatable {
  public let seed: UInt64
  /// Upper-case names, each once.
  public let symbols: [String]
  public let minutes: Double
  /// The exchange's clock at the first instant.
  public let start: UnixNanos
  /// Depth frames lost, in runs of one to five; each run is one gap.
  public let gaps: Int
  /// Frames delivered twice.
  public let duplicates: Int
  /// Pairs of neighbouring depth frames delivered in the wrong order.
  public let reorders: Int
  /// How far the receiver's clock stands ahead of the exchange's; negative when it is behind.
  public let skewMs: Int64
  /// Frames a second over all symbols; `nil` for a liquid pair's rate per symbol.
  public let framesPerSecond: Double?

  /// 2026-01-05T00:00:00Z, so that up to an hour fills one hourly segment.
  public static let startDefault = UnixNanos(milliseconds: 1_767_571_200_000)
  public static let symbolsMax = 200
  public static let minutesMax = 44_640.0
  public static let skewMsMax: Int64 = 3_600_000
  /// How many of a kind of defect a run gets when asked for "some"; three kinds of them fit one symbol's
  /// minute.
  public static let defectsDefault = 3

  /// - Throws: ``MarketOptionsError`` that names the option, the value and the range that would do.
  public init(
    seed: UInt64, symbols: [String], minutes: Double, start: UnixNanos = MarketOptions.startDefault,
    gaps: Int = 0, duplicates: Int = 0, reorders: Int = 0, skewMs: Int64 = 0, framesPerSecond: Double? = nil
  ) throws(MarketOptionsError) {
    guard !symbols.isEmpty else { throw .noSymbols }
    guard symbols.count <= MarketOptions.symbolsMax else { throw .tooManySymbols(symbols.count) }
    for (position, symbol) in symbols.enumerated() {
      guard !symbol.isEmpty else { throw .emptySymbol(position: position + 1) }
      guard MarketOptions.isSymbol(symbol) else { throw .unknownSymbol(symbol) }
      guard !symbols[..<position].contains(symbol) else { throw .duplicateSymbol(symbol) }
    }
    guard minutes > 0, minutes <= MarketOptions.minutesMax else { throw .minutesOutOfRange(minutes) }
    guard start.rawValue >= 0, start.rawValue <= MarketOptions.startMax.rawValue else {
      throw .startOutOfRange(start)
    }
    let skewMsMin = max(-MarketOptions.skewMsMax, -start.milliseconds)
    guard skewMs >= skewMsMin, skewMs <= MarketOptions.skewMsMax else {
      throw .skewOutOfRange(skewMs)
    }
    if let rate = framesPerSecond {
      let range = MarketOptions.framesPerSecondRange(symbolCount: symbols.count)
      guard range.contains(rate) else { throw .rateOutOfRange(rate, range, symbolCount: symbols.count) }
    }
    guard gaps >= 0, duplicates >= 0, reorders >= 0 else {
      throw .negativeDefects(min(gaps, duplicates, reorders))
    }
    let fitting = DefectPlan.capacity(seconds: minutes * 60) * symbols.count
    let (sum, carry) = gaps.addingReportingOverflow(duplicates)
    let (asked, overflow) = sum.addingReportingOverflow(reorders)
    guard !carry, !overflow, asked <= fitting else {
      throw .tooManyDefects(asked: carry || overflow ? .max : asked, fitting: fitting)
    }
    self.seed = seed
    self.symbols = symbols
    self.minutes = minutes
    self.start = start
    self.gaps = gaps
    self.duplicates = duplicates
    self.reorders = reorders
    self.skewMs = skewMs
    self.framesPerSecond = framesPerSecond
  }

  /// The rates that `framesPerSecond` may name for so many symbols.
  public static func framesPerSecondRange(symbolCount: Int) -> ClosedRange<Double> {
    let count = Double(symbolCount)
    return count * MarketRates.symbolFramesPerSecondMin...count * MarketRates.symbolFramesPerSecondMax
  }

  /// 2200-01-01T00:00:00Z: every time of the longest run stays far inside ``UnixNanos``.
  private static let startMax = UnixNanos(milliseconds: 7_258_118_400_000)

  private static func isSymbol(_ name: String) -> Bool {
    name.utf8.count <= 24
      && name.utf8.allSatisfy { ($0 >= 0x41 && $0 <= 0x5A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x5F }
  }
}

/// Why a market cannot be made as asked, and what would do.
public enum MarketOptionsError: Error, Equatable, CustomStringConvertible {
  case noSymbols
  case tooManySymbols(Int)
  case emptySymbol(position: Int)
  case unknownSymbol(String)
  case duplicateSymbol(String)
  case minutesOutOfRange(Double)
  case startOutOfRange(UnixNanos)
  case skewOutOfRange(Int64)
  case rateOutOfRange(Double, ClosedRange<Double>, symbolCount: Int)
  case negativeDefects(Int)
  case tooManyDefects(asked: Int, fitting: Int)

  public var description: String {
    switch self {
    case .noSymbols:
      "no symbol was named; name at least one, such as BTCUSDT"
    case .tooManySymbols(let count):
      "\(count) symbols are too many for one run; name at most \(MarketOptions.symbolsMax)"
    case .emptySymbol(let position):
      "symbol \(position) of the list is empty; remove the extra comma"
    case .unknownSymbol(let name):
      "\"\(name)\" is no symbol; write 1 to 24 upper-case letters, digits and underscores, such as BTCUSDT"
    case .duplicateSymbol(let name):
      "symbol \(name) is named twice; name it once"
    case .minutesOutOfRange(let minutes):
      "a run of \(minutes) minutes cannot be made;"
        + " give more than 0 and at most \(Int(MarketOptions.minutesMax))"
    case .startOutOfRange(let start):
      "the market cannot start at \(start.rawValue) ns; give a time between the years 1970 and 2200"
    case .skewOutOfRange(let skew):
      "a clock skew of \(skew) ms is out of range; give at most \(MarketOptions.skewMsMax) ms either way,"
        + " and none that puts receive times before 1970"
    case .rateOutOfRange(let rate, let range, let symbolCount):
      "\(rate) frames a second cannot be made of \(symbolCount) symbol(s);"
        + " give \(Int(range.lowerBound.rounded(.up))) to \(Int(range.upperBound))"
    case .negativeDefects(let count):
      "a count of \(count) defects is negative; give 0 or more"
    case .tooManyDefects(let asked, let fitting):
      "\(asked) defects do not fit: the run has room for \(fitting), one symbol taking one every"
        + " \(DefectPlan.pitchMs) ms outside its first and last \(DefectPlan.marginMs) ms;"
        + " ask for fewer, or for more minutes"
    }
  }
}
