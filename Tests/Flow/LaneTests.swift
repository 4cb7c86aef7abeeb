import Book
import Core
import Testing

@testable import Flow

/// A random feed of tickers, books and trades, with what is lost on the way.
private struct Feed {
  var random: SeededRandom
  var nowMs: Int64 = 1_700_000_000_000
  private var id: Int64 = 0
  private var bid: Int64 = 10_000

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  private mutating func size() -> Int64 { 1 + Int64(random.below(50)) }

  /// One event, the same for all flows.
  mutating func event(_ book: inout Book) -> (inout SymbolFlow, borrowing Book) -> Void {
    if random.bernoulli(0.5) { nowMs += Int64(random.below(40)) }
    let now = nowMs
    switch random.below(100) {
    case 0..<50:
      id += 1
      if random.bernoulli(0.3) { bid += Int64(random.below(3)) - 1 }
      let quote = Quote(bidPrice: bid, bidQuantity: size(), askPrice: bid + 1, askQuantity: size())
      let number = id
      return { flow, _ in _ = flow.take(ticker: quote, updateID: number, receiveMs: now, exchangeMs: now) }
    case 50..<70:
      let (quantity, side): (Int64, Aggressor) = (size(), random.bernoulli(0.5) ? .buyer : .seller)
      return { flow, _ in flow.take(trade: quantity, aggressor: side, receiveMs: now) }
    case 70..<98:
      let middle = bid
      let prices = (0..<8).map { middle - Int64($0) } + (0..<8).map { middle + 1 + Int64($0) }
      let sizes = prices.map { _ in size() }
      book.load(prices: prices, quantities: sizes, bidCount: 8, askCount: 8)
      return { flow, book in
        flow.expectBook()
        flow.take(book: book, receiveMs: now, exchangeMs: now)
      }
    default:
      guard random.bernoulli(0.05) else { return { _, _ in } }
      switch random.below(3) {
      case 0: return { flow, _ in flow.bookLost() }
      case 1: return { flow, _ in flow.tickerLost(at: now) }
      default: return { flow, _ in flow.tradesLost(at: now) }
      }
    }
  }
}

private func expectEqual(_ a: FlowRow, _ b: FlowRow, _ comment: Comment) {
  #expect(
    a.ofi == b.ofi && a.zOFI == b.zOFI && a.zCVD == b.zCVD && a.cvd == b.cvd && a.quote == b.quote
      && a.fused == b.fused, comment)
}

@Suite("Factor lanes")
struct LaneTests {
  private let sets = [
    FactorParameters(ofiWindowMs: 1000, cvdWindowMs: 2000, levels: 5),
    FactorParameters(ofiWindowMs: 400, cvdWindowMs: 2000, levels: 2),
    FactorParameters(ofiWindowMs: 1000, cvdWindowMs: 900, levels: 8),
  ]

  private func configuration(_ method: FlowConfiguration.OFIMethod) -> FlowConfiguration {
    var c = FlowConfiguration()
    c.historyMs = 90_000
    c.warmupMs = 10_000
    c.weights = [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05]
    c.ofiMethod = method
    return c
  }

  private func row(_ flow: inout SymbolFlow, at endMs: Int64, isGrid: Bool) -> FlowRow {
    flow.row(
      endMs: endMs, isGrid: isGrid, ofiLag: (0, 0), cvdLag: (0, 0),
      thresholds: FusionConfiguration().base)
  }

  /// Whichever lane speaks, and since when: its rows are those of a flow that has only that lane.
  @Test(arguments: FlowConfiguration.OFIMethod.allCases, [1, 2] as [UInt64])
  func theSelectedLaneSpeaksAsIfItWereAlone(_ method: FlowConfiguration.OFIMethod, seed: UInt64) {
    let c = configuration(method)
    var feed = Feed(seed: seed)
    var book = Book()
    var flow = SymbolFlow(c, lanes: sets)
    var one = SymbolFlow(c, lanes: [sets[0]])
    var two = SymbolFlow(c, lanes: [sets[1]])
    var three = SymbolFlow(c, lanes: [sets[2]])
    var nextMs = feed.nowMs / 250 * 250 + 250
    var rowsWithScore = 0
    while nextMs < feed.nowMs + 240_000, rowsWithScore < 600 {
      let event = feed.event(&book)
      while feed.nowMs >= nextMs {
        if feed.random.bernoulli(0.05) { flow.select(lane: feed.random.below(3)) }
        let isSilent = feed.random.bernoulli(0.2)
        if isSilent {
          flow.sample(endMs: nextMs)
          one.sample(endMs: nextMs)
          two.sample(endMs: nextMs)
          three.sample(endMs: nextMs)
        } else {
          let alone = [
            row(&one, at: nextMs, isGrid: true), row(&two, at: nextMs, isGrid: true),
            row(&three, at: nextMs, isGrid: true),
          ]
          let spoken = row(&flow, at: nextMs, isGrid: true)
          let lane = flow.lane
          expectEqual(spoken, alone[lane], "seed \(seed), lane \(lane)")
          if spoken.fused.score != nil { rowsWithScore += 1 }
        }
        nextMs += 250
      }
      event(&flow, book)
      event(&one, book)
      event(&two, book)
      event(&three, book)
    }
    #expect(rowsWithScore == 600, "seed \(seed)")
  }

  @Test func selectingTheLaneThatSpeaksChangesNothing() {
    var flow = SymbolFlow(configuration(.weighted), lanes: sets, divergence: DivergenceConfiguration())
    var seen: [Bool] = []
    for lane in [0, 2, 2] {
      flow.laneChanged = false
      flow.select(lane: lane)
      seen.append(flow.laneChanged)
    }
    #expect(seen == [false, true, false])
    let lane = flow.lane
    #expect(lane == 2)
  }

  /// The rows do not tell where divergence is looked for without them; only when it is told may differ.
  @Test func divergenceDoesNotDependOnRows() {
    var c = configuration(.weighted)
    c.ofiWindowMs = 1000
    c.cvdWindowMs = 2000
    var d = DivergenceConfiguration()
    d.pivotSamples = 3
    d.separationSamples = 1
    d.cooldownMs = 0
    var feed = Feed(seed: 12)
    var book = Book()
    var often = SymbolFlow(c, divergence: d)
    var rarely = SymbolFlow(c, divergence: d)
    var nextMs = feed.nowMs / 250 * 250 + 250
    // The last grid point has a row in both.
    let endMs = (nextMs + 150_000) / 1000 * 1000
    var (told, toldLater) = ([DivergenceKind](), [DivergenceKind]())
    while nextMs < endMs {
      let event = feed.event(&book)
      while feed.nowMs >= nextMs, nextMs < endMs {
        told.append(row(&often, at: nextMs, isGrid: true).divergence)
        // A row between two grid points takes nothing from the next one.
        let between = row(&rarely, at: nextMs - 1, isGrid: false)
        #expect(between.divergence == .none)
        if nextMs % 1000 == 750 {
          toldLater.append(row(&rarely, at: nextMs, isGrid: true).divergence)
        } else {
          rarely.sample(endMs: nextMs)
        }
        nextMs += 250
      }
      event(&often, book)
      event(&rarely, book)
    }
    let events = told.filter { $0 != .none }
    #expect(events.count > 5)
    #expect(toldLater.filter { $0 != .none } == events)
    let (counts, others) = (often.divergenceCounts, rarely.divergenceCounts)
    #expect(counts == others)
    #expect(Int(counts.events.reduce(0, +)) == events.count)
  }

  @Test(arguments: FlowConfiguration.OFIMethod.allCases)
  func aRestoredFlowGoesOnAsIfItWereWhole(_ method: FlowConfiguration.OFIMethod) throws {
    let c = configuration(method)
    var d = DivergenceConfiguration()
    d.pivotSamples = 3
    d.cooldownMs = 0
    var feed = Feed(seed: 21)
    var book = Book()
    var whole = SymbolFlow(c, lanes: sets, divergence: d)
    var cut = SymbolFlow(c, lanes: sets, divergence: d)
    var nextMs = feed.nowMs / 250 * 250 + 250
    let endMs = nextMs + 120_000
    var events = 0
    while nextMs < endMs {
      let event = feed.event(&book)
      while feed.nowMs >= nextMs {
        if feed.random.bernoulli(0.02) {
          let lane = feed.random.below(3)
          whole.select(lane: lane)
          cut.select(lane: lane)
        }
        if feed.random.bernoulli(0.05) {
          var writer = CheckpointWriter()
          cut.save(to: &writer)
          var fresh = SymbolFlow(c, lanes: sets, divergence: d)
          var reader = CheckpointReader(writer.bytes)
          try fresh.restore(from: &reader)
          try reader.finish()
          cut = fresh
        }
        let (a, b) = (row(&whole, at: nextMs, isGrid: true), row(&cut, at: nextMs, isGrid: true))
        expectEqual(a, b, "at \(nextMs)")
        #expect(a.divergence == b.divergence)
        let (mayBe, mayBeToo) = (whole.mayBeStrong(), cut.mayBeStrong())
        #expect(mayBe == mayBeToo)
        if a.divergence != .none { events += 1 }
        nextMs += 250
      }
      event(&whole, book)
      event(&cut, book)
    }
    #expect(events > 3)
    let (counts, others) = (whole.divergenceCounts, cut.divergenceCounts)
    #expect(counts == others)
  }

  @Test func theBestMethodIsOneLevel() {
    var c = FlowConfiguration()
    #expect(c.parameters() == FactorParameters(ofiWindowMs: 5000, cvdWindowMs: 10_000, levels: 5))
    #expect(
      c.parameters(levels: 3, ofiWindowMs: 100)
        == FactorParameters(ofiWindowMs: 100, cvdWindowMs: 10_000, levels: 3))
    c.ofiMethod = .best
    #expect(c.parameters(levels: 3).levels == 1)
  }

  /// Levels in the ratios 1 : 2 : 1 of one common flow: the weights are their direction, whatever is
  /// configured, and a unit of OFI is the mean size of a level.
  @Test func integratedWeightsFollowTheLevels() throws {
    var integrated = IntegratedImbalance(levels: 3, windowMs: 1000, historySamples: 120)
    var levels = MultiLevelImbalance(levels: 3)
    var book = Book()
    book.load(prices: [9, 8, 7, 10, 11, 12], quantities: [1, 2, 3, 4, 5, 9], bidCount: 3, askCount: 3)
    _ = levels.step(book)
    integrated.take(levels, at: 1000)
    var random = SeededRandom(seed: 1)
    for _ in 0..<59 {
      let flow = Int64(random.below(100)) - 50
      integrated.learn(flow, [2 * flow, flow])
      let value = integrated.value(flow, [2 * flow, flow])
      #expect(value == nil)
    }
    integrated.learn(7, [14, 7])
    let found = integrated.value(4, [8, 16])
    let value = try #require(found)
    // The mean of the six sizes is 4.
    #expect(abs(value - (0.25 * 4 + 0.5 * 8 + 0.25 * 16) / 4) < 1e-9)
  }
}
