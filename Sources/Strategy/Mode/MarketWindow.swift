import Core

/// What a symbol's market shows over one window of tape time, as the market trigger judges it.
///
/// **Problem.** "Active" has to be told from the feed alone, at no cost to a frame, and the same in every
/// replay.
///
/// **Algorithm.** Trades and their volume are added up as they come. Once a second, at a grid point, the
/// counters that exist anyway are read: their differences are the quote updates of that second, and the quote
/// gives spread and mid. At the window's end there are then about sixty values a figure, and the figure is
/// their winsorised median: sorted, a share of them at either end moved to the nearest value kept, and the
/// middle taken. (A median does not feel what happens beyond its neighbours, so the share changes nothing
/// here; it is in the configuration for figures that would.) Realised volatility is √(Σr² / T), T the minutes
/// that the returns span, so that windows of any length, and such with seconds without a quote, compare; r is
/// 2(b − a)/(a + b), the log return to third order in operations that every machine rounds alike.
///
/// **What is no evidence.** A window without a frame of the symbol, and the one in which the symbol was first
/// seen.
///
/// **Bounds.** Two numbers a second of the window, made room for at the symbol's first second.
public struct MarketWindow: Equatable, Sendable {
  var trades: Int64 = 0
  /// Σ price × quantity, in units of both.
  var volume = 0.0
  /// One a second.
  var quoteRates: [Double] = []
  var spreadsBps: [Double] = []
  var squaredReturns = 0.0
  var minutesOfReturns = 0.0
  /// At the second before.
  var doubledMid: Int64?
  var tickersSeen: Int64 = 0
  var depthsSeen: Int64 = 0
  /// At the window's begin.
  var framesBefore: Int64 = 0
  /// The window has been seen from its begin.
  var isWhole = false

  public init() {}

  /// A trade that is not a repeated one.
  @inline(__always)
  public mutating func take(tradePrice: Int64, quantity: Int64) {
    trades &+= 1
    volume += Double(tradePrice) * Double(quantity)
  }

  /// A second is over.
  ///
  /// - Parameters:
  ///   - tickers: book tickers since the beginning, nil for a symbol that has no such stream.
  ///   - depths: depth events since the beginning.
  ///   - elapsedNs: since the second before; nil behind a silence, of which nothing is known.
  /// - Returns: the squared return since the second before, where there is one.
  @discardableResult
  public mutating func sample(tickers: Int64?, depths: Int64, quote: Quote?, elapsedNs: Int64?) -> Double? {
    let updates = tickers.map { $0 &- tickersSeen } ?? depths &- depthsSeen
    if let tickers { tickersSeen = tickers }
    depthsSeen = depths
    let before = doubledMid
    doubledMid = quote.flatMap { $0.doubledMid > 0 ? $0.doubledMid : nil }
    guard let elapsedNs else { return nil }
    quoteRates.append(Double(updates) * 1e9 / Double(elapsedNs))
    guard let quote, let mid = doubledMid else { return nil }
    if let spread = Gates.spreadBps(quote) { spreadsBps.append(spread) }
    guard let before else { return nil }
    let change = 2 * Double(mid - before) / (Double(mid) + Double(before))
    squaredReturns += change * change
    minutesOfReturns += Double(elapsedNs) / Double(Nanoseconds.minute)
    return change * change
  }

  /// Makes room for a window's seconds.
  public mutating func reserve(seconds: Int) {
    quoteRates.reserveCapacity(seconds + 1)
    spreadsBps.reserveCapacity(seconds + 1)
  }

  /// The window is over; the next one begins.
  ///
  /// - Parameters:
  ///   - frames: of the symbol since the beginning.
  ///   - volumeUnit: what one unit of price times one of quantity is in the quote asset.
  /// - Returns: nil when the window is no evidence.
  public mutating func end(
    elapsedNs: Int64, frames: Int64, volumeUnit: Double, winsorizedShare: Double
  ) -> MarketFigures? {
    let minutes = Double(elapsedNs) / Double(Nanoseconds.minute)
    let isEvidence = isWhole && frames > framesBefore && minutes > 0
    var figures: MarketFigures?
    if isEvidence {
      figures = MarketFigures(
        tradesPerMinute: Double(trades) / minutes,
        quotesPerSecond: winsorizedMedian(&quoteRates, winsorizedShare),
        spreadBps: winsorizedMedian(&spreadsBps, winsorizedShare),
        volatilityBps: minutesOfReturns > 0
          ? 1e4 * (squaredReturns / minutesOfReturns).squareRoot() : nil,
        volumeUSD: volume * volumeUnit / minutes)
    }
    begin(frames: frames)
    return figures
  }

  /// Begins a window without a word on the one before.
  public mutating func begin(frames: Int64) {
    trades = 0
    volume = 0
    quoteRates.removeAll(keepingCapacity: true)
    spreadsBps.removeAll(keepingCapacity: true)
    squaredReturns = 0
    minutesOfReturns = 0
    framesBefore = frames
    isWhole = true
  }
}

/// The median after a share of the values at either end was moved to the nearest value kept; sorts in place.
///
/// - Returns: nil for no values.
func winsorizedMedian(_ values: inout [Double], _ share: Double) -> Double? {
  guard !values.isEmpty else { return nil }
  values.sort()
  let cut = min(Int(share * Double(values.count)), (values.count - 1) / 2)
  let (low, high) = (values[cut], values[values.count - 1 - cut])
  func value(_ index: Int) -> Double { min(high, max(low, values[index])) }
  return (value((values.count - 1) / 2) + value(values.count / 2)) / 2
}

/// What a market showed over a window; nil where it showed nothing to take the figure from.
public struct MarketFigures: Equatable, Sendable {
  public var tradesPerMinute: Double
  public var quotesPerSecond: Double?
  public var spreadBps: Double?
  /// Per square root of a minute.
  public var volatilityBps: Double?
  /// Of quote asset, over 60 s.
  public var volumeUSD: Double

  public init(
    tradesPerMinute: Double, quotesPerSecond: Double?, spreadBps: Double?, volatilityBps: Double?,
    volumeUSD: Double
  ) {
    self.tradesPerMinute = tradesPerMinute
    self.quotesPerSecond = quotesPerSecond
    self.spreadBps = spreadBps
    self.volatilityBps = volatilityBps
    self.volumeUSD = volumeUSD
  }

  /// Whether all figures are there and within their limits.
  public func isActive(by limits: MarketTriggerConfiguration) -> Bool {
    guard let quotesPerSecond, let spreadBps, let volatilityBps else { return false }
    return tradesPerMinute >= limits.tradesPerMinuteMin && quotesPerSecond >= limits.quotesPerSecondMin
      && spreadBps <= limits.spreadBpsMax && volatilityBps >= limits.volatilityBpsMin
      && volumeUSD >= limits.volumeUSDMin
  }
}

/// What all symbols that delivered say of a window.
public struct MarketVerdict: Equatable, Sendable {
  public var symbols: Int
  public var symbolsActive: Int
  public var isActive: Bool
  /// Each the median over the symbols.
  public var figures: MarketFigures

  /// - Returns: nil when no symbol gave evidence.
  public init?(_ symbols: [MarketFigures], _ configuration: MarketTriggerConfiguration) {
    guard !symbols.isEmpty else { return nil }
    self.symbols = symbols.count
    symbolsActive = symbols.count { $0.isActive(by: configuration) }
    isActive = Double(symbolsActive) / Double(symbols.count) >= configuration.symbolsShareMin
    func median(_ figure: (MarketFigures) -> Double?) -> Double? {
      var values = symbols.compactMap(figure)
      return winsorizedMedian(&values, 0)
    }
    figures = MarketFigures(
      tradesPerMinute: median(\.tradesPerMinute)!, quotesPerSecond: median(\.quotesPerSecond),
      spreadBps: median(\.spreadBps), volatilityBps: median(\.volatilityBps), volumeUSD: median(\.volumeUSD)!)
  }

  init(symbols: Int, symbolsActive: Int, isActive: Bool, figures: MarketFigures) {
    self.symbols = symbols
    self.symbolsActive = symbolsActive
    self.isActive = isActive
    self.figures = figures
  }
}
