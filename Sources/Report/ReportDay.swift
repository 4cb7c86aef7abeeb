import Core
import Flow
import Strategy

/// Rows of one kind: all of them, the confirmed ones, and of those the strong ones.
public struct RowCounts: Equatable, Sendable {
  public var rows = 0
  public var confirmed = 0
  public var strong = 0

  public init() {}

  /// `nil` without confirmed rows.
  public var strongRatio: Double? { confirmed == 0 ? nil : Double(strong) / Double(confirmed) }

  mutating func count(_ signal: Signal) {
    rows += 1
    if signal.confirmed {
      confirmed += 1
      if signal.kind.isStrong { strong += 1 }
    }
  }

  var members: [JSONValue.Member] {
    [
      .init("rows", .integer(rows)), .init("confirmed", .integer(confirmed)),
      .init("strong", .integer(strong)),
      .init("strong_ratio", .rounded(strongRatio, 6)),
    ]
  }
}

/// What one symbol did on one day.
public struct SymbolDay: Sendable {
  public var counts = RowCounts()
  public var spreadBpsSum = 0.0
  public var spreadCount = 0
  /// In nanoseconds: a millionth of a millisecond is one.
  public var lag = LogHistogram()
  public var zOFI = ZQuality()
  public var zCVD = ZQuality()
  /// Strides of the divergence stage in which the symbol had a grid row with a score.
  public private(set) var divergenceSamples = 0
  private var divergenceStride = Int64.min
  /// The newest row, for the state at the end of the day.
  public var last: Signal
  /// `nil` beyond ``ReportOptions/chartSymbolsMax``.
  public var chart: ChartSeries?

  init(_ first: Signal, hasChart: Bool) {
    last = first
    if hasChart { chart = ChartSeries() }
  }

  public var meanSpreadBps: Double? { spreadCount == 0 ? nil : spreadBpsSum / Double(spreadCount) }

  mutating func add(_ signal: Signal, options: ReportOptions) {
    counts.count(signal)
    last = signal
    if let spread = signal.spreadBps.double {
      spreadBpsSum += spread
      spreadCount += 1
    }
    if !signal.lagMs.isAbsent { lag.add(signal.lagMs.rawValue) }
    // Rows made because the score jumped would weigh the tails twice: only the regular grid is a sample.
    if signal.trigger == .grid {
      zOFI.add(signal.zOFI)
      zCVD.add(signal.zCVD)
      let strideNs = Int64(options.divergenceStrideMs) * Nanoseconds.millisecond
      let stride = floorDivide(signal.receiveTime.rawValue, strideNs)
      if stride > divergenceStride, !signal.score.isAbsent {
        divergenceSamples += 1
        divergenceStride = stride
      }
    }
    if chart != nil { addToChart(signal) }
  }

  private mutating func addToChart(_ signal: Signal) {
    let price = signal.doubledMid.map { Double($0) / (2 * Double(signal.priceScale.factor)) } ?? .nan
    let score = signal.score.double ?? .nan
    let values = SIMD4(
      price, signal.ofi.double ?? .nan, signal.quantityScale.double(signal.cvd), score)
    var mark: ChartSeries.Mark?
    if signal.confirmed, !price.isNaN, !score.isNaN {
      mark = ChartSeries.Mark(score: score, price: price, isStrong: signal.kind.isStrong)
    }
    chart!.add(
      time: signal.receiveTime, values, buy: signal.kind.direction > 0 ? mark : nil,
      sell: signal.kind.direction < 0 ? mark : nil)
  }
}

/// One calendar day's rows, summed up; memory grows with minutes and symbols, not with rows.
public struct ReportDay: Sendable {
  public struct Minute: Equatable, Sendable {
    public var start: UnixNanos
    public var counts: RowCounts
  }

  /// Days since 1970 in the report's time zone.
  public let number: Int64
  public var counts = RowCounts()
  public private(set) var minutes: [Minute] = []
  /// By ``Signal/Kind``'s raw value.
  public private(set) var kinds = [RowCounts](repeating: RowCounts(), count: Signal.Kind.allCases.count)
  /// By ``Signal/GuardReason``'s raw value.
  public private(set) var reasons = [Int](repeating: 0, count: Signal.GuardReason.allCases.count)
  /// By ``Signal/Regime``'s raw value.
  public private(set) var regimes = [RowCounts](repeating: RowCounts(), count: 3)
  /// By ``Scenario``'s raw value.
  public private(set) var scenarios = [RowCounts](repeating: RowCounts(), count: Scenario.allCases.count)
  /// By ``DivergenceKind``'s raw value.
  public private(set) var divergences = [Int](repeating: 0, count: DivergenceKind.allCases.count)
  private(set) var regimeTrack = RegimeTrack()
  /// By symbol id.
  public private(set) var symbols: [SymbolDay?] = []
  /// Confirmed signals of the largest |score|, the largest first; ties by time, then by name.
  public private(set) var top: [Signal] = []
  public private(set) var firstTime: UnixNanos
  public private(set) var lastTime: UnixNanos

  init(number: Int64, first: UnixNanos) {
    self.number = number
    firstTime = first
    lastTime = first
  }

  /// `2024-07-18`
  public var dayText: String { UTCDate(UnixNanos(number * Nanoseconds.day)).dayText }

  /// Of all symbols; see ``SymbolDay/divergenceSamples``.
  public var divergenceSamples: Int { symbols.reduce(0) { $0 + ($1?.divergenceSamples ?? 0) } }

  /// Rows with a guard reason.
  public var gatedRows: Int { reasons.dropFirst().reduce(0, +) }

  mutating func add(_ signal: Signal, options: ReportOptions, symbols table: SymbolTable) {
    counts.count(signal)
    kinds[Int(signal.kind.rawValue)].count(signal)
    reasons[Int(signal.guardReason.rawValue)] += 1
    regimes[Int(signal.regime.rawValue)].count(signal)
    scenarios[Int(signal.scenario.rawValue)].count(signal)
    divergences[Int(signal.divergence.rawValue)] += 1
    regimeTrack.add(signal)
    firstTime = min(firstTime, signal.receiveTime)
    lastTime = max(lastTime, signal.receiveTime)
    minutes[minute(signal.receiveTime)].counts.count(signal)
    let index = signal.symbol.index
    while symbols.count <= index { symbols.append(nil) }
    if symbols[index] == nil {
      let charts = symbols.count { $0?.chart != nil }
      symbols[index] = SymbolDay(signal, hasChart: charts < options.chartSymbolsMax)
    }
    symbols[index]!.add(signal, options: options)
    if signal.confirmed, !signal.score.isAbsent { rank(signal, options.topSignalsMax, table) }
  }

  private mutating func minute(_ time: UnixNanos) -> Int {
    let start = UnixNanos(floorDivide(time.rawValue, Nanoseconds.minute) * Nanoseconds.minute)
    var index = minutes.count
    while index > 0, minutes[index - 1].start > start { index -= 1 }
    if index > 0, minutes[index - 1].start == start { return index - 1 }
    minutes.insert(Minute(start: start, counts: RowCounts()), at: index)
    return index
  }

  private mutating func rank(_ signal: Signal, _ countMax: Int, _ table: SymbolTable) {
    func isAbove(_ a: Signal, _ b: Signal) -> Bool {
      if a.score.rawValue.magnitude != b.score.rawValue.magnitude {
        return a.score.rawValue.magnitude > b.score.rawValue.magnitude
      }
      if a.receiveTime != b.receiveTime { return a.receiveTime < b.receiveTime }
      // By name: ids are given in order of first appearance, which is another one for another reader.
      return table[a.symbol].utf8.lexicographicallyPrecedes(table[b.symbol].utf8)
    }
    var index = top.count
    while index > 0, isAbove(signal, top[index - 1]) { index -= 1 }
    if index >= countMax { return }
    top.insert(signal, at: index)
    if top.count > countMax { top.removeLast() }
  }
}
