import Book
import Core

/// What a symbol's order flow says at one moment of tape time.
public struct FlowRow: Sendable {
  /// Weighted OFI over the window in base-asset units × 10^scale (lots); nil while the window has a hole.
  public var ofi: Double?
  /// Unclipped.
  public var zOFI: Double?
  public var zCVD: Double?
  public var cvd: Int64
  public var quote: Quote?
  public var fused: FusedScore
  /// Confirmed at this moment.
  public var divergence = DivergenceKind.none
}

/// A symbol's order-flow state: OFI and CVD windows, their histories, and the score they give.
///
/// It takes quotes, books and trades with their receive time and nothing else. Level 1 of the OFI comes from
/// the book ticker where one is subscribed (it shows every change of the touch), else from the book; deeper
/// levels come from the synchronised book. Nothing is differenced across a hole: after a start, snapshot,
/// resync or reconnect the state is set without a contribution, and a window counts only once it has been
/// whole for its full length.
public struct SymbolFlow: ~Copyable {
  public private(set) var configuration: FlowConfiguration

  /// Sum of level-1 contributions from book tickers since the start.
  public internal(set) var tickerImbalance: Int64 = 0
  /// Sum of level-1 contributions from the synchronised book since the start.
  public internal(set) var bookImbalance: Int64 = 0
  public internal(set) var cvd: CumulativeVolumeDelta
  public internal(set) var impact = PriceImpact()
  public internal(set) var hasTicker = false
  public internal(set) var hasBook = false

  var tickerQuote: Quote?
  var lastTickerID: Int64 = .min
  var bookQuote: Quote?

  var levelOne: SlidingSum
  var deep: SlidingSum
  var delta: SlidingSum
  var multiLevel: MultiLevelImbalance
  var ofiHistory: Standardizer
  var cvdHistory: Standardizer
  /// Tape time since which the windows have had no hole; nil while they have one.
  var ofiWholeSinceMs: Int64?
  var cvdWholeSinceMs: Int64?

  // The cheap test between two rows: factor values from which the score could be strong.
  var triggers = StrongTriggers()
  private let firstWeight: Double
  private let deepWeights: UnsafeMutablePointer<Double>
  private let deepCount: Int

  public init(_ configuration: FlowConfiguration) {
    self.configuration = configuration
    let samples = configuration.historyMs / configuration.historyStrideMs
    let warmup = configuration.warmupMs / configuration.historyStrideMs
    cvd = CumulativeVolumeDelta(reset: configuration.cvdReset)
    levelOne = SlidingSum(windowMs: configuration.ofiWindowMs)
    deep = SlidingSum(windowMs: configuration.ofiWindowMs, width: max(1, configuration.levels - 1))
    delta = SlidingSum(windowMs: configuration.cvdWindowMs)
    multiLevel = MultiLevelImbalance(levels: configuration.levels)
    ofiHistory = Standardizer(
      method: configuration.standardization, samples: samples, warmupSamples: warmup,
      floorRatio: configuration.scaleFloorRatio)
    cvdHistory = Standardizer(
      method: configuration.standardization, samples: samples, warmupSamples: warmup,
      floorRatio: configuration.scaleFloorRatio)
    let total = configuration.weights.prefix(configuration.levels).reduce(0, +)
    firstWeight = configuration.weights[0] / total
    deepCount = configuration.levels - 1
    deepWeights = .allocate(capacity: max(1, deepCount))
    for level in 0..<deepCount { deepWeights[level] = configuration.weights[level + 1] / total }
  }

  deinit { deepWeights.deallocate() }

  // MARK: Inputs

  /// A book ticker. `false` when it repeats or precedes one already taken.
  @inline(__always)
  public mutating func take(ticker quote: Quote, updateID: Int64, receiveMs: Int64, exchangeMs: Int64) -> Bool
  {
    if updateID <= lastTickerID { return false }
    lastTickerID = updateID
    if let before = tickerQuote {
      let e = OrderFlowImbalance.contribution(before: before, after: quote)
      tickerImbalance &+= e
      levelOne.add(e, at: receiveMs)
      impact.step(timeMs: exchangeMs, contribution: e, doubledMid: quote.doubledMid)
    } else {
      startTicker(quote, receiveMs, exchangeMs)
    }
    tickerQuote = quote
    return true
  }

  @inline(never)
  private mutating func startTicker(_ quote: Quote, _ receiveMs: Int64, _ exchangeMs: Int64) {
    if !hasTicker {
      hasTicker = true
      levelOne.removeAll()
      impact = PriceImpact()
    }
    if !hasBook || ofiWholeSinceMs != nil { ofiWholeSinceMs = receiveMs }
    impact.step(timeMs: exchangeMs, contribution: 0, doubledMid: quote.doubledMid)
  }

  /// The synchronised book after an event.
  @inline(__always)
  public mutating func take(book: borrowing Book, receiveMs: Int64, exchangeMs: Int64) {
    bookQuote = book.quote
    if multiLevel.step(book) {
      let e = multiLevel.contributions[0]
      bookImbalance &+= e
      if multiLevel.levels > 1 { deep.add(multiLevel.contributions + 1, at: receiveMs) }
      if !hasTicker {
        levelOne.add(e, at: receiveMs)
        if let quote = bookQuote {
          impact.step(timeMs: exchangeMs, contribution: e, doubledMid: quote.doubledMid)
        }
      }
    } else {
      ofiWholeSinceMs = receiveMs
    }
  }

  /// A depth stream exists for the symbol: from now on an OFI needs a synchronised book.
  public mutating func expectBook() {
    guard !hasBook else { return }
    hasBook = true
    ofiWholeSinceMs = nil
  }

  /// The book has gone out of sync.
  public mutating func bookLost() {
    multiLevel.reset()
    deep.removeAll()
    bookQuote = nil
    ofiWholeSinceMs = nil
    if !hasTicker { levelOne.removeAll() }
  }

  /// The connection that carries the book ticker was replaced: what happened in between is unknown.
  public mutating func tickerLost(at receiveMs: Int64) {
    tickerQuote = nil
    levelOne.removeAll()
    if ofiWholeSinceMs != nil { ofiWholeSinceMs = receiveMs }
  }

  @inline(__always)
  public mutating func take(trade quantity: Int64, aggressor: Aggressor, receiveMs: Int64) {
    let signed = cvd.add(quantity: quantity, aggressor: aggressor, at: receiveMs)
    delta.add(signed, at: receiveMs)
    if cvdWholeSinceMs == nil { cvdWholeSinceMs = receiveMs }
  }

  /// Trades are missing before this moment.
  public mutating func tradesLost(at receiveMs: Int64) { cvdWholeSinceMs = receiveMs }

  /// Other fusion parameters from the next row on. The cheap test for strong scores follows at the next grid
  /// row.
  public mutating func change(fusion: FusionConfiguration) { configuration.fusion = fusion }

  // MARK: Outputs

  /// Both histories are long enough to judge by.
  public var isWarm: Bool { ofiHistory.isWarm && cvdHistory.isWarm }

  /// The best quotes: of the book ticker where there is one.
  public var quote: Quote? { hasTicker ? tickerQuote : bookQuote }

  /// Whether the CVD window has a hole at `timeMs`.
  public func cvdHasHole(at timeMs: Int64) -> Bool {
    guard let since = cvdWholeSinceMs else { return true }
    return timeMs - since < Int64(configuration.cvdWindowMs)
  }

  @inline(__always)
  private func ofiValue() -> Double {
    guard hasBook else { return Double(levelOne.sums[0]) }
    var value = firstWeight * Double(levelOne.sums[0])
    for level in 0..<deepCount { value += deepWeights[level] * Double(deep.sums[level]) }
    return value
  }

  /// The row for the half-open windows that end at `endMs`; a grid row also feeds the histories.
  public mutating func row(
    endMs: Int64, isGrid: Bool, ofiLag: (lagMs: Double, stalenessMs: Double),
    cvdLag: (lagMs: Double, stalenessMs: Double), thresholds: FusionConfiguration.Thresholds
  ) -> FlowRow {
    let (ofi, cvdDelta) = values(at: endMs)
    let zOFI = ofi.flatMap { ofiHistory.z($0) }
    let zCVD = cvdDelta.flatMap { cvdHistory.z($0) }
    if isGrid {
      push(ofi, cvdDelta, at: endMs)
      arm(zOFI, zCVD, thresholds)
    } else {
      triggers = StrongTriggers()
    }
    let fused = FusedScore(
      ofi: Factor(z: zOFI, lagMs: ofiLag.lagMs, stalenessMs: ofiLag.stalenessMs),
      cvd: Factor(z: zCVD, lagMs: cvdLag.lagMs, stalenessMs: cvdLag.stalenessMs), configuration.fusion)
    return FlowRow(
      ofi: ofi, zOFI: zOFI, zCVD: zCVD,
      cvd: configuration.cvdReset == .window ? delta.sums[0] : cvd.sinceReset, quote: quote, fused: fused)
  }

  /// What a grid row at `endMs` would do to the histories, where no row is made.
  public mutating func sample(endMs: Int64) {
    guard endMs % Int64(configuration.historyStrideMs) == 0 else { return }
    let (ofi, cvdDelta) = values(at: endMs)
    push(ofi, cvdDelta, at: endMs)
  }

  /// Both factors over the windows that end at `endMs`; nil where a window has a hole.
  @inline(__always)
  private mutating func values(at endMs: Int64) -> (ofi: Double?, cvdDelta: Double?) {
    levelOne.expire(before: endMs - levelOne.windowMs)
    deep.expire(before: endMs - deep.windowMs)
    delta.expire(before: endMs - delta.windowMs)
    cvd.roll(to: endMs)
    var ofi: Double?
    if let since = ofiWholeSinceMs, endMs - since >= levelOne.windowMs { ofi = ofiValue() }
    return (ofi, cvdHasHole(at: endMs) ? nil : Double(delta.sums[0]))
  }

  @inline(__always)
  private mutating func push(_ ofi: Double?, _ cvdDelta: Double?, at endMs: Int64) {
    guard endMs % Int64(configuration.historyStrideMs) == 0 else { return }
    if let ofi { ofiHistory.push(ofi) }
    if let cvdDelta { cvdHistory.push(cvdDelta) }
  }

  /// Whether the score might have become strong since the last row; answers `true` at most once per grid
  /// interval (the row that follows disarms it).
  public mutating func mayBeStrong() -> Bool {
    if !triggers.isArmed { return false }
    let ofi = ofiValue()
    let cvd = Double(delta.sums[0])
    return ofi >= triggers.ofiHigh || ofi <= triggers.ofiLow || cvd >= triggers.cvdHigh
      || cvd <= triggers.cvdLow
  }

  /// Solves w₁·z_ofi + w₂·z_cvd = ±strong for each factor with the other as it is now, and turns the z into
  /// the factor's own unit, so that the test after each event is four comparisons.
  private mutating func arm(_ zOFI: Double?, _ zCVD: Double?, _ thresholds: FusionConfiguration.Thresholds) {
    triggers = StrongTriggers()
    guard let zOFI, let zCVD else { return }
    let total = configuration.fusion.weightOFI + configuration.fusion.weightCVD
    let w1 = configuration.fusion.weightOFI / total
    let w2 = configuration.fusion.weightCVD / total
    let score = w1 * zOFI + w2 * zCVD
    guard abs(score) < thresholds.strong else { return }
    triggers.isArmed = true
    if w1 > 0 {
      triggers.ofiHigh = ofiHistory.value(forZ: (thresholds.strong - w2 * zCVD) / w1)
      triggers.ofiLow = ofiHistory.value(forZ: (-thresholds.strong - w2 * zCVD) / w1)
    }
    if w2 > 0 {
      triggers.cvdHigh = cvdHistory.value(forZ: (thresholds.strong - w1 * zOFI) / w2)
      triggers.cvdLow = cvdHistory.value(forZ: (-thresholds.strong - w1 * zOFI) / w2)
    }
  }
}

struct StrongTriggers {
  var isArmed = false
  var ofiHigh = Double.infinity
  var ofiLow = -Double.infinity
  var cvdHigh = Double.infinity
  var cvdLow = -Double.infinity
}
