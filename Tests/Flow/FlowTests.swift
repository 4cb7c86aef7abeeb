import Core
import Flow
import Testing

@Suite("Order flow imbalance")
struct OrderFlowImbalanceTests {
  private func quote(_ bp: Int64, _ bq: Int64, _ ap: Int64, _ aq: Int64) -> Quote {
    Quote(bidPrice: bp, bidQuantity: bq, askPrice: ap, askQuantity: aq)
  }

  /// Cont, Kukanov, Stoikov (2014): each kind of event by hand.
  @Test func contributions() {
    let before = quote(100, 5, 101, 7)
    func e(_ after: Quote) -> Int64 { OrderFlowImbalance.contribution(before: before, after: after) }
    #expect(e(before) == 0)
    #expect(e(quote(100, 9, 101, 7)) == 4)  // size joins the bid
    #expect(e(quote(100, 2, 101, 7)) == -3)  // size leaves the bid
    #expect(e(quote(100, 5, 101, 10)) == -3)  // size joins the ask
    #expect(e(quote(101, 3, 102, 4)) == 3 + 7)  // both rise: the new bid, and the ask queue that was lifted
    #expect(e(quote(99, 6, 101, 7)) == -5)  // the bid falls: its queue is gone
    #expect(e(quote(100, 5, 100 + 3, 1)) == 7)  // the ask rises
    #expect(e(quote(100, 5, 100, 2)) == -2)  // the ask falls
  }
}

@Suite("Sliding sum")
struct SlidingSumTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func equalsDefinition(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var sum = SlidingSum(windowMs: 500, width: 2)
    var events: [(Int64, Int64, Int64)] = []
    var now: Int64 = 1_000_000
    for _ in 0..<20_000 {
      if random.bernoulli(0.5) { now += Int64(random.below(5)) }
      if random.bernoulli(0.001) { now += 2000 }
      let a = Int64(random.below(100)) - 50
      events.append((now, a, 1))
      sum.add(a, 1, at: now)
      if random.bernoulli(0.01) {
        let end = now + 1 + Int64(random.below(50))
        sum.expire(before: end - 500)
        let inside = events.filter { $0.0 >= end - 500 && $0.0 < end }
        #expect(sum.sums[0] == inside.reduce(0) { $0 + $1.1 }, "seed \(seed)")
        #expect(sum.sums[1] == Int64(inside.count), "seed \(seed)")
        now = end
      }
    }
  }
}

@Suite("Standardizer")
struct StandardizerTests {
  private func naive(_ method: FlowConfiguration.Standardization, _ history: [Double], _ x: Double) -> Double
  {
    let n = Double(history.count)
    switch method {
    case .rank:
      let below = Double(history.count { $0 < x })
      let equal = Double(history.count { $0 == x })
      return Statistics.normalQuantile((below + equal / 2 + 0.5) / (n + 1))
    case .sd:
      let mean = history.reduce(0, +) / n
      let variance = history.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (n - 1)
      return (x - mean) / variance.squareRoot()
    case .mad:
      func median(_ values: [Double]) -> Double {
        let s = values.sorted()
        return (s[(s.count - 1) / 2] + s[s.count / 2]) / 2
      }
      let m = median(history)
      return (x - m) / (1.4826 * median(history.map { abs($0 - m) }))
    }
  }

  @Test(arguments: FlowConfiguration.Standardization.allCases)
  func equalsDefinition(_ method: FlowConfiguration.Standardization) throws {
    var random = SeededRandom(seed: 5)
    var standardizer = Standardizer(method: method, samples: 97, warmupSamples: 20, floorRatio: 0)
    var history: [Double] = []
    for step in 0..<1200 {
      // Ties, heavy tails, and a shift of level.
      var x = random.bernoulli(0.2) ? 3 : random.normal() * (random.bernoulli(0.05) ? 1000 : 10)
      if step > 600 { x += 1e6 }
      if history.count < 20 {
        let value = standardizer.z(x)
        #expect(value == nil)
      } else {
        let expected = naive(method, history, x)
        let value = standardizer.z(x)
        let z = try #require(value)
        #expect(abs(z - expected) <= 1e-6 * max(1, abs(expected)), "step \(step)")
      }
      standardizer.push(x)
      history.append(x)
      if history.count > 97 { history.removeFirst() }
    }
  }

  /// A value is judged by the history before it: what comes later cannot change its z.
  @Test func noLookAhead() {
    var a = Standardizer(method: .rank, samples: 50, warmupSamples: 10, floorRatio: 0)
    var b = Standardizer(method: .rank, samples: 50, warmupSamples: 10, floorRatio: 0)
    var random = SeededRandom(seed: 6)
    for step in 0..<200 {
      let x = random.normal()
      if step == 100 {
        let (one, other) = (a.z(x), b.z(x))
        #expect(one == other)
        return
      }
      a.push(x)
      b.push(x)
    }
  }

  @Test func rankIsNotClippedButBounded() throws {
    var s = Standardizer(method: .rank, samples: 900, warmupSamples: 180, floorRatio: 0)
    for i in 0..<900 { s.push(Double(i)) }
    let (high, middle) = (s.z(1e9), s.z(449.5))
    let extreme = try #require(high)
    #expect(abs(extreme - Statistics.normalQuantile(900.5 / 901)) < 1e-12)
    #expect(middle == 0)
  }

  @Test func triggerValueInvertsZ() throws {
    for method in FlowConfiguration.Standardization.allCases {
      var random = SeededRandom(seed: 9)
      var s = Standardizer(method: method, samples: 900, warmupSamples: 180, floorRatio: 0)
      for _ in 0..<900 { s.push(random.normal() * 40) }
      for z in [-2.0, -0.5, 0, 1, 2.5] {
        let back = s.z(s.value(forZ: z))
        #expect(abs(try #require(back) - z) < 0.05)
      }
    }
  }
}

@Suite("Fusion")
struct FusionTests {
  private let c = FusionConfiguration()

  private func fused(
    _ ofi: Double?, _ cvd: Double?, lag: (Double, Double) = (0, 0), stale: (Double, Double) = (0, 0)
  ) -> FusedScore {
    FusedScore(
      ofi: Factor(z: ofi, lagMs: lag.0, stalenessMs: stale.0),
      cvd: Factor(z: cvd, lagMs: lag.1, stalenessMs: stale.1), c)
  }

  @Test func weightsAndConsistency() {
    #expect(fused(2, 1).score == 0.6 * 2 + 0.4)
    #expect(fused(2, 1).consistency == 0.5)
    #expect(fused(2, -1).consistency == 0)
    #expect(fused(2, 0).consistency == 0)
    #expect(fused(2, -1).dispersion == 3)
    #expect(fused(nil, 1).score == nil)
  }

  @Test func lateOrStaleFactorIsLeftOut() {
    #expect(fused(2, 1, lag: (0, 251)).score == 2)
    #expect(fused(2, 1, lag: (0, 251)).flags == .degradedOFIOnly)
    #expect(fused(2, 1, lag: (0, 250)).flags == [])
    #expect(fused(2, 1, lag: (300, 0)).score == 1)
    #expect(fused(2, 1, stale: (5001, 0)).flags == .degradedCVDOnly)
    #expect(fused(2, 1, stale: (5001, 6000)).flags == [])
  }

  @Test func hysteresisHoldsAndExpires() {
    var classifier = SignalClassifier()
    var now: Int64 = 0
    func step(_ score: Double, after: Int64 = 1000) -> SignalKind {
      now += after
      return classifier.step(score: score, at: now, c.base, c)
    }
    #expect(step(1.4) == .neutral)
    #expect(step(1.6) == .buy)
    #expect(step(1.3) == .buy)  // above 0.8 × 1.5
    #expect(step(1.3) == .buy)
    #expect(step(1.3) == .buy)
    #expect(step(1.3) == .neutral)  // more than 3 s since it was above 1.5
    #expect(step(2.6) == .strongBuy)
    #expect(step(2.2) == .strongBuy)
    #expect(step(1.9) == .buy)
    #expect(step(-1.1) == .neutral)
  }

  @Test func cooldownDelaysAndAClearFlipDoesNot() {
    var classifier = SignalClassifier()
    #expect(classifier.step(score: 1.5, at: 1000, c.base, c) == .buy)
    #expect(classifier.step(score: -1.6, at: 1100, c.base, c) == .buy)  // within 300 ms
    #expect(classifier.step(score: -2.1, at: 1110, c.base, c) == .sell)  // by a clear margin
    #expect(classifier.step(score: -2.6, at: 1180, c.base, c) == .sell)  // strong: 120 ms
    #expect(classifier.step(score: -2.6, at: 1231, c.base, c) == .strongSell)
    #expect(classifier.step(score: nil, at: 1300, c.base, c) == .neutral)
  }
}

@Suite("Trade flow")
struct TradeFlowTests {
  @Test func cvdIsExactAndResetsAsTold() {
    var never = CumulativeVolumeDelta(reset: .never)
    var session = CumulativeVolumeDelta(reset: .session)
    let midnight: Int64 = 1_721_347_200_000
    for (offset, quantity, side) in [
      (-2, 5, Aggressor.buyer), (-1, 7, .seller), (0, 3, .buyer), (9, 1, .seller),
    ] as [(Int64, Int64, Aggressor)] {
      _ = never.add(quantity: quantity, aggressor: side, at: midnight + offset)
      _ = session.add(quantity: quantity, aggressor: side, at: midnight + offset)
    }
    #expect(never.sinceReset == 0)
    #expect(session.sinceReset == 2)
    #expect(session.total == 0)
  }

  @Test func tradeIDs() {
    var ids = TradeSequence()
    #expect(ids.step(10) == .next)
    #expect(ids.step(11) == .next)
    #expect(ids.step(11) == .duplicate)
    #expect(ids.step(15) == .afterHole(missing: 3))
    #expect(ids.step(13) == .late)
    #expect(ids.step(13) == .duplicate)
    #expect(ids.step(12) == .late)
    #expect(ids.missing == 1)
    #expect(ids.step(14) == .late)
    #expect(ids.missing == 0)
    #expect(ids.step(9) == .duplicate)
    #expect(ids.step(16) == .next)
  }

  @Test func tickRuleCarriesAtMostFivePricesAndTwoSeconds() {
    var rule = TickRule()
    #expect(rule.side(price: 10, at: 0) == nil)
    #expect(rule.side(price: 11, at: 0) == .buyer)
    for _ in 0..<5 { #expect(rule.side(price: 11, at: 1) == .buyer) }
    #expect(rule.side(price: 11, at: 1) == nil)
    #expect(rule.side(price: 10, at: 2) == .seller)
    #expect(rule.side(price: 10, at: 2003) == nil)
    #expect(rule.dropped == 3)
  }

  @Test func clockOffsetFollowsTheFastestEvent() {
    var clock = ClockOffset()
    let start: Int64 = 1_700_000_000_000
    // The receive clock is 1.5 s behind; latency 4…20 ms.
    #expect(clock.step(receiveNs: (start - 1490) * 1_000_000, exchangeMs: start) == 0)
    #expect(clock.step(receiveNs: (start + 100 - 1496) * 1_000_000, exchangeMs: start + 100) == 0)
    #expect(clock.step(receiveNs: (start + 200 - 1480) * 1_000_000, exchangeMs: start + 200) == 16_000_000)
    // Ten minutes later the fastest event has left the window.
    let later = start + 700_000
    #expect(clock.step(receiveNs: (later - 1480) * 1_000_000, exchangeMs: later) == 0)
  }
}
