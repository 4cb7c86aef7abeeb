import Core
import Rules
import Telemetry
import Testing

@Suite("Metric store")
struct MetricStoreTests {
  private func value(_ text: String, _ store: MetricStore, _ time: UnixNanos) throws -> [Double] {
    try MetricExpression(parsing: text).evaluate(in: store, at: time).elements.map(\.value)
  }

  @Test func instantSelectorsLookBackFiveMinutes() throws {
    var store = MetricStore(keeping: ["x": 0])
    store.append("x", .empty, 7, at: seconds(100))
    #expect(try value("x", store, seconds(99)) == [])
    #expect(try value("x", store, seconds(100)) == [7])
    #expect(try value("x", store, seconds(400)) == [7])
    #expect(try value("x", store, UnixNanos(milliseconds: 400_001)) == [])
  }

  @Test func aSeriesThatIsMissingFromItsTargetsScrapeEnds() throws {
    var store = MetricStore(keeping: ["up": 60_000, "x": 60_000])
    let signal = [MetricSample.Label("job", "signal")]
    let harvest = [MetricSample.Label("job", "harvest")]
    store.append([MetricSample("up", [], 1), MetricSample("x", [], 5)], target: signal, at: seconds(0))
    store.append([MetricSample("up", [], 1)], target: harvest, at: seconds(1))
    store.append([MetricSample("up", [], 1)], target: signal, at: seconds(5))
    #expect(try value("x", store, seconds(5)) == [])
    #expect(try value("count_over_time(x[1m])", store, seconds(5)) == [1])
    #expect(try value("count(up)", store, seconds(5)) == [2])
    // The whole target is gone.
    store.append([], target: harvest, at: seconds(6))
    #expect(try value("count(up)", store, seconds(6)) == [1])
    // And back again.
    store.append([MetricSample("up", [], 1)], target: harvest, at: seconds(11))
    #expect(try value("count(up)", store, seconds(11)) == [2])
    #expect(store.counters.staleMarks == 2)
  }

  @Test func theTargetsLabelsWin() throws {
    var store = MetricStore(keeping: ["x": 0])
    store.append(
      [MetricSample("x", [.init("job", "mine"), .init("a", "b")], 1)], target: [.init("job", "signal")],
      at: seconds(0))
    let element = try #require(
      try MetricExpression(parsing: "x").evaluate(in: store, at: seconds(0)).elements.first)
    #expect(element.series == #"x{a="b", exported_job="mine", job="signal"}"#)
  }

  @Test func whatNoRuleReadsIsNotKept() {
    var store = MetricStore(keeping: ["x": 0])
    store.append([MetricSample("y", [], 1), MetricSample("x", [], 1)], target: [], at: seconds(0))
    #expect(store.counters.unused == 1)
    #expect(store.counters.stored == 1)
    #expect(store.seriesCount == 1)
  }

  @Test func boundsCountAndDoNotStore() throws {
    var limits = MetricStore.Limits()
    limits.seriesMax = 3
    limits.samplesPerSeriesMax = 10
    limits.targetsMax = 1
    var store = MetricStore(keeping: ["x": 3_600_000], limits: limits)
    let samples = (0..<5).map { MetricSample("x", [.init("n", "\($0)")], 1) }
    for second in 0..<20 { store.append(samples, target: [], at: seconds(second)) }
    #expect(store.seriesCount == 3)
    #expect(store.counters.overBound == 40)
    #expect(store.counters.pushedOut == 30)
    #expect(try value("count_over_time(x[1h])", store, seconds(20)) == [10, 10, 10])
    #expect(try value("rate(x[1h])", store, seconds(20)) == [0, 0, 0])
    store.append(samples, target: [.init("job", "other")], at: seconds(20))
    #expect(store.counters.overBound == 45)
  }

  @Test func samplesOutOfOrderAreCounted() throws {
    var store = MetricStore(keeping: ["x": 60_000])
    store.append("x", .empty, 1, at: seconds(10))
    store.append("x", .empty, 2, at: seconds(10))
    store.append("x", .empty, 3, at: seconds(5))
    #expect(store.counters.outOfOrder == 2)
    #expect(try value("x", store, seconds(10)) == [1])
    // Twice in a scrape: the first counts.
    store.append([MetricSample("x", [], 4), MetricSample("x", [], 5)], target: [], at: seconds(20))
    #expect(try value("x", store, seconds(20)) == [4])
  }

  /// A year of changing labels leaves only what rules can still see.
  @Test func seriesThatEndedAreForgotten() throws {
    var limits = MetricStore.Limits()
    limits.seriesMax = 50
    var store = MetricStore(keeping: ["x": 60_000], limits: limits)
    for minute in 0..<3000 {
      store.append(
        [MetricSample("x", [.init("n", "\(minute)")], 1)], target: [.init("run", "\(minute / 20)")],
        at: seconds(60 * minute))
    }
    #expect(store.counters.overBound == 0)
    #expect(store.seriesCount < 12)
  }

  /// A ring that grows, wraps and forgets holds what a plain array would.
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func rangesEqualAPlainArrays(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var limits = MetricStore.Limits()
    limits.samplesPerSeriesMax = 4 + random.below(60)
    var store = MetricStore(keeping: ["x": 60_000], limits: limits)
    var model: [(ms: Int64, value: Double)] = []
    var ms: Int64 = 0
    let expression = try MetricExpression(parsing: "sum_over_time(x[1m])")
    for index in 0..<500 {
      ms += Int64(1 + random.below(random.bernoulli(0.02) ? 200_000 : 4000))
      store.append("x", .empty, Double(index), at: UnixNanos(milliseconds: ms))
      model.append((ms, Double(index)))
      model.removeAll { $0.ms < ms - 360_000 }
      model.removeFirst(max(0, model.count - limits.samplesPerSeriesMax))
      let at = ms + Int64(random.below(1000))
      let expected = model.filter { $0.ms >= at - 60_000 && $0.ms <= at }.map(\.value).reduce(0, +)
      let got = try expression.evaluate(in: store, at: UnixNanos(milliseconds: at)).elements.map(\.value)
      #expect(got == [expected], "seed \(seed), sample \(index)")
    }
  }

  /// However often a counter falls back to zero, its increase is what was counted.
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func increaseSurvivesResets(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var store = MetricStore(keeping: ["x": 600_000])
    var counter = 0.0
    var total = 0.0
    let steps = 60
    for step in 0...steps {
      if step > 0 {
        if random.bernoulli(0.1) { counter = 0 }
        let more = Double(random.below(50))
        counter += more
        total += more
      }
      store.append("x", .empty, counter, at: seconds(10 * step))
    }
    // Both ends of the range lie on samples: nothing is extrapolated.
    let increase = try value("increase(x[10m])", store, seconds(10 * steps))
    // A reset that lands above the former value cannot be seen by anyone.
    #expect(increase[0] <= total && increase[0] >= 0, "seed \(seed)")
    let rate = try value("rate(x[10m])", store, seconds(10 * steps))
    #expect(abs(rate[0] * 600 - increase[0]) < 1e-9, "seed \(seed)")
  }
}
