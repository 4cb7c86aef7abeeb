import Book
import Core

/// What a symbol's order flow says at one moment of tape time.
public struct FlowRow: Sendable {
  /// OFI over the window in base-asset units × 10^scale (lots), or in average depths of a level
  /// (``ofiIsRelative``); nil while the window has a hole.
  public var ofi: Double?
  /// ``ofi`` is in average depths of a level.
  public var ofiIsRelative = false
  /// Unclipped.
  public var zOFI: Double?
  public var zCVD: Double?
  public var cvd: Int64
  public var quote: Quote?
  public var fused: FusedScore
  /// Confirmed at this moment, or since the row before where that moment had none.
  public var divergence = DivergenceKind.none
}

/// A symbol's order-flow state: OFI and CVD windows, their histories, and the score they give.
///
/// It takes quotes, books and trades with their receive time and nothing else. Level 1 of the OFI comes from
/// the book ticker where one is subscribed (it shows every change of the touch), else from the book; deeper
/// levels come from the synchronised book. Nothing is differenced across a hole: after a start, snapshot,
/// resync or reconnect the state is set without a contribution, and a window counts only once it has been
/// whole for its full length.
///
/// Where modes have parameters of their own there is a ``FactorLane`` for each set of them. All are fed; the
/// one selected speaks.
public struct SymbolFlow: ~Copyable {
  public internal(set) var configuration: FlowConfiguration

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

  var multiLevel: MultiLevelImbalance
  /// Tape time since which the windows have had no hole; nil while they have one.
  var ofiWholeSinceMs: Int64?
  var cvdWholeSinceMs: Int64?

  let laneCount: Int
  let lanes: UnsafeMutablePointer<FactorLane>
  /// The lane that speaks.
  var speaking: UnsafeMutablePointer<FactorLane>
  // The cheap test between two rows: factor values from which the score could be strong.
  var triggers = StrongTriggers()

  var divergence: DivergenceDetector?
  /// 0 where none is looked for.
  let divergenceStrideMs: Int64
  /// Confirmed, and in no row yet.
  var pendingDivergence = DivergenceKind.none
  // Since the last sample of divergence: what no longer compares with the samples before.
  var tradesWereLost = false
  var laneChanged = false
  var weightsChanged = false

  /// - Parameters:
  ///   - lanes: the distinct parameter sets; none for the configuration's own. The first one speaks.
  ///   - divergence: nil to look for none.
  public init(
    _ configuration: FlowConfiguration, lanes sets: [FactorParameters] = [],
    divergence: DivergenceConfiguration? = nil
  ) {
    let sets = sets.isEmpty ? [configuration.parameters()] : sets
    self.configuration = configuration
    cvd = CumulativeVolumeDelta(reset: configuration.cvdReset)
    multiLevel = MultiLevelImbalance(levels: sets.reduce(1) { max($0, $1.levels) })
    laneCount = sets.count
    lanes = .allocate(capacity: sets.count)
    for (index, set) in sets.enumerated() {
      (lanes + index).initialize(to: FactorLane(configuration, set))
    }
    speaking = lanes
    if let divergence, divergence.isEnabled {
      self.divergence = DivergenceDetector(divergence)
      divergenceStrideMs = Int64(divergence.strideMs)
    } else {
      divergenceStrideMs = 0
    }
  }

  deinit {
    lanes.deinitialize(count: laneCount)
    lanes.deallocate()
  }

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
      lanes.pointee.levelOne.add(e, at: receiveMs)
      if laneCount > 1 { addToOthers(levelOne: e, at: receiveMs) }
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
      clearLevelOne()
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
      lanes.pointee.take(book: multiLevel, at: receiveMs)
      if laneCount > 1 { addBookToOthers(at: receiveMs) }
      if !hasTicker {
        lanes.pointee.levelOne.add(e, at: receiveMs)
        if laneCount > 1 { addToOthers(levelOne: e, at: receiveMs) }
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
    for index in 0..<laneCount { lanes[index].expectBook() }
    ofiWholeSinceMs = nil
  }

  /// The book has gone out of sync.
  public mutating func bookLost() {
    multiLevel.reset()
    for index in 0..<laneCount { lanes[index].bookLost() }
    bookQuote = nil
    ofiWholeSinceMs = nil
    if !hasTicker { clearLevelOne() }
  }

  /// The connection that carries the book ticker was replaced: what happened in between is unknown.
  public mutating func tickerLost(at receiveMs: Int64) {
    tickerQuote = nil
    clearLevelOne()
    if ofiWholeSinceMs != nil { ofiWholeSinceMs = receiveMs }
  }

  @inline(__always)
  public mutating func take(trade quantity: Int64, aggressor: Aggressor, receiveMs: Int64) {
    let signed = cvd.add(quantity: quantity, aggressor: aggressor, at: receiveMs)
    lanes.pointee.delta.add(signed, at: receiveMs)
    if laneCount > 1 { addToOthers(delta: signed, at: receiveMs) }
    if cvdWholeSinceMs == nil { cvdWholeSinceMs = receiveMs }
  }

  /// Trades are missing before this moment.
  public mutating func tradesLost(at receiveMs: Int64) {
    cvdWholeSinceMs = receiveMs
    tradesWereLost = true
  }

  private func clearLevelOne() {
    for index in 0..<laneCount { lanes[index].levelOne.removeAll() }
  }

  @inline(never)
  private func addToOthers(levelOne contribution: Int64, at receiveMs: Int64) {
    for index in 1..<laneCount { lanes[index].levelOne.add(contribution, at: receiveMs) }
  }

  @inline(never)
  private func addToOthers(delta signed: Int64, at receiveMs: Int64) {
    for index in 1..<laneCount { lanes[index].delta.add(signed, at: receiveMs) }
  }

  @inline(never)
  private mutating func addBookToOthers(at receiveMs: Int64) {
    for index in 1..<laneCount { lanes[index].take(book: multiLevel, at: receiveMs) }
  }

  // MARK: Control

  /// Other fusion parameters from the next row on. The cheap test for strong scores follows at the next grid
  /// row.
  public mutating func change(fusion: FusionConfiguration) {
    let before = configuration.fusion
    if fusion.weightOFI != before.weightOFI || fusion.weightCVD != before.weightCVD { weightsChanged = true }
    configuration.fusion = fusion
  }

  /// The place of the lane that speaks.
  public var lane: Int { speaking - lanes }

  /// Lets another lane speak from the next row on. Its history is as long as if it always had.
  public mutating func select(lane: Int) {
    precondition(lane >= 0 && lane < laneCount, "a lane is one of those the flow was made with")
    guard lane != self.lane else { return }
    speaking = lanes + lane
    triggers = StrongTriggers()
    laneChanged = true
  }
}

struct StrongTriggers {
  var isArmed = false
  var ofiHigh = Double.infinity
  var ofiLow = -Double.infinity
  var cvdHigh = Double.infinity
  var cvdLow = -Double.infinity
}
